from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast.demand import Panel
from forecast.features import past_of
from forecast.metrics import crps
from forecast.models import MODELS, ridge
from forecast.models.ridge import Crossed, Weights, candidates, crossed_weights, taught_by
from forecast.tasks import LEVELS, prepare
from tests.forecast import market


def told(name, task):
    return float(MODELS[name]().fit(task).predict(task, task.origins[-1]).mean.sum())


def test_a_drifting_level_is_followed_more_closely_than_by_the_seasonal_rule():
    whole = market.panel(n=8, days=60, level=400.0)
    y = whole.y * np.exp(np.linspace(0, 2.0, whole.y.shape[1])).astype(np.float32)
    past = Panel(ids=whole.ids, ds=whole.ds[:-24], y=y[:, :-24], orders=None)
    task, came = prepare(past, 24).task, float(y[:, -24:].sum())
    assert abs(told("ridge", task) - came) < 0.9 * abs(told("seasonal", task) - came)


def test_what_comes_after_the_origin_changes_nothing():
    task = prepare(market.panel(n=4, days=50), 24).task
    origin = 24 * 40
    later = task.y.copy()
    later[:, origin:] = 1e6
    rows = np.arange(4)
    now = candidates(task, past_of(task, rows, origin))[0]
    then = replace(task, y=later)
    np.testing.assert_array_equal(now, candidates(then, past_of(then, rows, origin))[0])


def test_a_series_never_seen_has_the_weights_of_all():
    task = prepare(market.panel(n=6, days=50), 24).task
    y = task.y.copy()
    y[0] = np.nan
    found = crossed_weights(replace(task, y=y)).whole
    assert np.isfinite(found.own).all()
    spread = np.abs(found.own[0, 1:] - found.own[0, 1:].mean(axis=0)).max()
    assert np.abs(found.own[0, 0] - found.own[0, 1:].mean(axis=0)).max() < spread + 0.5


def test_a_level_is_estimated_after_its_last_shift():
    task = prepare(market.panel(n=2, days=50, level=40.0), 24).task
    y = task.y.copy()
    y[0, 24 * 44 :] *= 3
    start = np.array([24 * 44, 0])
    shifted = replace(task, y=y, level_start=start)
    blind = replace(task, y=y, level_start=np.zeros(2, dtype=int))
    rows, origin = np.arange(2), y.shape[1]
    true = float(y[0, 24 * 44 :].mean())
    told, lags = (past_of(t, rows, origin).level for t in (shifted, blind))
    assert abs(told[0] - true) < abs(lags[0] - true)
    assert told[1] == lags[1]


def test_left_out_errors_are_nearer_to_those_to_come():
    y = np.random.default_rng(0).poisson(20.0, (150, 24 * 36)).astype(np.float32)
    ds = pd.date_range("2026-01-05", periods=y.shape[1], freq="1h")
    ids = np.array([f"P{i:03d}" for i in range(len(y))], dtype=object)
    end = 24 * 34
    past = Panel(ids=ids, ds=ds[:end], y=y[:, :end], orders=y[:, :end], freq="1h")
    task = prepare(past, 48).task
    found = crossed_weights(task)

    def missed(weights: Weights | Crossed, origin: int) -> float:
        expected = weights.expected(task, past_of(task, task.rows, origin))
        return float(np.abs(y[:, origin : origin + 48] - expected).mean())

    origins = taught_by(task)
    seen = np.mean([missed(found.whole, origin) for origin in origins])
    unseen = np.mean([missed(found, origin) for origin in origins])
    later = missed(found.whole, end)
    assert seen < unseen
    assert abs(unseen - later) < abs(seen - later)


def test_a_past_of_one_origin_leaves_nothing_out():
    task = prepare(market.panel(n=2, days=12), 72).task
    found = crossed_weights(task)
    assert len(taught_by(task)) == 1
    assert found.at(taught_by(task)[0]) is found.whole


def test_weights_of_one_task_are_learned_once_and_of_another_anew():
    task = prepare(market.panel(n=2, days=30), 24).task
    other = replace(task, y=2 * task.y)
    assert crossed_weights(task) is crossed_weights(task)
    assert crossed_weights(other) is not crossed_weights(task)


def test_only_series_that_are_asked_for_teach_and_have_weights():
    task = prepare(market.panel(n=6, days=50), 24).task
    asked = np.array([1, 4])
    found = crossed_weights(replace(task, rows=asked)).whole.own
    assert np.isfinite(found[:, asked]).all()
    assert np.isnan(np.delete(found, asked, axis=1)).all()
    alone = replace(task, rows=asked, y=np.where(np.isin(np.arange(6), asked)[:, None], task.y, 0))
    np.testing.assert_array_equal(found, crossed_weights(alone).whole.own)


def hourly(y: np.ndarray, horizon: int = 24):
    """The task of an hourly panel that counts no orders."""
    ds = pd.date_range("2026-01-05", periods=y.shape[1], freq="1h")
    ids = np.array([f"S{i}" for i in range(len(y))], dtype=object)
    return prepare(Panel(ids=ids, ds=ds, y=y.astype(np.float32), orders=None), horizon).task


def warm(n: int, days: int, seed: int) -> np.ndarray:
    """Temperatures: days alike, and a departure from them that lasts for days."""
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    lasting = np.zeros((n, len(hours)))
    for t in hours[1:]:
        lasting[:, t] = 0.98 * lasting[:, t - 1] + rng.normal(0, 0.8, n)
    return 40 + 5 * np.sin(hours / 24 * 2 * np.pi) + lasting


@pytest.fixture
def lax(monkeypatch):
    """Asks for weights with hardly a penalty."""

    def asked(task):
        with monkeypatch.context() as patch:
            patch.setattr(ridge, "_SHARED", (1e-3,))
            patch.setattr(ridge, "_OWN", (2e-4,))
            return crossed_weights(replace(task))

    return asked


def test_few_series_of_one_kind_have_much_the_same_weights(lax):
    task = hourly(warm(4, 30, seed=0))
    own, free = (weights(task).whole.own for weights in (crossed_weights, lax))
    assert np.ptp(own, axis=1).mean() < 0.5 * np.ptp(free, axis=1).mean()


def test_few_noisy_series_err_less_with_penalties_chosen_by_days_left_out(lax):
    chosen, fixed = [], []
    for seed in range(6):
        y = warm(4, 32, seed)
        task, came = hourly(y[:, : 24 * 31]), y[:, 24 * 31 :]
        past = past_of(task, task.rows, 24 * 31)
        for weights, errors in ((crossed_weights, chosen), (lax, fixed)):
            expected = weights(task).whole.expected(task, past)
            errors.append(np.abs(expected - came).mean())
    assert np.mean(chosen) < 0.95 * np.mean(fixed)


def test_a_smooth_series_is_not_blurred_by_noisy_ones_beside_it():
    hours = np.arange(24 * 32)
    smooth = 100 + 0.02 * hours * np.sin(hours / 24 * 2 * np.pi)  # its days grow
    noisy = np.random.default_rng(0).normal(100, 10, (3, len(hours)))
    y = np.concatenate([smooth[None], noisy])
    task = hourly(y[:, : 24 * 31])
    whole = crossed_weights(task).whole
    expected = whole.expected(task, past_of(task, task.rows, 24 * 31))
    yesterday = np.abs(y[0, 24 * 31 :] - y[0, 24 * 30 : 24 * 31]).mean()
    assert np.abs(expected[0] - y[0, 24 * 31 :]).mean() < 0.5 * yesterday


@pytest.mark.parametrize("days", [12, 14, 17, 21])
@pytest.mark.parametrize("n", [8, 60])
def test_with_weeks_of_orders_weights_stay_near_the_rule(days, n):
    """Three windows teach a dozen weights each product's chance; the rule has less to learn."""
    whole = market.panel(n, 75, level=15.0)
    end = 24 * 72
    at, came = slice(end - 24 * days, end), whole.y[:, end:]
    past = Panel(ids=whole.ids, ds=whole.ds[at], y=whole.y[:, at], orders=whole.orders[:, at])
    task = prepare(past, 72).task
    assert taught_by(task)
    lost = {}
    for name in ("seasonal", "ridge"):
        found = MODELS[name]().fit(task).predict(task, task.origins[-1])
        lost[name] = crps(came, found.quantiles, LEVELS).mean()
    assert lost["ridge"] < 1.06 * lost["seasonal"]


def test_a_saturday_is_like_the_last_one_not_like_friday():
    rng = np.random.default_rng(0)
    hours = np.arange(24 * 7 * 12)
    free = hours // 24 % 7 >= 5
    usual = np.where(free, 20.0, 100 + 40 * np.sin(hours / 24 * 2 * np.pi))
    y = (usual * np.exp(rng.normal(0, 0.1, len(hours))))[None]
    origin = 24 * (7 * 11 + 5)  # midnight before the last Saturday
    task = hourly(y[:, :origin])
    whole = crossed_weights(task).whole
    expected = whole.expected(task, past_of(task, task.rows, origin))
    came = y[:, origin : origin + 24]
    assert np.abs(expected - came).mean() < 0.17 * came.mean()
