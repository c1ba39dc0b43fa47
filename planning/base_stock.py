"""Base stock: each product filled up, period by period, to what a newsvendor would have ready.

Reserved direct slots live within their hour, so their period is the clock hour. Codes are kept, so
theirs is a day (or the shelf life, where that is shorter), and what is left over serves the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planning.allocation import Allocation
from planning.newsvendor import Steps, critical_ratio, mismatch_cost, money_price
from planning.optimise import YEAR, Aims
from planning.problem import DAY, HOUR, Array, Market, Orders, Plan, stream
from planning.replay import fill_share
from planning.rules import Limits

REVIEW_HOURS = int(DAY / HOUR)  # codes are filled up once a day
YIELDS = 4  # number of this purpose among the seed's
MANY = 1e15  # units: more than anybody orders, exact as a float
JUST_BELOW = 1 - 1e-9  # of the price of money: the step that its budget cuts is there


def cheapest_usable(allocation: Allocation) -> Array:
    """[N, T] offer with the lowest unit price that can be ready in the slot, -1 = none."""
    market = allocation.market
    ranked = np.lexsort((market.unit_cost, market.offer_product))
    product = market.offer_product[ranked]
    rank = np.arange(len(ranked)) - np.searchsorted(product, product)
    choice = np.full((len(market.product_ids), len(allocation.starts)), -1)
    for place in range(int(rank.max(initial=0)), -1, -1):
        rows = ranked[rank == place]
        owner = market.offer_product[rows]
        choice[owner] = np.where(allocation.usable[rows], rows[:, None], choice[owner])
    return choice


@dataclass(frozen=True, kw_only=True)
class Periods:
    """Items [I]: products and the periods of them in which something can be ready and is asked."""

    hours: Array  # [N] clock hours of a product's period
    product: Array  # [I]
    number: Array  # [I] which of the product's periods
    first: Array  # [I] slot from which units can be ready
    offer: Array  # [I] the cheapest that is usable then
    demand: Array  # [I, K] units ordered from then to the period's end, in each sampled future


def periods_of(allocation: Allocation, streams: Sequence[Orders]) -> Periods:
    """Sampled demand by product and period."""
    market, slots = allocation.market, len(allocation.starts)
    life = np.minimum(market.shelf_life / HOUR, REVIEW_HOURS).astype("int64")
    hours = np.where(market.direct, 1, np.maximum(life, 1))
    choice = cheapest_usable(allocation)
    product, slot = np.nonzero(choice >= 0)
    first = np.full(len(hours) * slots, slots)
    np.minimum.at(first, product * slots + slot // hours[product], slot)
    demand = np.zeros((len(hours) * slots, len(streams)))
    for k, one in enumerate(streams):
        at = np.searchsorted(allocation.starts, one.at, side="right") - 1
        item = one.product.astype("int64") * slots + at // hours[one.product]
        counts = (at >= 0) & (at >= first[item])
        demand[:, k] = np.bincount(item[counts], one.quantity[counts], minlength=len(first))
    items = np.flatnonzero(demand.any(axis=1))
    return Periods(
        hours=hours,
        product=items // slots,
        number=items % slots,
        first=first[items],
        offer=choice[items // slots, first[items]],
        demand=demand[items],
    )


def _costs(
    market: Market, periods: Periods, streams: Sequence[Orders], limits: Limits, aims: Aims
) -> tuple[Array, Array]:
    """What a unit too few and a unit too many cost [I]."""
    cost = market.unit_cost[periods.offer]
    fastest = np.lexsort((market.spot_minutes, market.offer_product))
    licensed = market.qualified_until[market.offer_supplier[fastest]] > limits.as_of
    fastest = fastest[licensed]  # an offer is usable, so the product has at least one
    spot = fastest[np.searchsorted(market.offer_product[fastest], periods.product)]
    units, delay = np.zeros((2, len(market.product_ids)))
    for one in streams:
        units += np.bincount(one.product, one.quantity, minlength=len(units))
        delay += np.bincount(one.product, aims.weights()[one.segment], minlength=len(units))
    per_unit = (delay[periods.product] / units[periods.product]) * aims.delay_cost
    hours = periods.hours[periods.product]
    capital = aims.capital_cost * hours * HOUR / YEAR * cost
    kept = market.shelf_life[periods.product] > hours * HOUR
    carried = kept & ~market.direct[periods.product]
    premium = market.spot_unit_cost[spot] - cost + per_unit * market.spot_minutes[spot]
    return premium - capital, capital + np.where(
        carried, 0.0, market.loss_rate[periods.offer] * cost
    )


@dataclass(frozen=True, kw_only=True)
class _OnHand:
    """What is there or on its way: on hand [N], and due [N, T] by product and period."""

    stock: Array
    due: Array

    @classmethod
    def of(cls, allocation: Allocation, periods: Periods) -> _OnHand:
        market, slots = allocation.market, len(allocation.starts)
        fresh = market.stock_expires > allocation.limits.as_of
        stock = np.bincount(
            market.stock_product[fresh], market.stock_units[fresh], len(market.product_ids)
        )
        ordered = allocation.limits.committed
        product = market.offer_product[ordered.offer]
        slot = np.searchsorted(allocation.starts, ordered.available_from, side="right") - 1
        period = np.maximum(slot, 0) // periods.hours[product]
        due = np.bincount(product * slots + period, ordered.units, len(market.product_ids) * slots)
        return cls(stock=stock, due=due.reshape(-1, slots))

    def missing(self, periods: Periods, level: Array, direct: Array) -> tuple[Array, Array]:
        """Units [I] there before an order, and units to order to reach `level` [I]."""
        wanted = np.zeros_like(self.due)
        wanted[periods.product, periods.number] = level
        stock, have = self.stock.copy(), np.zeros_like(wanted)
        for number in range(wanted.shape[1]):
            have[:, number] = stock + self.due[:, number]
            rest = np.maximum(have[:, number] - wanted[:, number], 0.0)
            stock = np.where(direct, np.minimum(rest, stock), rest)
        there = have[periods.product, periods.number]
        return there, np.maximum(level - there, 0.0)


def _blocks(
    allocation: Allocation, periods: Periods, order: Array, rate: Array, money: float
) -> Array:
    """[B, 5] blocks of whole packs, the best return first, cut where the money ends.

    Hourly caps spread an order forward within its period.
    """
    market, slots = allocation.market, len(allocation.starts)
    some = np.flatnonzero(order > 0)
    offer, hours = periods.offer[some], periods.hours[periods.product[some]]
    end = np.minimum((periods.number[some] + 1) * hours, slots)
    slot = periods.first[some][:, None] + np.arange(int(hours.max(initial=1)))
    inside = slot < end[:, None]
    slot = np.minimum(slot, slots - 1)
    pack = np.maximum(market.pack_size[offer], 1)[:, None]
    room = np.minimum(allocation.room()[offer[:, None], slot], market.max_units[offer][:, None])
    cap = np.where(inside, np.floor(np.minimum(room, MANY) / pack) * pack, 0.0)
    need = np.ceil(order[some][:, None] / pack) * pack
    units = np.clip(need - (np.cumsum(cap, axis=1) - cap), 0.0, cap)
    item, column = np.nonzero(units)
    best = np.lexsort((slot[item, column], -rate[some[item]]))
    item, column = item[best], column[best]
    offer, pack = offer[item], pack[item, 0]
    cost = np.maximum(market.unit_cost[offer], 1 / MANY)
    size = np.maximum(units[item, column], allocation.least[offer])
    left = np.maximum(money - np.cumsum(size * cost) + size * cost, 0.0)
    size = np.minimum(size, np.floor(left / cost / pack) * pack)
    worth = size * market.unit_cost[offer]
    gain = rate[some[item]] * worth
    return np.stack([offer, slot[item, column], size, gain, worth], axis=1).astype(float)


def base_stock(
    market: Market, streams: Sequence[Orders], limits: Limits, aims: Aims, *, seed: int
) -> Plan:
    """Fill every product up to its newsvendor level, best return first until the money is spent.

    Too little costs what the fastest spot offer is dearer by, and its minutes; too much costs the
    loss of unused units, unless they are kept, and capital. Spot queues are left out: that is
    what the plan adds. One price of money holds for all, so that their sum keeps to the capital.
    """
    allocation = Allocation(market, limits)
    periods = periods_of(allocation, streams)
    under, over = _costs(market, periods, streams, limits, aims)
    cost = market.unit_cost[periods.offer]
    rng = stream(seed, YIELDS)
    drawn = fill_share(np.repeat(market.fill_rate[:, None], len(streams), axis=1), rng)
    arrives = drawn[periods.offer]
    steps = Steps.of(periods.demand, arrives=arrives)
    on_hand = _OnHand.of(allocation, periods)

    def order(money: float) -> tuple[Array, Array]:
        level = steps.units(critical_ratio(under, over, money=money * cost))
        return on_hand.missing(periods, level, market.direct)

    ordered = limits.committed
    money = limits.working_capital - float((ordered.units * ordered.unit_cost).sum())
    dearest = np.divide(under, cost, where=cost > 0, out=np.zeros(len(cost)))
    price = money_price(
        lambda price: float((order(price)[1] * cost).sum()), money, float(dearest.max(initial=0.0))
    )
    there, missing = order(price * JUST_BELOW)
    saved = mismatch_cost(there, periods.demand, under, over, arrives=arrives) - mismatch_cost(
        there + missing, periods.demand, under, over, arrives=arrives
    )
    rate = saved / np.maximum(missing * cost, 1 / MANY)
    allocation.add(_blocks(allocation, periods, missing, rate, money), limits.working_capital)
    return allocation.kept().plan()
