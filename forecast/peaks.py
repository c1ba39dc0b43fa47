"""Peaks: windows in which demand will likely exceed what the last four weeks made usual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.calendars import clock_of, days_of, events_of
from forecast.clean import observed
from forecast.demand import Array, Panel
from forecast.features import mean_units
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
_RISE = 1.25  # last week's demand against four weeks', beyond which a peak is the trend's


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
    calendar (holiday, month's turn, or an hour that is always high), trend or unexplained.

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
    """Which causes are present in each bucket [N, H], the strongest first."""

    present: dict[str, Array]

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
        planned = events_of(panel, horizon, events, products)
        present: dict[str, Array] = {}
        for kind in ("promotion", "release"):
            present[kind] = np.zeros((n, horizon), dtype=bool)
            if kind in planned.kinds:
                code = planned.kinds.index(kind)
                ahead = np.arange(length, length + horizon)
                since, _ = planned.hours(np.arange(n), ahead, 1.0, code)
                present[kind] = since >= 0
        days = days_of(panel, horizon, country=country, events=events)
        clock = clock_of(panel, horizon, season=None, days=days)
        date = clock.date[length:]
        special = (days.holiday[date] > 0) | np.isin(days.month_day[date], _MONTH_STARTS)
        ahead = np.arange(length, length + horizon)
        usual = [_at(panel.y, clock.back(ahead, clock.week * k)) for k in range(1, 5)]
        high = np.stack(usual) > thresholds(panel)[:, None]
        present["calendar"] = special[None, :] | (high.sum(axis=0) >= 2)
        week = panel.y[:, -clock.day * clock.week :]
        month = panel.y[:, -4 * clock.day * clock.week :]
        rising = mean_units(week) > _RISE * mean_units(month)
        present["trend"] = np.broadcast_to(rising[:, None], (n, horizon))
        return cls(present=present)

    def of_windows(self, row: Array, start: Array, stop: Array) -> Array:
        """[W] the first cause present in each window."""
        cause = np.full(len(row), "unexplained", dtype=object)
        for name in reversed(self.present):
            flag = self.present[name].astype(np.int8)
            cause[over_windows(np.maximum, flag, row, start, stop) > 0] = name
        return cause


def _at(y: Array, buckets: Array) -> Array:
    inside = (buckets >= 0) & (buckets < y.shape[1])
    return np.where(inside, y[:, np.where(inside, buckets, 0)], np.nan)
