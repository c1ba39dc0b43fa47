"""The rows of one table in DuckDB, each with its faults; what is left is accepted.

`rows` holds file, line, one typed column per column of the table (timestamps as microseconds since
the epoch, numbers as doubles), `twice` (an ambiguous local time) and `faults`: bit i set means
that rule i is broken. `told` holds one line per fault for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from planning.schema import Column, Link, Table
from planning.tables.check import Cells, Rule, cell_rules, faults, is_flat, stages, years
from planning.tables.lines import FAULTS, Broken
from planning.tables.problems import InputRefused
from planning.tables.source import BLOCK_VIEW, Piece
from planning.tables.stretches import in_order
from planning.tables.times import EARLIEST, between

DUPLICATE = 1 << 61
_OWN_MISTAKES = (  # what damaged content cannot cause
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.OutOfMemoryException,
)
MOST_SHOWN = 200  # characters of a value
_TYPES = {"int": "DOUBLE", "number": "DOUBLE", "timestamp": "BIGINT", "date": "DATE"}


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of a table's rows; `read` is the sum of the rest."""

    read: int
    accepted: int
    duplicates: int
    quarantined: int
    after_as_of: int


def _link_rule(link: Link) -> Rule:
    column = link.columns[-1] if link.table != "offers" else link.columns[0]
    where = f"[data] {link.table}"
    return Rule(
        column=column,
        text=f"{' and '.join(link.columns)} not listed in {link.table}",
        fix=f"add it to {where} (or correct its row there, if that was quarantined), "
        "correct it here, or take the row out; ids are compared exactly",
    )


def _conflict_rule(table: Table) -> Rule:
    key = ", ".join(table.key)
    return Rule(
        column=table.key[0] if table.key else "",
        text=f"another row of the same {key} came before and differs",
        fix="keep one of the two; the first was used",
    )


def _line_rule(fault: str) -> Rule:
    text, fix = FAULTS[fault]
    return Rule(column="", text=text, fix=fix)


class Stage:
    """A table on its way from raw rows to accepted ones."""

    def __init__(self, con: duckdb.DuckDBPyConnection, table: Table, tz: str) -> None:
        self.con, self.table, self.tz = con, table, tz
        cells = cell_rules(table, tz)
        self.link_bit = len(cells)
        self.conflict_bit = self.link_bit + len(table.links)
        self.rules: tuple[Rule, ...] = (
            *cells,
            *(_link_rule(link) for link in table.links),
            _conflict_rule(table),
            *(_line_rule(fault) for fault in FAULTS),
        )
        self.names: list[str] = []  # of the files read
        self.lost = 0  # lines that could not even be rows
        self.after = 0  # rows that were placed too late to be known
        self.rows, self.told = f"rows_{table.name}", f"told_{table.name}"
        columns = ", ".join(f"{c.name} {_TYPES.get(c.kind, 'VARCHAR')}" for c in table.columns)
        con.execute(
            f"CREATE TEMP TABLE {self.rows} "
            f"(file INTEGER, line BIGINT, {columns}, twice BOOLEAN, faults BIGINT)"
        )
        con.execute(
            f"CREATE TEMP TABLE {self.told} "
            "(file INTEGER, line BIGINT, rule INTEGER, value VARCHAR)"
        )

    def add(self, name: str, cells: Mapping[str, int], pieces: Iterable[Piece]) -> None:
        """Parse and check the rows of one file; `cells` maps our columns to positions in it."""
        file = len(self.names)
        self.names.append(name)
        for piece in pieces:
            self._refuse_nested(name, cells, piece)
            if piece.block is None:
                self._add_on_disk(file, cells, piece)
                continue
            self.con.register(BLOCK_VIEW, piece.block)
            self._add_piece(file, cells, piece)
            self._add_broken(file, piece.broken)
            self.con.unregister(BLOCK_VIEW)

    def _refuse_nested(self, name: str, cells: Mapping[str, int], piece: Piece) -> None:
        nested = [c for c, position in cells.items() if not is_flat(piece.types[position])]
        if nested:
            held = ", ".join(f"{c} ({piece.types[cells[c]]})" for c in nested)
            raise InputRefused(
                [f"{name}: lists, structures or raw bytes in {held}; write plain values there"]
            )

    def _add_on_disk(self, file: int, cells: Mapping[str, int], piece: Piece) -> None:
        """Add a piece that lies on the disk, where damage shows only in reading it."""
        try:
            self._add_piece(file, cells, piece)
        except _OWN_MISTAKES:
            raise
        except duckdb.Error as error:
            told = str(error).splitlines()[0]
            raise InputRefused(
                [f"{self.names[file]}: cannot be read to its end ({told}); export it again"]
            ) from error

    def _add_piece(self, file: int, cells: Mapping[str, int], piece: Piece) -> None:
        where = {
            name: Cells(sql=piece.cells[position], type=piece.types[position])
            for name, position in cells.items()
        }
        values = ", ".join(f"v_{name}" for name in self.table.names)
        first, last = self._row(years(self.table, where, piece.relation))
        clock = between(self.tz, first or EARLIEST.year, last or EARLIEST.year)
        checked = (
            f"SELECT *, {faults(self.rules)} AS faults FROM "
            f"({stages(self.table, where, piece.relation, piece.line, clock)})"
        )
        before = self._one(f"SELECT count(*) FROM {self.rows}")
        self._do(
            f"INSERT INTO {self.rows} SELECT {file}, line, {values}, twice, faults FROM ({checked})"
        )
        broken = self._one(
            f"SELECT bit_or(faults) FROM {self.rows} WHERE faults <> 0 AND rowid >= {before}"
        )
        self._tell_cells(file, checked, broken or 0)

    def _tell_cells(self, file: int, checked: str, broken: int) -> None:
        """Note the raw cell of every fault; `broken` has the bits of the rules to look for."""
        bits = [bit for bit in range(self.link_bit) if broken >> bit & 1]
        if not bits:
            return
        columns = dict.fromkeys(self.rules[bit].column for bit in bits)
        cells = ", ".join(f"left(s_{c}::VARCHAR, {MOST_SHOWN}) AS s_{c}" for c in columns)
        self._do(
            f"CREATE OR REPLACE TEMP TABLE bad AS "
            f"SELECT line, faults, {cells} FROM ({checked}) WHERE faults <> 0"
        )
        for bit in bits:
            self._do(
                f"INSERT INTO {self.told} SELECT {file}, line, {bit}, "
                f"coalesce(s_{self.rules[bit].column}, '') FROM bad WHERE faults & {1 << bit} <> 0"
            )
        self._do("DROP TABLE bad")

    def _add_broken(self, file: int, broken: Sequence[Broken]) -> None:
        if not broken:
            return
        first = self.conflict_bit + 1
        order = {fault: first + position for position, fault in enumerate(FAULTS)}
        lines = pa.table(
            {
                "line": [one.line for one in broken],
                "rule": [order[one.fault] for one in broken],
                "value": [one.value for one in broken],
            }
        )
        self.con.register("broken_lines", lines)
        self._do(f"INSERT INTO {self.told} SELECT {file}, line, rule, value FROM broken_lines")
        self.con.unregister("broken_lines")
        self.lost += len(broken)

    def set_later_aside(self, as_of: int) -> None:
        """Count the orders placed at or after `as_of` and forget them, whatever else they hold.

        They are not known yet: none may speak against an earlier row or the table as a whole.
        """
        stamp = sum(1 << bit for bit, rule in enumerate(self.rules) if rule.column == "ordered_at")
        self._do(
            "CREATE OR REPLACE TEMP TABLE later AS SELECT rowid AS id, file, line "
            f"FROM {self.rows} WHERE ordered_at >= {as_of} AND faults & {stamp} = 0"
        )
        self.after = self._one("SELECT count(*) FROM later")
        if self.after:
            same = "t.file = a.file AND t.line = a.line"
            self._do(f"DELETE FROM {self.told} t USING later a WHERE {same}")
            self._do(f"DELETE FROM {self.rows} r USING later a WHERE r.rowid = a.id")
        self._do("DROP TABLE later")

    def check_links(self, known: Mapping[str, str]) -> None:
        """Quarantine rows that name what isn't listed; `known`: table -> relation of its keys."""
        for position, link in enumerate(self.table.links):
            if link.table not in known:
                continue  # that table was refused, which is told already
            bit, key = self.link_bit + position, ", ".join(link.columns)
            filled = " AND ".join(f"{column} IS NOT NULL" for column in link.columns)
            self._do(
                f"CREATE OR REPLACE TEMP TABLE unknown AS SELECT DISTINCT {key} FROM {self.rows} r "
                f"WHERE {filled} AND NOT EXISTS (SELECT 1 FROM {known[link.table]} k "
                f"WHERE {' AND '.join(f'k.{column} = r.{column}' for column in link.columns)})"
            )
            if self._one("SELECT count(*) FROM unknown"):
                self._mark_unknown(link, bit)

    def _mark_unknown(self, link: Link, bit: int) -> None:
        same = " AND ".join(f"r.{column} = u.{column}" for column in link.columns)
        shown = " || ' / ' || ".join(f"r.{column}" for column in link.columns)
        self._do(
            f"INSERT INTO {self.told} SELECT r.file, r.line, {bit}, left({shown}, {MOST_SHOWN}) "
            f"FROM {self.rows} r JOIN unknown u ON {same}"
        )
        self._do(
            f"UPDATE {self.rows} r SET faults = faults | {1 << bit} FROM unknown u WHERE {same}"
        )

    def check_keys(self) -> None:
        """Set identical rows of one key aside, and quarantine those that differ from the first."""
        if not self.table.key:
            return
        key = ", ".join(self.table.key)
        self._do(
            f"CREATE OR REPLACE TEMP TABLE often AS SELECT h FROM (SELECT hash({key}) AS h "
            f"FROM {self.rows} WHERE faults = 0) GROUP BY h HAVING count(*) > 1"
        )
        if not self._one("SELECT count(*) FROM often"):
            return
        same_key = _same(self.table.key, "a", "b")
        self._do(
            f"CREATE OR REPLACE TEMP TABLE alike AS SELECT rowid AS id, *, row_number() OVER "
            f"(PARTITION BY {key} ORDER BY file, line) AS nth FROM {self.rows} "
            f"WHERE faults = 0 AND hash({key}) IN (SELECT h FROM often)"
        )
        self._do(
            f"CREATE OR REPLACE TEMP TABLE again AS SELECT b.id, b.file, b.line, "
            f"b.{self.table.key[0]} AS value, {_same(self.table.names, 'a', 'b')} AS same "
            f"FROM alike a JOIN alike b ON {same_key} WHERE a.nth = 1 AND b.nth > 1"
        )
        self._do(
            f"UPDATE {self.rows} r SET faults = CASE WHEN same THEN {DUPLICATE} "
            f"ELSE {1 << self.conflict_bit} END FROM again a WHERE r.rowid = a.id"
        )
        self._do(
            f"INSERT INTO {self.told} SELECT file, line, {self.conflict_bit}, "
            f"left(value, {MOST_SHOWN}) FROM again WHERE NOT same"
        )
        for name in ("often", "alike", "again"):
            self._do(f"DROP TABLE {name}")

    def size(self) -> int:
        """Rows read so far, broken lines included."""
        return int(self._row(f"SELECT count(*) FROM {self.rows}")[0]) + self.lost

    def counts(self) -> Counts:
        """Count the rows by what became of them."""
        rows, duplicates, bad = self._row(
            f"SELECT count(*), count(*) FILTER (faults = {DUPLICATE}), "
            f"count(*) FILTER (faults NOT IN (0, {DUPLICATE})) FROM {self.rows}"
        )
        return Counts(
            read=rows + self.lost + self.after,
            accepted=rows - duplicates - bad,
            duplicates=duplicates,
            quarantined=bad + self.lost,
            after_as_of=self.after,
        )

    def accepted(self, as_of: int | None, *, placed: bool = False) -> pa.Table:
        """Return the rows without fault, as read; of orders what was known at `as_of`.

        `placed` adds `line`, where each stood in its file.
        """
        columns = ", ".join(_typed(column, as_of) for column in self.table.columns)
        query = f"SELECT file, line, {columns} FROM {self.rows} WHERE faults = 0"
        table = in_order(self.con.sql(query).to_arrow_table())
        if table is None:
            table = self.con.sql(f"{query} ORDER BY file, line").to_arrow_table()
        table = table.drop_columns(["file"] if placed else ["file", "line"])
        stamps = [c.name for c in self.table.columns if c.kind == "timestamp"]
        for name in stamps:
            position = table.column_names.index(name)
            aware = table.column(name).cast(pa.timestamp("us", "UTC"))
            table = table.set_column(position, name, aware)
        return table

    def ambiguous(self) -> int:
        """How many accepted rows hold a local time that comes twice."""
        return int(self._one(f"SELECT count(*) FROM {self.rows} WHERE faults = 0 AND twice"))

    def quarantine(self, limit: int | None = None) -> pd.DataFrame:
        """Return file, line, column, value, rule and fix of every fault (of `limit` a rule)."""
        few = (
            ""
            if limit is None
            else f"QUALIFY row_number() OVER (PARTITION BY rule ORDER BY file, line) <= {limit}"
        )
        frame = self.con.sql(
            f"SELECT file, line, rule, value FROM {self.told} {few} ORDER BY file, line, rule"
        ).df()
        return quarantined(
            [self.names[file] for file in frame["file"]],
            list(frame["line"]),
            list(frame["value"]),
            [self.rules[bit] for bit in frame["rule"]],
        )

    def faults_by_rule(self) -> dict[str, int]:
        """Return rule text -> how many faults."""
        found = self.con.execute(
            f"SELECT rule, count(*) FROM {self.told} GROUP BY rule ORDER BY 2 DESC, 1"
        ).fetchall()
        return {self.rules[bit].text: count for bit, count in found}

    def keys(self) -> str:
        """Keep the accepted keys for the tables that link to this one; give their relation."""
        name = f"known_{self.table.name}"
        self._do(
            f"CREATE TEMP TABLE {name} AS SELECT DISTINCT {', '.join(self.table.key)} "
            f"FROM {self.rows} WHERE faults = 0"
        )
        return name

    def drop(self) -> None:
        """Free the rows."""
        self._do(f"DROP TABLE {self.rows}")
        self._do(f"DROP TABLE {self.told}")

    def unknown(self, column: str, limit: int) -> list[str]:
        """Return some distinct values of `column` that were quarantined as not listed."""
        bits = [
            self.link_bit + position
            for position, link in enumerate(self.table.links)
            if link.columns == (column,)
        ]
        if not bits:
            return []
        found = self.con.execute(
            f"SELECT DISTINCT value FROM {self.told} WHERE rule = {bits[0]} "
            f"ORDER BY value LIMIT {limit}"
        ).fetchall()
        return [row[0] for row in found]

    def _do(self, statement: str) -> list[tuple[Any, ...]]:
        return self.con.execute(statement).fetchall()

    def _row(self, query: str) -> tuple[int, ...]:
        rows = self._do(query)
        return rows[0] if rows else ()

    def _one(self, query: str) -> int:
        return self._row(query)[0]


def quarantined(
    files: Sequence[str], lines: Sequence[int], values: Sequence[str], rules: Sequence[Rule]
) -> pd.DataFrame:
    """Return the frame of rejected rows, one line a fault."""
    return pd.DataFrame(
        {
            "file": pd.Series(files, dtype="str"),
            "line": pd.Series(lines, dtype="int64"),
            "column": pd.Series([rule.column for rule in rules], dtype="str"),
            "value": pd.Series(values, dtype="str"),
            "rule": pd.Series([rule.text for rule in rules], dtype="str"),
            "fix": pd.Series([rule.fix for rule in rules], dtype="str"),
        }
    )


def _same(columns: Sequence[str], left: str, right: str) -> str:
    return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in columns)


def _typed(column: Column, as_of: int | None) -> str:
    name = column.name
    if column.kind == "int":
        return f"{name}::BIGINT AS {name}"
    if column.kind == "timestamp":
        known = f"CASE WHEN {name} <= {as_of} THEN {name} END" if as_of is not None else name
        return f"make_timestamp({known}) AS {name}"
    if name == "status" and as_of is not None:  # what happened later is not known yet
        return f"CASE WHEN delivered_at > {as_of} THEN 'pending' ELSE status END AS status"
    return name
