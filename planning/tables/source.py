"""Where rows come from: CSV, Parquet or a database, each as pieces that DuckDB can select from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from planning.digest import sha256
from planning.tables import files, lines
from planning.tables.problems import InputRefused
from planning.workspace import masked

CONNECT_SECONDS = 15
LIMITS = {"lock_timeout": "30s", "statement_timeout": "1h"}  # where the server has none of its own
KEEPALIVE = {  # notices within two minutes that the server or the way to it is gone
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 15,
    "keepalives_count": 4,
    "tcp_user_timeout": 120_000,
}
_REMEDIES = {  # by PostgreSQL's code of the error
    "55P03": "another session holds a lock on what it reads: let that end, then run again",
    "57014": "make the query faster, or say ?options=-c%20statement_timeout%3D3h in data.orders",
}
CHUNK_ROWS = 250_000  # rows of a query result converted at a time
BLOCK_VIEW = "raw_block"  # name under which a piece's Arrow table is selected from


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some rows of one source. Column i is `cells[i]` of DuckDB type `types[i]`."""

    relation: str  # what to select from
    cells: tuple[str, ...]
    types: tuple[str, ...]
    line: str  # SQL of the row's line number
    block: pa.Table | None = None  # rows held in memory, to be registered as BLOCK_VIEW
    broken: tuple[lines.Broken, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One file or query: its columns by the names it gives them, and its rows in pieces."""

    name: str
    columns: tuple[str, ...]
    pieces: Iterator[Piece]
    sha256: str
    notes: tuple[str, ...] = ()
    header_line: int | None = field(default=None)
    index: tuple[str, ...] = ()  # columns that only number the rows, as the file itself says


def open_file(path: Path, root: Path, con: duckdb.DuckDBPyConnection) -> Sheet:
    """Open a .parquet, .csv or .csv.gz file.

    Raises
    ------
    InputRefused
        When it cannot be read as what its name says.
    """
    if path.suffix.lower() == ".parquet":
        return _open_parquet(path, root, con)
    return _open_csv(path, root)


def _open_csv(path: Path, root: Path) -> Sheet:
    name = files.shown(path, root)
    text = files.read_text(path, root)
    names, number, start = lines.header(text, name)
    return Sheet(
        name=name,
        columns=tuple(names),
        pieces=_csv_pieces(text, names, number + 1, start),
        sha256=text.sha256,
        notes=text.notes,
        header_line=number,
    )


def _csv_pieces(text: files.Text, names: list[str], line: int, start: int) -> Iterator[Piece]:
    cells = tuple(f"c{position}" for position in range(len(names)))
    for block in lines.blocks(text, names, line, start):
        table = pa.table(
            [*block.columns, pa.array(block.lines, pa.int64())], names=[*cells, "line"]
        )
        yield Piece(
            relation=BLOCK_VIEW,
            cells=cells,
            types=("VARCHAR",) * len(cells),
            line="line",
            block=table,
            broken=tuple(block.broken),
        )


def sheet_of_text(
    name: str,
    columns: Sequence[str],
    rows: Sequence[tuple[int, Sequence[str]]],
    *,
    sha256: str,
    header_line: int | None = None,
    notes: tuple[str, ...] = (),
) -> Sheet:
    """A sheet of cells held as text, each row with its number."""
    cells = tuple(f"c{position}" for position in range(len(columns)))
    arrays = [pa.array([row[k] for _, row in rows], pa.string()) for k in range(len(columns))]
    numbers = pa.array([number for number, _ in rows], pa.int64())
    piece = Piece(
        relation=BLOCK_VIEW,
        cells=cells,
        types=("VARCHAR",) * len(cells),
        line="line",
        block=pa.table([*arrays, numbers], names=[*cells, "line"]),
    )
    return Sheet(
        name=name,
        columns=tuple(columns),
        pieces=iter([piece]),
        sha256=sha256,
        notes=notes,
        header_line=header_line,
    )


def quoted(name: str) -> str:
    """Return an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _open_parquet(path: Path, root: Path, con: duckdb.DuckDBPyConnection) -> Sheet:
    name = files.shown(path, root)
    # DuckDB reads a name as a glob; a bracket pair of one character stands for that character.
    escaped = re.sub(r"([\[*?])", r"[\1]", str(path))
    relation = f"read_parquet({_literal(escaped)}, file_row_number=true, binary_as_string=true)"
    try:
        schema = pq.read_schema(path)
        names = schema.names
        described = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()[: len(names)]
    except (pa.ArrowException, duckdb.Error, OSError) as error:
        raise InputRefused(
            [f"{name}: is a damaged Parquet file ({error}); copy or export it again"]
        ) from error
    piece = Piece(
        relation=relation,
        cells=tuple(quoted(row[0]) for row in described),
        types=tuple(row[1] for row in described),
        line="file_row_number + 1",
    )
    return Sheet(
        name=name,
        columns=tuple(names),
        pieces=iter([piece]),
        sha256=sha256(path),
        index=_pandas_index(schema),
    )


def _pandas_index(schema: pa.Schema) -> tuple[str, ...]:
    """Columns in which pandas has kept the index of a frame."""
    try:
        listed = (schema.pandas_metadata or {})["index_columns"]
        return tuple(name for name in listed if isinstance(name, str))
    except (ValueError, LookupError, TypeError):  # whoever wrote it says nothing that we can use
        return ()


def open_query(url: str, query: str, root: Path) -> Sheet:
    """Run a query and hold its rows; nothing is written to the database.

    Raises
    ------
    InputRefused
        When the database cannot be reached or refuses the query.
    """
    try:
        name, parsed = masked(url), sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise InputRefused(
            ["data.orders is no SQLAlchemy URL: write dialect+driver://user:password@host/database"]
        ) from error
    parsed = _located(parsed, root)
    try:
        names, blocks, digest = _fetch(parsed, query)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        told = str(error).splitlines()[0]
        if parsed.password:
            told = told.replace(str(parsed.password), "***")
        remedy = _REMEDIES.get(_code(error), "check data.orders and orders_query")
        raise InputRefused([f"{name}: the orders cannot be read ({told}); {remedy}"]) from error
    return Sheet(name=name, columns=tuple(names), pieces=_row_pieces(blocks), sha256=digest)


def _located(url: sa.URL, root: Path) -> sa.URL:
    """A relative SQLite path starts at the workspace, and the file must be there already."""
    if url.drivername == "postgresql":
        return url.set(drivername="postgresql+psycopg")  # the driver that we install
    if url.get_backend_name() != "sqlite" or not url.database:
        return url
    path = root / url.database
    if not path.is_file():
        raise InputRefused([f"{path}: there is no such SQLite database; correct data.orders"])
    return url.set(database=str(path))


def _fetch(url: sa.URL, query: str) -> tuple[list[str], list[pa.Table], str]:
    try:
        return _rows(url, query)
    except sa.exc.DataError as error:
        if _code(error) or url.get_driver_name() != "psycopg":
            raise
        # A stamp that Python has no value for, such as 'infinity': as text it is one bad row.
        return _rows(url, query, stamps_as_text=True)


def _code(error: Exception) -> str:
    """The server's code of an error; empty for one of the driver's own."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def _rows(
    url: sa.URL, query: str, *, stamps_as_text: bool = False
) -> tuple[list[str], list[pa.Table], str]:
    engine = _engine(url)
    # A colon before a word would be a parameter; the query is meant as it stands.
    statement = sa.text(re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", query))
    digest = hashlib.sha256()
    blocks = []
    try:
        with engine.connect() as connection:
            if url.get_backend_name() == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True)
                _limit(connection)
            if stamps_as_text:
                _show_stamps(connection)
            result = connection.execute(statement, execution_options={"stream_results": True})
            names = list(result.keys())
            digest.update(repr(names).encode())
            for rows in result.partitions(CHUNK_ROWS):
                digest.update(repr([tuple(row) for row in rows]).encode())
                blocks.append(_block(rows, len(names)))
    finally:
        engine.dispose()
    return names, blocks, digest.hexdigest()


def _engine(url: sa.URL) -> sa.Engine:
    libpq = url.get_driver_name() in ("psycopg", "psycopg2")
    settings = {key: value for key, value in KEEPALIVE.items() if libpq and key not in url.query}
    return sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=settings)


def _limit(connection: sa.Connection) -> None:
    """Let no lock and no query hold us for ever; limits of the server, the role or the URL stay."""
    limit = sa.text(
        "SELECT set_config(:name, :limit, true) WHERE current_setting(:name, true) = '0'"
    )
    for name, value in LIMITS.items():
        connection.execute(limit, {"name": name, "limit": value})


def _show_stamps(connection: sa.Connection) -> None:
    """Have dates and times come as the server writes them."""
    from psycopg.types.string import TextLoader

    connection.execute(sa.text("SELECT set_config('DateStyle', 'ISO', true)"))
    adapters = connection.connection.driver_connection.adapters  # type: ignore[union-attr]
    for kind in ("date", "timestamp", "timestamptz"):
        adapters.register_loader(kind, TextLoader)


def _block(rows: Sequence[sa.Row[Any]], width: int) -> pa.Table:
    columns = [_array(values) for values in zip(*rows, strict=True)]
    return pa.table(columns, names=[f"c{position}" for position in range(width)])


def _array(values: tuple[object, ...]) -> pa.Array:
    """Arrow form of a column; values of mixed or unusual kinds become text, checked as such."""
    try:
        array = pa.array(values)
        if pa.types.is_nested(array.type) or _duckdb_type(array.type) != "OTHER":
            return array
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _row_pieces(blocks: list[pa.Table]) -> Iterator[Piece]:
    done = 0
    for block in blocks:
        cells = tuple(block.column_names)
        numbers = pa.array(np.arange(done + 1, done + block.num_rows + 1))
        yield Piece(
            relation=BLOCK_VIEW,
            cells=cells,
            types=tuple(_duckdb_type(column.type) for column in block.columns),
            line="line",
            block=block.append_column("line", numbers),
        )
        done += block.num_rows


def _duckdb_type(kind: pa.DataType) -> str:
    """DuckDB's name for the Arrow types that a database driver's values become."""
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz is None else "TIMESTAMP WITH TIME ZONE"
    if pa.types.is_integer(kind):
        return "BIGINT"
    if pa.types.is_floating(kind):
        return "DOUBLE"
    if pa.types.is_decimal128(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_date(kind):
        return "DATE"
    return (
        "BLOB" if pa.types.is_binary(kind) else "VARCHAR" if pa.types.is_string(kind) else "OTHER"
    )
