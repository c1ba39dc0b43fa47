"""What another block of units would relieve: the greedy pricing of offers, compiled.

A sampled future, served under the present plan, leaves spot orders; each has a value (the minutes
that it and those behind it would be spared, in money). A block of units at an offer and a clock
hour is worth the spot orders that it would serve, less what it costs. Integer rules (minimum,
pack, caps) hold inside the pricing, so nothing is rounded afterwards.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from planning.problem import Array

NEAR_BEST = 0.9  # a larger block within this share of the best return is preferred: fewer steps


class Unserved(NamedTuple):
    """Spot orders [M] of all futures, sorted by product, future and instant."""

    at: Array  # [M] instant
    quantity: Array  # [M] units
    value: Array  # [M] money that relieving the order is worth, its spot price included
    bounds: Array  # [N, K + 1] a product's orders of future k are bounds[k]:bounds[k + 1]


class Slots(NamedTuple):
    """Clock hours [T] at which units may become available."""

    start: Array  # [T] instant
    until: Array  # [N, T] instant at which a product's units of that slot are gone
    loses: Array  # [N, T] 1 where units left over lose value, 0 where they keep it


class Terms(NamedTuple):
    """Offers [O], grouped by product; `room` and `bought` are per offer and slot."""

    starts: Array  # [N + 1] offers of product p are starts[p]:starts[p + 1]
    unit_cost: Array  # [O]
    fill: Array  # [O]
    loss: Array  # [O]
    least: Array  # [O] smallest line, a multiple of the pack
    pack: Array  # [O]
    plan_room: Array  # [O] units still allowed in this plan
    room: Array  # [O, T] units still allowed; 0 where the slot can't be used
    bought: Array  # [O, T] units in the plan so far


class Price(NamedTuple):
    """What a block has to be worth."""

    of_money: float  # what committing one unit of money costs
    floor: float  # least gain per money committed
    most_money: float  # that one block may commit
    most_blocks: int  # of one product


class Choice(NamedTuple):
    """A block of units and its worth."""

    rate: float  # gain per money committed
    units: float
    gain: float


@numba.njit(cache=True)
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


@numba.njit(cache=True)
def _relief(
    unserved: Unserved,
    taken: Array,
    product: int,
    since: float,
    until: float,
    units: float,
    unit_cost: float,
    loss: float,
    mark: bool,
) -> float:
    """Mean gain over the futures of `units` arriving units; `mark` takes the orders they serve."""
    gain = 0.0
    bounds = unserved.bounds[product]
    futures = len(bounds) - 1
    for future in range(futures):
        begin, end = bounds[future], bounds[future + 1]
        left = units
        order = begin + np.searchsorted(unserved.at[begin:end], since)
        while order < end and left >= 1 and unserved.at[order] < until:
            wanted = unserved.quantity[order]
            if wanted <= left and not taken[order]:
                left -= wanted
                gain += unserved.value[order] - wanted * unit_cost
                if mark:
                    taken[order] = True
            order += 1
        gain -= left * unit_cost * loss
    return gain / futures


@numba.njit(cache=True)
def _best_block(
    unserved: Unserved,
    slots: Slots,
    terms: Terms,
    taken: Array,
    product: int,
    offer: int,
    slot: int,
    enough: float,
    price: Price,
) -> Choice:
    """The block size of one offer and slot with the best return, doubling from the smallest."""
    cost = terms.unit_cost[offer]
    units = terms.pack[offer] if terms.bought[offer, slot] > 0 else terms.least[offer]
    affordable = max(price.most_money / max(cost, 1e-9), units)  # the smallest line always is
    most = min(terms.room[offer, slot], terms.plan_room[offer], affordable)
    most = np.floor(most / terms.pack[offer]) * terms.pack[offer]
    best = Choice(0.0, 0.0, 0.0)
    while units <= most:
        gain = _relief(
            unserved,
            taken,
            product,
            slots.start[slot],
            slots.until[product, slot],
            units * terms.fill[offer],
            cost,
            terms.loss[offer] * slots.loses[product, slot],
            False,
        )
        gain -= units * cost * price.of_money
        rate = gain / max(units * cost, 1e-9)
        if rate > best.rate or (best.rate > 0 and rate > NEAR_BEST * best.rate):
            best = Choice(rate, units, gain)
        if units * terms.fill[offer] > enough or units == most:
            break
        units = min(2 * units, most)
    return best


@numba.njit(cache=True)
def _price_product(
    unserved: Unserved,
    slots: Slots,
    terms: Terms,
    price: Price,
    taken: Array,
    product: int,
    blocks: Array,
) -> int:
    """Fill `blocks` [most_blocks, 5] with one product's, best return first; how many.

    Lazy greedy: taking orders can only lower the return of other blocks, so a return computed
    earlier is an upper bound and is computed anew only when it comes out on top.
    """
    first, last = terms.starts[product], terms.starts[product + 1]
    begin, end = unserved.bounds[product, 0], unserved.bounds[product, -1]
    times = len(slots.start)
    futures = unserved.bounds.shape[1] - 1
    enough = unserved.quantity[begin:end].sum() / futures * 2 + 1
    rate = np.zeros((last - first) * times)
    for order in range(begin, end):  # an hour without orders is no better than a later one
        slot = np.searchsorted(slots.start, unserved.at[order], side="right") - 1
        rate[max(slot, 0) :: times] = np.inf
    units = np.zeros(len(rate))
    gain = np.zeros(len(rate))
    fresh = np.zeros(len(rate), dtype=np.bool_)
    count = 0
    while count < price.most_blocks:
        cell = int(np.argmax(rate))
        offer, slot = first + cell // times, cell % times
        if rate[cell] <= price.floor:
            break
        if not fresh[cell]:
            choice = _best_block(unserved, slots, terms, taken, product, offer, slot, enough, price)
            rate[cell], units[cell], gain[cell] = choice
            fresh[cell] = True
            continue
        _relief(
            unserved,
            taken,
            product,
            slots.start[slot],
            slots.until[product, slot],
            units[cell] * terms.fill[offer],
            terms.unit_cost[offer],
            0.0,
            True,
        )
        blocks[count, 0], blocks[count, 1], blocks[count, 2] = offer, slot, units[cell]
        blocks[count, 3], blocks[count, 4] = gain[cell], units[cell] * terms.unit_cost[offer]
        terms.bought[offer, slot] += units[cell]
        terms.room[offer, slot] -= units[cell]
        terms.plan_room[offer] -= units[cell]
        count += 1
        fresh[:] = False
        if slot > 0 and terms.room[offer, slot] < terms.pack[offer]:
            rate[cell - 1] = np.inf  # the hour is full: the hour before may stock up for it
    return count


@numba.njit(cache=True)
def price_blocks(unserved: Unserved, slots: Slots, terms: Terms, price: Price) -> Array:
    """Blocks worth adding, product by product, best return first.

    `room`, `plan_room` and `bought` of the terms are drawn down as blocks are found: pass copies.

    Returns
    -------
    [B, 5] offer, slot, units, gain, money; products in table order.
    """
    products = len(unserved.bounds)
    blocks = np.empty((products * price.most_blocks, 5))
    taken = np.zeros(len(unserved.at), dtype=np.bool_)
    count = 0
    for product in range(products):
        wanted = unserved.bounds[product, -1] > unserved.bounds[product, 0]
        if wanted and terms.starts[product + 1] > terms.starts[product]:
            count += _price_product(unserved, slots, terms, price, taken, product, blocks[count:])
    return blocks[:count]
