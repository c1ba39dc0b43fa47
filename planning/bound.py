"""A lower bound on what any plan could cost in one future: no queue, perfect foresight.

Relaxed: every spot order finds a free channel at the qualified offer where price and service time
cost least together; ready units are bought in fractions at the lowest price of those that can be
there in time, knowing the orders; stock on hand serves whatever is dearest. What is left is a
fractional knapsack of the working capital, solved by Dantzig's rule (best saving per money first).
"""

from __future__ import annotations

import numba
import numpy as np

from planning.problem import Array, Market
from planning.rules import Limits
from planning.simulate import Future
from planning.spot import READY_SECONDS, group_starts


def _cheapest_tier(market: Market) -> Array:
    """[O] lowest price of a unit, however many are bought."""
    price = market.unit_cost.astype(float)
    np.minimum.at(price, market.tier_offer, market.tier_unit_cost)
    return price


@numba.njit(cache=True, nogil=True)
def _least_costs(
    product: Array,
    at: Array,
    quantity: Array,
    delay: Array,
    starts: Array,
    rows: Array,
    since: Array,
    until: Array,
    price: Array,
    spot_price: Array,
    spot_minutes: Array,
) -> tuple[Array, Array]:
    """Least money that each order [M] costs on spot, and that its units cost ahead.

    Delay included on spot; inf = nobody can serve it that way. `delay` [M] is money a minute; an
    offer [O] can have units ready from `since` on, and takes spot orders before `until`.
    """
    spot, ahead = np.full(len(at), np.inf), np.full(len(at), np.inf)
    for order in range(len(at)):
        for place in range(starts[product[order]], starts[product[order] + 1]):
            offer = rows[place]
            if at[order] < until[offer]:
                cost = quantity[order] * spot_price[offer] + delay[order] * spot_minutes[offer]
                spot[order] = min(spot[order], cost)
            if at[order] >= since[offer]:
                ahead[order] = min(ahead[order], quantity[order] * price[offer])
    return spot, ahead


def cost_bound(market: Market, future: Future, limits: Limits, delay_cost: float) -> float:
    """Money below which spend plus weighted delay cannot fall in this future."""
    delay = future.weight * delay_cost
    orders = future.orders
    rows = np.argsort(market.offer_product, kind="stable")
    until = market.qualified_until[market.offer_supplier]
    on_spot, money = _least_costs(
        orders.product,
        orders.at,
        orders.quantity,
        delay,
        group_starts(market.offer_product[rows], len(market.product_ids)),
        rows,
        np.where(until > limits.as_of, limits.as_of + market.lead_time, np.inf),
        until,
        _cheapest_tier(market),
        market.spot_unit_cost,
        market.spot_minutes,
    )
    served = np.isfinite(on_spot)  # the unserved cost nothing
    on_spot, money, delay = on_spot[served], money[served], delay[served]
    product, units = orders.product[served], orders.quantity[served]
    saving = np.maximum(on_spot - money - delay * READY_SECONDS / 60, 0.0)
    best_first = np.argsort(-saving / np.maximum(money, 1e-12), kind="stable")
    best_first = best_first[saving[best_first] > 0]
    spent = np.cumsum(money[best_first])
    lines = limits.committed
    capital = max(limits.working_capital, float((lines.units * lines.unit_cost).sum()))
    fraction = np.clip(1 - (spent - capital) / np.maximum(money[best_first], 1e-12), 0, 1)
    saved = float((saving[best_first] * fraction).sum())
    dearest = np.zeros(len(market.product_ids))  # of a product's units on spot
    np.maximum.at(dearest, product, on_spot / units)
    had = float((market.stock_units * dearest[market.stock_product]).sum())
    worth = np.maximum(dearest[market.offer_product[lines.offer]] - lines.unit_cost, 0.0)
    had += float((lines.units * worth).sum())
    return float(on_spot.sum()) - saved - had
