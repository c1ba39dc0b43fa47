"""Serve real or sampled orders under a plan, by the fulfilment rules of docs/fulfilment.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from planning.problem import SEGMENTS, Array, Market, Orders, Plan, clock_hours
from planning.spot import FROM_READY, UNSERVED, SpotMarket, require_served, service_noise

FILL_CONCENTRATION = 20.0  # Beta(20 f, 20 (1 - f))


@dataclass(frozen=True, kw_only=True)
class Lots:
    """Ready units [B], sorted by product and expiry."""

    product: Array  # [B] int
    since: Array  # [B] instant
    until: Array  # [B] instant
    units: Array  # [B] int64 that arrived
    line: Array  # [B] row in the plan; -1 - r = row r of the stock on hand

    @classmethod
    def of(cls, market: Market, plan: Plan, arrived: Array) -> Lots:
        """Stock on hand and the units that arrived [L] of a plan."""
        stock = len(market.stock_units)
        product = np.concatenate([market.stock_product, market.offer_product[plan.offer]])
        since = np.concatenate([np.full(stock, -np.inf), plan.available_from])
        until = np.concatenate([market.stock_expires, plan.available_to])
        units = np.concatenate([market.stock_units, arrived]).astype("int64")
        line = np.concatenate([-1 - np.arange(stock), np.arange(len(plan))])
        by_use = np.lexsort((since, until, product))
        return cls(
            product=product[by_use],
            since=since[by_use],
            until=until[by_use],
            units=units[by_use],
            line=line[by_use],
        )


def fill_share(fill: Array, rng: np.random.Generator) -> Array:
    """Shares of units that arrive, drawn for fill rates of any shape; exactly 1 where that is 1."""
    certain = fill >= 1
    a = np.where(certain, 1.0, FILL_CONCENTRATION * fill)
    b = np.where(certain, 1.0, FILL_CONCENTRATION * (1 - fill))
    return np.where(certain, 1.0, rng.beta(a, b))


def arriving(market: Market, plan: Plan, share: Array, rng: np.random.Generator) -> Array:
    """Units of each line [L] that arrive when each has the chance `share` [L].

    Nothing arrives from a supplier that holds no licence by then.
    """
    arrived = rng.binomial(plan.units, share)
    return np.where(market.delivered(plan), arrived, 0)


def draw_arrivals(market: Market, plan: Plan, rng: np.random.Generator) -> Array:
    """Units of each line [L] that arrive: one Beta share per offer and clock hour, then binomial.

    Splitting a line averages nothing away: its parts share the hour's draw.
    """
    _, hour = np.unique(clock_hours(plan.available_from, market.tz), return_inverse=True)
    _, first, group = np.unique(
        plan.offer * (len(plan) + 1) + hour, return_index=True, return_inverse=True
    )
    share = fill_share(market.fill_rate[plan.offer[first]], rng)
    return arriving(market, plan, share[group], rng)


@dataclass(frozen=True, kw_only=True)
class Chances:
    """What luck decides about orders [M] and plan lines [L]."""

    noise: Array  # [M] service-time factor of each order, should it go to spot
    arrived: Array  # [L] units of each line


@dataclass(frozen=True, kw_only=True)
class Served:
    """What became of orders [M] under a plan [L], from stock on hand [B] too."""

    orders: Orders
    minutes: Array  # [M] until delivery; NaN = unserved
    wait: Array  # [M] minutes of it in a queue
    source: Array  # [M] row of the spot offer, FROM_READY or UNSERVED
    arrived: Array  # [L] units
    unused: Array  # [L] units left over
    stock_left: Array  # [B] units left over
    paid: Array  # [M] money that each order cost on spot
    target_minutes: float
    prealloc_spend: float
    spot_spend: float
    lost_value: float
    left_value: float

    def kpis(self) -> dict[str, float | None]:
        """The figures of `peakahead replay`; minutes over the served, shares over all orders.

        Minutes are None when no order was served, shares when there was no order.
        """
        served = self._served_minutes
        p50, p95 = np.quantile(served, [0.5, 0.95]) if len(served) else (np.nan, np.nan)
        return {
            "mean_minutes": _number(served.mean() if len(served) else np.nan),
            "p50_minutes": _number(p50),
            "p95_minutes": _number(p95),
            "on_time_share": _share(self.minutes <= self.target_minutes),
            "instant_share": _share(self.source == FROM_READY),
            "spend": self.prealloc_spend + self.spot_spend,
            "prealloc_spend": self.prealloc_spend,
            "spot_spend": self.spot_spend,
            "lost_value": self.lost_value,
            "left_value": self.left_value,
        }

    def by_segment(self) -> pd.DataFrame:
        """Figures of each segment that ordered, as in `by`."""
        return self.by(self.orders.segment, SEGMENTS).query("orders > 0")

    def by_product(self, product_ids: Array) -> pd.DataFrame:
        """Figures of each product, as in `by`."""
        return self.by(self.orders.product, product_ids)

    def by(self, group: Array, names: Sequence[object] | Array) -> pd.DataFrame:
        """Figures of groups of orders: `group` [M] is each order's row in `names`.

        Columns as in `kpis`; NaN minutes = no order of the group was served, NaN shares = it has
        no order.
        """
        size = len(names)
        count = np.bincount(group, minlength=size)
        quick = self.minutes <= self.target_minutes
        ready = self.source == FROM_READY
        return pd.DataFrame(
            {
                "orders": count,
                **_minutes_by(group[self.source != UNSERVED], self._served_minutes, size),
                "on_time_share": _ratio(np.bincount(group, quick, minlength=size), count),
                "instant_share": _ratio(np.bincount(group, ready, minlength=size), count),
                "spot_spend": np.bincount(group, self.paid, minlength=size),
            },
            index=pd.Index(names),
        )

    @property
    def _served_minutes(self) -> Array:
        served: Array = self.minutes[self.source != UNSERVED]
        return served


def _minutes_by(group: Array, minutes: Array, size: int) -> dict[str, Array]:
    """Mean, median and 95 % quantile of minutes by group (interpolated, as numpy's quantile)."""
    count = np.bincount(group, minlength=size)
    ranked = np.append(minutes[np.lexsort((minutes, group))], np.nan)
    first = np.cumsum(count) - count
    found = {"mean_minutes": _ratio(np.bincount(group, minutes, minlength=size), count)}
    for name, level in (("p50_minutes", 0.5), ("p95_minutes", 0.95)):
        place = level * np.maximum(count - 1, 0)
        low = np.floor(place).astype("int64")
        below, above = ranked[first + low], ranked[first + np.ceil(place).astype("int64")]
        found[name] = np.where(count > 0, below + (place - low) * (above - below), np.nan)
    return found


def _ratio(total: Array, count: Array) -> Array:
    share: Array = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return share


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _share(hits: Array) -> float | None:
    return float(hits.mean()) if len(hits) else None


def replay(
    market: Market,
    orders: Orders,
    plan: Plan,
    *,
    as_of: float,
    horizon: float,
    target_minutes: float,
    rng: np.random.Generator,
) -> Served:
    """Serve `orders` with `plan` in place; equal rng state, equal result.

    Service times are drawn before arrivals, one an order, so that plans replayed on the same
    seed meet the same spot market.
    """
    noise = service_noise(rng, len(orders))
    chances = Chances(noise=noise, arrived=draw_arrivals(market, plan, rng))
    return serve(market, orders, plan, chances, end=as_of + horizon, target_minutes=target_minutes)


def serve(
    market: Market,
    orders: Orders,
    plan: Plan,
    chances: Chances,
    *,
    end: float,
    target_minutes: float,
) -> Served:
    """Serve `orders` with `plan` in place; units that outlive `end` keep their value."""
    require_served(market, orders)
    lots = Lots.of(market, plan, chances.arrived)
    run = SpotMarket(market).serve(
        at=orders.at,
        product=orders.product,
        quantity=orders.quantity,
        noise=chances.noise,
        lot_product=lots.product,
        since=lots.since,
        until=lots.until,
        units=lots.units,
    )
    bought = lots.line >= 0
    unused = np.zeros(len(plan), dtype="int64")
    unused[lots.line[bought]] = run.left[bought]
    stock_left = np.zeros(len(market.stock_units), dtype="int64")
    stock_left[-1 - lots.line[~bought]] = run.left[~bought]
    value = unused * plan.unit_cost
    keeps = plan.available_to > end
    lost = np.where(keeps, 0.0, market.loss_rate[plan.offer] * value)
    left_value = float(value[keeps].sum())
    refunded = float((value - lost)[~keeps].sum())
    price = np.append(market.spot_unit_cost, [0.0, 0.0])  # rows -2, -1: unserved, from ready units
    spent = price[run.source] * orders.quantity
    return Served(
        orders=orders,
        minutes=run.minutes,
        wait=run.wait,
        source=run.source,
        arrived=chances.arrived,
        unused=unused,
        stock_left=stock_left,
        paid=spent,
        target_minutes=target_minutes,
        prealloc_spend=float((chances.arrived * plan.unit_cost).sum()) - refunded - left_value,
        spot_spend=float(spent[run.source >= 0].sum()),
        lost_value=float(lost.sum()),
        left_value=left_value,
    )
