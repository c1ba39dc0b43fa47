"""Improve a grown plan product by product: fewer, larger lines and none that is idle.

Greedy blocks are small and never given back. Here every product is offered a change of its lines,
all products at once; the futures are served again, and each product keeps its change if that lowers
what its orders and lines cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planning.allocation import Allocation
from planning.problem import HOUR, Array
from planning.simulate import Simulator


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a plan costs over the sampled futures, in money; means."""

    product: Array  # [N] of its lines, and of its spot orders with all who wait behind them
    total: float  # of all lines, spot orders and minutes
    unused: Array  # [O, T] share of a line's units that nobody takes


Change = Callable[[Allocation, Costs], Array]  # to new units [O, T]


def merged(allocation: Allocation, _: Costs) -> Array:
    """Lines of an offer brought forward to one that lives till then, where that is cheaper."""
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


def without_idle(allocation: Allocation, costs: Costs) -> Array:
    """The line of each product of whose money most stays unused is dropped."""
    idle = costs.unused * _money(allocation, allocation.units)
    best = idle.max(axis=1)
    product = allocation.market.offer_product
    most = np.zeros(len(allocation.market.product_ids))
    np.maximum.at(most, product, best)
    worst = (best > 0) & (best >= most[product])
    found = allocation.units.copy()
    found[worst, idle.argmax(axis=1)[worst]] = 0.0
    return found


CHANGES: tuple[Change, ...] = (merged, without_idle, without_idle)


def polish(allocation: Allocation, simulator: Simulator, minute_price: float) -> bool:
    """Offer each change to every product and keep what helps; True = something did."""
    kept = False
    costs = costs_of(allocation, simulator, minute_price)
    for change in CHANGES:
        before, after = allocation.units, change(allocation, costs)
        held = np.any(allocation.frozen > 0, axis=1, keepdims=True)
        after = np.where(held, before, after)
        if (after == before).all():
            continue
        allocation.units = after
        tried = costs_of(allocation, simulator, minute_price)
        better = (tried.product < costs.product)[allocation.market.offer_product]
        allocation.units = np.where(better[:, None], after, before)
        together = costs_of(allocation, simulator, minute_price)
        if together.total < costs.total:
            costs, kept = together, True
        else:
            allocation.units = before
    allocation.replace(allocation.units)
    return kept


def costs_of(allocation: Allocation, simulator: Simulator, minute_price: float) -> Costs:
    """Serve the futures under the allocation and add up."""
    plan, market = allocation.plan(), allocation.market
    outcomes = simulator.serve(plan)
    slot = np.searchsorted(allocation.starts, plan.available_from)
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
        float((simulator.spot_price[outcome.source] * future.orders.quantity).sum())
        for outcome, future in zip(outcomes, simulator.futures, strict=True)
    ]
    idle = np.zeros(allocation.units.shape)
    idle[plan.offer, slot] = unused / np.maximum(arrived, 1e-9)
    products = len(market.product_ids)
    return Costs(
        product=orders / len(outcomes) + np.bincount(product, lines, minlength=products),
        total=float(simulator.delay(outcomes) * minute_price + np.mean(spot) + lines.sum()),
        unused=idle,
    )


def _money(allocation: Allocation, held: Array) -> Array:
    """[O, T] money of each line."""
    money = np.zeros(held.shape)
    offer, slot, _, amount = allocation.lines(held)
    money[offer, slot] = amount
    return money
