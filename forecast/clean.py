"""History that was not observed: outages, gaps in the whole log, time before a launch."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd

from forecast.calendars import clock_of, outages_of
from forecast.demand import Array, Panel
from forecast.silences import silences

GAP_ORDERS = 30.0  # a silence that swallows this many usual orders is no chance
RARELY_SILENT = 0.08  # of the other weeks
_PAUSE = pd.Timedelta(days=14)
_LATE_START = 12.0  # orders that a product should have had before its first one


def observed(
    panel: Panel,
    *,
    products: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
) -> Panel:
    """The panel with NaN where demand was not observed rather than zero.

    That is during outage events, in gaps of the whole log, in the silence before a product's
    relaunch, and before it was on sale.
    """
    y = panel.y.copy()
    for start, stop, rows in outages_of(panel, events, products):
        y[rows, max(start, 0) : stop] = np.nan
    if panel.orders is not None:
        y[:, gaps(replace(panel, y=y))] = np.nan
        y[silences(replace(panel, y=y))] = np.nan
        for row, start, stop in zip(*pauses(replace(panel, y=y), products), strict=True):
            y[row, start:stop] = np.nan
        before = launches(replace(panel, y=y), products)
        y[np.arange(y.shape[1]) < before[:, None]] = np.nan
    return replace(panel, y=y)


def gaps(panel: Panel) -> Array:
    """bool [T]: buckets in a silence of the whole log that its usual rate rules out.

    The usual number of orders of a bucket is the median over the weeks at that time of week. A run
    of silent buckets is a gap when it should have had many and some of it falls on a time of week
    that is hardly ever silent; so nights, closed weekends and slow evenings are no gaps.
    """
    if panel.orders is None:
        return np.zeros(len(panel.ds), dtype=bool)
    orders = np.where(np.isfinite(panel.y), panel.orders, np.nan)
    seen = np.isfinite(orders).any(axis=0)
    total = np.where(seen, np.nansum(orders, axis=0), np.nan)
    clock = clock_of(panel, 1, season=None)
    place = (clock.weekday * clock.day + clock.slot)[: len(total)]
    usual = pd.Series(total).groupby(place).transform("median").fillna(0).to_numpy()
    silent = (total == 0) | ~seen
    zero = pd.Series(total == 0).groupby(place)
    others: pd.Series = (zero.transform("sum") - 1) / np.maximum(zero.transform("size") - 1, 1)
    rare = silent & seen & (usual > 0) & (others.to_numpy() <= RARELY_SILENT)
    run = pd.Series(np.cumsum(np.diff(silent, prepend=False) != 0))
    missed = pd.Series(np.where(silent & seen, usual, 0.0)).groupby(run).transform("sum")
    odd = pd.Series(rare).groupby(run).transform("any")
    return np.asarray(silent & seen & odd & (missed.to_numpy() >= GAP_ORDERS))


def launches(panel: Panel, products: pd.DataFrame | None) -> Array:
    """int [N]: first bucket in which each product can have sold, T or later if not launched yet.

    `launched_at` if it is told and nothing sold before; otherwise the first order, if the product's
    later share of all orders makes the silence before it no chance.
    """
    orders = panel.orders if panel.orders is not None else panel.y
    n_buckets = orders.shape[1]
    sold = np.nan_to_num(orders) > 0
    first = np.where(sold.any(axis=1), sold.argmax(axis=1), n_buckets)
    before = np.append(0.0, np.cumsum(np.nansum(orders, axis=0, dtype=np.float64)))
    share = np.maximum(np.nansum(orders, axis=1, dtype=np.float64) - 1, 0)  # the first order is why
    share = share / np.maximum(before[-1] - before[first], 1.0)
    start = np.where((share * before[first] > _LATE_START) & (first < n_buckets), first, 0)
    told = _told_launch(panel, products)
    bucket = np.clip(np.floor(np.nan_to_num(told)), 0, 10**7).astype(int)
    bucket = np.where(first < n_buckets, np.minimum(bucket, first), bucket)
    return np.where(np.isnan(told), start, bucket)


def pauses(panel: Panel, products: pd.DataFrame | None) -> tuple[Array, Array, Array]:
    """Products told to be launched though they sold before: row, start and end of their pause.

    The pause lies between the last order before `launched_at` and that; its end is T or later for
    one that is yet to come. A pause of less than two weeks may be demand's own and doesn't count.
    """
    told = _told_launch(panel, products)
    rows = np.flatnonzero(told > 0)
    if not len(rows):
        return rows, rows, rows
    orders = panel.orders if panel.orders is not None else panel.y
    stop = np.clip(np.floor(told[rows]), 0, 10**7).astype(int)
    before = np.arange(orders.shape[1]) < stop[:, None]
    sold = (np.nan_to_num(orders[rows]) > 0) & before
    start = orders.shape[1] - np.argmax(sold[:, ::-1], axis=1)
    silent = np.minimum(stop, orders.shape[1]) - start
    real = sold.any(axis=1) & (silent * _step(panel) >= _PAUSE)
    return rows[real], start[real], stop[real]


def _told_launch(panel: Panel, products: pd.DataFrame | None) -> Array:
    """float [N] buckets from the panel's start to `launched_at`, NaN where none is told."""
    none = np.full(len(panel.ids), np.nan)
    if products is None or "launched_at" not in products:
        return none
    ids = [str(i) for i in panel.ids]
    told = products.set_index(products["product_id"].astype(str))["launched_at"].reindex(ids)
    if not isinstance(panel.ds, pd.DatetimeIndex) or told.isna().all():
        return none
    stamps = pd.DatetimeIndex(pd.to_datetime(told, utc=panel.ds.tz is not None))
    return np.asarray((stamps - panel.ds[0]) / _step(panel), dtype=float)


def _step(panel: Panel) -> pd.Timedelta:
    return cast("pd.Timedelta", panel.future(1)[0] - panel.ds[-1])
