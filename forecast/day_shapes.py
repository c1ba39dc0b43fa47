"""What kinds of days do within the day: top-ups at midnight of the first, evenings of pay days."""

from __future__ import annotations

import numpy as np

from forecast.calendars import Clock, Days
from forecast.demand import Array

_HOURS = 24  # parts of a day
_TIMES = 3  # that a kind of day has come, to look at its hours
_CLEAR = 5.0  # times its chance value that a kind's statistic must have
_APART = 2.0  # the same, for a category to differ from everyone's
_OWN = 2.0  # standard deviations that an hour must lie off to differ from the day's others
_RARE = 0.2  # share of days that a kind covers at most: the week's shape is a habit of the rest
_LEAST = 0.5  # standard deviation of an hour's growth; that of Poisson counts is 1
_MOST = 20.0  # times the usual share of the day


def day_shapes(told: Array, usual: Array, clock: Clock, days: Days) -> Array | None:
    """float32 [C, L] factor on each bucket's share of its day; None where no kind of day has one.

    `told` and `usual` [C, T] are categories' units, and those that level and week expect, over the
    same observed products. Only the split of a day among its hours is looked at: how much comes on
    it is the calendar's. Everyone's first, then what categories differ by. An hour's growth is
    taken as twice the root's (Anscombe 1948), its median over the days of a kind against that of
    ordinary days; a kind counts when its hours' squared deviations sum to several times what
    chance would give. Of several kinds on one day the clearest tells its shape.
    """
    if clock.day % _HOURS or not days.basis.shape[1] or not told.shape[1]:
        return None
    y, expected = _by_hour(told, clock), _by_hour(usual, clock)
    seen = expected.sum(axis=(0, 2)) > 0
    rare = days.basis[: len(seen)][seen].sum(axis=0) < _RARE * len(seen)
    some = np.flatnonzero(rare & (days.occasions(seen) >= _TIMES))
    if not len(some):
        return None
    scale = y.sum(axis=2, keepdims=True) / np.maximum(expected.sum(axis=2, keepdims=True), 1e-9)
    expected *= scale
    on = days.basis.T[some] > 0
    kinds, least = on[:, : len(seen)], np.full(len(some), _CLEAR)
    shared, clear = _profiles(y.sum(axis=0)[None], expected.sum(axis=0)[None], kinds, least)
    everyone = _by_day(shared, clear, on)
    expected *= everyone[:, : len(seen)]
    own, apart = _profiles(y, expected, kinds, np.where(clear[0] > 0, _APART, least))
    factor = everyone * _by_day(own, apart, on)
    if not (factor != 1).any():
        return None
    return factor[:, clock.date, clock.slot * _HOURS // clock.day].astype(np.float32)


def _by_hour(x: Array, clock: Clock) -> Array:
    """[C, T] -> [C, D, 24] sums."""
    at = np.arange(x.shape[1])
    cell = clock.date[at] * _HOURS + clock.slot[at] * _HOURS // clock.day
    size = (int(clock.date[at[-1]]) + 1) * _HOURS
    return np.stack([np.bincount(cell, row, size) for row in x]).reshape(len(x), -1, _HOURS)


def _by_day(factor: Array, clear: Array, on: Array) -> Array:
    """[G, D, 24] of each day the factors of its clearest kind; `on` [K, D]."""
    seen = np.where(on, clear[..., None], 0.0)
    kind = seen.argmax(axis=1)
    found = np.take_along_axis(factor, kind[..., None], axis=1)
    return np.asarray(np.where(seen.max(axis=1)[..., None] > 0, found, 1.0))


def _profiles(y: Array, expected: Array, kinds: Array, least: Array) -> tuple[Array, Array]:
    """([G, K, 24] factors, 1 where nothing is clear; [G, K] how clear a kind's are, 0 = not).

    `least` [K] is how many times its chance value a kind's statistic must exceed.
    """
    growth = 2 * (np.sqrt(y + 0.375) - np.sqrt(expected + 0.375))
    growth = np.where(expected.sum(axis=2, keepdims=True) > 0, growth, 0.0)
    factor = np.ones((len(y), len(kinds), _HOURS))
    clear = np.zeros((len(y), len(kinds)))
    for k, mine in enumerate(kinds):
        noise = np.maximum(np.std(growth[:, ~mine], axis=1), _LEAST)
        off = np.median(growth[:, mine], axis=1) - np.median(growth[:, ~mine], axis=1)
        z = off / noise * np.sqrt(mine.sum() / 1.57)  # a median's variance is π/2 times a mean's
        statistic = (z**2).sum(axis=1)
        usual = expected[:, mine].mean(axis=1)
        kept = np.maximum(1 - (_OWN / np.maximum(np.abs(z), 1e-9)) ** 2, 0.0)
        root = np.maximum(np.sqrt(usual + 0.375) + kept * off / 2, 0.0)
        found = np.clip(root**2 / (usual + 0.375), 1 / _MOST, _MOST)
        total = (found * usual).sum(axis=1) / np.maximum(usual.sum(axis=1), 1e-9)
        found = found / np.maximum(total, 1e-9)[:, None]
        good = statistic > least[k] * _HOURS
        factor[good, k] = found[good]
        clear[:, k] = np.where(good, statistic, 0.0)
    return factor, clear
