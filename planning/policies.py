"""Simple ways to buy ahead, to hold the plan against."""

from __future__ import annotations

import numpy as np
import pandas as pd

from planning.allocation import Allocation
from planning.problem import DAY, HOUR, Array, Market, Orders, Plan, epoch, instants
from planning.rules import Limits


def last_week(market: Market, history: Orders, limits: Limits) -> Plan:
    """Buy for each clock hour what was ordered in the same hour of the week before.

    At the offer with the lowest unit price, whole packs, busiest hours first, until the money is
    spent; every plan rule is kept.
    """
    allocation = Allocation(market, limits)
    wanted, arrivals = _same_hours(market, history, allocation.starts, limits)
    offer_of = _cheapest_usable(allocation)
    product, slot = np.nonzero((wanted > 0) & (offer_of >= 0))
    offer = offer_of[product, slot]
    pack = np.maximum(market.pack_size[offer], 1)
    units = np.ceil(wanted[product, slot] / pack) * pack
    most = np.floor(np.minimum(allocation.room()[offer, slot], market.max_units[offer]) / pack)
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


def _cheapest_usable(allocation: Allocation) -> Array:
    """[N, T] offer with the lowest unit price that can be ready in the slot, -1 = none."""
    market = allocation.market
    ranked = np.lexsort((market.unit_cost, market.offer_product))
    product = market.offer_product[ranked]
    rank = np.arange(len(ranked)) - np.searchsorted(product, product)
    choice = np.full((len(market.product_ids), len(allocation.starts)), -1)
    for place in range(int(rank.max(initial=0)), -1, -1):
        rows = ranked[rank == place]
        owner = market.offer_product[rows]
        choice[owner] = np.where(allocation.usable[rows], rows[:, None], choice[owner])
    return choice
