"""The spot queue and the ready units, order by order (docs/fulfilment.md), compiled.

One pass over the orders in their order of arrival. Ready units are lots, grouped by product and
sorted by expiry; a supplier's channels are a binary heap of the instants at which they are free.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from planning.problem import Array, Market, Orders, group_starts

READY_SECONDS = 5.0  # an order served from ready units is delivered after this
SERVICE_CV = 0.5  # coefficient of variation of a spot order's service time
FROM_READY, UNSERVED = -1, -2  # in place of an offer's row

SERVICE_SIGMA = float(np.sqrt(np.log1p(SERVICE_CV**2)))  # lognormal shape with that variation


def service_noise(rng: np.random.Generator, size: int) -> Array:
    """[size] lognormal factors of mean 1 and coefficient of variation 0.5."""
    return np.exp(rng.normal(-(SERVICE_SIGMA**2) / 2, SERVICE_SIGMA, size))


def require_served(market: Market, orders: Orders) -> None:
    """Refuse orders that are of other products, or out of time: compiled code asks no questions.

    Raises
    ------
    ValueError
        Where a product row isn't one of the market's, or an order came before the one ahead of it.
    """
    products = len(market.product_ids)
    if len(orders) and not 0 <= orders.product.min() <= orders.product.max() < products:
        raise ValueError(
            f"orders name product rows {orders.product.min()} to {orders.product.max()}, the "
            f"market has {products} products: make them with planning.problem.orders for it"
        )
    if (np.diff(orders.at) < 0).any() or np.isnan(orders.at).any():
        raise ValueError("orders are not in order of arrival: sort them by `at`, NaN left out")


def last_sellers(market: Market) -> Array:
    """[N] the offer of each product that may sell last, the quickest of several; UNSERVED = none.

    What a planner values an order at that nobody may serve on spot any more.
    """
    until, rows = market.qualified_until[market.offer_supplier], np.arange(len(market.unit_cost))
    ranked = np.lexsort((-rows, -market.spot_minutes, until))
    ranked = ranked[until[ranked] > -np.inf]
    last = np.full(len(market.product_ids), UNSERVED)
    last[market.offer_product[ranked]] = ranked  # the last written is the one
    return last


@numba.njit(cache=True, nogil=True)
def _occupy(free: Array, first: int, size: int, until: float) -> None:
    """Replace the soonest free channel of the heap free[first:first+size] by `until`."""
    hole = 0
    while True:
        child = 2 * hole + 1
        if child >= size:
            break
        if child + 1 < size and free[first + child + 1] < free[first + child]:
            child += 1
        if free[first + child] >= until:
            break
        free[first + hole] = free[first + child]
        hole = child
    free[first + hole] = until


@numba.njit(cache=True, nogil=True)
def take(
    left: Array, since: Array, until: Array, head: Array, product: int, end: int, t: float, q: int
) -> int:
    """Take q ready units of the product, earliest expiry first; the last lot, -1 = too few."""
    first = head[product]
    while first < end and (until[first] <= t or left[first] == 0):
        first += 1
    head[product] = first
    ready = 0
    for lot in range(first, end):
        if since[lot] <= t < until[lot]:
            ready += left[lot]
            if ready >= q:
                break
    if ready < q:
        return -1
    for lot in range(first, end):
        if since[lot] <= t < until[lot]:
            taken = min(q, left[lot])
            left[lot] -= taken
            q -= taken
            if q == 0:
                return lot
    return -1


@numba.njit(cache=True, nogil=True)
def _serve(
    at: Array,
    product: Array,
    quantity: Array,
    noise: Array,
    lot_starts: Array,
    since: Array,
    until: Array,
    left: Array,
    offer_starts: Array,
    offer_row: Array,
    offer_supplier: Array,
    spot_minutes: Array,
    qualified_until: Array,
    channel_starts: Array,
    minutes: Array,
    wait: Array,
    source: Array,
    lot: Array,
) -> None:
    free = np.full(channel_starts[-1], -np.inf)
    head = lot_starts[:-1].copy()
    for order in range(len(at)):
        t, p, q = at[order], product[order], quantity[order]
        lot[order] = take(left, since, until, head, p, lot_starts[p + 1], t, q)
        if lot[order] >= 0:
            minutes[order] = READY_SECONDS / 60
            source[order] = FROM_READY
            continue
        best, best_score, best_wait = UNSERVED, np.inf, 0.0
        for position in range(offer_starts[p], offer_starts[p + 1]):
            row = offer_row[position]
            supplier = offer_supplier[row]
            if t >= qualified_until[supplier]:
                continue
            queue = max(0.0, (free[channel_starts[supplier]] - t) / 60)
            if queue + spot_minutes[row] < best_score:
                best, best_score, best_wait = row, queue + spot_minutes[row], queue
        source[order] = best
        if best == UNSERVED:
            continue
        supplier = offer_supplier[best]
        first = channel_starts[supplier]
        minutes[order] = best_wait + spot_minutes[best] * noise[order]
        wait[order] = best_wait
        _occupy(free, first, channel_starts[supplier + 1] - first, t + minutes[order] * 60)


class Passed(NamedTuple):
    """What became of orders [M] and of lots [B] of ready units."""

    minutes: Array  # [M] until delivery; NaN = unserved
    wait: Array  # [M] minutes of it in the queue
    source: Array  # [M] row of the offer it was bought from, FROM_READY or UNSERVED
    left: Array  # [B] units never taken
    lot: Array  # [M] lot that it was taken from, of several the last to expire; -1 = from none


class SpotMarket:
    """The spot side of a market, laid out once for many passes."""

    def __init__(self, market: Market) -> None:
        self.products = len(market.product_ids)
        self.offer_row, self.offer_starts = market.by_product
        self.offer_supplier = market.offer_supplier
        self.spot_minutes = market.spot_minutes
        self.qualified_until = market.qualified_until
        self.channel_starts = np.concatenate([[0], np.cumsum(market.channels)])

    def serve(
        self,
        *,
        at: Array,
        product: Array,
        quantity: Array,
        noise: Array,
        lot_product: Array,
        since: Array,
        until: Array,
        units: Array,
    ) -> Passed:
        """Serve orders [M] from lots [B] of ready units and, failing them, from spot.

        Parameters
        ----------
        at, product, quantity
            Orders in order of arrival: instant, product row, units.
        noise
            Service-time factor of each order, should it go to spot.
        lot_product, since, until, units
            Lots sorted by (product, until): ready for since <= t < until.
        """
        minutes = np.full(len(at), np.nan)
        wait = np.zeros(len(at))
        source = np.empty(len(at), dtype="int64")
        lot = np.empty(len(at), dtype="int64")
        left = units.astype("int64")  # a copy: the pass draws it down
        _serve(
            at,
            product,
            quantity,
            noise,
            group_starts(lot_product, self.products),
            since,
            until,
            left,
            self.offer_starts,
            self.offer_row,
            self.offer_supplier,
            self.spot_minutes,
            self.qualified_until,
            self.channel_starts,
            minutes,
            wait,
            source,
            lot,
        )
        return Passed(minutes, wait, source, left, lot)
