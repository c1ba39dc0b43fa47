"""Policies rolled over past days: decide at midnight, serve the day's real orders, carry the stock.

Each day every policy sees what was known at its local midnight and plans over the whole
horizon. Lines that must be ordered before the next midnight are ordered; the others are superseded
by the next plan. In the end all days' orders are served in one pass, so that queues live on over
midnight; every policy meets the same service times and the same arrivals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa

from planning.decide import (
    Progress,
    aims_of,
    limits_of,
    order_rows,
    past_demand,
    require_sellers,
    sampled_futures,
)
from planning.limits import Limits
from planning.policies import POLICIES, Situation
from planning.problem import (
    LINE_COLUMNS,
    SEGMENTS,
    Array,
    Market,
    Orders,
    Plan,
    clock_hours,
    instant,
    lines,
    market,
    orders,
    stream,
)
from planning.replay import Chances, Served, arriving, fill_share, serve
from planning.rules import check
from planning.spot import service_noise
from planning.tables import Inputs
from planning.workspace import ConfigError, Workspace

LEAST_HISTORY = 7  # days before the first one evaluated: last week must exist
SERVICE, SHARES, UNITS = 5, 6, 7  # numbers of these purposes among the seed's
LEAST_REACHABLE = 0.05  # of the minutes on demand, below which a share of it says nothing
FORECAST_SHARE = 0.7  # of a day's work, for its progress
REACTIVE, FORESIGHT = "reactive", "foresight"

Known = Callable[[pd.Timestamp], Inputs]  # the workspace as it was known at an instant


@dataclass(frozen=True, kw_only=True)
class Book:
    """What one policy has ordered so far: lines [L]."""

    plan: Plan
    arrived: Array  # [L] units that come, or came
    day: Array  # [L] on which it was decided, 0 = the first


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What became of the days' orders under each policy."""

    market: Market
    midnights: pd.DatetimeIndex  # [N + 1] local starts of the days, and the end of the last
    books: Mapping[str, Book]  # by policy, as everything below
    served: Mapping[str, Served]
    inputs: Inputs  # as known at the end

    @property
    def notes(self) -> list[str]:
        """What people should know of the tables, and what is assumed of the past."""
        stock = len(self.inputs.tables["stock"])
        return [
            *self.inputs.notes,
            "suppliers and offers are taken as they are now: what they were on past days isn't "
            "known",
            *[f"the {stock} rows of stock are taken to be the first day's"] * bool(stock),
        ]

    def policies(self) -> pd.DataFrame:
        """One row a policy: the figures of replay, and the share of the reachable won.

        That share is (reactive - policy) / (reactive - foresight) in mean minutes; NaN where
        foresight gains less than `LEAST_REACHABLE` of reactive's: chance would be most of it.
        """
        table = pd.DataFrame({name: one.kpis() for name, one in self.served.items()}, dtype=float).T
        minutes = table["mean_minutes"]
        reachable = minutes[REACTIVE] - minutes[FORESIGHT]
        least = LEAST_REACHABLE * minutes[REACTIVE]
        won = (minutes[REACTIVE] - minutes) / (reachable if reachable > least else np.nan)
        table.insert(0, "share_of_reachable", won)
        table["lines"] = [len(self.books[name].plan) for name in table.index]
        return table.rename_axis("policy").reset_index()

    def by_day(self) -> pd.DataFrame:
        """One row a policy and day of order."""
        starts = self.midnights.as_unit("us").asi8 / 1e6
        days = [f"{day:%Y-%m-%d}" for day in self.midnights[:-1]]
        return self._by(
            lambda one: np.searchsorted(starts, one.orders.at, "right") - 1, days, "day"
        )

    def by_segment(self) -> pd.DataFrame:
        """One row a policy and segment."""
        return self._by(lambda one: one.orders.segment, SEGMENTS, "segment")

    def by_product(self) -> pd.DataFrame:
        """One row a policy and product."""
        return self._by(lambda one: one.orders.product, self.market.product_ids, "product_id")

    def _by(
        self, group: Callable[[Served], Array], names: Sequence[object] | Array, what: str
    ) -> pd.DataFrame:
        frames = {name: one.by(group(one), names) for name, one in self.served.items()}
        return pd.concat(frames, names=["policy", what]).reset_index()

    def lines(self) -> pd.DataFrame:
        """Every line that a policy ordered: when it was decided, what arrived, what was left."""
        kept = [name for name in LINE_COLUMNS if name not in ("line_id", "reason")]
        frames = {
            name: lines(book.plan, self.market, [""] * len(book.plan))[kept].assign(
                decided_at=self.midnights[book.day],
                arrived=book.arrived,
                unused=self.served[name].unused,
            )
            for name, book in self.books.items()
            if len(book.plan)
        }
        if not frames:
            return pd.DataFrame(columns=["policy", *kept, "decided_at", "arrived", "unused"])
        return pd.concat(frames, names=["policy", None]).reset_index(level=0)


def midnights_before(as_of: pd.Timestamp, days: int, tz: str) -> pd.DatetimeIndex:
    """[days + 1] local midnights, the last at or before as-of."""
    last = as_of.tz_convert(tz).tz_localize(None).normalize()
    naive = pd.date_range(end=last, periods=days + 1, freq="D")
    return naive.tz_localize(tz, ambiguous=True, nonexistent="shift_forward")


def _require_history(log: pa.Table, midnights: pd.DatetimeIndex) -> None:
    days = len(midnights) - 1
    began = pd.Timestamp(log["ordered_at"].to_numpy().min(), tz="UTC").tz_convert(midnights.tz)
    whole = (midnights[-1] - began) // pd.Timedelta(days=1)
    if whole < days + LEAST_HISTORY:
        most = max(whole - LEAST_HISTORY, 0)
        raise ConfigError(
            f"--days {days}: the orders begin at {began.isoformat()}, {whole} whole days before "
            f"{midnights[-1].isoformat()}; {LEAST_HISTORY} must come before the first day, so "
            + (f"ask for {most} or fewer" if most else "there is none to evaluate yet")
        )


def _require_orders(log: Orders, came: Orders, midnights: pd.DatetimeIndex) -> None:
    if not len(came):
        last = instant(log.at[-1], str(midnights.tz)) if len(log) else None
        raise ConfigError(
            f"no order was placed from {midnights[0].isoformat()} to {midnights[-1].isoformat()}"
            + (
                f"; the last one is of {last.isoformat()}: name its days with --as-of"
                if last
                else ""
            )
        )


def followed(first: Orders, then: Orders) -> Orders:
    """The orders of both, the second's after the first's."""
    names = [field.name for field in fields(Orders)]
    return Orders(**{n: np.concatenate([getattr(first, n), getattr(then, n)]) for n in names})


def picked(plan: Plan, rows: Array) -> Plan:
    """Some lines of a plan."""
    return Plan(**{field.name: getattr(plan, field.name)[rows] for field in fields(plan)})


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the days have in common."""

    workspace: Workspace
    market: Market  # stock as on the first day
    orders: Orders  # [M] that really came, all days
    noise: Array  # [M] service-time factors
    seed: int

    def served(self, book: Book, until: float) -> Served:
        """The orders before `until` under what a policy has ordered."""
        came = self.orders.between(-np.inf, until)
        return serve(
            self.market,
            came,
            book.plan,
            Chances(noise=self.noise[: len(came)], arrived=book.arrived),
            end=until,
            target_minutes=self.workspace.target_minutes,
        )

    def arrivals(self, plan: Plan, day: int) -> Array:
        """Units of the lines [L] ordered on a day that arrive.

        One share for an offer and clock hour, whoever orders and whenever.
        """
        hours = clock_hours(plan.available_from, self.market.tz)
        share = np.ones(len(plan))
        for hour in np.unique(hours):
            drawn = fill_share(self.market.fill_rate, stream(self.seed, SHARES, int(hour)))
            share[hours == hour] = drawn[plan.offer[hours == hour]]
        return arriving(self.market, plan, share, stream(self.seed, UNITS, day))

    def on_hand(self, book: Book, now: float) -> tuple[Market, float]:
        """The market with what is on hand as its stock, and the money tied up in it."""
        before, sellers = self.served(book, now), self.market
        plan = book.plan
        here = (plan.available_from < now) & (plan.available_to > now) & (before.unused > 0)
        offer = plan.offer[here]
        carried = replace(
            sellers,
            stock_product=np.append(sellers.stock_product, sellers.offer_product[offer]),
            stock_supplier=np.append(sellers.stock_supplier, sellers.offer_supplier[offer]),
            stock_units=np.append(before.stock_left, before.unused[here]),
            stock_expires=np.append(sellers.stock_expires, plan.available_to[here]),
        )
        return carried, float((before.unused * plan.unit_cost)[here].sum())


def _limits(workspace: Workspace, today: pd.Timestamp, book: Book, tied: float) -> Limits:
    """Money that is neither on order nor tied up in units on hand may be committed."""
    limits = limits_of(workspace, today)
    ahead = book.plan.available_from >= limits.as_of
    return replace(
        limits,
        working_capital=max(limits.working_capital - tied, 0.0),
        committed=picked(book.plan, ahead),
    )


def _decide(stage: Stage, seen: Situation, name: str, book: Book, day: tuple[int, float]) -> Book:
    """What a policy has ordered by the day's end: lines that can wait are left to the next plan."""
    number, tomorrow = day
    plan = POLICIES[name](seen)
    check(lines(plan, seen.market, [name] * len(plan)), seen.market, seen.limits)
    ordered = picked(plan, plan.order_by < tomorrow)
    return Book(
        plan=book.plan.joined(ordered),
        arrived=np.append(book.arrived, stage.arrivals(ordered, number)),
        day=np.append(book.day, np.full(len(ordered), number)),
    )


def _foreseen(stage: Stage, streams: list[Orders], limits: Limits, end: float) -> list[Orders]:
    """The orders of the horizon; after the last day, unknown, those of each sampled future."""
    came = stage.orders.between(limits.as_of, limits.as_of + limits.horizon)
    if limits.as_of + limits.horizon <= end:
        return [came]
    return [followed(came, future.between(end, np.inf)) for future in streams]


def _rolled(
    stage: Stage, known: Known, midnights: pd.DatetimeIndex, progress: Progress
) -> dict[str, Book]:
    """What each policy has ordered when the days are over."""
    none = Book(plan=Plan.empty(), arrived=np.empty(0, "int64"), day=np.empty(0, "int64"))
    books = dict.fromkeys(POLICIES, none)
    workspace, count, end = stage.workspace, len(midnights) - 1, midnights[-1].timestamp()
    for number, (today, tomorrow) in enumerate(pairwise(midnights)):
        step = f"day {number + 1} of {count}"
        inputs = known(today)
        streams = expected_streams(stage, inputs, today, partial(_within, progress, step))
        history = orders(order_rows(inputs.orders), stage.market.product_ids)
        for place, (name, book) in enumerate(books.items()):
            progress(step, FORECAST_SHARE + (1 - FORECAST_SHARE) * place / len(books))
            on_hand, tied = stage.on_hand(book, today.timestamp())
            limits = _limits(workspace, today, book, tied)
            seen = Situation(
                market=on_hand,
                limits=limits,
                aims=aims_of(workspace),
                history=history,
                streams=streams,
                truth=_foreseen(stage, streams, limits, end) if name == FORESIGHT else (),
                seed=stage.seed,
            )
            books[name] = _decide(stage, seen, name, book, (number, tomorrow.timestamp()))
    return books


def _within(progress: Progress, step: str, _: str, share: float) -> None:
    """Tell a forecast's progress as that of its day."""
    progress(step, FORECAST_SHARE * share)


def expected_streams(
    stage: Stage, inputs: Inputs, today: pd.Timestamp, progress: Progress
) -> list[Orders]:
    """Sampled futures of orders, as a run at that midnight would have drawn them."""
    workspace = stage.workspace
    panel = past_demand(workspace, inputs, today)
    return sampled_futures(workspace, inputs, panel, today, seed=stage.seed, progress=progress)


def evaluate(
    workspace: Workspace,
    known: Known,
    as_of: pd.Timestamp,
    *,
    days: int,
    seed: int,
    progress: Progress = lambda *_: None,
) -> Evaluation:
    """Roll every policy over the last `days` whole local days before as-of.

    Parameters
    ----------
    known
        Reads the workspace as it was known at an instant.

    Raises
    ------
    planning.workspace.ConfigError
        When there are fewer days of orders than that takes, or no order on them.
    planning.decide.NoPlanPossible
        When no supplier that offers anything held a licence on the first day.
    """
    midnights = midnights_before(as_of, days, workspace.timezone)
    inputs = known(midnights[-1])
    _require_history(inputs.orders, midnights)
    sellers = market(inputs.tables, workspace.timezone)
    require_sellers(sellers, midnights[0])
    log = orders(order_rows(inputs.orders), sellers.product_ids)
    came = log.between(midnights[0].timestamp(), midnights[-1].timestamp())
    _require_orders(log, came, midnights)
    stage = Stage(
        workspace=workspace,
        market=sellers,
        orders=came,
        noise=service_noise(stream(seed, SERVICE), len(came)),
        seed=seed,
    )
    books = _rolled(stage, known, midnights, progress)
    return Evaluation(
        market=sellers,
        midnights=midnights,
        books=books,
        served={
            name: stage.served(book, midnights[-1].timestamp()) for name, book in books.items()
        },
        inputs=inputs,
    )
