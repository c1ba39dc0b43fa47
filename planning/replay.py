"""Serve real or sampled orders under a plan, by the fulfilment rules of docs/fulfilment.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planning.problem import Array, Market, Orders, Plan, clock_hours
from planning.spot import FROM_READY, UNSERVED, SpotMarket, service_noise

FILL_CONCENTRATION = 20.0  # Beta(20 f, 20 (1 - f))


@dataclass(frozen=True, kw_only=True)
class Lots:
    """Ready units [B], sorted by product and expiry; line -1 = stock on hand."""

    product: Array  # [B] int
    since: Array  # [B] instant
    until: Array  # [B] instant
    units: Array  # [B] int64 that arrived
    line: Array  # [B] row in the plan, -1 = stock

    @classmethod
    def of(cls, market: Market, plan: Plan, arrived: Array) -> Lots:
        """Stock on hand and the units that arrived [L] of a plan."""
        stock = len(market.stock_units)
        product = np.concatenate([market.stock_product, market.offer_product[plan.offer]])
        since = np.concatenate([np.full(stock, -np.inf), plan.available_from])
        until = np.concatenate([market.stock_expires, plan.available_to])
        units = np.concatenate([market.stock_units, arrived]).astype("int64")
        line = np.concatenate([np.full(stock, -1), np.arange(len(plan))])
        by_use = np.lexsort((since, until, product))
        return cls(
            product=product[by_use],
            since=since[by_use],
            until=until[by_use],
            units=units[by_use],
            line=line[by_use],
        )


def draw_arrivals(market: Market, plan: Plan, rng: np.random.Generator) -> Array:
    """Units of each line [L] that arrive: one Beta share per offer and clock hour, then binomial.

    Splitting a line averages nothing away: its parts share the hour's draw. Nothing arrives from a
    supplier that holds no licence by then.
    """
    hours = clock_hours(plan.available_from, market.tz)
    _, first, group = np.unique(
        np.stack([plan.offer, hours]), axis=1, return_index=True, return_inverse=True
    )
    fill = market.fill_rate[plan.offer[first]]
    certain = fill >= 1
    a = np.where(certain, 1.0, FILL_CONCENTRATION * fill)
    b = np.where(certain, 1.0, FILL_CONCENTRATION * (1 - fill))
    share = np.where(certain, 1.0, rng.beta(a, b))
    arrived = rng.binomial(plan.units, share[group.ravel()])
    qualified = plan.available_from < market.qualified_until[market.offer_supplier[plan.offer]]
    return np.where(qualified, arrived, 0)


@dataclass(frozen=True, kw_only=True)
class Served:
    """What became of orders [M] under a plan [L]."""

    minutes: Array  # [M] until delivery; NaN = unserved
    wait: Array  # [M] minutes of it in a queue
    source: Array  # [M] row of the spot offer, FROM_READY or UNSERVED
    arrived: Array  # [L] units
    unused: Array  # [L] units left over
    target_minutes: float
    prealloc_spend: float
    spot_spend: float
    lost_value: float
    left_value: float

    def kpis(self) -> dict[str, float | None]:
        """The figures of `peakahead replay`; minutes over the served, shares over all orders.

        Minutes are None when no order was served, shares when there was no order.
        """
        served = self.minutes[self.source != UNSERVED]
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
    arrived = draw_arrivals(market, plan, rng)
    lots = Lots.of(market, plan, arrived)
    minutes, wait, source, left = SpotMarket(market).serve(
        at=orders.at,
        product=orders.product,
        quantity=orders.quantity,
        noise=noise,
        lot_product=lots.product,
        since=lots.since,
        until=lots.until,
        units=lots.units,
    )
    bought = lots.line >= 0
    unused = np.zeros(len(plan), dtype="int64")
    unused[lots.line[bought]] = left[bought]
    spot = source >= 0
    value = unused * plan.unit_cost
    keeps = plan.available_to > as_of + horizon
    lost = np.where(keeps, 0.0, market.loss_rate[plan.offer] * value)
    left_value = float(value[keeps].sum())
    refunded = float((value - lost)[~keeps].sum())
    paid = float((arrived * plan.unit_cost).sum())
    return Served(
        minutes=minutes,
        wait=wait,
        source=source,
        arrived=arrived,
        unused=unused,
        target_minutes=target_minutes,
        prealloc_spend=paid - refunded - left_value,
        spot_spend=float((market.spot_unit_cost[source[spot]] * orders.quantity[spot]).sum()),
        lost_value=float(lost.sum()),
        left_value=left_value,
    )
