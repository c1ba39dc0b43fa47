"""A sheet that came back from outside, as .xlsx or saved as CSV: rows of text, never computed."""

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np

from planning.digest import sha256
from planning.tables import files, lines
from planning.tables.problems import InputRefused
from planning.tables.source import Piece, Sheet, sheet_of_text

MOST_BYTES = 256 << 20  # that a workbook may unpack to
HEADER_WITHIN = 50  # rows in which the headings must come
MOST_COLUMNS = 200
MOST_ROWS = 200_000
MARKS = (";", "\t")  # between columns, of a CSV that is saved where the comma is for decimals
STAMPS = ("order_by", "available_from", "available_to", "confirmed_from")

_DAY = r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
_CLOCK = r"([01]?\d|2[0-3])[:：]([0-5]\d)(?:[:：]([0-5]\d))?"
_WRITTEN = re.compile(rf"{_DAY}(?:T| +|(?<=日)){_CLOCK} ?(Z|[+-]\d{{2}}:?\d{{2}})?", re.ASCII)
_TIME = re.compile(_CLOCK, re.ASCII)
_DATE = re.compile(_DAY, re.ASCII)

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
    return sheet_of_text(name, columns, rows, sha256=sha256(path), header_line=header, notes=notes)


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
    rows = sheet.iter_rows(max_col=MOST_COLUMNS, max_row=MOST_ROWS)
    return (tuple(_shown(cell) for cell in row) for row in rows)


def _shown(cell: Any) -> object:
    """A cell's value; a date without a clock is stored as its midnight, which nobody meant."""
    value = cell.value
    if isinstance(value, datetime) and value.time() == time() and "h" not in cell.number_format:
        return value.date()
    return value


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
        if shown[columns.index(key)] is not None:  # else a total or a remark
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


def open_text(path: Path, root: Path, headings: Mapping[str, str], key: str) -> Sheet | None:
    """A workbook's sheet saved as CSV, title rows above its headings or not; None without `key`.

    What is not UTF-8 is read as GB18030, or with gaps where that can't be: of an answer only ids,
    figures and instants count, and they are held against what was asked.

    Raises
    ------
    InputRefused
        When it holds no text.
    """
    name = files.shown(path, root)
    text = _with_commas(_decoded(files.read_text(path, root), name), headings, key)
    found = _heading_line(text, headings, key)
    if found is None:
        return None
    names, number, start = found
    columns = names[: _width(names)]
    rows: list[tuple[int, Sequence[str]]] = []
    broken: list[lines.Broken] = []
    for block in lines.blocks(text, names, number + 1, start):
        cells = [column.to_pylist() for column in block.columns[: len(columns)]]
        rows += zip(block.lines.tolist(), zip(*cells, strict=True), strict=True)
        broken += block.broken
    sheet = sheet_of_text(
        name, columns, rows, sha256=text.sha256, header_line=number, notes=text.notes
    )
    return _with_broken(sheet, broken)


def _with_broken(sheet: Sheet, broken: Sequence[lines.Broken]) -> Sheet:
    told = tuple(broken)
    return replace(sheet, pieces=(replace(piece, broken=told) for piece in sheet.pieces))


def _decoded(text: files.Text, name: str) -> files.Text:
    if not len(text.invalid):
        return text
    try:
        told, data = "read as GB18030 (GBK)", text.data.decode("gb18030")
    except UnicodeDecodeError:
        told, data = (
            "what can't be read in it stands as \ufffd",
            text.data.decode("utf-8", "replace"),
        )
    notes = (*text.notes, f"{name}: is not UTF-8, {told}")
    none = np.empty(0, dtype=np.int64)
    return replace(text, data=data.encode(), invalid=none, notes=notes)


def _with_commas(text: files.Text, headings: Mapping[str, str], key: str) -> files.Text:
    """The text, columns parted by commas where a spreadsheet parted them by semicolons or tabs."""
    for mark in MARKS:
        if _heading_line(text, headings, key, mark):
            told, written = io.StringIO(text.data.decode("utf-8", "replace")), io.StringIO()
            rows = csv.reader(told, delimiter=mark)
            try:
                csv.writer(written, lineterminator="\n").writerows(rows)
            except csv.Error:  # a cell that holds more than one may
                return text
            return replace(text, data=written.getvalue().encode())
    return text


def _heading_line(
    text: files.Text, headings: Mapping[str, str], key: str, mark: str = ","
) -> tuple[list[str], int, int] | None:
    """Column names, the line they stand on and the byte offset behind it."""
    start = 0
    for number in range(1, HEADER_WITHIN + 1):
        end = text.data.find(b"\n", start)
        end = len(text.data) if end < 0 else end
        try:
            line = text.data[start:end].decode("utf-8", "replace")
            cells = next(csv.reader([line], delimiter=mark), [])
        except csv.Error:  # some other line, which holds more than a cell may
            cells = []
        names = [headings.get(cell.strip(), cell.strip()) for cell in cells]
        if key in names:
            return names, number, min(end + 1, len(text.data))
        start = end + 1
        if start >= len(text.data):
            break
    return None


def tidied(sheet: Sheet) -> Sheet:
    """An answer's sheet without totals and remarks, its times written as ISO 8601 has them.

    A remark is a row without request, product_id and confirmed_from, and without confirmed_units
    but their sum: it answers nothing, and a line whose place it took is missed later on. A time
    without a day is one of the day for which its line asks.

    Raises
    ------
    InputRefused
        When such a time lies before the one that its line asks for, or a day has no time.
    """
    pieces = list(sheet.pieces)
    told = [row for piece in pieces for row in _cells(piece, len(sheet.columns))]
    total = _total([cells for _, cells in told], sheet.columns)
    kept, aside, problems = [], [], []
    for number, cells in told:
        named = dict(zip(sheet.columns, cells, strict=True))
        if _is_remark(named, total):
            aside += [number] if any(cells) else []
            continue
        stamps = {name: _written(named[name]) for name in STAMPS if name in named}
        if problem := _dated(stamps):
            problems.append(f"{sheet.name} line {number}: {problem}")
        pairs = zip(sheet.columns, cells, strict=True)
        kept.append((number, [stamps.get(name, cell) for name, cell in pairs]))
    if problems:
        raise InputRefused(problems)
    broken = [each for piece in pieces for each in piece.broken]
    words = [each.line for each in broken if each.fault == "fields" and "," not in each.value]
    clean = sheet_of_text(
        sheet.name,
        sheet.columns,
        kept,
        sha256=sheet.sha256,
        header_line=sheet.header_line,
        notes=(*sheet.notes, *_set_aside(sheet.name, sorted([*aside, *words]))),
    )
    return _with_broken(clean, [each for each in broken if each.line not in words])


def _cells(piece: Piece, width: int) -> Iterator[tuple[int, list[str]]]:
    """Rows of a piece held in memory as text, each with its number."""
    if piece.block is None:
        raise TypeError("only rows held in memory can be tidied")
    columns = [column.to_pylist() for column in piece.block.columns]
    for row in zip(*columns, strict=True):
        yield row[width], list(row[:width])


def _total(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> int | None:
    """What the rows of a request confirm together; None where they say no such thing."""
    if not {"request", "confirmed_units"} <= set(columns):
        return None
    few, asked = columns.index("confirmed_units"), columns.index("request")
    figures = [row[few].strip() for row in rows if row[asked].strip() and row[few].strip()]
    return sum(map(int, figures)) if all(map(str.isdecimal, figures)) else None


def _is_remark(cells: Mapping[str, str], total: int | None) -> bool:
    if any(cells.get(name, "").strip() for name in ("request", "product_id", "confirmed_from")):
        return False
    return cells.get("confirmed_units", "").strip() in ("", str(total))


def _set_aside(name: str, numbers: Sequence[int]) -> list[str]:
    if not numbers:
        return []
    listed = ", ".join(map(str, numbers[:5])) + (" …" if len(numbers) > 5 else "")
    rows = "1 row names" if len(numbers) == 1 else f"{len(numbers)} rows name"
    return [f"{name}: {rows} no line of the request (a total, a remark), not read: line {listed}"]


def _written(text: str) -> str:
    """ISO 8601 of an instant written year first; any other text as it came."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        return text
    year, month, day, hour, minute, second, zone = found.groups()
    whole = f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute}:{second or '00'}"
    return whole + (zone or "")


def _dated(stamps: dict[str, str]) -> str:
    """Put a bare time in confirmed_from on the day asked for; what is wrong where it can't be."""
    told = stamps.get("confirmed_from", "")
    if _DATE.fullmatch(told.strip()):
        return (
            f"confirmed_from = {told!r}: at what time of that day? write both, such as "
            "2026-10-01 18:00, or the time alone if it is the day asked for"
        )
    clock = _TIME.fullmatch(told.strip())
    if clock is None:
        return ""
    asked = stamps.get("available_from", "")
    day, _, rest = asked.partition("T")
    hour, minute, second = clock.groups()
    at = f"{hour:0>2}:{minute}:{second or '00'}"
    if not rest or at < rest[:8]:
        return (
            f"confirmed_from = {told!r}: a time of which day? write it with its day, such as "
            f"{day or '2026-10-01'} {at[:5]}"
        )
    stamps["confirmed_from"] = f"{day}T{at}{rest[8:]}"
    return ""
