"""Choose a small plan's lines anew, product by product, by local search over whole sets of lines.

Greedy blocks are judged one by one: two lines that would earn a price tier together, or one that
should come an hour earlier from another supplier, are not found. Here a product's lines are taken
away, the futures are served without them, and the search starts from what they were: every line is
resized, dropped, merged with the next or moved, in whole or in part, to another hour or offer, and
new ones are tried, as long as that lowers what the product's orders and lines cost.

Products share the money, and the one searched last gets what the others leave. So the search is
repeated from plans with less of one product, which then comes last, and from plans made from
nothing where money has a price: near the one at which they just spend it all (Everett 1963).

That takes many passes over the orders: it is for markets whose integer rules weigh more than their
number of orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numba
import numpy as np

from planning.allocation import Allocation, Purse
from planning.polish import costs_of
from planning.pricing import Slots, Terms, Unserved, line_price
from planning.problem import Array
from planning.simulate import Simulator
from planning.spot import take

MOST_WORK = 30_000  # products × orders of all futures of a market that is small
MOST_TRIALS = 20_000  # sets of lines tried for a product in one search
SWEEPS = 5  # at most, until nothing is found
ENOUGH = 1e-4  # of what a plan costs: a sweep that saves less is the last
KEPT = (0.0, 0.5)  # of a product's lines, while the others are searched
HOPELESS = 1.01  # a plan that costs so many times the best is not searched on
DEAREST = 3.0  # price of a unit of money, in mean returns, that is above any worth paying
PRICES = 8  # of money, tried by halving
CHANGE = 0.01  # of the working capital: a plan that leaves less spends all of it
STEP = 8  # a line is made larger and smaller by a pack and by one part in so many
HOURS = (-3, -2, -1, 1, 2, 3)  # by which a line is moved


@numba.njit(cache=True, nogil=True)
def _worth(unserved: Unserved, slots: Slots, terms: Terms, product: int, held: Array) -> float:
    """Mean value of the orders that lines `held` [offers, T] serve, less what the lines cost."""
    offers, times = held.shape
    most = int((held > 0).sum())
    rows = terms.rows[terms.starts[product] : terms.starts[product + 1]]
    since, until, price, keep = np.empty((4, most))
    bought, offer_of = np.empty(most), np.empty(most, dtype=np.int64)
    left, head = np.empty(most, dtype=np.int64), np.zeros(1, dtype=np.int64)
    lines, worth = 0, 0.0
    for slot in range(times):  # by expiry
        for place in range(offers):
            units, offer = held[place, slot], rows[place]
            if units > 0:
                cost = line_price(terms.tiers, offer, terms.unit_cost[offer], units)
                since[lines], until[lines] = slots.ready[offer, slot], slots.until[product, slot]
                price[lines], bought[lines], offer_of[lines] = cost, units, offer
                keep[lines] = cost * (1 - terms.loss[offer] * slots.loses[product, slot])
                worth -= units * cost * terms.money_cost[offer]
                lines += 1
    fill = unserved.fill
    futures = len(fill)
    for future in range(futures):
        for line in range(lines):
            left[line] = np.int64(np.round(bought[line] * fill[future, offer_of[line]]))
            worth -= left[line] * price[line] / futures
        head[0] = 0
        for order in range(unserved.bounds[product, future], unserved.bounds[product, future + 1]):
            at, wanted = unserved.at[order], unserved.quantity[order]
            if unserved.taken[order]:
                continue
            if take(left, since, until, head, 0, lines, at, wanted) >= 0:
                worth += unserved.value[order] / futures
        for line in range(lines):
            worth += left[line] * keep[line] / futures
    return worth


@numba.njit(cache=True, nogil=True)
def _fits(
    terms: Terms, product: int, held: Array, room: Array, supplier: Array, purse: Purse
) -> bool:
    """Whether lines `held` [offers, T] keep every rule, with what `purse` has spent elsewhere."""
    spent = purse.spent.copy()
    for place in range(held.shape[0]):
        offer, total = terms.rows[terms.starts[product] + place], 0.0
        for slot in range(held.shape[1]):
            units = held[place, slot]
            if units > 0:
                if units < terms.least[offer] or units > room[place, slot]:
                    return False
                total += units
                price = line_price(terms.tiers, offer, terms.unit_cost[offer], units)
                spent[supplier[offer]] += units * price
        if total > terms.plan_room[offer]:
            return False
    over = (spent > purse.spent) & (spent > purse.caps)
    return not over.any() and spent.sum() <= purse.cash


@numba.njit(cache=True, nogil=True)
def _put(moves: Array, count: int, units: float, row: int, column: int, other_units: float) -> int:
    """Write one move; how many there are now."""
    moves[count, 0], moves[count, 1], moves[count, 2] = units, row, column
    moves[count, 3] = other_units
    return count + 1


@numba.njit(cache=True, nogil=True)
def _sizes(terms: Terms, offer: int, place: int, slot: int, units: float, moves: Array) -> int:
    """Fill `moves` with other sizes of a line; how many."""
    pack, count = terms.pack[offer], 0
    step = max(np.round(units / (STEP * pack)), 2.0) * pack
    for size in (0.0, units - pack, units + pack, units - step, units + step, 2 * units):
        count = _put(moves, count, size, place, slot, size)
    count = _put(moves, count, terms.least[offer], place, slot, terms.least[offer])
    for tier in range(terms.tiers.starts[offer], terms.tiers.starts[offer + 1]):
        size = np.ceil(terms.tiers.least[tier] / pack) * pack
        count = _put(moves, count, size, place, slot, size)
    return count


@numba.njit(cache=True, nogil=True)
def _moves(terms: Terms, product: int, held: Array, place: int, slot: int, moves: Array) -> int:
    """Fill `moves` [F, 4] with what could become of a line, or of an hour without one; how many.

    Each row: its units, then the row, column and units of one other line of `held`, or its own.
    """
    rows = terms.rows[terms.starts[product] : terms.starts[product + 1]]
    units, offer, times = held[place, slot], rows[place], held.shape[1]
    pack = terms.pack[offer]
    count = _sizes(terms, offer, place, slot, units, moves)
    if units == 0:
        return count
    for moved in (units, np.round(units / (2 * pack)) * pack, pack):
        for hours in HOURS:
            to = slot + hours
            if 0 <= to < times:
                count = _put(moves, count, units - moved, place, to, held[place, to] + moved)
        for other in range(len(rows)):
            if other != place:
                packs = np.ceil((held[other, slot] + moved) / terms.pack[rows[other]])
                size = max(packs * terms.pack[rows[other]], terms.least[rows[other]])
                count = _put(moves, count, units - moved, other, slot, size)
    for later in range(slot + 1, times):
        if held[place, later] > 0:
            return _put(moves, count, units + held[place, later], place, later, 0.0)
    return count


@numba.njit(cache=True, nogil=True)
def improve(
    unserved: Unserved,
    slots: Slots,
    terms: Terms,
    supplier: Array,
    purse: Purse,
    product: int,
    held: Array,
    room: Array,
) -> None:
    """Change a product's lines `held` [offers, T] in place until no single move makes them better.

    Parameters
    ----------
    unserved
        The orders of all futures, served without the product's lines.
    purse
        What may be spent, and what other products' lines commit.
    room
        [offers, T] units that an hour allows.
    """
    offers, times = held.shape
    tiers = np.diff(terms.tiers.starts).max()
    moves = np.empty((8 + tiers + 3 * (len(HOURS) + offers), 4))
    best = _worth(unserved, slots, terms, product, held)
    tried, last, cell = 0, 0, 0
    while cell - last < offers * times and tried < MOST_TRIALS:
        slot, place = divmod(cell % (offers * times), offers)
        cell += 1
        move, count = 0, _moves(terms, product, held, place, slot, moves)
        while move < count:
            row, column = int(moves[move, 1]), int(moves[move, 2])
            own, other = held[place, slot], held[row, column]
            same = moves[move, 0] == own and moves[move, 3] == other
            held[row, column], held[place, slot] = moves[move, 3], moves[move, 0]
            move += 1
            if (
                not same
                and held[place, slot] >= 0
                and _fits(terms, product, held, room, supplier, purse)
            ):
                worth = _worth(unserved, slots, terms, product, held)
                tried += 1
                if worth > best + 1e-9 * abs(best):
                    best, last = worth, cell - 1
                    move, count = 0, _moves(terms, product, held, place, slot, moves)
                    continue
            held[row, column], held[place, slot] = other, own


class Exchange:
    """The search over a plan in the making, which it improves in place."""

    def __init__(self, allocation: Allocation, simulator: Simulator, minute_price: float) -> None:
        self.allocation, self.simulator = allocation, simulator
        self.minute_price = minute_price
        self.products = range(len(allocation.market.product_ids))
        self.known: dict[bytes, float] = {}  # cost by units: many searches end in the same plan
        self.found: dict[tuple[bytes, int, float], Array] = {}  # a product's lines, see `_renewed`
        self.cost = self._cost(allocation.units)

    def run(self) -> None:
        """Search until a sweep finds nothing more."""
        self._search(self.products)
        for _ in range(SWEEPS):
            before = self.cost
            for product in self.products:
                for kept in KEPT:
                    self._again_with_less(product, kept)
            self._again_priced()
            if before - self.cost < ENOUGH * before:
                break
        self.allocation.replace(self.allocation.units)

    def _again_with_less(self, product: int, kept: float) -> None:
        """Search from a part of a product's lines: first the others, those behind it before."""
        allocation, units = self.allocation, self.allocation.units.copy()
        mine = allocation.market.offer_product == product
        pack = allocation.market.pack_size[mine][:, None]
        fewer = np.floor(kept * units[mine] / pack) * pack
        units[mine] = np.where(fewer >= allocation.least[mine, None], fewer, 0.0)
        self._try(units, [*self.products[product + 1 :], *self.products[: product + 1]])

    def _again_priced(self) -> None:
        """Search from plans made from nothing for priced money: dearer where it is all spent."""
        none = np.zeros_like(self.allocation.units)
        money = self.allocation.money().sum()
        low, high = 0.0, DEAREST * (self._cost(none) - self.cost) / max(money, 1e-9)
        for _ in range(PRICES):
            price = (low + high) / 2
            units = none
            for product in self.products:
                units = self._renewed(units, product, price)
            with self._holding(units) as allocation:
                left = allocation.money_left()
            if left < CHANGE * self.allocation.limits.working_capital:
                low = price
            else:
                high = price
            self._try(units, self.products)

    def _try(self, units: Array, first: Iterable[int]) -> None:
        """Search from these units, in that order and then in the usual; keep what is better."""
        held, cost = self.allocation.units, self.cost
        self.allocation.units, self.cost = units, self._cost(units)
        self._search(first)
        if self.cost < HOPELESS * cost:
            self._search(self.products)
        if self.cost >= cost:
            self.allocation.units, self.cost = held, cost

    def _search(self, products: Iterable[int]) -> None:
        """Renew one product after the other, where that is better for all."""
        for product in products:
            units = self._renewed(self.allocation.units, product)
            cost = self._cost(units)
            if cost < self.cost:
                self.allocation.units, self.cost = units, cost

    def _cost(self, units: Array) -> float:
        """Money that the plan and all orders cost; inf = a supplier has more than its share."""
        key = units.tobytes()
        if key not in self.known:
            with self._holding(units) as allocation:
                self.known[key] = (
                    np.inf
                    if allocation.over_share()
                    else costs_of(allocation, self.simulator, self.minute_price).total
                )
        return self.known[key]

    def _renewed(self, units: Array, product: int, money_price: float = 0.0) -> Array:
        """The units with one product's lines improved, the others as they are."""
        rows, starts = self.simulator.market.by_product
        rows, renewed = rows[starts[product] : starts[product + 1]], units.copy()
        key = units.tobytes(), product, money_price
        if key not in self.found:
            self.found[key] = self._improved(units, product, rows, money_price)
        renewed[rows] = self.found[key]
        return renewed

    def _improved(self, units: Array, product: int, rows: Array, money_price: float) -> Array:
        """A product's lines [offers, T], those of the offers `rows`, made better."""
        lines, others = units[rows], units.copy()
        others[rows] = 0.0
        with self._holding(others) as allocation:
            outcomes = self.simulator.serve(allocation.plan())
            terms = allocation.terms()
            improve(
                self.simulator.unserved(outcomes, self.minute_price),
                allocation.slots(),
                terms._replace(money_cost=terms.money_cost + money_price),
                self.simulator.market.offer_supplier,
                allocation.purse(),
                product,
                lines,
                allocation.room()[rows],
            )
        return lines

    @contextmanager
    def _holding(self, units: Array) -> Iterator[Allocation]:
        """The allocation as if it held these units."""
        held, self.allocation.units = self.allocation.units, units
        try:
            yield self.allocation
        finally:
            self.allocation.units = held


def exchange(allocation: Allocation, simulator: Simulator, minute_price: float) -> None:
    """Improve the plan of a small market; that of a larger one stays as it is.

    `minute_price` is the money that a weighted minute is worth. No rule is broken that holds.
    """
    market = simulator.market
    if len(market.unit_cost) and len(market.product_ids) * len(simulator.at) <= MOST_WORK:
        Exchange(allocation, simulator, minute_price).run()
