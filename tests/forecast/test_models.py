from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast.backtest import head
from forecast.demand import Panel
from forecast.features import past_of
from forecast.models import MODELS, backcasts, corrected, intermittent, ridge
from forecast.tasks import prepare
from tests.forecast import market

pytestmark = pytest.mark.usefixtures("brief_training")
SLOW = {"harmonic", "mstl", "prophet", "statsmodels"}


def task(panel, horizon=24, **known):
    return prepare(panel, horizon, **known).task


def predicted(name, task):
    return MODELS[name]().fit(task).predict(task, task.origins[-1])


@pytest.fixture(scope="module")
def panels():
    counts = market.panel(n=4, days=30)
    y = counts.y.copy()
    y[1] = (y[1] > 14) * 3.0  # rare orders
    y[2, 100:130] = np.nan  # unobserved
    return Panel(ids=counts.ids, ds=counts.ds, y=y, orders=np.nan_to_num(y))


@pytest.mark.parametrize("name", MODELS)
def test_quantiles_are_sorted_finite_and_no_demand_is_negative(name, panels):
    t = task(panels)
    found = predicted(name, t)
    assert found.quantiles.shape == (4, 24, 13)
    assert np.isfinite(found.quantiles).all()
    assert np.isfinite(found.mean).all()
    assert (found.quantiles >= 0).all()
    assert (found.mean >= 0).all()
    assert (np.diff(found.quantiles, axis=2) >= 0).all()


@pytest.mark.parametrize("name", sorted(set(MODELS) - SLOW))
def test_nothing_at_or_after_an_origin_is_used(name, panels):
    whole = task(panels)
    origin = len(panels.ds) - 48
    other = whole.y.copy()
    other[:, origin:] = 1e4
    a = predicted(name, replace(whole, origins=(origin,)))
    b = predicted(name, replace(whole, origins=(origin,), y=other))
    np.testing.assert_array_equal(a.quantiles, b.quantiles)


@pytest.mark.parametrize("name", sorted(set(MODELS) - SLOW))
@pytest.mark.parametrize("days", [0, 1, 2, 5, 15])
def test_a_short_past_still_gives_a_forecast(name, days):
    short = head(market.panel(n=2, days=20), max(24 * days, 3))
    found = predicted(name, task(short))
    assert np.isfinite(found.quantiles).all()


@pytest.mark.parametrize("name", sorted(set(MODELS) - SLOW))
def test_on_plain_seasonal_demand_half_of_it_lies_below_the_median(name):
    whole = market.panel(n=8, days=50, seed=3)
    past = head(whole, 24 * 47)
    found = predicted(name, task(past, 72))
    actual = whole.y[:, 24 * 47 :]
    below = (actual < found.quantiles[:, :, 6]).mean()
    assert 0.35 < below < 0.62
    assert 0.75 < found.mean.sum() / actual.sum() < 1.3


@pytest.mark.parametrize("member", ["seasonal_naive", "weekly_naive"])
def test_days_that_repeat_do_so_when_the_clocks_change(member):
    """The same local hours every day: there was never a change, so hardly one is expected."""
    ds = pd.date_range("2025-09-28", "2025-11-04", freq="h", tz="Europe/London", inclusive="left")
    y = 100 * np.asarray(ds.hour)[None].astype(np.float32)
    panel = Panel(ids=np.array(["P"], dtype=object), ds=ds.as_unit("us"), y=y, orders=y.copy())
    ahead = predicted(member, task(panel, 48)).quantiles
    assert np.abs(ahead[0] - 100 * (np.arange(48) % 24)[:, None]).max() < 5


@pytest.mark.parametrize("member", ["lightgbm", "network"])
def test_learned_quantiles_are_asked_for_where_orders_are_no_counts_alone(member, monkeypatch):
    made = prepare(market.panel(n=8, days=60, level=12.0), 24).task
    fit = MODELS[member]().fit(made)
    asked, learned = [], type(fit.learned).quantiles
    monkeypatch.setattr(
        type(fit.learned), "quantiles", lambda self, x: asked.append(len(x)) or learned(self, x)
    )
    some = fit.predict(made, made.origins[-1]).quantiles
    monkeypatch.setattr(corrected, "counted", lambda expected, _: np.zeros(expected.shape))
    everywhere = fit.predict(made, made.origins[-1]).quantiles
    np.testing.assert_array_equal(some, everywhere)
    assert 0 < asked[0] < 0.9 * asked[1]


@pytest.mark.parametrize("name", ["seasonal", "intermittent", "ridge", "lightgbm_daily"])
@pytest.mark.parametrize("end", ["2026-04-10", "2026-03-30", "2025-11-05"])
@pytest.mark.parametrize("horizon", [24, 30])
def test_members_learn_from_one_local_time_on_both_sides_of_a_change_of_clocks(
    name, end, horizon, monkeypatch
):
    ds = pd.date_range(end=end, periods=24 * 60, freq="h", tz="Europe/Berlin").as_unit("us")
    y = np.random.default_rng(0).poisson(5, (1, len(ds))).astype(np.float32)
    made = task(Panel(ids=np.array(["P"], dtype=object), ds=ds, y=y, orders=y), horizon)
    origins = set()

    def seen(task, rows, origin):
        origins.add(int(origin))
        return past_of(task, rows, origin)

    for module in (backcasts, corrected, intermittent, ridge):
        monkeypatch.setattr(module, "past_of", seen)
    MODELS[name]().fit(made)
    assert {*ds[sorted(origins)].hour} == {(made.clock.slot[len(ds)] - horizon) % 24}
    assert max(origins) in range(len(ds) - horizon - 25, len(ds) - horizon + 1)
    assert len(origins) >= 8
