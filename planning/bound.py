"""A lower bound on what any plan could cost in one future: no queue, perfect foresight.

Relaxed: every spot order finds a free channel at the offer that is cheapest and at the one that is
fastest; ready units are bought in fractions, at the lowest price, knowing the orders; stock on hand
serves whatever is dearest. What is left is a fractional knapsack of the working capital, solved
by Dantzig's rule (best saving per money first).
"""

from __future__ import annotations

import numpy as np

from planning.problem import Array, Market
from planning.rules import Limits
from planning.simulate import Future
from planning.spot import READY_SECONDS


def _least(values: Array, group: Array, groups: int) -> Array:
    """[groups] smallest value of each group; inf where it has none."""
    least = np.full(groups, np.inf)
    np.minimum.at(least, group, values)
    return least


def cost_bound(market: Market, future: Future, limits: Limits, delay_cost: float) -> float:
    """Money below which spend plus weighted delay cannot fall in this future."""
    products = len(market.product_ids)
    open_offer = market.qualified_until[market.offer_supplier] > limits.as_of
    seller = market.offer_product[open_offer]
    spot_cost = _least(market.spot_unit_cost[open_offer], seller, products)
    spot_minutes = _least(market.spot_minutes[open_offer], seller, products)
    ready_cost = _least(market.unit_cost[open_offer], seller, products)
    tier_product = market.offer_product[market.tier_offer]
    ready_cost = np.minimum(ready_cost, _least(market.tier_unit_cost, tier_product, products))

    lapse = -_least(-market.qualified_until[market.offer_supplier], market.offer_product, products)
    orders = future.orders
    p, q = orders.product, orders.quantity
    served = np.isfinite(spot_cost[p]) & (orders.at < lapse[p])  # the unserved cost nothing
    p, q, weight = p[served], q[served], future.weight[served] * delay_cost
    on_spot = q * spot_cost[p] + weight * spot_minutes[p]
    when_ready = q * ready_cost[p] + weight * READY_SECONDS / 60
    saving = np.maximum(on_spot - when_ready, 0.0)
    money = q * ready_cost[p]
    best_first = np.argsort(-saving / np.maximum(money, 1e-12), kind="stable")
    spent = np.cumsum(money[best_first])
    ahead = limits.committed.units * limits.committed.unit_cost
    capital = max(limits.working_capital, float(ahead.sum()))
    fraction = np.clip(1 - (spent - capital) / np.maximum(money[best_first], 1e-12), 0, 1)
    per_unit = np.zeros(products)
    np.maximum.at(per_unit, p, on_spot / q)
    from_stock = float((market.stock_units * per_unit[market.stock_product]).sum())
    now = ready_cost[market.offer_product[limits.committed.offer]]
    cheaper = np.where(np.isfinite(now), np.maximum(now - limits.committed.unit_cost, 0.0), 0.0)
    from_stock += float((limits.committed.units * cheaper).sum())
    return float(on_spot.sum() - (saving[best_first] * fraction).sum() - from_stock)
