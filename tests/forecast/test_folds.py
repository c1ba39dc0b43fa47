from dataclasses import replace

import numpy as np
import pytest

from forecast.models.folds import Folds, cross_fit
from forecast.models.network import train
from forecast.models.sample import Sample
from forecast.models.trees import grow

HOURS = 48


def noise(windows, seed=0, rows=HOURS):
    """Normal errors that no column tells anything of, in windows a day apart."""
    rng = np.random.default_rng(seed)
    n = windows * rows
    x = rng.standard_normal((n, 20)).astype(np.float32)
    error, log = rng.standard_normal((2, n))
    actual = rng.poisson(50, n).astype(float)
    return Sample(
        names=tuple(f"column {k}" for k in range(20)),
        x=x,
        actual=actual,
        alone=actual,
        error=error,
        linear=error,
        log=log,
        expected=np.full(n, 50.0),
        lump=np.zeros(n),
        level=np.full(n, 50.0),
        origin=np.repeat(500 + 24 * np.arange(windows), rows),
    )


def held(learned, fresh):
    """Share of fresh errors between the 5 % and the 95 % sides."""
    told = learned.quantiles(fresh.x)
    far = fresh.error - told.linear
    return float(((far > told.around[:, 0]) & (far < told.around[:, 4])).mean())


@pytest.mark.parametrize("learn", [grow, train])
def test_sides_of_few_windows_hold_their_share_of_what_comes(learn):
    few, fresh = noise(30), noise(100, seed=1)
    alone = learn(few, seed=0)
    folded, growth = cross_fit(learn, few, horizon=HOURS, seed=0)
    assert held(alone, fresh) < 0.875
    assert held(folded, fresh) == pytest.approx(0.9, abs=0.02)
    np.testing.assert_allclose(growth, 1.0, atol=0.3)


def test_no_learner_sees_a_window_that_overlaps_those_it_is_judged_by():
    seen = []

    def learn(sample, *, seed, brief):
        assert brief
        seen.append(np.unique(sample.origin))
        return grow(sample, seed=seed, brief=brief)

    sample = noise(40)
    folded, _ = cross_fit(learn, sample, horizon=HOURS, seed=0)
    assert len(seen) == len(folded.learned) == 5
    starts = np.unique(sample.origin)
    without = np.zeros(len(starts), dtype=int)
    for known in seen:
        far = np.abs(starts[:, None] - known[None, :]).min(axis=1) >= HOURS
        without += far
    np.testing.assert_array_equal(without, 1)  # each is judged once


def test_each_row_is_told_of_by_a_learner_that_did_not_see_it():
    sample = noise(30)
    marked = replace(sample, x=sample.origin[:, None].astype(np.float32))

    class Spy:
        def __init__(self, known):
            self.known, self.names = known, ("origin",)

        def growth(self, x):
            return np.where(np.isin(x[:, 0], self.known), np.nan, 2.0)

        def quantiles(self, _):
            return None

    _, growth = cross_fit(
        lambda rows, seed, brief: Spy(rows.x[:, 0]), marked, horizon=HOURS, seed=0
    )
    np.testing.assert_array_equal(growth, 2.0)


def test_windows_that_fill_no_fifth_block_make_four_learners():
    folded, growth = cross_fit(grow, noise(16, rows=200), horizon=24, seed=0)
    assert len(folded.learned) == 4
    assert (growth != 1.0).all()


@pytest.mark.parametrize(("windows", "rows"), [(8, 100), (25, 2001), (251, 10)])
def test_hardly_any_windows_or_many_teach_one_learner(windows, rows):
    asked = []

    def learn(sample, *, seed):
        asked.append((len(sample.x), seed))
        return "learned"

    sample = noise(windows, rows=rows)
    assert cross_fit(learn, sample, horizon=HOURS, seed=7) == ("learned", None)
    assert asked == [(windows * rows, 7)]


@pytest.mark.parametrize("learn", [grow, train])
def test_windows_without_a_sale_teach_nobody_alone(learn):
    sample = noise(10)
    sold = sample.origin == sample.origin[0]
    actual = np.where(sold, sample.actual, 0.0)
    learned, growth = cross_fit(
        learn, replace(sample, actual=actual, alone=actual), horizon=1, seed=0
    )
    assert not isinstance(learned, Folds)
    assert growth is None


@pytest.mark.parametrize("learn", [grow, train])
def test_contributions_sum_to_the_growth(learn):
    sample = noise(20)
    folded, _ = cross_fit(learn, sample, horizon=HOURS, seed=0)
    found = folded.contributions(sample.x[:50])
    assert found.shape == (50, len(folded.names) + 1)
    np.testing.assert_allclose(found.sum(axis=1), np.log(folded.growth(sample.x[:50])), atol=1e-5)
