"""Joint draws: shared fates of the past stay shared, and what was not observed tells nothing."""

import numpy as np
import pandas as pd
import pytest

from forecast import Panel, forecast
from forecast.paths import lasting_scale
from tests.forecast import market

HORIZON = 24


def totals(panel):
    """[K] units of all products over the horizon, path by path."""
    ahead = forecast(panel, HORIZON, members=["seasonal", "intermittent"], n_paths=32)
    return ahead.paths.sum(axis=(1, 2))


def rare(n=300, days=42):
    return market.panel(n, days, level=0.05)


def test_a_day_that_was_not_observed_is_no_busy_day():
    """Most hours of rare products are 0: a random residual among them would come out on top."""
    panel = rare()
    panel.y[:, -10 * 24 : -9 * 24] = np.nan
    panel.orders[:, -10 * 24 : -9 * 24] = np.nan
    total = totals(panel)
    assert total.max() < 1.5 * np.median(total)


def test_a_product_that_is_new_has_no_busy_past():
    panel = rare()
    panel.y[:150, : -12 * 24] = np.nan
    panel.orders[:150, : -12 * 24] = np.nan
    total = totals(panel)
    assert total.max() < 1.8 * np.median(total)


def test_an_outage_borrows_a_shared_fate():
    """With half of the days unobserved, sums still spread as the shared factor says."""

    def spread(seed, *, broken):
        panel = market.panel(50, 84, shared=0.5, seed=seed)
        for day in range(1, 40, 2) if broken else ():
            cut = slice(-(day + 1) * 24, -day * 24)
            panel.y[:, cut] = np.nan
            panel.orders[:, cut] = np.nan
        total = totals(panel)
        return np.std(total) / np.mean(total)

    seeds = range(3, 6)
    whole = np.mean([spread(seed, broken=False) for seed in seeds])
    assert np.mean([spread(seed, broken=True) for seed in seeds]) > 0.65 * whole


def test_rare_products_with_nothing_in_common_sell_when_they_like():
    """Their total is nearly Poisson; with one jitter for all it would be feast or famine."""
    total = totals(rare())
    assert np.std(total) < 2 * np.sqrt(np.mean(total))


def test_hours_that_sell_together_do_so_after_the_clocks_changed():
    """Flash sales of all products at 9, every other day: most paths have all of them or none."""
    ds = pd.date_range("2025-09-28", "2025-11-04", freq="h", tz="Europe/London", inclusive="left")
    lucky = np.asarray((ds.hour == 9) & (ds.day_of_year % 2 == 0))
    y = np.random.default_rng(0).poisson(5 + 95 * lucky, (8, len(ds))).astype(np.float32)
    ids = np.array([f"P{k}" for k in range(8)], dtype=object)
    panel = Panel(ids=ids, ds=ds.as_unit("us"), y=y, orders=y.copy())
    at_nine = forecast(panel, HORIZON, members=["seasonal"], n_paths=32).paths[:, :, 9]
    high = at_nine > np.median(at_nine, axis=0)
    assert (high[:, :1] == high[:, 1:]).mean() > 0.7  # 0.5 where each sells when it likes


def test_a_level_that_was_misjudged_is_so_for_the_whole_horizon():
    """Days that have nothing in common with each other, products that have nothing in common:
    totals still spread by more than hours and products drawn on their own would."""
    ahead = forecast(market.panel(20, 84), 2 * HORIZON, members=["seasonal"], n_paths=64)
    alone = np.random.default_rng(0).permuted(ahead.paths, axis=0)
    days = ahead.paths.reshape(64, 20, 2, HORIZON).sum(axis=(1, 3))
    assert np.std(ahead.paths.sum(axis=(1, 2))) > 1.5 * np.std(alone.sum(axis=(1, 2)))
    assert np.corrcoef(days.T)[0, 1] > 0.2
    assert (
        np.sort(ahead.paths, axis=0) == np.sort(alone, axis=0)
    ).all()  # what each hour may bring


def missed(sizes, *, seed=0, origins=6, categories=5, each=12, units=30.0):
    """`lasting_scale` of counts whose levels lie off by errors of these sizes for a whole day."""
    rng = np.random.default_rng(seed)
    rows = origins * categories * each
    origin = np.repeat(np.arange(origins), categories * each)
    category = np.tile(np.repeat(np.arange(categories), each), origins)
    everyone, group, own = (size * rng.standard_normal(rows) for size in sizes)
    shared = everyone[origin] + group[origin * categories + category] + own
    mean = np.full((rows, 48), units)
    actual = rng.poisson(mean * np.maximum(1 + shared, 0)[:, None]).astype(float)
    actual[::7, 30:] = np.nan
    return lasting_scale(
        actual,
        mean,
        category=category,
        origin=origin,
        day=np.arange(48) // 24,
    )


def test_errors_that_last_are_as_large_as_those_of_days_held_out():
    usual = (0.07, 0.07, 0.1)
    assert np.mean([missed((0.0, 0.0, 0.0), seed=k) for k in range(5)]) < 0.6
    assert np.mean([missed(usual, seed=k) for k in range(20)]) == pytest.approx(1.0, abs=0.15)
    assert np.mean([missed((0.2, 0.2, 0.3), seed=k) for k in range(5)]) == 1.5


def test_few_days_leave_errors_that_last_as_usual():
    told = [missed((0.0, 0.0, 0.0), seed=k, origins=1, categories=1) for k in range(3)]
    assert min(told) > 0.8
