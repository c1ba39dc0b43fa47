"""What a member of the ensemble is: settings, what they learn from a task, and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from forecast.demand import Array
from forecast.features import Task


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Distribution of each bucket, seen from one origin."""

    mean: Array  # float32 [R, H] expectation
    quantiles: Array  # float32 [R, H, Q] non-decreasing along Q
    fallbacks: Mapping[int, str] = field(default_factory=dict)  # row of R -> why a fit fell back


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


def told(
    label: Array, members: Sequence[str], predictions: Sequence[Prediction], weights: Array
) -> Array:
    """Labels [R] of what made each forecast, with the members that fell back and why.

    Members whose weight [R, M] is 0 are left out: they changed nothing.
    """
    found = label.copy()
    for k, (name, prediction) in enumerate(zip(members, predictions, strict=True)):
        for row, reason in prediction.fallbacks.items():
            if weights[row, k] > 0:
                found[row] = f"{found[row]}; {name} {reason}, seasonal instead"
    return found
