"""The ledger of runs and their plan lines, in SQLite or PostgreSQL through SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from planning import chain, connection, seal
from planning.records import about, acks, answers, plan_lines, requests, runs
from planning.requests import ANSWERED, request_id
from planning.workspace import masked

StoreUnavailable = connection.StoreUnavailable
DONE, FAILED = "done", "failed"


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


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a supplier was asked for by the latest run that asked for just that."""

    run_id: str
    as_of: str  # of that run, ISO 8601 with offset
    first_as_of: str  # the earliest of all runs that asked for just that
    request: str  # its hash
    supplier_id: str
    lines: pd.DataFrame  # the rows of plan.csv, stamps as text


@dataclass(frozen=True, kw_only=True)
class Ack:
    """A supplier's answer to a request, as the ledger knows it."""

    sha256: str  # of the file that it came in
    request: str
    supplier_id: str
    known_at: str  # instant from which runs know of it, ISO 8601 with offset
    recorded_at: str  # ISO 8601 with offset


@contextmanager
def open_ledger(url: str | sa.URL, *, write: bool = False) -> Iterator[Ledger]:
    """The ledger at a SQLAlchemy URL; one that is not there yet is empty, or made to `write`.

    Raises
    ------
    StoreUnavailable
        When the server can't be reached, refuses, takes too long or lacks its driver; when the
        file is damaged, or the tables are of another version.
    """
    url, shown = sa.make_url(url), masked(url)
    try:
        engine = connection.engine_of(url, write=write)
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            f"{shown} needs the driver {error.name!r}: pip install 'peakahead[postgres]'"
        ) from error
    file, head = connection.file_of(url), None
    try:
        sealed = seal.read(file)
        if write:
            seal.lift(file)
        book = Ledger(connection.with_tables(engine, write=write), file, sealed)
        yield book
        head = book.head() if write else None
    except sa.exc.DBAPIError as error:
        raise StoreUnavailable(connection.told(url, shown, error)) from error
    finally:
        engine.dispose()
    if head is not None:
        seal.put(file, head)


class Ledger:
    """What ran, and what it planned; every write is one transaction."""

    def __init__(
        self, engine: sa.Engine, file: Path | None = None, sealed: seal.Seal | None = None
    ) -> None:
        self._engine, self._file, self._sealed = engine, file, sealed

    def find(self, run_id: str) -> Run | None:
        """The run of that id, if it is recorded."""
        with self._engine.connect() as opened:
            row = opened.execute(sa.select(runs).where(runs.c.run_id == run_id)).first()
        return Run(**row._mapping) if row else None

    def owner(self) -> str | None:
        """Id of the workspace that the ledger belongs to; None where it belongs to none yet."""
        with self._engine.connect() as opened:
            if not sa.inspect(opened).has_table(about.name):
                return None
            asked = sa.select(about.c.value).where(about.c.key == "workspace")
            return opened.execute(asked).scalar()

    def bind(self, owner: str) -> bool:
        """Give the ledger to a workspace; False where another one was faster."""
        told = {"schema": connection.SCHEMA, "workspace": owner}
        try:
            with self._engine.begin() as opened:
                opened.execute(sa.insert(about), [{"key": key, "value": told[key]} for key in told])
        except sa.exc.IntegrityError:
            return self.owner() == owner
        return True

    def all(self) -> list[Run]:
        """Every run, the one finished last first."""
        latest = sa.select(runs).order_by(runs.c.finished_at.desc(), runs.c.run_id)
        with self._engine.connect() as opened:
            return [Run(**row._mapping) for row in opened.execute(latest)]

    def last_done(self) -> Run | None:
        """The run that succeeded last."""
        return next((run for run in self.all() if run.state == DONE), None)

    def record(self, run: Run, lines: pd.DataFrame) -> None:
        """Write a run and its lines (stamps as text), replacing an earlier record of the run."""
        rows: Any = lines.assign(run_id=run.run_id).to_dict("records")
        with self._engine.begin() as opened:
            for table in (plan_lines, requests, runs):
                opened.execute(sa.delete(table).where(table.c.run_id == run.run_id))
            opened.execute(sa.insert(runs), [vars(run)])
            if rows:
                opened.execute(sa.insert(plan_lines), rows)
                asked = [
                    {
                        "run_id": run.run_id,
                        "supplier_id": str(supplier),
                        "request": request_id(str(supplier), own),
                    }
                    for supplier, own in lines.groupby("supplier_id", sort=True)
                ]
                opened.execute(sa.insert(requests), asked)
            chain.append(opened, chain.RUN, run.run_id)

    def fail(self, run: Run) -> None:
        """Write that a run failed; what an earlier success of it has asked for stays known."""
        with self._engine.begin() as opened:
            of_it = sa.update(runs).where(runs.c.run_id == run.run_id)
            if not opened.execute(of_it.values(vars(run))).rowcount:
                opened.execute(sa.insert(runs), [vars(run)])
            chain.append(opened, chain.RUN, run.run_id)

    def request(self, request: str) -> Request | None:
        """What was asked for under that hash, by the run that finished last; None = nobody did."""
        asked = (
            sa.select(requests.c.run_id, requests.c.supplier_id, runs.c.as_of)
            .join(runs, runs.c.run_id == requests.c.run_id)
            .where(requests.c.request == request)
            .order_by(runs.c.finished_at.desc(), runs.c.run_id)
        )
        with self._engine.connect() as opened:
            every = opened.execute(asked).all()
            if not every:
                return None
            found = every[0]
            of_it = sa.and_(
                plan_lines.c.run_id == found.run_id, plan_lines.c.supplier_id == found.supplier_id
            )
            rows = opened.execute(
                sa.select(plan_lines).where(of_it).order_by(plan_lines.c.line_id)
            ).mappings()
            lines = pd.DataFrame([dict(row) for row in rows]).drop(columns="run_id")
        return Request(
            run_id=found.run_id,
            as_of=found.as_of,
            first_as_of=min((run.as_of for run in every), key=pd.Timestamp),
            request=request,
            supplier_id=found.supplier_id,
            lines=lines,
        )

    def acknowledge(self, ack: Ack, rows: pd.DataFrame) -> bool:
        """Write an answer and its lines (stamps as text); False where the file came before.

        A later answer to a line takes the place of an earlier one; nothing is overwritten.
        """
        try:
            with self._engine.begin() as opened:
                opened.execute(sa.insert(acks), [vars(ack)])
                told: Any = rows.assign(sha256=ack.sha256).to_dict("records")
                opened.execute(sa.insert(answers), told)
                chain.append(opened, chain.ACK, ack.sha256)
        except sa.exc.IntegrityError:
            if self.taken(ack.sha256):
                return False
            raise
        return True

    def taken(self, sha256: str) -> Ack | None:
        """The answer that came in a file of that hash, if one did."""
        columns = [acks.c[each.name] for each in fields(Ack)]
        with self._engine.connect() as opened:
            row = opened.execute(sa.select(*columns).where(acks.c.sha256 == sha256)).first()
        return Ack(**row._mapping) if row else None

    def replaced(self, sha256: str) -> tuple[int, str | None]:
        """How many lines of an answer later ones answer anew, and when the last of these came."""
        own, later, line, anew = acks.alias(), acks.alias(), answers.alias(), answers.alias()
        asked = (
            sa.select(sa.func.count(line.c.line_id.distinct()), sa.func.max(later.c.recorded_at))
            .join(line, line.c.sha256 == own.c.sha256)
            .join(later, (later.c.request == own.c.request) & (later.c.number > own.c.number))
            .join(anew, (anew.c.sha256 == later.c.sha256) & (anew.c.line_id == line.c.line_id))
            .where(own.c.sha256 == sha256)
        )
        with self._engine.connect() as opened:
            lines, at = opened.execute(asked.select_from(own)).one()
        return lines, at

    def unanswered(self, run_id: str) -> list[str]:
        """Suppliers that haven't answered what a run asked of them."""
        answered = sa.select(acks.c.request)
        waiting = (
            sa.select(requests.c.supplier_id)
            .where(requests.c.run_id == run_id, requests.c.request.not_in(answered))
            .order_by(requests.c.supplier_id)
        )
        with self._engine.connect() as opened:
            return list(opened.execute(waiting).scalars())

    def head(self) -> seal.Head:
        """Where the chain of what was written ends."""
        with self._engine.connect() as opened:
            return chain.head(opened)

    def lost(self) -> str | None:
        """What to know where entries are missing that the ledger had when it was last written."""
        return seal.lost(self._sealed, self.head())

    def broken(self) -> list[str]:
        """What was changed since it was written, in words; nothing = all is as it was."""
        with self._engine.connect() as opened:
            told, head = chain.broken(opened), chain.head(opened)
        return told or seal.broken(self._file, head)

    def answered(self, as_of: pd.Timestamp) -> pd.DataFrame:
        """Lines that suppliers have answered by `as_of`, each by its latest answer; stamps as text.

        `units` may be 0: the supplier has none.
        """
        columns = [(answers if name in answers.c else acks).c[name] for name in ANSWERED]
        every = (
            sa.select(acks.c.known_at, *columns)
            .join(answers, acks.c.sha256 == answers.c.sha256)
            .order_by(acks.c.number, answers.c.line_id)
        )
        with self._engine.connect() as opened:
            rows = [dict(row) for row in opened.execute(every).mappings()]
        found = pd.DataFrame(rows, columns=["known_at", *ANSWERED])
        known = [pd.Timestamp(at) <= as_of for at in found["known_at"]]
        found = found[pd.Series(known, index=found.index, dtype=bool)]
        latest = found.drop_duplicates(["request", "line_id"], keep="last")
        return latest[list(ANSWERED)].sort_values(["request", "line_id"], ignore_index=True)
