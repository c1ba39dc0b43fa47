"""A lower bound on what any plan could cost, in the mean over the sampled futures.

Relaxed: every spot order finds a free channel at the qualified offer where price and service time
cost least together. Units bought ahead come at the lowest price there is and in fractions, serve
the orders that save most, and cost nothing while they wait. But they are the same in every future:
so many of a code, so many of a direct product for each clock hour. What is left is concave in
every such number, with the working capital in common: Dantzig's rule (best saving per money first)
is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np

from planning.allocation import slot_starts
from planning.limits import Limits
from planning.pricing import THREADS
from planning.problem import Array, Market, hour_of
from planning.simulate import Future
from planning.spot import READY_SECONDS, last_sellers

RUNGS = 256  # of a ladder: more units share rungs


class Terms(NamedTuple):
    """Offers [O], grouped by product; what an order could cost there."""

    starts: Array  # [N + 1] offers of product p are rows[starts[p]:starts[p + 1]]
    rows: Array  # [O]
    since: Array  # [O] instant from which units can be ready
    until: Array  # [O] instant from which no spot order is taken
    price: Array  # [O] lowest price of a unit ahead
    spot_price: Array  # [O]
    spot_minutes: Array  # [O]
    last: Array  # [N] offer at which orders that nobody may serve are valued; below 0 = none


class Spots(NamedTuple):
    """What could be bought on spot in one future, by product [N]."""

    units: Array
    dearest: Array  # money that a unit costs at most


class Ladders(NamedTuple):
    """Savings of the first, second, … unit of each group [G] of units, summed over futures."""

    product: Array  # [G] of the units
    width: Array  # [G] units that share a rung
    starts: Array  # [G + 1] rungs of group g are starts[g]:starts[g + 1]


def _terms(market: Market, limits: Limits) -> Terms:
    rows, starts = market.by_product
    until = market.qualified_until[market.offer_supplier]
    return Terms(
        starts=starts,
        rows=rows,
        since=np.where(until > limits.as_of, limits.as_of + market.lead_time, np.inf),
        until=until,
        price=market.lowest_cost,
        spot_price=market.spot_unit_cost,
        spot_minutes=market.spot_minutes,
        last=last_sellers(market),
    )


@numba.njit(cache=True, nogil=True)
def _savings(
    product: Array, at: Array, quantity: Array, delay: Array, terms: Terms, spots: Spots
) -> tuple[float, Array]:
    """Least money for all orders on spot, and what a unit ahead saves of it for each order [M].

    Delay included; orders that nobody can serve on spot cost what their last seller would ask.
    `delay` [M] is money a minute. `spots` is drawn up.
    """
    total, rate = 0.0, np.zeros(len(at))
    for order in range(len(at)):
        p, units = product[order], quantity[order]
        spot, ahead = np.inf, np.inf
        for place in range(terms.starts[p], terms.starts[p + 1]):
            offer = terms.rows[place]
            if at[order] < terms.until[offer]:
                cost = units * terms.spot_price[offer] + delay[order] * terms.spot_minutes[offer]
                spot = min(spot, cost)
            if at[order] >= terms.since[offer]:
                ahead = min(ahead, units * terms.price[offer])
        last = terms.last[p]
        if spot == np.inf and last >= 0:
            spot = units * terms.spot_price[last] + delay[order] * terms.spot_minutes[last]
        if spot < np.inf:
            total += spot
            rate[order] = max((spot - ahead - delay[order] * READY_SECONDS / 60) / units, 0.0)
            spots.units[p] += units
            spots.dearest[p] = max(spots.dearest[p], spot / units)
    return total, rate


@numba.njit(cache=True, nogil=True)
def _climb(
    group: Array, quantity: Array, rate: Array, width: Array, starts: Array, rungs: Array
) -> None:
    """Add a future's savings to the rungs, in every group those of the best orders first."""
    first = np.zeros(len(width) + 1, dtype=np.int64)
    for order in range(len(group)):
        first[group[order] + 1] += 1
    first = np.cumsum(first)
    place, sorted_ = first[:-1].copy(), np.empty(len(group), dtype=np.int64)
    for order in range(len(group)):
        sorted_[place[group[order]]] = order
        place[group[order]] += 1
    for g in range(len(width)):
        mine = sorted_[first[g] : first[g + 1]]
        if len(mine) > 1:
            mine = mine[np.argsort(-rate[mine])]
        units = 0.0
        for order in mine:
            left = float(quantity[order])
            while left > 0 and rate[order] > 0:
                rung = int(units // width[g])
                taken = min(left, (rung + 1) * width[g] - units)
                rungs[starts[g] + rung] += taken * rate[order]
                units += taken
                left -= taken


def _group_of(market: Market, future: Future, hours: Array) -> Array:
    """[M] whose units can serve each order: its product's, if direct those of its clock hour."""
    product = future.orders.product.astype("int64")
    direct = market.direct[product]
    row = np.cumsum(market.direct) - 1
    hour = hour_of(future.orders.at[direct], hours)
    group = product
    group[direct] = len(market.direct) + row[product[direct]] * len(hours) + hour
    return group


def _ladders(market: Market, futures: Sequence[Future], hours: Array) -> Ladders:
    """As many rungs as the most units that any future wants of each group."""
    products = np.arange(len(market.direct))
    product = np.append(products, np.repeat(products[market.direct], len(hours)))
    most = np.zeros(len(product))
    for future in futures:
        group = _group_of(market, future, hours)
        np.maximum(most, np.bincount(group, future.orders.quantity, len(most)), out=most)
    width = np.maximum(np.ceil(most / RUNGS), 1.0)
    return Ladders(product, width, np.append(0, np.cumsum(np.ceil(most / width).astype("int64"))))


def _had(market: Market, limits: Limits, spots: Spots) -> float:
    """Money that stock and committed lines can save at most, each unit the dearest on spot."""
    lines = limits.committed
    stock = np.bincount(market.stock_product, market.stock_units, len(spots.units))
    saved = (np.minimum(stock, spots.units) * spots.dearest).sum()
    worth = spots.dearest[market.offer_product[lines.offer]] - lines.unit_cost
    units = lines.units * market.delivered(lines)
    return float(saved + (units * np.maximum(worth, 0.0)).sum())


def _most_saved(saving: Array, ladders: Ladders, price: Array, capital: float) -> float:
    """The best that `capital` can save by climbing ladders; `saving` [R] of each rung."""
    group = np.repeat(np.arange(len(ladders.width)), np.diff(ladders.starts))
    shared, first = ladders.width[group] > 1, np.diff(group, prepend=-1) > 0
    free = float(saving[shared & first].sum())  # within a rung the best units come first
    after = np.where(np.append(first[1:], True), 0.0, np.append(saving[1:], 0.0))
    saving = np.where(shared, after, saving)
    money = np.maximum(ladders.width * price[ladders.product], 1e-12)[group]
    best_first = np.argsort(-saving / money, kind="stable")
    saving, money = saving[best_first], money[best_first]
    fraction = np.clip(1 - (np.cumsum(money) - capital) / money, 0, 1)
    return free + float((saving * fraction).sum())


def cost_bound(
    market: Market, futures: Sequence[Future], limits: Limits, delay_cost: float
) -> float:
    """Money below which spend plus weighted delay cannot fall, in the mean over the futures."""
    terms, hours = _terms(market, limits), slot_starts(market, limits)
    ladders = _ladders(market, futures, hours)

    def share(number: int) -> tuple[float, Array]:
        spent, rungs = 0.0, np.zeros(ladders.starts[-1])
        for future in futures[number::THREADS]:
            orders = future.orders
            spots = Spots(*np.zeros((2, len(market.product_ids))))
            delay = future.weight * delay_cost
            on_spot, rate = _savings(
                orders.product, orders.at, orders.quantity, delay, terms, spots
            )
            group = _group_of(market, future, hours)
            _climb(group, orders.quantity, rate, ladders.width, ladders.starts, rungs)
            spent += on_spot - _had(market, limits, spots)
        return spent, rungs

    with ThreadPoolExecutor(THREADS) as pool:
        parts = list(pool.map(share, range(THREADS)))
    price, licensed = np.full(len(market.product_ids), np.inf), np.isfinite(terms.since)
    np.minimum.at(price, market.offer_product[licensed], terms.price[licensed])
    price[np.isinf(price)] = 0.0  # what can't be bought saves nothing
    capital = max(limits.working_capital, float(limits.committed_money(market).sum()))
    spent, saving = (sum(part) / len(futures) for part in zip(*parts, strict=True))
    return float(spent) - _most_saved(np.asarray(saving), ladders, price, capital)
