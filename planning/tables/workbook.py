"""An .xlsx that came back from outside, as rows of text: read with suspicion, never computed."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from planning.tables import files
from planning.tables.problems import InputRefused
from planning.tables.source import Sheet, sheet_of_text

MOST_BYTES = 256 << 20  # that a workbook may unpack to
HEADER_WITHIN = 50  # rows in which the headings must come
MOST_COLUMNS = 200
MOST_ROWS = 200_000

Row = tuple[Any, ...]


def open_workbook(path: Path, root: Path, headings: Mapping[str, str], key: str) -> Sheet:
    """The sheet that has a column `key`, its headings translated by `headings`.

    Hidden sheets are not read. Numbers and dates become the text that a CSV would hold.

    Raises
    ------
    InputRefused
        When it is no workbook, encrypted, a bomb, has no such sheet or several, or a cell of it
        holds a formula without a value.
    """
    name = files.shown(path, root)
    _require_archive(path, name)
    try:
        found, hidden = _sheets(path, headings, key)
    except InputRefused as refused:
        raise InputRefused([f"{name}: {problem}" for problem in refused.problems]) from None
    except Exception as error:  # the parser trips over damage in more ways than it documents
        raise InputRefused(
            [f"{name}: cannot be read as a workbook ({_first_line(error)}); save it again as .xlsx"]
        ) from error
    if len(found) != 1:
        listed = ", ".join(repr(title) for title, *_ in found)
        told = f"the sheets {listed} all have" if found else "no visible sheet has"
        more = f" (hidden and not read: {', '.join(map(repr, hidden))})" if hidden else ""
        raise InputRefused(
            [f"{name}: {told} a column {key}{more}; send back the sheet that was sent out"]
        )
    ((_, header, columns, rows),) = found
    notes = (f"{name}: hidden sheets were not read: {', '.join(hidden)}",) if hidden else ()
    return sheet_of_text(
        name, columns, rows, sha256=files.sha256(path), header_line=header, notes=notes
    )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _require_archive(path: Path, name: str) -> None:
    """Raise unless the file is a zip archive of a bearable size."""
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputRefused(
            [f"{name}: is an encrypted or old Office document; save it as .xlsx, no password"]
        )
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        what = "is empty" if not head else "is no .xlsx workbook, or its end is missing"
        raise InputRefused(
            [f"{name}: {what}; copy it again, or if it is a CSV file name it .csv"]
        ) from error
    if size > MOST_BYTES:
        raise InputRefused(
            [f"{name}: unpacks to more than {MOST_BYTES >> 20} MiB, which no answer does"]
        )


def _sheets(
    path: Path, headings: Mapping[str, str], key: str
) -> tuple[list[tuple[str, int, list[str], list[tuple[int, list[str]]]]], list[str]]:
    """Visible sheets with the key: title, header's row, columns and rows; titles of hidden ones."""
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions that we don't look at
        formulas = openpyxl.load_workbook(path, read_only=True)
        values = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            hidden = [sheet.title for sheet in values.worksheets if sheet.sheet_state != "visible"]
            found = []
            for sheet in values.worksheets:
                if sheet.title in hidden:
                    continue
                both = zip(_rows(formulas[sheet.title]), _rows(sheet), strict=True)
                if read := _table(sheet.title, both, headings, key):
                    found.append((sheet.title, *read))
            return found, hidden
        finally:
            formulas.close()
            values.close()


def _rows(sheet: Any) -> Iterator[Row]:
    sheet.reset_dimensions()  # what a file says of its size need not be so
    return iter(sheet.iter_rows(max_col=MOST_COLUMNS, max_row=MOST_ROWS, values_only=True))


def _table(
    title: str, rows: Iterator[tuple[Row, Row]], headings: Mapping[str, str], key: str
) -> tuple[int, list[str], list[tuple[int, list[str]]]] | None:
    """Header's row, columns and rows with their numbers; None where the key is no heading."""
    columns: list[str] = []
    header, table = 0, []
    for number, (written, shown) in enumerate(rows, start=1):
        if not columns:
            names = [_text(cell).strip() for cell in shown]
            names = [headings.get(name, name) for name in names]
            if key in names:
                columns, header = names[: _width(names)], number
            elif number == HEADER_WITHIN:
                return None
            continue
        _refuse_unknown(title, number, written, shown)
        cells = [_text(cell) for cell in shown[: len(columns)]]
        if any(cells):
            table.append((number, cells + [""] * (len(columns) - len(cells))))
    return (header, columns, table) if columns else None


def _width(names: list[str]) -> int:
    return max(place for place, name in enumerate(names, start=1) if name)


def _refuse_unknown(title: str, number: int, written: Row, shown: Row) -> None:
    """Raise for a formula whose value was never computed."""
    for place, (formula, value) in enumerate(zip(written, shown, strict=False)):
        if value is None and formula is not None:
            from openpyxl.utils import get_column_letter

            raise InputRefused(
                [
                    f"sheet {title!r} cell {get_column_letter(place + 1)}{number}: the formula "
                    f"{str(formula)[:60]!r} has no value; type the value instead"
                ]
            )


def _text(cell: object) -> str:
    """The text that a CSV would hold for a cell."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    return str(cell)
