"""Whether past holidays and make-up workdays were like what the calendar takes them for.

A shop may go by the calendar (a holiday is a Sunday) or by the weekday: how its products and the
parts of its day shared a past day's units tells, whatever they came to.
"""

from __future__ import annotations

from math import gcd

import numpy as np

from forecast.demand import Array

_PARTS = 4  # of a day at most, told apart
_PRIOR = 6.0  # log odds for the calendar before any day was seen
_MOST = 4.0  # log odds that a single day may tell, so that none decides alone
_LEAST = 1e-3  # share of a cell below which nothing is told by a unit in it


def by_weekday(y: Array, date: Array, day: int, weekday: Array, like: Array) -> bool:
    """Whether days that the calendar takes for others were rather like their own weekday.

    Parameters
    ----------
    y
        [N, T] units; NaN = not observed.
    date
        [L] number of the day that holds a bucket, history first.
    day
        Buckets in a full day; only those count.
    weekday, like
        [L] of a bucket's day, and that whose shape the calendar gives it.
    """
    starts = np.flatnonzero(np.diff(date[: y.shape[1]], prepend=-1))
    starts = starts[np.diff(np.append(starts, y.shape[1])) == day]
    weekday, like = weekday[starts], like[starts]
    unclear, usual = weekday != like, weekday == like
    if not unclear.any() or not usual.any():
        return False
    cells = _cells(y, starts, day)
    shape, spread = _shapes(cells[usual], weekday[usual])
    came, own, taken = cells[unclear], shape[weekday[unclear]], shape[like[unclear]]
    told = (came * np.log(own / taken)).sum(axis=1) / spread
    return bool(np.clip(told, -_MOST, _MOST).sum() > _PRIOR)


def _cells(y: Array, starts: Array, day: int) -> Array:
    """[D, N × parts] units of each product and part of a day."""
    parts = gcd(_PARTS, day)
    whole = (np.maximum(y[:, start : start + day], 0) for start in starts)
    return np.stack([np.nansum(x.reshape(len(y) * parts, -1), axis=1) for x in whole]).astype(float)


def _shapes(cells: Array, weekday: Array) -> tuple[Array, float]:
    """[7, cells] each weekday's shares of its units, and their variance over a Poisson count's.

    Shares are shrunk to the mean day's as far as chance alone would part weekdays (James–Stein).
    """
    total = np.stack([cells[weekday == k].sum(axis=0) for k in range(7)])
    all_days = np.maximum(total.sum(axis=0), 1e-12)
    mean = all_days / all_days.sum()
    units = total.sum(axis=1, keepdims=True)
    share = np.where(units > 0, total / np.maximum(units, 1e-12), mean)
    expected = cells.sum(axis=1, keepdims=True)
    within = ((cells - expected * share[weekday]) ** 2 / np.maximum(expected * mean, 1e-12)).sum()
    between = (units * (share - mean) ** 2 / mean).sum()
    spread = within / max(len(cells) - 7, 1) / len(mean)
    real = max(1 - spread / max(between / 6 / len(mean), 1e-12), 0.0)
    shape = np.maximum(mean + real * (share - mean), _LEAST * mean.mean())
    return shape / shape.sum(axis=1, keepdims=True), max(float(spread), 1.0)
