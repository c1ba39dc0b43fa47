"""Demand that was cut short: a product silent or jammed while many orders were due.

What was seen then is a lower bound. A silence says nothing and becomes unobserved; a shortfall
during a jam becomes the expectation of demand given that it was at least what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import betainc, betaincc

from forecast.calendars import Clock
from forecast.demand import Array, Panel
from forecast.runs import runs

CHANCE = 0.01  # expected number of false finds in a whole panel
RARELY_SILENT = 0.08  # of the other weeks
_SILENT_AROUND = 0.15  # of the days before and after: two of fourteen may be of the same silence
LONGEST = 48.0  # hours; who is silent for longer is off sale
_LEAST_ORDERS = 15.0  # that a run should have had, to be looked at
_BUSY = 5.0  # orders due in a bucket that tells of its spread
_LEAST_BUCKETS = 50  # of these, to tell
_AROUND = 7  # days before and after that tell the present level
_SHORTFALL = 0.6  # of the due orders, at most, in a jam that turned customers away
_CELLS = 4_000_000  # history cells looked at in one piece, to bound memory


@dataclass(frozen=True, kw_only=True)
class Censored:
    """Cells [K] whose demand was cut short, run by run."""

    row: Array
    bucket: Array
    run: Array  # [K] number of the run, from 0
    share: Array  # [K] expected demand given that it was at least what was seen, against that;
    # NaN = nothing was seen
    due: Array  # [K] orders that were due


def censored(panel: Panel, clock: Clock, *, holiday: Array | None = None) -> Censored:
    """Runs of silent or jammed buckets of a product that its usual rate rules out.

    The orders due in a bucket are the smaller of two medians, over the weeks at that time of week
    and over the 7 days before and after at that time of day, lowered when the whole log was slow.
    Counts are negative binomial with the spread of the product's days and buckets. A run counts if
    so few orders have a probability below `CHANCE` / (products × days), it takes at most `LONGEST`,
    and it touches a jam or a time of week that is hardly ever silent.

    Parameters
    ----------
    holiday
        bool [D]: local days on which little is due; None = none is known.
    """
    length = len(panel.ds)
    if panel.orders is None or not np.isfinite(clock.hours) or length < 14 * clock.day:
        return _none()
    activity = _activity(panel, clock, holiday)
    jam = _jams(panel)
    size = max(_CELLS // length, 1)
    tests = panel.orders.shape[0] * max(length / clock.day, 1)
    found = []
    for start in range(0, len(panel.ids), size):
        rows = np.arange(start, min(start + size, len(panel.ids)))
        some = jam[(jam[:, 0] >= start) & (jam[:, 0] < start + size)] - [start, 0]
        found.append(_chunk(panel, clock, rows, activity, (some, CHANCE / tests)))
    return _joined(found)


def _none() -> Censored:
    whole, real = np.zeros(0, dtype=int), np.zeros(0)
    return Censored(row=whole, bucket=whole, run=whole, share=real, due=real)


def _joined(parts: list[Censored]) -> Censored:
    runs = np.cumsum([0, *(len(np.unique(part.run)) for part in parts)])
    return Censored(
        row=np.concatenate([part.row for part in parts]),
        bucket=np.concatenate([part.bucket for part in parts]),
        run=np.concatenate([part.run + k for part, k in zip(parts, runs, strict=False)]),
        share=np.concatenate([part.share for part in parts]),
        due=np.concatenate([part.due for part in parts]),
    )


def _activity(panel: Panel, clock: Clock, holiday: Array | None) -> Array:
    """[T] the whole log's orders against those usual at the time of week, at most 1."""
    seen = np.isfinite(panel.y)
    total = np.where(seen, np.nan_to_num(np.asarray(panel.orders)), 0).sum(axis=0, dtype=float)
    place = (clock.weekday * clock.day + clock.slot)[: len(total)]
    usual = pd.Series(total).groupby(place).transform("median").to_numpy()
    active = np.divide(total, usual, out=np.ones_like(total), where=usual > 0)
    active = np.where(total == 0, 0.0, np.minimum(active, 1.0))  # then it is no product's trouble
    if holiday is not None:
        active = np.where(holiday[clock.date[: len(total)]], 0.0, active)
    return np.asarray(active)


def _jams(panel: Panel) -> Array:
    """int [J, 2] rows and buckets of the cells that the log shows jammed."""
    if panel.marks is None:
        return np.zeros((0, 2), dtype=int)
    jams = panel.marks[panel.marks["kind"] == "jam"]
    row = pd.Index(panel.ids).get_indexer(pd.Index(jams["product_id"]))
    bucket = panel.ds.get_indexer(pd.Index(jams["ds"]))
    inside = (row >= 0) & (bucket >= 0)
    return np.stack([row[inside], bucket[inside]], axis=1)


def _chunk(
    panel: Panel, clock: Clock, rows: Array, activity: Array, told: tuple[Array, float]
) -> Censored:
    jams, chance = told
    orders = np.where(np.isfinite(panel.y[rows]), np.asarray(panel.orders)[rows], np.nan)
    jam = np.zeros(orders.shape, dtype=bool)
    jam[jams[:, 0], jams[:, 1]] = True
    usual, silent, size = _weeks(orders, clock)
    weekday, slot = (a[: orders.shape[1]] for a in (clock.weekday, clock.slot))
    due = usual[:, weekday, slot] * activity
    row, start, stop = _awake(*runs((orders == 0) | jam), due)
    before = np.pad(np.cumsum(due, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    brief = (stop - start) * clock.hours <= LONGEST
    some = brief & (before[row, stop] - before[row, start] >= _LEAST_ORDERS)
    row, start, stop = row[some], start[some], stop[some]
    if not len(row):
        return _none()
    run = np.repeat(np.arange(len(row)), stop - start)
    first = np.repeat(np.cumsum(stop - start) - (stop - start), stop - start)
    at = start[run] + np.arange(len(run)) - first
    mine = row[run]
    near, quiet = _around(orders, clock, mine, at)
    m = np.minimum(due[mine, at], near * activity[at])
    rare = (silent[mine, weekday[at], slot[at]] <= RARELY_SILENT) & (quiet <= _SILENT_AROUND)
    odd = np.bincount(run, weights=jam[mine, at] | (rare & (m > 0)), minlength=len(row)) > 0
    expected = np.bincount(run, weights=m, minlength=len(row))
    seen = np.bincount(run, weights=orders[mine, at], minlength=len(row))
    several = expected**2 / np.maximum(np.bincount(run, weights=m**2, minlength=len(row)), 1e-9)
    k = 1 / (1 / size[row] + _restless(orders, due, size, row) / np.maximum(several, 1.0))
    low = betainc(k, np.floor(seen) + 1, k / (k + np.maximum(expected, 1e-9))) <= chance
    keep = (low & odd & (seen <= _SHORTFALL * expected))[run]
    share = expected_share(orders[mine, at], m, size[mine])
    return Censored(
        row=rows[mine[keep]],
        bucket=at[keep],
        run=np.unique(run[keep], return_inverse=True)[1],
        share=share[keep],
        due=m[keep],
    )


def _restless(orders: Array, due: Array, size: Array, row: Array) -> Array:
    """[R] variance of a bucket's rate over its square, beyond the day's, for each run's product.

    From the quartiles of orders against those due, where chance alone moves them little.
    """
    which, place = np.unique(row, return_inverse=True)
    busy = (due[which] >= _BUSY) & np.isfinite(orders[which])
    ratio = np.divide(orders[which], due[which], out=np.full(busy.shape, np.nan), where=busy)
    chance = np.divide(1.0, due[which], out=np.full(busy.shape, np.nan), where=busy)
    found = np.zeros(len(which))
    known = busy.sum(axis=1) >= _LEAST_BUCKETS
    if known.any():
        low, high = np.nanquantile(ratio[known], (0.25, 0.75), axis=1)
        poisson = np.nanmean(chance[known], axis=1)
        found[known] = ((high - low) / 1.349) ** 2 - poisson - 1 / size[which][known]
    return np.asarray(np.maximum(found, 0.0)[place])


def _awake(row: Array, start: Array, stop: Array, due: Array) -> tuple[Array, Array, Array]:
    """Runs without the hours before and after in which nothing is due: a shop's nights."""
    bucket = np.arange(due.shape[1])
    following = np.where(due > 0, bucket, due.shape[1])
    following = np.minimum.accumulate(following[:, ::-1], axis=1)[:, ::-1]
    last = np.maximum.accumulate(np.where(due > 0, bucket, -1), axis=1)
    start, stop = following[row, start], last[row, stop - 1] + 1
    some = start < stop
    return row[some], start[some], stop[some]


def expected_share(seen: Array, due: Array, size: Array) -> Array:
    """[K] E[D | D ≥ seen] / seen for negative binomial D of mean `due`; NaN where seen = 0.

    With p = size / (size + due), d · P_size(d) = due · P_{size+1}(d − 1) at the same p, so that the
    expectation is due · P_{size+1}(D ≥ seen − 1) / P_size(D ≥ seen): the E step of censored demand
    (Dempster, Laird and Rubin 1977; Weatherford and Pölt 2002), with the mean known from elsewhere.
    """
    p = size / (size + np.maximum(due, 1e-9))
    tail, before = _at_least(seen, size, p), _at_least(seen - 1, size + 1, p)
    mean = np.divide(due * before, tail, out=seen.copy(), where=tail > 1e-12)
    mean = np.maximum(mean, seen)
    return np.asarray(np.divide(mean, seen, out=np.full(seen.shape, np.nan), where=seen > 0))


def _at_least(count: Array, size: Array, p: Array) -> Array:
    """[K] negative binomial chance of `count` or more (DLMF 8.17)."""
    least = np.floor(count)
    return np.where(least > 0, betaincc(size, np.maximum(least, 1.0), p), 1.0)


def _weeks(orders: Array, clock: Clock) -> tuple[Array, Array, Array]:
    """Median orders [n, week, day], share of silent other weeks, and spread of days as size [n]."""
    length = orders.shape[1]
    dates = np.arange(int(clock.date[length - 1]) + 1)
    table = clock.table[dates]
    table = np.where((table >= 0) & (table < length), table, length)
    weekday_of = np.zeros(len(dates), dtype=int)
    weekday_of[clock.date[:length]] = clock.weekday[:length]
    padded = np.append(orders, np.full((len(orders), 1), np.nan, dtype=orders.dtype), axis=1)
    shape = len(orders), clock.week, clock.day
    usual, silent = np.zeros(shape, dtype=np.float32), np.ones(shape, dtype=np.float32)
    ratio = np.full((len(orders), len(dates)), np.nan)
    for weekday in range(clock.week):
        mine = np.flatnonzero(weekday_of == weekday)
        weeks = padded[:, table[mine]]  # [n, W, day]
        count = np.isfinite(weeks).sum(axis=1)
        usual[:, weekday] = _median(weeks, count)
        zero = (weeks == 0).sum(axis=1)
        silent[:, weekday] = np.maximum(zero - 1, 0) / np.maximum(count - 1, 1)
        total = np.where(np.isfinite(weeks), weeks, 0).sum(axis=2)
        whole = np.isfinite(weeks).sum(axis=2) >= clock.day // 2
        middle = np.maximum(usual[:, weekday].sum(axis=1), 1e-9)
        ratio[:, mine] = np.where(whole, total / middle[:, None], np.nan)
    count = np.isfinite(ratio).sum(axis=1)
    centre = _median(ratio[:, :, None], count[:, None])
    spread = 1.4826 * _median(np.abs(ratio[:, :, None] - centre[:, None]), count[:, None])[:, 0]
    return usual, silent, 1 / np.clip(spread / np.maximum(centre[:, 0], 1e-9), 0.1, 10.0) ** 2


def _median(x: Array, count: Array) -> Array:
    """Median along the middle axis of [n, W, m] over its `count` [n, m] finite values; else 0."""
    ordered = np.sort(x, axis=1)  # NaN last
    low = np.maximum((count - 1) // 2, 0)[:, None]
    high = np.minimum(count // 2, x.shape[1] - 1)[:, None]
    both = np.take_along_axis(ordered, low, 1) + np.take_along_axis(ordered, high, 1)
    return np.asarray(np.where(count > 0, both[:, 0] / 2, 0.0))


def _around(orders: Array, clock: Clock, row: Array, at: Array) -> tuple[Array, Array]:
    """[K] median orders at that time on the days around, and the share of them that is silent."""
    away = np.array([k for k in range(-_AROUND, _AROUND + 1) if k])
    date = clock.date[at][:, None] + away
    last = int(clock.date[orders.shape[1] - 1])
    inside = (date >= 0) & (date <= last)
    bucket = clock.table[np.clip(date, 0, last), clock.slot[at][:, None]]
    inside &= (bucket >= 0) & (bucket < orders.shape[1])
    near = np.where(inside, orders[row[:, None], np.where(inside, bucket, 0)], np.nan)
    count = np.isfinite(near).sum(axis=1)
    quiet = np.maximum((near == 0).sum(axis=1), 0) / np.maximum(count, 1)
    return _median(near[:, :, None], count[:, None])[:, 0], quiet
