"""A product's lines gathered into few large ones that earn a better price tier, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from planning.pricing import Tiers, line_money
from planning.problem import HOUR, Array


class Sizes(NamedTuple):
    """What lines of offers [O] may hold."""

    least: Array  # [O] smallest line, a multiple of the pack
    pack: Array  # [O]


class Hours(NamedTuple):
    """Clock hours [T] at which units may become available."""

    start: Array  # [T] instant
    until: Array  # [N, T] instant at which a product's units of that slot are gone


class Room(NamedTuple):
    """Units that this plan may hold at most."""

    hour: Array  # [O, T] in a line
    plan: Array  # [O] in all lines of an offer


@numba.njit(cache=True, nogil=True)
def gathered(
    units: Array,
    rows: Array,
    starts: Array,
    tiers: Tiers,
    unit_cost: Array,
    sizes: Sizes,
    hours: Hours,
    room: Room,
) -> Array:
    """[O, T] units in which products whose offers have price tiers buy at one of them alone.

    Each line takes all that is wanted of the product while its units live, is rounded up to its
    minimum, to packs and to the next tier where that is cheaper, and grows by what is saved.
    Products for which no offer makes that cheaper keep their lines.

    Parameters
    ----------
    units
        [O, T] held now.
    rows, starts
        Offers of product p are rows[starts[p]:starts[p + 1]].
    """
    found = units.copy()
    for product in range(len(starts) - 1):
        own = rows[starts[product] : starts[product + 1]]
        paid = 0.0
        for offer in own:
            paid += _money(tiers, unit_cost, offer, units[offer])
        least_paid = paid
        for offer in own:
            if tiers.starts[offer] == tiers.starts[offer + 1]:
                continue
            held = _at_one_offer(units, own, offer, product, tiers, unit_cost, sizes, hours)
            money = _money(tiers, unit_cost, offer, held)
            if money >= least_paid or not _fits(held, room, offer):
                continue
            least_paid = money
            pack = sizes.pack[offer]
            more = np.floor(held * (paid / money) / pack) * pack
            for each in own:
                found[each] = 0.0
            found[offer] = more if _fits(more, room, offer) else held
    return found


@numba.njit(cache=True, nogil=True)
def _at_one_offer(
    units: Array,
    own: Array,
    offer: int,
    product: int,
    tiers: Tiers,
    unit_cost: Array,
    sizes: Sizes,
    hours: Hours,
) -> Array:
    """[T] units of the fewest lines of `offer` that bring what all lines of `own` bring."""
    held = np.zeros(units.shape[1])
    host = -1
    for slot in range(units.shape[1]):
        wanted = 0.0
        for each in own:
            wanted += units[each, slot]
        if wanted > 0:
            if host < 0 or hours.until[product, host] < hours.start[slot] + HOUR:
                host = slot
            held[host] += wanted
    pack = sizes.pack[offer]
    for slot in range(len(held)):
        if held[slot] > 0:
            line = max(np.ceil(held[slot] / pack) * pack, sizes.least[offer])
            held[slot] = line
            now = line_money(tiers, offer, unit_cost[offer], line)
            for tier in range(tiers.starts[offer], tiers.starts[offer + 1]):
                reach = np.ceil(tiers.least[tier] / pack) * pack
                cost = line_money(tiers, offer, unit_cost[offer], reach)
                if reach > line and cost < now:
                    held[slot], now = reach, cost
    return held


@numba.njit(cache=True, nogil=True)
def _money(tiers: Tiers, unit_cost: Array, offer: int, held: Array) -> float:
    money = 0.0
    for line in held:
        if line > 0:
            money += line_money(tiers, offer, unit_cost[offer], line)
    return money


@numba.njit(cache=True, nogil=True)
def _fits(held: Array, room: Room, offer: int) -> bool:
    return bool((held <= room.hour[offer]).all() and held.sum() <= room.plan[offer])
