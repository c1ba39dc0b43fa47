"""Columns that trees see of each bucket to forecast, all units among them standardised."""

from __future__ import annotations

import numpy as np

from forecast.demand import Array
from forecast.features import Past, Task, apart, last_weeks, mean_seen, same_time
from forecast.shapes import pooled_shape

_MOVES = (1, 2, 3, 7, 14)  # days over which movement is measured


def design(task: Task, past: Past, expected: Array, size: Array) -> dict[str, Array]:
    """Columns for regressions, each broadcastable to [n, H]; NaN = not known.

    Units are standardised as (units − expected) / size, so that series of all sizes are alike.
    """
    columns = _places(task, past)
    columns |= _lags(task, past, expected, size)
    columns |= _levels(task, past, expected, size) | _moves(task, past, size)
    columns |= _announced(task, past)
    if task.category_levels is not None:
        columns["category_level"] = np.log(past.shared)
    return columns


def _places(task: Task, past: Past) -> dict[str, Array]:
    clock, ahead = task.clock, task.ahead(past.origin)
    date = clock.date[ahead]
    row = {
        "step": ahead - past.origin,
        "slot": clock.slot[ahead],
        "weekday": clock.weekday[ahead],
    }
    if task.days.month_day.any():
        row |= {
            "month_day": task.days.month_day[date],
            "month_left": task.days.month_left[date],
        }
    if task.days.holiday.any():
        row |= {"holiday": task.days.holiday[date], "festival": task.days.festival[date]}
    columns = {name: value[None, :] for name, value in row.items()}
    if task.category.any():
        columns["category"] = task.category[past.rows][:, None]
    if np.isfinite(task.attributes).any():
        columns["price"] = task.attributes[past.rows, :1]
    if task.launch.any():
        age = past.origin - task.launch[past.rows]
        columns["age"] = np.minimum(age / clock.day, 60.0)[:, None]
    return columns


def _lags(task: Task, past: Past, expected: Array, size: Array) -> dict[str, Array]:
    clock, ahead = task.clock, task.ahead(past.origin)

    def then(k: int, *, weekly: bool = False) -> Array:
        at = same_time(clock, ahead, past.origin, k, weekly=weekly)
        return np.asarray((past.at(at) * past.effect - expected) / size)

    days = np.stack([then(k) for k in range(1, 8)])
    columns = {f"day_{k}": value for k, value in enumerate(days, start=1)}
    columns["days"] = mean_seen(days)
    columns["days_spread"] = np.sqrt(mean_seen((days - columns["days"]) ** 2))
    if clock.week > 1:
        weeks = np.stack([then(k, weekly=True) for k in range(1, 5)])
        columns |= {f"week_{k}": value for k, value in enumerate(weeks, start=1)}
        columns["weeks"] = mean_seen(weeks)
    return columns


def slopes(task: Task, past: Past, expected: Array, size: Array) -> dict[str, Array]:
    """How the bucket before and the bucket after differ: yesterday, a week ago, as expected.

    Where a curve is steep, a peak that comes an hour early or late is most of the error.
    """
    clock, ahead = task.clock, task.ahead(past.origin)
    columns, seasons = {}, {"day": False}
    if clock.week > 1:
        seasons["week"] = True
    for name, weekly in seasons.items():
        at = same_time(clock, ahead, past.origin, 1, weekly=weekly)
        for side, step in (("before", -1), ("after", 1)):
            moved = past.at(at + step) - past.at(at)
            columns[f"{name}_{side}"] = moved * past.effect / size
    rise = np.diff(expected, axis=1)
    edge = np.full((len(expected), 1), np.nan)
    columns["before"] = np.concatenate([edge, -rise], axis=1) / size
    columns["after"] = np.concatenate([rise, edge], axis=1) / size
    return columns


def _levels(task: Task, past: Past, expected: Array, size: Array) -> dict[str, Array]:
    clock = task.clock
    level = np.maximum(past.level, 1e-9)
    unit = size.mean(axis=1)
    columns = {
        "height": expected / level[:, None],
        "roughness": np.log(unit / level)[:, None],
        "month_level": np.log(np.maximum(past.month, 1e-9) / level)[:, None],
        "effect": np.log(past.effect),
        "pooled": pooled_shape(task, past),
    }
    if (task.lump > 0).any():
        rate = level / np.maximum(task.lump[past.rows], 1e-9)
        columns["rate"] = np.log(np.maximum(rate, 1e-6))[:, None]
    for name, length in (("hours", max(clock.day // 8, 1)), ("half", clock.day // 2 or 1)):
        recent = np.arange(max(past.origin - length, 0), past.origin)
        for days in sorted({1, clock.week}):
            change = past.at(recent) - past.at(clock.back(recent, days))
            columns[f"{name}_{days}"] = (mean_seen(change.T) / unit)[:, None]
    off = apart(task, past)
    columns["hours_apart"] = (mean_seen(off.T) / unit)[:, None]
    columns["now_apart"] = (off[:, -1] / unit)[:, None]
    share = task.effects.weekday[task.category[past.rows]]
    for days in (1, 3):
        recent = np.arange(max(past.origin - days * clock.day, 0), past.origin)
        value = past.at(recent) / share[:, clock.weekday[recent]]
        columns[f"level_{days}"] = ((mean_seen(value.T) - level) / unit)[:, None]
    older = np.arange(max(past.origin - 2 * clock.day * clock.week, 0), past.origin)
    half = older[: len(older) // 2]
    if len(half):
        columns["trend"] = ((level - mean_seen(past.at(half).T)) / unit)[:, None]
    return columns


def _moves(task: Task, past: Past, size: Array) -> dict[str, Array]:
    """How far units moved in a bucket and in some days: do changes last, or do weeks repeat?"""
    clock, recent = task.clock, last_weeks(task, past)
    before = {"moved": recent - 1} | {f"moved_{k}": clock.back(recent, k) for k in _MOVES}
    now, unit = past.at(recent), size.mean(axis=1)
    moved = {name: mean_seen(np.abs(now - past.at(at)).T) / unit for name, at in before.items()}
    return {name: np.log(np.maximum(value, 1e-3))[:, None] for name, value in moved.items()}


def _announced(task: Task, past: Past) -> dict[str, Array]:
    columns: dict[str, Array] = {}
    events, ahead = task.events, task.ahead(past.origin)
    width = task.clock.hours
    for kind, name in enumerate(events.kinds):
        since, left = events.hours(past.rows, ahead, width, kind)
        columns[f"{name}_since"], columns[f"{name}_left"] = since, left
    return columns
