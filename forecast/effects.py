"""Multiplicative effects of the calendar and of announced events, learned once for a panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forecast.almanac import UNLIKELY
from forecast.calendars import Clock, Days, Events
from forecast.demand import Array
from forecast.event_sizes import AGES, Expected, event_boost, event_shapes
from forecast.lead_lag import LeadLag, learn_lead_lag
from forecast.sparse import sparse_effects

_TREND_DAYS = 21
_BUSY = (3.0, 10.0)  # orders + times its mean that a bucket counts as at most
_EVERYONE, _CATEGORY = (0.5, 3.0), (24.0, 20.0)  # strengths of what their weeks are shrunk to
_BUCKET_ORDERS = 5.0  # orders that a usual bucket counts as, in a series that counts no orders


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Factors on ordinary demand; 1 = none."""

    calendar: Array  # float [C, D] by category and date
    weekday: Array  # float [C, week] mean demand of a weekday against the mean day
    shape: Array  # float [C, week, day] mean demand of a time of week against the mean bucket
    event: Array  # float32 [types, ages, N]
    around: LeadLag | None  # what events do before their start and after their end
    boost: Array | None  # float32 [N, L] product of all events' factors; None = no event at all

    def factor(self, category: Array, rows: Array, dates: Array, buckets: Array) -> Array:
        """float32 [n, K] all effects together, in buckets that lie on `dates`."""
        calm = self.calendar[:, dates].astype(np.float32)[category[rows]]
        return calm if self.boost is None else calm * self.boost[rows[:, None], buckets]

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

    Categories' daily sums over products without an event that day, against a running median, give
    the calendar's effects (`sparse_effects`: all products first, then each category's difference).
    The units of event buckets against what calendar, week, level and other events expect give the
    events', by hours since the start, each product's shrunk to its category's, that to all
    products', that to what events of any name of the kind do (`event_sizes`). What is left in the
    days around events is theirs as well, where it comes again (`lead_lag`).
    """
    busy = _busy(events, y.shape, clock)
    calm = y if busy is None else np.where(busy, np.nan, y).astype(np.float32)
    found = _Usual.learned(calm, clock, days, category, lump)
    event = np.ones((len(events.types), len(AGES), len(y)), dtype=np.float32)
    boost = around = None
    if busy is not None:
        order = _units(y, lump)
        around = _around(y, calm, found, events, order)
        if around is not None:  # whose days the calendar and the week may have taken for theirs
            calm = np.where(around.touched(events)[:, : y.shape[1]], np.nan, calm)
            found = _Usual.learned(calm, clock, days, category, lump)
            around = _around(y, calm, found, events, order)
        expected = Expected(calm=calm, calendar=found.calendar, clock=clock, category=category)
        event = event_shapes(y, expected, events, order)
        boost = event_boost(events, event, y.shape[0], len(clock.slot), clock.hours)
        if around is not None:
            boost *= around.boost(events, clock.hours)
    return Effects(
        calendar=found.calendar,
        weekday=found.weekday,
        shape=found.shape,
        event=event,
        around=around,
        boost=boost,
    )


class _Usual(NamedTuple):
    """What calendar and week do, see `Effects`."""

    calendar: Array
    weekday: Array
    shape: Array
    clock: Clock
    category: Array

    @classmethod
    def learned(cls, calm: Array, clock: Clock, days: Days, category: Array, lump: Array) -> _Usual:
        """From history outside of events."""
        calendar, weekday = _calendar(calm, clock, days, category)
        shape = _shape(calm, clock, calendar, category, lump)
        return cls(calendar, weekday, shape, clock, category)


def _around(y: Array, calm: Array, usual: _Usual, events: Events, order: Array) -> LeadLag | None:
    clock, at = usual.clock, np.arange(y.shape[1])
    rate = usual.calendar[:, clock.date[at]] * usual.shape[:, clock.weekday[at], clock.slot[at]]
    return learn_lead_lag(
        y, calm, rate, events=events, clock=clock, category=usual.category, order=order
    )


def _units(y: Array, lump: Array) -> Array:
    """[N] units that weigh as one order in an event's effect, above 0."""
    seen = np.isfinite(y)
    total = np.where(seen, y, 0).sum(axis=1, dtype=np.float64)
    bucket = total / np.maximum(seen.sum(axis=1), 1) / _BUCKET_ORDERS
    return np.where(lump > 0, lump, np.maximum(bucket, 1e-9))


def _busy(events: Events, shape: tuple[int, ...], clock: Clock) -> Array | None:
    if not len(events.kind):
        return None
    busy = np.zeros(shape, dtype=bool)
    tail = round(4 / clock.hours) if np.isfinite(clock.hours) else 0
    for a, b, rows in zip(events.start, events.stop, events.rows, strict=True):
        busy[rows, max(int(a), 0) : max(int(b) + tail, 0)] = True
    return busy


def _whole_days(y: Array, clock: Clock) -> Array:
    """[N, T] -> [N, D] sums of wholly observed days of the usual length, NaN for the others.

    Stricter than `shifts` is, which scales up what it saw of a day: an effect of a few per cent
    is looked for here.
    """
    starts, length = clock.days(y.shape[1])
    total = np.add.reduceat(y.astype(np.float32), starts, axis=1)
    whole = np.full((len(y), int(clock.date[-1]) + 1), np.nan, dtype=np.float32)
    full = length == clock.day  # a local day of 23 or 25 hours has another sum
    whole[:, clock.date[starts[full]]] = total[:, full]
    return whole


def _calendar(y: Array, clock: Clock, days: Days, category: Array) -> tuple[Array, Array]:
    n_dates = int(clock.date[-1]) + 1
    n_groups = int(category.max()) + 1 if len(category) else 1
    weekday_of = np.zeros(n_dates, dtype=int)
    weekday_of[clock.date] = clock.weekday
    daily = _whole_days(y, clock)
    seen = np.isfinite(daily)
    level = np.where(seen, daily, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    ordinary = ~days.breaks[:n_dates]
    pooled = _relative(daily, level, np.zeros(len(y), dtype=int), 1, ordinary)
    share_all = _weekday_share(pooled, weekday_of, clock.week, np.ones((1, clock.week)))
    grouped = _relative(daily, level, category, n_groups, ordinary)
    share = _weekday_share(grouped, weekday_of, clock.week, share_all)
    effect = np.zeros((n_groups, n_dates))
    if days.basis.shape[1]:
        common = _day_effects(pooled / share_all[:, weekday_of], days)
        left = grouped / share[:, weekday_of] / np.exp(common)
        effect = common + _day_effects(left, days, part=0.5)
    return np.exp(np.clip(effect, -2.0, 2.0)), share


def _shape(y: Array, clock: Clock, calendar: Array, category: Array, lump: Array) -> Array:
    """[C, week, day] each category's week, shrunk to everyone's where it has few orders.

    No bucket counts as more than a busy one: a bulk order is no habit.
    """
    recent = slice(max(y.shape[1] - 26 * clock.week * clock.day, 0), y.shape[1])
    at = np.arange(y.shape[1])[recent]
    told = np.zeros((len(calendar), len(at)))
    usual = np.zeros_like(told)
    for g in range(len(calendar)):
        window = y[category == g][:, recent]
        seen = np.isfinite(window)
        filled = np.where(seen, window, 0)
        level = filled.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        order = lump[category == g]
        most = np.where(order > 0, _BUSY[0] * order + _BUSY[1] * level, np.inf)
        filled = np.minimum(filled, most[:, None])
        told[g] = filled.sum(axis=0)
        usual[g] = np.einsum("n,nt->t", level, seen) * calendar[g, clock.date[at]]
    flat = np.ones(clock.week * clock.day)
    everyone = _week(told.sum(axis=0), usual.sum(axis=0), clock, at, flat, _EVERYONE)
    shape = np.stack(
        [_week(t, u, clock, at, everyone, _CATEGORY) for t, u in zip(told, usual, strict=True)]
    ).reshape(len(calendar), clock.week, clock.day)
    return np.asarray(shape / np.maximum(shape.mean(axis=(1, 2), keepdims=True), 1e-9))


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


def _relative(daily: Array, level: Array, group: Array, n_groups: int, ordinary: Array) -> Array:
    """[C, D] demand of each group's observed products against their usual demand and its trend.

    The trend is that of `ordinary` days [D]: at the end of a history a long break would be it.
    """
    seen = np.isfinite(daily)
    told = np.zeros((n_groups, daily.shape[1]))
    usual = np.zeros_like(told)
    for g in range(n_groups):
        mine = group == g
        told[g] = np.where(seen[mine], daily[mine], 0).sum(axis=0)
        usual[g] = (seen[mine] * level[mine, None]).sum(axis=0)
    ratio = np.divide(told, usual, out=np.full_like(told, np.nan), where=usual > 0)
    trend = _running_median(np.where(ordinary, ratio, np.nan), _TREND_DAYS)
    return np.divide(ratio, trend, out=np.full_like(ratio, np.nan), where=trend > 0)


def _running_median(x: Array, width: int) -> Array:
    """[C, D] median of the observed among the `width` days around; fewer at the ends."""
    half = width // 2
    padded = np.pad(x, ((0, 0), (half, half)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1)
    some = np.isfinite(windows).any(axis=2)
    filled = np.where(some[..., None], windows, 0.0)
    return np.where(some, np.nanmedian(filled, axis=2), np.nan)


def _weekday_share(relative: Array, weekday: Array, week: int, prior: Array) -> Array:
    """[C, week] mean of each weekday, shrunk to `prior` as two days of evidence, mean 1."""
    share: Array = np.repeat(np.asarray(prior, dtype=float), len(relative) // len(prior), axis=0)
    for k in range(week):
        some = relative[:, weekday == k]
        seen = np.isfinite(some)
        count = seen.sum(axis=1)
        filled = np.where((count > 0)[:, None], some, 0.0)
        middle = np.zeros(len(some))
        if filled.shape[1]:
            middle = np.asarray(np.nanmedian(filled, axis=1))
        share[:, k] = (count * middle + 2 * share[:, k]) / (count + 2)
    share = np.maximum(share, 0.02)
    return np.asarray(share / share.mean(axis=1, keepdims=True))


def _day_effects(ratio: Array, days: Days, part: float = 1.0) -> Array:
    """[C, D] ratios -> [C, D] logarithm of the calendar's effects, also for future days.

    `part` of the effects' usual size is expected. What seldom matters must have been seen twice: a
    day of the month that came once may as well be the first of a new level.
    """
    told = np.log(np.clip(np.where(ratio > 0, ratio, np.nan), 0.05, 20.0))
    times = days.basis[np.isfinite(told).any(axis=0)].sum(axis=0)
    habit = (times >= 2) | (days.chance > UNLIKELY)
    found = np.zeros((len(told), len(habit)))
    slab, chance = part * days.size[habit], days.chance[habit]
    found[:, habit] = sparse_effects(told, days.basis[:, habit], slab, chance)
    return settled(np.einsum("cp,dp->cd", found, days.basis))


def settled(x: Array) -> Array:
    """Fitted numbers without the last digits, which differ between processors' linear algebra.

    Trees would turn such a difference into another forecast.
    """
    return np.asarray(np.round(x, 6))
