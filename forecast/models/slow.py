"""Members that fit one series at a time: the largest are fitted, the rest get the seasonal rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from forecast.demand import Array, mean_units
from forecast.features import Task, past_of
from forecast.models.model import Prediction
from forecast.models.patience import Failure, each
from forecast.models.seasonal import Seasonal, SeasonalFit


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series before one origin, small enough to be sent to another process."""

    flat: Array  # float [K] units freed of calendar and event effects, gaps filled
    effect: Array  # float [H] effects to put back
    stamps: Array  # datetime64[us] [K + H] local, or made up for an index of whole numbers
    day: int
    week: int
    levels: Array
    seed: int


Fit = Callable[[Series], tuple[Array, Array] | None]


@dataclass(frozen=True, kw_only=True)
class Largest:
    """Fits the `most` largest series anew at every origin; the rest get the seasonal rule.

    So does a series whose fit hangs or fails; the prediction tells which and why.
    """

    fit_one: Fit  # a function at the top of a module
    most: int
    seconds: float  # after which a fit hangs
    rest: SeasonalFit

    def predict(self, task: Task, origin: int) -> Prediction:
        """Seasonal forecasts in which those of the largest series are replaced."""
        prediction = self.rest.predict(task, origin)
        size = mean_units(task.y[task.rows, :origin], np.float64)
        chosen = np.sort(np.argsort(-size, kind="stable")[: self.most])
        jobs = [_series(task, task.rows[k], origin) for k in chosen]
        found = each(self.fit_one, jobs, seconds=self.seconds)
        fallbacks = {}
        for k, result in zip(chosen.tolist(), found, strict=True):
            if isinstance(result, Failure):
                fallbacks[k] = result.reason
            elif result is None:
                continue  # too short or constant: the seasonal rule is meant
            elif not all(np.isfinite(part).all() for part in result):
                fallbacks[k] = "gave no finite forecast"
            else:
                prediction.mean[k] = np.maximum(result[0], 0)
                prediction.quantiles[k] = np.sort(np.maximum(result[1], 0), axis=1)
        return replace(prediction, fallbacks=fallbacks)


def fit_largest(task: Task, fit_one: Fit, *, most: int, seconds: float) -> Largest:
    """What is known before any series is fitted."""
    return Largest(fit_one=fit_one, most=most, seconds=seconds, rest=Seasonal().fit(task))


def slot_sizes(errors: Array, day: int) -> Array:
    """[day] usual size of the errors [K] at each place in the day against their overall one."""
    overall = np.sqrt(np.mean(errors**2))
    slot = np.arange(len(errors)) % day
    count = np.bincount(slot, minlength=day)
    power = np.bincount(slot, weights=errors**2, minlength=day)
    own = np.sqrt((power + 2 * overall**2) / (count + 2))
    return np.asarray(np.maximum(own, 0.1 * overall) / max(overall, 1e-12))


def _series(task: Task, row: Any, origin: int) -> Series:
    past = past_of(task, np.array([row]), origin)
    span = min(past.flat.shape[1], 8 * task.clock.day * task.clock.week)
    flat = past.flat[0, -span:].astype(float)
    place = np.arange(span)
    seen = np.isfinite(flat)
    flat = np.interp(place, place[seen], flat[seen]) if seen.any() else np.zeros(span)
    clock, buckets = task.clock, np.arange(origin - span, origin + task.horizon)
    seconds = clock.date[buckets] * 86_400 + clock.slot[buckets] * (86_400 // clock.day or 1)
    return Series(
        flat=flat,
        effect=past.effect[0].astype(float),
        stamps=np.datetime64("2024-01-01", "us") + seconds.astype("m8[s]"),
        day=clock.day,
        week=clock.week,
        levels=task.levels,
        seed=task.seed,
    )
