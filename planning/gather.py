"""A product's lines gathered into few large ones that earn a better price tier, compiled."""

from __future__ import annotations

import numba
import numpy as np

from planning.pricing import Slots, Terms, line_money
from planning.problem import HOUR, Array


@numba.njit(cache=True, nogil=True)
def gathered(slots: Slots, terms: Terms) -> Array:
    """[O, T] units in which products whose offers have price tiers buy at one of them alone.

    Each line takes all that is wanted of the product while its units live, is rounded up to its
    minimum, to packs and to the next tier where that is cheaper, and grows by what is saved.
    Products for which no offer makes that cheaper keep their lines.

    Parameters
    ----------
    terms
        `bought` is held now; `room` and `plan_room` are what may be held in all.
    """
    units, tiers = terms.bought, terms.tiers
    found = units.copy()
    for product in range(len(terms.starts) - 1):
        own = terms.rows[terms.starts[product] : terms.starts[product + 1]]
        paid = 0.0
        for offer in own:
            paid += _money(terms, offer, units[offer])
        least_paid = paid
        for offer in own:
            if tiers.starts[offer] == tiers.starts[offer + 1]:
                continue
            held = _at_one_offer(slots, terms, own, offer, product)
            money = _money(terms, offer, held)
            if money >= least_paid or not _fits(held, terms, offer):
                continue
            least_paid = money
            pack = terms.pack[offer]
            more = np.floor(held * (paid / money) / pack) * pack
            for each in own:
                found[each] = 0.0
            found[offer] = more if _fits(more, terms, offer) else held
    return found


@numba.njit(cache=True, nogil=True)
def _at_one_offer(slots: Slots, terms: Terms, own: Array, offer: int, product: int) -> Array:
    """[T] units of the fewest lines of `offer` that bring what all lines of `own` bring."""
    held = np.zeros(len(slots.start))
    host = -1
    for slot in range(len(held)):
        wanted = 0.0
        for each in own:
            wanted += terms.bought[each, slot]
        if wanted > 0:
            if host < 0 or slots.until[product, host] < slots.start[slot] + HOUR:
                host = slot
            held[host] += wanted
    tiers, pack = terms.tiers, terms.pack[offer]
    for slot in range(len(held)):
        if held[slot] > 0:
            line = max(np.ceil(held[slot] / pack) * pack, terms.least[offer])
            held[slot] = line
            now = line_money(tiers, offer, terms.unit_cost[offer], line)
            for tier in range(tiers.starts[offer], tiers.starts[offer + 1]):
                reach = np.ceil(tiers.least[tier] / pack) * pack
                cost = line_money(tiers, offer, terms.unit_cost[offer], reach)
                if reach > line and cost < now:
                    held[slot], now = reach, cost
    return held


@numba.njit(cache=True, nogil=True)
def _money(terms: Terms, offer: int, held: Array) -> float:
    money = 0.0
    for line in held:
        if line > 0:
            money += line_money(terms.tiers, offer, terms.unit_cost[offer], line)
    return money


@numba.njit(cache=True, nogil=True)
def _fits(held: Array, terms: Terms, offer: int) -> bool:
    return bool((held <= terms.room[offer]).all() and held.sum() <= terms.plan_room[offer])
