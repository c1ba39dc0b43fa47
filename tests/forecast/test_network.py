import itertools

import numpy as np
import pytest
from scipy.special import ndtri

from forecast.models import network
from forecast.models.network import train
from forecast.models.sample import SIDES, Sample


def sample(n=6000, seed=0, lump=0.0, rate=10.0):
    """Errors that lie at x0 + 2·[slot 1], wider where x1 is high; x2 tells nothing."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3)).astype(np.float32)
    slot = rng.integers(0, 3, n)
    noise = rng.standard_normal(n) * np.where(x[:, 1] > 0, 2.0, 0.5)
    error = x[:, 0] + 2.0 * (slot == 1) + noise
    expected = np.full(n, rate)
    actual = rng.poisson(expected * np.exp(0.5 * (slot == 2))).astype(float)
    return Sample(
        names=("x0", "x1", "x2", "slot"),
        x=np.column_stack([x, slot]).astype(np.float32),
        actual=actual,
        alone=actual,
        error=error,
        linear=error,
        log=error,
        expected=expected,
        lump=np.full(n, lump),
        level=expected,
        origin=np.zeros(n, dtype=int),
    )


def test_slopes_are_those_of_the_loss():
    """Every derivative against a finite difference, in double precision and without dropout."""
    rng = np.random.default_rng(0)
    lesson = network._Lesson(
        inputs=rng.standard_normal((40, 4)),
        errors=rng.standard_normal((40, 2)),
        dense=(rng.random(40) < 0.7).astype(float),
        usual=rng.uniform(0.5, 3.0, 40),
        actual=rng.poisson(2.0, 40).astype(float),
        weight=rng.uniform(0.5, 1.0, 40),
    )
    sizes = (4, 6, 5, 7)
    net = []
    for before, after in itertools.pairwise(sizes):
        net += [0.5 * rng.standard_normal((before, after)), 0.1 * rng.standard_normal(after)]
    rows = np.arange(40)

    def loss():
        out = network._layers(tuple(net), lesson.inputs)[-1]
        poisson = lesson.weight * (lesson.usual * np.exp(out[:, 0]) - lesson.actual * out[:, 0])
        linear, log = lesson.errors.T
        left = np.stack([linear, log, *[linear] * 4], axis=1) - out[:, 1:]
        soft = network._SOFT
        huber = np.where(np.abs(left) < soft, left**2 / (2 * soft), np.abs(left) - soft / 2)
        pinball = 0.5 * huber + (np.array([0.5, 0.5, *SIDES]) - 0.5) * left
        return (poisson + (lesson.dense[:, None] * pinball).sum(axis=1)).mean()

    found = network._backwards(net, lesson, rows, np.ones)
    for each, slope in zip(net, found, strict=True):
        for at in list(np.ndindex(each.shape))[::3]:
            was, step = each[at], 1e-6
            each[at] = was + step
            above = loss()
            each[at] = was - step
            below = loss()
            each[at] = was
            assert slope[at] == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-7)


def test_what_was_planted_is_learned():
    net = train(sample(40_000), seed=1)
    truth = sample(4000, seed=9)
    found = net.quantiles(truth.x)
    middle = truth.x[:, 0] + 2.0 * (truth.x[:, 3] == 1)
    assert np.abs(found.linear - middle).mean() < 0.12
    assert np.abs(found.log - middle).mean() < 0.12
    wide = truth.x[:, 1] > 0.3
    calm = truth.x[:, 1] < -0.3
    for rows, size in ((wide, 2.0), (calm, 0.5)):
        expected = size * ndtri([SIDES[0], SIDES[1], 0.5, SIDES[2], SIDES[3]])
        assert found.around[rows].mean(axis=0) == pytest.approx(expected, abs=0.15 + 0.1 * size)
    growth = net.growth(truth.x)
    assert growth[truth.x[:, 3] == 2].mean() == pytest.approx(np.exp(0.5), rel=0.05)
    assert growth[truth.x[:, 3] < 2].mean() == pytest.approx(1.0, rel=0.05)


def test_distances_ascend_around_the_median():
    found = train(sample(2000), seed=0).quantiles(50 * sample(300, seed=3).x)
    assert (np.diff(found.around, axis=1) >= 0).all()
    assert (found.around[:, 2] == 0).all()


def test_contributions_sum_to_the_growth_and_go_to_the_column_that_tells():
    net = train(sample(40_000), seed=1)
    x = sample(500, seed=4).x
    found = net.contributions(x)
    assert found.sum(axis=1) == pytest.approx(np.log(net.growth(x)), abs=1e-5)
    usual = np.log(net.growth(x)).mean()
    assert found[:, -1] == pytest.approx(usual, abs=0.1)  # the sum along the path is nearly exact
    grew = x[:, 3] == 2
    assert found[grew, 3].mean() - found[~grew, 3].mean() == pytest.approx(0.5, abs=0.06)
    assert np.abs(found[:, :3]).mean() < 0.02


def test_few_orders_have_a_mean_and_no_quantiles():
    rare = train(sample(3000, lump=1.0, rate=0.1), seed=0)
    assert rare.quantiles(sample(10).x) is None
    assert np.isfinite(rare.growth(sample(10).x)).all()


def test_what_is_not_known_or_was_never_seen_changes_little():
    net = train(sample(20_000), seed=0)
    x = sample(200, seed=5).x
    x[:, 2] = np.nan
    x[:100, 3] = 77
    x[100:, 0] = 1e9
    found = net.quantiles(x)
    assert np.isfinite(found.linear).all()
    assert np.abs(found.linear).max() < 20


def test_equal_seeds_equal_nets_and_another_seed_another():
    one, two, other = (train(sample(2000), seed=k) for k in (3, 3, 4))
    x = sample(50, seed=6).x
    np.testing.assert_array_equal(one.growth(x), two.growth(x))
    assert (one.growth(x) != other.growth(x)).any()


def test_a_column_without_any_spread_is_no_trouble():
    flat = sample(2000)
    flat.x[:, 1] = 4.0
    flat.x[:, 2] = np.nan
    assert np.isfinite(train(flat, seed=0).quantiles(flat.x[:5]).linear).all()


@pytest.mark.parametrize("shape", [(3, 1, 2), (5, 67, 7), (1, 130, 33), (64, 64, 64), (2, 0, 3)])
def test_a_product_is_that_of_linear_algebra(shape):
    n, k, m = shape
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((n, k)), rng.standard_normal((k, m))
    np.testing.assert_allclose(network.product(a, b), a @ b, atol=1e-12)
