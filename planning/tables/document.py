"""A JSON document with a list of lines, as rows of text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from planning.tables import files
from planning.tables.problems import InputRefused
from planning.tables.source import Sheet, sheet_of_text


def open_document(path: Path, root: Path, shared: tuple[str, ...]) -> Sheet:
    """The objects under "lines", each with what stands beside them under the names `shared`.

    A row's line is its number in the list.

    Raises
    ------
    InputRefused
        When it is no such document.
    """
    name = files.shown(path, root)
    text = files.read_text(path, root)
    try:
        told = json.loads(text.data, parse_int=str, parse_float=str, parse_constant=str)
        rows = told["lines"]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise TypeError('"lines" is no list of objects')
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputRefused(
            [f'{name}: is no JSON object with a list "lines" ({error}); copy it again, whole']
        ) from error
    common = {key: told[key] for key in shared if key in told}
    full = [common | row for row in rows]
    columns = list(dict.fromkeys(key for row in full for key in row)) or list(common)
    table = [
        (number, [_text(row.get(key)) for key in columns]) for number, row in enumerate(full, 1)
    ]
    return sheet_of_text(name, columns, table, sha256=text.sha256, notes=text.notes)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
