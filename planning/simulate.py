"""Sampled futures served under a plan, and what relieving each spot order would spare."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from planning.pricing import THREADS, Unserved, waiting_behind
from planning.problem import Array, Market, Orders, Plan
from planning.replay import Lots, fill_share
from planning.spot import UNSERVED, SpotMarket, last_sellers, require_served, service_noise

EXTREME = 2.0  # a future with more delay than this many times the median is damped to it
WHOLE_ORDERS = 6_000_000  # of futures that a round of growth looks at all together
BATCH_ORDERS, FEWEST = 2_000_000, 4  # of a batch otherwise, and the least futures in it
FEW_ORDERS = 20_000  # served sooner than threads start
KEPT_ORDERS = 20_000_000  # of batches that stay laid out for the next time


@dataclass(frozen=True, kw_only=True)
class Future:
    """One sampled stream of orders and the chances that befall it."""

    orders: Orders
    noise: Array  # [M] service-time factor of each order
    fill: Array  # [O] share of a line's units that arrives
    weights: Array  # [segments] multiplier of the delay cost
    damping: float = 1.0  # weight of its minutes

    @property
    def weight(self) -> Array:
        """[M] multiplier of each order's delay cost."""
        return np.asarray(self.weights[self.orders.segment])


def futures_of(
    market: Market, streams: Sequence[Orders], weights: Array, rng: np.random.Generator
) -> list[Future]:
    """Add to each stream of orders the chances of service and supply; weights are per segment."""
    for orders in streams:
        require_served(market, orders)
    return [
        Future(
            orders=orders,
            noise=service_noise(rng, len(orders)),
            fill=fill_share(market.fill_rate, rng),
            weights=weights,
        )
        for orders in streams
    ]


def tail_weights(delay: Array, worst_share: float) -> Array:
    """[K] weights of the futures, mean 1, under which the mean delay is that of the worst share.

    Conditional value at risk of equally likely futures (Rockafellar & Uryasev 2000).
    """
    rank = np.argsort(np.argsort(-delay, kind="stable"), kind="stable")
    weight: Array = np.clip(worst_share * len(delay) - rank, 0, 1) / worst_share
    return weight


def damped(futures: Sequence[Future], delay: Array) -> list[Future]:
    """The futures, the minutes of disasters damped: a single one shouldn't make the plan.

    `delay` [K] is each future's weighted minutes when all is bought on demand; a disaster has more
    than `EXTREME` times the median of those that wait at all.
    """
    waits = delay[delay > 0]
    most = EXTREME * np.median(waits) if len(waits) else 0.0
    share = np.divide(most, delay, out=np.ones(len(delay)), where=delay > 0)
    both = zip(futures, np.minimum(1.0, share), strict=True)
    return [replace(future, damping=float(weight)) for future, weight in both]


def first_of(futures: Sequence[Future], most: float) -> Sequence[Future]:
    """The first futures, at most so many orders together if two fit in; else two."""
    total = np.cumsum([len(future.orders) for future in futures])
    return futures[: max(int(np.searchsorted(total, most, side="right")), 2)]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One future served under the plan so far."""

    minutes: Array  # [M] until delivery, NaN = unserved
    wait: Array  # [M] minutes of it in a queue
    source: Array  # [M] row of the spot offer, FROM_READY or UNSERVED
    valued: Array  # [M] the same; of an order that nobody serves the offer that is valued instead
    spared: Array  # [M] weighted minutes that relieving the order would spare
    arrived: Array  # [L] units of each line, committed ones last
    unused: Array  # [L] of them left over
    stock_until: Array  # [M] as in `Unserved`


class Simulator:
    """Serves sampled futures under a plan and the lines committed before it."""

    def __init__(
        self,
        market: Market,
        futures: Sequence[Future],
        committed: Plan,
        worst_share: float = 1.0,
    ) -> None:
        self.market, self.futures, self.committed = market, futures, committed
        self.worst_share = worst_share  # of the futures, whose waiting counts
        self.spot = SpotMarket(market)
        self.last_seller = last_sellers(market)
        # by source: FROM_READY and UNSERVED, the last two, cost nothing and take no time
        self.spot_price = np.append(market.spot_unit_cost, [0.0, 0.0])
        self.spot_minutes = np.append(market.spot_minutes, [0.0, 0.0])
        self.order, self.bounds = self._by_product()
        self.at = np.concatenate([future.orders.at for future in futures])[self.order]
        quantity = np.concatenate([future.orders.quantity for future in futures])
        self.quantity = quantity[self.order]
        self.fill = np.stack([future.fill for future in futures])  # [K, O]

    def over(self, futures: Sequence[Future], market: Market | None = None) -> Simulator:
        """The same for other futures, or under other terms."""
        terms = self.market if market is None else market
        return Simulator(terms, futures, self.committed, self.worst_share)

    def delay(self, outcomes: Sequence[Outcome]) -> float:
        """Weighted minutes of all orders in the mean over the futures, by what each counts."""
        return float((self._delays(outcomes) * self._emphasis(outcomes)).mean())

    def _delays(self, outcomes: Sequence[Outcome]) -> Array:
        both = zip(outcomes, self.futures, strict=True)
        return np.array(
            [
                np.nansum(outcome.minutes * future.weight)
                + outcome.spared[outcome.source == UNSERVED].sum()
                for outcome, future in both
            ]
        )

    def _emphasis(self, outcomes: Sequence[Outcome]) -> Array:
        """[K] what the minutes of each future count."""
        damping = np.array([future.damping for future in self.futures])
        if self.worst_share == 1:
            return damping
        return damping * tail_weights(self._delays(outcomes), self.worst_share)

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
        if len(self.at) < FEW_ORDERS:
            return [self._serve(every, future) for future in self.futures]
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(lambda future: self._serve(every, future), self.futures))

    def _serve(self, plan: Plan, future: Future) -> Outcome:
        orders, market = future.orders, self.market
        arrived = np.round(plan.units * future.fill[plan.offer]) * market.delivered(plan)
        lots = Lots.of(market, plan, arrived)
        run = self.spot.serve(
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
            run.wait,
            run.source,
            market.offer_supplier,
            run.minutes - run.wait,
            future.weight,
            market.channels,
        )
        valued = self._value_missed(run.source, spared, future)
        bought = lots.line >= 0
        stock_until = np.append(np.where(bought, -np.inf, lots.until), -np.inf)
        unused = np.zeros(len(plan))
        unused[lots.line[bought]] = run.left[bought]
        return Outcome(
            minutes=run.minutes,
            wait=run.wait,
            source=run.source,
            valued=valued,
            spared=spared,
            arrived=arrived,
            unused=unused,
            stock_until=stock_until[run.lot],
        )

    def _value_missed(self, source: Array, spared: Array, future: Future) -> Array:
        """`Outcome.valued` [M]; what orders that nobody serves would spare is put into `spared`."""
        missed = np.flatnonzero(source == UNSERVED)
        if not len(missed):
            return source
        valued = source.copy()
        valued[missed] = self.last_seller[future.orders.product[missed]]
        spared[missed] = future.weight[missed] * self.spot_minutes[valued[missed]]
        return valued

    def unserved(self, outcomes: Sequence[Outcome], minute_price: float) -> Unserved:
        """The orders of all futures with the values of those on spot, ready for pricing.

        Those that nobody serves count as bought where they are valued.
        """
        source = np.concatenate([outcome.valued for outcome in outcomes])[self.order]
        both = zip(outcomes, self._emphasis(outcomes), strict=True)
        spared = np.concatenate([outcome.spared * weight for outcome, weight in both])
        return Unserved(
            at=self.at,
            quantity=self.quantity,
            value=spared[self.order] * minute_price + self.spot_price[source] * self.quantity,
            taken=source < 0,
            stock_until=np.concatenate([outcome.stock_until for outcome in outcomes])[self.order],
            bounds=self.bounds,
            fill=self.fill,
        )


class Batches:
    """The futures, where they are many a few at a time: each round looks at the next batch."""

    def __init__(self, futures: Sequence[Future], like: Simulator) -> None:
        orders = sum(len(future.orders) for future in futures)
        share = 1.0 if orders <= WHOLE_ORDERS else BATCH_ORDERS / orders
        size = max(int(share * len(futures)), FEWEST)
        self.like = like
        self.parts = [futures[first : first + size] for first in range(0, len(futures), size)]
        self.kept: dict[int, Simulator] = {}

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> Simulator:
        """A batch, laid out anew if others took its room since."""
        if number not in self.kept:
            if sum(len(batch.at) for batch in self.kept.values()) > KEPT_ORDERS:
                self.kept.clear()
            self.kept[number] = self.like.over(self.parts[number])
        return self.kept[number]
