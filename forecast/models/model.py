"""What a member of the ensemble is: settings that turn a task into predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from forecast.demand import Array
from forecast.features import Task


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Distribution of each bucket, seen from one origin."""

    mean: Array  # float32 [R, H] expectation
    quantiles: Array  # float32 [R, H, Q] non-decreasing along Q


class Model(Protocol):
    """Forecasts a batch of series; holds settings, never data."""

    def forecast(self, task: Task) -> list[Prediction]:
        """One prediction of `task.rows` from each of `task.origins`."""
        ...
