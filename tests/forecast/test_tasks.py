import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forecast import forecast
from forecast.calendars import clock_of
from forecast.closed import closed, emptied
from forecast.demand import Panel
from forecast.models import Prediction
from forecast.tasks import LEVELS, _lump, _positive, prepare
from tests.forecast import market

UNITS = st.sampled_from([np.nan, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 7.0, 2.5])
COUNTS = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=UNITS)
FLOATS = st.one_of(st.just(np.nan), st.floats(-100, 100, width=32, allow_subnormal=False))
SIGNED = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=FLOATS)


@pytest.mark.filterwarnings("error")
@given(COUNTS)
def test_a_usual_order_is_the_median_sale_of_what_is_often_silent_and_whole(y):
    panel = Panel(ids=np.arange(len(y)).astype(object), ds=market.hours(y.shape[1]), y=y)
    found = _lump(panel, y, clock_of(panel, 1, season=None))
    for row, lump in zip(y, found, strict=True):
        seen, sold = row[np.isfinite(row)], row[row > 0]
        rare = (seen == 0).sum() > 0.3 * len(seen)
        size = np.median(sold) if len(sold) else 1.0
        assert lump == (size if rare and (seen % 1 == 0).all() else 0.0)


@pytest.mark.filterwarnings("error")
@given(SIGNED)
def test_series_below_zero_are_moved_above_it_and_no_other(y):
    moved, offset = _positive(y)
    for row, up, by in zip(y, moved, offset, strict=True):
        seen = row[np.isfinite(row)]
        if not len(seen) or seen.min() >= 0:
            assert by == 0
            np.testing.assert_array_equal(up, row)
        else:
            assert by <= 0
            np.testing.assert_allclose(up, np.maximum(row - by, 0), atol=1e-4)
            least, high = np.quantile(seen, [0.05, 0.95])
            assert (up[row >= least] > 0).all() or high == least


def test_one_glitch_below_zero_distorts_no_series():
    rng = np.random.default_rng(0)
    ds = market.hours(24 * 28)
    shape = 20 + 10 * np.sin(2 * np.pi * np.asarray(ds.hour) / 24)
    y = (shape + rng.normal(0, 1, len(ds))).astype(np.float32)[None].repeat(2, axis=0)
    y[1, 300] = -1e4
    plain, glitch = forecast(
        Panel(ids=np.array(["a", "b"], dtype=object), ds=ds, y=y), 24, members=["ridge"]
    ).quantiles[:, :, [1, 6, -2]]
    np.testing.assert_allclose(glitch, plain, atol=1.5)


def test_a_shop_that_closes_at_night_sells_no_rare_things():
    rng, ds = np.random.default_rng(0), market.hours(24 * 28)
    open_ = (ds.hour >= 9) & (ds.hour < 19) & (ds.day_of_week < 6)
    y = np.stack([rng.poisson(8.0 * open_), rng.poisson(0.2, len(ds))]).astype(np.float32)
    panel = Panel(ids=np.array(["shop", "rare"], dtype=object), ds=ds, y=y)
    task = prepare(panel, 24).task
    assert task.lump[0] == 0
    assert task.lump[1] == 1
    ahead = forecast(panel, 48, members=["seasonal"])
    shut = np.asarray((ahead.ds.hour < 9) | (ahead.ds.hour >= 19))
    assert (ahead.quantiles[0, shut, :-2] == 0).all()
    assert ahead.mean[0, shut].max() < 0.1
    assert ahead.quantiles[0, ~shut, -2].min() > 0


def test_zeros_must_be_many_and_without_exception():
    ds = market.hours(24 * 20)
    y = np.full((3, len(ds)), 5.25, dtype=np.float32)
    y[:, ds.hour == 3] = 0
    y[1, np.flatnonzero(ds.hour == 3)[-2]] = 1.5  # once it was not
    y[2, : 24 * 12] = 5.25  # and for eight days only
    task = prepare(Panel(ids=np.arange(3).astype(object), ds=ds, y=y), 24).task
    times = closed(task, task.origins[0])
    assert times[0].tolist() == [20 if hour == 3 else 0 for hour in range(24)]
    assert not times[1:].any()
    before = Prediction(
        mean=np.ones((3, 24), np.float32), quantiles=np.ones((3, 24, len(LEVELS)), np.float32)
    )
    after = emptied(before, times, LEVELS)
    assert after.quantiles[0, 3].tolist() == [0.0] * 12 + [1.0]  # 20 zeros vouch for 20/21
    assert after.mean[0, 3] == np.float32(1 / 22)
    np.testing.assert_array_equal(after.quantiles[1:], before.quantiles[1:])


def test_a_series_without_any_value_changes_no_other():
    rng = np.random.default_rng(0)
    y = np.stack([rng.normal(-1, 3, 24 * 20), rng.poisson(0.3, 24 * 20)]).astype(np.float32)
    empty = np.full((1, y.shape[1]), np.nan, dtype=np.float32)
    alone, beside = (
        prepare(Panel(ids=np.arange(len(z)).astype(object), ds=market.hours(z.shape[1]), y=z), 24)
        for z in (y, np.concatenate([y, empty]))
    )
    for name in ("y", "lump"):
        one, two = (getattr(each.task, name) for each in (alone, beside))
        assert one.tobytes() == two[:2].tobytes()
    assert alone.offset.tobytes() == beside.offset[:2].tobytes()


@pytest.mark.parametrize(("products", "buckets"), [(0, 48), (2, 0)])
def test_a_panel_without_products_or_buckets_is_refused(products, buckets):
    ids, y = np.arange(products).astype(object), np.zeros((products, buckets), dtype=np.float32)
    empty = Panel(ids=ids, ds=market.hours(buckets), y=y, orders=y)
    with pytest.raises(ValueError, match=f"holds {products} products and {buckets} buckets"):
        prepare(empty, 24)
