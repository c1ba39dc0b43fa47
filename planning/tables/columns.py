"""Which of a file's columns is which of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from planning.schema import TABLES, Table
from planning.tables.problems import InputRefused
from planning.tables.source import Sheet

_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars", "\uff0c": "full-width commas"}


def matched(
    table: Table, sheet: Sheet, renames: Mapping[str, str]
) -> tuple[dict[str, int], list[str]]:
    """Positions of our columns in the sheet, and notes on columns that nobody asked for.

    Raises
    ------
    InputRefused
        Naming every column that is missing or comes twice, or the delimiter that was used.
    """
    where = sheet.name if sheet.header_line is None else f"{sheet.name} line {sheet.header_line}"
    wanted = {name: renames.get(name, name) for name in table.names}
    problem = _delimiter(sheet) or _twice(sheet) or _missing(table, wanted, sheet)
    if problem:
        raise InputRefused([f"{where}: {problem}"])
    cells = {
        ours: sheet.columns.index(name) for ours, name in wanted.items() if name in sheet.columns
    }
    asked = {*wanted.values(), *sheet.index}
    unused = [repr(name[:60]) for name in sheet.columns if name not in asked]
    listed = ", ".join(unused[:20]) + (f" and {len(unused) - 20} more" if unused[20:] else "")
    return cells, [f"{table.name}: unused columns {listed}"] if unused else []


def theirs(table: Table, sheet: Sheet, renames: Mapping[str, str]) -> bool:
    """Whether a sheet has what the table needs under the names of `renames`, and not under ours."""
    ours = {column.name for column in table.columns if column.required}
    named = {renames.get(name, name) for name in ours}
    return named <= set(sheet.columns) and not ours <= set(sheet.columns)


def _delimiter(sheet: Sheet) -> str:
    if len(sheet.columns) != 1:
        return ""
    for mark, name in _DELIMITERS.items():
        if mark in sheet.columns[0]:
            return f"its columns are separated by {name}; save it with commas"
    return ""


def _twice(sheet: Sheet) -> str:
    twice = [repr(name) for name, count in Counter(sheet.columns).items() if count > 1 and name]
    return (
        f"the header names {', '.join(twice)} more than once; rename or drop one" if twice else ""
    )


def _missing(table: Table, wanted: Mapping[str, str], sheet: Sheet) -> str:
    missing = {
        ours: name
        for ours, name in wanted.items()
        # A renamed column was promised, even where the table could do without it.
        if name not in sheet.columns and (table[ours].required or name != ours)
    }
    if not missing:
        return ""
    found = {name.strip().casefold(): name for name in sheet.columns}
    listed = []
    for name in missing.values():
        near = found.get(name.strip().casefold())
        listed.append(repr(name) + (f" (there is {near!r})" if near is not None else ""))
    has = ", ".join(repr(name) for name in sheet.columns[:40])
    told = f"lacks the columns {', '.join(listed)}; it has {has}. Add them"
    if table.name not in TABLES:
        return told
    return (
        f"{told}, or say under [data.columns.{table.name}] what they are called there: "
        f'{next(iter(missing))} = "…"'
    )
