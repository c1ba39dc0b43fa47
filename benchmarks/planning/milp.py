"""The planning problem without congestion as one mixed-integer linear program (HiGHS).

First stage: packs of each offer, clock hour and price level. Second stage, in each sampled future:
how many orders of each product, hour, size and weight ready units serve; the rest goes to spot at
the fastest supplier and waits its mean service time. Here the orders to serve are chosen, not taken
as they come: a relaxation of the fulfilment rules, whose bound holds for every plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from instances import Instance
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import coo_array

from planning.problem import DAY, HOUR, Array, Market, Plan
from planning.replay import Lots
from planning.spot import READY_SECONDS, SpotMarket

YEAR = 365 * DAY


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Possible lines [L]: one offer, one clock hour, one price level."""

    offer: Array  # [L]
    slot: Array  # [L] hours after as-of
    until: Array  # [L] first hour without them; beyond the horizon = they outlive it
    price: Array  # [L]
    least: Array  # [L] units of the smallest line at this price
    most: Array  # [L] units that can be of use
    pack: Array  # [L]


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Orders that are alike [G]: future, product, hour, units, weight."""

    future: Array
    product: Array
    hour: Array
    quantity: Array
    weight: Array
    count: Array


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the solver found."""

    objective: float  # of the best plan found
    bound: float
    units: Array  # [O, T]
    proven: bool


def hours_of(instance: Instance) -> int:
    """Clock hours of the horizon."""
    return round(instance.limits.horizon / HOUR)


def groups_of(instance: Instance) -> Groups:
    """The orders of all futures, grouped."""
    rows = []
    weights = instance.aims.weights()
    for number, orders in enumerate(instance.streams):
        hour = (orders.at - instance.limits.as_of) // HOUR
        weight = weights[orders.segment]
        rows.append(
            np.stack([np.full(len(hour), number), orders.product, hour, orders.quantity, weight])
        )
    alike, count = np.unique(np.concatenate(rows, axis=1), axis=1, return_counts=True)
    future, product, hour, quantity = alike[:4].astype("int64")
    return Groups(
        future=future, product=product, hour=hour, quantity=quantity, weight=alike[4], count=count
    )


def _levels(market: Market, offer: int) -> list[tuple[float, float]]:
    """(units from which it holds, price), ever cheaper."""
    own = market.tier_offer == offer
    tiers = sorted(zip(market.tier_min_qty[own], market.tier_unit_cost[own], strict=True))
    levels = [(1.0, float(market.unit_cost[offer]))]
    for least, price in tiers:
        if price < levels[-1][1]:
            levels.append((float(least), float(price)))
    return levels


def cells_of(instance: Instance, groups: Groups, known: Array) -> Cells:
    """Every line that a rule lets in by itself, at every price that it can have.

    Lines of more units than any future orders are left out, those of the plan `known` [O, T]
    excepted.
    """
    market, hours = instance.market, hours_of(instance)
    units = np.zeros((len(instance.streams), len(market.product_ids), hours))
    np.add.at(units, (groups.future, groups.product, groups.hour), groups.quantity * groups.count)
    shares = np.isfinite(market.max_share) & (market.max_share < 1)
    rows = []
    for offer, product in enumerate(market.offer_product):
        life = 1 if market.direct[product] else int(market.shelf_life[product] // HOUR)
        pack = int(market.pack_size[offer])
        for slot in range(int(np.ceil(market.lead_time[offer] / HOUR)), hours):
            useful = units[:, product, slot : slot + life].sum(axis=1).max()
            if shares.any():  # useless units raise the sum that shares are taken of
                useful = np.inf
            for least, price in _levels(market, offer):
                least = np.ceil(max(least, market.min_order_qty[offer]) / pack) * pack
                cap = min(market.max_units_per_hour[offer], market.max_units[offer])
                cap = min(cap, instance.limits.working_capital / price)
                most = min(cap, max(useful + pack - 1, least, known[offer, slot])) // pack * pack
                if useful > 0 and most >= least:
                    rows.append((offer, slot, slot + life, price, least, most, pack))
    columns = np.array(rows).T
    offer, slot, until = columns[:3].astype("int64")
    return Cells(
        offer=offer,
        slot=slot,
        until=until,
        price=columns[3],
        least=columns[4],
        most=columns[5],
        pack=columns[6],
    )


class Rows:
    """Constraints in the making."""

    def __init__(self) -> None:
        self.row: list[Array] = []
        self.column: list[Array] = []
        self.value: list[Array] = []
        self.low: list[Array] = []
        self.high: list[Array] = []
        self.count = 0

    def add(self, parts: list[tuple[Array, Array, Array]], low: Array, high: Array) -> None:
        """Parts of (row in this block, column, coefficient); low and high [rows]."""
        for row, column, value in parts:
            self.row.append(row + self.count)
            self.column.append(column)
            self.value.append(np.broadcast_to(value, np.shape(row)).astype(float))
        self.low.append(low)
        self.high.append(high)
        self.count += len(low)

    def constraint(self, columns: int) -> LinearConstraint:
        """What scipy takes."""
        place = (np.concatenate(self.row), np.concatenate(self.column))
        matrix = coo_array((np.concatenate(self.value), place), shape=(self.count, columns))
        return LinearConstraint(matrix.tocsr(), np.concatenate(self.low), np.concatenate(self.high))


class Model:
    """Variables in this order: packs [L], line or not [L], used [U], orders served [G]."""

    def __init__(self, instance: Instance, known: Plan | None = None) -> None:
        self.instance = instance
        self.groups = groups_of(instance)
        self.cells = cells_of(instance, self.groups, units_of(instance, known or Plan.empty()))
        self.rho = instance.aims.capital_cost * instance.limits.horizon / YEAR
        self._uses()
        self._objective()
        self.rows = Rows()
        self._first_stage()
        self._second_stage()
        self._no_dearer()

    def _uses(self) -> None:
        """Line, future and hour [U] where units can be used: only where there is an order."""
        cells, groups, market = self.cells, self.groups, self.instance.market
        hours, products = hours_of(self.instance), len(market.product_ids)
        self.units = np.zeros((len(self.instance.streams), products, hours))
        place = (groups.future, groups.product, groups.hour)
        np.add.at(self.units, place, groups.quantity * groups.count)
        product = market.offer_product[cells.offer]
        hour = np.arange(hours)
        within = (hour >= cells.slot[:, None]) & (hour < cells.until[:, None])
        wanted = self.units[:, product, :].transpose(1, 0, 2) > 0
        self.line, self.future, self.hour = np.nonzero(within[:, None, :] & wanted)
        lines, uses = len(cells.offer), len(self.line)
        self.packs = np.arange(lines)
        self.on = lines + self.packs
        self.used = 2 * lines + np.arange(uses)
        self.served = 2 * lines + uses + np.arange(len(groups.count))
        self.columns = 2 * lines + uses + len(groups.count)

    def _spot(self) -> tuple[Array, Array]:
        """Price and minutes [N] of the spot offer that orders of each product choose."""
        market = self.instance.market
        best = [
            rows[np.argmin(market.spot_minutes[rows])]
            for rows in (
                np.flatnonzero(market.offer_product == product)
                for product in range(len(market.product_ids))
            )
        ]
        return market.spot_unit_cost[best], market.spot_minutes[best]

    def _objective(self) -> None:
        """Spend and cost [columns], and what buying on demand costs."""
        cells, groups, instance = self.cells, self.groups, self.instance
        futures = len(instance.streams)
        loss = instance.market.loss_rate[cells.offer]
        kept = np.where(cells.until > hours_of(instance), 1.0, 1 - loss)  # share paid back
        price, minutes = (values[groups.product] for values in self._spot())
        self.spend = np.zeros(self.columns)
        self.spend[self.packs] = cells.price * cells.pack * (1 - kept)
        self.spend[self.used] = (cells.price * kept)[self.line] / futures
        self.spend[self.served] = -groups.quantity * price / futures
        self.cost = self.spend.copy()
        self.cost[self.packs] += self.rho * cells.price * cells.pack
        delay = instance.aims.delay_cost * groups.weight
        self.cost[self.served] -= delay * (minutes - READY_SECONDS / 60) / futures
        on_spot = groups.quantity * price + delay * minutes
        self.reactive = float((groups.count * on_spot).sum()) / futures

    def _first_stage(self) -> None:
        cells, market, limits = self.cells, self.instance.market, self.instance.limits
        line = np.arange(len(cells.offer))
        none, free = np.zeros(len(line)), np.full(len(line), np.inf)
        self.rows.add([(line, self.packs, cells.pack), (line, self.on, -cells.least)], none, free)
        self.rows.add([(line, self.packs, cells.pack), (line, self.on, -cells.most)], -free, none)
        _, place = np.unique(
            cells.offer * hours_of(self.instance) + cells.slot, return_inverse=True
        )
        ones = np.ones(place.max() + 1)
        self.rows.add([(place, self.on, np.array(1.0))], -np.inf * ones, ones)
        capped = market.max_units
        self.rows.add(
            [(cells.offer, self.packs, cells.pack)], -np.inf * np.ones(len(capped)), capped
        )
        money = cells.price * cells.pack
        supplier = market.offer_supplier[cells.offer]
        credit = market.credit_limit
        self.rows.add(
            [(0 * line, self.packs, money)], np.zeros(1), np.array([limits.working_capital])
        )
        self.rows.add([(supplier, self.packs, money)], -np.inf * np.ones(len(credit)), credit)
        share = np.minimum(market.max_share, 1.0)
        for row in np.flatnonzero(share < 1):
            part = money * ((supplier == row) - share[row])
            self.rows.add([(0 * line, self.packs, part)], np.array([-np.inf]), np.zeros(1))

    def _second_stage(self) -> None:
        cells, groups, market = self.cells, self.groups, self.instance.market
        futures, products, hours = self.units.shape
        # no more is used than bought, nor than ordered where there is a line (a tighter relaxation)
        drawn = self.line * futures + self.future
        pair = np.arange(len(cells.offer) * futures)
        line = pair // futures
        none, less = np.zeros(len(pair)), np.full(len(pair), -np.inf)
        each = np.array(1.0)
        bought = (pair, self.packs[line], -cells.pack[line])
        self.rows.add([(drawn, self.used, each), bought], less, none)
        of_product = market.offer_product[cells.offer[self.line]]
        ordered = np.bincount(
            drawn, self.units[self.future, of_product, self.hour], minlength=len(pair)
        )
        most = np.minimum(ordered, cells.most[line])
        self.rows.add([(drawn, self.used, each), (pair, self.on[line], -most)], less, none)
        # what is used is what orders take
        cell = (self.future * products + of_product) * hours + self.hour
        taken = (groups.future * products + groups.product) * hours + groups.hour
        none = np.zeros(futures * products * hours)
        self.rows.add([(cell, self.used, each), (taken, self.served, -groups.quantity)], none, none)

    def _no_dearer(self) -> None:
        """Expected spend is at most that of buying everything on demand: the planner's own rule."""
        columns = np.arange(self.columns)
        self.rows.add([(0 * columns, columns, self.spend)], np.array([-np.inf]), np.zeros(1))

    def solve(self, *, seconds: float, gap: float) -> Answer:
        """The best plan, to a relative gap or a time limit."""
        cells = self.cells
        most = np.concatenate(
            [
                cells.most / cells.pack,
                np.ones(len(cells.offer)),
                np.full(len(self.used), np.inf),
                self.groups.count,
            ]
        )
        found = self._run(np.zeros(self.columns), most, seconds=seconds, gap=gap)
        if found.x is None:
            raise RuntimeError(f"no plan found: {found.message}")
        units = np.zeros((len(self.instance.market.unit_cost), hours_of(self.instance)))
        np.add.at(units, (cells.offer, cells.slot), np.round(found.x[self.packs]) * cells.pack)
        return Answer(
            objective=self.reactive + float(found.fun),
            bound=self.reactive + float(found.mip_dual_bound),
            units=units,
            proven=found.status == 0,
        )

    def worth(self, units: Array) -> float:
        """Objective of a plan [O, T] that uses its units best; NaN if the model forbids it."""
        cells = self.cells
        wanted = units[cells.offer, cells.slot]
        price = self.instance.market.line_cost(cells.offer, wanted)
        fixed = np.where((wanted > 0) & np.isclose(price, cells.price), wanted, 0.0)
        again = np.zeros_like(units)
        np.add.at(again, (cells.offer, cells.slot), fixed)
        if not np.array_equal(again, units):
            raise ValueError("the plan has a line that the model doesn't know")
        low, most = np.zeros(self.columns), np.full(self.columns, np.inf)
        low[self.packs] = most[self.packs] = fixed / cells.pack
        low[self.on] = most[self.on] = fixed > 0
        most[self.served] = self.groups.count
        found = self._run(low, most, seconds=60.0, gap=1e-7)
        return np.nan if found.x is None else self.reactive + float(found.fun)

    def _run(self, low: Array, most: Array, *, seconds: float, gap: float) -> OptimizeResult:
        whole = np.zeros(self.columns)
        whole[self.packs] = whole[self.on] = 1
        whole[self.served] = self.groups.quantity > 1
        return milp(
            self.cost,
            integrality=whole,
            bounds=Bounds(low, most),
            constraints=self.rows.constraint(self.columns),
            options={"time_limit": seconds, "mip_rel_gap": gap},
        )


def units_of(instance: Instance, plan: Plan) -> Array:
    """[O, T] units of a plan whose lines start on the clock hour."""
    units = np.zeros((len(instance.market.unit_cost), hours_of(instance)))
    slot = np.round((plan.available_from - instance.limits.as_of) / HOUR).astype("int64")
    np.add.at(units, (plan.offer, slot), plan.units)
    return units


def plan_of(instance: Instance, units: Array) -> Plan:
    """The lines of units [O, T]."""
    market, limits = instance.market, instance.limits
    offer, slot = np.nonzero(units)
    product = market.offer_product[offer]
    since = limits.as_of + slot * HOUR
    life = np.where(market.direct[product], HOUR, market.shelf_life[product])
    amount = units[offer, slot]
    return Plan(
        offer=offer,
        order_by=since - market.lead_time[offer],
        available_from=since,
        available_to=since + life,
        units=amount.astype("int64"),
        unit_cost=market.line_cost(offer, amount),
    )


def replayed(instance: Instance, plan: Plan) -> float:
    """Objective of a plan under the fulfilment rules, every service taking its mean."""
    market, limits, aims = instance.market, instance.limits, instance.aims
    lots = Lots.of(market, plan, plan.units)
    keeps = plan.available_to > limits.as_of + limits.horizon
    total = 0.0
    for orders in instance.streams:
        run = SpotMarket(market).serve(
            at=orders.at,
            product=orders.product,
            quantity=orders.quantity,
            noise=np.ones(len(orders)),
            lot_product=lots.product,
            since=lots.since,
            until=lots.until,
            units=lots.units,
        )
        unused = np.zeros(len(plan))
        unused[lots.line] = run.left
        back = unused * np.where(keeps, 1.0, 1 - market.loss_rate[plan.offer])
        spot = run.source >= 0
        total += ((plan.units - back) * plan.unit_cost).sum()
        total += (market.spot_unit_cost[run.source[spot]] * orders.quantity[spot]).sum()
        total += aims.delay_cost * (aims.weights()[orders.segment] * run.minutes).sum()
    rho = aims.capital_cost * limits.horizon / YEAR
    return float(total / len(instance.streams) + rho * (plan.units * plan.unit_cost).sum())
