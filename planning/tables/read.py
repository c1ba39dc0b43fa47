"""Everything a workspace names, read: typed tables, counts, quarantine, notes and hashes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from planning.digest import sha256
from planning.schema import ORDERS, PLAN, TABLES, Table
from planning.tables import files, notes, source
from planning.tables.columns import matched, theirs
from planning.tables.problems import InputRefused
from planning.tables.stage import Counts, Stage, quarantined
from planning.tables.times import instant
from planning.workspace import Workspace, is_url

SAMPLES = 3  # rows shown of each rule when a table is refused


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a run may know: the accepted rows of every table, and what became of the others."""

    tables: dict[str, pd.DataFrame]  # every table but orders; missing = NA
    orders: pa.Table  # as read; instants in UTC
    counts: dict[str, Counts]
    quarantine: dict[str, pd.DataFrame]  # file, line, column, value, rule, fix
    notes: list[str]
    hashes: dict[str, str]  # file or masked URL -> sha256 of its content
    rows: dict[str, int]  # file or masked URL -> rows read from it


@dataclass(frozen=True, kw_only=True)
class OrderLog:
    """One file of orders."""

    orders: pa.Table
    counts: Counts
    quarantine: pd.DataFrame
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file or query that was read."""

    sha256: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class _Result:
    """One table, read."""

    rows: pa.Table
    counts: Counts
    quarantine: pd.DataFrame
    notes: list[str]
    read: dict[str, Source]


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A private DuckDB in memory that spills to the system's temporary folder."""
    with tempfile.TemporaryDirectory(prefix="peakahead-") as spill:
        con = duckdb.connect(
            config={"temp_directory": spill, "autoinstall_known_extensions": "false"}
        )
        try:
            con.execute("SET TimeZone = 'UTC'")  # in which aware cells are shown
            yield con
        finally:
            con.close()


def _sheets(
    workspace: Workspace, table: str, con: duckdb.DuckDBPyConnection
) -> Iterator[Callable[[], source.Sheet]]:
    """One opener for each file or query of a table."""
    given = workspace.sources[table]
    if is_url(given):
        query = workspace.orders_query or ""
        yield lambda: source.open_query(given, query, workspace.root)
        return
    for path in files.resolve(given, workspace.root):
        yield lambda path=path: source.open_file(path, workspace.root, con)  # type: ignore[misc]


def _stage(
    table: Table,
    sheets: Iterator[Callable[[], source.Sheet]],
    renames: Mapping[str, str],
    stage: Stage,
) -> tuple[list[str], dict[str, Source]]:
    """Read every sheet into the stage; returns notes, and what was read from each.

    Raises
    ------
    InputRefused
        With the problems of every sheet that cannot be trusted as a whole.
    """
    problems: list[str] = []
    told: list[str] = []
    read: dict[str, Source] = {}
    for opener in sheets:
        try:
            sheet = opener()
            cells, unused = matched(table, sheet, renames)
            before = stage.size()
            if not problems:
                stage.add(sheet.name, cells, sheet.pieces)
        except InputRefused as refused:
            problems += refused.problems
            continue
        told += [*sheet.notes, *unused]
        read[sheet.name] = Source(sha256=sheet.sha256, rows=stage.size() - before)
    if problems:
        raise InputRefused([f"{table.name}: {problem}" for problem in problems])
    return told, read


def _over_limit(stage: Stage, counts: Counts, share: float, *, history: bool) -> list[str]:
    """Why a table as a whole is to be refused, if it is."""
    name, files_read = stage.table.name, ", ".join(stage.names[:3])
    if len(stage.names) > 3:
        files_read += f" and {len(stage.names) - 3} more"
    if counts.read == 0 and stage.table.required:
        return [f"{name} ({files_read}): has a header but no rows; {name} needs at least one"]
    bad, known = counts.quarantined, counts.read - counts.after_as_of
    if bad and bad / known > share:
        allowed = (
            f"more than max_quarantine_share = {share:g} allows; correct them or raise the limit"
            if name in TABLES
            else "and it is used whole or not at all; correct them"
        )
        head = f"{name} ({files_read}): {bad:,} of {known:,} rows cannot be used, {allowed}"
        return ["\n    ".join([head, *_samples(stage)])]
    if counts.accepted == 0 and stage.table.required and (history or not counts.after_as_of):
        why = (
            "all lie at or after as-of; give a later --as-of, or orders that were placed before it"
            if counts.after_as_of
            else "none can be used; correct them"
        )
        return [f"{name} ({files_read}): {counts.read:,} rows were read and {why}"]
    return []


def _samples(stage: Stage) -> list[str]:
    totals = stage.faults_by_rule()
    frame = stage.quarantine(limit=SAMPLES)
    told = []
    for rule, count in totals.items():
        few = frame[frame["rule"] == rule]
        fix = str(few["fix"].iloc[0])
        told.append(f"{rule} ({count:,}); {fix}")
        cells = few[["file", "line", "column", "value"]].to_numpy(dtype=object)
        for file, line, column, value in cells:
            what = f"{column} = {value!r}" if column else repr(value)
            told.append(f"  {file} line {line}: {what}")
        if count > len(few):
            told.append(f"  … and {count - len(few):,} more")
    return told


class Reader:
    """Reads tables one after the other, and gathers what speaks against them."""

    def __init__(self, workspace: Workspace, con: duckdb.DuckDBPyConnection) -> None:
        self.workspace, self.con = workspace, con
        self.known: dict[str, str] = {}  # table -> relation of its accepted keys
        self.problems: list[str] = []

    def read(
        self,
        table: Table,
        sheets: Iterator[Callable[[], source.Sheet]],
        renames: Mapping[str, str],
        as_of: int | None = None,
        *,
        placed: bool = False,
        history: bool = True,
    ) -> _Result | None:
        """Return a table, or None and the problems noted.

        `placed`: each row with its line; without `history` all rows may lie after `as_of`.
        """
        stage = Stage(self.con, table, self.workspace.timezone)
        try:
            told, read = _stage(table, sheets, renames, stage)
        except InputRefused as refused:
            self.problems += refused.problems
            stage.drop()
            return None
        if as_of is not None:
            stage.set_later_aside(as_of)
        stage.check_links(self.known)
        stage.check_keys()
        counts = stage.counts()
        share = self.workspace.max_quarantine_share
        over = _over_limit(stage, counts, share, history=history)
        self.problems += over
        rows = None if over else stage.accepted(as_of, placed=placed)
        result = None if rows is None else self._result(stage, counts, rows, told, read)
        if result is not None and table.name in ("products", "suppliers", "offers"):
            self.known[table.name] = stage.keys()
        stage.drop()
        return result

    def _result(
        self,
        stage: Stage,
        counts: Counts,
        rows: pa.Table,
        told: list[str],
        read: dict[str, Source],
    ) -> _Result:
        twice = notes.ambiguous(stage.table.name, stage.ambiguous(), stage.tz)
        again = notes.repeated(stage.table.name, counts.duplicates, counts.read)
        near: list[str] = []
        if "products" in self.known:
            ids = self.con.execute(f"SELECT product_id FROM {self.known['products']}").fetchall()
            unknown = stage.unknown("product_id", notes.MOST_COMPARED)
            near = notes.near_known(stage.table.name, unknown, [row[0] for row in ids])
        return _Result(
            rows=rows,
            counts=counts,
            quarantine=stage.quarantine(),
            notes=[*dict.fromkeys(told), *twice, *again, *near],
            read=read,
        )


def read_workspace(workspace: Workspace, as_of: pd.Timestamp, *, history: bool = True) -> Inputs:
    """Read and check every table as it was known at `as_of`.

    Without `history`, orders before `as_of` are not needed.

    Raises
    ------
    InputRefused
        With every problem of every table, when one cannot be trusted as a whole.
    """
    cut = instant(as_of)
    results: dict[str, _Result] = {}
    with database() as con:
        reader = Reader(workspace, con)
        for name, table in TABLES.items():
            if name not in workspace.sources:
                results[name] = _absent(table)
                continue
            sheets = _sheets(workspace, name, con)
            result = reader.read(
                table.spoken(workspace.words[name]),
                sheets,
                workspace.renames[name],
                cut if table is ORDERS else None,
                history=history,
            )
            if result is not None:
                results[name] = result
    if reader.problems:
        raise InputRefused(reader.problems)
    tables = {
        name: frame(TABLES[name], result.rows, workspace.timezone)
        for name, result in results.items()
        if name != "orders"
    }
    told = [note for result in results.values() for note in result.notes]
    for name, result in results.items():
        told += notes.rejected(name, result.quarantine)
    read = {name: one for result in results.values() for name, one in result.read.items()}
    return Inputs(
        tables=tables,
        orders=results["orders"].rows,
        counts={name: result.counts for name, result in results.items()},
        quarantine={name: result.quarantine for name, result in results.items()},
        notes=[*told, *notes.meaning(tables, results["orders"].rows)],
        hashes={name: one.sha256 for name, one in read.items()},
        rows={name: one.rows for name, one in read.items()},
    )


def _absent(table: Table) -> _Result:
    """An optional table that the workspace doesn't have."""
    kinds = {
        "int": pa.int64(),
        "number": pa.float64(),
        "timestamp": pa.timestamp("us", "UTC"),
        "date": pa.date32(),
    }
    schema = pa.schema([(c.name, kinds.get(c.kind, pa.string())) for c in table.columns])
    return _Result(
        rows=schema.empty_table(),
        counts=Counts(read=0, accepted=0, duplicates=0, quarantined=0, after_as_of=0),
        quarantine=quarantined([], [], [], []),
        notes=[],
        read={},
    )


def read_orders(path: Path, workspace: Workspace, products: pd.DataFrame) -> OrderLog:
    """Read a file of orders, whenever they were placed: under our names or the workspace's own.

    Raises
    ------
    InputRefused
        As for the orders of a workspace.
    """
    here = replace(workspace, root=Path.cwd(), sources={"orders": str(Path(path).absolute())})
    with database() as con:
        reader = Reader(here, con)
        ids = pa.table({"product_id": pa.array(products["product_id"].astype(object), pa.string())})
        con.register("known_products", ids)
        reader.known["products"] = "known_products"
        table, names, own = ORDERS, dict[str, str](), workspace.renames["orders"]
        with suppress(InputRefused):  # reading tells it
            if theirs(ORDERS, next(_sheets(here, "orders", con))(), own):
                table, names = ORDERS.spoken(workspace.words["orders"]), dict(own)
        result = reader.read(table, _sheets(here, "orders", con), names)
    if result is None:
        raise InputRefused(reader.problems)
    return OrderLog(
        orders=result.rows,
        counts=result.counts,
        quarantine=result.quarantine,
        notes=result.notes,
    )


def read_plan(path: Path, workspace: Workspace) -> pd.DataFrame:
    """Read a plan.csv; its times must carry their offset.

    Raises
    ------
    InputRefused
        When any line breaks a rule: a plan is used whole or not at all.
    """
    here = whole(workspace, {"plan": str(Path(path).absolute())})
    with database() as con:
        reader = Reader(here, con)
        result = reader.read(PLAN, _sheets(here, "plan", con), {})
    if result is None:
        raise InputRefused(reader.problems)
    return frame(PLAN, result.rows, workspace.timezone)


def whole(workspace: Workspace, sources: Mapping[str, str]) -> Workspace:
    """One in which a file is used whole or not at all; its path starts where we stand."""
    return replace(workspace, root=Path.cwd(), sources=sources, max_quarantine_share=0.0)


def fingerprint(workspace: Workspace) -> dict[str, str]:
    """Hash every input without parsing it: equal to `Inputs.hashes` of the same content.

    Raises
    ------
    InputRefused
        When a file or the database cannot be read.
    """
    hashes: dict[str, str] = {}
    for given in workspace.sources.values():
        if is_url(given):
            sheet = source.open_query(given, workspace.orders_query or "", workspace.root)
            hashes[sheet.name] = sheet.sha256
            continue
        for path in files.resolve(given, workspace.root):
            hashes[files.shown(path, workspace.root)] = sha256(path)
    return hashes


def frame(table: Table, rows: pa.Table, tz: str) -> pd.DataFrame:
    """Typed pandas columns: ids text, whole numbers nullable only where optional, stamps local."""
    columns: dict[str, pd.Series] = {}
    for column in table.columns:
        values = rows.column(column.name)
        if column.kind == "timestamp":
            series = values.to_pandas().dt.tz_convert(tz)
        elif column.kind == "date":
            series = values.cast(pa.timestamp("us")).to_pandas()
        elif column.kind == "int":
            series = values.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
            series = series.astype("int64") if column.required else series
        elif column.kind == "number":
            series = values.to_pandas().astype("float64")
        else:
            series = pd.Series(values.to_pandas(), dtype="str")
        columns[column.name] = series.rename(column.name)
    return pd.DataFrame(columns)
