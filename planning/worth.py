"""What the last ready units of each line are worth under a plan as it stands."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from planning.problem import HOUR, Array, Plan, hour_of
from planning.simulate import Outcome, Simulator
from planning.spot import FROM_READY, READY_SECONDS


@numba.njit(cache=True, nogil=True)
def _if_bought_on_spot(
    at: Array,
    product: Array,
    wait: Array,
    source: Array,
    offer_starts: Array,
    offer_row: Array,
    offer_supplier: Array,
    spot_minutes: Array,
    qualified_until: Array,
    channels: Array,
    last: Array,
) -> Array:
    """Minutes more [M] if an order served from ready units went to spot, for it and those behind.

    One pass back in time: the next spot order of a supplier tells how long its queue is, and all
    that wait until the queue is empty wait its service time over the channels longer. Where nobody
    may serve it, it takes what the product's `last` [N] seller would; 0 for others.
    """
    more = np.zeros(len(at))
    behind = np.zeros(len(channels))  # orders that wait from here to the end of the busy spell
    free = np.full(len(channels), -np.inf)  # instant at which the next spot order finds a channel
    for order in range(len(at) - 1, -1, -1):
        if source[order] >= 0:
            supplier = offer_supplier[source[order]]
            jammed = wait[order] > 0
            behind[supplier] = behind[supplier] + 1 if jammed else 0.0
            free[supplier] = at[order] + 60 * wait[order] if jammed else -np.inf
            continue
        if source[order] != FROM_READY:
            continue
        best, best_score = -1, np.inf
        for place in range(offer_starts[product[order]], offer_starts[product[order] + 1]):
            row = offer_row[place]
            supplier = offer_supplier[row]
            if at[order] >= qualified_until[supplier]:
                continue
            score = max(0.0, (free[supplier] - at[order]) / 60) + spot_minutes[row]
            if score < best_score:
                best, best_score = row, score
        if best >= 0:
            supplier = offer_supplier[best]
            pushed = behind[supplier] * spot_minutes[best] / channels[supplier]
            more[order] = best_score - READY_SECONDS / 60 + pushed
        elif last[product[order]] >= 0:
            more[order] = spot_minutes[last[product[order]]] - READY_SECONDS / 60
    return more


def hours_of_use(plan: Plan, units: Array, starts: Array) -> Array:
    """[L, T] hours in which a line's units are expected to go, given the demand [L, T]."""
    ready = (starts[None, :] + HOUR > plan.available_from[:, None]) & (
        starts[None, :] < plan.available_to[:, None]
    )
    sold_before = np.cumsum(units * ready, axis=1) - units * ready
    in_use: Array = ready & (sold_before < plan.units[:, None])
    return in_use


def minutes_per_money(
    simulator: Simulator, outcomes: Sequence[Outcome], plan: Plan, starts: Array
) -> Array:
    """[L] minutes that a unit of money spares in each line's hours, mean over the futures.

    The hours are those in which its units are expected to go, taken in order from the first. NaN =
    nothing goes.
    """
    product = simulator.market.offer_product[plan.offer]
    minutes, units = _minutes_and_units(simulator, outcomes, starts)
    minutes, units = minutes[product], units[product]
    use = hours_of_use(plan, units, starts)
    total, money = (minutes * use).sum(axis=1), (units * use).sum(axis=1) * plan.unit_cost
    rate: Array = np.divide(total, money, out=np.full(len(plan), np.nan), where=money > 0)
    return rate


def _minutes_and_units(
    simulator: Simulator, outcomes: Sequence[Outcome], starts: Array
) -> tuple[Array, Array]:
    """[N, T] means of the minutes spared by ready units, and of orders' units served from them."""
    market, futures = simulator.market, simulator.futures
    rows, offer_starts = market.by_product
    shape = (len(market.product_ids), len(starts))
    minutes, units = np.zeros(shape), np.zeros(shape)
    for future, outcome in zip(futures, outcomes, strict=True):
        orders = future.orders
        more = _if_bought_on_spot(
            orders.at,
            orders.product,
            outcome.wait,
            outcome.source,
            offer_starts,
            rows,
            market.offer_supplier,
            market.spot_minutes,
            market.qualified_until,
            market.channels,
            simulator.last_seller,
        )
        ready = outcome.source == FROM_READY
        hour = hour_of(orders.at[ready], starts)
        cell = orders.product[ready].astype("int64") * len(starts) + hour
        minutes += np.bincount(cell, more[ready], minlength=minutes.size).reshape(shape)
        units += np.bincount(cell, orders.quantity[ready], minlength=units.size).reshape(shape)
    return minutes / len(futures), units / len(futures)
