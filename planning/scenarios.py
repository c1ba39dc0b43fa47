"""Sample paths of order counts -> sampled futures: the orders that would arrive, one stream a path.

Spot channels jam by orders, not by units, so futures are drawn from forecasts of the number of
orders; each order then takes a size and a segment from the product's own past.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from planning.problem import SEGMENTS, Array, Orders

SIZE_GRID = (np.arange(20) + 0.5) / 20  # probabilities at which a product's order sizes are kept


@dataclass(frozen=True, kw_only=True)
class OrderMix:
    """What orders of a product look like."""

    sizes: Array  # [N, 20] quantiles of the units of an order
    segment: Array  # [N, 3] share of orders from each of SEGMENTS


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
    """One path of order counts [N, H] in buckets from `starts` [H] (`bucket` seconds) -> orders.

    Orders of a bucket arrive at uniform instants within it.
    """
    whole = np.round(counts).astype("int64")
    product, hour = np.nonzero(whole > 0)
    cell = np.repeat(np.arange(len(product)), whole[product, hour])
    product, hour = product[cell], hour[cell]
    at = starts[hour] + rng.uniform(0, bucket, len(cell))
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
