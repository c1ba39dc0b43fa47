"""Factors of announced events on ordinary demand, by hours since their start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forecast.calendars import Clock, Events
from forecast.demand import Array

AGES = np.array([0, 1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72])  # hours since an event's start
_BORROW = 5.0  # strength of the category's effect against a product's own
_NOISE = 0.1  # variance of an event's size, so that one event never counts as many
_SWEEPS = 12  # over events that overlap
_LEAST, _MOST = 0.05, 30.0  # factors


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What calendar, week and level alone let expect, fitted where no event was."""

    calm: Array  # [N, T] history, NaN during events
    calendar: Array  # [N, D] factors by product and date
    clock: Clock
    category: Array  # int [N]

    def units(self, rows: Array, a: int, b: int) -> Array:
        """[n, b − a] for buckets before the last observed one."""
        around = slice(max(a - 21 * self.clock.day, 0), b + 7 * self.clock.day)
        window = self.calm[rows, around]
        at = np.arange(self.calm.shape[1])[around]
        calendar = self.calendar[rows]
        flat = window / calendar[:, self.clock.date[at]]
        weekend = self.clock.weekday[at] >= 5
        mean = np.zeros((len(rows), b - a))
        slot, off = self.clock.slot[a:b], self.clock.weekday[a:b] >= 5
        for i in range(b - a):
            near = np.abs(self.clock.slot[at] - slot[i])
            near = np.minimum(near, self.clock.day - near) <= 1
            mean[:, i] = _seen_mean(flat[:, near & (weekend == off[i])])
        return np.asarray(mean * calendar[:, self.clock.date[a:b]])


def _seen_mean(x: Array) -> Array:
    seen = np.isfinite(x)
    return np.asarray(
        np.divide(
            np.where(seen, x, 0).sum(axis=1),
            seen.sum(axis=1),
            out=np.full(len(x), np.nan),
            where=seen.any(axis=1),
        )
    )


class _Past(NamedTuple):
    """One event as far as it has been observed, in buckets a … b."""

    type: int
    rows: Array  # [n] products concerned
    a: int
    b: int
    cover: Array  # [b − a] share of each bucket that it covers
    age: Array  # int [b − a]
    usual: Array  # [n, b − a] orders expected without any event, 0 where nothing was observed
    came: Array  # [n, b − a] orders


def event_shapes(y: Array, expected: Expected, events: Events, order: Array) -> Array:
    """[types, ages, N] factors by hours since the start, those of events that overlap jointly.

    What came against what was to be expected, with the other events' factors in it; in turn, as
    in iterative scaling (Darroch & Ratcliff 1972): where m events meet, each takes the m-th root.

    Parameters
    ----------
    order
        [N] units that weigh as one order, above 0.
    """
    past = _observed(y, expected, events, order)
    crowd = _crowd(past, y.shape, len(events.types))
    shapes = np.ones((len(events.types), len(AGES), len(y)), dtype=np.float32)
    for _ in range(_SWEEPS if crowd.max(initial=1) > 1 else 1):
        told, usual = _sums(past, shapes, y.shape)
        for kind in range(len(events.kinds)):
            mine = np.flatnonzero(events.kind_of == kind)
            ones = np.ones(len(AGES))
            prior = _along(told[mine].sum(axis=(0, 2)), usual[mine].sum(axis=(0, 2)), ones)
            for k in mine:
                alone = _shrunk(told[k], usual[k], prior, expected.category)
                share = 1 / crowd[k][:, None]
                shapes[k] = shapes[k] ** (1 - share) * alone**share
    return shapes


def _observed(y: Array, expected: Expected, events: Events, order: Array) -> list[_Past]:
    found = []
    for e, kind in enumerate(events.type):
        rows = events.rows[e]
        a, b = max(int(events.start[e]), 0), min(int(events.stop[e]), y.shape[1])
        if a >= b:
            continue
        at = np.arange(a, b)
        units = expected.units(rows, a, b)
        seen = np.isfinite(y[rows, a:b]) & np.isfinite(units)
        found.append(
            _Past(
                type=int(kind),
                rows=rows,
                a=a,
                b=b,
                cover=events.covered(e, at),
                age=_age(events.middle(e, at, expected.clock.hours)),
                usual=np.where(seen, units, 0) / order[rows, None],
                came=np.where(seen, y[rows, a:b], 0) / order[rows, None],
            )
        )
    return found


def _crowd(past: list[_Past], shape: tuple[int, ...], types: int) -> Array:
    """[types, ages] the most events that ever met at that age, itself included."""
    count = np.zeros(shape, dtype=np.int16)
    for each in past:
        count[each.rows, each.a : each.b] += 1
    crowd = np.ones((types, len(AGES)))
    for each in past:
        most = count[each.rows, each.a : each.b].max(axis=0, initial=1)
        np.maximum.at(crowd[each.type], each.age, most)
    return crowd


def _sums(past: list[_Past], shapes: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """[types, ages, N] orders that came, and those that all other events let expect."""
    factors = [_factors(shapes[each.type], each.age, each.rows, each.cover) for each in past]
    boost = np.ones(shape, dtype=np.float32)
    for each, factor in zip(past, factors, strict=True):
        boost[each.rows, each.a : each.b] *= factor
    told, usual = np.zeros(shapes.shape), np.zeros(shapes.shape)
    for each, factor in zip(past, factors, strict=True):
        others = each.usual * (boost[each.rows, each.a : each.b] / factor)
        ages, first = np.unique(each.age, return_index=True)
        # less what came before the start or after the end
        x = np.add.reduceat(each.came - others * (1 - each.cover), first, axis=1)
        m = np.add.reduceat(others * each.cover, first, axis=1)
        where = np.ix_(ages, each.rows)
        told[each.type][where] += (x / (1 + m * _NOISE)).T
        usual[each.type][where] += (m / (1 + m * _NOISE)).T
    return told, usual


def _along(told: Array, usual: Array, prior: Array) -> Array:
    """[ages, ...] ratios shrunk to the prior as moved by what the age before differed from it.

    So an event that lasts longer than any before goes on as it was last seen.
    """
    found = np.empty(np.broadcast_shapes(told.shape, prior.shape))
    moved = np.ones(found.shape[1:])
    for k in range(len(found)):
        found[k] = (told[k] + _BORROW * prior[k] * moved) / (usual[k] + _BORROW)
        moved = np.clip(found[k], _LEAST, _MOST) / np.clip(prior[k], _LEAST, _MOST)
    return found


def _shrunk(told: Array, usual: Array, prior: Array, category: Array) -> Array:
    """Ratios of each product, toward its category's, toward everyone's, toward the kind's."""
    everyone = _along(told.sum(axis=1), usual.sum(axis=1), prior)
    shape = np.empty_like(told)
    for g in range(int(category.max()) + 1):
        mine = category == g
        pooled = _along(told[:, mine].sum(axis=1), usual[:, mine].sum(axis=1), everyone)
        shape[:, mine] = _along(told[:, mine], usual[:, mine], pooled[:, None])
    return np.asarray(np.clip(shape, _LEAST, _MOST), dtype=np.float32)


def _age(hours: Array) -> Array:
    return np.searchsorted(AGES, hours, side="right") - 1


def event_factors(events: Events, shape: Array, e: int, at: Array, width: float) -> Array:
    """[n, K] factors of one event for the products it concerns, in buckets that it touches.

    `shape` is what `event_shapes` found; `width` hours is a bucket's length.
    """
    age = _age(events.middle(e, at, width))
    return _factors(shape[events.type[e]], age, events.rows[e], events.covered(e, at))


def _factors(shape: Array, age: Array, rows: Array, cover: Array) -> Array:
    """[n, K] of one type's [ages, N]."""
    part = cover.astype(np.float32)[:, None]
    return np.asarray((1 + part * (shape[age][:, rows] - 1)).T)


def event_boost(events: Events, shape: Array, n: int, length: int, width: float) -> Array:
    """float32 [n, length] product of the factors of all events."""
    boost = np.ones((n, length), dtype=np.float32)
    for e, rows in enumerate(events.rows):
        at = np.arange(max(int(events.start[e]), 0), min(int(events.stop[e]), length))
        if len(at):
            boost[np.ix_(rows, at)] *= event_factors(events, shape, e, at, width)
    return boost
