from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import LEVELS, MEASURES, Forecast, Panel, metrics
from forecast.backtest import head
from forecast.outcomes import Outcome, days_of_horizon, outcome_of
from forecast.peak_scores import (
    exceedances,
    height_error,
    peak_hour_hits,
    peak_scores,
    reliability_of,
    window_scores,
)
from forecast.scores import level_shares, score
from tests.forecast import market


def outcome(actual, **more):
    n, horizon = actual.shape
    return Outcome(
        **{
            "actual": actual,
            "orders": None,
            "limit": np.full(n, 10.0),
            "crossing": np.full(n, 10.5),
            "scale": np.ones(n),
            "day": np.arange(horizon) // 24,
            "per_hour": 1,
            "category": np.zeros(n, dtype=int),
            **more,
        }
    )


def certain(actual, k=5):
    """A forecast that is sure of `actual`."""
    n, horizon = actual.shape
    value = actual.astype(np.float32)
    return Forecast(
        ids=np.arange(n).astype(str).astype(object),
        ds=market.hours(horizon),
        freq="1h",
        levels=LEVELS,
        mean=value,
        quantiles=np.repeat(value[:, :, None], len(LEVELS), axis=2),
        paths=np.repeat(value[None], k, axis=0),
        model=np.array(["x"] * n, dtype=object),
    )


def test_a_perfect_forecast_has_the_ideal_scores():
    rng = np.random.default_rng(0)
    actual = rng.permuted(np.tile(np.arange(24.0), (4, 2)), axis=1)
    found = score(certain(actual), outcome(actual))
    assert set(found) == set(MEASURES)
    for name, value in found.items():
        if name not in ("coverage80", "above99"):  # of a distribution, which this is none
            assert value == MEASURES[name].ideal, name
    assert found["above99"] == 0


def windows(high):
    found, current = [], []
    for i in range(3):
        for h in range(10):
            if h < 9 and high(i, h):
                current.append((i, h))
            elif current:
                found.append(current)
                current = []
    return found


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.sampled_from([0.0, 0.2, 0.6, 1.0]))
def test_window_scores_equal_windows_walked_bucket_by_bucket(seed, rate):
    rng = np.random.default_rng(seed)
    median = 20.0 * (rng.random((3, 9)) < rate)
    actual = 20.0 * (rng.random((3, 9)) < 0.4)
    actual[rng.random((3, 9)) < 0.15] = np.nan
    limit = np.array([10.0, 10.0, np.nan])

    def told(i, h):
        return median[i, h] > limit[i]

    def came(i, h):
        return actual[i, h] > limit[i]

    def mean_share(one, other):
        shares = []
        for window in windows(one):
            seen = [at for at in window if np.isfinite(actual[at])]
            if seen:
                shares.append(np.mean([other(*at) for at in seen]))
        return np.mean(shares) if shares else np.nan

    cells = [(i, h) for i in range(2) for h in range(9) if np.isfinite(actual[i, h])]
    either = [at for at in cells if told(*at) or came(*at)]
    both = [at for at in either if told(*at) and came(*at)]
    p, r = mean_share(told, came), mean_share(came, told)
    found = window_scores(median, actual, limit)
    np.testing.assert_allclose(found["peak_precision"], p)
    np.testing.assert_allclose(found["peak_recall"], r)
    np.testing.assert_allclose(found["peak_iou"], len(both) / len(either) if either else np.nan)
    if either:
        p, r = np.nan_to_num([p, r])
        assert found["peak_f1"] == pytest.approx(2 * p * r / (p + r) if p + r else 0.0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_threshold_weighted_crps_is_its_integral(seed):
    """∫ (F(x) − 1{y ≤ x})² over x ≥ t, F the paths' empirical distribution, by small steps."""
    rng = np.random.default_rng(seed)
    draws, y, t = rng.gamma(2, 3, 7), rng.gamma(2, 3), rng.gamma(2, 3)
    x = np.arange(0, 60, 1e-3) + 5e-4
    cdf = (draws[:, None] <= x).mean(axis=0)
    wanted = (((cdf - (y <= x)) ** 2) * (x >= t)).sum() * 1e-3
    found = metrics.threshold_crps(np.array(y), draws, np.array(t))
    assert found == pytest.approx(wanted, abs=5e-3)
    assert metrics.threshold_crps(np.array(y), draws, np.array(0.0)) == pytest.approx(
        metrics.sample_crps(np.array(y), draws)
    )


def test_a_peak_hour_counts_when_it_is_an_hour_off_and_no_more():
    actual = np.ones((5, 24))
    actual[:, 12] = 9
    mean = np.zeros((5, 24), dtype=np.float32)
    mean[np.arange(5), [12, 11, 13, 14, 10]] = 1
    assert peak_hour_hits(mean, outcome(actual)) == 3 / 5
    many = outcome(actual, orders=np.where(np.arange(5)[:, None] < 4, 2.0, 1.9) * np.ones((1, 24)))
    assert peak_hour_hits(mean, many) == 3 / 4  # the last product has fewer than 48 orders
    actual[0, 0] = np.nan
    assert peak_hour_hits(mean, outcome(actual)) == 2 / 4
    assert np.isnan(peak_hour_hits(mean, outcome(np.ones((5, 24)))))


def test_quarter_hours_are_judged_by_their_hour():
    actual = np.ones((1, 96))
    actual[0, 40:44] = [0, 0, 0, 30]
    mean = np.ones((1, 96), dtype=np.float32)
    mean[0, 47] = 2  # in the next hour, 4 buckets later
    quarter = outcome(actual, per_hour=4, day=np.zeros(96, dtype=int))
    assert peak_hour_hits(mean, quarter) == 1
    assert peak_hour_hits(np.roll(mean, 4, axis=1), quarter) == 0


def test_the_height_error_is_that_of_the_middle_path():
    actual = np.zeros((1, 24))
    actual[0, 5] = 10.0
    paths = np.zeros((3, 1, 24), dtype=np.float32)
    paths[:, 0, 7] = [4, 8, 20]
    assert height_error(paths, outcome(actual)) == pytest.approx(0.2)


def test_probabilities_of_buckets_and_windows_are_shares_of_paths():
    actual = np.array([[12.0, 0, 0, 0, np.nan, 0]])
    median = np.array([[20.0, 20, 0, 20, 20, 0]])
    paths = np.array([[[11, 0, 0, 0, 0, 0]], [[10.4, 10.6, 0, 0, 0, 0]]], dtype=np.float32)
    result = replace(
        certain(median), paths=paths, quantiles=np.repeat(median[..., None], len(LEVELS), axis=2)
    )
    found = exceedances(result, outcome(actual))
    np.testing.assert_array_equal(found["bucket"][0], [0.5, 0.5, 0, 0, 0])
    np.testing.assert_array_equal(found["bucket"][1], [True, False, False, False, False])
    np.testing.assert_array_equal(found["window"][0], [1.0])  # the other has an unobserved bucket
    np.testing.assert_array_equal(found["window"][1], [True])
    scores = peak_scores(result, outcome(actual))
    assert scores["brier"] == pytest.approx(0.5 / 5)
    assert scores["window_brier"] == 0
    table = reliability_of(result, outcome(actual))
    assert table[["kind", "told", "seen", "count"]].to_numpy().tolist() == [
        ["bucket", 0.0, 0.0, 3],
        ["bucket", 0.5, 0.5, 2],
        ["window", 1.0, 1.0, 1],
    ]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), bins=st.integers(1, 12))
def test_a_reliability_table_keeps_every_forecast(seed, bins):
    rng = np.random.default_rng(seed)
    p = rng.random(200)
    happened = rng.random(200) < p
    table = metrics.reliability(p, happened, bins)
    assert table["count"].sum() == 200
    assert (table["told"] * table["count"]).sum() == pytest.approx(p.sum())
    assert (table["seen"] * table["count"]).sum() == pytest.approx(happened.sum())
    assert ((table["told"] >= table["low"]) & (table["told"] <= table["high"])).all()


def test_levels_of_a_right_distribution_of_counts_are_told_right():
    from scipy import stats

    actual = np.random.default_rng(0).poisson(3.0, (1, 40_000)).astype(float)
    quantiles = np.broadcast_to(stats.poisson.ppf(LEVELS, 3.0), (1, 40_000, len(LEVELS)))
    share = metrics.shares_below(actual, quantiles, LEVELS)
    assert np.abs(share - LEVELS).max() < 0.07  # 13 levels tell ties only roughly
    continuous = np.random.default_rng(1).normal(size=(1, 40_000))
    ahead = np.broadcast_to(stats.norm.ppf(LEVELS), (1, 40_000, len(LEVELS)))
    assert np.abs(metrics.shares_below(continuous, ahead, LEVELS) - LEVELS).max() < 0.01


@pytest.mark.parametrize(("date", "hours"), [("2026-03-29", 23), ("2025-10-26", 25)])
@pytest.mark.parametrize(("freq", "per_hour"), [("15min", 4), ("30min", 2), ("1h", 1)])
def test_a_day_is_the_local_one_and_only_whole_days_count(date, hours, freq, per_hour):
    stop = pd.Timestamp(date, tz="Europe/Berlin")
    ds = pd.date_range(end=stop, periods=9 * 24 * per_hour + 1, freq=freq)[:-1]
    y = np.ones((1, len(ds)), dtype=np.float32)
    past = Panel(ids=np.array(["a"], dtype=object), ds=ds, y=y, freq=freq)
    day, found = days_of_horizon(past, 50 * per_hour)
    assert found == per_hour
    assert np.bincount(day[day >= 0]).tolist() == [hours * per_hour, 24 * per_hour]
    assert (day[(hours + 24) * per_hour :] == -1).all()
    late = head(past, len(ds) - 5 * per_hour)
    day, _ = days_of_horizon(late, 50 * per_hour)
    assert (day[: 5 * per_hour] == -1).all()
    assert (day >= 0).sum() == hours * per_hour


def test_a_horizon_without_a_whole_day_is_parted_into_seasons():
    past = market.panel(n=1, days=20)
    noon = head(past, 24 * 19 + 12)
    assert days_of_horizon(noon, 24)[0].tolist() == [0] * 24
    assert days_of_horizon(noon, 6)[0].tolist() == [0] * 6
    assert set(days_of_horizon(noon, 36)[0][12:]) == {0}  # the second day is whole


def test_what_is_judged_against_is_known_at_the_origin():
    whole = market.panel(n=3, days=40)
    past = head(whole, 24 * 38)
    products = pd.DataFrame({"product_id": ["P2", "P0", "P1"], "category": ["x", "y", "x"]})
    found = outcome_of(past, whole, 24, products=products)
    np.testing.assert_array_equal(found.actual, whole.y[:, 24 * 38 : 24 * 39])
    np.testing.assert_allclose(found.limit, np.quantile(past.y[:, -28 * 24 :], 0.9, axis=1))
    np.testing.assert_array_equal(found.crossing, np.floor(found.limit) + 0.5)
    assert found.category[1] == found.category[2] != found.category[0]
    later = replace(whole, y=np.where(np.arange(960) < 24 * 38, whole.y, 0))
    again = outcome_of(past, later, 24, products=products)
    np.testing.assert_array_equal(found.limit, again.limit)
    np.testing.assert_array_equal(found.scale, again.scale)


def test_unobserved_buckets_are_judged_by_no_measure():
    actual = np.random.default_rng(0).poisson(9, (3, 48)).astype(float)
    result = certain(actual + 1)
    actual[1] = np.nan
    actual[2, :24] = np.nan
    keep = outcome(actual)
    noisy = result.paths.copy()
    noisy[:, ~np.isfinite(actual)] = 1e6
    other = replace(result, paths=noisy)
    one, two = score(result, keep), score(other, keep)
    assert one == pytest.approx(two, nan_ok=True)
    assert level_shares(result, keep)["count"].tolist() == [24 + 48] * len(LEVELS)
