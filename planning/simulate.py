"""Sampled futures served under a plan, and what relieving each spot order would spare."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from planning.pricing import THREADS, Unserved, waiting_behind
from planning.problem import Array, Market, Orders, Plan
from planning.replay import Lots, fill_share
from planning.spot import SpotMarket, service_noise

EXTREME = 2.0  # a future with more delay than this many times the median is damped to it


@dataclass(frozen=True, kw_only=True)
class Future:
    """One sampled stream of orders and the chances that befall it."""

    orders: Orders
    noise: Array  # [M] service-time factor of each order
    fill: Array  # [O] share of a line's units that arrives
    weight: Array  # [M] of the order's delay


def futures_of(
    market: Market, streams: Sequence[Orders], weights: Array, rng: np.random.Generator
) -> list[Future]:
    """Add to each stream of orders the chances of service and supply; weights are per segment."""
    return [
        Future(
            orders=orders,
            noise=service_noise(rng, len(orders)),
            fill=fill_share(market.fill_rate, rng),
            weight=weights[orders.segment],
        )
        for orders in streams
    ]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One future served under the plan so far."""

    minutes: Array  # [M] until delivery, NaN = unserved
    wait: Array  # [M] minutes of it in a queue
    source: Array  # [M] row of the spot offer, FROM_READY or UNSERVED
    spared: Array  # [M] weighted minutes that relieving the order would spare
    arrived: Array  # [L] units of each line, committed ones last
    unused: Array  # [L] of them left over


class Simulator:
    """Serves sampled futures under a plan and the lines committed before it."""

    def __init__(self, market: Market, futures: Sequence[Future], committed: Plan) -> None:
        self.market, self.futures, self.committed = market, futures, committed
        self.spot = SpotMarket(market)
        # of a unit, by source: FROM_READY and UNSERVED, the last two, cost nothing
        self.spot_price = np.append(market.spot_unit_cost, [0.0, 0.0])
        self.order, self.bounds = self._by_product()
        self.at = np.concatenate([future.orders.at for future in futures])[self.order]
        quantity = np.concatenate([future.orders.quantity for future in futures])
        self.quantity = quantity[self.order]
        self.damping = self._damping()

    def _damping(self) -> Array:
        """[K] weight of each future's minutes, so that a single disaster doesn't make the plan."""
        delay = self.delay(self.serve(Plan.empty()))
        most = EXTREME * np.median(delay)
        share = np.divide(most, delay, out=np.ones(len(delay)), where=delay > 0)
        return np.asarray(np.minimum(1.0, share))

    def delay(self, outcomes: Sequence[Outcome]) -> Array:
        """[K] weighted minutes of all orders of each future."""
        both = zip(outcomes, self.futures, strict=True)
        return np.array([np.nansum(outcome.minutes * future.weight) for outcome, future in both])

    def _by_product(self) -> tuple[Array, Array]:
        """The orders of all futures, one after the other, sorted by product, future and instant.

        Returns
        -------
        [M] rows, and [N, K + 1] edges: a product's orders of future k are edges[k]:edges[k + 1].
        """
        products, futures = len(self.market.product_ids), len(self.futures)
        small = np.uint16 if products <= 2**16 else np.int32  # sorted by radix
        product = np.concatenate([future.orders.product for future in self.futures])
        order = np.argsort(product.astype(small), kind="stable")
        count = np.stack(
            [np.bincount(future.orders.product, minlength=products) for future in self.futures],
            axis=1,
        )
        edges = np.append(0, np.cumsum(count))
        return order, edges[np.arange(products)[:, None] * futures + np.arange(futures + 1)]

    def serve(self, plan: Plan) -> list[Outcome]:
        """One outcome a future."""
        every = plan.joined(self.committed)
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(lambda future: self._serve(every, future), self.futures))

    def _serve(self, plan: Plan, future: Future) -> Outcome:
        orders, market = future.orders, self.market
        arrived = np.round(plan.units * future.fill[plan.offer])
        lots = Lots.of(market, plan, arrived)
        minutes, wait, source, left = self.spot.serve(
            at=orders.at,
            product=orders.product,
            quantity=orders.quantity,
            noise=future.noise,
            lot_product=lots.product,
            since=lots.since,
            until=lots.until,
            units=lots.units,
        )
        spared = waiting_behind(
            wait, source, market.offer_supplier, minutes - wait, future.weight, market.channels
        )
        bought = lots.line >= 0
        unused = np.zeros(len(plan))
        unused[lots.line[bought]] = left[bought]
        return Outcome(
            minutes=minutes,
            wait=wait,
            source=source,
            spared=spared,
            arrived=arrived,
            unused=unused,
        )

    def unserved(self, outcomes: Sequence[Outcome], minute_price: float) -> Unserved:
        """The orders of all futures with the values of those on spot, ready for pricing."""
        source = np.concatenate([outcome.source for outcome in outcomes])[self.order]
        minutes = zip(outcomes, self.damping, strict=True)
        spared = np.concatenate([outcome.spared * weight for outcome, weight in minutes])
        return Unserved(
            at=self.at,
            quantity=self.quantity,
            value=spared[self.order] * minute_price + self.spot_price[source] * self.quantity,
            taken=source < 0,
            bounds=self.bounds,
        )
