"""Multiplicative effects of the calendar and of announced events, learned once for a panel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from forecast.calendar_effects import DayEffects
from forecast.calendars import Clock, Days, Events
from forecast.day_shapes import day_shapes
from forecast.demand import Array, mean_units
from forecast.event_sizes import AGES, Expected, event_boost, event_shapes
from forecast.lead_lag import LeadLag, learn_lead_lag

_BUSY = (3.0, 10.0)  # orders + times its mean that a bucket counts as at most
_EVERYONE, _CATEGORY = (0.5, 3.0), (24.0, 20.0)  # strengths of what their weeks are shrunk to
_BUCKET_ORDERS = 5.0  # orders that a usual bucket counts as, in a series that counts no orders


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Factors on ordinary demand; 1 = none."""

    calendar: Array  # float32 [N, D] by product and date
    within: Array | None  # float32 [C, L] on a bucket's share of its day; None = no day has its own
    category: Array  # int [N]
    weekday: Array  # float [C, week] mean demand of a weekday against the mean day
    shape: Array  # float [C, week, day] mean demand of a time of week against the mean bucket
    event: Array  # float32 [types, ages, N]
    around: LeadLag | None  # what events do before their start and after their end
    boost: Array | None  # float32 [N, L] product of all events' factors; None = no event at all

    def factor(self, rows: Array, dates: Array, buckets: Array) -> Array:
        """float32 [n, K] all effects together, in buckets that lie on `dates`."""
        calm = self.of_day(rows, dates, buckets)
        return calm if self.boost is None else calm * self.boost[rows[:, None], buckets]

    def of_day(self, rows: Array, dates: Array, buckets: Array) -> Array:
        """float32 [n, K] the calendar's, without events."""
        calendar = self.calendar[rows[:, None], dates]
        if self.within is None:
            return calendar
        return np.asarray(calendar * self.within[self.category[rows][:, None], buckets])

    def calm(self, y: Array, rows: Array | slice = slice(None)) -> Array:
        """[n, T] history of every product, or of `rows`, freed of announced events."""
        return y if self.boost is None else y / self.boost[rows, : y.shape[1]]


def learn_effects(
    y: Array,
    *,
    clock: Clock,
    days: Days,
    events: Events,
    category: Array,
    lump: Array,
) -> Effects:
    """Effects seen in `y` [N, T]; nothing after its last bucket is used.

    Daily sums over products without an event that day give the calendar's effects
    (`calendar_effects`: all products first, then each category's difference, then each product's);
    how such days are split among their hours is looked at apart (`day_shapes`).
    The units of event buckets against what calendar, week, level and other events expect give the
    events', by hours since the start, each product's shrunk to its category's, that to all
    products', that to what events of any name of the kind do (`event_sizes`). What is left in the
    days around events is theirs as well, where it comes again (`lead_lag`).
    """
    busy = _busy(events, y.shape, clock)
    calm = y if busy is None else np.where(busy, np.nan, y).astype(np.float32)
    found = _Usual.learned(calm, clock, days, category, lump)
    order = _units(y, lump)
    event = np.ones((len(events.types), len(AGES), len(y)), dtype=np.float32)
    boost = around = None
    if busy is not None:
        beside = partial(learn_lead_lag, y, events=events, clock=clock, category=category)
        around = beside(calm, found.rate(clock, y.shape[1]), order=order)
        if around is not None:  # whose days the calendar and the week may have taken for theirs
            calm = np.where(around.touched(events)[:, : y.shape[1]], np.nan, calm)
            found = _Usual.learned(calm, clock, days, category, lump)
            around = beside(calm, found.rate(clock, y.shape[1]), order=order)
    calendar = found.days.by_product(calm, clock, days, category, order)
    told, level = _pooled(calm, category, lump, len(found.shape))
    within = day_shapes(told, level * found.rate(clock, y.shape[1]), clock, days)
    if within is not None:  # such days are in the week's shape too
        rest = calm / within[category, : y.shape[1]]
        shape = _shape(rest, clock, found.days.calendar, category, lump)
        found = found._replace(shape=shape)
        within = day_shapes(told, level * found.rate(clock, y.shape[1]), clock, days)
    if busy is not None:
        expected = Expected(calm=calm, calendar=calendar, clock=clock, category=category)
        event = event_shapes(y, expected, events, order)
        boost = event_boost(events, event, y.shape[0], len(clock.slot), clock.hours)
        if around is not None:
            boost *= around.boost(events, clock.hours)
    return Effects(
        calendar=calendar,
        within=within,
        category=category,
        weekday=found.days.weekday,
        shape=found.shape,
        event=event,
        around=around,
        boost=boost,
    )


class _Usual(NamedTuple):
    """What calendar and week do to each category's demand."""

    days: DayEffects
    shape: Array  # float [C, week, day] mean demand of a time of week against the mean bucket

    @classmethod
    def learned(cls, calm: Array, clock: Clock, days: Days, category: Array, lump: Array) -> _Usual:
        """From history outside of events."""
        found = DayEffects.learned(calm, clock, days, category)
        return cls(found, _shape(calm, clock, found.calendar, category, lump))

    def rate(self, clock: Clock, length: int) -> Array:
        """[C, length] in each bucket of the history."""
        at = np.arange(length)
        return (
            self.days.calendar[:, clock.date[at]] * self.shape[:, clock.weekday[at], clock.slot[at]]
        )


def _units(y: Array, lump: Array) -> Array:
    """[N] units that weigh as one order in an event's effect, above 0."""
    bucket = mean_units(y, np.float64) / _BUCKET_ORDERS
    return np.where(lump > 0, lump, np.maximum(bucket, 1e-9))


def _busy(events: Events, shape: tuple[int, ...], clock: Clock) -> Array | None:
    if not len(events.kind):
        return None
    busy = np.zeros(shape, dtype=bool)
    tail = round(4 / clock.hours) if np.isfinite(clock.hours) else 0
    for a, b, rows in zip(events.start, events.stop, events.rows, strict=True):
        busy[rows, max(int(a), 0) : max(int(b) + tail, 0)] = True
    return busy


def _shape(y: Array, clock: Clock, calendar: Array, category: Array, lump: Array) -> Array:
    """[C, week, day] each category's week, shrunk to everyone's where it has few orders.

    No bucket counts as more than a busy one: a bulk order is no habit.
    """
    recent = slice(max(y.shape[1] - 26 * clock.week * clock.day, 0), y.shape[1])
    at = np.arange(y.shape[1])[recent]
    told, usual = _pooled(y[:, recent], category, lump, len(calendar))
    usual *= calendar[:, clock.date[at]]
    flat = np.ones(clock.week * clock.day)
    everyone = _week(told.sum(axis=0), usual.sum(axis=0), clock, at, flat, _EVERYONE)
    shape = np.stack(
        [_week(t, u, clock, at, everyone, _CATEGORY) for t, u in zip(told, usual, strict=True)]
    ).reshape(len(calendar), clock.week, clock.day)
    return np.asarray(shape / np.maximum(shape.mean(axis=(1, 2), keepdims=True), 1e-9))


def _pooled(y: Array, category: Array, lump: Array, groups: int) -> tuple[Array, Array]:
    """[C, T] each category's units, and the sum of the levels of its products seen."""
    told = np.zeros((groups, y.shape[1]))
    usual = np.zeros_like(told)
    for g in range(groups):
        window = y[category == g]
        seen = np.isfinite(window)
        filled = np.where(seen, window, 0)
        level = filled.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        order = lump[category == g]
        most = np.where(order > 0, _BUSY[0] * order + _BUSY[1] * level, np.inf)
        filled = np.minimum(filled, most[:, None])
        told[g] = filled.sum(axis=0)
        usual[g] = np.einsum("n,nt->t", level, seen)
    return told, usual


def _week(
    told: Array, usual: Array, clock: Clock, at: Array, prior: Array, strength: tuple[float, float]
) -> Array:
    """[week × day] demand of a time of week against the usual, given in the buckets `at`.

    What `prior` expects is corrected by the hour of the day, then by the weekday, then by the time
    of week: each has fewer orders to tell from than the one before. `strength` is that of hours and
    weekdays, and of times of week, in usual buckets.
    """
    size, likely = len(prior), prior
    hour, weekday = np.tile(np.arange(clock.day), clock.week), np.arange(size) // clock.day
    place = clock.weekday[at] * clock.day + clock.slot[at]
    whole, cell = strength
    for key, few in ((hour, whole), (weekday, whole), (np.arange(size), cell)):
        ones = np.ones(int(key.max()) + 1)
        ratio = _by_place(told, usual * likely[place], key[place], len(ones), ones, few)
        likely = likely * ratio[key]
    return likely


def _by_place(
    told: Array, usual: Array, place: Array, size: int, prior: Array, strength: float
) -> Array:
    """[size] ratio of sums by place, shrunk to `prior` as `strength` usual buckets."""
    unit = strength * float(usual.mean()) if usual.any() else 1.0
    top = np.bincount(place, weights=told, minlength=size) + unit * prior
    return np.asarray(top / (np.bincount(place, weights=usual, minlength=size) + unit))
