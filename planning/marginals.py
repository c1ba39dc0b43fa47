"""Each line explained: what its last units spare, which rule keeps it from growing, who is next.

All is read off the plan as it stands: the sampled futures are served under it once, and a line's
worth is that of one order more or less, not that of the whole line.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
import pandas as pd

from planning.allocation import Allocation
from planning.limits import TOLERANCE, Limits
from planning.optimise import Solution
from planning.pricing import Slots, Terms, Unserved, line_money, relief
from planning.problem import Array, Plan, hour_of
from planning.worth import minutes_per_money

PER_MONEY = 1000.0  # minutes are told per this much money
RULES = (
    "max_units_per_hour",
    "max_units",
    "credit_limit",
    "max_share",
    "working_capital",
    "pack_size",
    "demand",
)
WORDS = {
    "max_units_per_hour": "the hourly cap keeps it from being larger",
    "max_units": "the offer's cap for a plan keeps it from being larger",
    "credit_limit": "the supplier's credit limit keeps it from being larger",
    "max_share": "the supplier's share of the money keeps it from being larger",
    "working_capital": "working capital keeps it from being larger",
    "pack_size": "another whole pack isn't worth it",
    "demand": "more units aren't worth it",
}

COLUMNS = (
    "line_id",
    "minutes_per_1000",
    "binding_rule",
    "next_supplier_id",
    "next_unit_cost",
)


@numba.njit(cache=True, nogil=True)
def _gains_of_more(
    unserved: Unserved,
    slots: Slots,
    terms: Terms,
    offer: Array,
    slot: Array,
    product: Array,
    size: Array,
) -> Array:
    """[L] money gained if each line alone had `size` [L] more units."""
    gains = np.empty(len(offer))
    for line in range(len(offer)):
        o, t, p, units = offer[line], slot[line], product[line], size[line]
        before = line_money(terms.tiers, o, terms.unit_cost[o], terms.bought[o, t])
        money = line_money(terms.tiers, o, terms.unit_cost[o], terms.bought[o, t] + units) - before
        arriving = units * terms.fill[o]
        whole = max(arriving, 1.0)  # a share of a unit serves nobody: its chance of a whole one
        alike = np.full(len(unserved.fill), whole)
        value, left = relief(unserved, p, slots.ready[o, t], slots.until[p, t], alike, False)
        keep = 1 - terms.loss[o] * slots.loses[p, t]
        worth = (value + left * money / units * keep) * arriving / whole
        gains[line] = worth - money * terms.fill[o] - money * terms.money_cost[o]
    return gains


def _short_of(allocation: Allocation, offer: Array, slot: Array) -> list[Array]:
    """For each cap, [L] True where one more pack of a line would exceed it; as in RULES."""
    market, limits = allocation.market, allocation.limits
    pack = market.pack_size[offer]
    units = allocation.units[offer, slot]
    larger = units + pack
    money = larger * market.line_cost(offer, larger) - units * market.line_cost(offer, units)
    spent, supplier = allocation.money(), market.offer_supplier[offer]
    total = spent.sum()
    after = spent[supplier] + money
    return [
        pack > allocation.room()[offer, slot],
        pack > allocation.plan_room()[offer],
        after > market.credit_limit[supplier],
        after > allocation.share[supplier] * (total + money) * (1 + TOLERANCE),
        total + money > limits.working_capital,
    ]


def _binding(plan: Plan, allocation: Allocation, unserved: Unserved) -> Array:
    """[L] name of the rule that keeps each line from being larger.

    Of the caps that one more pack would exceed the first of RULES is told, but only where that
    pack is worth having; where it isn't, but one unit would be, the pack is what stops it.
    """
    market = allocation.market
    slot = hour_of(plan.available_from, allocation.starts)
    product, terms = market.offer_product[plan.offer], allocation.terms()
    pack = market.pack_size[plan.offer].astype(float)
    lines = (plan.offer, slot, product)
    of_pack = _gains_of_more(unserved, allocation.slots(), terms, *lines, pack)
    ones = np.ones(len(plan))
    of_one = _gains_of_more(unserved, allocation.slots(), terms, *lines, ones)
    caps = _short_of(allocation, plan.offer, slot)
    wanted = of_pack > 0
    conditions = [*(wanted & cap for cap in caps), ~wanted & (pack > 1) & (of_one > 0)]
    return np.select(conditions, RULES[:-1], RULES[-1])


def _next_best(allocation: Allocation, plan: Plan) -> tuple[Array, Array]:
    """[L] supplier (-1 = none) and unit cost of the cheapest other offer ready at the same hour.

    Cheapest by money committed for each unit expected to arrive; its smallest line must have room.
    """
    market, starts = allocation.market, allocation.starts
    rows, groups = market.by_product
    slot = hour_of(plan.available_from, starts)
    product = market.offer_product[plan.offer]
    room, plan_room = allocation.room(), allocation.plan_room()
    best, cost = np.full(len(plan), -1), np.full(len(plan), np.inf)
    for place in range(int(np.diff(groups).max(initial=0))):
        known = groups[product] + place < groups[product + 1]
        offer = rows[np.where(known, groups[product] + place, 0)]
        held = allocation.units[offer, slot]
        step = np.where(held > 0, market.pack_size[offer], allocation.least[offer])
        fits = known & (offer != plan.offer)
        fits &= (step <= room[offer, slot]) & (step <= plan_room[offer])
        price = market.unit_cost[offer] / market.fill_rate[offer]
        better = fits & (price < cost)
        best, cost = np.where(better, offer, best), np.where(better, price, cost)
    supplier = np.where(best >= 0, market.offer_supplier[best], -1)
    return supplier, np.where(best >= 0, market.unit_cost[best], np.nan)


def line_details(solution: Solution, limits: Limits) -> pd.DataFrame:
    """COLUMNS for each line of a solved plan, in its order; NaN or missing = there is none."""
    growth, plan = solution.growth, solution.plan
    if not len(plan):
        return pd.DataFrame({name: [] for name in COLUMNS})
    simulator = growth.simulator
    market = simulator.market
    outcomes = simulator.serve(plan)
    allocation = Allocation.holding(market, limits, plan, growth.money_cost)
    rate = minutes_per_money(simulator, outcomes, plan, solution.starts)
    unserved = simulator.unserved(outcomes, growth.minute_price)
    supplier, cost = _next_best(allocation, plan)
    names = np.append(market.supplier_ids, [None])
    return pd.DataFrame(
        {
            "line_id": [f"L{row:06d}" for row in range(1, len(plan) + 1)],
            "minutes_per_1000": PER_MONEY * rate,
            "binding_rule": _binding(plan, allocation, unserved),
            "next_supplier_id": names[supplier],
            "next_unit_cost": cost,
        },
        columns=list(COLUMNS),
    )


def with_rules(reasons: Sequence[str], details: pd.DataFrame) -> list[str]:
    """Reasons, each with what keeps its line from being larger."""
    return [
        f"{reason}; {WORDS[rule]}"
        for reason, rule in zip(reasons, details["binding_rule"], strict=True)
    ]
