"""Sampled futures hold the orders that their paths promise."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from planning.decide import recent_mix
from planning.problem import HOUR, SEGMENTS
from planning.scenarios import (
    SIZE_GRID,
    UNIFORM,
    OrderMix,
    draw_instants,
    order_mix,
    past_instants,
    sample_future,
)
from tests.forecast import dirt

STARTS = np.array([0.0, HOUR, 2 * HOUR])
MIX = OrderMix(
    sizes=np.vstack([np.ones(20), np.full(20, 7.0)]), segment=np.array([[1.0, 0, 0], [0, 0, 1.0]])
)


@given(counts=arrays("float64", (2, 3), elements=st.floats(0, 40)))
def test_every_bucket_gets_its_orders(counts):
    orders = sample_future(counts, STARTS, HOUR, MIX, np.random.default_rng(0))
    hour = np.searchsorted(STARTS, orders.at, side="right") - 1
    got = np.zeros((2, 3))
    np.add.at(got, (orders.product, hour), 1)
    np.testing.assert_array_equal(got, np.round(counts))
    assert (np.diff(orders.at) >= 0).all()
    assert set(orders.quantity[orders.product == 1]) <= {7}
    assert set(orders.segment[orders.product == 1]) <= {SEGMENTS.index("enterprise")}


def test_sizes_and_segments_come_from_the_products_own_orders():
    quantity = np.tile(np.arange(1, 21), 5)
    log = pa.table(
        {
            "quantity": np.append(quantity, [3]),
            "segment": pa.array([None] * len(quantity) + ["distributor"], pa.string()),
        }
    )
    mix = order_mix(log, np.append(np.zeros(len(quantity), int), 1), 3)
    np.testing.assert_array_equal(mix.sizes[0], np.round(20 * SIZE_GRID + 0.5))
    np.testing.assert_array_equal(mix.sizes[1], 3)
    assert mix.segment[0].tolist() == [1, 0, 0]
    assert mix.segment[1].tolist() == [0, 1, 0]
    assert mix.segment[2].sum() == 1  # without orders: everyone's


def test_no_past_orders_mean_single_units():
    empty = pa.table({"quantity": pa.array([], pa.int64()), "segment": pa.array([], pa.string())})
    mix = order_mix(empty, np.empty(0, int), 2)
    np.testing.assert_array_equal(mix.sizes, 1)


def test_orders_that_came_together_come_together_again():
    """Lists of 50 orders at one instant, once an hour, and single orders in other hours."""
    hours = np.arange(0.0, 200 * HOUR, HOUR)
    lists = np.repeat(hours[::2] + 600.0, 50)
    single = hours[1::2] + 1800.0
    past = past_instants(np.append(lists, single), origin=500 * HOUR, bucket=HOUR)
    rng = np.random.default_rng(0)
    many = draw_instants(past, np.zeros(1000, int), HOUR, rng)
    assert (many == 600.0).mean() > 0.9
    few = np.concatenate([draw_instants(past, np.zeros(1, int), HOUR, rng) for _ in range(400)])
    assert len(np.unique(few)) > 390  # one order of the past tells no rhythm


@given(
    at=arrays("float64", st.integers(1, 60), elements=st.floats(-1e5, 1e5)), n=st.integers(1, 90)
)
@example(at=np.array([-5e-324]), n=2)  # divided by the bucket it is −0.0
def test_instants_stay_in_their_bucket(at, n):
    past = past_instants(at, origin=0.0, bucket=HOUR)
    hour = np.arange(n) % 5
    drawn = draw_instants(past, hour, HOUR, np.random.default_rng(0))
    assert ((drawn >= 0) & (drawn <= HOUR)).all()
    assert past.starts[-1] == len(at)
    assert (np.diff(np.diff(past.starts)) >= 0).all()


def test_without_a_past_instants_are_uniform():
    drawn = draw_instants(UNIFORM, np.zeros(4000, int), HOUR, np.random.default_rng(0))
    assert abs(drawn.mean() / HOUR - 0.5) < 0.02
    assert abs(drawn.std() / HOUR - 12**-0.5) < 0.02


def test_fake_orders_teach_neither_sizes_nor_rhythm():
    """Two strangers order 777 units 600 times within an hour."""
    log = dirt.clean_log(np.random.default_rng(0), days=42)
    start = log.as_of.tz_convert("UTC") - pd.Timedelta("9D")
    burst = log.orders.iloc[:600].assign(
        product_id=log.ids[5],
        ordered_at=pd.date_range(start, periods=600, freq="5s").as_unit("us"),
        quantity=777,
        status="delivered",
        account_id=[f"X{k % 2}" for k in range(600)],
    )
    dirty = replace(log, orders=pd.concat([log.orders, burst], ignore_index=True))
    panel, table = dirty.panel(), pa.Table.from_pandas(dirty.orders, preserve_index=False)
    mix, fooled = (
        recent_mix(seen, table, log.as_of) for seen in (panel, replace(panel, marks=None))
    )
    assert fooled.sizes[5].max() == 777 > mix.sizes[5].max()
    others = np.arange(len(log.ids)) != 5
    assert (mix.sizes[others] == fooled.sizes[others]).all()
    assert len(fooled.instants.offset) >= len(mix.instants.offset) + 600
