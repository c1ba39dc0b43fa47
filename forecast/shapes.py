"""Shape of the week: a category's, a product's hours and weekdays, its own times of week."""

from __future__ import annotations

import numpy as np

from forecast.demand import Array
from forecast.features import Past, Task, same_time

_WEEKS = 10
_DAYS = 14
_NOISE = 0.005  # variance of a product's shape around the likely one, relative
_VARIANCE, _VARIANCES = 1 / 30, (1 / 200, 1.0)  # of a product's hours, or weekdays, around usual
_PRIOR, _FEW = 10.0, 10.0  # hours, of so many orders at least, that the usual variance counts as
_CHANCE = 1.5  # variance of a number of orders, of the expected number
_BULK = 3.0  # times one order more than usual: what a bucket beyond counts as


def ordinary(task: Task, past: Past) -> Array:
    """[n, H] expected units: level × category's share in it × shape of the week × effects.

    The shape is each time of week's share of its week, a weighted mean over past weeks, mixed with
    the time of day's over the last two weeks × the category's weekday share, both shrunk to the
    likely shape by the noise that the number of orders leaves in them.
    """
    weekly, n_weeks = _week_shape(task, past)
    daily, n_days = _day_shape(task, past)
    trust = n_weeks / (n_weeks + 2.0)
    own = np.where(np.isfinite(weekly), trust * weekly + (1 - trust) * daily, daily)
    own = np.where(np.isfinite(daily), own, weekly)
    per_bucket = past.month / np.maximum(task.lump[past.rows], 1e-9)
    noise = 1 / np.maximum(per_bucket[:, None] * (n_weeks + 0.5 * n_days), 1e-9)
    mine = np.where(np.isfinite(own), _NOISE / (_NOISE + noise), 0.0)
    shape = mine * np.nan_to_num(own) + (1 - mine) * _likely_shape(task, past)
    return np.asarray(past.level[:, None] * past.shared * shape * past.effect)


def pooled_shape(task: Task, past: Past) -> Array:
    """[n, H] share of a category's mean bucket that each bucket of the horizon has."""
    ahead = task.ahead(past.origin)
    shape = task.effects.shape[task.category[past.rows]]
    return np.asarray(shape[:, task.clock.weekday[ahead], task.clock.slot[ahead]])


def _likely_shape(task: Task, past: Past) -> Array:
    """[n, H] the category's, moved by what a product's hours of the day and its weekdays tell.

    A product has many orders at an hour of the day before it has some at each time of the week.
    """
    pooled = pooled_shape(task, past)
    clock, lump = task.clock, task.lump[past.rows, None]
    if not lump.any() or past.first == past.origin:
        return pooled
    buckets, ahead = np.arange(past.first, past.origin), task.ahead(past.origin)
    slot, weekday = clock.slot[buckets], clock.weekday[buckets]
    week = task.effects.shape[task.category[past.rows]][:, weekday, slot]
    mean = past.week_at(np.minimum(buckets + clock.day * clock.week // 2, past.origin))
    seen, order = np.isfinite(past.flat), np.maximum(lump, 1e-9)
    usual = np.where(seen, mean * week / order, 0.0)
    came = np.where(seen, past.flat, 0.0) / order
    day = _ratio(came, usual, weekday, clock.week)  # else a weekend product's weekend is a bulk
    came = np.minimum(came, _BULK * (1 + usual * day[:, weekday]))
    hour = _ratio(came, usual, slot, clock.day)
    day = _ratio(came, usual * hour[:, slot], weekday, clock.week)
    moved = hour[:, clock.slot[ahead]] * day[:, clock.weekday[ahead]]
    return np.where(lump > 0, pooled * moved, pooled)


def _ratio(came: Array, usual: Array, key: Array, size: int) -> Array:
    """[n, size] orders over usual ones by `key` [K], shrunk to 1 (gamma–Poisson).

    How far a product's ratios lie apart is told by what chance alone would not have moved.
    """
    order = np.argsort(key, kind="stable")
    known, starts = np.unique(key[order], return_index=True)
    came, usual = (np.add.reduceat(each[:, order], starts, axis=1) for each in (came, usual))
    moved = ((came - usual) ** 2 - _CHANCE * usual).sum(axis=1)
    likely = _PRIOR * np.maximum(usual.mean(axis=1), _FEW) ** 2
    variance = (moved + likely * _VARIANCE) / ((usual**2).sum(axis=1) + likely)
    strength = 1 / np.clip(variance, *_VARIANCES)[:, None]
    found = np.ones((len(came), size))
    found[:, known] = (came + strength) / (usual + strength)
    return found


def _shares(past: Past, at: Array, half: int) -> Array:
    """[n, ...] units of a bucket against the mean of the week around it."""
    value = past.at(at)
    mean = past.week_at(np.minimum(at + half, past.origin))
    return np.where(mean > 0, value / np.where(mean > 0, mean, 1), np.nan)


def _week_shape(task: Task, past: Past) -> tuple[Array, Array]:
    clock, ahead = task.clock, task.ahead(past.origin)
    half = clock.day * clock.week // 2
    size = np.zeros((len(past.rows), task.horizon))
    weight = np.zeros_like(size)
    for k in range(_WEEKS):
        at = same_time(clock, ahead, past.origin, k + 1, weekly=True)
        if (at < past.first).all():
            break
        share = _shares(past, at, half)
        seen = np.isfinite(share)
        size += np.where(seen, 0.85**k * share, 0)
        weight += 0.85**k * seen
    return np.divide(size, weight, out=np.full_like(size, np.nan), where=weight > 0), weight


def _day_shape(task: Task, past: Past) -> tuple[Array, Array]:
    clock, ahead = task.clock, task.ahead(past.origin)
    half = clock.day * clock.week // 2
    share = task.effects.weekday[task.category[past.rows]]
    size = np.zeros((len(past.rows), task.horizon))
    weight = np.zeros_like(size)
    for k in range(_DAYS):
        at = same_time(clock, ahead, past.origin, k + 1)
        value = _shares(past, at, half) / share[:, clock.weekday[at]]
        seen = np.isfinite(value)
        size += np.where(seen, 0.95**k * value, 0)
        weight += 0.95**k * seen
    mean = np.divide(size, weight, out=np.full_like(size, np.nan), where=weight > 0)
    return mean * share[:, clock.weekday[ahead]], weight
