"""What would help most: shadow prices of capital, channels and lead times, and the frontier.

Every figure is measured, none is a derivative: the plan goes on growing with more money, or is
kept and the sampled futures are served again under other terms, each with the same chances.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from planning.advice import MOST_MORE, capital_advice, effect, jam_advice, late_by
from planning.allocation import Allocation, Step
from planning.expectation import Aims, Expectation, expect
from planning.grow import Progress, grow_on
from planning.limits import Limits
from planning.optimise import Solution, cheapest_step
from planning.polish import give_back
from planning.problem import Array, Market, Plan
from planning.simulate import Outcome, Simulator, first_of

SENSED_ORDERS = 1_000_000  # that the futures used here should not exceed together
GROWN_ORDERS = 300_000  # and those for which more money is spent; all judge what comes out
MOST_IDLE = 0.5  # of the working capital: where more is left, more of it isn't tried
REGROWN = 1 / 8  # of the money that is spent anew when a lead time is shorter
LEAD_TIMES, CHANNELS = 3, 12  # suppliers whose terms are changed, the most promising ones
PROMISED = 0.3  # seconds an order that a lead time keeps out of reach; less isn't tried

FRONTIER_COLUMNS = ("capital", "mean_minutes", "on_time_share", "spend")
PRICE_COLUMNS = (
    "what",
    "supplier_id",
    "amount",
    "minutes_saved",
    "on_time_gain",
    "spend_change",
    "words",
)


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What a solved plan would gain from other terms, over the sampled futures."""

    frontier: pd.DataFrame  # FRONTIER_COLUMNS, by capital: the plans on the way to it and beyond
    prices: pd.DataFrame  # PRICE_COLUMNS, the most minutes saved first
    advice: list[str]  # what it takes to reach the target, in words; empty when it is met
    futures: tuple[int, int]  # used here, and used by the plan
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Study:
    """A solved plan and the futures in which it is tried under other terms."""

    solution: Solution
    simulator: Simulator
    few: Simulator  # of the first of these futures: for going on growing
    limits: Limits
    aims: Aims
    seed: int
    base: Expectation  # the plan as it is, in these futures

    @classmethod
    def of(cls, solution: Solution, limits: Limits, aims: Aims, seed: int) -> Study:
        """With as many futures as SENSED_ORDERS allows, the plan's first ones."""
        whole, base = solution.growth.simulator, solution.predicted
        simulator = _with_orders(whole, SENSED_ORDERS)
        futures = simulator.futures
        if len(futures) < len(base.delays):
            base = expect(simulator.market, futures, solution.plan, limits, aims, seed)
        return cls(
            solution=solution,
            simulator=simulator,
            few=_with_orders(simulator, GROWN_ORDERS),
            limits=limits,
            aims=aims,
            seed=seed,
            base=base,
        )

    @property
    def market(self) -> Market:
        """The terms as they are."""
        return self.simulator.market

    def expect(self, plan: Plan, market: Market | None = None) -> Expectation:
        """A plan's means, under other terms if they are given; equal chances every time."""
        terms = self.market if market is None else market
        futures = self.simulator.futures
        return expect(terms, futures, plan, self.limits, self.aims, self.seed)

    def grown(self, since: Step, capital: float, simulator: Simulator | None = None) -> list[Step]:
        """Go on from a step up to some capital: those that follow, the last one the result."""
        growth, simulator = self.solution.growth, simulator or self.few
        limits = replace(self.limits, working_capital=capital)
        allocation = Allocation.holding(simulator.market, limits, since.plan, growth.money_costs)
        go_on = partial(
            grow_on,
            allocation,
            [simulator],
            minute_price=growth.minute_price,
            progress=lambda *_: None,
        )
        go_on(floor=since.floor)
        if allocation.over_share():
            allocation.keep_shares()
            go_on(strict=True)
            allocation.keep_shares()
        path = allocation.path
        return [*path[1:], Step(allocation.plan(), _last_floor(path))]

    def money_left(self) -> float:
        """Working capital that neither the plan nor lines before it commit."""
        limits = self.limits
        return limits.working_capital - self.committed_money() - self.base.prealloc_value

    def committed_money(self) -> float:
        """What lines before the plan commit."""
        return float(self.limits.committed_money(self.market).sum())

    def keeps_shares(self, plan: Plan) -> bool:
        """Whether no supplier has more than its `max_share` of what the plan commits in all."""
        return not Allocation.holding(self.market, self.limits, plan, 0.0).over_share()

    def end(self) -> Step:
        """The plan, and the return that its last money earned at least."""
        return Step(self.solution.plan, _last_floor(self.solution.growth.path))


def _with_orders(simulator: Simulator, most: int) -> Simulator:
    """The same with only the first futures."""
    few = first_of(simulator.futures, most)
    if len(few) == len(simulator.futures):
        return simulator
    return simulator.over(few)


def _last_floor(path: Sequence[Step]) -> float:
    return next((step.floor for step in reversed(path) if step.floor > 0), 0.0)


def _value(plan: Plan) -> float:
    return float((plan.units * plan.unit_cost).sum())


def study(
    solution: Solution,
    limits: Limits,
    aims: Aims,
    *,
    seed: int,
    progress: Progress = lambda *_: None,
) -> Sensitivity:
    """What would help the plan most, and what it would take to reach the target."""
    started = time.perf_counter()
    progress("what would help", 0.0)
    given = Study.of(solution, limits, aims, seed)
    outcomes = given.simulator.serve(solution.plan)
    more, beyond = _more_capital(given)
    curve = _frontier(given, beyond)
    prices = _ranked(
        [*more, *_channels(given, outcomes), *_lead_times(given, outcomes)], given.base
    )
    progress("what would help", 1.0)
    return Sensitivity(
        frontier=curve,
        prices=prices,
        advice=_advice(given, curve, prices, outcomes),
        futures=(len(given.simulator.futures), len(solution.predicted.delays)),
        seconds=time.perf_counter() - started,
    )


# Capital and the frontier


def capital_step(capital: float) -> float:
    """A round sum of money (a power of ten) that is 2 to 20 % of the capital."""
    return float(10.0 ** np.floor(np.log10(capital / 5)))


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of terms and what the plan would be worth under it."""

    what: str  # capital, channel, lead_time
    supplier_id: str  # empty: of none
    amount: float
    name: str  # in words, as the subject of a sentence
    result: Expectation


def _more_capital(given: Study) -> tuple[list[Change], list[Expectation]]:
    """A round sum and half as much again of capital, and the plans up to there."""
    capital = given.limits.working_capital
    if not given.solution.growth.path or not given.money_left() < MOST_IDLE * capital:
        return [], []
    step = capital_step(capital)
    first = given.grown(given.end(), capital + step)[-1]
    path = given.grown(first, (1 + MOST_MORE) * capital)
    told = [first, *path]
    kept = [each.plan for each in told if given.keeps_shares(each.plan)]
    plans = _rising(kept, least=given.base.prealloc_value)
    results = [given.expect(plan) for plan in plans]
    grew = _value(first.plan) > given.base.prealloc_value
    half = MOST_MORE * capital
    name = f"Another {step:,.0f} of working capital"
    large = f"Half as much working capital again ({half:,.0f})"
    return [
        _capital(name, step, results[0] if grew else given.base),
        _capital(large, half, results[-1] if results else given.base),
    ], results


def _capital(name: str, amount: float, result: Expectation) -> Change:
    return Change(what="capital", supplier_id="", amount=amount, name=name, result=result)


def _rising(plans: Iterable[Plan], least: float) -> list[Plan]:
    """Those that commit more than all before them, and than `least`."""
    kept = []
    for plan in plans:
        if _value(plan) > least * (1 + 1e-9):
            kept.append(plan)
            least = _value(plan)
    return kept


def _frontier(given: Study, beyond: Sequence[Expectation]) -> pd.DataFrame:
    """Minutes, on-time share and spend against money committed, lines committed before too."""
    most = given.base.prealloc_value
    stages = [step.plan for step in given.solution.growth.path if given.keeps_shares(step.plan)]
    before = [plan for plan in _rising(stages, least=-1.0) if _value(plan) < most]
    points = [*(given.expect(plan) for plan in before), given.base, *beyond]
    committed = given.committed_money()
    rows = [
        (committed + each.prealloc_value, each.mean_minutes, each.on_time_share, each.spend)
        for each in points
    ]
    curve = pd.DataFrame(rows, columns=list(FRONTIER_COLUMNS))
    return curve.drop_duplicates("capital").sort_values("capital", ignore_index=True)


# Channels and lead times


def _buyable(given: Study) -> Array:
    """[S] True for suppliers that are licensed and make an offer."""
    market = given.market
    offers = np.bincount(market.offer_supplier, minlength=len(market.supplier_ids))
    return (market.qualified_until > given.limits.as_of) & (offers > 0)


def _promising(promise: Array, most: int) -> Array:
    """Rows of the `most` highest promises above 0, in the order of the table."""
    best = np.argsort(-promise, kind="stable")[:most]
    return np.sort(best[promise[best] > 0])


def _waits(given: Study, outcomes: Sequence[Outcome]) -> Array:
    """[S] minutes waited for each supplier's channels in all futures."""
    total = np.zeros(len(given.market.supplier_ids))
    for outcome in outcomes:
        spot = outcome.source >= 0
        supplier = given.market.offer_supplier[outcome.source[spot]]
        total += np.bincount(supplier, outcome.wait[spot], minlength=len(total))
    return total


def _channels(given: Study, outcomes: Sequence[Outcome]) -> list[Change]:
    """One more spot channel at each supplier, the plan kept."""
    market = given.market
    promise = np.where(_buyable(given), 1.0 + _waits(given, outcomes), 0.0)
    changes = []
    for supplier in _promising(promise, CHANNELS):
        one = np.arange(len(market.channels)) == supplier
        terms = replace(market, channels=market.channels + one)
        name = str(market.supplier_ids[supplier])
        changes.append(
            Change(
                what="channel",
                supplier_id=name,
                amount=1.0,
                name=f"One more spot channel at {name}",
                result=given.expect(given.solution.plan, terms),
            )
        )
    return changes


def _out_of_reach(given: Study, outcomes: Sequence[Outcome]) -> Array:
    """[S] weighted minutes to be spared in hours that only half the lead time would open.

    Summed over all futures, to first order: spot orders of a product that come before any supplier
    can have its units ready, but after this one could with half its lead time.
    """
    market, products = given.market, len(given.market.product_ids)
    supplier, product = market.offer_supplier, market.offer_product
    able = _buyable(given)[supplier]
    ready = np.full(products, np.inf)
    np.minimum.at(ready, product[able], given.limits.as_of + market.lead_time[able])
    total = np.zeros(len(market.supplier_ids))
    for row in np.flatnonzero(_buyable(given)):
        own = supplier == row
        sooner = np.full(products, np.inf)
        np.minimum.at(sooner, product[own], given.limits.as_of + market.lead_time[own] / 2)
        for future, outcome in zip(given.simulator.futures, outcomes, strict=True):
            at, what = future.orders.at, future.orders.product
            opened = (outcome.source >= 0) & (at >= sooner[what]) & (at < ready[what])
            total[row] += outcome.spared[opened].sum()
    return total


def _lead_times(given: Study, outcomes: Sequence[Outcome]) -> list[Change]:
    """Half the lead time at the most promising suppliers; some of the money is spent anew."""
    market = given.market
    if not given.solution.growth.path:
        return []
    early = _without_least_useful(given, outcomes)
    orders = sum(len(future.orders) for future in given.simulator.futures)
    promise = 60 * _out_of_reach(given, outcomes) / max(orders, 1)  # seconds an order
    changes = []
    for supplier in _promising(np.where(promise < PROMISED, 0.0, promise), LEAD_TIMES):
        own = market.offer_supplier == supplier
        terms = replace(market, lead_time=np.where(own, market.lead_time / 2, market.lead_time))
        simulator = given.simulator.over(given.simulator.futures, terms)
        other = given.grown(early, given.limits.working_capital, simulator)[-1].plan
        name = str(market.supplier_ids[supplier])
        changes.append(
            Change(
                what="lead_time",
                supplier_id=name,
                amount=0.5,
                name=f"Half the lead time at {name}",
                result=_better(given.expect(other, terms), given.base),
            )
        )
    return changes


def _better(tried: Expectation, base: Expectation) -> Expectation:
    """What is regrown under better terms, or the plan as it is, which stays possible."""
    return min(tried, base, key=lambda one: (np.nan_to_num(one.mean_minutes), one.cost))


def _without_least_useful(given: Study, outcomes: Sequence[Outcome]) -> Step:
    """The plan without the lines that spare least for their money."""
    growth, plan = given.solution.growth, given.solution.plan
    allocation = Allocation.holding(given.market, given.limits, plan, growth.money_costs)
    give_back(allocation, given.simulator, outcomes, REGROWN)
    return Step(allocation.plan(), _last_floor(growth.path))


def _ranked(changes: Sequence[Change], base: Expectation) -> pd.DataFrame:
    """One row a change, the most minutes saved first; NaN where nothing is served."""
    rows = [
        (
            change.what,
            change.supplier_id,
            change.amount,
            base.mean_minutes - change.result.mean_minutes,
            change.result.on_time_share - base.on_time_share,
            change.result.spend - base.spend,
            effect(change.name, base, change.result),
        )
        for change in changes
    ]
    frame = pd.DataFrame(rows, columns=list(PRICE_COLUMNS))
    return frame.sort_values("minutes_saved", ascending=False, kind="stable", ignore_index=True)


def _advice(
    given: Study, frontier: pd.DataFrame, prices: pd.DataFrame, outcomes: Sequence[Outcome]
) -> list[str]:
    """What it would take to reach the target share; nothing to say when it is met."""
    solution, aims, market = given.solution, given.aims, given.market
    if solution.predicted.on_time_share >= aims.target_share:
        return []
    late = late_by(market, outcomes, aims.target_minutes)
    return [
        capital_advice(
            frontier,
            capital=given.limits.working_capital,
            target_share=aims.target_share,
            most_spend=solution.before.cost - solution.predicted.missed,
            left=given.money_left(),
            least_line=cheapest_step(Allocation(market, given.limits), given.few.futures),
        ),
        *jam_advice(late, market.supplier_ids, prices),
    ]
