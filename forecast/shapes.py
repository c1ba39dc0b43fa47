"""Shape of the week: a category's, a product's hours and weekdays, its own times of week."""

from __future__ import annotations

import numpy as np

from forecast.demand import Array
from forecast.features import Past, Task, same_time

_WEEKS = 10  # of the past that tell a product's own shape
_FADE = 0.96  # weight of a day against the next later one
_EVENLY = 1.55  # weeks that weigh the same and tell as much as one of fading ones
_DAYS = 5.0  # that tell as much of a shape as a week does of a time of week
_LIKELY_DAYS = 2.0  # of a weekday that weigh as much as what the category's tell
_WORKS = np.array([True] * 5 + [False] * 2)  # Monday to Friday
_LITTLE = 0.02  # of a mean bucket: quieter hours count as that
_NOISE = 0.005  # variance of a product's shape around the likely one, relative
_VARIANCE, _VARIANCES = 1 / 30, (1 / 200, 1.0)  # of a product's hours, or weekdays, around usual
_PRIOR, _FEW = 10.0, 10.0  # hours, of so many orders at least, that the usual variance counts as
_CHANCE = 1.5  # variance of a number of orders, of the expected number
_BULK = 3.0  # times one order more than usual: what a bucket beyond counts as


def ordinary(task: Task, past: Past) -> Array:
    """[n, H] expected units: level × category's share in it × shape of the week × effects.

    The shape is the product's own, shrunk to the likely one by the noise that the number of orders
    leaves in it.
    """
    own, weeks = _own_shape(task, past)
    per_bucket = past.month / np.maximum(task.lump[past.rows], 1e-9)
    noise = 1 / np.maximum(per_bucket[:, None] * weeks, 1e-9)
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
    kept = came.sum(axis=1) / np.maximum(usual.sum(axis=1), 1e-9)
    usual = usual * kept[:, None]  # bulks raise the level: without them the shape must not lower it
    hour = _ratio(came, usual, slot, clock.day)
    day = _ratio(came, usual * hour[:, slot], weekday, clock.week)
    moved = hour[:, clock.slot[ahead]] * day[:, clock.weekday[ahead]]
    return np.where(lump > 0, pooled * moved, pooled)


def _ratio(came: Array, usual: Array, key: Array, size: int) -> Array:
    """[n, size] orders over usual ones by `key` [K], shrunk to 1 (gamma–Poisson).

    How far a product's ratios lie apart is told by what chance alone would not have moved.
    """
    came, usual = (_summed(each, key, size) for each in (came, usual))
    moved = ((came - usual) ** 2 - _CHANCE * usual).sum(axis=1)
    likely = _PRIOR * np.maximum(usual.mean(axis=1), _FEW) ** 2
    variance = (moved + likely * _VARIANCE) / ((usual**2).sum(axis=1) + likely)
    strength = 1 / np.clip(variance, *_VARIANCES)[:, None]
    return np.asarray((came + strength) / (usual + strength))


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


def _own_shape(task: Task, past: Past) -> tuple[Array, Array]:
    """[n, H] shape of a product's week, NaN = an hour never seen; how many weeks it rests on.

    Hour of the day × weekday, moved towards the hours of work days and weekends, and from there to
    each time of week, as far as they lie apart by more than their noise.
    """
    clock, ahead = task.clock, task.ahead(past.origin)
    weekly, n_weeks = _week_shape(task, past)
    if past.first == past.origin:
        return weekly, n_weeks
    buckets = np.arange(max(past.first, past.origin - _WEEKS * clock.day * clock.week), past.origin)
    share = _shares(past, buckets, clock.day * clock.week // 2)
    age = clock.date[past.origin - 1] - clock.date[buckets]
    weight = np.where(np.isfinite(share), _FADE**age, 0.0)
    noise = _noise(share, clock.day * clock.week)
    share = np.nan_to_num(share)
    slot, weekday = clock.slot[buckets], clock.weekday[buckets]
    then, on = clock.slot[ahead], clock.weekday[ahead]
    usual = task.effects.weekday[task.category[past.rows]]
    day, flat = usual, np.ones((len(share), clock.day))
    for _ in range(2):
        hour = _fitted(share, weight, day[:, weekday], slot, flat, prior=0.0)
        day = _fitted(share, weight, hour[:, slot], weekday, usual, prior=_LIKELY_DAYS * clock.day)
    own, days = hour[:, then] * day[:, on], _summed(weight, slot, clock.day)[:, then]
    if clock.week == len(_WORKS):
        kind, size = np.where(_WORKS, 0, clock.day), 2 * clock.day
        key, at = slot + kind[weekday], then + kind[on]
        typed = _fitted(share, weight, day[:, weekday], key, np.tile(hour, 2), prior=0.0)
        typed = typed[:, at] * day[:, on]
        rests = _summed(weight, key, size) ** 2 / np.maximum(_summed(weight**2, key, size), 1e-9)
        own = own + _apart(typed, own, rests[:, at], noise) * (typed - own)
    settled = n_weeks / (n_weeks + 1)
    known = np.isfinite(weekly)
    moved = _apart(weekly, own, _EVENLY * n_weeks, noise) * settled * (weekly - own)
    own = np.where(days > 0, own + np.where(known, moved, 0.0), np.nan)
    return own, n_weeks + days / _DAYS


def _noise(share: Array, week: int) -> Array:
    """[n] variance of a share of its week, of the share: half of how weeks differ."""
    now, before = share[:, week:], share[:, :-week]
    both = np.isfinite(now) & np.isfinite(before)
    squares = np.where(both, (now - before) ** 2, 0.0).sum(axis=1)
    level = np.where(both, now + before, 0.0).sum(axis=1)
    return np.where(level > 0, squares / np.maximum(level, 1e-9), 1.0)


def _apart(x: Array, centre: Array, n: Array, noise: Array) -> Array:
    """[n, 1] share of the squares of x − centre [n, H] that noise in means of `n` doesn't explain.

    The positive part of James & Stein (1961).
    """
    known = np.isfinite(x) & (n > 0)
    squares = np.where(known, (x - centre) ** 2 / np.maximum(centre, _LITTLE), 0.0).sum(axis=1)
    chance = np.where(known, noise[:, None] / np.maximum(n, 1e-9), 0.0).sum(axis=1)
    return np.asarray((np.maximum(squares - chance, 0) / np.maximum(squares, 1e-12))[:, None])


def _fitted(
    share: Array, weight: Array, usual: Array, key: Array, likely: Array, *, prior: float
) -> Array:
    """[n, size] factors by `key` [K] on `usual` that fit shares [n, K] best, shrunk to `likely`."""
    size = likely.shape[1]
    told = _summed(weight * usual * share, key, size) + prior * likely
    known = _summed(weight * usual**2, key, size) + prior
    return np.where(known > 0, told / np.maximum(known, 1e-12), likely)


def _summed(x: Array, key: Array, size: int) -> Array:
    """[n, size] sums of x [n, K] by `key` [K]."""
    order = np.argsort(key, kind="stable")
    known, starts = np.unique(key[order], return_index=True)
    found = np.zeros((len(x), size))
    found[:, known] = np.add.reduceat(x[:, order], starts, axis=1)
    return found
