"""A plan in the making: units per offer and clock hour, and the room that the rules leave."""

from __future__ import annotations

import numba
import numpy as np

from planning.pricing import Slots, Terms
from planning.problem import DAY, HOUR, Array, Market, Plan, clock_hours
from planning.rules import Limits
from planning.spot import group_starts

NO_LIMIT_DAYS = 365.0  # how long a line without a shelf life is kept


@numba.njit(cache=True)
def _add_blocks(
    blocks: Array,
    units: Array,
    least: Array,
    room: Array,
    plan_room: Array,
    supplier: Array,
    caps: Array,
    cash: float,
    wanted: float,
) -> tuple[int, float]:
    added, last = 0, 0.0
    for row in range(len(blocks)):
        offer, slot = int(blocks[row, 0]), int(blocks[row, 1])
        size, money = blocks[row, 2], blocks[row, 4]
        affordable = money <= cash and money <= caps[supplier[offer]] and wanted > 0
        allowed = size <= room[offer, slot] and size <= plan_room[offer]
        if not affordable or not allowed or units[offer, slot] + size < least[offer]:
            continue
        units[offer, slot] += size
        room[offer, slot] -= size
        plan_room[offer] -= size
        cash -= money
        wanted -= money
        caps[supplier[offer]] -= money
        added += 1
        last = blocks[row, 3] / max(money, 1e-9)
    return added, last


class Allocation:
    """The plan in the making: units per offer and slot, and the room that is left."""

    def __init__(self, market: Market, limits: Limits) -> None:
        self.market, self.limits = market, limits
        self.starts = slot_starts(market, limits)
        self.units = np.zeros((len(market.unit_cost), len(self.starts)))
        self.until = self._until()
        self.usable = self._usable()
        self.by_product = np.argsort(market.offer_product, kind="stable")
        pack = np.maximum(market.pack_size, 1)
        self.least = np.ceil(np.maximum(market.min_order_qty, 1) / pack) * pack
        share = np.minimum(market.max_share, 1.0) * limits.working_capital
        self.supplier_cap = np.minimum(market.credit_limit, share)
        self.committed_units, self.committed_money = self._committed()

    def _until(self) -> Array:
        """[N, T] instant at which a product's units of a slot are gone."""
        life = np.floor(np.minimum(self.market.shelf_life, NO_LIMIT_DAYS * DAY))
        ends = np.append(self.starts[1:], self.starts[-1:] + HOUR)
        hour_end = np.minimum(self.starts + HOUR, ends)
        return np.where(self.market.direct[:, None], hour_end, self.starts + life[:, None])

    def _usable(self) -> Array:
        """[O, T] True where the lead time and the licence let the slot be used."""
        ready = self.limits.as_of + self.market.lead_time
        licence = self.market.qualified_until[self.market.offer_supplier]
        return (self.starts >= ready[:, None]) & (self.starts < licence[:, None])

    def _committed(self) -> tuple[Array, Array]:
        """Units [O, T] that become ready in each slot's hour, money [S], of committed lines."""
        market, lines = self.market, self.limits.committed
        hours = clock_hours(lines.available_from, market.tz)
        slot = np.searchsorted(self.starts, hours)
        inside = slot < len(self.starts)
        inside[inside] = self.starts[slot[inside]] == hours[inside]
        units = np.zeros(self.units.shape)
        np.add.at(units, (lines.offer[inside], slot[inside]), lines.units[inside])
        supplier, money = market.offer_supplier[lines.offer], lines.units * lines.unit_cost
        return units, np.bincount(supplier, money, minlength=len(market.supplier_ids))

    def _lines(self) -> tuple[Array, Array, Array]:
        """Offer, slot and money [L] of every line so far, tiers considered."""
        offer, slot = np.nonzero(self.units)
        units = self.units[offer, slot]
        return offer, slot, units * self.market.line_cost(offer, units)

    def money(self) -> Array:
        """[S] money at each supplier, of lines committed before too."""
        offer, _, money = self._lines()
        supplier = self.market.offer_supplier[offer]
        own = np.bincount(supplier, money, minlength=len(self.market.supplier_ids))
        return np.asarray(own + self.committed_money)

    def room(self) -> Array:
        """[O, T] units that may still be added."""
        per_hour = self.market.max_units_per_hour[:, None] - self.committed_units - self.units
        return np.where(self.usable, per_hour, 0.0)

    def slots(self) -> Slots:
        """When units of each slot are ready, and whether those left over lose value."""
        end = self.limits.as_of + self.limits.horizon
        return Slots(start=self.starts, until=self.until, loses=(self.until <= end).astype(float))

    def plan_room(self) -> Array:
        """[O] units that this plan may still add."""
        lines = self.limits.committed
        before = np.bincount(lines.offer, lines.units, minlength=len(self.units))
        return np.asarray(self.market.max_units - before - self.units.sum(axis=1))

    def terms(self) -> Terms:
        """The offers as pricing sees them, grouped by product: `by_product` translates back."""
        market, rows = self.market, self.by_product
        credit_left = (self.supplier_cap > self.money())[market.offer_supplier]
        room = np.where(credit_left[:, None], self.room(), 0.0)
        pack = np.maximum(market.pack_size, 1).astype(float)
        return Terms(
            starts=group_starts(market.offer_product[rows], len(market.product_ids)),
            unit_cost=market.unit_cost[rows],
            fill=market.fill_rate[rows],
            loss=market.loss_rate[rows],
            least=self.least[rows],
            pack=pack[rows],
            plan_room=self.plan_room()[rows],
            room=room[rows],
            bought=self.units[rows],
        )

    def add(self, blocks: Array, money: float) -> tuple[int, float]:
        """Add blocks in their order until `money` is spent, as far as every cap allows.

        Parameters
        ----------
        blocks
            [B, 5] offer, slot, units, gain, money; a line below its minimum is passed over.

        Returns
        -------
        The number of blocks added, and the gain per money of the last one.
        """
        market, committed = self.market, self.money()
        added, last = _add_blocks(
            blocks,
            self.units,
            self.least,
            self.room(),
            self.plan_room(),
            market.offer_supplier,
            self.supplier_cap - committed,
            self.limits.working_capital - committed.sum(),
            money,
        )
        return int(added), float(last)

    def kept(self) -> Allocation:
        """Drop lines of suppliers above their share of what the plan really commits."""
        market = self.market
        share = np.minimum(market.max_share, 1.0)
        while True:
            money = self.money()
            own = np.bincount(market.offer_supplier, self.units.sum(axis=1), minlength=len(money))
            over = np.flatnonzero((money > share * money.sum()) & (own > 0))
            if not len(over):
                return self
            supplier = over[np.argmax(money[over] - share[over] * money.sum())]
            self._drop_smallest_line(supplier)

    def _drop_smallest_line(self, supplier: int) -> None:
        offer, slot, money = self._lines()
        own = (self.market.offer_supplier[offer] == supplier) & (money > 0)
        smallest = np.argmin(np.where(own, money, np.inf))
        self.units[offer[smallest], slot[smallest]] = 0.0

    def plan(self) -> Plan:
        """The lines, sorted by instant, supplier and product."""
        offer, slot = np.nonzero(self.units)
        market = self.market
        since = self.starts[slot]
        by_time = np.lexsort((market.offer_product[offer], market.offer_supplier[offer], since))
        offer, slot, since = offer[by_time], slot[by_time], since[by_time]
        units = self.units[offer, slot].astype("int64")
        return Plan(
            offer=offer,
            order_by=np.maximum(np.floor(since - market.lead_time[offer]), self.limits.as_of),
            available_from=since,
            available_to=self.until[market.offer_product[offer], slot],
            units=units,
            unit_cost=market.line_cost(offer, units),
        )


def slot_starts(market: Market, limits: Limits) -> Array:
    """Starts [T] of the local clock hours from as-of to the end of the horizon."""
    steps = np.arange(0, limits.horizon + HOUR, HOUR / 4) + limits.as_of
    hours = np.unique(clock_hours(steps, market.tz))
    return hours[(hours >= limits.as_of) & (hours < limits.as_of + limits.horizon)]
