from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from forecast import forecast, metrics
from forecast.calendars import clock_of
from forecast.censor import censored, expected_share
from forecast.clean import clean
from tests.forecast import dirt
from tests.forecast.market import panel


@pytest.mark.parametrize(("size", "due", "seen"), [(4.0, 10.0, 3), (100.0, 2.0, 5), (9.0, 40.0, 1)])
def test_the_expected_demand_is_that_of_the_distribution_above_what_was_seen(size, due, seen):
    d = np.arange(4000)
    p = stats.nbinom.pmf(d, size, size / (size + due))
    truth = (d * p)[seen:].sum() / p[seen:].sum()
    share = expected_share(np.array([float(seen)]), np.array([due]), np.array([size]))
    assert share[0] * seen == pytest.approx(truth)


def test_nothing_seen_stays_unknown():
    assert np.isnan(expected_share(np.zeros(1), np.full(1, 5.0), np.full(1, 9.0)))[0]


@pytest.mark.parametrize("shared", [0.0, 0.3])
@pytest.mark.parametrize("level", [0.05, 2.0, 20.0])
def test_clean_counts_are_left_alone(shared, level):
    p = panel(n=200, days=60, shared=shared, level=level)
    assert not len(censored(p, clock_of(p, 1, season=None)).row)


@pytest.mark.parametrize("shape", [2.0, 4.0])
def test_hours_that_are_restless_by_themselves_are_left_alone(shape):
    """Rates that jump from hour to hour leave single hours empty, where days hardly differ."""
    p = panel(n=20, days=60, level=100.0)
    rate = p.y * np.random.default_rng(1).gamma(shape, 1 / shape, p.y.shape)
    y = np.random.default_rng(0).poisson(rate).astype(np.float32)
    restless = replace(p, y=y, orders=y.copy())
    assert not len(censored(restless, clock_of(p, 1, season=None)).row)


def test_a_silent_product_among_busy_ones_is_unobserved_and_its_nights_are_not():
    p = panel(n=6, days=42, seed=2)
    y = p.y.copy()
    y[4, 24 * 30 + 8 : 24 * 31 + 6] = 0
    changed = clean(replace(p, y=y, orders=y.copy()))
    assert np.isnan(changed.panel.y[4, 24 * 30 + 8 : 24 * 31 + 6]).all()
    assert np.isnan(changed.panel.y).sum() <= 22 + 4
    row = changed.changes.iloc[0]
    assert (row["product_id"], row["kind"], row["units_before"]) == ("P4", "censored", 0)
    assert np.isnan(row["units_after"])


def test_nights_on_which_a_shop_is_closed_make_no_silence_longer():
    """Open from 10 to 22, out of stock from noon of a day to the end of the next."""
    p = panel(n=6, days=42, seed=2)
    y = p.y * ((p.ds.hour >= 10) & (p.ds.hour < 22))
    out = slice(24 * 30 + 12, 24 * 31 + 22)
    y[4, out] = 0
    told = clean(replace(p, y=y, orders=y.copy())).changes.iloc[0]
    assert (told["product_id"], told["kind"]) == ("P4", "censored")
    assert (told["starts_at"], told["ends_at"]) == (p.ds[out.start], p.ds[out.stop])
    y[4, 24 * 30 + 12 : 24 * 33] = 0
    assert not len(clean(replace(p, y=y, orders=y.copy())).changes)


def test_a_product_that_ends_or_rests_for_days_is_believed():
    p = panel(n=6, days=42, seed=2)
    y = p.y.copy()
    y[4, 24 * 36 :] = 0
    y[2, 24 * 10 : 24 * 14] = 0
    assert not len(clean(replace(p, y=y, orders=y.copy())).changes)


def test_a_level_that_fell_is_no_silence():
    p = panel(n=6, days=42, seed=2)
    y = p.y.copy()
    y[4, 24 * 20 :] = np.random.default_rng(0).poisson(y[4, 24 * 20 :] * 0.02)
    assert not len(clean(replace(p, y=y, orders=y.copy())).changes)


@pytest.mark.parametrize("lost", [1.0, 0.8])
def test_unconstraining_lowers_the_error(lost, monkeypatch):
    log = dirt.clean_log(np.random.default_rng(2), days=42)
    dirty = dirt.silences(np.random.default_rng(5), log, lost=lost)
    p = dirty.panel()
    kinds = clean(p).changes
    assert set(kinds["kind"]) == {"censored"}
    assert set(kinds["product_id"]) <= set(np.array(dirty.ids)[dirty.hit])

    def loss():
        result = forecast(p, dirt.HORIZON, members=["seasonal"], n_paths=1)
        return metrics.wql(dirty.future[dirty.hit], result.quantiles[dirty.hit], result.levels)

    with_it = loss()
    nothing = censored(log.panel(), clock_of(p, 1, season=None))
    assert not len(nothing.row)
    monkeypatch.setattr("forecast.clean.censored", lambda *_, **__: nothing)
    assert with_it < loss()


def test_a_jam_that_nobody_left_changes_nothing():
    log = dirt.clean_log(np.random.default_rng(2), days=42)
    jammed = dirt.silences(np.random.default_rng(5), log, lost=0.0)
    assert not len(clean(jammed.panel()).changes)
