"""A past for new products, from the product they resemble or their category."""

from __future__ import annotations

import numpy as np

from forecast.calendars import Clock
from forecast.demand import Array
from forecast.effects import Effects

NEW_DAYS = 14  # a product on sale for less borrows from others
_MOST_DONORS = 300
_OWN_ORDERS = 10.0  # orders that weigh as much as the donor's level


def borrow(
    y: Array,
    ids: Array,
    clock: Clock,
    effects: Effects,
    category: Array,
    similar: Array,
    launch: Array,
    lump: Array,
) -> tuple[Array, Array]:
    """Give new products the past of the one they resemble, or of their category's middle.

    The past is scaled by the ratio of the two in the days that they share, shrunk to 1.
    """
    n, length = y.shape
    borrowed = np.full(n, "", dtype=object)
    new = np.flatnonzero((length - launch) < NEW_DAYS * clock.day)
    new = new[(launch[new] > 0)]
    if not len(new):
        return y, borrowed
    y = y.copy()
    old = np.setdiff1d(np.arange(n), new)
    dates, buckets = clock.date[:length], np.arange(length)
    pooled: dict[int, Array] = {}
    for row in new:
        donor, group = int(similar[row]), int(category[row])
        alike = old[category[old] == group]
        donors, told = (alike, "category") if len(alike) else (old, "all")
        if donor >= 0 and donor not in new:
            donors, told = np.array([donor]), str(ids[donor])
        if not len(donors):
            continue
        if told in ("category", "all") and group not in pooled:
            pooled[group] = _middle(y, donors[:_MOST_DONORS], effects, category, clock)
        middle = (
            pooled[group]
            if told in ("category", "all")
            else _middle(y, donors, effects, category, clock)
        )
        borrowed[row] = f"borrowed:{told}"
        middle = middle * effects.factor(category, np.array([row]), dates, buckets)[0]
        start = min(int(launch[row]), length)
        y[row, :start] = (middle * _ratio(y[row, start:], middle[start:], lump[row]))[:start]
    return y, borrowed


def _ratio(own: Array, other: Array, lump: float) -> float:
    """Own level against the donor's where both were seen, shrunk to 1."""
    both = np.isfinite(own) & np.isfinite(other)
    unit = lump or 1.0
    mine, theirs = own[both].sum() / unit, other[both].sum() / unit
    return float((mine + _OWN_ORDERS) / (theirs + _OWN_ORDERS))


def _middle(y: Array, donors: Array, effects: Effects, category: Array, clock: Clock) -> Array:
    """[T] mean shape of the donors' pasts, free of effects, at their median level."""
    buckets = np.arange(y.shape[1])
    past = y[donors] / effects.factor(category, donors, clock.date[buckets], buckets)
    if len(past) == 1:
        return np.asarray(past[0], dtype=np.float64)
    seen = np.isfinite(past)
    count = seen.sum(axis=0)
    total = np.where(seen, past, 0).sum(axis=0, dtype=np.float64)
    level = np.where(seen, past, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    mean = np.divide(total, count, out=np.full(past.shape[1], np.nan), where=count > 0)
    return np.asarray(mean * float(np.median(level)) / max(float(level.mean()), 1e-12))
