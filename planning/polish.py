"""Mend a grown plan: lines merged where that is cheaper, those that do not help given back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planning.allocation import Allocation
from planning.gather import gathered
from planning.problem import HOUR, Array, hour_of
from planning.simulate import Outcome, Simulator
from planning.worth import minutes_per_money


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a plan costs over the sampled futures, in money; means."""

    product: Array  # [N] of its lines, and of its spot orders with all who wait behind them
    total: float  # of all lines, spot orders and minutes


def merge_lines(allocation: Allocation, simulator: Simulator, minute_price: float) -> bool:
    """Merge lines where a tier makes that cheaper, of one offer or of a product; True = it helped.

    All products are offered it at once. The futures are served again, each product keeps its change
    if that lowers what its orders and lines cost, and all are undone if the sum got worse.
    """
    helped = [
        _tried(allocation, simulator, minute_price, way(allocation)) for way in (_merged, _gathered)
    ]
    return any(helped)


def _tried(allocation: Allocation, simulator: Simulator, minute_price: float, after: Array) -> bool:
    """Hold other units [O, T] of the products that they help; whether there are any."""
    before = allocation.units
    held = np.any(allocation.frozen > 0, axis=1, keepdims=True)
    after = np.where(held, before, after)
    if (after == before).all():
        return False
    costs = costs_of(allocation, simulator, minute_price)
    allocation.units = after
    tried = costs_of(allocation, simulator, minute_price)
    better = (tried.product < costs.product)[allocation.market.offer_product]
    allocation.units = np.where(better[:, None], after, before)
    helped = allocation.within_caps()
    helped = helped and costs_of(allocation, simulator, minute_price).total < costs.total
    allocation.replace(allocation.units if helped else before)
    return helped


def _gathered(allocation: Allocation) -> Array:
    """[O, T] units, a product's lines as few lines of one offer, where a tier makes that cheaper.

    For what it saves there is more of them: units that come earlier serve calm hours as well.
    """
    units = allocation.units
    terms = allocation.terms()._replace(
        room=allocation.room() + np.where(allocation.usable, units, 0.0),
        plan_room=allocation.plan_room() + units.sum(axis=1),
    )
    return gathered(allocation.slots(), terms)


def _merged(allocation: Allocation) -> Array:
    """[O, T] units, lines of an offer brought forward to one that lives till then, if cheaper."""
    market, units = allocation.market, allocation.units
    product, rows = market.offer_product, np.arange(len(units))
    room = allocation.room()
    found, host = units.copy(), np.full(len(units), -1)
    for slot in range(units.shape[1]):
        bought = units[:, slot]
        lives = allocation.until[product, host] >= allocation.starts[slot] + HOUR
        moves = (bought > 0) & (host >= 0) & lives & (bought <= room[rows, host])
        found[rows[moves], host[moves]] += bought[moves]
        room[rows[moves], host[moves]] -= bought[moves]
        found[moves, slot] = 0.0
        host = np.where((bought > 0) & ~moves, slot, host)
    cheaper = _money(allocation, found).sum(axis=1) < _money(allocation, units).sum(axis=1)
    return np.where(cheaper[:, None], found, units)


def give_back(
    allocation: Allocation, simulator: Simulator, outcomes: Sequence[Outcome], share: float
) -> None:
    """Give back the lines whose last units spare least for their money, a share of all money.

    `outcomes` are those of the futures under the allocation's plan.
    """
    plan = allocation.plan()
    rate = np.nan_to_num(minutes_per_money(simulator, outcomes, plan, allocation.starts))
    worst = np.argsort(rate, kind="stable")
    money = np.cumsum((plan.units * plan.unit_cost)[worst])
    given = worst[money <= share * money[-1:]]
    slot = hour_of(plan.available_from, allocation.starts)
    units = allocation.units.copy()
    units[plan.offer[given], slot[given]] = 0.0
    allocation.replace(np.maximum(units, allocation.frozen))


def give_back_losers(
    allocation: Allocation, simulator: Simulator, minute_price: float
) -> Allocation:
    """The allocation without all lines of products that cost more with them than without any."""
    held = allocation.units
    tried = costs_of(allocation, simulator, minute_price)
    fewer = copy.copy(allocation)
    fewer.units = allocation.frozen
    without = costs_of(fewer, simulator, minute_price)
    loses = (tried.product > without.product)[allocation.market.offer_product]
    fewer.replace(np.where(loses[:, None], allocation.frozen, held))
    return fewer


def costs_of(allocation: Allocation, simulator: Simulator, minute_price: float) -> Costs:
    """Serve the futures under the allocation and add up."""
    plan, market = allocation.plan(), allocation.market
    outcomes = simulator.serve(plan)
    slot = hour_of(plan.available_from, allocation.starts)
    product = market.offer_product[plan.offer]
    arrived = np.mean([outcome.arrived[: len(plan)] for outcome in outcomes], axis=0)
    unused = np.mean([outcome.unused[: len(plan)] for outcome in outcomes], axis=0)
    keep = 1 - market.loss_rate[plan.offer] * allocation.slots().loses[product, slot]
    tied = allocation.money_cost[market.offer_supplier[plan.offer]] * plan.units
    lines = (arrived - unused * keep + tied) * plan.unit_cost
    unserved = simulator.unserved(outcomes, minute_price)
    value = np.where(unserved.taken, 0.0, unserved.value)
    running = np.append(0.0, np.cumsum(value))
    orders = running[unserved.bounds[:, -1]] - running[unserved.bounds[:, 0]]
    spot = [
        float((simulator.spot_price[outcome.valued] * future.orders.quantity).sum())
        for outcome, future in zip(outcomes, simulator.futures, strict=True)
    ]
    products = len(market.product_ids)
    return Costs(
        product=orders / len(outcomes) + np.bincount(product, lines, minlength=products),
        total=float(simulator.delay(outcomes) * minute_price + np.mean(spot) + lines.sum()),
    )


def _money(allocation: Allocation, held: Array) -> Array:
    """[O, T] money of each line."""
    money = np.zeros(held.shape)
    offer, slot, _, amount = allocation.lines(held)
    money[offer, slot] = amount
    return money
