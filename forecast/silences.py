"""Weeks in which a product was not on sale: silent between two times in which it sold daily."""

from __future__ import annotations

import numpy as np

from forecast.demand import Array, Panel
from forecast.runs import runs

LEAST_DAYS = 21  # a shorter silence may be demand's own
_AROUND = 56  # days before and after that tell on how many days it sells
_KNOWN = 14  # of them that must have been observed before
_ORDERS = 3  # after a silence that make a product back
_MISSED = 12.0  # days with an order that a silence must have swallowed
_CHUNK = 1_000


def silences(panel: Panel) -> Array:
    """bool [N, T]: whole days of a relaunched product's silence.

    A run of at least `LEAST_DAYS` observed days without an order, after which the product sold
    again, that should have had 12 days with an order by the share of such days before it and by
    that after it. Days with an order, not orders: a few large buyers make no product daily.
    """
    silent = np.zeros(panel.y.shape, dtype=bool)
    day = panel.per_day
    if panel.orders is None or day is None:
        return silent
    first = panel.y.shape[1] % day
    for start in range(0, len(panel.y), _CHUNK):
        rows = slice(start, start + _CHUNK)
        shape = (len(panel.y[rows]), -1, day)
        seen = np.isfinite(panel.y[rows, first:]).reshape(shape)
        orders = np.where(seen, panel.orders[rows, first:].reshape(shape), 0).sum(axis=2)
        quiet = _quiet(orders, np.asarray(seen.any(axis=2)))
        silent[rows, first:] = np.repeat(quiet, day, axis=1)
    return silent


def _quiet(orders: Array, seen: Array) -> Array:
    """[n, D] orders of each day -> bool [n, D]."""
    n, days = orders.shape
    sold = orders > 0
    row, start, stop = runs(~sold)
    total = {"seen": _sums(seen), "sold": _sums(sold & seen), "orders": _sums(orders)}

    def within(what: str, a: Array, b: Array) -> Array:
        return np.asarray(total[what][row, b] - total[what][row, a])

    low, high = np.maximum(start - _AROUND, 0), np.minimum(stop + _AROUND, days)
    length = within("seen", start, stop)
    before = within("sold", low, start) / np.maximum(within("seen", low, start), 1)
    after = within("sold", stop, high) / np.maximum(within("seen", stop, high), 1)
    real = (length >= LEAST_DAYS) & (within("seen", low, start) >= _KNOWN)
    real &= (within("orders", stop, high) >= _ORDERS) & (stop < days)
    real &= np.minimum(before, after) * length >= _MISSED
    step = np.zeros((n, days + 1), dtype=np.int32)
    np.add.at(step, (row[real], start[real]), 1)
    np.add.at(step, (row[real], stop[real]), -1)
    return np.cumsum(step, axis=1)[:, :days] > 0


def _sums(x: Array) -> Array:
    return np.pad(np.cumsum(x, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
