"""Multiplicative effects of the calendar and of announced events, learned once for a panel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.almanac import UNLIKELY
from forecast.calendars import Clock, Days, Events
from forecast.demand import Array
from forecast.sparse import sparse_effects

AGES = np.array([0, 1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72])  # hours since an event's start
_BORROW = 5.0  # strength of the category's effect against a product's own
_EVENT_NOISE = 0.1  # variance of an event's size, so that one event never counts as many
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
    boost: Array | None  # float32 [N, L] product of the event factors; None = no event at all

    def factor(self, category: Array, rows: Array, dates: Array, buckets: Array) -> Array:
        """float32 [n, K] all effects together, in buckets that lie on `dates`."""
        calm = self.calendar[:, dates].astype(np.float32)[category[rows]]
        return calm if self.boost is None else calm * self.boost[rows[:, None], buckets]

    def calm(self, y: Array) -> Array:
        """[N, T] history of every product freed of announced events."""
        return y if self.boost is None else y / self.boost[:, : y.shape[1]]


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
    The units of event buckets against what calendar, week and level alone expect give the events',
    by hours since the start, each product's shrunk to its category's, that to all products', that
    to what events of any name of the kind do.
    """
    busy = _busy(events, y.shape, clock)
    calm = y if busy is None else np.where(busy, np.nan, y).astype(np.float32)
    calendar, weekday = _calendar(calm, clock, days, category)
    shape = _shape(calm, clock, calendar, category, lump)
    event = np.ones((len(events.types), len(AGES), len(y)), dtype=np.float32)
    boost = None
    if busy is not None:
        expected = _Expected(calm=calm, calendar=calendar, clock=clock, category=category)
        event = _event_shapes(y, expected, events, _units(y, lump))
        boost = _boost(events, event, y.shape[0], len(clock.slot), clock.hours)
    return Effects(calendar=calendar, weekday=weekday, shape=shape, event=event, boost=boost)


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
    pooled = _relative(daily, seen, level, np.zeros(len(y), dtype=int), 1)
    share_all = _weekday_share(pooled, weekday_of, clock.week, np.ones((1, clock.week)))
    grouped = _relative(daily, seen, level, category, n_groups)
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


def _relative(daily: Array, seen: Array, level: Array, group: Array, n_groups: int) -> Array:
    """[C, D] demand of each group's observed products against their usual demand and its trend."""
    told = np.zeros((n_groups, daily.shape[1]))
    usual = np.zeros_like(told)
    for g in range(n_groups):
        mine = group == g
        told[g] = np.where(seen[mine], daily[mine], 0).sum(axis=0)
        usual[g] = (seen[mine] * level[mine, None]).sum(axis=0)
    ratio = np.divide(told, usual, out=np.full_like(told, np.nan), where=usual > 0)
    trend = _running_median(ratio, _TREND_DAYS)
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


@dataclass(frozen=True, kw_only=True)
class _Expected:
    """What calendar, week and level alone let expect, fitted where no event was."""

    calm: Array  # [N, T] history, NaN during events
    calendar: Array
    clock: Clock
    category: Array

    def units(self, rows: Array, a: int, b: int) -> Array:
        """[n, b − a] for buckets before the last observed one."""
        around = slice(max(a - 21 * self.clock.day, 0), b + 7 * self.clock.day)
        window = self.calm[rows, around]
        at = np.arange(self.calm.shape[1])[around]
        calendar = self.calendar[self.category[rows]]
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


def _event_shapes(y: Array, expected: _Expected, events: Events, lump: Array) -> Array:
    """[types, ages, N] factors by hours since the start."""
    n_buckets = y.shape[1]
    told = np.zeros((len(events.types), len(AGES), len(y)))
    usual = np.zeros_like(told)
    for e, kind in enumerate(events.type):
        start, rows = int(events.start[e]), events.rows[e]
        a, b = max(start, 0), min(int(events.stop[e]), n_buckets)
        if a >= b:
            continue
        units = expected.units(rows, a, b)
        actual = y[rows, a:b].astype(np.float64)
        seen = np.isfinite(actual) & np.isfinite(units)
        cover = events.covered(e, np.arange(a, b))
        actual = actual - units * (1 - cover)  # what came before the start or after the end
        units = units * cover
        age = _age(events.middle(e, np.arange(a, b), expected.clock.hours))
        for k in np.unique(age):
            at = age == k
            m = np.where(seen, units, 0)[:, at].sum(axis=1) / lump[rows]
            x = np.where(seen, actual, 0)[:, at].sum(axis=1) / lump[rows]
            weight = 1 / (1 + m * _EVENT_NOISE)
            np.add.at(told[kind, k], rows, x * weight)
            np.add.at(usual[kind, k], rows, m * weight)
    shapes = np.ones(told.shape, dtype=np.float32)
    for kind in range(len(events.kinds)):
        mine = np.flatnonzero(events.kind_of == kind)
        prior = told[mine].sum(axis=(0, 2)) + _BORROW
        prior /= usual[mine].sum(axis=(0, 2)) + _BORROW
        for k in mine:
            shapes[k] = _shrunk(told[k], usual[k], prior, expected.category)
    return shapes


def _shrunk(told: Array, usual: Array, prior: Array, category: Array) -> Array:
    """Ratios of each product, toward its category's, toward everyone's, toward the kind's."""
    everyone = told.sum(axis=1) + _BORROW * prior
    everyone = everyone / (usual.sum(axis=1) + _BORROW)
    shape = np.empty_like(told)
    for g in range(int(category.max()) + 1):
        mine = category == g
        pooled = told[:, mine].sum(axis=1) + _BORROW * everyone
        pooled = pooled / (usual[:, mine].sum(axis=1) + _BORROW)
        own = told[:, mine] + _BORROW * pooled[:, None]
        shape[:, mine] = own / (usual[:, mine] + _BORROW)
    return np.asarray(np.clip(shape, 0.05, 30.0), dtype=np.float32)


def _age(hours: Array) -> Array:
    return np.searchsorted(AGES, hours, side="right") - 1


def event_factors(events: Events, shape: Array, e: int, at: Array, width: float) -> Array:
    """[n, K] factors of one event for the products it concerns, in buckets that it touches.

    `shape` as in `Effects.event`; `width` hours is a bucket's length.
    """
    cover = events.covered(e, at).astype(np.float32)[:, None]
    factor = shape[events.type[e]][_age(events.middle(e, at, width))][:, events.rows[e]]
    return np.asarray((1 + cover * (factor - 1)).T)


def _boost(events: Events, shape: Array, n: int, length: int, width: float) -> Array:
    boost = np.ones((n, length), dtype=np.float32)
    for e, rows in enumerate(events.rows):
        at = np.arange(max(int(events.start[e]), 0), min(int(events.stop[e]), length))
        if len(at):
            boost[np.ix_(rows, at)] *= event_factors(events, shape, e, at, width)
    return boost
