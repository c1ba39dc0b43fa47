"""A lower bound on what any plan could cost in one future: no queue, perfect foresight.

Relaxed: every spot order finds a free channel at the qualified offer where price and service time
cost least together; ready units are bought in fractions at the lowest price of those that can be
there in time, knowing the orders; stock on hand serves whatever is dearest. What is left is a
fractional knapsack of the working capital, solved by Dantzig's rule (best saving per money first).
"""

from __future__ import annotations

import numpy as np

from planning.problem import Array, Market, Orders
from planning.rules import Limits
from planning.simulate import Future
from planning.spot import READY_SECONDS, group_starts


def _cheapest_tier(market: Market) -> Array:
    """[O] lowest price of a unit, however many are bought."""
    price = market.unit_cost.astype(float)
    np.minimum.at(price, market.tier_offer, market.tier_unit_cost)
    return price


def _least_costs(
    market: Market, orders: Orders, delay: Array, limits: Limits
) -> tuple[Array, Array]:
    """Least money that each order [M] costs on spot, and that its units cost ahead.

    Delay included on spot; inf = nobody can serve it that way. `delay` [M] is money a minute.
    """
    rows = np.argsort(market.offer_product, kind="stable")
    starts = group_starts(market.offer_product[rows], len(market.product_ids))
    until = market.qualified_until[market.offer_supplier]
    since = np.where(until > limits.as_of, limits.as_of + market.lead_time, np.inf)
    price = _cheapest_tier(market)
    spot, ahead = np.full(len(orders), np.inf), np.full(len(orders), np.inf)
    for place in range(int(np.diff(starts).max(initial=0))):
        known = starts[orders.product] + place < starts[orders.product + 1]
        offer = rows[np.where(known, starts[orders.product] + place, 0)]
        cost = orders.quantity * market.spot_unit_cost[offer] + delay * market.spot_minutes[offer]
        spot = np.where(known & (orders.at < until[offer]), np.minimum(spot, cost), spot)
        there = known & (orders.at >= since[offer])
        ahead = np.where(there, np.minimum(ahead, orders.quantity * price[offer]), ahead)
    return spot, ahead


def cost_bound(market: Market, future: Future, limits: Limits, delay_cost: float) -> float:
    """Money below which spend plus weighted delay cannot fall in this future."""
    delay = future.weight * delay_cost
    on_spot, money = _least_costs(market, future.orders, delay, limits)
    served = np.isfinite(on_spot)  # the unserved cost nothing
    on_spot, money, delay = on_spot[served], money[served], delay[served]
    product, units = future.orders.product[served], future.orders.quantity[served]
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
