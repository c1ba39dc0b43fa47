"""What a member of the ensemble is: settings, what they learn from a task, and predictions."""

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


class Fitted(Protocol):
    """What a member learned; it may be asked for any origin at or after those it learned from."""

    def predict(self, task: Task, origin: int) -> Prediction:
        """Distribution of the task's `rows` in the `horizon` buckets from `origin`."""
        ...


class Model(Protocol):
    """Forecasts a batch of series; holds settings, never data."""

    def fit(self, task: Task) -> Fitted:
        """Learn from every bucket before the task's first origin."""
        ...
