import numpy as np
import pytest
from scipy.special import ndtri

from forecast import LEVELS
from forecast.calibrate import (
    calibrate,
    neutral,
    pareto_tail,
    tail_quantile,
    weighted_quantile,
)
from forecast.metrics import above, coverage

PART = np.repeat([0, 1], 24)


def held_out(rows, told, true=1.0, seed=0):
    """Normal units around 100, forecast with the spread `told`."""
    y = 100 + true * np.random.default_rng(seed).standard_normal((rows, 48))
    return y, np.broadcast_to(100 + told * ndtri(LEVELS), (rows, 48, 13))


@pytest.mark.parametrize("told", [0.5, 1.0, 2.0])
def test_quantiles_hold_their_share_on_fresh_data(told):
    y, q = held_out(2000, told)
    found = calibrate(y, q, LEVELS, part=PART, age=np.repeat(np.arange(50), 40))
    fresh, again = held_out(2000, told, seed=1)
    moved = found.apply(again, LEVELS)
    assert coverage(fresh, moved, LEVELS) == pytest.approx(0.8, abs=0.04)
    assert above(fresh, moved, LEVELS) == pytest.approx(0.01, abs=0.006)


def test_each_side_moves_on_its_own():
    rng = np.random.default_rng(0)
    y = 100 + rng.exponential(1.0, (2000, 48)) - np.log(2)
    q = np.broadcast_to(100 + 1.5 * ndtri(LEVELS), (2000, 48, 13))
    found = calibrate(y, q, LEVELS, part=PART, age=np.repeat(np.arange(20), 100))
    low, high = found.factors[:, 1], found.factors[:, -2]
    assert (low < 0.6).all()
    assert (high > 0.8).all()


def test_little_held_out_moves_little():
    y, q = held_out(4, 0.5)
    few = calibrate(y, q, LEVELS, part=PART, age=np.arange(4))
    y, q = held_out(2000, 0.5)
    many = calibrate(y, q, LEVELS, part=PART, age=np.repeat(np.arange(50), 40))
    assert (few.factors[:, 2] < many.factors[:, 2]).all()


def test_recent_origins_weigh_more():
    wide, q = held_out(1000, 1.0, true=3.0)
    calm, _ = held_out(1000, 1.0, true=1.0, seed=1)
    y, q = np.concatenate([wide, calm]), np.concatenate([q, q])
    old_is_wide = np.concatenate([np.repeat(np.arange(20, 40), 50), np.repeat(np.arange(20), 50)])
    now_is_wide = 39 - old_is_wide
    calm_now = calibrate(y, q, LEVELS, part=PART, age=old_is_wide)
    wide_now = calibrate(y, q, LEVELS, part=PART, age=now_is_wide)
    assert (calm_now.factors[:, 2] < wide_now.factors[:, 2]).all()


def test_neutral_changes_nothing():
    _, q = held_out(3, 1.0)
    np.testing.assert_array_equal(neutral(PART, LEVELS).apply(q, LEVELS), q)


@pytest.mark.parametrize("shape", [-0.15, 0.0, 0.3])
def test_the_tail_of_a_pareto_sample_is_found(shape):
    u = np.random.default_rng(0).random(200_000)
    x = np.array([tail_quantile(share, shape, 2.0) for share in u[:50_000]])
    found, scale = pareto_tail(x)
    assert found == pytest.approx(shape, abs=0.03)
    assert scale == pytest.approx(2.0, rel=0.05)


def test_equal_weights_give_an_order_statistic():
    x = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    assert weighted_quantile(x, np.ones(5), 0.6) == 3.0
    assert weighted_quantile(x, np.array([0, 0, 0, 1.0, 0]), 0.1) == 5.0


def test_levels_of_few_series_move_alike_and_of_many_on_their_own():
    rng = np.random.default_rng(0)
    y = 100 + rng.exponential(1.0, (2000, 48)) - np.log(2)
    q = np.broadcast_to(100 + 1.5 * ndtri(LEVELS), (2000, 48, 13))
    one = calibrate(y[:50], q[:50], LEVELS, part=PART, age=np.arange(50))
    many = calibrate(y, q, LEVELS, part=PART, age=np.repeat(np.arange(50), 40))

    def apart(found):
        return np.ptp(np.log(found.factors[0, [1, 2, 3, -4, -3, -2]]))

    assert apart(one) < 0.15 * apart(many)
