"""Whether a shop goes by the calendar or by the weekday, told by its past."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.calendars import clock_of, days_of
from forecast.customs import by_weekday
from forecast.demand import panel_of_series

DAYS = pd.date_range("2026-03-20", "2026-05-15", freq="1D", inclusive="left")  # Labour Day in it
LABOUR = pd.date_range("2026-05-01", "2026-05-05", freq="1D")
WORKED = pd.Timestamp("2026-05-09")  # a Saturday
HOUR = np.exp(-0.5 * ((np.arange(24) - 20) / 3) ** 2) * 3 + 0.3


def calendar() -> np.ndarray:
    """[D] the weekday that the calendar takes each day for."""
    weekday = np.asarray(DAYS.day_of_week).copy()
    weekday[DAYS.isin(LABOUR)] = 6
    weekday[DAYS == WORKED] = 2
    return weekday


def shop(by: np.ndarray, sharp: float, seed: int = 0) -> np.ndarray:
    """[12, T] hourly units of products for workdays, for weekends and for all days."""
    rng = np.random.default_rng(seed)
    share = np.ones((3, 7))
    share[0, 5:] = share[1, :5] = 1 - sharp
    level = rng.uniform(1, 10, (12, 1, 1)) * rng.gamma(50, 1 / 50, (12, len(DAYS), 1))
    mean = level * share[np.arange(12) % 3][:, by, None] * HOUR
    return rng.poisson(mean).reshape(12, -1).astype(np.float32)


def decided(y: np.ndarray, day: int = 24) -> bool:
    dates = np.repeat(np.arange(len(DAYS)), day)
    own, like = np.asarray(DAYS.day_of_week)[dates], calendar()[dates]
    return by_weekday(y, dates, day, own, like)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sharp", [1.0, 0.5])
def test_the_past_tells_whether_a_shop_goes_by_the_calendar(sharp, seed):
    own, like = np.asarray(DAYS.day_of_week), calendar()
    assert decided(shop(own, sharp, seed))
    assert not decided(shop(like, sharp, seed))


@pytest.mark.parametrize("seed", range(10))
def test_where_all_days_are_alike_the_calendar_is_believed(seed):
    assert not decided(shop(np.asarray(DAYS.day_of_week), 0.0, seed))


def test_how_much_a_holiday_sells_in_all_tells_nothing():
    y = shop(np.asarray(DAYS.day_of_week), 1.0)
    off = np.repeat(DAYS.isin(LABOUR), 24)
    assert decided(np.where(off, 3 * y, y))
    assert decided(np.where(off, np.floor(y / 3), y))


def test_one_day_does_not_decide_alone():
    y = shop(np.asarray(DAYS.day_of_week), 1.0)
    hidden = np.repeat(DAYS.isin(LABOUR), 24)
    assert not decided(np.where(hidden, np.nan, y))


def test_days_in_two_halves_tell_too():
    halves = shop(np.asarray(DAYS.day_of_week), 1.0).reshape(12, -1, 12).sum(axis=2)
    assert decided(halves, day=2)


@pytest.mark.parametrize(("own", "weekday"), [(True, 4), (False, 6)])
def test_the_next_holiday_has_the_weekday_of_the_past_ones(own, weekday):
    """Dragon Boat, a Friday five weeks later."""
    y = shop(np.asarray(DAYS.day_of_week) if own else calendar(), 1.0)
    ds = pd.date_range(DAYS[0], periods=y.shape[1], freq="1h", tz="Asia/Shanghai")
    rows = [pd.DataFrame({"unique_id": f"p{k:02d}", "ds": ds, "y": row}) for k, row in enumerate(y)]
    panel, horizon = panel_of_series(pd.concat(rows), freq="1h"), 40 * 24
    days = days_of(panel, horizon, country="CN")
    clock = clock_of(panel, horizon, season=None, days=days)
    dragon_boat = (pd.Timestamp("2026-06-19") - DAYS[0]).days
    assert set(clock.weekday[clock.date == dragon_boat]) == {weekday}
