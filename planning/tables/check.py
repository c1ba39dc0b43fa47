"""Every rule of a table as SQL over its rows: cells parsed first, then checked, all at once.

A row's faults are the bits of one number, so that one pass over the rows finds them all. Each
column `c` passes through named stages: `s_c` the cell (blank = NULL, text trimmed where it is no
id), `w_c` and `o_c` a stamp's wall time and offset, `v_c` the value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planning.schema import Column, Later, Table
from planning.tables.times import (
    EARLIEST,
    LATEST,
    Segment,
    micros,
    offset_sql,
    stamp_sql,
    twice_sql,
)

NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?"
DAY = r"\d{4}-\d{2}-\d{2}(?:[T ]00:00(?::00(?:\.0+)?)?)?"
BLANKS = "E' \\t'"
EXACT = {"DOUBLE": 2**53, "FLOAT": 2**24}  # from here on whole floats run into one another
WIDEST = 1e37  # digits that DuckDB's widest integer holds
LONGEST_FOLDER = 200  # bytes; file systems stop at 255

_NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL", "FLOAT", "DOUBLE")
_NAIVE = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_AWARE = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Where a piece keeps a column: SQL of the raw cell and its DuckDB type."""

    sql: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One way in which a row can be wrong, told with its remedy."""

    column: str
    text: str
    fix: str
    broken: str | None = None  # SQL over s_, w_, o_ and v_ columns; None: found by other means


def is_numeric(kind: str) -> bool:
    """Whether a DuckDB type is a number."""
    return kind.removeprefix("U").split("(")[0] in _NUMERIC


def is_flat(kind: str) -> bool:
    """Whether a DuckDB type holds one plain value a cell."""
    return not (kind == "BLOB" or kind == "OTHER" or "[" in kind or "(" in kind) or (
        kind.startswith(("DECIMAL", "ENUM"))
    )


def _cell(column: Column, cells: Cells | None) -> str:
    """Stage s_: the cell, NULL where blank or absent; numbers and stamps keep their type."""
    if cells is None:
        return "NULL::VARCHAR"
    typed = is_numeric(cells.type) or cells.type in (*_NAIVE, *_AWARE)
    if typed and not column.is_text:
        return cells.sql
    if cells.type in EXACT:  # ids that went through a float column
        whole = f"isfinite({cells.sql}) AND {cells.sql} = trunc({cells.sql})"
        return (
            f"CASE WHEN isnan({cells.sql}) THEN NULL WHEN {whole} AND abs({cells.sql}) < {WIDEST} "
            f"THEN {cells.sql}::HUGEINT::VARCHAR ELSE {cells.sql}::VARCHAR END"
        )
    text = cells.sql if cells.type == "VARCHAR" else f"CAST({cells.sql} AS VARCHAR)"
    if column.is_text:
        return f"CASE WHEN trim({text}, {BLANKS}) <> '' THEN {text} END"
    return f"nullif(trim({text}, {BLANKS}), '')"


def _stamp(column: Column, cells: Cells | None) -> list[str]:
    """Stage w_, o_: wall microseconds and the offset that came with it."""
    cell = f"s_{column.name}"
    if cells is not None and cells.type in (*_NAIVE, *_AWARE):
        ahead = "0::BIGINT" if cells.type in _AWARE else "NULL::BIGINT"
        finite = f"CASE WHEN isfinite({cell}) THEN epoch_us({cell}) END"
        return [f"{finite} AS w_{column.name}", f"{ahead} AS o_{column.name}"]
    if cells is None:
        return [f"NULL::BIGINT AS w_{column.name}", f"NULL::BIGINT AS o_{column.name}"]
    text = cell if not is_numeric(cells.type) else f"CAST({cell} AS VARCHAR)"
    wall, ahead = stamp_sql(text)
    return [f"{wall} AS w_{column.name}", f"{ahead} AS o_{column.name}"]


def _value(column: Column, cells: Cells | None) -> str:
    """Stage v_ of a column that is no timestamp."""
    cell = f"s_{column.name}"
    kind = "VARCHAR" if cells is None else cells.type
    if column.words:
        said = " ".join(f"WHEN {_quoted(theirs)} THEN '{ours}'" for theirs, ours in column.words)
        return f"CASE {cell} {said} ELSE {cell} END"
    if column.is_text and kind in EXACT and column.kind != "choice":
        number = f"TRY_CAST({cell} AS DOUBLE)"
        lost = f"abs({number}) >= {EXACT[kind]}" if column.required else f"NOT isfinite({number})"
        return f"CASE WHEN {lost} THEN NULL ELSE {cell} END"
    if column.is_text:
        return cell
    if column.kind == "date":
        return _day(cell, kind)
    if is_numeric(kind):
        return f"CAST({cell} AS DOUBLE)"
    text = f"CAST({cell} AS VARCHAR)"
    return f"CASE WHEN regexp_full_match({text}, '{NUMBER}') THEN TRY_CAST({text} AS DOUBLE) END"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _day(cell: str, kind: str) -> str:
    if kind == "DATE":
        return cell
    if kind in _NAIVE:
        return f"CASE WHEN {cell} = date_trunc('day', {cell}) THEN CAST({cell} AS DATE) END"
    text = f"CAST({cell} AS VARCHAR)"
    return (
        f"CASE WHEN regexp_full_match({text}, '{DAY}') THEN TRY_CAST(left({text}, 10) AS DATE) END"
    )


def years(table: Table, cells: Mapping[str, Cells], source: str) -> str:
    """SELECT that gives the first and last year that any naive stamp of `source` can lie in."""
    found = []
    for column in table.columns:
        cell = cells.get(column.name)
        if column.kind != "timestamp" or cell is None or cell.type in _AWARE:
            continue
        text = f"trim(CAST({cell.sql} AS VARCHAR), {BLANKS})"
        year = f"TRY_CAST(left({text}, 4) AS INTEGER)"
        found.append(f"year({cell.sql})" if cell.type in _NAIVE else year)
    if not found:
        return "SELECT NULL, NULL"
    listed = ", ".join(found)
    return f"SELECT min(least({listed})), max(greatest({listed})) FROM {source}"


def stages(
    table: Table,
    cells: Mapping[str, Cells],
    source: str,
    line: str,
    clock: Sequence[Segment],
) -> str:
    """SELECT that gives `line` and the s_, w_, o_ and v_ columns of every row of `source`.

    `clock` covers the wall times that can occur.
    """
    stamps = [column for column in table.columns if column.kind == "timestamp"]
    others = [column for column in table.columns if column.kind != "timestamp"]
    first = [f"{_cell(c, cells.get(c.name))} AS s_{c.name}" for c in table.columns]
    second = [f"{_value(c, cells.get(c.name))} AS v_{c.name}" for c in others]
    for column in stamps:
        second += _stamp(column, cells.get(column.name))
    third = [
        f"w_{c.name} - coalesce(o_{c.name}, {offset_sql(f'w_{c.name}', clock)}) AS v_{c.name}"
        for c in stamps
    ]
    twice = [f"(o_{c.name} IS NULL AND {twice_sql(f'w_{c.name}', clock)})" for c in stamps]
    third.append(f"coalesce({' OR '.join(twice) or 'false'}, false) AS twice")
    return (
        f"SELECT *, {', '.join(third)} FROM (SELECT *, {', '.join(second)} FROM "
        f"(SELECT {line} AS line, {', '.join(first)} FROM {source}))"
    )


def faults(rules: tuple[Rule, ...]) -> str:
    """SQL of the number whose bit i says that the row breaks rule i."""
    bits = [
        f"CASE WHEN {rule.broken} THEN {1 << bit} ELSE 0 END"
        for bit, rule in enumerate(rules)
        if rule.broken is not None
    ]
    return f"({' | '.join(bits)})::BIGINT"


def cell_rules(table: Table, tz: str) -> tuple[Rule, ...]:
    """Every rule that a row can be judged by alone, in the order of the columns."""
    rules: list[Rule] = []
    for column in table.columns:
        rules += _rules(table, column, tz)
    rules += [_later(later) for later in table.later]
    return tuple(rules)


def _rules(table: Table, column: Column, tz: str) -> list[Rule]:
    rules = [_empty(column)] if column.required else []
    if column.is_text and column.kind != "choice":
        rules.append(_float(column))
    if column.kind == "choice":
        rules.append(_choice(table, column))
    elif column.kind == "folder":
        rules += [_control(column), _folder(column)]
    elif column.kind == "id":
        rules.append(_control(column))
    elif column.kind in ("int", "number"):
        rules += _number_rules(column)
    elif column.kind == "timestamp":
        rules += _stamp_rules(column, tz)
    elif column.kind == "date":
        rules += _date_rules(column)
    return rules


def _empty(column: Column) -> Rule:
    return Rule(
        column=column.name,
        text=f"{column.name} is empty",
        fix="fill it in, or take the row out",
        broken=f"s_{column.name} IS NULL",
    )


def _float(column: Column) -> Rule:
    return Rule(
        column=column.name,
        text=f"{column.name} is a float that holds no text",
        fix="write the column as text or whole numbers: floats lose the digits of long numbers",
        broken=f"s_{column.name} IS NOT NULL AND v_{column.name} IS NULL",
    )


def _choice(table: Table, column: Column) -> Rule:
    allowed = ", ".join(column.choices)
    listed = ", ".join(f"'{choice}'" for choice in column.choices)
    return Rule(
        column=column.name,
        text=f"{column.name} is none of {allowed}",
        fix=f"write one of {allowed}"
        + ("" if column.required else ", or leave it empty")
        + f"; what other words mean can be said under [data.values.{table.name}.{column.name}]",
        broken=f"v_{column.name} NOT IN ({listed})",
    )


def _control(column: Column) -> Rule:
    return Rule(
        column=column.name,
        text=f"{column.name} holds a control character",
        fix="take line breaks, tabs and other invisible characters out of the id",
        broken=f"regexp_matches(v_{column.name}, '[\\x00-\\x1f\\x7f]')",
    )


def _folder(column: Column) -> Rule:
    value = f"v_{column.name}"
    return Rule(
        column=column.name,
        text=f"{column.name} cannot name a folder",
        fix=(
            "the supplier's files go to a folder of this name: use an id without / or \\, other "
            f"than . and .., of at most {LONGEST_FOLDER} bytes"
        ),
        broken=(
            f"{value} IN ('.', '..') OR regexp_matches({value}, '[/\\\\]') "
            f"OR strlen({value}) > {LONGEST_FOLDER}"
        ),
    )


def _number_rules(column: Column) -> list[Rule]:
    name, value = column.name, f"v_{column.name}"
    whole = column.kind == "int"
    such = "such as 1200" if whole else "with a point for decimals, such as 1200.5"
    rules = [
        Rule(
            column=name,
            text=f"{name} is no number",
            fix=f"write plain digits {such}: no thousands separators, units, full-width digits "
            f"or NaN{column.hint}",
            broken=f"s_{name} IS NOT NULL AND ({value} IS NULL OR NOT isfinite({value}))",
        )
    ]
    if whole:
        rules.append(
            Rule(
                column=name,
                text=f"{name} is no whole number",
                fix="write a whole number of units",
                broken=f"isfinite({value}) AND {value} <> trunc({value})",
            )
        )
    for bound, says, operator in (
        (column.low, "below", "<"),
        (column.above, "not above", "<="),
        (column.high, "above", ">"),
    ):
        if bound is not None:
            rules.append(
                Rule(
                    column=name,
                    text=f"{name} is {says} {_plain(bound)}",
                    fix=f"write a number {_range(column)}",
                    broken=f"isfinite({value}) AND {value} {operator} {_plain(bound)}",
                )
            )
    return rules


def _range(column: Column) -> str:
    bounds = (column.above, column.low, column.high)
    above, low, high = (None if bound is None else _plain(bound) for bound in bounds)
    return f"from {low} to {high}" if above is None else f"above {above}, to {high}"


def _plain(number: float) -> str:
    """Digits without an exponent, for SQL and people."""
    return format(number, ".15g")


def _stamp_rules(column: Column, tz: str) -> list[Rule]:
    name, wall, ahead = column.name, f"w_{column.name}", f"o_{column.name}"
    early, late = micros(EARLIEST), micros(LATEST)
    rules = [
        Rule(
            column=name,
            text=f"{name} is no ISO 8601 date or time",
            fix='write it as "2026-10-01T08:30:00", with or without an offset such as +08:00',
            broken=f"s_{name} IS NOT NULL AND {wall} IS NULL",
        ),
        Rule(
            column=name,
            text=f"{name} is before {EARLIEST.year}",
            fix="correct it: so early a time comes from a clock that was not set",
            broken=f"{wall} < {early}",
        ),
        Rule(
            column=name,
            text=f"{name} is after {LATEST.year - 1}",
            fix=f"correct it; a time without end is {_endless(column)}",
            broken=f"{wall} >= {late}",
        ),
        Rule(
            column=name,
            text=f"{name} is a local time that does not exist in {tz}",
            fix="the clocks went forward over it: correct it, or write its offset from UTC",
            broken=f"{wall} >= {early} AND {wall} < {late} AND v_{name} IS NULL",
        ),
    ]
    if column.offset:
        rules.append(
            Rule(
                column=name,
                text=f"{name} has no offset from UTC",
                fix="write it with its offset, such as 2026-10-01T08:30:00+08:00",
                broken=f"{wall} IS NOT NULL AND {ahead} IS NULL",
            )
        )
    return rules


def _endless(column: Column) -> str:
    return f"{LATEST.year - 1}-12-31" if column.required else "an empty cell"


def _date_rules(column: Column) -> list[Rule]:
    name = column.name
    return [
        Rule(
            column=name,
            text=f"{name} is no ISO 8601 date",
            fix='write it as "2026-10-01"',
            broken=f"s_{name} IS NOT NULL AND v_{name} IS NULL",
        ),
        Rule(
            column=name,
            text=f"{name} is not between {EARLIEST.year} and {LATEST.year - 1}",
            fix=f"correct it; a date without end is {LATEST.year - 1}-12-31",
            broken=(f"v_{name} < DATE '{EARLIEST.date()}' OR v_{name} >= DATE '{LATEST.date()}'"),
        ),
    ]


def _later(later: Later) -> Rule:
    word = "is not after" if later.strictly else "is before"
    operator = "<=" if later.strictly else "<"
    return Rule(
        column=later.column,
        text=f"{later.column} {word} {later.than}",
        fix=f"correct {later.column} or {later.than}; check which time zone each is written in",
        broken=f"v_{later.column} {operator} v_{later.than}",
    )
