import numpy as np
import pytest

from forecast.calendars import clock_of
from forecast.shifts import level_starts
from tests.forecast.market import panel


def starts(p, **kwargs):
    return level_starts(p.y, clock_of(p, 24, season=None), **kwargs)


def wandering(n=400, days=90, level=60.0, seed=0):
    """Daily levels that wander as an AR(1) with 18 % spread; nothing shifts."""
    rng = np.random.default_rng(seed)
    e = np.zeros((n, days))
    e[:, 0] = rng.normal(0, 0.18, n)
    for day in range(1, days):
        e[:, day] = 0.8 * e[:, day - 1] + np.sqrt(1 - 0.8**2) * rng.normal(0, 0.18, n)
    p = panel(n=n, days=days, level=1.0)
    hour = np.arange(24 * days) % 24
    shape = 0.3 + np.exp(-0.5 * ((hour - 20) / 3.0) ** 2)
    p.y[:] = rng.poisson(level / 24 * shape * np.repeat(np.exp(e), 24, axis=1))
    return p


@pytest.mark.parametrize("level", [2.0, 60.0, 500.0])
def test_levels_that_only_wander_are_left_alone(level):
    assert (starts(wandering(level=level)) > 0).mean() <= 0.03


@pytest.mark.parametrize("factor", [0.3, 0.45, 2.2, 4.0])
def test_a_lasting_change_is_dated(factor):
    p = wandering(n=40)
    at = 24 * 65
    p.y[::2, at:] = np.random.default_rng(1).poisson(p.y[::2, at:] * factor)
    found = starts(p)
    assert (found[::2] > 0).mean() >= 0.9
    assert np.median(np.abs(found[::2] - at)) <= 48
    assert (found[1::2] > 0).mean() <= 0.1
    assert (found % 24 == 0).all()


def test_the_latest_of_two_shifts_counts():
    p = panel(n=9, days=100)
    p.y[3, 24 * 30 :] *= 3
    p.y[3, 24 * 70 :] *= 3
    assert abs(starts(p)[3] - 24 * 70) <= 24


def test_a_burst_a_gap_and_a_week_of_promotion_are_no_shifts():
    p = panel(n=9, days=80)
    p.y[1, 24 * 79 : 24 * 79 + 3] += 3000
    p.y[2, 24 * 60 : 24 * 64] = np.nan
    p.y[4, 24 * 60 : 24 * 65] *= 3
    assert not starts(p).any()


def test_what_the_calendar_explains_is_no_shift():
    p = panel(n=3, days=80)
    p.y[:, 24 * 60 :] *= 2
    calendar = np.where(np.arange(81) >= 60, 2.0, 1.0) * np.ones((3, 1))
    assert starts(p).all()
    assert not starts(p, calendar=calendar).any()


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_short_and_empty_histories_have_no_shift(rows):
    assert not starts(panel(n=3, days=5)).any()
    p = panel(n=3, days=50)
    p.y[:rows] = np.nan
    p.y[rows:] = 0
    assert not starts(p).any()


@pytest.mark.parametrize(("after", "found"), [(0, False), (7, True)])
def test_a_long_break_dates_no_level_until_ordinary_days_follow(after, found):
    """Units double with the first of eight days off; they stay so, or nobody knows yet."""
    days = 40 + 8 + after
    p = panel(n=3, days=days, level=60.0)
    date = np.arange(days).repeat(24)
    y = np.where(date >= 40, 2 * p.y, p.y)
    off = (np.arange(days) >= 40) & (np.arange(days) < 48)
    start = level_starts(y, clock_of(p, 24, season=None), breaks=off)
    assert ((start >= 40 * 24) & (start <= 48 * 24)).all() == found
    assert (start > 0).all() == found
