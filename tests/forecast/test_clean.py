from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast.clean import COLUMNS, clean, gaps, launches, observed, shifted
from forecast.demand import Panel
from tests.forecast import market


def panel(y, orders=None):
    ds = pd.date_range("2026-01-05", periods=y.shape[1], freq="h", tz="Asia/Shanghai")
    ids = np.array([f"P{k}" for k in range(len(y))], dtype=object)
    y = y.astype(np.float32)
    return Panel(ids=ids, ds=ds.as_unit("us"), y=y, orders=y.copy() if orders is None else orders)


def office(weeks=8, n=5, seed=0):
    """Orders in office hours from Monday to Friday only."""
    rng = np.random.default_rng(seed)
    hour, weekday = np.arange(weeks * 168) % 24, np.arange(weeks * 168) // 24 % 7
    open_ = (hour >= 9) & (hour < 18) & (weekday < 5)
    return rng.poisson(20.0 * open_, (n, weeks * 168))


def test_nights_and_closed_weekends_are_no_gaps():
    assert not gaps(panel(office())).any()


def test_a_silent_working_day_is_a_gap():
    y = office()
    y[:, 24 * 30 + 9 : 24 * 30 + 15] = 0
    found = gaps(panel(y))
    assert found[24 * 30 + 9 : 24 * 30 + 15].all()
    assert found.sum() <= 6 + 24


@pytest.mark.parametrize("days", [1, 6, 7, 13, 15, 20, 34])
@pytest.mark.parametrize("end", [40, 56])
def test_a_silence_is_a_gap_however_long_it_lasts(days, end):
    y = office()
    y[:, 24 * (end - days) : 24 * end] = 0
    found = gaps(panel(y))
    working = office().any(axis=0)
    lost = np.arange(len(found)) // 24
    lost = (lost >= end - days) & (lost < end) & working
    assert found[lost].all()
    assert not found[~lost & working].any()


def test_only_a_silence_that_keeps_near_its_holiday_is_a_closed_shop():
    p, shut = market.closed_for_christmas()
    assert not np.isnan(observed(p, country="GB").y[:, shut]).any()
    first = np.flatnonzero(shut)[0]
    weeks_before = slice(first - 24 * 6, first)
    p.y[:, weeks_before] = 0
    p.orders[:, weeks_before] = 0
    assert np.isnan(observed(p, country="GB").y[:, shut]).any()


@pytest.mark.parametrize("days", [2, 3, 5, 8, 9, 16])
def test_a_log_of_a_few_days_may_hold_a_holiday(days):
    y = np.full((2, 24 * days), 5.0)
    y[:, :24] = 0  # closed on New Year's Day
    ds = pd.date_range("2026-01-01", periods=24 * days, freq="h", tz="Europe/London")
    short = replace(panel(y), ds=ds.as_unit("us"))
    assert not np.isnan(observed(short, country="GB").y).any()


def test_an_outage_is_unobserved_and_not_zero_where_it_was():
    p = panel(office())
    events = pd.DataFrame(
        {
            "name": ["down"],
            "kind": ["outage"],
            "starts_at": [p.ds[33] + pd.Timedelta("30min")],
            "ends_at": [p.ds[36]],
            "product_id": ["P1"],
            "category": [None],
        }
    )
    y = observed(p, events=events).y
    assert np.isnan(y[1, 33:36]).all()
    assert np.isfinite(y[1, [32, 36]]).all()
    assert np.isfinite(y[[0, 2, 3, 4]]).all()


def test_time_before_a_launch_is_unobserved():
    y = office()
    y[0, :600] = 0
    p = panel(y)
    assert launches(p, None)[0] >= 600
    assert not launches(p, None)[1:].any()
    assert np.isnan(observed(p).y[0, :600]).all()
    told = pd.DataFrame({"product_id": ["P0"], "launched_at": [p.ds[500]]})
    assert launches(p, told)[0] == 500


def test_a_shop_closed_on_a_holiday_sold_nothing_and_an_outage_is_a_gap():
    p, shut = market.closed_for_christmas()
    assert np.isnan(observed(p).y[:, shut]).any()
    assert (observed(p, country="GB").y[:, shut] == 0).all()
    p.y[:, 24 * 30 + 9 : 24 * 30 + 15] = 0
    p.orders[:, 24 * 30 + 9 : 24 * 30 + 15] = 0
    assert np.isnan(observed(p, country="GB").y[:, 24 * 30 + 9 : 24 * 30 + 15]).all()


def test_every_change_is_listed_in_the_columns_told():
    p = panel(office())
    p.y[:, 24 * 30 + 9 : 24 * 30 + 15] = 0
    p.orders[:, 24 * 30 + 9 : 24 * 30 + 15] = 0
    done = clean(p)
    assert tuple(done.changes.columns) == COLUMNS
    assert list(done.changes["kind"]) == ["gap"]
    assert list(done.changes["product_id"]) == [""]
    (row,) = done.changes.to_dict("records")
    unseen = np.isnan(done.panel.y).all(axis=0)
    assert row["starts_at"] == p.ds[unseen.argmax()]
    assert row["ends_at"] == p.ds[len(unseen) - unseen[::-1].argmax()]
    assert list(clean(panel(office())).changes.columns) == list(COLUMNS)


def test_cleaning_changes_no_panel_in_place():
    p = panel(office())
    p.y[:, 24 * 30 + 9 : 24 * 30 + 15] = 0
    before = p.y.copy()
    observed(p)
    np.testing.assert_array_equal(p.y, before)


def test_a_level_shift_is_told_by_the_means_that_its_note_names():
    panel = market.panel(n=1, days=60)
    day = np.arange(60).repeat(24)
    y = np.where(day < 40, day, 100.0 + day)[None]  # units an hour that go on rising
    told = shifted(panel, y, np.array([40 * 24])).iloc[0]
    assert "up to 14 days before and after" in told["note"]
    assert told["units_before"] == pytest.approx(24 * np.arange(26, 40).mean())
    assert told["units_after"] == pytest.approx(24 * (100 + np.arange(40, 54).mean()))
