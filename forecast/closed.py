"""Times at which a series has been 0 without exception: closed nights, Sundays, the sun below."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forecast.demand import Array
from forecast.features import Task, same_time
from forecast.models import Prediction

_DAYS, _WEEKS = 28, 10  # looked back on
_FEWEST_DAYS, _FEWEST_WEEKS = 10, 4  # with a 0 each, from which a time counts as closed


def closed(task: Task, origin: int) -> Array:
    """int [R, H] how often in a row that time was 0; 0 where it was not always, or too seldom.

    0 also for rarely ordered products: that nothing was sold at their times means little.
    """
    found = np.zeros((len(task.rows), task.horizon), dtype=int)
    place = np.flatnonzero(task.lump[task.rows] <= 0)
    if len(place):
        y, ahead = task.y[task.rows[place], :origin], task.ahead(origin)
        days = [same_time(task.clock, ahead, origin, k) for k in range(1, _DAYS + 1)]
        found[place] = _zeros(y, days, _FEWEST_DAYS)
        if task.clock.week > 1:
            weeks = range(1, _WEEKS + 1)
            days = [same_time(task.clock, ahead, origin, k, weekly=True) for k in weeks]
            found[place] = np.maximum(found[place], _zeros(y, days, _FEWEST_WEEKS))
    return found


def _zeros(y: Array, days: list[Array], fewest: int) -> Array:
    """[R, H] how many of the buckets [H] of each day were 0; 0 where one wasn't, or too few."""
    count, other = np.zeros((2, len(y), len(days[0])), dtype=int)
    for at in days:
        value = np.where(at >= 0, y[:, at], np.nan)
        count += value == 0
        other += np.nan_to_num(value) != 0
    return np.where((other == 0) & (count >= fewest), count, 0)


def emptied(prediction: Prediction, times: Array, levels: Array) -> Prediction:
    """0 up to the level that so many zeros in a row vouch for; `times` [R, H].

    After n zeros the next is another value with probability 1 / (n + 1) at most, and is expected
    to be with 1 / (n + 2) (Laplace's rule of succession).
    """
    if not times.any():
        return prediction
    sure = (times > 0)[..., None] & (levels <= (times / (times + 1.0))[..., None])
    mean = np.where(times > 0, prediction.mean / (times + 2.0), prediction.mean)
    return replace(
        prediction,
        mean=mean.astype(np.float32),
        quantiles=np.where(sure, 0.0, prediction.quantiles).astype(np.float32),
    )
