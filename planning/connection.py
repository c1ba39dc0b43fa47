"""The ledger's database: reached to write or to read, its tables made, their version checked."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from planning.records import about, metadata, runs
from planning.seal import log_of

NOWHERE = sa.make_url("sqlite://")  # a ledger in memory
TIMEOUT_SECONDS = 30  # no statement may hold up the nightly job for longer
SCHEMA = "1"  # version of the tables; a ledger that names none has it
DAMAGED = ("file is not a database", "malformed")  # SQLite's words
HELD = ("is locked", "statement timeout", "lock timeout")  # SQLite's and PostgreSQL's


class StoreUnavailable(RuntimeError):
    """The store can't be reached or refuses; the message says which and what to do."""


def file_of(url: sa.URL) -> Path | None:
    """The file that a ledger is; None: it is none."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def engine_of(url: sa.URL, *, write: bool) -> sa.Engine:
    """Reach the database; of SQLite, to read, an empty one where there is no file.

    Raises
    ------
    StoreUnavailable
        When it is neither SQLite nor PostgreSQL.
    """
    name = url.get_backend_name()
    if name == "sqlite":
        return _writing(url) if write else _reading(url)
    if name == "postgresql":
        limit = f"-c statement_timeout={TIMEOUT_SECONDS}s -c lock_timeout={TIMEOUT_SECONDS}s"
        own = url.query.get("options", "")  # such as the schema to use
        options = " ".join([*([own] if isinstance(own, str) else own), limit])
        return sa.create_engine(
            url, connect_args={"connect_timeout": 10, "options": options.strip()}
        )
    raise StoreUnavailable(f"[store] url names {name!r}; use sqlite:///… or postgresql+psycopg://…")


def _writing(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": TIMEOUT_SECONDS})
    sa.event.listen(engine, "connect", _sqlite_settings)
    return engine


def _sqlite_settings(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _reading(url: sa.URL) -> sa.Engine:
    if not url.database or not Path(url.database).exists():
        return sa.create_engine(NOWHERE)
    return sa.create_engine(url, creator=_reader(Path(url.database).absolute()))


def _reader(path: Path) -> Callable[[], sqlite3.Connection]:
    """What opens a file of SQLite to read only, on a medium that can't be written, too."""
    address = f"file:{quote(str(path))}?mode=rw"  # with ro, two helper files would stay behind

    def opened(address: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, uri=True, timeout=TIMEOUT_SECONDS, check_same_thread=False
        )
        connection.execute("PRAGMA query_only=ON")
        return connection

    def reader() -> sqlite3.Connection:
        connection = opened(address)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError as error:
            connection.close()
            if not error.sqlite_errorname.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
                raise
            if log_of(path):  # what it holds would not be seen
                raise
            connection = opened(f"{address}&immutable=1")
        return connection

    return reader


def with_tables(engine: sa.Engine, *, write: bool) -> sa.Engine:
    """The engine, to `write` its tables made where some are missing; to read none: an empty one.

    Raises
    ------
    StoreUnavailable
        When the tables are of another version, or to read some of them are missing.
    """
    here = set(sa.inspect(engine).get_table_names())
    if about.name in here:
        _check_schema(engine)
    missing = metadata.tables.keys() - here
    if write:
        metadata.create_all(engine)
        return engine
    if runs.name in missing:
        engine.dispose()
        engine = sa.create_engine(NOWHERE)
        metadata.create_all(engine)
    elif missing - {about.name}:
        listed = ", ".join(sorted(missing))
        raise StoreUnavailable(f"the ledger lacks tables ({listed}): `peakahead run` makes them")
    return engine


def _check_schema(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        asked = sa.select(about.c.value).where(about.c.key == "schema")
        found = connection.execute(asked).scalar()
    if found not in (None, SCHEMA):
        raise StoreUnavailable(
            f"the ledger's tables are of version {found}, and this peakahead knows version "
            f"{SCHEMA} only: use the peakahead that wrote them, or a newer one"
        )


def told(url: sa.URL, shown: str, error: sa.exc.DBAPIError) -> str:
    """What the database has against us, and what to do about it."""
    words = str(error.orig).strip()
    if url.get_backend_name() == "sqlite" and any(sign in words for sign in DAMAGED):
        return (
            f"the store {shown} is damaged or no database: {words}; restore a backup of it, or "
            "move it away: the folders in runs/ are whole without it, and the next `peakahead "
            "run` enters them anew (take suppliers' answers in again then: `peakahead ack`)"
        )
    if any(sign in words for sign in HELD):
        return (
            f"the store {shown} can't be used: {words}; another program has held it for "
            f"{TIMEOUT_SECONDS} seconds: close what has it open, or try again later"
        )
    if url.get_backend_name() == "sqlite":
        return (
            f"the store {shown} can't be used: {words}; see that its folder can be written to and "
            "that the disk has room, then try again"
        )
    return (
        f"the store {shown} can't be used: {words}; "
        "check that it runs and that [store] url in peakahead.toml is right"
    )
