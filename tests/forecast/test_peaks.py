import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import LEVELS, Forecast, Panel, find_peaks
from forecast.peaks import thresholds
from tests.forecast import market


def made(seed, n=3, horizon=12, k=9, past=None):
    rng = np.random.default_rng(seed)
    past = past or market.panel(n=n, days=30, seed=seed)
    quantiles = np.sort(rng.gamma(2, 8, (n, horizon, len(LEVELS))), axis=2).astype(np.float32)
    return past, Forecast(
        ids=past.ids,
        ds=past.future(horizon),
        freq=past.freq,
        levels=LEVELS,
        mean=quantiles.mean(axis=2),
        quantiles=quantiles,
        paths=rng.gamma(2, 8, (k, n, horizon)).astype(np.float32),
        model=np.array(["x"] * n, dtype=object),
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_peaks_are_what_a_loop_over_the_buckets_finds(seed):
    past, result = made(seed)
    wanted = []
    for i in range(len(result.ids)):
        limit = np.quantile(past.y[i, -28 * 24 :], 0.9)
        h = 0
        while h < 12:
            if result.quantiles[i, h, 6] <= limit:
                h += 1
                continue
            start = h
            while h < 12 and result.quantiles[i, h, 6] > limit:
                h += 1
            paths = result.paths[:, i, start:h]
            top = start + int(np.argmax(result.quantiles[i, start:h, 6]))
            wanted.append(
                (
                    result.ids[i],
                    result.ds[start],
                    result.ds[h - 1] + pd.Timedelta("1h"),
                    result.ds[top],
                    result.mean[i, start:h].sum(),
                    np.quantile(paths.sum(axis=1), 0.95),
                    (np.round(paths) > limit).any(axis=1).mean(),
                )
            )
    found = find_peaks(result, past)
    assert len(found) == len(wanted)
    for row, expected in zip(found.itertuples(index=False), wanted, strict=True):
        assert tuple(row[:4]) == expected[:4]
        np.testing.assert_allclose(row[4:7], expected[4:], rtol=1e-5)


def test_causes_come_from_events_and_the_calendar():
    past, result = made(1)
    quantiles = np.full_like(result.quantiles, 1e4)
    high = Forecast(**{**vars(result), "quantiles": quantiles})
    release = market.events([("release", result.ds[3], 2, "P1", None)])
    found = find_peaks(high, past, release).set_index("product_id")["cause"]
    assert found["P1"] == "release"
    assert found["P0"] != "release"


def evening(start="2026-03-02", lift=None, days=35):
    """An evening's peak of 100, else 10; ahead the usual times `lift` [24], their paths as sure."""
    ds = market.hours(24 * days, start)
    shape = np.tile(np.where(np.arange(24) // 2 == 10, 100.0, 10.0), days)
    y = np.random.default_rng(0).poisson(shape, (2, len(ds))).astype(np.float32)
    ids = np.array(["a", "b"], dtype=object)
    past = Panel(ids=ids, ds=ds, y=y, orders=y.copy())
    ahead = np.tile(shape[:24] * 1.3 * (1 if lift is None else lift), (2, 1)).astype(np.float32)
    quantiles = np.repeat(ahead[:, :, None], len(LEVELS), axis=2)
    return past, Forecast(
        ids=ids,
        ds=past.future(24),
        freq="1h",
        levels=LEVELS,
        mean=ahead / np.float32(1.2),
        quantiles=quantiles,
        paths=ahead[None],
        model=np.array(["x"] * 2, dtype=object),
    )


def causes_of(past, ahead, events=None, country=None):
    products = pd.DataFrame({"product_id": past.ids, "category": past.ids})
    found = find_peaks(ahead, past, events, products=products, country=country)
    return [(row.product_id, row.starts_at.hour, row.cause) for row in found.itertuples()]


def test_a_promotion_that_lifts_nothing_causes_no_peak():
    past, ahead = evening()
    for start, days in ((past.ds[0], 60), (ahead.ds[0], 1)):  # a month's, and one that begins
        harmless = market.events([("promotion", start, 24 * days, None, None)])
        assert causes_of(past, ahead, harmless) == [("a", 20, "calendar"), ("b", 20, "calendar")]


def test_what_lifts_a_quiet_hour_is_its_cause_though_it_did_so_before():
    lift = np.where(np.arange(24) == 9, 20, 1)
    past, ahead = evening(lift=lift)
    nine = [ahead.ds[9] - pd.Timedelta(days=7 * back) for back in range(5)]
    causes = {"promotion": "promotion", "release": "release", "holiday": "calendar"}
    for kind, cause in {**causes, "livestream": "promotion"}.items():
        told = market.events([(kind, nine[0], 1, None, "a")])
        assert causes_of(past, ahead, told)[:2] == [("a", 9, cause), ("a", 20, "calendar")]
    for back in range(1, 5):
        past.y[:, [-168 * back + 9]] *= 20
    weekly = market.events([("promotion", start, 1, None, "a") for start in nine])
    assert causes_of(past, ahead, weekly)[0] == ("a", 9, "promotion")


@pytest.mark.parametrize(("start", "day"), [("2026-05-11", 15), ("2026-05-26", 30)])
def test_a_pay_day_that_lifts_is_the_calendars(start, day):
    past, ahead = evening(start, lift=np.where(np.arange(24) == 9, 20, 1))
    assert ahead.ds[0].day == day
    assert causes_of(past, ahead)[0] == ("a", 9, "calendar")
    past, ahead = evening("2026-05-14", lift=np.where(np.arange(24) == 9, 20, 1))
    assert causes_of(past, ahead)[0] == ("a", 9, "unexplained")


def test_an_hour_that_is_high_on_many_days_is_usual_though_not_on_this_weekday():
    past, ahead = evening()
    for back in range(1, 5):
        past.y[:, -168 * back :][:, :24] = 10
    assert causes_of(past, ahead)[0] == ("a", 20, "calendar")


def test_an_unobserved_product_has_no_peak():
    past, result = made(2)
    y = np.full_like(past.y, np.nan)
    nothing = Panel(ids=past.ids, ds=past.ds, y=y, orders=past.orders)
    assert find_peaks(result, nothing).empty


@pytest.mark.parametrize("end", ["2026-03-29", "2025-10-26"])  # the clock changes on that day
@pytest.mark.parametrize("freq", ["15min", "30min", "1h"])
def test_windows_are_the_high_buckets_at_every_width_and_when_the_clock_changes(freq, end):
    step = pd.Timedelta(freq)
    stop = pd.Timestamp(end, tz="Europe/Berlin")
    ds = pd.date_range(end=stop - step, periods=int(pd.Timedelta("30D") / step), freq=freq)
    y = np.random.default_rng(0).poisson(9, (3, len(ds))).astype(np.float32)
    ids = np.array(["a", "b", "c"], dtype=object)
    past = Panel(ids=ids, ds=ds, y=y, orders=y.copy(), freq=freq)
    day = stop + pd.DateOffset(days=1) - stop  # 23 or 25 hours
    past, result = made(5, horizon=int(day / step) + 8, past=past)
    found = find_peaks(result, past)
    high = (
        result.quantiles[:, :, 6]
        > np.quantile(y[:, ds >= stop - pd.Timedelta("28D")], 0.9, 1)[:, None]
    )
    told = np.zeros_like(high)
    for row in found.itertuples():
        inside = (result.ds >= row.starts_at) & (result.ds < row.ends_at)
        assert inside.sum() * step == row.ends_at - row.starts_at
        assert row.starts_at <= row.peak_at < row.ends_at
        assert not told[ids == row.product_id, inside].any()
        told[ids == row.product_id] |= inside
        assert row.ends_at.tz is not None
        assert row.ends_at.utcoffset() == row.ends_at.tz_convert("Europe/Berlin").utcoffset()
    np.testing.assert_array_equal(told, high)
    assert high.any()


def test_numbered_buckets_are_usual_by_28_of_the_seasons_found_in_them():
    """A season of 7 in a series that rose tenfold before its last 28 seasons."""
    y = np.tile([1.0, 2, 3, 4, 5, 9, 9], 60)[None].astype(np.float32)
    y[0, : -28 * 7] /= 10
    y[0, -28 * 7 :] += np.random.default_rng(0).normal(0, 0.1, 28 * 7)
    past = Panel(ids=np.array(["a"]), ds=pd.Index(np.arange(y.shape[1])), y=y, freq="1")
    assert thresholds(past)[0] == np.quantile(y[0, -28 * 7 :], 0.9)


def test_peaks_of_an_index_of_whole_numbers_end_where_the_next_bucket_starts():
    y = np.random.default_rng(1).poisson(9, (3, 400)).astype(np.float32)
    ids = np.array(["a", "b", "c"], dtype=object)
    past = Panel(ids=ids, ds=pd.Index(np.arange(400)), y=y, freq="1", season=24)
    past, result = made(5, past=past)
    found = find_peaks(result, past)
    assert len(found)
    assert (found["ends_at"] > found["peak_at"]).all()
    assert (found["peak_at"] >= found["starts_at"]).all()
    assert found["ends_at"].max() <= 412
