import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast import Panel
from forecast.blend import learn
from forecast.models import MODELS, patience, told
from forecast.models.decomposed import fit_mstl
from forecast.models.harmonic import fit_harmonic, fourier
from forecast.models.patience import Failure, each
from forecast.models.seasonal import Seasonal
from forecast.models.slow import Series, fit_largest
from forecast.tasks import LEVELS, prepare
from tests.forecast import market

DAY, WEEK, HORIZON = 24, 7, 48


def moody(series):
    """Fits a flat line, except to the series whose mean tells it to fail, or to hang."""
    size = series.flat.mean()
    if size > 30:
        raise ZeroDivisionError("on purpose")
    if size > 15:
        time.sleep(60)
    flat = np.full(len(series.effect), 5.0)
    return flat, np.repeat(flat[:, None], len(series.levels), axis=1)


@pytest.fixture(scope="module")
def fallen():
    panel = market.panel(n=3, days=20)
    panel.y[:] *= (np.array([1.0, 20.0, 40.0]) / panel.y.mean(axis=1))[:, None]
    task = prepare(panel, HORIZON).task
    fitted = fit_largest(task, moody, most=3, seconds=3.0)
    return task, fitted.predict(task, task.origins[-1])


def test_a_series_whose_fit_fails_or_hangs_gets_the_seasonal_rule_and_says_why(fallen):
    task, found = fallen
    rule = Seasonal().fit(task).predict(task, task.origins[-1])
    np.testing.assert_array_equal(found.quantiles[1:], rule.quantiles[1:])
    assert (found.mean[0] == 5.0).all()
    assert dict(found.fallbacks) == {
        1: "hung for more than 3 s",
        2: "failed with ZeroDivisionError",
    }


def test_the_label_of_a_series_tells_the_fallback_of_members_that_count(fallen):
    _, found = fallen
    label = np.array(["moody:1.0"] * 3, dtype=object)
    heavy, none = np.ones((3, 1)), np.zeros((3, 1))
    labels = told(label, ["moody"], [found], heavy)
    assert labels[0] == "moody:1.0"
    assert labels[2] == "moody:1.0; moody failed with ZeroDivisionError, seasonal instead"
    np.testing.assert_array_equal(told(label, ["moody"], [found], none), label)


class Moody(Seasonal):
    """One series always hangs."""

    def fit(self, task):
        return self

    def predict(self, task, origin):
        found = Seasonal().fit(task).predict(task, origin)
        return replace(found, fallbacks={0: "hung for more than 3 s"})


def test_a_member_that_hung_while_weights_were_learned_is_told_of_every_series():
    task = prepare(market.panel(n=6, days=40), HORIZON).task
    blend = learn(task, {"moody": Moody(), "seasonal": Seasonal()})
    for segment in range(len(blend.weights)):
        assert "; moody hung for more than 3 s in the hold-out (" in blend.label(segment)
    assert ";" not in learn(task, {"seasonal": Seasonal()}).label(0)


def die(job):
    raise SystemExit(job)


SCRIPT = """
import sys
from forecast.models.patience import each
print("once", each(eval, ["1 + 1", "print('not on stdout')"], seconds=60))
"""


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_slow_members_run_in_a_script_that_guards_nothing(way, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    command = [sys.executable, *([str(path)] if way == "file" else [])]
    done = subprocess.run(
        command, input=SCRIPT, capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout == "once [2, None]\n"


def test_a_worker_that_cannot_begin_is_told(monkeypatch):
    monkeypatch.setattr(patience, "_WORKER", "raise SystemExit(1)")
    monkeypatch.setattr(patience, "_idle", [])
    with pytest.raises(RuntimeError, match="ended as it began"):
        each(eval, ["1"], seconds=60)


def test_a_worker_that_dies_costs_only_its_own_job():
    found = each(die, [1, 2], seconds=20.0)
    assert found == [Failure("its process died")] * 2


def whose(_):
    return os.getpid()


def test_a_worker_serves_until_it_hangs():
    first = each(whose, [1, 2], seconds=20.0)
    assert first[0] == first[1]
    assert each(whose, [1], seconds=20.0) == first[:1], "it is not started again for each origin"
    assert each(time.sleep, [30], seconds=0.5) == [Failure("hung for more than 0.5 s")]
    assert each(whose, [1], seconds=20.0) != first[:1]


def test_an_idle_worker_that_was_killed_costs_no_job():
    [worker] = each(whose, [1], seconds=20.0)
    os.kill(worker, signal.SIGKILL)
    while patience._idle[-1].process.poll() is None:
        time.sleep(0.01)
    [other] = each(whose, [1], seconds=20.0)
    assert other != worker


def series(noise, *, days=35, seed=0):
    rng = np.random.default_rng(seed)
    at = np.arange(days * DAY + HORIZON)
    weekend = (at // DAY) % WEEK >= 5
    truth = 100 + np.where(weekend, 15, 30) * np.cos(2 * np.pi * at / DAY) - 10 * weekend
    start = np.datetime64("2024-01-01", "us")
    past = len(at) - HORIZON
    return truth[past:], Series(
        flat=truth[:past] + rng.normal(0, noise, past),
        effect=np.ones(HORIZON),
        stamps=start + at.astype("m8[h]"),
        day=DAY,
        week=WEEK,
        levels=LEVELS,
        seed=seed,
    )


@pytest.mark.parametrize("fit", [fit_mstl, fit_harmonic])
def test_day_and_week_are_continued(fit):
    truth, past = series(1.0)
    mean, quantiles = fit(past)
    assert np.abs(mean - truth).mean() < 2.5  # the swing is 60
    assert (np.diff(quantiles, axis=1) >= 0).all()


@pytest.mark.parametrize("fit", [fit_mstl, fit_harmonic])
def test_more_noise_makes_a_wider_forecast(fit):
    widths = [np.ptp(fit(series(noise)[1])[1], axis=1).mean() for noise in (1.0, 6.0)]
    assert widths[1] > 3 * widths[0]


@pytest.mark.parametrize("fit", [fit_mstl, fit_harmonic])
def test_effects_are_put_back(fit):
    _, past = series(1.0)
    double = replace(past, effect=np.full(HORIZON, 2.0))
    for plain, twice in zip(fit(past), fit(double), strict=True):
        np.testing.assert_allclose(twice, 2 * plain)


@pytest.mark.parametrize("fit", [fit_mstl, fit_harmonic])
def test_a_past_too_short_for_seasons_has_no_fit(fit):
    assert fit(series(1.0, days=2)[1]) is None


def test_fourier_terms_repeat_after_a_week_and_tell_its_days_apart():
    terms = fourier(np.arange(2 * DAY * WEEK), DAY, WEEK)
    np.testing.assert_allclose(terms[: DAY * WEEK], terms[DAY * WEEK :], atol=1e-9)
    assert np.linalg.matrix_rank(terms) == terms.shape[1]


@pytest.mark.parametrize("name", ["mstl", "harmonic"])
def test_members_by_name_give_sorted_finite_forecasts(name):
    task = prepare(market.panel(n=2, days=30), 24).task
    found = MODELS[name]().fit(task).predict(task, task.origins[-1])
    assert not found.fallbacks
    assert np.isfinite(found.quantiles).all()
    assert (found.quantiles >= 0).all()
    assert (np.diff(found.quantiles, axis=2) >= 0).all()


def five(series):
    flat = np.full(len(series.effect), 5.0)
    return flat, np.repeat(flat[:, None], len(series.levels), axis=1)


def test_the_largest_are_those_that_sell_most_while_they_are_observed():
    panel = market.panel(n=2, days=20)
    panel.y[:] *= (np.array([10.0, 30.0]) / panel.y.mean(axis=1))[:, None]
    task = prepare(panel, HORIZON).task
    y = task.y.copy()
    y[1, : 24 * 15] = np.nan  # for three quarters of the time
    task = replace(task, y=y)
    found = fit_largest(task, five, most=1, seconds=20.0).predict(task, task.origins[-1])
    assert [(row == 5.0).all() for row in found.mean] == [False, True]


def shortest(series):
    step = np.diff(series.stamps).min() / np.timedelta64(1, "s")
    flat = np.full(len(series.effect), step)
    return flat, np.repeat(flat[:, None], len(series.levels), axis=1)


@pytest.mark.parametrize("seconds", [30, 90, 3600])
def test_stamps_of_a_series_are_as_far_apart_as_its_buckets(seconds):
    n = 2 * 86_400 // seconds
    ds = pd.date_range("2026-01-05", periods=n, freq=f"{seconds}s")
    y = np.arange(1, n + 1, dtype=np.float32)[None]
    task = prepare(Panel(ids=np.array(["P"]), ds=ds, y=y, freq=f"{seconds}s"), HORIZON).task
    found = fit_largest(task, shortest, most=1, seconds=20.0).predict(task, task.origins[-1])
    assert (found.mean == seconds).all()
