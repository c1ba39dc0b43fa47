"""Sampled futures served under a plan, and what relieving each spot order would spare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planning.pricing import Unserved, waiting_behind
from planning.problem import Array, Market, Orders, Plan
from planning.replay import FILL_CONCENTRATION, Lots
from planning.spot import SpotMarket, service_noise


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
    certain = market.fill_rate >= 1
    a = np.where(certain, 1.0, FILL_CONCENTRATION * market.fill_rate)
    b = np.where(certain, 1.0, FILL_CONCENTRATION * (1 - market.fill_rate))
    return [
        Future(
            orders=orders,
            noise=service_noise(rng, len(orders)),
            fill=np.where(certain, 1.0, rng.beta(a, b)),
            weight=weights[orders.segment],
        )
        for orders in streams
    ]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One future served under the plan so far."""

    minutes: Array  # [M]
    source: Array  # [M]
    spared: Array  # [M] weighted minutes that relieving the order would spare


class Simulator:
    """Serves sampled futures under a plan and the lines committed before it."""

    def __init__(self, market: Market, futures: Sequence[Future], committed: Plan) -> None:
        self.market, self.futures, self.committed = market, futures, committed
        self.spot = SpotMarket(market)

    def serve(self, plan: Plan) -> list[Outcome]:
        """One outcome a future."""
        every = plan.joined(self.committed)
        return [self._serve(every, future) for future in self.futures]

    def _serve(self, plan: Plan, future: Future) -> Outcome:
        orders, market = future.orders, self.market
        arrived = np.round(plan.units * future.fill[plan.offer])
        lots = Lots.of(market, plan, arrived)
        minutes, wait, source, _ = self.spot.serve(
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
        return Outcome(minutes=minutes, source=source, spared=spared)

    def unserved(self, outcomes: Sequence[Outcome], minute_price: float) -> Unserved:
        """The spot orders of all futures with their values, ready for pricing."""
        market, parts = self.market, []
        for number, (future, outcome) in enumerate(zip(self.futures, outcomes, strict=True)):
            spot = np.flatnonzero(outcome.source >= 0)
            quantity = future.orders.quantity[spot]
            price = market.spot_unit_cost[outcome.source[spot]] * quantity
            parts.append(
                (
                    future.orders.product[spot],
                    np.full(len(spot), number),
                    future.orders.at[spot],
                    quantity,
                    outcome.spared[spot] * minute_price + price,
                )
            )
        columns: list[Array] = [np.concatenate(column) for column in zip(*parts, strict=True)]
        product, future_number, at, quantity, value = columns
        # futures follow one another, each by time: a stable sort keeps that within products
        small = np.uint16 if len(market.product_ids) <= 2**16 else np.int32  # sorted by radix
        by_product = np.argsort(product.astype(small), kind="stable")
        futures = len(self.futures)
        keys = product[by_product].astype("int64") * futures + future_number[by_product]
        products = len(market.product_ids)
        edges = np.searchsorted(keys, np.arange(products * futures + 1))
        bounds = edges[np.arange(products)[:, None] * futures + np.arange(futures + 1)]
        return Unserved(
            at=at[by_product],
            quantity=quantity[by_product],
            value=value[by_product],
            bounds=bounds,
        )
