"""A supplier's answer, held against what was asked, and entered in the ledger as a whole or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from planning import entries, ledger, store
from planning.committed import other_hour
from planning.exports import NAMES
from planning.ownership import open_book
from planning.schema import SENT_ALONG
from planning.tables import Answer, InputRefused, read_answer
from planning.workspace import ConfigError, Workspace

ACCEPTED, ALREADY = "accepted", "already_done"
KINDS = ("confirmed", "short", "late", "early", "rejected", "open")
MOST_TOLD = 20  # problems of a kind
YEAR_FIRST = re.compile(r"\d{4}[-/]")
SHOWN = 5  # lines that a note names
SENT = "sent_"  # before the columns that came back as they were sent, or not
LEFT_ALONE = {  # column that nobody fills in -> what to do instead
    "order_by": "only confirmed_units and confirmed_from can be answered",
    "available_from": "say in confirmed_from from when the units come",
    "available_to": "only confirmed_units and confirmed_from can be answered",
    "unit_cost": "a price can't be answered: confirm 0, enter the new one in offers and ask again",
    "amount": "a price can't be answered: confirm 0, enter the new one in offers and ask again",
}

Row = dict[Hashable, Any]
Problem = tuple[int, str, object, str]  # line of the file, column, value, what is wrong


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of an answer."""

    status: str  # ACCEPTED, or ALREADY where the file came before
    run_id: str  # of the run that asked
    supplier_id: str
    request: str
    known_at: str  # runs as of this instant and later plan around it
    lines: dict[str, int]  # how many of each of KINDS
    asked_units: int
    confirmed_units: int
    confirmed_money: float
    replaced_lines: int  # of the file that came before: its lines that later answers have replaced
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def words(self) -> str:
        """For people."""
        if self.status == ALREADY:
            told, gone = "Already done: this very file was taken in before", self.replaced_lines
            return told + (f"; later answers have replaced {gone:,} of its lines." if gone else ".")
        counts = ", ".join(f"{count:,} {kind}" for kind, count in self.lines.items() if count)
        return (
            f"{self.supplier_id} confirms {self.confirmed_units:,} of "
            f"{self.asked_units:,} units ({self.confirmed_money:,.2f}); lines: {counts}.\n"
            f"Runs as of {self.known_at} and later plan around them: peakahead run"
        )


def acknowledge(
    workspace: Workspace,
    path: Path,
    *,
    known_at: pd.Timestamp | None,
    now: Callable[[], pd.Timestamp],
) -> Receipt:
    """Read a supplier's answer and enter it in the ledger.

    Without `known_at`, runs know of it from the as-of of the run that asked.

    Raises
    ------
    planning.tables.InputRefused
        With everything that speaks against it; nothing of it is entered then.
    planning.workspace.ConfigError
        When it is said to have been known before it was asked for.
    planning.ledger.StoreUnavailable
        When the ledger can't be reached.
    """
    answer = read_answer(path, workspace, NAMES)
    with open_book(workspace, write=True) as book:
        asked, entered = _request(answer, book, workspace, now)
        if known_at is not None and known_at < pd.Timestamp(asked.first_as_of):
            raise ConfigError(
                f"--as-of {known_at.isoformat()} lies before {asked.first_as_of}, when a run asked "
                "for what this answers: name that instant or a later one"
            )
        held = _held(answer, asked)
        found = [*_problems(held, asked, answer.notes), *_changed(held, workspace.timezone)]
        problems = [_worded(answer.name, each) for each in found]
        if problems:
            raise InputRefused(problems)
        rows = _rows(held)
        at = asked.as_of if known_at is None else known_at.isoformat()
        ack = ledger.Ack(
            sha256=answer.sha256,
            request=asked.request,
            supplier_id=asked.supplier_id,
            known_at=at,
            recorded_at=now().isoformat(),
        )
        before = None if book.acknowledge(ack, rows) else book.taken(ack.sha256)
        replaced, later = book.replaced(ack.sha256)
    end = pd.Timestamp(asked.as_of) + workspace.horizon
    notes = [*answer.notes, *entered, *_moved(rows, workspace.timezone), *_far(rows, end)]
    if before is None:
        return _receipt(ACCEPTED, rows, asked, ack, notes)
    notes += _before(before, known_at, replaced, later)
    return replace(_receipt(ALREADY, rows, asked, before, notes), replaced_lines=replaced)


def _request(
    answer: Answer, book: ledger.Ledger, workspace: Workspace, now: Callable[[], pd.Timestamp]
) -> tuple[ledger.Request, list[str]]:
    """What the answer is an answer to; and what to tell where the ledger had to learn of it."""
    named = answer.rows.drop_duplicates("request")
    if len(named) > 1:
        line, request = named.iloc[1][["line", "request"]]
        told = "another request than in the rows before; answer each in a file of its own"
        raise InputRefused([_worded(answer.name, (line, "request", request, told))])
    line, request = named.iloc[0][["line", "request"]]
    asked, entered = book.request(request), []
    if asked is None:
        with store.lock(workspace.root):
            entered = entries.enter_unknown(book, workspace.root / "runs", now())
        asked = book.request(request)
    if asked is None:
        told = (
            "no run of this workspace has asked for that; send back the file that was sent out, "
            "its request column unchanged, and see that -w names the workspace it came from"
        )
        problem = _worded(answer.name, (line, "request", request, told))
        raise InputRefused([problem, *entered])
    return asked, entered


def _held(answer: Answer, asked: ledger.Request) -> pd.DataFrame:
    """The answer's rows beside what was asked under the same line_id, NA where nothing was."""
    wanted = asked.lines.rename(columns={"units": "asked_units", "available_from": "asked_from"})
    wanted = wanted.rename(columns={"product_id": "asked_product"}).drop(columns=["supplier_id"])
    told = answer.rows.rename(columns={name: SENT + name for name in SENT_ALONG})
    held = told.merge(wanted, on="line_id", how="left", validate="one_to_one")
    late = held["confirmed_from"].notna()
    text = held["confirmed_from"].map(lambda at: at.isoformat(), na_action="ignore")
    return held.assign(available_from=text.astype(object).where(late, held["asked_from"]))


def _problems(held: pd.DataFrame, asked: ledger.Request, notes: list[str]) -> Iterator[Problem]:
    known = held["asked_product"].notna()
    few = held["confirmed_units"]
    start = pd.Timestamp(asked.as_of)
    rules: tuple[tuple[pd.Series, str, Callable[[Row], str]], ...] = (
        (~known, "line_id", lambda _: "the request has no such line; leave line_id as it was"),
        (
            known & (held["product_id"] != held["asked_product"]),
            "product_id",
            lambda row: f"{row['asked_product']!r} was asked for; leave product_id as it was",
        ),
        (
            known & (held["units"] != held["asked_units"]),
            "units",
            lambda row: f"{row['asked_units']:.0f} were asked for; answer in confirmed_units",
        ),
        (
            known & (few > held["asked_units"]).fillna(False),
            "confirmed_units",
            lambda row: (
                f"more than the {row['asked_units']:.0f} that were asked for; confirm no more"
            ),
        ),
        (
            few.isna() & held["confirmed_from"].notna(),
            "confirmed_from",
            lambda _: "says when, but confirmed_units doesn't say how many; fill both",
        ),
        (
            known & (held["confirmed_from"] < start).fillna(False),
            "confirmed_from",
            lambda _: f"lies before {asked.as_of}, when it was asked for; correct it",
        ),
    )
    for broken, column, words in rules:
        rows = held[broken.to_numpy(dtype=bool)]
        yield from _few(
            [(int(row["line"]), column, row[column], words(row)) for row in rows.to_dict("records")]
        )
    missing = sorted(set(asked.lines["line_id"]) - set(held["line_id"]))
    if missing:
        listed = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        told = (
            f"{len(missing)} of the request's {len(asked.lines)} lines are missing ({listed}); "
            "copy the file again, whole, or leave the answer of a line empty, not its row out"
        )
        yield 0, "line_id", "", told
    if not few.notna().any():
        none = "no line is answered; 0 says that there is none to be had"
        yield 0, "confirmed_units", "", "; ".join([none, *notes])  # a column may not be read


def _few(problems: list[Problem]) -> Iterator[Problem]:
    yield from problems[:MOST_TOLD]
    if len(problems) > MOST_TOLD:
        yield 0, problems[-1][1], "", f"and {len(problems) - MOST_TOLD:,} more like the last"


def _changed(held: pd.DataFrame, tz: str) -> Iterator[Problem]:
    """What a supplier wrote over a column that was only sent along."""
    known = held[held["asked_product"].notna()].to_dict("records")
    for column, instead in LEFT_ALONE.items():
        rows = [row for row in known if isinstance(row[SENT + column], str)]
        yield from _few(
            [
                (
                    int(row["line"]),
                    column,
                    row[SENT + column],
                    f"{_asked(row, column)} was asked for; put that back; {instead}",
                )
                for row in rows
                if not _as_sent(row, column, tz)
            ]
        )


def _asked(row: Row, column: str) -> str:
    if column == "amount":
        return f"{round(row['asked_units'] * row['unit_cost'], 6):.15g}"
    if column == "unit_cost":
        return f"{row['unit_cost']:.15g}"
    return str(row["asked_from" if column == "available_from" else column])


def _as_sent(row: Row, column: str, tz: str) -> bool:
    """Whether a cell says what was sent, however it is written."""
    text = str(row[SENT + column]).strip()
    if column == "unit_cost":
        return _same_figure(text, row["unit_cost"])
    if column == "amount":  # a sheet may count it anew for what is confirmed
        few: int = 0 if pd.isna(row["confirmed_units"]) else int(row["confirmed_units"])
        return any(_same_figure(text, n * row["unit_cost"]) for n in (row["asked_units"], few))
    return _same_instant(text, pd.Timestamp(_asked(row, column)), tz)


def _same_figure(text: str, asked: float) -> bool:
    """Whether a text shows `asked`, rounded to the decimals that it has, two at least.

    Commas part thousands, or the one before the last digits the decimals.
    """
    plain = text.strip("¥￥$€ ")
    whole, _, rest = plain.rpartition(",")
    return any(
        _shows(digits, asked)
        for digits in (plain.replace(",", ""), f"{whole.replace('.', '')}.{rest}")
    )


def _shows(digits: str, asked: float) -> bool:
    try:
        told = float(digits)
    except ValueError:
        return False
    half = 0.5 * 10.0 ** -max(len(digits.partition(".")[2]), 2)
    return abs(told - asked) <= half + 1e-9 * max(abs(asked), 1)


def _same_instant(text: str, asked: pd.Timestamp, tz: str) -> bool:
    """Whether a text shows `asked` to the minute; without offset it is local, a day the whole."""
    if YEAR_FIRST.match(text) is None:
        return False
    try:
        told = pd.Timestamp(text)
    except ValueError:
        return False
    if told.tzinfo is None:
        asked = asked.tz_convert(tz).tz_localize(None)
    if ":" not in text:
        return bool(told.date() == asked.date())
    return bool(abs(told - asked) < pd.Timedelta("1min"))


def _worded(name: str, problem: Problem) -> str:
    line, column, value, told = problem
    where = f"{name} line {line}" if line else name
    shown = value.isoformat() if isinstance(value, pd.Timestamp) else str(value)
    return f"{where}: {column} = {shown[:200]!r}: {told}" if line else f"{where}: {column}: {told}"


def _rows(held: pd.DataFrame) -> pd.DataFrame:
    """Answered lines as the ledger keeps them."""
    done = held[held["confirmed_units"].notna()]
    return pd.DataFrame(
        {
            "line_id": done["line_id"],
            "product_id": done["product_id"],
            "asked_units": done["asked_units"].astype("int64"),
            "units": done["confirmed_units"].astype("int64"),
            "unit_cost": done["unit_cost"].astype(float),
            "order_by": done["order_by"],
            "asked_from": done["asked_from"],
            "available_from": done["available_from"],
            "available_to": done["available_to"],
        }
    )


def _moved(rows: pd.DataFrame, tz: str) -> list[str]:
    """What to know of slots that come in another hour than the one asked for."""
    moved = rows[other_hour(rows, tz) & (rows["units"] > 0).to_numpy()]
    if moved.empty:
        return []
    shown = [
        f"{row['line_id']} from {row['available_from']} instead of {row['asked_from']}"
        for row in moved.head(SHOWN).to_dict("records")
    ]
    more = f"; and {len(moved) - SHOWN:,} more" if len(moved) > SHOWN else ""
    lines = "1 line brings" if len(moved) == 1 else f"{len(moved):,} lines bring"
    return [
        f"{lines} {int(moved['units'].sum()):,} units in another clock hour than "
        f"the one asked for ({'; '.join(shown)}{more}): they are gone when it ends, and the "
        "next plan counts on them then; where that is of no use, take in an answer of 0 for them"
    ]


def _far(rows: pd.DataFrame, end: pd.Timestamp) -> list[str]:
    """What to know of lines that come after the horizon of the run that asked."""
    ready = pd.to_datetime(rows["available_from"], utc=True, format="ISO8601")
    far = rows[(ready >= end) & (rows["units"] > 0)]
    if far.empty:
        return []
    shown = [f"{row['line_id']} from {row['available_from']}" for row in far.to_dict("records")]
    more = f"; and {len(far) - SHOWN:,} more" if len(far) > SHOWN else ""
    lines = "1 line is" if len(far) == 1 else f"{len(far):,} lines are"
    return [
        f"{lines} confirmed for {end.isoformat()} or later, after the horizon of the run that "
        f"asked ({'; '.join(shown[:SHOWN])}{more}): until then the money is committed, and no plan "
        "counts on the units; where a time is a slip, take in a corrected answer"
    ]


def _before(
    ack: ledger.Ack, known_at: pd.Timestamp | None, replaced: int, later: str | None
) -> list[str]:
    """What to know of a file that was taken in before."""
    told = []
    if known_at is not None and known_at != pd.Timestamp(ack.known_at):
        told = [f"it stays known from {ack.known_at}, as when it was taken in; --as-of is not used"]
    if replaced:
        lines = "1 of its lines does" if replaced == 1 else f"{replaced:,} of its lines do"
        told.append(
            f"{lines} not count any more: a later answer, taken in {later}, has replaced them; to "
            "have this file count again, make it another one, by a remark below its lines for one, "
            "and take that in"
        )
    return told


def _receipt(
    status: str, rows: pd.DataFrame, asked: ledger.Request, ack: ledger.Ack, notes: list[str]
) -> Receipt:
    moved, due = (
        pd.to_datetime(rows[at], utc=True, format="ISO8601")
        for at in ("available_from", "asked_from")
    )
    rejected, short = rows["units"] == 0, rows["units"] < rows["asked_units"]
    kind = pd.Series("confirmed", index=rows.index)
    kind = kind.mask(moved > due, "late").mask(moved < due, "early")
    kind = kind.mask(short, "short").mask(rejected, "rejected")
    count = kind.value_counts()
    lines = {name: int(count.get(name, 0)) for name in KINDS}
    return Receipt(
        status=status,
        run_id=asked.run_id,
        supplier_id=asked.supplier_id,
        request=asked.request,
        known_at=ack.known_at,
        lines=lines | {"open": len(asked.lines) - len(rows)},
        asked_units=int(asked.lines["units"].sum()),
        confirmed_units=int(rows["units"].sum()),
        confirmed_money=float((rows["units"] * rows["unit_cost"]).sum()),
        replaced_lines=0,
        notes=notes,
    )
