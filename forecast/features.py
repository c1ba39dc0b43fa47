"""What models see: a task, and the level, shape and past of its series at a forecast origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forecast.calendars import Clock, Days, Events
from forecast.category_levels import CategoryLevels
from forecast.demand import Array
from forecast.effects import Effects

_KEEP_WEEKS = 13  # of history that an origin looks at
_HALF_LIFE = 12.0  # days after which the past counts half for a rarely ordered product's level
_ORDERS = (60.0, 1.0, 5.0)  # that last week, the fading past and the month are shrunk by
_PARTS = 3  # of the horizon, at most, of which each has weights of its own
_SHIFT_DAYS = 3  # after which a new level counts alone
_RARE, _MOST = 1e-3, 4.5  # least level of a category; by which a level is moved at most


@dataclass(frozen=True, kw_only=True, eq=False)  # a task equals itself alone, and can be a key
class Task:
    """A batch of series to forecast from one or more origins.

    A model may learn from every bucket before the first origin, and must use nothing at or after an
    origin to forecast from it.
    """

    y: Array  # float32 [N, T] units ≥ 0, NaN = not observed
    origins: tuple[int, ...]  # lengths of history, ascending, at most T
    horizon: int
    levels: Array  # [Q]
    rows: Array  # int [R] series whose forecast is wanted, and who teach the members
    clock: Clock  # of T + horizon buckets
    days: Days
    events: Events
    effects: Effects
    category: Array  # int [N]
    category_levels: CategoryLevels | None  # None = no series counts orders
    attributes: Array  # float32 [N, A] of products, NaN = unknown
    launch: Array  # int [N] bucket from which a product was on sale
    similar: Array  # int [N] row of the product it resembles, −1 = none told
    lump: Array  # float [N] units of a usual order; 0 = the series is no count of orders
    level_start: Array  # int [N] first bucket of the present level; 0 = it never shifted
    seed: int = 0
    effort: float = 1.0  # share of a model's usual training rows

    def ahead(self, origin: int) -> Array:
        """[H] buckets to forecast from an origin."""
        return np.arange(origin, origin + self.horizon)

    def over(self, origin: int) -> Array:
        """bool [dates] days of long breaks that are over at an origin, see `Days.over`."""
        dates = int(self.clock.date[-1]) + 1
        return self.days.over(int(self.clock.date[origin]))[:dates]

    def told(self, rows: Array, first: int, origin: int) -> Array:
        """float32 [n, K] units of buckets `first` to `origin`, NaN also on days that are `over`."""
        y, over = self.y[rows, first:origin], self.over(origin)[self.clock.date[first:origin]]
        return np.where(over, np.float32(np.nan), y) if over.any() else y

    @property
    def part(self) -> Array:
        """Day of the horizon [H] that a bucket lies in, from 0; all after the second are one."""
        return np.minimum(np.arange(self.horizon) // max(self.clock.day, 1), _PARTS - 1)


@dataclass(frozen=True, kw_only=True)
class Past:
    """The history of some series before an origin, freed of calendar and event effects."""

    rows: Array  # int [n]
    origin: int
    first: int  # bucket of column 0 of `flat`
    flat: Array  # float32 [n, K] units / effect, NaN = not observed
    week: Array  # float32 [n, K + 1] mean of `flat` over the week before column k
    effect: Array  # float32 [n, H] effects in the horizon
    level: Array  # float [n] ordinary units in a mean bucket of late
    month: Array  # float [n] mean of the last 28 days
    shared: Array  # float32 [n, H] category's expected level against the one that `level` saw

    def at(self, buckets: Array) -> Array:
        """[n, ...] `flat` at buckets of the panel, NaN where it was not seen before the origin."""
        column = buckets - self.first
        known = (column >= 0) & (buckets >= 0) & (buckets < self.origin)
        return np.where(known, self.flat[:, np.where(known, column, 0)], np.nan)

    def week_at(self, buckets: Array) -> Array:
        """[n, ...] mean of the week around each bucket, as far as known at the origin."""
        span = self.flat.shape[1]
        return self.week[:, np.clip(buckets - self.first, 0, span)]


def past_of(task: Task, rows: Array, origin: int) -> Past:
    """What is known at an origin of the series `rows`, effects taken out, level estimated."""
    clock = task.clock
    week = clock.day * clock.week
    first = max(origin - max(_KEEP_WEEKS * week, 4 * clock.day), 0)
    buckets = np.arange(first, origin + task.horizon)
    factor = task.effects.factor(rows, clock.date[buckets], buckets)
    span = origin - first
    flat = task.told(rows, first, origin) / factor[:, :span]
    seen = np.isfinite(flat)
    total = np.zeros((len(rows), flat.shape[1] + 1))
    np.cumsum(np.where(seen, flat, 0), axis=1, out=total[:, 1:])
    count = np.zeros(total.shape, dtype=np.int32)
    np.cumsum(seen, axis=1, out=count[:, 1:])
    weekly = _trailing(total, count, week)
    shift = task.level_start[rows] - first
    since = np.where((shift > 0) & (shift < span - _SHIFT_DAYS * clock.day), shift, 0)
    if since.any():
        total, count = _since(total, since), _since(count, since)
    found = _level(task, rows, total, count, week)
    return Past(
        rows=rows,
        origin=origin,
        first=first,
        flat=flat,
        week=weekly,
        effect=factor[:, span:],
        level=found.level,
        month=found.month,
        shared=_shared(task, rows, origin, first + since, found.weights),
    )


def _since(running: Array, shift: Array) -> Array:
    """Running totals [n, K + 1] that begin at column `shift` [n]."""
    before = np.take_along_axis(running, shift[:, None], axis=1)
    return np.asarray(np.maximum(running - before, 0))


def _trailing(total: Array, count: Array, width: int) -> Array:
    """[n, K + 1] mean of the `width` columns before each, of all columns where none was seen."""
    start = np.clip(np.arange(total.shape[1]) - width, 0, None)
    seen = count - count[:, start]
    ever = total[:, -1:] / np.maximum(count[:, -1:], 1)
    mean = (total - total[:, start]) / np.maximum(seen, 1)
    return np.where(seen >= max(width // 7, 1), mean, ever).astype(np.float32)


def _mean_before(total: Array, count: Array, width: int) -> tuple[Array, Array]:
    start = max(total.shape[1] - 1 - width, 0)
    seen = count[:, -1] - count[:, start]
    return (total[:, -1] - total[:, start]) / np.maximum(seen, 1), seen


def _faded_mean(total: Array, count: Array, day: int) -> tuple[Array, Array]:
    """Mean over whole days whose weight halves every `_HALF_LIFE` days, and the weight observed."""
    ends = np.arange(total.shape[1] - 1, day - 1, -day)
    weight = 0.5 ** (np.arange(len(ends)) / _HALF_LIFE)
    units = np.einsum("nd,d->n", total[:, ends] - total[:, ends - day], weight)
    seen = np.einsum("nd,d->n", count[:, ends] - count[:, ends - day], weight)
    return units / np.maximum(seen, 1e-9), seen


class _Level(NamedTuple):
    level: Array  # [n]
    month: Array  # [n] mean of the last 28 days, shrunk
    weights: Array  # [4, n] in `level` of the means of the week, the fading past, 28 days, ever


def _level(task: Task, rows: Array, total: Array, count: Array, week: int) -> _Level:
    """Last week's mean, shrunk by the number of orders to one that fades over the last weeks.

    The fading mean is shrunk to the month's, and that to the whole past's.
    """
    lump = np.maximum(task.lump[rows], 1e-9)
    ever, seen_ever = _mean_before(total, count, total.shape[1])
    month, seen_month = _mean_before(total, count, 4 * week)
    recent, seen_recent = _mean_before(total, count, week)
    faded, seen_faded = _faded_mean(total, count, task.clock.day)
    to_recent, to_faded, to_month = _ORDERS
    c = _trust(month, seen_month, ever, lump, to_month)
    month = c * month + (1 - c) * ever
    b = _trust(faded, seen_faded, month, lump, to_faded)
    faded = b * faded + (1 - b) * month
    a = _trust(recent, seen_recent, faded, lump, to_recent)
    level = a * recent + (1 - a) * faded
    ever_seen = seen_ever > 0
    return _Level(
        level=np.where(ever_seen, level, 0.0),
        month=np.where(ever_seen, month, 0.0),
        weights=np.stack([a, (1 - a) * b, (1 - a) * (1 - b) * c, (1 - a) * (1 - b) * (1 - c)]),
    )


def _trust(mean: Array, seen: Array, prior: Array, lump: Array, strength: float) -> Array:
    orders = np.maximum(mean, 0.2 * prior) * seen / lump
    return np.asarray(orders / (orders + strength))


def _shared(task: Task, rows: Array, origin: int, since: Array, weights: Array) -> Array:
    """float32 [n, H] the category's expected level over its mean in the windows of `_level`.

    Past levels count from bucket `since` [n] on, with `weights` [4, n]; 1 for a series that is no
    count of orders.
    """
    known = task.category_levels
    if known is None:
        return np.ones((len(rows), task.horizon), dtype=np.float32)
    category, day = task.category[rows], task.clock.day
    week = day * task.clock.week
    starts = [np.maximum(since, origin - span) for span in (week, 4 * week)]
    means = [
        known.mean(category, starts[0], origin),
        known.faded(category, since, origin, _HALF_LIFE),
        known.mean(category, starts[1], origin),
        known.mean(category, since, origin),
    ]
    before = np.maximum(np.einsum("kn,kn->n", weights, np.stack(means)), _RARE)[:, None]
    ratio = np.clip(known.ahead(category, origin, task.horizon) / before, 1 / _MOST, _MOST)
    return np.where(task.lump[rows, None] > 0, ratio, 1.0).astype(np.float32)


def past_origins(task: Task, *, least: int, stride: int = 1) -> list[int]:
    """Origins from which the first origin's horizon had passed by then, latest first.

    `stride` local days apart, at one local time (the first origin's, if the horizon is of whole
    days) before and after a change of the clocks, and not before bucket `least`.
    """
    first, day = task.origins[0], task.clock.day
    last = first - task.horizon % day
    days = np.arange(task.horizon // day, last // day + 2)
    found = task.clock.back(np.full(len(days), last), days)
    passed = found[found <= first - task.horizon][::stride]
    return [int(at) for at in passed if at >= least]


def same_time(
    clock: Clock,
    ahead: Array,
    origin: int,
    k: int,
    *,
    weekly: bool = False,
    over: Array | None = None,
) -> Array:
    """[H] bucket of the k-th last day known at the origin, at each bucket's own local time.

    With `weekly`, of the k-th last day of the same weekday, where a holiday counts as a Sunday.
    Dates that are `over` [dates] are no such days, see `Task.over`. −1 = before the panel, or a
    local time that was skipped.
    """
    slot = clock.slot[ahead]
    today = int(clock.date[origin - 1])
    this = clock.table[today, slot]
    latest = np.where((this >= 0) & (this < origin), today, today - 1)
    if not weekly and over is None:
        date = latest - k + 1
    else:
        weekday_of = np.full(int(clock.date[-1]) + 1, -1)
        weekday_of[clock.date] = clock.weekday if weekly else 0
        if over is not None:
            weekday_of[over] = -1
        wanted = clock.weekday[ahead] if weekly else np.zeros(len(ahead), dtype=int)
        date = np.full(len(ahead), -1)
        for weekday in np.unique(wanted):
            mine = wanted == weekday
            dates = np.flatnonzero(weekday_of == weekday)
            place = np.searchsorted(dates, latest[mine], side="right") - k
            date[mine] = np.where(place >= 0, dates[np.clip(place, 0, None)], -1)
    return np.where(date >= 0, clock.table[np.clip(date, 0, None), slot], -1)


def last_weeks(task: Task, past: Past) -> Array:
    """Buckets of the last two weeks before the origin, as far as a day before each is known."""
    clock = task.clock
    reach = min(2 * clock.day * clock.week, max(past.origin - past.first - clock.day, 1))
    return np.arange(past.origin - reach, past.origin)


def apart(task: Task, past: Past) -> Array:
    """[n, K] the last hours less the mean of the same hours of the seven days before."""
    clock = task.clock
    recent = np.arange(max(past.origin - max(clock.day // 8, 1), 0), past.origin)
    usual = mean_seen(np.stack([past.at(clock.back(recent, k)) for k in range(1, 8)]))
    return np.asarray(past.at(recent) - usual)


def change(task: Task, past: Past) -> Array:
    """[n] last weeks' mean absolute change against the day or the week before, the smaller."""
    clock, buckets = task.clock, last_weeks(task, past)
    now, mean = past.at(buckets), past.week_at(buckets + 1)
    sizes = []
    for days in {1, clock.week}:
        at = clock.back(buckets, days)
        before = past.at(at) * np.divide(
            mean, past.week_at(at + 1), out=np.ones_like(mean), where=past.week_at(at + 1) > 0
        )
        moved = np.abs(now - before)
        seen = np.isfinite(moved)
        total = np.where(seen, moved, 0).sum(axis=1)
        enough = seen.sum(axis=1) >= clock.day // 2
        sizes.append(np.where(enough, total / np.maximum(seen.sum(axis=1), 1), np.inf))
    level = np.maximum(past.level, 1e-9)
    noise = np.sqrt(level * task.lump[past.rows])
    size = np.min(sizes, axis=0)
    size = np.where(np.isfinite(size), size, np.maximum(0.3 * level, noise))
    return np.asarray(np.maximum(size, 1e-5 * level + 1e-9))


def spread(task: Task, past: Past, expected: Array) -> Array:
    """[n, H] usual size of an error: `change`, grown with the root of the expected units."""
    level = np.maximum(past.level, 1e-9)
    growth = np.sqrt(0.1 + 0.9 * np.maximum(expected, 0) / level[:, None])
    return np.asarray(change(task, past)[:, None] * np.minimum(growth, 10.0))


def mean_seen(x: Array) -> Array:
    """Mean along the first axis of what is not NaN; NaN where nothing is."""
    seen = np.isfinite(x)
    count = seen.sum(axis=0)
    total = np.where(seen, x, 0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))
