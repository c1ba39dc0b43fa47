"""What a plan is judged by, and what it is worth: its replay in every sampled future."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from planning.allocation import slot_starts
from planning.limits import Limits
from planning.pricing import THREADS
from planning.problem import SEGMENTS, Array, Market, Plan, hour_of, stream
from planning.replay import Served, replay
from planning.simulate import Future, tail_weights
from planning.spot import UNSERVED, last_sellers

KPIS = ("mean_minutes", "on_time_share", "spend", "prealloc_value", "lost_value")
REPLAYS = 2  # number of this purpose among the seed's


@dataclass(frozen=True, kw_only=True)
class Aims:
    """What a plan is judged by."""

    target_minutes: float
    target_share: float
    delay_cost: float  # money per order and minute
    capital_cost: float  # share of the money per year
    segment_weight: Mapping[str, float]
    worst_share: float = 1.0  # of the futures, those with most waiting, whose waiting counts

    def __post_init__(self) -> None:
        """Refuse a share that is none, segments that nobody has, and costs below 0."""
        unknown = set(self.segment_weight) - set(SEGMENTS)
        if unknown:
            raise ValueError(f"segment_weight names {sorted(unknown)}; there are {SEGMENTS}")
        if not (0 <= self.target_share <= 1 and 0 < self.worst_share <= 1):
            raise ValueError("target_share and worst_share are shares, from 0 to 1")
        if not min(self.delay_cost, self.capital_cost, *self.segment_weight.values()) >= 0:
            raise ValueError("delay_cost, capital_cost and segment_weight are 0 or more")

    def weights(self) -> Array:
        """[segments] multiplier of the delay cost."""
        return np.array([self.segment_weight.get(name, 1.0) for name in SEGMENTS])


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A plan's means over the sampled futures, replayed under the fulfilment rules."""

    mean_minutes: float  # NaN = no order is served
    on_time_share: float
    spend: float
    missed: float  # what orders that nobody served would have cost on spot (`last_sellers`)
    prealloc_value: float
    lost_value: float
    delays: Array  # [K] weighted minutes, each service its mean, of all orders, the missed too
    on_time: Array  # [K] share of each future's orders
    by_hour: Array  # [T] mean minutes of the orders of each clock hour; NaN = no order

    @property
    def cost(self) -> float:
        """Spend, and what the orders that nobody served would have cost: comparable of plans."""
        return self.spend + self.missed

    def delay(self, worst_share: float = 1.0) -> float:
        """Weighted minutes of all orders, in the mean over the worst share of the futures."""
        return float((self.delays * tail_weights(self.delays, worst_share)).mean())

    def kpis(self) -> dict[str, float | None]:
        """The figures of kpis.json; None where there is none."""
        figures = {name: getattr(self, name) for name in KPIS}
        return {name: None if np.isnan(value) else value for name, value in figures.items()}


class Missed(NamedTuple):
    """Orders of one future that nobody served, valued at the product's last seller."""

    money: float
    minutes: float  # weighted

    @classmethod
    def of(cls, market: Market, run: Served, future: Future, last: Array) -> Missed:
        """Add up, at `last_sellers` [N]; an order that nobody could ever sell counts nothing."""
        missed = np.flatnonzero(run.source == UNSERVED)
        if not len(missed):
            return cls(0.0, 0.0)
        seller = last[run.orders.product[missed]]
        missed, seller = missed[seller >= 0], seller[seller >= 0]
        minutes = market.spot_minutes[seller] * future.weight[missed]
        money = market.spot_unit_cost[seller] * run.orders.quantity[missed]
        return cls(float(money.sum()), float(minutes.sum()))


class Tally(NamedTuple):
    """One future replayed: sums over its orders."""

    orders: int
    served: int
    minutes: float
    on_time: int
    delay: float  # weighted minutes, services with their means
    spend: float
    missed: float
    lost: float
    hour_minutes: Array  # [T] by clock hour of the order
    hour_served: Array  # [T]

    @classmethod
    def of(
        cls, market: Market, run: Served, future: Future, aims: Aims, starts: Array, missed: Missed
    ) -> Tally:
        """Add up.

        An order's own service counts in `delay` with its mean, not as drawn: nothing that a plan
        decides hangs on the draw, and without its luck no plan falls below `bound.cost_bound`.
        """
        known = np.isfinite(run.minutes)
        minutes = run.minutes[known]
        spot, usual = run.source >= 0, run.minutes.copy()
        usual[spot] = run.wait[spot] + market.spot_minutes[run.source[spot]]
        hour = hour_of(future.orders.at[known], starts)
        return cls(
            orders=len(known),
            served=len(minutes),
            minutes=float(minutes.sum()),
            on_time=int((minutes <= aims.target_minutes).sum()),
            delay=float((usual[known] * future.weight[known]).sum()) + missed.minutes,
            spend=run.prealloc_spend + run.spot_spend,
            missed=missed.money,
            lost=run.lost_value,
            hour_minutes=np.bincount(hour, minutes, minlength=len(starts)),
            hour_served=np.bincount(hour, minlength=len(starts)),
        )


def expect(
    market: Market, futures: Sequence[Future], plan: Plan, limits: Limits, aims: Aims, seed: int
) -> Expectation:
    """Replay a plan and committed lines in every future; equal seeds meet equal chances."""
    every, starts = plan.joined(limits.committed), slot_starts(market, limits)
    last = last_sellers(market)

    def serve(number: int) -> Tally:
        run = replay(
            market,
            futures[number].orders,
            every,
            as_of=limits.as_of,
            horizon=limits.horizon,
            target_minutes=aims.target_minutes,
            rng=stream(seed, REPLAYS, number),
        )
        missed = Missed.of(market, run, futures[number], last)
        return Tally.of(market, run, futures[number], aims, starts, missed)

    with ThreadPoolExecutor(THREADS) as pool:
        runs = list(pool.map(serve, range(len(futures))))
    orders, served = sum(run.orders for run in runs), sum(run.served for run in runs)
    by_hour = np.sum([run.hour_minutes for run in runs], axis=0)
    in_hour = np.sum([run.hour_served for run in runs], axis=0)
    return Expectation(
        mean_minutes=sum(run.minutes for run in runs) / served if served else np.nan,
        on_time_share=sum(run.on_time for run in runs) / orders if orders else 1.0,
        spend=float(np.mean([run.spend for run in runs])),
        missed=float(np.mean([run.missed for run in runs])),
        prealloc_value=float((plan.units * plan.unit_cost).sum()),
        lost_value=float(np.mean([run.lost for run in runs])),
        delays=np.array([run.delay for run in runs]),
        on_time=np.array([run.on_time / run.orders if run.orders else 1.0 for run in runs]),
        by_hour=np.divide(by_hour, in_hour, out=np.full(len(starts), np.nan), where=in_hour > 0),
    )
