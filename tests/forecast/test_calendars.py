"""Days of the calendar, announced events, and local clocks that change."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast import Panel, find_peaks, forecast
from forecast.calendars import clock_of, days_of, events_of, outages_of
from forecast.clean import launches
from forecast.effects import learn_effects
from forecast.tasks import prepare
from tests.forecast import market

FAST = ["seasonal"]


def panel_over(first, last, *, freq="1h", tz="Asia/Shanghai", y=None):
    """A panel of one product whose buckets are those from `first` to `last`, its end left out."""
    ds = pd.date_range(first, last, freq=freq, tz=tz, inclusive="left").as_unit("us")
    y = np.ones((1, len(ds)), dtype=np.float32) if y is None else y(ds)
    return Panel(ids=np.array(["P"], dtype=object), ds=ds, y=y, orders=y.copy(), freq=freq)


def days_between(first, last, country):
    """Calendar and dates of the local days from `first` to `last`, its end left out."""
    panel = panel_over(first, last, tz="UTC")
    dates = pd.date_range(first, last, freq="D", inclusive="left")
    return days_of(panel, 1, country=country), dates


@pytest.mark.parametrize(
    ("first", "last"),  # the breaks of the State Council's notices, weekends within included
    [
        ("2025-01-28", "2025-02-04"),
        ("2025-04-04", "2025-04-06"),
        ("2025-05-01", "2025-05-05"),
        ("2025-10-01", "2025-10-08"),
        ("2026-01-01", "2026-01-03"),
        ("2026-02-15", "2026-02-23"),
        ("2026-10-01", "2026-10-07"),
    ],
)
def test_chinas_breaks_are_those_of_the_official_notice(first, last):
    days, dates = days_between("2024-12-20", "2026-12-20", "CN")
    off = days.holiday[: len(dates)] > 0
    inside = (dates >= first) & (dates <= last)
    beside = (dates == pd.Timestamp(first) - pd.Timedelta("1D")) | (
        dates == pd.Timestamp(last) + pd.Timedelta("1D")
    )
    assert off[inside].all()
    assert not off[beside].any()


@pytest.mark.parametrize(
    ("country", "long", "short"),
    [
        ("CN", ("2026-01-01", "2026-01-03"), ("2026-01-04", "2026-01-04")),
        ("CN", ("2026-02-15", "2026-02-23"), ("2026-02-24", "2026-03-20")),
        ("DE", ("2026-04-03", "2026-04-06"), ("2026-05-01", "2026-05-03")),
    ],
)
def test_a_break_is_long_from_three_days_off_on(country, long, short):
    days, dates = days_between("2025-12-20", "2026-06-01", country)
    breaks = days.breaks[: len(dates)]
    assert breaks[dates.slice_indexer(*long)].all()
    assert not breaks[dates.slice_indexer(*short)].any()


@pytest.mark.parametrize("member", ["seasonal_naive", "seasonal", "ridge", "intermittent"])
@pytest.mark.parametrize("jump", [0.6, 1.6])
def test_what_a_long_break_did_ends_with_it(member, jump):
    """As-of the morning after Spring Festival's nine days, in which units rose or fell."""
    told = after_spring_festival("2025-12-20", jump, member)
    assert told == pytest.approx(20.0, rel=0.1)


def test_a_history_of_little_but_a_break_is_forecast_from_it():
    assert after_spring_festival("2026-02-12", 1.0, "seasonal") == pytest.approx(20.0, rel=0.2)


def after_spring_festival(first, jump, member):
    """Mean of the three days told; 20 units an hour are usual."""
    rng = np.random.default_rng(0)
    ds = pd.date_range(first, "2026-02-24", freq="1h", tz="Asia/Shanghai", inclusive="left")
    rate = 20.0 * np.where(ds >= "2026-02-15", jump, 1.0)
    y = rng.poisson(rate, (4, len(ds))).astype(np.float32)
    panel = Panel(ids=np.array(list("abcd"), dtype=object), ds=ds.as_unit("us"), y=y, orders=y)
    return forecast(panel, 72, country="CN", members=[member]).mean.mean()


def test_make_up_workdays_are_those_of_the_official_notice():
    days, dates = days_between("2026-01-01", "2026-12-20", "CN")
    worked = dates[days.holiday[: len(dates)] < 0].strftime("%m-%d")
    assert list(worked) == ["01-04", "02-14", "02-28", "05-09", "09-20", "10-10"]


def test_a_holiday_on_which_most_work_is_no_day_off():
    days, dates = days_between("2025-07-01", "2025-12-20", "US")
    off = dates[days.holiday[: len(dates)] > 0].strftime("%m-%d")
    assert list(off) == ["07-04", "09-01", "11-27"]  # neither Columbus Day nor Veterans Day


def test_only_years_without_official_notice_are_provisional():
    """By the notices that the pinned package knows: 2026's is out, that of a far year is not."""
    assert days_between("2025-03-01", "2026-03-01", "CN")[0].provisional == ()
    assert days_between("2026-12-20", "2059-01-05", "CN")[0].provisional[-1] == 2059
    assert days_between("2058-06-01", "2058-07-01", "GB")[0].provisional == ()
    assert forecast(panel_over("2058-06-01", "2058-07-01"), 3, members=FAST).provisional == ()
    told = forecast(panel_over("2058-06-01", "2058-07-01"), 3, members=FAST, country="CN")
    assert told.provisional == (2058,)


@pytest.mark.parametrize(
    ("country", "day", "rest"),
    [
        ("GB", "2026-12-25", 6),
        ("US", "2026-07-03", 6),
        ("DE", "2026-10-03", 6),
        ("SA", "2026-09-23", 5),
        ("BR", "2026-09-07", 6),
    ],
)
def test_a_public_holiday_has_the_shape_of_the_last_day_of_the_weekend(country, day, rest):
    panel = panel_over("2026-06-01", "2026-12-28", tz="UTC")
    days = days_of(panel, 1, country=country)
    clock = clock_of(panel, 1, season=None, days=days)
    on = (panel.ds >= pd.Timestamp(day, tz="UTC")) & (panel.ds.normalize() == day)
    assert (clock.weekday[: len(panel.ds)][on] == rest).all()
    assert (days.festival == -99).all()
    assert days.basis.shape[1] == days_of(panel, 1, country=None).basis.shape[1]


def sales(ds, jump):
    """Poisson demand of a constant rate with a jump on Double 11 and its eve."""
    rng = np.random.default_rng(3)
    rate = 40.0 * np.where((ds.month == 11) & (ds.day == 11), jump, 1.0)
    rate *= np.where((ds.month == 11) & (ds.day == 10), np.sqrt(jump), 1.0)
    return rng.poisson(rate, (8, len(ds))).astype(np.float32)


def factors(first, last, jump, horizon=24 * 40):
    ds = pd.date_range(first, last, freq="1h", tz="Asia/Shanghai", inclusive="left").as_unit("us")
    y = sales(ds, jump)
    panel = Panel(ids=np.array(list("abcdefgh"), dtype=object), ds=ds, y=y, orders=y.copy())
    task = prepare(panel, horizon, country="CN").task
    dates = pd.date_range(first, periods=len(task.days.holiday), freq="D")
    return pd.Series(task.effects.calendar[0], index=dates)


@pytest.mark.parametrize("jump", [0.6, 2.0, 3.0])
def test_a_past_shopping_festival_says_how_large_the_next_is(jump):
    found = factors("2025-10-08", "2026-11-09", jump)
    assert found["2026-11-11"] == pytest.approx(jump, rel=0.12)
    assert found["2026-11-10"] == pytest.approx(np.sqrt(jump), rel=0.12)
    assert abs(np.log(found["2026-11-13"])) < 0.1
    told = np.log(found["2026-12-12"]) / np.log(jump)  # Double 12 learns a little from Double 11
    assert abs(told) < 0.35
    assert told > 0 or jump < 1


def factors_of(first, last, breaks):
    """Calendar's effects where `breaks` (first day, last day, jump) alone differ from the usual."""
    ds = pd.date_range(first, last, freq="1h", tz="Asia/Shanghai", inclusive="left").as_unit("us")
    rate = np.full(len(ds), 40.0)
    for start, end, jump in breaks:
        rate[ds.slice_indexer(start, end)] *= jump
    y = np.random.default_rng(3).poisson(rate, (8, len(ds))).astype(np.float32)
    panel = Panel(ids=np.array(list("abcdefgh"), dtype=object), ds=ds, y=y, orders=y.copy())
    task = prepare(panel, 24 * 9, country="CN").task
    dates = pd.date_range(first, periods=len(task.days.holiday), freq="D")
    return pd.Series(task.effects.calendar[0], index=dates)


@pytest.mark.parametrize("jump", [0.6, 1.7])
def test_a_named_holiday_does_what_it_did_last_year_whatever_others_do(jump):
    """National Day's break of 2025 holds the Mid-Autumn Festival."""
    found = factors_of("2024-08-27", "2025-10-01", [("2024-10-01", "2024-10-07", jump)])
    np.testing.assert_allclose(found["2025-10-01":"2025-10-08"], jump, rtol=0.15)
    np.testing.assert_allclose(found["2025-05-01":"2025-06-02"], 1.0, atol=0.1)


@pytest.mark.parametrize("jump", [0.5, 1.8])
def test_the_eve_of_spring_festival_does_what_it_did_last_year(jump):
    found = factors_of("2024-12-10", "2026-02-15", [("2025-01-28", "2025-01-28", jump)])
    assert found["2026-02-16"] == pytest.approx(jump, rel=0.15)
    np.testing.assert_allclose(found["2026-02-15"], 1.0, atol=0.1)


@pytest.mark.parametrize(
    ("last", "paid", "next_paid", "due"),
    [  # on Saturday the 28th of February and the 9th of May China works
        (
            "2026-05-27",
            ["2026-01-30", "2026-02-28", "2026-03-31", "2026-04-30"],
            "2026-05-29",
            "2026-05-31",
        ),
        (
            "2026-05-07",
            ["2026-01-09", "2026-02-10", "2026-03-10", "2026-04-10"],
            "2026-05-09",
            "2026-05-10",
        ),
    ],
    ids=["month end", "10th"],
)
def test_pay_that_is_due_on_a_day_off_comes_on_the_last_working_day_before(
    last, paid, next_paid, due
):
    found = factors_of("2026-01-01", last, [(day, day, 2.0) for day in paid])
    assert found[next_paid] == pytest.approx(2.0, rel=0.15)
    assert found[due] == pytest.approx(1.0, abs=0.15)


def test_pay_that_comes_on_its_day_whatever_day_that_is_stays_there():
    paid = [f"2026-{month:02d}-10" for month in range(1, 5)]
    found = factors_of("2026-01-01", "2026-05-07", [(day, day, 2.0) for day in paid])
    assert found["2026-05-10"] == pytest.approx(2.0, rel=0.15)
    assert found["2026-05-09"] == pytest.approx(1.0, abs=0.15)


def test_a_shopping_festival_that_was_never_seen_moves_nothing():
    found = factors("2026-06-25", "2026-11-01", 2.0)
    assert np.abs(np.log(found["2026-11-02":"2026-12-12"])).max() < 0.05


def test_shopping_festivals_are_chinas_alone():
    cn, gb = (days_between("2026-06-01", "2026-06-20", c)[0] for c in ("CN", "GB"))
    assert cn.basis.shape[1] > gb.basis.shape[1]
    assert (cn.size > 0).all()


# Announced events


def span(kind, start, end, **which):
    row = {"name": "x", "kind": kind, "product_id": None, "category": None} | which
    return pd.DataFrame([row | {"starts_at": pd.Timestamp(start), "ends_at": pd.Timestamp(end)}])


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "UTC", "Pacific/Auckland"])
def test_a_told_holiday_is_a_local_day_whatever_the_zone_of_its_stamps(zone):
    panel = panel_over("2026-01-05", "2026-02-05", tz="Pacific/Auckland")
    day = pd.Timestamp("2026-01-20", tz="Pacific/Auckland")
    told = span("holiday", day.tz_convert(zone), (day + pd.Timedelta("1D")).tz_convert(zone))
    days = days_of(panel, 24, country=None, events=told)
    assert list(np.flatnonzero(days.holiday)) == [15]
    assert events_of(panel, 24, told, None).kinds == ()


def test_a_holiday_of_one_product_or_of_some_hours_is_an_event():
    panel = market.panel(n=3, days=30)
    day = panel.ds[24 * 10]
    for told, rows in (
        (span("holiday", day, day + pd.Timedelta("1D"), product_id="P1"), [1]),
        (span("holiday", day + pd.Timedelta("18h"), day + pd.Timedelta("22h")), [0, 1, 2]),
    ):
        assert not days_of(panel, 24, country=None, events=told).holiday.any()
        found = events_of(panel, 24, told, None)
        assert found.kinds == ("holiday",)
        assert list(found.rows[0]) == rows


def test_a_holiday_of_one_product_teaches_that_product():
    past = market.panel(n=3, days=60, level=60.0)
    y = past.y.copy()
    starts = [24 * d for d in (10, 20, 31, 45)]
    for at in starts:
        y[1, at : at + 24] = np.round(y[1, at : at + 24] * 0.3)
    panel = Panel(ids=past.ids, ds=past.ds, y=y, orders=y.copy())
    stamps = [past.ds[at] for at in starts] + [panel.future(1)[0]]
    told = pd.concat(
        [span("holiday", at, at + pd.Timedelta("1D"), product_id="P1") for at in stamps]
    )
    knows = forecast(panel, 24, events=told, members=FAST).mean.sum(axis=1)
    blind = forecast(panel, 24, members=FAST).mean.sum(axis=1)
    assert knows[1] < 0.5 * blind[1]
    np.testing.assert_allclose(knows[[0, 2]], blind[[0, 2]], rtol=0.1)


@pytest.mark.parametrize("freq", ["15min", "30min", "1h"])
def test_hours_of_an_event_count_from_its_start_within_the_bucket(freq):
    panel = panel_over("2026-01-05", "2026-01-15", freq=freq)
    width = pd.Timedelta(freq) / pd.Timedelta("1h")
    start, end = (pd.Timestamp(f"2026-01-08T{t}", tz="Asia/Shanghai") for t in ("10:40", "13:05"))
    found = events_of(panel, 4, span("release", start, end), None)
    at = np.arange(len(panel.ds))
    since, left = found.hours(np.array([0]), at, width, 0)
    begins = panel.ds
    ends = panel.ds + pd.Timedelta(freq)
    touched = np.asarray((ends > start) & (begins < end))
    hour = pd.Timedelta("1h")
    wanted = np.maximum(np.asarray((begins - start) / hour), 0)
    np.testing.assert_allclose(since[0], np.where(touched, wanted, -1), atol=1e-5)
    wanted = np.maximum(np.asarray((end - ends) / hour), 0)
    np.testing.assert_allclose(left[0], np.where(touched, wanted, -1), atol=1e-5)
    inside = np.flatnonzero(touched)
    share = (np.minimum(ends, end) - np.maximum(begins, start)) / pd.Timedelta(freq)
    np.testing.assert_allclose(found.covered(0, inside), np.asarray(share)[touched], atol=1e-9)


@pytest.mark.parametrize("late", [0, 20, 45])
def test_an_event_that_starts_within_a_bucket_lifts_only_its_share(late):
    """Demand triples from the minute that a release starts, whatever minute that is."""
    panel = panel_over("2026-01-05", "2026-02-24", y=lambda ds: np.full((1, len(ds)), 60.0, "f4"))
    minutes = pd.Timedelta(minutes=late)
    starts = [panel.ds[24 * d + 10] + minutes for d in (8, 15, 22, 29, 36, 43)]
    starts.append(panel.future(11)[-1] + minutes)
    y = panel.y.copy()
    for start in starts[:-1]:
        since = np.asarray((panel.ds - start) / pd.Timedelta("1h"))
        y[0] *= 1 + 2 * (np.clip(since + 1, 0, 1) - np.clip(since - 2, 0, 1))
    panel = Panel(ids=panel.ids, ds=panel.ds, y=y, orders=y.copy())
    told = pd.concat([span("release", at, at + pd.Timedelta("3h")) for at in starts])
    task = prepare(panel, 24, events=told).task
    share = np.array([1 - late / 60, 1, 1, late / 60])
    wanted = 1 + 2 * share
    got = task.effects.boost[0, task.origins[0] + 10 : task.origins[0] + 14]
    np.testing.assert_allclose(got, wanted, rtol=0.1)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_events_lift_series_that_count_no_orders(size):
    """A power meter's readings, or a series without any value, beside a release."""
    panel = panel_over("2026-01-05", "2026-02-24", y=lambda ds: np.full((1, len(ds)), 60.5, "f4"))
    starts = [panel.ds[24 * d + 10] for d in (8, 15, 22, 29, 36, 43)] + [panel.future(11)[-1]]
    y = panel.y * size
    for start in starts[:-1]:
        at = panel.ds.get_loc(start)
        y[0, at : at + 3] *= 3
    y = np.concatenate([y, np.full_like(y, np.nan)])
    panel = Panel(ids=np.array(["P", "Q"], dtype=object), ds=panel.ds, y=y)
    told = pd.concat([span("release", at, at + pd.Timedelta("3h")) for at in starts])
    mean = forecast(panel, 24, events=told, members=FAST).mean
    np.testing.assert_allclose(mean[0, 10:13] / mean[0, 0], 3.0, rtol=0.15)
    assert np.isfinite(mean).all()


# Clocks that change

ZONES = {
    "Europe/London": ("2026-03-29", "2025-10-26"),
    "America/New_York": ("2026-03-08", "2025-11-02"),
}
CHANGES = [(zone, day) for zone, days in ZONES.items() for day in days]


def by_local_clock(ds):
    """Demand that depends on nothing but the local time of day."""
    time = np.asarray(ds.hour + ds.minute / 60)
    y = 100.0 * (0.2 + np.exp(-0.5 * ((time - 20) / 2.0) ** 2))
    return y[None, :].astype(np.float32)


@pytest.mark.parametrize("freq", ["15min", "30min", "1h"])
@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize("place", [-10, -3, 0, 1])
def test_demand_by_the_local_clock_is_forecast_across_a_change_of_clocks(freq, zone, day, place):
    """The change lies 10 or 3 days before the end, on the last day, or within the horizon."""
    changed = pd.Timestamp(day)
    end = changed + pd.Timedelta(days=-place)
    first = end - pd.Timedelta(days=49)
    panel = panel_over(first, end, freq=freq, tz=zone, y=by_local_clock)
    horizon = int(pd.Timedelta("72h") / pd.Timedelta(freq))
    result = forecast(panel, horizon, members=FAST, n_paths=4)
    actual = by_local_clock(panel.future(horizon))
    assert np.abs(result.mean - actual).sum() < 0.01 * actual.sum()
    assert np.abs(result.mean - actual).max() < 0.03 * actual.max()


@pytest.mark.parametrize("freq", ["15min", "30min", "1h"])
@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_peaks_come_at_the_same_local_hour_on_both_sides_of_a_change_of_clocks(freq, zone, day):
    end = pd.Timestamp(day) - pd.Timedelta("1D")
    panel = panel_over(end - pd.Timedelta("49D"), end, freq=freq, tz=zone, y=by_local_clock)
    horizon = int(pd.Timedelta("72h") / pd.Timedelta(freq))
    result = forecast(panel, horizon, members=FAST, n_paths=16)
    high = replace(result, mean=result.mean * 1.3, quantiles=result.quantiles * 1.3)
    peaks = find_peaks(high, panel)
    assert len(peaks) >= 3
    assert set(peaks["peak_at"].dt.strftime("%H:%M")) == {"20:00"}
    assert (peaks["cause"] == "calendar").all()
    length = (peaks["ends_at"] - peaks["starts_at"]) / pd.Timedelta("1h")
    assert length.between(2, 8).all()


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Asia/Kolkata", "Australia/Adelaide"])
def test_days_begin_at_local_midnight_where_the_offset_is_no_whole_hour(zone):
    panel = panel_over("2026-03-02", "2026-04-20", tz=zone, y=by_local_clock)
    clock = clock_of(panel, 48, season=None)
    ds = panel.ds.append(panel.future(48))
    np.testing.assert_array_equal(clock.slot, ds.hour)
    np.testing.assert_array_equal(clock.weekday, ds.day_of_week)
    actual = by_local_clock(panel.future(48))
    result = forecast(panel, 48, members=FAST, n_paths=4)
    assert np.abs(result.mean - actual).sum() < 0.01 * actual.sum()


@pytest.mark.parametrize("freq", ["30s", "90s", "16min", "15min", "1h", "6h"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_day_holds_each_of_its_slots_once(freq, zone):
    """Of any width that parts a day, days of a change of clocks apart."""
    ds = pd.date_range("2026-03-27", "2026-03-31", freq=freq, tz=zone, inclusive="left")
    y = np.ones((1, len(ds)), dtype="f4")
    panel = Panel(ids=np.array(["P"], dtype=object), ds=ds, y=y, freq=freq)
    clock = clock_of(panel, 1, season=None)
    assert clock.day == pd.Timedelta("1D") // pd.Timedelta(freq)
    assert ((clock.slot >= 0) & (clock.slot < clock.day)).all()
    for date in (0, 1, 3):
        assert len(np.unique(clock.slot[clock.date == date])) == clock.day


@pytest.mark.parametrize("freq", ["30s", "90s"])
def test_demand_by_the_half_minute_is_forecast(freq):
    ds = pd.date_range("2026-01-05", periods=4 * 86_400 // pd.Timedelta(freq).seconds, freq=freq)
    y = by_local_clock(ds)
    panel = Panel(ids=np.array(["P"], dtype=object), ds=ds, y=y, freq=freq)
    ahead = panel.future(100)
    got = forecast(panel, 100, members=["seasonal_naive"], n_paths=1).mean
    np.testing.assert_allclose(got, by_local_clock(ahead), rtol=0.01)


def test_a_zone_is_only_its_clock():
    """The same orders in a zone of UTC+8 and by a clock fixed at UTC+8 give the same numbers."""
    past = market.panel(n=4, days=40)
    fixed = Panel(ids=past.ids, ds=past.ds.tz_convert("Etc/GMT-8"), y=past.y, orders=past.orders)
    one, two = (forecast(panel, 48, members=FAST) for panel in (past, fixed))
    assert one.quantiles.tobytes() == two.quantiles.tobytes()
    assert one.paths.tobytes() == two.paths.tobytes()


def test_quarters_of_an_hour_add_up_to_the_hours():
    rng = np.random.default_rng(1)
    fine = panel_over(
        "2026-01-05", "2026-02-16", freq="15min", y=lambda ds: rng.poisson(by_local_clock(ds) / 4)
    )
    y = fine.y.reshape(1, -1, 4).sum(axis=2).astype(np.float32)
    coarse = Panel(ids=fine.ids, ds=fine.ds[::4], y=y, orders=y.copy())
    fine = Panel(ids=fine.ids, ds=fine.ds, y=fine.y.astype("f4"), orders=None, freq="15min")
    coarse = Panel(ids=fine.ids, ds=coarse.ds, y=y, orders=None)
    quarters = forecast(fine, 96 * 2, members=FAST).mean.reshape(1, -1, 4).sum(axis=2)
    hours = forecast(coarse, 48, members=FAST).mean
    assert np.abs(quarters - hours).sum() < 0.05 * hours.sum()
    assert abs(quarters.sum() / hours.sum() - 1) < 0.02


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_days_of_another_length_teach_the_calendar_nothing(zone, day):
    changed = pd.Timestamp(day)
    panel = panel_over(
        changed - pd.Timedelta("40D"), changed + pd.Timedelta("10D"), tz=zone, y=by_local_clock
    )
    days = days_of(panel, 24, country=None)
    effects = learn_effects(
        panel.y,
        clock=clock_of(panel, 24, season=None, days=days),
        days=days,
        events=events_of(panel, 24, None, None),
        category=np.zeros(1, dtype=int),
        lump=np.ones(1),
    )
    np.testing.assert_allclose(effects.calendar, 1.0, atol=0.01)


def numbered(y):
    return Panel(
        ids=np.arange(len(y)).astype(object),
        ds=pd.RangeIndex(y.shape[1]).astype(int),
        y=y,
        freq="1",
    )


def season_of(y):
    return clock_of(numbered(np.asarray(y, dtype=np.float32)), 1, season=None).day


def test_the_season_of_numbered_buckets_is_the_shortest_clear_one():
    rng, t = np.random.default_rng(0), np.arange(900)
    hourly = (
        50 + 20 * np.sin(2 * np.pi * t / 24) + 5 * (t // 24 % 7 > 4) + rng.normal(0, 3, (9, 900))
    )
    walk = 1e5 * rng.normal(0, 1, (1, 900)).cumsum(axis=1)
    late = hourly.copy()
    late[:, :400] = np.nan  # that begin later than the panel
    assert season_of(hourly) == season_of(late) == 24
    assert season_of(np.concatenate([hourly, walk])) == 24  # a large one doesn't outvote them
    assert season_of(100 + 10 * np.sin(2 * np.pi * t / 12) + rng.normal(0, 2, (3, 900))) == 12


@pytest.mark.parametrize("seed", range(5))
def test_a_walk_has_no_season(seed):
    rng = np.random.default_rng(seed)
    assert season_of(rng.normal(0, 1, (3, 900)).cumsum(axis=1)) == 1
    assert season_of(rng.normal(0, 1, (3, 900))) == 1


@pytest.mark.parametrize(
    ("freq", "season"), [("D", 7), ("B", 5), ("W", 52), ("MS", 12), ("QS", 4), ("YS", 1)]
)
def test_longer_buckets_have_the_season_of_their_kind(freq, season):
    ds = pd.date_range("2020-01-01", periods=30, freq=freq)
    y = np.ones((1, 30), dtype=np.float32)
    panel = Panel(ids=np.array(["P"]), ds=ds, y=y, freq=freq)
    assert clock_of(panel, 3, season=None).day == season


@pytest.mark.parametrize(("freq", "days", "season"), [("D", 1, 7), ("W", 7, 52)])
@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize("buckets", [1, 2, 60])
@pytest.mark.parametrize("last", [False, True])
def test_a_bucket_of_another_length_leaves_the_season(freq, days, season, zone, day, buckets, last):
    """The first or the last bucket holds the change of clocks."""
    first = pd.Timestamp(day) - (buckets - 1 if last else 0) * pd.Timedelta(days=days)
    ds = pd.date_range(first, periods=buckets, freq=freq, tz=zone)
    if last:
        ds = ds[ds <= pd.Timestamp(day, tz=zone)]
    y = np.ones((1, len(ds)), dtype=np.float32)
    clock = clock_of(Panel(ids=np.array(["P"]), ds=ds, y=y, freq=freq), 3, season=None)
    assert clock.day == season
    assert clock.hours == 24 * days


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_events_lie_on_their_days_after_a_first_day_of_another_length(zone, day):
    ds = pd.date_range(day, periods=100, freq="D", tz=zone)
    panel = Panel(ids=np.array(["P"]), ds=ds, y=np.ones((1, 100), dtype="f4"), freq="D")
    noon = ds[90] + pd.Timedelta("12h")
    found = events_of(panel, 7, span("promotion", noon, noon + pd.Timedelta("1h")), None)
    assert (found.start[0], found.stop[0]) == (90, 91)


def test_a_holiday_is_an_event_where_the_season_leaves_no_days():
    panel = market.panel(n=2, days=30)
    day = panel.ds[24 * 10]
    told = span("holiday", day, day + pd.Timedelta("1D"))
    assert not days_of(panel, 24, country=None, events=told, season=12).holiday.any()
    assert events_of(panel, 24, told, None, season=12).kinds == ("holiday",)
    task = prepare(panel, 24, events=told, season=12).task
    assert (task.events.start[0], task.events.stop[0]) == (24 * 10, 24 * 11)
    assert prepare(panel, 24, events=told).task.events.kinds == ()


@pytest.mark.parametrize(
    ("freq", "zone"),
    [("1h", "Europe/Berlin"), ("D", "Europe/Berlin"), ("W", "Europe/Berlin")]
    + [(freq, None) for freq in ("D", "B", "W-MON", "MS", "QS", "YS")],
)
@pytest.mark.parametrize("part", [0.0, 0.4])
def test_outages_events_and_launches_lie_in_the_buckets_that_they_touch(freq, zone, part):
    """Whatever the lengths of the buckets before, in the history and in the horizon."""
    ds = pd.date_range("2024-03-01", periods=170, freq=freq, tz=zone)
    panel = Panel(ids=np.array(["P"]), ds=ds, y=np.zeros((1, 170), dtype="f4"), freq=freq)
    edges = ds.append(panel.future(30))
    for first, buckets in ((3, 1), (100, 2), (150, 1), (168, 5), (180, 1)):
        start = edges[first] + part * (edges[first + 1] - edges[first])
        stop = first + buckets
        end = edges[stop] - part * (edges[stop] - edges[stop - 1])
        found = events_of(panel, 20, span("promotion", start, end), None)
        assert (found.start[0], found.stop[0]) == (first, stop)
        np.testing.assert_allclose([found.early[0], found.late[0]], part, atol=1e-6)
        if first < 170:
            assert outages_of(panel, span("outage", start, end), None)[0][:2] == (first, stop)
        told = pd.DataFrame({"product_id": ["P"], "launched_at": [start]})
        assert launches(panel, told)[0] == first
