"""Peaks: windows in which demand will likely exceed what the last four weeks made usual."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecast.almanac import UNLIKELY
from forecast.calendars import Clock, Events, buckets_around, clock_of, days_of, events_of
from forecast.clean import observed
from forecast.demand import Array, Panel, mean_units
from forecast.forecasts import Forecast
from forecast.known import checked_events, checked_products
from forecast.levels import level_index
from forecast.runs import runs

COLUMNS = [
    "product_id",
    "starts_at",
    "ends_at",
    "peak_at",
    "expected_units",
    "upper_units",
    "probability",
    "cause",
]
_LOOKBACK = pd.Timedelta(days=28)
_LEAST_BUCKETS = 28
_MONTH_STARTS = (1, 2, 3)
_WEEKS = 4
_OTHERS = {"release", "holiday"}  # kinds of events that are not like promotions
_RISE = 1.25  # above what is usual by so much, a week is a trend's and a peak its event's


def find_peaks(
    forecast: Forecast,
    panel: Panel,
    events: pd.DataFrame | None = None,
    *,
    products: pd.DataFrame | None = None,
    country: str | None = None,
) -> pd.DataFrame:
    """One row for each window of consecutive buckets whose median exceeds the product's threshold.

    The threshold is the product's q0.9 of observed demand over the last 28 days. `probability` is
    the share of sample paths that exceed it somewhere in the window (see `crossings`),
    `upper_units` the 0.95 quantile of the window's sum over the paths, `cause` promotion, release,
    calendar (holiday, month's turn, pay day, an hour that is usually high), trend or unexplained.

    Raises
    ------
    ValueError
        When the forecast is not of this panel.
    """
    if not np.array_equal(forecast.ids, panel.ids) or forecast.ds[0] != panel.future(1)[0]:
        raise ValueError("the forecast is not of this panel: ids or the end of the history differ")
    products, events = checked_products(products, panel), checked_events(events)
    seen = observed(panel, products=products, events=events, country=country)
    limit = thresholds(seen)
    high = median_of(forecast) > limit[:, None]
    row, start, stop = runs(high)
    sums, tops = path_windows(forecast.paths, row, start, stop)
    expected = _sum(forecast.mean, row, start, stop)
    cause = _Causes.of(seen, forecast, events, products, country).of_windows(row, start, stop)
    after = panel.future(len(forecast.ds) + 1)[1:]
    return pd.DataFrame(
        {
            "product_id": forecast.ids[row],
            "starts_at": forecast.ds[start],
            "ends_at": after[stop - 1],
            "peak_at": forecast.ds[_argmax(median_of(forecast), row, start, stop)],
            "expected_units": expected,
            "upper_units": np.quantile(sums, 0.95, axis=0) if len(row) else expected,
            "probability": (tops > crossings(seen, limit)[row]).mean(axis=0),
            "cause": cause,
        },
        columns=COLUMNS,
    )


def thresholds(panel: Panel) -> Array:
    """[N] q0.9 of what was observed in the last 28 days; NaN where nothing was."""
    recent = _recent(panel)
    limit = np.full(len(panel.y), np.nan)
    some = np.isfinite(recent).any(axis=1)
    whole = np.isfinite(recent).all(axis=1)
    limit[whole] = np.quantile(recent[whole], 0.9, axis=1)
    limit[some & ~whole] = np.nanquantile(recent[some & ~whole], 0.9, axis=1)
    return limit


def crossings(panel: Panel, limit: Array) -> Array:
    """[N] what a sampled path must exceed where demand exceeds `limit`.

    Of whole units, more than 4 means 5 or more, and a path of 4.3 stands for 4: so 4.5.
    """
    recent = _recent(panel)
    whole = (np.isnan(recent) | (recent % 1 == 0)).all(axis=1)
    return np.where(whole, np.floor(limit) + 0.5, limit)


def _recent(panel: Panel) -> Array:
    """The last 28 days or, of numbered buckets, seasons; 28 buckets where one is longer."""
    if isinstance(panel.ds, pd.DatetimeIndex):
        days = int((panel.ds >= panel.future(1)[0] - _LOOKBACK).sum())
        return panel.y[:, -max(days, _LEAST_BUCKETS) :]
    return panel.y[:, -_LEAST_BUCKETS * clock_of(panel, 1, season=None).day :]


def median_of(forecast: Forecast) -> Array:
    """[N, H] the forecast's median."""
    return np.asarray(forecast.quantiles[:, :, level_index(forecast.levels, 0.5)])


def over_windows(ufunc: np.ufunc, x: Array, row: Array, start: Array, stop: Array) -> Array:
    """[N, H] -> [W] reduction over each window."""
    if not len(row):
        return np.zeros(0)
    width = x.shape[1]
    flat = np.append(x.ravel(), x.dtype.type(0))
    bounds = np.stack([row * width + start, row * width + stop], axis=1).ravel()
    return np.asarray(ufunc.reduceat(flat, bounds)[::2])


def _sum(x: Array, row: Array, start: Array, stop: Array) -> Array:
    return over_windows(np.add, x.astype(np.float64), row, start, stop)


def path_windows(paths: Array, row: Array, start: Array, stop: Array) -> tuple[Array, Array]:
    """[K, W] sums and maxima of each path over each window."""
    sums = np.stack([_sum(path, row, start, stop) for path in paths])
    tops = np.stack([over_windows(np.maximum, path, row, start, stop) for path in paths])
    return sums, tops


def _argmax(x: Array, row: Array, start: Array, stop: Array) -> Array:
    """[W] first bucket of each window's largest value."""
    top = over_windows(np.maximum, x, row, start, stop)
    window = np.full(x.shape, -1)
    lengths = stop - start
    inside = np.repeat(start, lengths) + _counter(lengths)
    rows = np.repeat(row, lengths)
    window[rows, inside] = np.repeat(np.arange(len(row)), lengths)
    hits = (window >= 0) & (x == np.append(top, 0)[window])
    r, c = np.nonzero(hits)
    _, first = np.unique(window[r, c], return_index=True)
    return np.asarray(c[first])


def _counter(lengths: Array) -> Array:
    """0 … l − 1 for each l, joined."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(total) - np.repeat(ends - lengths, lengths))


@dataclass(frozen=True, kw_only=True)
class _Causes:
    """What may have caused a peak in each bucket, bool [N, H], and what is usual there."""

    promotion: Array  # or an event of a kind of the user's own
    release: Array
    awaited: Array  # a release to come within two days: customers may wait for it
    holiday: Array  # announced for some products or some hours only
    date: Array  # a pay day, a festival, the end of the month: one that may well differ
    calendar: Array  # a holiday, the month's turn, a time of day or week that is usually high
    trend: Array
    mean: Array  # float [N, H] expected units
    usual: Array  # float [N, H] units that the same times of the last four weeks suggest; 0 = none

    @classmethod
    def of(
        cls,
        panel: Panel,
        forecast: Forecast,
        events: pd.DataFrame | None,
        products: pd.DataFrame | None,
        country: str | None,
    ) -> _Causes:
        n, horizon = forecast.mean.shape
        length = panel.y.shape[1]
        ahead = np.arange(length, length + horizon)
        planned = events_of(panel, horizon, events, products)
        days = days_of(panel, horizon, country=country, events=events)
        clock = clock_of(panel, horizon, season=None, days=days)
        date = clock.date[length:]
        special = (days.holiday[date] > 0) | np.isin(days.month_day[date], _MONTH_STARTS)
        likely = np.asarray(days.basis[:, days.chance > UNLIKELY].any(axis=1))[date]
        week, month = (mean_units(panel.y[:, -k * clock.day * clock.week :]) for k in (1, 4))
        rise = np.divide(week, month, out=np.ones(n), where=month > 0)
        usual, high = _usual(panel, clock, ahead, planned)
        return cls(
            promotion=_under_way(planned, set(planned.kinds) - _OTHERS, n, ahead),
            release=_under_way(planned, {"release"}, n, ahead),
            awaited=_under_way(_earlier(planned, clock), {"release"}, n, ahead),
            holiday=_under_way(planned, {"holiday"}, n, ahead),
            date=np.broadcast_to(likely, (n, horizon)),
            calendar=special[None, :] | high,
            trend=np.broadcast_to((rise > _RISE)[:, None], (n, horizon)),
            mean=forecast.mean,
            usual=usual * np.maximum(rise, 1)[:, None],
        )

    def of_windows(self, row: Array, start: Array, stop: Array) -> Array:
        """[W] the first cause of each window: those that lift it before those that are just there.

        A promotion of a month lifts no evening above the other evenings.
        """

        def there(flag: Array) -> Array:
            return over_windows(np.maximum, flag.astype(np.int8), row, start, stop) > 0

        def lifts(flag: Array) -> Array:
            expected, usual = (_sum(x * flag, row, start, stop) for x in (self.mean, self.usual))
            return there(flag) & (expected >= _RISE * usual)

        ranked = (
            ("promotion", lifts(self.promotion)),
            ("release", lifts(self.release)),
            ("calendar", there(self.calendar) | lifts(self.date) | lifts(self.holiday)),
            ("trend", there(self.trend)),
            ("release", lifts(self.awaited)),
            ("promotion", there(self.promotion)),
            ("release", there(self.release)),
            ("calendar", there(self.holiday)),
        )
        cause = np.full(len(row), "unexplained", dtype=object)
        for name, hit in reversed(ranked):
            cause[hit] = name
        return cause


def _earlier(planned: Events, clock: Clock) -> Events:
    """The events as if they started as much earlier as they may be felt before."""
    return replace(planned, start=planned.start - buckets_around(clock.hours))


def _under_way(planned: Events, kinds: set[str], n: int, ahead: Array) -> Array:
    """bool [N, H] whether an event of these kinds is under way."""
    found = np.zeros((n, len(ahead)), dtype=bool)
    for code, kind in enumerate(planned.kinds):
        if kind in kinds:
            found |= planned.hours(np.arange(n), ahead, 1.0, code)[0] >= 0
    return found


def _usual(panel: Panel, clock: Clock, ahead: Array, planned: Events) -> tuple[Array, Array]:
    """What the last four weeks (of numbered buckets and days: seasons) say of the times ahead.

    Returns
    -------
    float [N, H] mean at that time of day or, if more, of the week, without events that are over;
    0 = none was observed. bool [N, H] whether demand was above the threshold there, in two of the
    weeks or a third of the days.
    """
    first = max(panel.y.shape[1] - _WEEKS * clock.week * clock.day, 0)
    y = panel.y[:, first:]
    calm = y.copy()
    for e in np.flatnonzero(planned.stop <= panel.y.shape[1]):
        low, high = max(planned.start[e] - first, 0), max(planned.stop[e] - first, 0)
        calm[planned.rows[e], low:high] = np.nan
    limit = thresholds(panel)[:, None]
    shape = 2, len(y), len(ahead)
    total = np.zeros(shape, dtype=np.float32)  # by day, by week
    seen, above = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.uint8)
    for k in range(1, _WEEKS * clock.week + 1):
        back = clock.back(ahead, k) - first
        units = _at(calm, back)
        scales = slice(0, 1 + (k % clock.week == 0))
        total[scales] += np.nan_to_num(units)
        seen[scales] += np.isfinite(units)
        above[scales] += _at(y, back) > limit
    usual = np.divide(total, seen, out=np.zeros_like(total), where=seen > 0).max(axis=0)
    often = above[0] >= (_WEEKS * clock.week / 3 if clock.week > 1 else np.inf)
    return usual, often | (above[1] >= 2)


def _at(y: Array, buckets: Array) -> Array:
    inside = (buckets >= 0) & (buckets < y.shape[1])
    return np.where(inside, y[:, np.where(inside, buckets, 0)], np.nan)
