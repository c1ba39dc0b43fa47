"""A plan in the making: units per offer and clock hour, and the room that the rules leave."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from planning.limits import TOLERANCE, Limits
from planning.pricing import Slots, Terms, Tiers, line_money, line_price
from planning.problem import DAY, HOUR, Array, Market, Plan, clock_hours, hour_of

ABOVE = 1 + TOLERANCE  # times a limit: money above this breaks it
NO_LIMIT_DAYS = 365.0  # how long a line without a shelf life is kept


class Purse(NamedTuple):
    """What may be spent, and what is."""

    caps: Array  # [S] money that a supplier may get
    share: Array  # [S] of all the money that a supplier may get
    spent: Array  # [S] money committed so far, drawn up
    cash: float  # money of all suppliers together


class Step(NamedTuple):
    """Where a round of growth began."""

    plan: Plan
    floor: float  # least return that it looked for


@numba.njit(cache=True, nogil=True)
def _add_blocks(
    blocks: Array,
    units: Array,
    least: Array,
    room: Array,
    plan_room: Array,
    supplier: Array,
    unit_cost: Array,
    tiers: Tiers,
    purse: Purse,
    wanted: float,
    strict: bool,
) -> tuple[Array, float]:
    """Rows of the blocks added until `wanted` is spent, and the last one's gain per money.

    `strict` keeps every supplier's share of what is committed so far, not only of what may be.
    """
    rows = np.empty(len(blocks), dtype=np.int64)
    added, last, total = 0, 0.0, purse.spent.sum()
    for row in range(len(blocks)):
        if wanted <= 0:
            break
        offer, slot, size = int(blocks[row, 0]), int(blocks[row, 1]), blocks[row, 2]
        if size > room[offer, slot] or size > plan_room[offer]:
            continue
        bought = units[offer, slot]
        if bought + size < least[offer]:
            continue
        at, cost = supplier[offer], unit_cost[offer]
        money = line_money(tiers, offer, cost, bought + size)
        money -= line_money(tiers, offer, cost, bought)
        if total + money > purse.cash or purse.spent[at] + money > purse.caps[at]:
            continue
        if strict and purse.spent[at] + money > purse.share[at] * (total + money) * ABOVE:
            continue
        units[offer, slot] += size
        room[offer, slot] -= size
        plan_room[offer] -= size
        total += money
        purse.spent[at] += money
        wanted -= money
        rows[added] = row
        added += 1
        last = blocks[row, 3] / max(money, 1e-9)
    return rows[:added], last


@numba.njit(cache=True, nogil=True)
def _undo_blocks(
    blocks: Array,
    units: Array,
    least: Array,
    pack: Array,
    supplier: Array,
    unit_cost: Array,
    tiers: Tiers,
    spent: Array,
    target: Array,
) -> Array:
    """Take back a supplier's latest units until it has no more than its target; rows kept.

    A block is made smaller, by whole packs, where its line stays large enough.
    """
    kept = np.ones(len(blocks), dtype=np.bool_)
    for row in range(len(blocks) - 1, -1, -1):
        offer, slot = int(blocks[row, 0]), int(blocks[row, 1])
        at, cost = supplier[offer], unit_cost[offer]
        if spent[at] <= target[at]:
            continue
        held, size = units[offer, slot], blocks[row, 2]
        before = line_money(tiers, offer, cost, held)
        price = line_price(tiers, offer, cost, held)
        packs = np.ceil((spent[at] - target[at]) / (max(price, 1e-9) * pack[offer]))
        less = packs * pack[offer]
        after = line_money(tiers, offer, cost, held - less)
        if less < size and held - less >= least[offer] and before - after >= spent[at] - target[at]:
            size = less
        else:
            kept[row] = False
        units[offer, slot] -= size
        blocks[row, 2] -= size
        spent[at] += line_money(tiers, offer, cost, held - size) - before
    return kept


class Allocation:
    """The plan in the making: units per offer and slot, and the room that is left."""

    def __init__(self, market: Market, limits: Limits, money_cost: Array | float = 0.0) -> None:
        """Start empty; `money_cost` [S] is what committing one unit of money costs."""
        self.market, self.limits = market, limits
        self.starts = slot_starts(market, limits)
        self.units = np.zeros((len(market.unit_cost), len(self.starts)))
        self.until = self._until()
        self.ready = self._ready()
        self.usable = self._usable()
        pack = market.pack_size
        self.least = np.ceil(market.min_order_qty / pack) * pack
        self.share = np.minimum(market.max_share, 1.0)
        self.supplier_cap = np.minimum(market.credit_limit, self.share * limits.working_capital)
        self.money_cost = np.broadcast_to(money_cost, self.share.shape)
        self.tiers = Tiers(*market.tiers)
        self.committed_units = self._committed()
        self.committed_money = limits.committed_money(market)
        self.previous = np.zeros(self.units.shape)  # units of the plan before this one
        self.frozen = np.zeros(self.units.shape)  # of them that must stay
        self.added = np.empty((0, 5))  # every block, in the order of adding, see `add`
        self.path: list[Step] = []  # the rounds in which it grew

    @classmethod
    def holding(
        cls, market: Market, limits: Limits, plan: Plan, money_cost: Array | float
    ) -> Allocation:
        """One that holds a plan's lines already."""
        allocation = cls(market, limits, money_cost)
        slot = hour_of(plan.available_from, allocation.starts)
        units = allocation.units.copy()
        units[plan.offer, slot] = plan.units
        allocation.replace(units)
        return allocation

    def _ready(self) -> Array:
        """[O, T] first instant, in whole seconds, at which an offer's units of a slot can be ready.

        Later than the slot's start where lead time or as-of cut its hour in two.
        """
        soonest = np.ceil(self.limits.as_of + self.market.lead_time)
        ready: Array = np.maximum(self.starts, soonest[:, None])
        return ready

    def _until(self) -> Array:
        """[N, T] instant at which a product's units of a slot are gone."""
        life = np.floor(np.minimum(self.market.shelf_life, NO_LIMIT_DAYS * DAY))
        gone = self.starts + life[:, None]
        return np.where(self.market.direct[:, None], self._hour_ends(), gone)

    def _hour_ends(self) -> Array:
        """[T] end of each slot's clock hour."""
        ends = np.append(self.starts[1:], self.starts[-1:] + HOUR)
        hour_ends: Array = np.minimum(self.starts + HOUR, ends)
        return hour_ends

    def _usable(self) -> Array:
        """[O, T] True where lead time, licence and what a supplier has said let a slot be used."""
        licence = self.market.qualified_until[self.market.offer_supplier]
        ends = np.minimum(self._hour_ends(), self.limits.as_of + self.limits.horizon)
        usable = (self.ready < ends) & (self.ready < licence[:, None])
        usable &= self.ready < self.until[self.market.offer_product]
        closed = self.limits.closed
        slot, inside = self._slots_of(closed.hour)
        usable[closed.offer[inside], slot[inside]] = False
        return usable

    def _slots_of(self, hours: Array) -> tuple[Array, Array]:
        """Slots [L] that start at these instants, and True where there is one."""
        slot = np.searchsorted(self.starts, hours)
        inside = slot < len(self.starts)
        inside[inside] = self.starts[slot[inside]] == hours[inside]
        return slot, inside

    def stay_near(self, previous: Plan, freeze: float) -> None:
        """Prefer the lines of the previous plan; keep those to be ordered before `freeze`.

        A line that the rules don't allow any more, or that was to be ordered before as-of, is
        forgotten.
        """
        slot, inside = self._slots_of(clock_hours(previous.available_from, self.market.tz))
        inside &= previous.units % self.market.pack_size[previous.offer] == 0
        inside &= previous.order_by >= np.floor(self.limits.as_of)
        offer, slot, units = previous.offer[inside], slot[inside], previous.units[inside]
        np.add.at(self.previous, (offer, slot), units)
        frozen = previous.order_by[inside] < freeze
        none = np.zeros(int(frozen.sum()))
        lines = np.stack([offer[frozen], slot[frozen], units[frozen], none, none], axis=1)
        self.add(lines.astype(float), np.inf)
        self.frozen = self.units.copy()

    def _committed(self) -> Array:
        """Units [O, T] of committed lines that become ready in each slot's hour."""
        market, lines = self.market, self.limits.committed
        hours = clock_hours(lines.available_from, market.tz)
        slot, inside = self._slots_of(hours)
        units = np.zeros(self.units.shape)
        np.add.at(units, (lines.offer[inside], slot[inside]), lines.units[inside])
        return units

    def due(self) -> Array:
        """[N, T] units of committed lines that come; those ready before the hours in the first."""
        market, lines = self.market, self.limits.committed
        ahead = (lines.available_from < self.starts[-1] + HOUR) & market.delivered(lines)
        due = np.zeros(self.until.shape)
        hour = hour_of(lines.available_from[ahead], self.starts)
        np.add.at(due, (market.offer_product[lines.offer[ahead]], hour), lines.units[ahead])
        return due

    def lines(self, held: Array) -> tuple[Array, Array, Array, Array]:
        """Offer, slot, units and money [L] of the lines in units [O, T], tiers considered."""
        offer, slot = np.nonzero(held)
        units = held[offer, slot]
        return offer, slot, units, units * self.market.line_cost(offer, units)

    def money(self) -> Array:
        """[S] money at each supplier, of lines committed before too."""
        offer, _, _, money = self.lines(self.units)
        supplier = self.market.offer_supplier[offer]
        own = np.bincount(supplier, money, minlength=len(self.market.supplier_ids))
        return np.asarray(own + self.committed_money, dtype=float)

    def money_left(self) -> float:
        """Working capital that nothing has committed."""
        return float(self.limits.working_capital - self.money().sum())

    def room(self) -> Array:
        """[O, T] units that may still be added."""
        per_hour = self.market.max_units_per_hour[:, None] - self.committed_units - self.units
        return np.where(self.usable, per_hour, 0.0)

    def plan_room(self) -> Array:
        """[O] units that this plan may still add."""
        lines = self.limits.committed
        before = np.bincount(lines.offer, lines.units, minlength=len(self.units))
        return np.asarray(self.market.max_units - before - self.units.sum(axis=1))

    def slots(self) -> Slots:
        """When units of each slot are ready, and whether those left over lose value."""
        end = self.limits.as_of + self.limits.horizon
        loses = (self.until <= end).astype(float)
        return Slots(start=self.starts, ready=self.ready, until=self.until, loses=loses)

    def terms(self) -> Terms:
        """The offers as pricing sees them; copies, to be drawn down."""
        market = self.market
        left = (self.supplier_cap - self.money())[market.offer_supplier]
        rows, starts = market.by_product
        affordable = left / np.maximum(market.lowest_cost, 1e-9)
        return Terms(
            starts=starts,
            rows=rows,
            unit_cost=market.unit_cost,
            money_cost=self.money_cost[market.offer_supplier],
            fill=market.fill_rate,
            loss=market.loss_rate,
            least=self.least,
            pack=market.pack_size.astype(float),
            plan_room=self.plan_room(),
            left=left,
            room=np.minimum(self.room(), affordable[:, None]),
            bought=self.units.copy(),
            previous=self.previous,
            tiers=self.tiers,
        )

    def add(self, blocks: Array, money: float, *, strict: bool = False) -> tuple[int, float]:
        """Add blocks in their order until `money` is spent, as far as every cap allows.

        Parameters
        ----------
        blocks
            [B, 5] offer, slot, units, gain, money; a line below its minimum is passed over.
        strict
            Keep `max_share` of what is committed so far; otherwise of the working capital.

        Returns
        -------
        The number of blocks added, and the gain per money of the last one.
        """
        market = self.market
        rows, last = _add_blocks(
            blocks,
            self.units,
            self.least,
            self.room(),
            self.plan_room(),
            market.offer_supplier,
            market.unit_cost,
            self.tiers,
            self.purse(),
            money,
            strict,
        )
        self.added = np.concatenate([self.added, blocks[rows]])
        return len(rows), float(last)

    def purse(self) -> Purse:
        """What may be spent, and what is."""
        cash = float(self.limits.working_capital)  # never an int, a type of its own to numba
        return Purse(self.supplier_cap, self.share, self.money(), cash)

    def mean_return(self) -> float:
        """Gain per money of all blocks so far."""
        return float(self.added[:, 3].sum() / max(self.added[:, 4].sum(), 1e-9))

    def within_caps(self) -> bool:
        """Whether the money that is committed keeps its limits, at each supplier and in all."""
        money = self.money()
        most = np.maximum(self.supplier_cap, self.committed_money)
        return bool((money <= most * ABOVE).all() and self.money_left() >= 0)

    def over_share(self) -> bool:
        """Whether a supplier has more than its share of all that is committed."""
        money = self.money()
        return bool(self._over(money, self.share * money.sum()).any())

    def within_shares(self) -> float:
        """Most money that could stay: the largest total = Σ min(money, share × total)."""
        money = self.money()
        total, before = float(money.sum()), np.inf
        while before - total > 1e-9 * total:
            allowed = np.maximum(self.share * total, self.committed_money)
            before, total = total, float(np.minimum(money, allowed).sum())
        return total

    def limit_shares(self, total: float) -> None:
        """Let no supplier have more than its share of `total`."""
        self.supplier_cap = np.minimum(self.supplier_cap, self.share * total)

    def keep_shares(self) -> None:
        """Take back, last added first, what is above its supplier's share of all the money."""
        money = self.money()
        target = self.share * self.within_shares()
        while self._over(money, self.share * money.sum()).any():
            target = np.minimum(target, self.share * money.sum())
            self._undo(np.where(self._over(money, target), target, np.inf))
            money = self.money()

    def _over(self, money: Array, target: Array) -> Array:
        """[S] True where a supplier has more than its target and some of it can be taken back."""
        supplier = self.market.offer_supplier
        own = np.bincount(supplier, self.units.sum(axis=1), minlength=len(money))
        return np.asarray((money > target * ABOVE) & (own > 0))

    def _undo(self, target: Array) -> None:
        market = self.market
        kept = _undo_blocks(
            self.added,
            self.units,
            self.least,
            market.pack_size,
            market.offer_supplier,
            market.unit_cost,
            self.tiers,
            self.money(),
            target,
        )
        self.added = self.added[kept]

    def replace(self, units: Array) -> None:
        """Hold these units [O, T] instead; each line becomes one block, the dearest first."""
        usual = self.mean_return()
        self.units = units
        offer, slot, bought, money = self.lines(units)
        blocks = np.stack([offer, slot, bought, usual * money, money], axis=1)
        self.added = blocks[np.argsort(-money, kind="stable")]

    def plan(self) -> Plan:
        """The lines, sorted by instant, supplier and product."""
        offer, slot = np.nonzero(self.units)
        market = self.market
        since = self.ready[offer, slot]
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
    """Starts [T] of the local clock hours from the one that holds as-of to the horizon's end."""
    steps = np.arange(0, limits.horizon + HOUR, HOUR / 4) + limits.as_of
    hours = np.unique(clock_hours(steps, market.tz))
    ahead = hours[(hours + HOUR > limits.as_of) & (hours < limits.as_of + limits.horizon)]
    ahead = ahead[clock_hours(ahead, market.tz) == ahead]  # none begins where half an hour is lost
    return ahead if len(ahead) else hours[:1]
