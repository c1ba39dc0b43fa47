"""What kinds of days do within the day, as midnight of the 10th or a pay day's evening."""

import numpy as np
import pandas as pd
import pytest

from forecast import Panel, explain, forecast
from forecast.tasks import prepare

AHEAD = 3  # days; as-of is the 9th of June
CATEGORY = np.arange(12) % 2


def log(lifted, *, hours=(0, 2), factor=6.0, units=8.0, freq="1h", seed=0, start="2026-01-12"):
    """A panel whose `lifted` products sell `factor` times as much in these hours of the 10th."""
    ds = pd.date_range(start, "2026-06-09", freq=freq, tz="Asia/Shanghai", inclusive="left")
    rng = np.random.default_rng(seed)
    day = round(24 * pd.Timedelta("1h") / pd.Timedelta(freq))
    hour = np.arange(len(ds)) % day * 24 / day
    on = (ds.day == 10) & (hour >= hours[0]) & (hour < hours[1])
    lift = np.where(on & np.asarray(lifted)[:, None], factor, 1.0)
    shape = 1 + 0.6 * np.sin((hour - 8) / 24 * 2 * np.pi)
    daily = np.repeat(rng.normal(0, 0.08, (len(lift), len(ds) // day)), day, axis=1)
    hourly = rng.normal(0, 0.1, len(ds))
    y = rng.poisson(units * 24 / day * shape * lift * np.exp(daily + hourly)).astype(np.float32)
    ids = np.array([f"P{k:02}" for k in range(len(y))], dtype=object)
    products = pd.DataFrame({"product_id": ids, "category": np.where(CATEGORY, "a", "b")})
    return Panel(ids=ids, ds=ds.as_unit("us"), y=y, orders=y.copy(), freq=freq), products


def ahead(panel, products):
    """([N, L] the calendar's factors, first bucket of the 10th ahead, buckets of a day)."""
    day = round(pd.Timedelta("1D") / (panel.ds[1] - panel.ds[0]))
    task = prepare(panel, AHEAD * day, products=products, country="CN").task
    every = np.arange(len(task.clock.date))
    told = task.effects.of_day(np.arange(len(panel.ids)), task.clock.date, every)
    return task.effects, told, len(panel.ds) + day, day


@pytest.mark.parametrize("freq", ["1h", "15min"])
def test_hours_of_a_day_of_the_month_are_told_apart(freq):
    _, told, tenth, day = ahead(*log([True] * 12, freq=freq))
    two = day // 12
    np.testing.assert_allclose(told[:, tenth : tenth + two], 6.0, rtol=0.25)
    np.testing.assert_allclose(told[:, tenth + two : tenth + day], 1.0, atol=0.25)
    np.testing.assert_allclose(told[:, tenth - day : tenth], 1.0, atol=0.15)


def test_each_category_has_its_own():
    _, told, tenth, _ = ahead(*log(CATEGORY == 0, hours=(18, 22), factor=3.0))
    evening = slice(tenth + 18, tenth + 22)
    assert told[CATEGORY == 0, evening].mean() == pytest.approx(3.0, rel=0.25)
    assert told[CATEGORY == 1, evening].mean() == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("units", [0.2, 8.0])
def test_a_log_whose_days_are_alike_within_has_none(units):
    for seed in range(8):
        effects, *_ = ahead(*log([True] * 12, factor=1.0, units=units, seed=seed))
        assert effects.within is None


def test_a_day_that_is_large_as_a_whole_has_none():
    effects, told, tenth, _ = ahead(*log([True] * 12, hours=(0, 24), factor=2.0))
    assert effects.within is None
    np.testing.assert_allclose(told[:, tenth : tenth + 24], 2.0, rtol=0.1)


def test_two_occasions_are_too_few():
    effects, *_ = ahead(*log([True] * 12, start="2026-04-01"))
    assert effects.within is None


def test_the_week_is_learned_without_them_and_the_forecast_has_them():
    panel, products = log([True] * 12)
    found = forecast(panel, 24 * AHEAD, products=products, country="CN", members=["seasonal"])
    sure = 8.0 * (1 + 0.6 * np.sin((np.arange(24) - 8) / 24 * 2 * np.pi))
    told = found.mean.mean(axis=0).reshape(AHEAD, 24)
    np.testing.assert_allclose(told[1, :2], 6 * sure[:2], rtol=0.25)
    np.testing.assert_allclose(told[[0, 2]], [sure, sure], rtol=0.15)


def test_what_drives_such_hours_is_the_date():
    panel, products = log([True] * 12)
    known = {"products": products, "country": "CN", "members": ["seasonal"]}
    start = pd.Timestamp("2026-06-10", tz="Asia/Shanghai")
    told = explain(panel, 24 * AHEAD, "P00", start, start + pd.Timedelta("2h"), **known)
    mean = forecast(panel, 24 * AHEAD, **known).mean[0, 24:26].sum()
    assert told["units"].sum() == pytest.approx(mean, rel=1e-6)
    assert told.set_index("driver")["units"]["calendar"] > 0.7 * mean


def test_a_category_that_is_new_or_unobserved_changes_nothing():
    panel, products = log([True] * 12)
    panel.y[CATEGORY == 1, : -24 * 20] = np.nan
    panel.orders[CATEGORY == 1, : -24 * 20] = np.nan
    _, told, tenth, _ = ahead(panel, products)
    np.testing.assert_allclose(told[CATEGORY == 0, tenth : tenth + 2], 6.0, rtol=0.25)
