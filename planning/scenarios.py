"""Sample paths of order counts -> sampled futures: the orders that would arrive, one stream a path.

Spot channels jam by orders, not by units, so futures are drawn from forecasts of the number of
orders; each order then takes a size and a segment from the product's own past.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from planning.problem import SEGMENTS, Array, Orders

SIZE_GRID = (np.arange(20) + 0.5) / 20  # probabilities at which a product's order sizes are kept
LIKE = 10  # past buckets with fewer, and with more orders, that a bucket is taken to be like


class Instants(NamedTuple):
    """When orders came within past buckets; those with the fewest orders first."""

    offset: Array  # [M] seconds after the bucket's start, ascending within each
    starts: Array  # [B + 1] bucket b has offset[starts[b]:starts[b + 1]]


UNIFORM = Instants(np.empty(0), np.zeros(1, dtype="int64"))


@dataclass(frozen=True, kw_only=True)
class OrderMix:
    """What orders of a product look like."""

    sizes: Array  # [N, 20] quantiles of the units of an order
    segment: Array  # [N, 3] share of orders from each of SEGMENTS
    instants: Instants = UNIFORM


def past_instants(at: Array, origin: float, bucket: float) -> Instants:
    """Instants [M] of past orders, in buckets of `bucket` seconds that one at `origin` begins."""
    number = np.floor((at - origin) / bucket)
    _, place, count = np.unique(number, return_inverse=True, return_counts=True)
    offset = np.clip(at - origin - number * bucket, 0, bucket)  # rounding may go beyond
    order = np.lexsort((offset, place, count[place]))
    return Instants(offset[order], np.append(0, np.cumsum(np.sort(count))))


def draw_instants(past: Instants, hour: Array, bucket: float, rng: np.random.Generator) -> Array:
    """[M] seconds after the starts of the buckets `hour` [M] that orders fall in.

    Each bucket is like a past one with about as many orders, picked at random: its orders come at
    that one's instants, or uniformly between two of them. What came together there, one customer's
    list or a rush on the hour, comes together again, and that is what jams a channel.
    """
    at = rng.uniform(size=len(hour))
    size = np.diff(past.starts)
    if not len(size) or not len(hour):
        return at * bucket
    count = np.bincount(hour)
    alike = np.searchsorted(size, count) + rng.integers(-LIKE, LIKE + 1, len(count))
    model = np.clip(alike, 0, len(size) - 1)[hour]
    edge = at * (size[model] + 1)
    left = edge.astype("int64")  # orders of the past bucket that came before
    place = past.starts[model] + left
    last = len(past.offset) - 1
    since = np.where(left > 0, past.offset[np.clip(place - 1, 0, last)], 0.0)
    until = np.where(left < size[model], past.offset[np.clip(place, 0, last)], bucket)
    return np.asarray(since + (edge - left) * (until - since))


def order_mix(orders: pa.Table, product: Array, products: int) -> OrderMix:
    """Past orders (quantity, segment) and their product rows -> sizes and segments of each product.

    A product without orders gets the sizes and the segments of all.
    """
    quantity = orders["quantity"].to_numpy().astype(float)
    named = pc.index_in(orders["segment"], value_set=pa.array(SEGMENTS, orders["segment"].type))
    segment = pc.fill_null(named, 0).to_numpy()
    ranked = quantity[np.lexsort((quantity, product))]
    starts = np.searchsorted(np.sort(product), np.arange(products + 1))
    count = np.diff(starts)[:, None]
    overall = np.quantile(quantity, SIZE_GRID) if len(quantity) else np.ones(len(SIZE_GRID))
    padded = np.append(ranked, 1.0)
    own = padded[np.minimum(starts[:-1, None] + (SIZE_GRID * count).astype("int64"), len(ranked))]
    tally = np.zeros((products, len(SEGMENTS)))
    np.add.at(tally, (product, segment), 1.0)
    everyone = tally.sum(axis=0) + np.array([1.0, 0.0, 0.0])
    tally = np.where(count > 0, tally, everyone)
    return OrderMix(
        sizes=np.maximum(np.round(np.where(count > 0, own, overall)), 1.0),
        segment=tally / tally.sum(axis=1, keepdims=True),
    )


def sample_future(
    counts: Array, starts: Array, bucket: float, mix: OrderMix, rng: np.random.Generator
) -> Orders:
    """One path of order counts [N, H] in buckets from `starts` [H] (`bucket` seconds) -> orders."""
    whole = np.round(counts).astype("int64")
    product, hour = np.nonzero(whole > 0)
    cell = np.repeat(np.arange(len(product)), whole[product, hour])
    product, hour = product[cell], hour[cell]
    at = starts[hour] + draw_instants(mix.instants, hour, bucket, rng)
    quantity = mix.sizes[product, rng.integers(0, mix.sizes.shape[1], len(cell))]
    odds = np.cumsum(mix.segment, axis=1)[product]
    segment = (rng.uniform(size=len(cell))[:, None] > odds[:, :-1]).sum(axis=1)
    by_time = np.argsort(at, kind="stable")
    return Orders(
        at=at[by_time],
        product=product[by_time].astype("int32"),
        quantity=quantity[by_time].astype("int64"),
        segment=segment[by_time].astype("int8"),
    )
