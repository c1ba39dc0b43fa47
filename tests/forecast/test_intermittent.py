from dataclasses import replace

import numpy as np
import pytest

from forecast.demand import Panel
from forecast.features import past_of
from forecast.models.intermittent import (
    HALF_LIVES,
    Intermittent,
    IntermittentFit,
    Pools,
    plain_pools,
    sold_before,
)
from forecast.models.seasonal import Seasonal
from forecast.tasks import LEVELS, prepare
from tests.forecast import market

DAYS, RATE = 84, 0.04


def rare(n=60, *, rate=RATE, seed=0, days=DAYS, size=3):
    """Orders of `size` units at a constant rate."""
    ds = market.hours(24 * days)
    orders = (np.random.default_rng(seed).random((n, len(ds))) < rate).astype(np.float32)
    ids = np.array([f"P{k}" for k in range(n)], dtype=object)
    return Panel(ids=ids, ds=ds, y=orders * size, orders=orders)


def task_of(panel, horizon=72):
    return prepare(panel, horizon).task


def predicted(task):
    return Intermittent().fit(task).predict(task, task.origins[-1])


def test_the_forecast_of_a_constant_rate_converges_to_it():
    found = predicted(task_of(rare()))
    assert found.mean.mean() == pytest.approx(3 * RATE, rel=0.08)
    each = found.mean.mean(axis=1)
    assert np.quantile(np.abs(each / (3 * RATE) - 1), 0.8) < 0.4


def test_a_slow_rate_is_steadier_than_a_fast_one():
    task = task_of(rare())
    rates = sold_before(task, past_of(task, task.rows, task.origins[-1])).rates
    spread = rates.std(axis=0)
    assert len(spread) == len(HALF_LIVES)
    assert (np.diff(spread) < 0).all()


def test_a_product_that_stopped_selling_fades_to_nothing():
    task = task_of(rare(n=20, days=130))
    alive, means = task.y, []
    for stopped in (0, 5, 20, 60, 95):
        y = alive.copy()
        y[0, y.shape[1] - 24 * stopped :] = 0
        task = replace(task, y=y, level_start=np.zeros(len(y), dtype=int))
        fit = IntermittentFit(chosen=np.full(5, 2), pools=plain_pools(), rest=Seasonal().fit(task))
        means.append(fit.predict(task, task.origins[-1]).mean[0].mean())
    assert (np.diff(means) < 0).all()
    assert means[3] < 0.15 * means[0]
    assert means[4] == 0


def test_quantiles_are_whole_units_and_sorted():
    found = predicted(task_of(rare()))
    assert (found.quantiles == np.rint(found.quantiles)).all()
    assert (np.diff(found.quantiles, axis=2) >= 0).all()
    assert set(np.unique(found.quantiles)) == {0, 3}  # no sale, or one of the usual size


def test_the_share_of_hours_with_a_sale_is_the_chance_told():
    rate = 0.1
    whole = rare(n=200, rate=rate, seed=4)
    task = task_of(
        replace(whole, ds=whole.ds[:-72], y=whole.y[:, :-72], orders=whole.orders[:, :-72])
    )
    quantiles = predicted(task).quantiles
    sure = (quantiles[..., LEVELS == 0.99] > 0).mean()  # chance above 0.01
    rarely = (quantiles[..., LEVELS == 0.8] > 0).mean()  # chance above 0.2
    assert sure > 0.98
    assert rarely < 0.02


def test_sizes_of_sales_do_not_change_their_rates():
    small, large = rare(size=2), rare(size=9)
    rates = []
    for panel in (small, large):
        task = task_of(panel)
        rates.append(sold_before(task, past_of(task, task.rows, task.origins[-1])).rates)
    np.testing.assert_allclose(*rates, rtol=1e-6)


def test_dense_series_and_series_that_are_no_counts_get_the_seasonal_rule():
    dense = task_of(market.panel(n=3, days=40))
    smooth = replace(dense, lump=np.zeros(3))
    for task in (dense, smooth):
        rule = Seasonal().fit(task).predict(task, task.origins[-1])
        np.testing.assert_array_equal(predicted(task).quantiles, rule.quantiles)


def test_pools_give_back_the_chances_and_sizes_that_they_hold():
    n = len(plain_pools().sizes[0])
    pools = Pools(
        expected=np.array([0.01, 0.1]),
        ratio=np.array([1.2, 0.9]),
        sizes=np.stack([np.linspace(-1, 1, n), np.linspace(-2, 2, n)]),
        mean=np.array([1.1, 1.4]),
        variance=0.5,
    )
    np.testing.assert_allclose(
        pools.chance(pools.expected), pools.ratio * (1 - np.exp(-pools.expected))
    )
    np.testing.assert_allclose(pools.mean_size(pools.expected), pools.mean)
    np.testing.assert_allclose(pools.size_at(pools.expected, np.ones(2)), [1, 2])
    np.testing.assert_allclose(pools.size_at(pools.expected, np.zeros(2)), [-1, -2])


def test_nothing_at_or_after_the_first_origin_is_learned_from():
    task = task_of(rare(n=20))
    origin = task.origins[-1] - 96
    other = task.y.copy()
    other[:, origin:] = 7.0
    a, b = (
        Intermittent().fit(t).predict(t, origin)
        for t in (replace(task, origins=(origin,)), replace(task, origins=(origin,), y=other))
    )
    np.testing.assert_array_equal(a.quantiles, b.quantiles)
    np.testing.assert_array_equal(a.mean, b.mean)
