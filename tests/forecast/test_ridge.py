from dataclasses import replace

import numpy as np

from forecast.demand import Panel
from forecast.features import past_of
from forecast.models import MODELS
from forecast.models.ridge import candidates, learn_weights
from forecast.tasks import prepare
from tests.forecast import market


def told(name, task):
    return float(MODELS[name]().fit(task).predict(task, task.origins[-1]).mean.sum())


def test_a_drifting_level_is_followed_more_closely_than_by_the_seasonal_rule():
    whole = market.panel(n=8, days=60, level=400.0)
    y = whole.y * np.exp(np.linspace(0, 2.0, whole.y.shape[1])).astype(np.float32)
    past = Panel(ids=whole.ids, ds=whole.ds[:-24], y=y[:, :-24], orders=y[:, :-24])
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
    found = learn_weights(replace(task, y=y))
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
