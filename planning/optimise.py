"""Choose what to pre-allocate: the dearest price of a minute whose plan is worth its money."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from planning.allocation import Allocation, Step
from planning.bound import cost_bound
from planning.expectation import Aims, Expectation, expect
from planning.grow import Progress, grow, nothing_but_frozen
from planning.limits import Limits
from planning.polish import give_back_losers
from planning.problem import DAY, Array, Market, Orders, Plan, stream
from planning.reasons import reasons
from planning.simulate import Batches, Future, Simulator, damped, first_of, futures_of

YEAR = 365 * DAY
SPENT = 0.02  # of the working capital: it is told as used up where no more is left
STEPS = (0.1, 0.03, 0.01, 0.003, 0.001)  # prices of a minute tried, in mean order values
CALMER = (1.0, 0.25, 0.0625, 0.0)  # others, in delay costs
WORTH = 0.01  # of the objective of buying on demand: what spending more than that must save
ROUNDING = 1e-9  # of the spend
JUDGED_ORDERS = 2_500_000  # of the futures that tell what to keep, and why
CHANCES = 1  # number of this purpose among the seed's


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How a plan came about: what it takes to go on from it."""

    simulator: Simulator  # its futures, the first ones where they are many
    minute_price: float  # money that a weighted minute was worth
    money_cost: float  # of committing one unit of money over the horizon
    money_costs: Array  # [S] the same at each supplier, with the prices of its share
    path: list[Step]  # its rounds, from the first on; none where no plan was worth its money


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A plan, what it is worth, and a bound on what any plan could be worth."""

    plan: Plan
    reasons: list[str]  # [L] why each line is there
    starts: Array  # [T] clock hours of the horizon
    status: str
    objective: float  # money: expected spend, delay and capital cost over the sampled futures
    bound: float  # no plan has a lower expected objective on them
    predicted: Expectation  # with the lines committed before
    reactive: Expectation  # nothing bought ahead, now or before
    before: Expectation  # with the lines committed before alone: what the plan adds to
    seconds: float
    growth: Growth

    @property
    def gap(self) -> float:
        """(objective - bound) / objective."""
        return (self.objective - self.bound) / self.objective if self.objective else 0.0


class Candidate(NamedTuple):
    """A plan that could be chosen."""

    allocation: Allocation
    minute_price: float  # with which it was grown
    predicted: Expectation


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is to be planned, and how a candidate for it is made and judged."""

    market: Market
    futures: Sequence[Future]
    limits: Limits
    aims: Aims
    seed: int
    judge: Simulator
    batches: Batches
    previous: Plan | None
    freeze: float
    progress: Progress

    @property
    def money_cost(self) -> float:
        """Of committing one unit of money over the horizon."""
        return self.aims.capital_cost * self.limits.horizon / YEAR

    def candidate(self, allocation: Allocation, minute_price: float) -> Candidate:
        """The allocation and what it is expected to bring."""
        plan = allocation.plan()
        predicted = expect(self.market, self.futures, plan, self.limits, self.aims, self.seed)
        return Candidate(allocation, minute_price, predicted)

    def grown(self, minute_price: float) -> Candidate:
        """The plan that relieves the futures best at this price."""
        allocation = grow(
            self.batches,
            self.judge,
            self.limits,
            minute_price=minute_price,
            money_cost=self.money_cost,
            progress=self.progress,
            previous=self.previous,
            freeze=self.freeze,
        )
        return self.candidate(allocation, minute_price)

    def fewer(self, found: Candidate, most: float) -> Candidate:
        """Without products that cost more than they save; nothing where that costs too much yet."""
        left = give_back_losers(found.allocation, self.judge, found.minute_price)
        some = self.candidate(left, found.minute_price)
        if some.predicted.cost <= most and not left.over_share():
            return some
        nothing = nothing_but_frozen(self.market, self.limits, 0.0, self.previous, self.freeze)
        return self.candidate(nothing, found.minute_price)

    def objective(self, one: Expectation) -> float:
        """Money: spend, delay at its cost, and the cost of capital."""
        delay = self.aims.delay_cost * one.delay(self.aims.worst_share)
        return one.cost + delay + self.money_cost * one.prealloc_value


def _chosen(case: Case, before: Expectation, most: float) -> Candidate:
    """The plan of the dearest minute that costs `most`; one that costs more where that pays.

    Of those that pay the plan of the cheapest minute, from the delay cost up: the minutes of bad
    futures are damped, so that a dearer one may be what they are worth.
    """
    lavish: list[Candidate] = []
    for minute_price in _minute_prices(before, case.futures, case.aims):
        found = case.grown(minute_price)
        if found.predicted.cost <= most:
            break
        if minute_price >= case.aims.delay_cost > 0:
            lavish.append(found)
    else:  # nothing that relieves the jam is worth its money: in all, or of a few products
        found = case.fewer(found, most)
    enough = case.objective(found.predicted) - WORTH * case.objective(before)
    pay = (one for one in reversed(lavish) if case.objective(one.predicted) < enough)
    return next(pay, found)


def _minute_prices(before: Expectation, futures: Sequence[Future], aims: Aims) -> list[float]:
    """Prices of a minute to try, dearest first: while the target is missed, minutes come first."""
    orders = np.mean([len(future.orders) for future in futures])
    order_value = before.spend / max(float(orders), 1.0)
    prices = {share * order_value for share in STEPS} | {aims.delay_cost * c for c in CALMER}
    met = before.on_time_share >= aims.target_share
    return sorted((p for p in prices if p <= aims.delay_cost or not met), reverse=True)


def cheapest_step(allocation: Allocation, futures: Sequence[Future]) -> float:
    """Money of the cheapest pack that a line may have more, or of the smallest new line.

    Of products that are ordered in the futures; infinite where the offers' caps allow neither.
    """
    market, held = allocation.market, allocation.units
    ordered = np.zeros(len(market.product_ids), dtype=bool)
    for future in futures:
        ordered[future.orders.product] = True
    pack = market.pack_size
    step = np.where(held > 0, pack[:, None], allocation.least[:, None])
    room = np.minimum(allocation.room(), allocation.plan_room()[:, None])
    offer, slot = np.nonzero((step <= room) & ordered[market.offer_product][:, None])
    units = held[offer, slot]
    larger = units + step[offer, slot]
    money = larger * market.line_cost(offer, larger) - units * market.line_cost(offer, units)
    return float(money.min(initial=np.inf))


def _status(case: Case, found: Candidate, dearest: float, most: float) -> str:
    """Whether the target is met, and if not, what stands in the way.

    `dearest` price of a minute was tried; plans of `most` cost no more than buying on demand.
    """
    aims, judge = case.aims, case.judge
    predicted, allocation = found.predicted, found.allocation
    met = int((predicted.on_time >= aims.target_share).sum())
    chance = f"in {met} of {len(predicted.on_time)} sampled futures"
    if predicted.on_time_share >= aims.target_share:
        return f"target met, {chance}"
    left, step = allocation.money_left(), cheapest_step(allocation, judge.futures)
    if left < step < np.inf and not allocation.money().any():
        return f"target missed, met {chance}: working capital is too small for any line"
    if left <= SPENT * allocation.limits.working_capital or left < step < np.inf:
        return f"target missed, met {chance}: working capital is used up"
    if predicted.cost > most:
        worth = f"at delay_cost_per_minute = {aims.delay_cost:g} no more is worth its money"
        return f"target missed, met {chance}: {worth}"
    if found.minute_price < dearest:  # the plans of dearer minutes were turned down
        return f"target missed, met {chance}: more would cost more than buying on demand"
    return f"target missed, met {chance}: the offers' terms leave no better use of money"


def solve(
    market: Market,
    streams: Sequence[Orders],
    limits: Limits,
    aims: Aims,
    *,
    seed: int,
    progress: Progress = lambda *_: None,
    previous: Plan | None = None,
    freeze: float = 0.0,
) -> Solution:
    """The plan for sampled streams of orders (or, with the true stream, perfect foresight).

    While the target share is missed, minutes go before money, as far as the expected spend stays
    at or below that of buying everything on demand. It goes beyond where the minutes that are saved
    so are worth clearly more, by their delay cost. An order that nobody may serve on spot is worth
    what its last seller would ask (`spot.last_sellers`).

    Parameters
    ----------
    streams
        Sampled orders of the horizon, each as likely as the next.
    previous
        A plan not yet ordered, to stay near to: one of its units is given up only for one that
        returns half as much again. What is ordered already belongs in `limits.committed`.
    freeze
        Seconds from as-of; lines of `previous` to be ordered in that time are kept as they are.
    """
    started = time.perf_counter()
    if not streams:
        raise ValueError("no sampled orders to plan for: give one stream of them or more")
    futures = futures_of(market, streams, aims.weights(), stream(seed, CHANCES))
    none = Plan.empty()
    before = reactive = expect(market, futures, none, limits, aims, seed)
    if len(limits.committed):
        reactive = expect(market, futures, none, replace(limits, committed=none), aims, seed)
    worst = aims.worst_share
    if worst == 1:
        futures = damped(futures, before.delays)
    judge = Simulator(market, first_of(futures, JUDGED_ORDERS), limits.committed, worst)
    case = Case(
        market=market,
        futures=futures,
        limits=limits,
        aims=aims,
        seed=seed,
        judge=judge,
        batches=Batches(futures, judge),
        previous=previous,
        freeze=freeze,
        progress=progress,
    )
    most = max(before.cost, reactive.cost) * (1 + ROUNDING)
    found = _chosen(case, before, most)
    allocation, minute_price, predicted = found
    plan = allocation.plan()
    return Solution(
        plan=plan,
        starts=allocation.starts,
        reasons=reasons(judge, plan, allocation.starts),
        status=_status(case, found, _minute_prices(before, futures, aims)[0], most),
        objective=case.objective(predicted),
        bound=cost_bound(market, futures, limits, aims.delay_cost),
        predicted=predicted,
        reactive=reactive,
        before=before,
        seconds=time.perf_counter() - started,
        growth=Growth(
            simulator=judge,
            minute_price=minute_price,
            money_cost=case.money_cost,
            money_costs=allocation.money_cost,
            path=allocation.path,
        ),
    )
