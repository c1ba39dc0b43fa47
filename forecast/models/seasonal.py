"""Seasonal members: the same phase again, and level × shape of the week × effects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forecast.demand import Array
from forecast.features import Past, Task, ordinary, past_of, same_time, spread
from forecast.models.model import Prediction
from forecast.models.residuals import (
    Counts,
    error_quantiles,
    mixed,
    poisson_counts,
    pool_counts,
)

_SETTLED = 14  # days on sale before a series' own errors say what is usual for it
_CHUNK = 1_000  # series at a time, to bound memory


@dataclass(frozen=True)
class SeasonalNaive:
    """Repeats the last season (a week where the clock has one) with its past errors around it.

    The error pool of a series holds its own same-phase changes of the whole recent past.
    """

    weekly: bool = False
    seasons: int = 8  # looked back on for errors

    def fit(self, task: Task) -> SeasonalNaive:  # noqa: ARG002 - it has nothing to learn
        """The past itself is all that it knows."""
        return self

    def predict(self, task: Task, origin: int) -> Prediction:
        """Quantiles = last season + quantiles of past changes."""
        clock = task.clock
        season = clock.day * (clock.week if self.weekly else 1)
        ahead = task.ahead(origin)
        at = same_time(clock, ahead, origin, 1, weekly=self.weekly)
        older = same_time(clock, ahead, origin, 2, weekly=self.weekly)
        y = task.y[task.rows, :origin].astype(np.float64)
        usual = _fill(y)
        point = np.where(at >= 0, y[:, at], np.nan)
        point = np.where(np.isfinite(point), point, np.where(older >= 0, y[:, older], np.nan))
        point = np.where(np.isfinite(point), point, usual[:, None])
        reach = max(origin - self.seasons * season - season, 0)
        errors = y[:, reach + season :] - y[:, reach : max(origin - season, reach)]
        change = error_quantiles(errors[:, -self.seasons * season :], task.levels)
        quantiles = np.maximum(point[..., None] + change[:, None, :], 0.0)
        return Prediction(
            mean=point.astype(np.float32), quantiles=np.sort(quantiles, axis=2).astype(np.float32)
        )


def _fill(y: Array) -> Array:
    seen = np.isfinite(y)
    return np.asarray(np.where(seen, y, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))


@dataclass(frozen=True)
class Seasonal:
    """Level × shape of the week × calendar and event effects, with pooled past errors.

    The errors are those that the same rule made from past origins, standardised by each series'
    usual change, so that they carry over from calm to busy hours; few orders a bucket are counts.
    """

    lookbacks: int = 10
    stride: int = 5  # days between the past origins; prime to the week

    def fit(self, task: Task) -> SeasonalFit:
        """Errors that the rule made from past origins."""
        rows, first = task.rows, task.origins[0]
        day = task.clock.day
        least = min(2 * day * task.clock.week, max(first // 2, day))
        stride = self.stride if task.clock.week > 1 else 1
        starts = [first - task.horizon - k * stride * day for k in range(self.lookbacks)]
        starts = [start for start in starts if start >= least]
        errors = np.full((len(rows), len(starts), task.horizon), np.nan, dtype=np.float32)
        expected = np.zeros_like(errors)
        for j, start in enumerate(starts):
            for chunk, past in _chunks(task, start):
                m = ordinary(task, past)
                actual = task.y[rows[chunk], start : start + task.horizon]
                settled = start - task.launch[rows[chunk]] >= _SETTLED * day  # else no usual change
                error = (actual - m) / spread(task, past, m)
                errors[chunk, j] = np.where(settled[:, None], error, np.nan)
                expected[chunk, j] = m
        levels = task.levels
        if not starts:
            none = error_quantiles(np.full((len(rows), 1), np.nan), levels)
            return SeasonalFit(errors=none, counts=poisson_counts(levels))
        actual = np.stack([task.y[rows, s : s + task.horizon] for s in starts], axis=1)
        lump = np.broadcast_to(task.lump[rows][:, None, None], actual.shape)
        some = slice(None, None, max(actual.size // 3_000_000, 1))
        counts = pool_counts(
            expected.ravel()[some], actual.ravel()[some], lump.ravel()[some], levels
        )
        found = error_quantiles(errors.reshape(len(rows), -1), levels)
        return SeasonalFit(errors=found, counts=counts)


@dataclass(frozen=True, kw_only=True)
class SeasonalFit:
    """Past errors of the rule."""

    errors: Array  # float [R, Q] quantiles of standardised errors
    counts: Counts

    def predict(self, task: Task, origin: int) -> Prediction:
        """Expected units and quantiles of units."""
        shape = (len(task.rows), task.horizon)
        mean = np.zeros(shape, dtype=np.float32)
        quantiles = np.zeros((*shape, len(task.levels)), dtype=np.float32)
        for chunk, past in _chunks(task, origin):
            m = ordinary(task, past)
            wide = m[..., None] + spread(task, past, m)[..., None] * self.errors[chunk][:, None, :]
            quantiles[chunk] = np.maximum(mixed(m, wide, self.counts, task.lump[past.rows]), 0.0)
            mean[chunk] = m
        return Prediction(mean=mean, quantiles=np.sort(quantiles, axis=2))


def _chunks(task: Task, origin: int) -> Iterator[tuple[slice, Past]]:
    for start in range(0, len(task.rows), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        yield chunk, past_of(task, task.rows[chunk], origin)
