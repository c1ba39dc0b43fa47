import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import LEVELS, metrics


def case(seed, n=3, horizon=4):
    rng = np.random.default_rng(seed)
    actual = rng.normal(5, 2, (n, horizon))
    actual[0, 0] = np.nan
    return actual, np.sort(rng.normal(5, 2, (n, horizon, len(LEVELS))), axis=2), rng


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_scores_equal_their_definitions_written_as_loops(seed):
    actual, quantiles, rng = case(seed)
    y = rng.normal(5, 2, (3, 30))
    scale = metrics.mase_scale(y, 7)
    loss = np.full(quantiles.shape, np.nan)
    for i, j, k in np.ndindex(*loss.shape):
        error = actual[i, j] - quantiles[i, j, k]
        loss[i, j, k] = LEVELS[k] * error if error >= 0 else (LEVELS[k] - 1) * error
    assert scale[1] == pytest.approx(np.mean([abs(y[1, t] - y[1, t - 7]) for t in range(7, 30)]))
    per_series = [2 * np.nanmean(loss[i]) / scale[i] for i in range(3)]
    assert metrics.sql(actual, quantiles, LEVELS, scale) == pytest.approx(np.mean(per_series))
    wanted = 2 * np.nansum(loss) / len(LEVELS) / np.nansum(np.abs(actual))
    assert metrics.wql(actual, quantiles, LEVELS) == pytest.approx(wanted)
    point = quantiles[:, :, 6]
    errors = [np.nanmean(np.abs(actual[i] - point[i])) / scale[i] for i in range(3)]
    assert metrics.mase(actual, point, scale) == pytest.approx(np.mean(errors))


def test_the_crps_of_a_normal_forecast_is_the_known_one():
    from scipy import stats

    levels = np.linspace(0.001, 0.999, 999)
    quantiles = stats.norm.ppf(levels)[None, None, :]
    known = 2 * stats.norm.pdf(0) - 1 / np.sqrt(np.pi)  # Gneiting & Raftery (2007), at y = 0
    found = metrics.crps(np.zeros((1, 1)), quantiles, levels)[0, 0]
    assert found == pytest.approx(known, abs=2e-3)
    draws = np.random.default_rng(0).normal(size=(4000, 1))
    assert metrics.sample_crps(np.zeros(1), draws)[0] == pytest.approx(known, abs=0.02)


def test_coverage_of_counts_is_not_flattered_by_zeros():
    rng = np.random.default_rng(0)
    actual = rng.poisson(0.3, (1, 20_000)).astype(float)
    from scipy import stats

    quantiles = np.broadcast_to(stats.poisson.ppf(LEVELS, 0.3), (*actual.shape, len(LEVELS)))
    assert ((actual <= quantiles[..., 10]) & (actual >= quantiles[..., 2])).mean() > 0.95
    assert metrics.coverage(actual, quantiles, LEVELS) == pytest.approx(0.8, abs=0.04)


def test_smape_is_m4s():
    assert metrics.smape(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0]])) == pytest.approx(100 / 3)
