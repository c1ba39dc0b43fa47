"""Distributions of counts around an expected rate."""

import numpy as np
import pytest

from forecast.models.residuals import chance_counts, pool_counts

LEVELS = np.array([0.1, 0.5, 0.9, 0.99])


def drawn(rates, each, seed=0):
    rng = np.random.default_rng(seed)
    expected = np.repeat(np.asarray(rates, dtype=float), each)
    return expected, rng.poisson(expected).astype(float)


def told(rates, each, at):
    expected, actual = drawn(rates, each)
    counts = pool_counts(expected, actual, np.ones(len(expected)), LEVELS)
    return counts.quantiles(np.array([at]), np.ones(1))[0]


@pytest.mark.parametrize("each", [40, 150])
@pytest.mark.parametrize("at", [0.3, 12.0])
def test_few_counts_of_unlike_rates_tell_nothing_of_one_another(each, at):
    found = told([0.3, 12.0], each, at)
    likely = chance_counts(LEVELS).quantiles(np.array([at]), np.ones(1))[0]
    assert np.abs(found - likely).max() <= 1.5


def test_many_counts_of_a_rate_are_its_quantiles():
    expected, _ = drawn([0.5, 2.0], 2000)
    actual = np.where(np.arange(len(expected)) % 2, 2 * expected, 0.0)  # no Poisson at all
    counts = pool_counts(expected, actual, np.ones(len(expected)), LEVELS)
    assert counts.quantiles(np.array([2.0]), np.ones(1))[0] == pytest.approx([0, 2, 4, 4], abs=0.5)


def test_counts_spread_wider_than_chance_where_all_samples_do():
    rng = np.random.default_rng(0)
    expected = np.repeat([0.5, 3.0], 140)
    actual = rng.poisson(expected * rng.gamma(1.0, 1.0, len(expected))).astype(float)
    counts = pool_counts(expected, actual, np.ones(len(expected)), LEVELS)
    wide, calm = (
        c.quantiles(np.array([3.0]), np.ones(1))[0, -1] for c in (counts, chance_counts(LEVELS))
    )
    assert wide > calm + 2


def test_quantiles_rise_with_the_rate_beyond_what_was_seen():
    expected, actual = drawn([1.0], 500)
    counts = pool_counts(expected, actual, np.ones(len(expected)), LEVELS)
    found = counts.quantiles(np.array([0.05, 1.0, 3.0]), np.ones(3))
    assert (np.diff(found[:, 2]) > 0).all()
    assert found[0, 1] == 0
