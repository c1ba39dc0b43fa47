import hashlib
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nbinom

from forecast import LEVELS, Panel, forecast, panel_of_series
from forecast.backtest import head
from forecast.metrics import sample_crps
from forecast.paths import inverse_cdf
from forecast.tasks import prepare
from tests.forecast import market

FAST = ["seasonal_naive", "seasonal"]


def digests():
    """Of all that a forecast by the default members consists of."""
    told = forecast(market.panel(n=3, days=16), 24)
    return [
        hashlib.sha256(x.tobytes()).hexdigest() for x in (told.quantiles, told.mean, told.paths)
    ]


@pytest.fixture(scope="module")
def here():
    return digests()


def test_equal_input_and_seed_give_equal_bytes(here):
    assert digests() == here


def test_another_processor_gives_equal_bytes(here):
    """One without AVX-512 whose linear algebra has other kernels."""
    told = """if True:
        from numpy._core._multiarray_umath import __cpu_features__ as features
        from tests.forecast.test_engine import digests
        assert not features.get("X86_V4")
        print(*digests())
    """
    other = subprocess.run(
        [sys.executable, "-c", told],
        env=os.environ | {"OPENBLAS_CORETYPE": "Nehalem", "NUMBA_CPU_NAME": "haswell"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert other.stdout.split()[-3:] == here


def test_the_frame_has_exactly_the_columns_of_the_contract():
    result = forecast(market.panel(n=2, days=20), 24, members=FAST)
    levels = [
        "0.01",
        "0.05",
        "0.1",
        "0.2",
        "0.3",
        "0.4",
        "0.5",
        "0.6",
        "0.7",
        "0.8",
        "0.9",
        "0.95",
        "0.99",
    ]
    frame = result.frame()
    assert list(frame.columns) == ["product_id", "ds", "mean", *(f"q{level}" for level in levels)]
    assert len(frame) == 2 * 24
    assert frame["ds"].iloc[0] == market.hours(24 * 20 + 1)[-1]


def test_a_planted_event_effect_is_found():
    whole = market.panel(n=6, days=60, level=40.0)
    starts = [whole.ds[24 * d + 19] for d in (10, 17, 26, 38, 47)] + [whole.ds[24 * 57 + 19]]
    y = whole.y.copy()
    for start in starts:
        at = whole.ds.get_loc(start)
        y[:, at : at + 3] *= 3
    whole = Panel(ids=whole.ids, ds=whole.ds, y=y, orders=y.copy())
    told = market.events([("release", start, 3, None, None) for start in starts])
    past = head(whole, 24 * 57)
    effects = prepare(past, 24, events=told).task.effects
    np.testing.assert_allclose(np.median(effects.event[0, :3], axis=1), 3.0, rtol=0.2)
    knows = forecast(past, 24, events=told, members=["seasonal"])
    blind = forecast(past, 24, members=["seasonal"])
    actual = y[:, 24 * 57 + 19 : 24 * 57 + 22]
    assert np.abs(knows.mean[:, 19:22] / actual - 1).mean() < 0.35
    assert (knows.mean[:, 19:22] > 1.5 * blind.mean[:, 19:22]).all()


def test_paths_have_the_quantiles_of_the_forecast_and_about_its_mean():
    result = forecast(market.panel(n=4, days=70), 48, members=["seasonal"], n_paths=400)
    found = np.quantile(result.paths, 0.5, axis=0)
    wide = result.quantiles[:, :, -2] - result.quantiles[:, :, 1]
    assert (np.abs(found - result.quantiles[:, :, 6]) <= 0.1 * wide + 0.5).all()
    found = np.quantile(result.paths, 0.9, axis=0)
    assert np.mean(np.abs(found - result.quantiles[:, :, 10]) / (wide + 1)) < 0.05
    assert result.paths.mean() == pytest.approx(result.mean.mean(), rel=0.03)


def test_joint_paths_know_the_sums_better_than_independent_draws():
    rng = np.random.default_rng(1)
    joint, apart = [], []
    for seed in range(4):
        whole = market.panel(n=6, days=81, seed=seed, shared=0.5)
        result = forecast(head(whole, 24 * 80), 24, members=["seasonal"], n_paths=64)
        shuffled = rng.permuted(result.paths, axis=0)
        total = whole.y[:, 24 * 80 :].sum()
        joint.append(sample_crps(np.array(total), result.paths.sum(axis=(1, 2))))
        apart.append(sample_crps(np.array(total), shuffled.sum(axis=(1, 2))))
        assert result.paths.sum(axis=(1, 2)).std() > 3 * shuffled.sum(axis=(1, 2)).std()
    assert np.mean(joint) < np.mean(apart)


def test_single_rare_orders_arrive_whole_and_as_often_as_the_mean_says():
    u = ((np.arange(10_000) + 0.5) / 10_000)[:, None, None]
    quantiles = np.zeros((1, 1, len(LEVELS)))
    drawn = inverse_cdf(u, np.array([[0.024]]), quantiles, LEVELS, np.array([12.0]))
    assert set(np.unique(drawn)) == {0.0, 12.0}
    assert drawn.mean() == pytest.approx(0.024, rel=0.06)


@pytest.mark.parametrize("spread", [1.0, 1.5, 3.0])
def test_paths_of_counts_have_the_mean_that_is_told(spread):
    """Whole quantiles, as of orders that come one by one (1) or in waves."""
    means = np.linspace(0.5, 12, 231)
    shape = means / (spread - 1) if spread > 1 else np.full(len(means), 1e9)
    quantiles = nbinom.ppf(LEVELS, shape[:, None], (shape / (shape + means))[:, None])
    u = np.broadcast_to(((np.arange(4_000) + 0.5) / 4_000)[:, None, None], (4_000, 1, len(means)))
    drawn = inverse_cdf(u, means[None], quantiles[None], LEVELS, np.ones(1))
    np.testing.assert_allclose(drawn.mean(axis=0)[0], means, rtol=0.02)
    assert abs(drawn.mean(axis=0)[0] / means - 1).mean() < 0.002


def test_a_new_product_borrows_from_the_one_it_resembles():
    past = market.panel(n=4, days=40)
    y = past.y.copy()
    y[0] *= 10
    y[3] = 0
    past = Panel(ids=past.ids, ds=past.ds, y=y, orders=y.copy())
    products = pd.DataFrame(
        {
            "product_id": past.ids,
            "category": ["a", "a", "b", "b"],
            "launched_at": [pd.NaT, pd.NaT, pd.NaT, past.ds[-1] + pd.Timedelta("1h")],
            "similar_to": [None, None, None, "P0"],
        }
    )
    result = forecast(past, 24, products=products, members=FAST)
    assert result.model[3] == "borrowed:P0"
    assert result.mean[3].sum() == pytest.approx(result.mean[0].sum(), rel=0.25)
    assert np.corrcoef(result.mean[3], result.mean[0])[0, 1] > 0.9


def test_nothing_sells_before_its_launch():
    past = market.panel(n=3, days=30)
    y = past.y.copy()
    y[2] = 0
    past = Panel(ids=past.ids, ds=past.ds, y=y, orders=y.copy())
    products = pd.DataFrame(
        {
            "product_id": past.ids,
            "category": "a",
            "launched_at": [pd.NaT, pd.NaT, past.ds[-1] + pd.Timedelta("13h")],
        }
    )
    result = forecast(past, 24, products=products, members=FAST)
    assert not result.mean[2, :12].any()
    assert not result.paths[:, 2, :12].any()
    assert (result.mean[2, 12:] > 0).all()


def test_series_may_be_negative_and_end_apart():
    rng = np.random.default_rng(0)
    t = np.arange(300)
    frame = pd.concat(
        [
            pd.DataFrame({"unique_id": "low", "ds": t, "y": -50 + np.sin(t / 12 * np.pi)}),
            pd.DataFrame({"unique_id": "high", "ds": t[:200], "y": 9 + rng.random(200)}),
        ]
    )
    result = forecast(panel_of_series(frame, freq="1", season=24), 12, members=FAST)
    told = result.frame()
    assert list(told.columns[:2]) == ["unique_id", "ds"]
    assert list(told.loc[told["unique_id"] == "high", "ds"]) == list(range(200, 212))
    assert list(told.loc[told["unique_id"] == "low", "ds"]) == list(range(300, 312))
    assert told.loc[told["unique_id"] == "low", "q0.5"].between(-53, -47).all()
    assert (told.loc[told["unique_id"] == "high", "q0.01"] >= 0).all()


@pytest.mark.parametrize("freq", ["15min", "30min"])
def test_finer_buckets_and_naive_stamps_are_kept(freq):
    ds = pd.date_range("2026-01-01", periods=15 * 96, freq=freq)
    y = 10 + 5 * np.sin(np.arange(len(ds)))
    frame = pd.DataFrame({"unique_id": "a", "ds": ds, "y": y})
    told = forecast(panel_of_series(frame, freq=freq), 8, members=FAST).frame()
    assert told["ds"].iloc[0] == ds[-1] + pd.Timedelta(freq)
    assert told["ds"].dt.tz is None


def test_a_member_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="oracle"):
        forecast(market.panel(n=1, days=3), 2, members=["oracle"])


def test_a_product_without_any_observation_is_forecast_as_nothing():
    past = market.panel(n=2, days=30)
    y = past.y.copy()
    y[1] = np.nan
    result = forecast(Panel(ids=past.ids, ds=past.ds, y=y, orders=past.orders), 24, members=FAST)
    assert np.isfinite(result.quantiles).all()


@pytest.mark.parametrize(
    ("freq", "season", "n"), [("1D", None, 120), ("MS", None, 60), ("1h", 12, 400), ("W", None, 90)]
)
def test_any_regular_frame_is_forecast(freq, season, n):
    ds = pd.date_range("2021-01-03", periods=n, freq=freq)
    y = 20 + 10 * np.sin(np.arange(n) / (season or 7) * 2 * np.pi)
    frame = pd.DataFrame({"unique_id": "a", "ds": ds, "y": y})
    told = forecast(panel_of_series(frame, freq=freq, season=season), 8, members=FAST).frame()
    assert list(told["ds"]) == list(pd.date_range(ds[-1], periods=9, freq=freq)[1:])
    assert told["q0.5"].between(5, 35).all()


@pytest.mark.parametrize("freq", ["1h", "1D", "MS"])
@pytest.mark.parametrize("horizon", [1, 3])
def test_a_series_that_ended_early_is_forecast_from_its_own_end(freq, horizon):
    ds = pd.date_range("2021-01-01", periods=90, freq=freq)
    rows = [
        pd.DataFrame({"unique_id": name, "ds": stamps, "y": 20.0 + np.arange(len(stamps)) % 7})
        for name, stamps in (("whole", ds), ("early", ds[:-30]))
    ]
    panel = panel_of_series(pd.concat(rows), freq=freq, season=7)
    told = forecast(panel, horizon, season=7, members=FAST).frame()
    first = told.groupby("unique_id")["ds"].min()
    assert first["whole"] == pd.date_range(ds[-1], periods=2, freq=freq)[1]
    assert first["early"] == ds[60]


def test_products_launched_within_the_history_keep_sane_quantiles():
    """Before a launch nothing is usual: those origins must not teach how large errors are."""
    past = market.panel(n=8, days=42)
    y = past.y.copy()
    for row, day in ((2, 15), (3, 20), (5, 25)):
        y[row, : day * 24] = 0
    panel = Panel(ids=past.ids, ds=past.ds, y=y, orders=y.copy())
    products = pd.DataFrame({"product_id": past.ids, "category": "c"})
    result = forecast(panel, 72, products=products, members=["seasonal"])
    assert (result.quantiles[..., -1] <= 20 * (result.mean + 1)).all()


def test_a_log_that_went_silent_weeks_ago_is_forecast():
    past = market.panel(n=3, days=40)
    y = past.y.copy()
    y[:, -20 * 24 :] = 0
    result = forecast(Panel(ids=past.ids, ds=past.ds, y=y, orders=y.copy()), 24)
    assert np.isfinite(result.quantiles).all()


def test_quantiles_of_whole_numbers_are_whole_and_of_others_not():
    ds = pd.date_range("2026-01-01", periods=24 * 28, freq="1h")
    units = np.random.default_rng(0).poisson(4, len(ds))
    counts = pd.DataFrame({"unique_id": "a", "ds": ds, "y": units})
    for scale, whole in ((1.0, True), (0.37, False)):
        panel = panel_of_series(counts.assign(y=scale * units), freq="1h")
        found = forecast(panel, 24, members=["seasonal", "lightgbm"]).quantiles
        assert bool((found % 1 == 0).all()) == whole
