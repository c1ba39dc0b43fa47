"""Base stock: each product filled up, period by period, to what a newsvendor would have ready.

Reserved direct slots live within their hour, so their period is the clock hour. Codes are kept, so
theirs is a day (or the shelf life, where that is shorter), and what is left over serves the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planning.allocation import Allocation
from planning.expectation import Aims
from planning.limits import Limits
from planning.newsvendor import Steps, critical_ratio, mismatch_cost, money_price
from planning.optimise import YEAR
from planning.problem import DAY, HOUR, Array, Market, Orders, Plan, stream
from planning.replay import Served, fill_share, replay

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
    price: Array  # [I] money that a unit costs on spot, 0 where none is bought there
    delay: Array  # [I] weighted minutes that a unit takes there, queues included


def periods_of(allocation: Allocation, spot: Sequence[Served], weights: Array) -> Periods:
    """Sampled demand by product and period, and what it costs when no more is bought ahead."""
    market, slots = allocation.market, len(allocation.starts)
    life = np.minimum(market.shelf_life / HOUR, REVIEW_HOURS).astype("int64")
    hours = np.where(market.direct, 1, np.maximum(life, 1))
    choice = cheapest_usable(allocation)
    product, slot = np.nonzero(choice >= 0)
    first = np.full(len(hours) * slots, slots)
    np.minimum.at(first, product * slots + slot // hours[product], slot)
    demand = np.zeros((len(first), len(spot)))
    bought, paid, delay = np.zeros((3, len(first)))
    for k, one in enumerate(spot):
        orders = one.orders
        at = np.searchsorted(allocation.starts, orders.at, side="right") - 1
        item = orders.product.astype("int64") * slots + at // hours[orders.product]
        counts = (at >= 0) & (at >= first[item])
        demand[:, k] = np.bincount(item[counts], orders.quantity[counts], len(first))
        counts &= one.source >= 0
        bought += np.bincount(item[counts], orders.quantity[counts], len(first))
        paid += np.bincount(item[counts], one.paid[counts], len(first))
        minutes = (one.minutes * weights[orders.segment])[counts]
        delay += np.bincount(item[counts], minutes, len(first))
    items = np.flatnonzero(demand.any(axis=1))
    units = np.maximum(bought[items], 1.0)
    return Periods(
        hours=hours,
        product=items // slots,
        number=items % slots,
        first=first[items],
        offer=choice[items // slots, first[items]],
        demand=demand[items],
        price=paid[items] / units,
        delay=delay[items] / units,
    )


def _costs(market: Market, periods: Periods, aims: Aims) -> tuple[Array, Array]:
    """What a unit too few and a unit too many cost [I]."""
    cost = market.unit_cost[periods.offer]
    hours = periods.hours[periods.product]
    capital = aims.capital_cost * hours * HOUR / YEAR * cost
    kept = market.shelf_life[periods.product] > hours * HOUR
    carried = kept & ~market.direct[periods.product]
    lost = np.where(carried, 0.0, market.loss_rate[periods.offer] * cost)
    spared = periods.price - cost + aims.delay_cost * periods.delay
    return np.where(periods.price > 0, spared - capital, 0.0), capital + lost


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
        due = np.zeros((len(stock), slots))
        period = np.arange(slots) // periods.hours[:, None]  # [N, T]
        np.add.at(due, (np.arange(len(stock))[:, None], period), allocation.due())
        return cls(stock=stock, due=due)

    def missing(self, periods: Periods, level: Array, direct: Array) -> tuple[Array, Array]:
        """Units [I] there before an order, and units to order to reach `level` [I]."""
        wanted: Array = np.zeros(self.due.shape)  # due may be of whole numbers
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
    pack = market.pack_size[offer][:, None]
    room = np.minimum(
        allocation.room()[offer[:, None], slot], allocation.plan_room()[offer][:, None]
    )
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


def _on_spot(
    market: Market, streams: Sequence[Orders], limits: Limits, aims: Aims, seed: int
) -> list[Served]:
    """The sampled futures with nothing bought beside what is on hand and on order."""
    return [
        replay(
            market,
            one,
            limits.committed,
            as_of=limits.as_of,
            horizon=limits.horizon,
            target_minutes=aims.target_minutes,
            rng=stream(seed, YIELDS, number),
        )
        for number, one in enumerate(streams)
    ]


def base_stock(
    market: Market, streams: Sequence[Orders], limits: Limits, aims: Aims, *, seed: int
) -> Plan:
    """Fill every product up to its newsvendor level, best return first until the money is spent.

    Too little costs what spot is dearer by, and the minutes that the period's orders take there
    when nothing more is bought; too much costs capital, and the loss of unused units unless they
    are kept. That an order taken out of a jam spares others is left out: the plan adds it.
    One price of money holds for all, so that their sum keeps to the capital.
    """
    allocation = Allocation(market, limits)
    spot = _on_spot(market, streams, limits, aims, seed)
    periods = periods_of(allocation, spot, aims.weights())
    under, over = _costs(market, periods, aims)
    cost = market.unit_cost[periods.offer]
    rng = stream(seed, YIELDS)
    drawn = fill_share(np.repeat(market.fill_rate[:, None], len(streams), axis=1), rng)
    arrives = drawn[periods.offer]
    steps = Steps.of(periods.demand, arrives=arrives)
    on_hand = _OnHand.of(allocation, periods)

    def order(money: float) -> tuple[Array, Array]:
        level = steps.units(critical_ratio(under, over, money=money * cost))
        return on_hand.missing(periods, level, market.direct)

    money = limits.working_capital - float(allocation.money().sum())
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
    allocation.keep_shares()
    return allocation.plan()
