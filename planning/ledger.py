"""The ledger of runs and their plan lines, in SQLite or PostgreSQL through SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa

from planning.workspace import masked

TIMEOUT_SECONDS = 30  # no statement may hold up the nightly job for longer

DONE, FAILED = "done", "failed"

metadata = sa.MetaData()
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("as_of", sa.Text, nullable=False),
    sa.Column("finished_at", sa.Text, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("manifest_sha256", sa.Text),
    sa.Column("mean_minutes", sa.Float),
    sa.Column("on_time_share", sa.Float),
    sa.Column("prealloc_value", sa.Float),
)
plan_lines = sa.Table(
    "plan_lines",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("line_id", sa.Text, primary_key=True),
    sa.Column("supplier_id", sa.Text, nullable=False),
    sa.Column("product_id", sa.Text, nullable=False),
    sa.Column("order_by", sa.Text, nullable=False),
    sa.Column("available_from", sa.Text, nullable=False),
    sa.Column("available_to", sa.Text, nullable=False),
    sa.Column("units", sa.BigInteger, nullable=False),
    sa.Column("unit_cost", sa.Float, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)


class StoreUnavailable(RuntimeError):
    """The store can't be reached or refuses; the message says which and what to do."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run that came to an end, as the ledger knows it."""

    run_id: str
    as_of: str  # ISO 8601 with offset
    finished_at: str  # ISO 8601 with offset
    seed: int
    state: str  # DONE or FAILED
    error: str | None = None  # why it failed
    manifest_sha256: str | None = None
    mean_minutes: float | None = None
    on_time_share: float | None = None
    prealloc_value: float | None = None


def _sqlite_settings(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _engine(url: str) -> sa.Engine:
    name = sa.make_url(url).get_backend_name()
    if name == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": TIMEOUT_SECONDS})
        sa.event.listen(engine, "connect", _sqlite_settings)
        return engine
    if name == "postgresql":
        limit = f"-c statement_timeout={TIMEOUT_SECONDS}s -c lock_timeout={TIMEOUT_SECONDS}s"
        return sa.create_engine(
            url,
            connect_args={"connect_timeout": 10, "options": limit},
            pool_pre_ping=True,  # a run computes for minutes between two statements
        )
    raise StoreUnavailable(f"[store] url names {name!r}; use sqlite:///… or postgresql+psycopg://…")


@contextmanager
def open_ledger(url: str) -> Iterator[Ledger]:
    """The ledger at a SQLAlchemy URL, its tables made when missing.

    Raises
    ------
    StoreUnavailable
        When the server can't be reached, refuses, takes too long or lacks its driver.
    """
    shown = masked(url)
    try:
        engine = _engine(url)
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            f"{shown} needs the driver {error.name!r}: pip install 'peakahead[postgres]'"
        ) from error
    try:
        metadata.create_all(engine)
        yield Ledger(engine)
    except sa.exc.DBAPIError as error:
        raise StoreUnavailable(
            f"the store {shown} can't be used: {str(error.orig).strip()}; "
            "check that it runs and that [store] url in peakahead.toml is right"
        ) from error
    finally:
        engine.dispose()


class Ledger:
    """What ran, and what it planned; every write is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def find(self, run_id: str) -> Run | None:
        """The run of that id, if it is recorded."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(runs).where(runs.c.run_id == run_id)).first()
        return Run(**row._mapping) if row else None

    def all(self) -> list[Run]:
        """Every run, the one finished last first."""
        latest = sa.select(runs).order_by(runs.c.finished_at.desc(), runs.c.run_id)
        with self._engine.connect() as connection:
            return [Run(**row._mapping) for row in connection.execute(latest)]

    def last_done(self) -> Run | None:
        """The run that succeeded last."""
        return next((run for run in self.all() if run.state == DONE), None)

    def record(self, run: Run, lines: pd.DataFrame) -> None:
        """Write a run and its lines (stamps as text), replacing an earlier record of the run."""
        rows: Any = lines.assign(run_id=run.run_id).to_dict("records")
        with self._engine.begin() as connection:
            connection.execute(sa.delete(plan_lines).where(plan_lines.c.run_id == run.run_id))
            connection.execute(sa.delete(runs).where(runs.c.run_id == run.run_id))
            connection.execute(sa.insert(runs), [vars(run)])
            if rows:
                connection.execute(sa.insert(plan_lines), rows)
