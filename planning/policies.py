"""Ways to buy ahead, one interface: a situation in, a plan out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from planning.allocation import Allocation
from planning.base_stock import base_stock, cheapest_usable
from planning.expectation import Aims
from planning.limits import Limits
from planning.optimise import solve
from planning.problem import DAY, HOUR, Array, Market, Orders, Plan, epoch, instants


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What may be known when a plan is made."""

    market: Market  # its stock is what is on hand
    limits: Limits  # with the lines already ordered
    aims: Aims
    history: Orders  # before as-of
    streams: Sequence[Orders]  # sampled futures
    truth: Sequence[Orders]  # the orders that will come, each stream as likely; for foresight
    seed: int


def last_week(market: Market, history: Orders, limits: Limits) -> Plan:
    """Buy for each clock hour what was ordered in the same hour of the week before.

    At the offer with the lowest unit price, whole packs, busiest hours first, until the money is
    spent; units already ordered for the hour count, and every plan rule is kept.
    """
    allocation = Allocation(market, limits)
    wanted, arrivals = _same_hours(market, history, allocation.starts, limits)
    wanted = np.maximum(wanted - allocation.due(), 0)
    offer_of = cheapest_usable(allocation)
    product, slot = np.nonzero((wanted > 0) & (offer_of >= 0))
    offer = offer_of[product, slot]
    pack = market.pack_size[offer]
    units = np.ceil(wanted[product, slot] / pack) * pack
    most = np.floor(
        np.minimum(allocation.room()[offer, slot], allocation.plan_room()[offer]) / pack
    )
    units = np.minimum(np.maximum(units, allocation.least[offer]), most * pack)
    money = units * market.unit_cost[offer]
    blocks = np.stack([offer, slot, units, arrivals[slot], money], axis=1).astype(float)
    busiest = np.lexsort((product, slot, -arrivals[slot]))
    allocation.add(blocks[busiest], limits.working_capital)
    allocation.keep_shares()
    return allocation.plan()


def _same_hours(
    market: Market, history: Orders, starts: Array, limits: Limits
) -> tuple[Array, Array]:
    """Units [N, T] and orders [T] one week (or as many as the horizon needs) before each hour."""
    at = _weeks_later(history.at, int(np.ceil(limits.horizon / (7 * DAY))), market.tz)
    hour = np.searchsorted(starts, at, side="right") - 1
    inside = (hour >= 0) & (at < starts[-1] + HOUR)
    cell = history.product[inside].astype("int64") * len(starts) + hour[inside]
    shape = (len(market.product_ids), len(starts))
    units = np.bincount(cell, history.quantity[inside], minlength=shape[0] * shape[1])
    return units.reshape(shape), np.bincount(hour[inside], minlength=len(starts))


def _weeks_later(at: Array, weeks: int, tz: str) -> Array:
    """The same local time some weeks later; where the clocks skip it, the first instant after."""
    local = instants(at, tz).tz_localize(None) + pd.Timedelta(weeks=weeks)
    return epoch(local.tz_localize(tz, ambiguous=True, nonexistent="shift_forward"))


def _on_demand(_: Situation) -> Plan:
    return Plan.empty()


def _last_week(seen: Situation) -> Plan:
    return last_week(seen.market, seen.history, seen.limits)


def _base_stock(seen: Situation) -> Plan:
    return base_stock(seen.market, seen.streams, seen.limits, seen.aims, seed=seen.seed)


def _plan(seen: Situation) -> Plan:
    return solve(seen.market, seen.streams, seen.limits, seen.aims, seed=seen.seed).plan


def _foresight(seen: Situation) -> Plan:
    if not seen.truth:
        raise ValueError("foresight needs the orders that will come")
    return solve(seen.market, seen.truth, seen.limits, seen.aims, seed=seen.seed).plan


POLICIES: dict[str, Callable[[Situation], Plan]] = {
    "reactive": _on_demand,
    "last-week": _last_week,
    "base-stock": _base_stock,
    "plan": _plan,
    "foresight": _foresight,
}
NAMES = {
    "reactive": "buying on demand",
    "last-week": "last week's same hours",
    "base-stock": "base stock (newsvendor)",
    "plan": "the plan",
    "foresight": "perfect foresight",
}
