"""Seasonal members: the same phase again, and level × shape of the week × effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.demand import Array, mean_units
from forecast.features import Past, Task, past_origins, same_time
from forecast.models.backcasts import past_errors, predicted
from forecast.models.model import Prediction
from forecast.models.residuals import Counts, error_quantiles
from forecast.shapes import ordinary

_SETTLED = 14  # days on sale before a series' own errors say what is usual for it


@dataclass(frozen=True)
class SeasonalNaive:
    """Repeats the last season (a week where the clock has one) with its past errors around it.

    Announced events are taken out of the past and put where they are to come. The error pool of a
    series holds its own same-phase changes of the whole recent past.
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
        over = task.over(origin)
        at = same_time(clock, ahead, origin, 1, weekly=self.weekly, over=over)
        older = same_time(clock, ahead, origin, 2, weekly=self.weekly, over=over)
        y = task.effects.calm(task.told(task.rows, 0, origin), task.rows).astype(np.float64)
        usual = mean_units(y)
        point = np.where(at >= 0, y[:, at], np.nan)
        point = np.where(np.isfinite(point), point, np.where(older >= 0, y[:, older], np.nan))
        point = np.where(np.isfinite(point), point, usual[:, None])
        recent = np.arange(max(origin - self.seasons * season, 0), origin)
        before = clock.back(recent, clock.week if self.weekly else 1)
        errors = y[:, recent[before >= 0]] - y[:, before[before >= 0]]
        change = error_quantiles(errors, task.levels)
        quantiles = np.sort(np.maximum(point[..., None] + change[:, None, :], 0.0), axis=2)
        if task.effects.boost is not None:
            boost = task.effects.boost[task.rows[:, None], ahead]
            point, quantiles = point * boost, quantiles * boost[..., None]
        return Prediction(mean=point.astype(np.float32), quantiles=quantiles.astype(np.float32))


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
        first, day = task.origins[0], task.clock.day
        least = min(2 * day * task.clock.week, max(first // 2, day))
        stride = self.stride if task.clock.week > 1 else 1
        starts = past_origins(task, least=least, stride=stride)[: self.lookbacks]

        def settled(past: Past, error: Array) -> Array:  # else no usual change
            known = past.origin - task.launch[past.rows] >= _SETTLED * day
            return np.where(known[:, None], error, np.nan)

        errors, counts = past_errors(task, starts, ordinary, usable=settled)
        return SeasonalFit(errors=errors, counts=counts)


@dataclass(frozen=True, kw_only=True)
class SeasonalFit:
    """Past errors of the rule."""

    errors: Array  # float [R, Q] quantiles of standardised errors
    counts: Counts

    def predict(self, task: Task, origin: int) -> Prediction:
        """Expected units and quantiles of units."""
        return predicted(task, origin, ordinary, self.errors, self.counts)
