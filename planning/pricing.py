"""What another block of units would relieve: the greedy pricing of offers, compiled.

A sampled future, served under the present plan, leaves spot orders; each has a value (the minutes
that it and those behind it would be spared, in money). A block of units at an offer and a clock
hour is worth the spot orders that it would serve, less what it costs. Integer rules (minimum,
pack, caps, price tiers) hold inside the pricing, so nothing is rounded afterwards.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np

from planning.problem import Array

NEAR_BEST = 0.97  # a larger block within this share of the best return is preferred: fewer steps
FADED = 0.5  # share of the best return below which no larger block is tried
KEEP = 1.5  # a unit of the previous plan is given up for one of this many times its return
STALE = 1.25  # a return of an earlier round may have grown by this factor since
THREADS = 2  # of the pricing; the result doesn't depend on them


class Unserved(NamedTuple):
    """Orders [M] of all futures, sorted by product, future and instant."""

    at: Array  # [M] instant
    quantity: Array  # [M] units
    value: Array  # [M] money that relieving a spot order is worth, its spot price included
    taken: Array  # [M] True where nothing is to be relieved: served from ready units, or by nobody
    stock_until: Array  # [M] expiry of the stock on hand that serves the order; -inf = none does
    bounds: Array  # [N, K + 1] a product's orders of future k are bounds[k]:bounds[k + 1]
    fill: Array  # [K, O] share of an offer's units that arrives in each future


class Slots(NamedTuple):
    """Clock hours [T] at which units may become available."""

    start: Array  # [T] instant
    ready: Array  # [O, T] instant at which an offer's units of that slot can be ready
    until: Array  # [N, T] instant at which a product's units of that slot are gone
    loses: Array  # [N, T] 1 where units left over lose value, 0 where they keep it


class Tiers(NamedTuple):
    """Price tiers [J], grouped by offer and sorted by quantity."""

    starts: Array  # [O + 1] tiers of offer o are starts[o]:starts[o + 1]
    least: Array  # [J] units of a line that earn the price
    price: Array  # [J] money a unit


class Terms(NamedTuple):
    """Offers [O] as they stand; `room` and `bought` are per offer and slot."""

    starts: Array  # [N + 1] offers of product p are rows[starts[p]:starts[p + 1]]
    rows: Array  # [O] offers, grouped by product
    unit_cost: Array  # [O]
    money_cost: Array  # [O] what committing one unit of money costs
    fill: Array  # [O]
    loss: Array  # [O]
    least: Array  # [O] smallest line, a multiple of the pack
    pack: Array  # [O]
    plan_room: Array  # [O] units still allowed in this plan
    left: Array  # [O] money still allowed at the offer's supplier
    room: Array  # [O, T] units still allowed; 0 where the slot can't be used
    bought: Array  # [O, T] units in the plan so far
    previous: Array  # [O, T] units in the plan before this one
    tiers: Tiers


class Price(NamedTuple):
    """What a block has to be worth."""

    floor: float  # least gain per money committed
    most_money: float  # that a block above the smallest may commit, or one product's blocks
    cash: float  # money that is left: no block may commit more


class Choice(NamedTuple):
    """A block of units and its worth."""

    rate: float  # gain per money committed
    units: float
    gain: float


@numba.njit(cache=True, nogil=True)
def line_price(tiers: Tiers, offer: int, unit_cost: float, units: float) -> float:
    """Price of each unit of a line of that many units, tiers considered (all-units)."""
    price = unit_cost
    for tier in range(tiers.starts[offer], tiers.starts[offer + 1]):
        if units < tiers.least[tier]:
            break
        price = min(price, tiers.price[tier])
    return price


@numba.njit(cache=True, nogil=True)
def line_money(tiers: Tiers, offer: int, unit_cost: float, units: float) -> float:
    """Money that a line of that many units commits."""
    money: float = units * line_price(tiers, offer, unit_cost, units)
    return money


@numba.njit(cache=True, nogil=True)
def waiting_behind(
    wait: Array, source: Array, supplier_of: Array, service: Array, weight: Array, channels: Array
) -> Array:
    """Minutes spared [M] if an order had not gone to spot, weighted over all who gain.

    Its own minutes, and its service time divided by the channels for each later order of the same
    supplier that waits within the same busy spell (the first-order effect of one job in a
    first-come-first-served queue).
    """
    spared = np.zeros(len(wait))
    behind = np.zeros(len(channels))
    for order in range(len(wait) - 1, -1, -1):
        if source[order] < 0:
            continue
        supplier = supplier_of[source[order]]
        own = weight[order] * (wait[order] + service[order])
        spared[order] = own + service[order] / channels[supplier] * behind[supplier]
        behind[supplier] = behind[supplier] + weight[order] if wait[order] > 0 else 0.0
    return spared


@numba.njit(cache=True, nogil=True)
def _arriving(unserved: Unserved, offer: int, bought: float, units: float) -> Array:
    """[K] whole units more that arrive in each future if a line has `units` more."""
    fill = unserved.fill[:, offer]
    more: Array = np.round((bought + units) * fill) - np.round(bought * fill)
    return more


@numba.njit(cache=True, nogil=True)
def relief(
    unserved: Unserved, product: int, since: float, until: float, arriving: Array, mark: bool
) -> tuple[float, float]:
    """Mean value of the orders that `arriving` [K] units serve, and mean units left over.

    Units that expire before stock on hand are used before it. The stock that they spare serves
    later orders; what is left of it at last is worth nothing. `mark` takes the orders that gain.
    """
    value, left_over = 0.0, 0.0
    bounds = unserved.bounds[product]
    futures = len(bounds) - 1
    for future in range(futures):
        begin, end = bounds[future], bounds[future + 1]
        left, stocked = arriving[future], 0.0
        first = order = begin + np.searchsorted(unserved.at[begin:end], since)
        while order < end and left >= 1 and unserved.at[order] < until:
            if not unserved.taken[order]:
                wanted = unserved.quantity[order]
                if wanted <= left:
                    left -= wanted
                    value += unserved.value[order]
                    if mark:
                        unserved.taken[order] = True
            elif unserved.stock_until[order] > until:
                stocked += unserved.quantity[order]
            order += 1
        spared = min(left, stocked)
        left_over += left - spared
        if spared >= 1:
            value += _relief_by_stock(unserved, first, order, end, until, spared, mark)
    return value / futures, left_over / futures


@numba.njit(cache=True, nogil=True)
def _relief_by_stock(
    unserved: Unserved, first: int, after: int, end: int, until: float, spared: float, mark: bool
) -> float:
    """Value of the orders from `after` on that `spared` units of stock on hand serve.

    Units that expire at `until` spare it by serving stock's orders from `first` on.
    """
    value, order, expires, left = 0.0, after, -np.inf, spared
    for served in range(first, after):
        if left > 0 and unserved.stock_until[served] > until:
            left -= unserved.quantity[served]
            expires = unserved.stock_until[served]
            if mark:
                unserved.stock_until[served] = -np.inf
    while order < end and spared >= 1 and unserved.at[order] < expires:
        wanted = unserved.quantity[order]
        if not unserved.taken[order] and wanted <= spared:
            spared -= wanted
            value += unserved.value[order]
            if mark:
                unserved.taken[order] = True
        order += 1
    return value


@numba.njit(cache=True, nogil=True)
def _next_size(
    terms: Terms, offer: int, bought: float, before: float, units: float, enough: float
) -> float:
    """The size to try after `units`: twice that, or less.

    Neither the size of the previous plan nor the next price tier is jumped over. Beyond `enough`
    only a tier's size is left to try; 0 = none.
    """
    size = 0.0 if units * terms.fill[offer] > enough else 2 * units
    if units < before - bought < size:
        size = before - bought
    tiers, pack = terms.tiers, terms.pack[offer]
    for tier in range(tiers.starts[offer], tiers.starts[offer + 1]):
        reach = np.ceil((tiers.least[tier] - bought) / pack) * pack
        if reach > units:
            size = reach if size == 0.0 else min(size, reach)
            break
    return size


@numba.njit(cache=True, nogil=True)
def _best_block(
    unserved: Unserved,
    slots: Slots,
    terms: Terms,
    product: int,
    offer: int,
    slot: int,
    enough: float,
    price: Price,
) -> Choice:
    """The block size of one offer and slot with the best return, doubling from the smallest."""
    base, bought = terms.unit_cost[offer], terms.bought[offer, slot]
    planned = terms.previous[offer, slot]
    before = line_money(terms.tiers, offer, base, bought)
    units = terms.pack[offer] if bought > 0 else terms.least[offer]
    room = min(terms.room[offer, slot], terms.plan_room[offer])
    most = np.floor(room / terms.pack[offer]) * terms.pack[offer]
    keep = 1 - terms.loss[offer] * slots.loses[product, slot]
    smallest = units
    last = terms.tiers.starts[offer + 1] - 1
    last_tier = terms.tiers.least[last] if last >= terms.tiers.starts[offer] else 0.0
    best = Choice(0.0, 0.0, 0.0)
    while 0 < units <= most:
        cost = line_price(terms.tiers, offer, base, bought + units)
        money = (bought + units) * cost - before
        if money > min(price.cash, terms.left[offer]):
            break
        if money > price.most_money and units > smallest:
            break
        arriving = _arriving(unserved, offer, bought, units)
        value, left = relief(
            unserved, product, slots.ready[offer, slot], slots.until[product, slot], arriving, False
        )
        paid = money * arriving.mean() / units
        gain = value - paid + left * cost * keep - money * terms.money_cost[offer]
        if planned > bought:
            gain *= 1 + (KEEP - 1) * min((planned - bought) / units, 1.0)
        rate = gain / max(money, 1e-9)
        if rate > best.rate or (best.rate > 0 and rate > NEAR_BEST * best.rate):
            best = Choice(rate, units, gain)
        if best.rate > 0 and rate < FADED * best.rate and bought + units >= last_tier:
            break
        larger = _next_size(terms, offer, bought, planned, units, enough)
        units = min(larger, most) if units < most else 0.0
    return best


@numba.njit(cache=True, nogil=True)
def _dearest(unserved: Unserved, slots: Slots, product: int) -> Array:
    """[T] greatest value per unit of the orders that come in each hour; 0 = none comes."""
    dearest = np.zeros(len(slots.start))
    for order in range(unserved.bounds[product, 0], unserved.bounds[product, -1]):
        if not unserved.taken[order]:
            slot = max(np.searchsorted(slots.start, unserved.at[order], side="right") - 1, 0)
            value = unserved.value[order] / unserved.quantity[order]
            dearest[slot] = max(dearest[slot], value)
    return dearest


@numba.njit(cache=True, nogil=True)
def _bound_returns(
    unserved: Unserved, slots: Slots, terms: Terms, product: int, rate: Array
) -> None:
    """Lower the bounds on returns [offers × T] to what the dearest order in reach allows.

    An hour without orders is no better than a later one and gets 0, unless that one is full: then
    it may stock up for it.
    """
    times = len(slots.start)
    dearest = _dearest(unserved, slots, product)
    first, last = terms.starts[product], terms.starts[product + 1]
    for place in range(first, last):
        offer = terms.rows[place]
        cheapest = line_price(terms.tiers, offer, terms.unit_cost[offer], np.inf)
        wanted = False
        for slot in range(times - 1, -1, -1):
            wanted = wanted or dearest[slot] > 0
            cell = (place - first) * times + slot
            if not wanted or terms.room[offer, slot] < terms.pack[offer]:
                rate[cell] = 0.0
                continue
            wanted = False
            reach, later = 0.0, slot
            while later < times and slots.start[later] < slots.until[product, slot]:
                reach = max(reach, dearest[later])
                later += 1
            most = max(reach / max(cheapest, 1e-9) - 1, 0.0) - terms.money_cost[offer]
            if terms.previous[offer, slot] > terms.bought[offer, slot]:
                most *= KEEP
            rate[cell] = min(rate[cell], max(most, 0.0))


@numba.njit(cache=True, nogil=True)
def _price_product(
    unserved: Unserved,
    slots: Slots,
    terms: Terms,
    price: Price,
    product: int,
    returns: Array,
    blocks: Array,
    count: int,
) -> tuple[Array, int]:
    """Add one product's blocks to the first `count` of `blocks` [B, 5]; all of them, and how many.

    Best return first, until they cost what a round may spend.

    Lazy greedy: taking orders can only lower the return of other blocks, so a return computed
    earlier is an upper bound and is computed anew only when it comes out on top. Those of the
    round before are bounds too, a little raised.
    """
    first, last = terms.starts[product], terms.starts[product + 1]
    begin, end = unserved.bounds[product, 0], unserved.bounds[product, -1]
    times = len(slots.start)
    futures = unserved.bounds.shape[1] - 1
    enough = unserved.quantity[begin:end].sum() / futures * 2 + 1
    size = (last - first) * times
    rate, units, gain = np.zeros(size), np.zeros(size), np.zeros(size)
    fresh = np.zeros(size, dtype=np.bool_)
    for place in range(first, last):
        rate[(place - first) * times : (place - first + 1) * times] = returns[terms.rows[place]]
    known = rate.copy()
    _bound_returns(unserved, slots, terms, product, rate)
    before_it, money = count, 0.0
    while money < price.most_money:
        cell = int(np.argmax(rate))
        offer, slot = terms.rows[first + cell // times], cell % times
        if rate[cell] <= price.floor:
            break
        if not fresh[cell]:
            left = Price(price.floor, price.most_money, price.cash - money)
            choice = _best_block(unserved, slots, terms, product, offer, slot, enough, left)
            rate[cell], units[cell], gain[cell] = choice
            if count == before_it:
                known[cell] = STALE * choice.rate
            fresh[cell] = True
            continue
        bought = terms.bought[offer, slot]
        arriving = _arriving(unserved, offer, bought, units[cell])
        relief(
            unserved, product, slots.ready[offer, slot], slots.until[product, slot], arriving, True
        )
        before = line_money(terms.tiers, offer, terms.unit_cost[offer], bought)
        terms.bought[offer, slot] += units[cell]
        after = line_money(terms.tiers, offer, terms.unit_cost[offer], terms.bought[offer, slot])
        if count == len(blocks):
            blocks = np.concatenate((blocks, np.empty_like(blocks)))
        blocks[count, 0], blocks[count, 1], blocks[count, 2] = offer, slot, units[cell]
        blocks[count, 3], blocks[count, 4] = gain[cell], after - before
        money += after - before
        terms.left[offer] -= after - before
        terms.room[offer, slot] -= units[cell]
        terms.plan_room[offer] -= units[cell]
        count += 1
        fresh[:] = False
        if slot > 0 and terms.room[offer, slot] < terms.pack[offer]:
            rate[cell - 1] = np.inf  # the hour is full: the hour before may stock up for it
            known[cell - 1] = np.inf
    for place in range(first, last):
        returns[terms.rows[place]] = known[(place - first) * times : (place - first + 1) * times]
    return blocks, count


@numba.njit(cache=True, nogil=True)
def _price_some(
    unserved: Unserved,
    slots: Slots,
    terms: Terms,
    price: Price,
    returns: Array,
    products: Array,
) -> Array:
    blocks = np.empty((1024, 5))
    count = blocks[:0].size  # a literal 0 would be a type of its own, compiled for alone
    for product in products:
        wanted = unserved.bounds[product, -1] > unserved.bounds[product, 0]
        if wanted and terms.starts[product + 1] > terms.starts[product]:
            blocks, count = _price_product(
                unserved, slots, terms, price, product, returns, blocks, count
            )
    return blocks[:count].copy()


def price_blocks(
    unserved: Unserved,
    slots: Slots,
    terms: Terms,
    price: Price,
    returns: Array,
    *,
    every: int = 1,
) -> Array:
    """Blocks worth adding, product by product, best return first.

    `taken` of the orders and `left`, `room`, `plan_room` and `bought` of the terms are drawn down
    as blocks are found: pass copies.

    Parameters
    ----------
    returns
        [O, T] upper bounds on the return of a first block, inf = not known; renewed in place.
    every
        Look at every n-th product only.

    Returns
    -------
    [B, 5] offer, slot, units, gain, money; products in table order.
    """
    products = np.arange(0, len(unserved.bounds), every)
    orders = unserved.bounds[products, -1]
    share = np.linspace(0, orders[-1] if len(orders) else 0, THREADS + 1)[1:-1]
    with ThreadPoolExecutor(THREADS) as pool:
        parts = [
            pool.submit(_price_some, unserved, slots, terms, price, returns, some)
            for some in np.split(products, np.searchsorted(orders, share))
        ]
        return np.concatenate([part.result() for part in parts])
