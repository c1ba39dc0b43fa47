"""How members are weighed: by segment of series, on held-out origins, by their CRPS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from forecast.calibrate import stretched, stretches
from forecast.demand import Array
from forecast.features import Task
from forecast.metrics import crps, mase_scale
from forecast.models import Model, Prediction

_STEP = 0.2  # of the grid of convex weights
_RATES = (0.05, 0.5, 5.0)  # orders a bucket that part the segments
_MOST_ROWS = 1_500  # series in the hold-out
_EFFORT = 0.6  # share of the training rows that members may use in the hold-out
_MOST_SCORES = 200_000  # buckets scored by each point of the grid


@dataclass(frozen=True, kw_only=True)
class Blend:
    """Weights of the members by segment, and stretches of the result."""

    members: tuple[str, ...]
    weights: Array  # float [S, M] rows sum to 1
    factors: Array  # float [P, Q] of the calibration
    part: Array  # int [H] part of the horizon

    def combine(self, predictions: list[Prediction], segment: Array, levels: Array) -> Prediction:
        """Average the members' quantiles, then stretch those of series that are no rare counts."""
        weight = self.weights[segment].astype(np.float32)
        quantiles = sum(weight[:, k, None, None] * p.quantiles for k, p in enumerate(predictions))
        mean = sum(weight[:, k, None] * p.mean for k, p in enumerate(predictions))
        wide = stretched(np.asarray(quantiles), levels, self.factors, self.part)
        dense = (segment >= len(_RATES) - 1)[:, None, None]
        return Prediction(
            mean=np.asarray(mean), quantiles=np.maximum(np.where(dense, wide, quantiles), 0.0)
        )

    def label(self, segment: int) -> str:
        """Members with weight, heaviest first, as told to people."""
        order = np.argsort(-self.weights[segment], kind="stable")
        told = [(self.members[k], self.weights[segment, k]) for k in order]
        return "+".join(f"{name}:{weight:.1f}" for name, weight in told if weight > 0)


def segments(task: Task) -> Array:
    """int [N] by the usual number of orders a bucket; the last for what is no count of orders."""
    recent = task.y[:, -4 * task.clock.day * task.clock.week :]
    seen = np.isfinite(recent)
    mean = np.where(seen, recent, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    rate = np.where(task.lump > 0, mean / np.where(task.lump > 0, task.lump, 1), np.inf)
    return np.searchsorted(np.asarray(_RATES), rate, side="right")


def holdout(task: Task) -> Task | None:
    """The task from earlier origins and some of its series; None when the past is too short."""
    n, length = task.y.shape
    clock = task.clock
    wanted = 3 if n >= 50 else 6 if n >= 5 else 10
    day = clock.day
    stride = max(-(-task.horizon // day) - (2 if n < 50 else 0), 1) * day
    if n >= 50 and clock.week > 1 and stride % (7 * day) == 0:
        stride += day
    least = max(4 * task.horizon, 3 * day * clock.week, length // 2)
    origins = [length - task.horizon - k * stride for k in range(wanted)]
    origins = sorted(o for o in origins if o >= min(least, length - task.horizon))
    if not origins or origins[0] < max(2 * day, task.horizon):
        return None
    rows = task.rows
    if len(rows) > _MOST_ROWS:
        by_size = rows[np.argsort(-np.nansum(task.y[rows], axis=1), kind="stable")]
        rows = np.sort(by_size[:: -(-len(rows) // _MOST_ROWS)])
    return replace(task, origins=tuple(origins), rows=rows, effort=_EFFORT)


def learn(task: Task, models: dict[str, Model]) -> Blend:
    """Weights and stretches from the hold-out; equal weights when there is none."""
    names = tuple(models)
    part = np.minimum(np.arange(task.horizon) // max(task.clock.day, 1), 2)
    neutral = np.ones((int(part.max()) + 1, len(task.levels)))
    equal = np.full((len(_RATES) + 1, len(names)), 1 / len(names))
    past = holdout(task)
    if past is None:
        return Blend(members=names, weights=equal, factors=neutral, part=part)
    predictions = []
    for model in models.values():
        fitted = model.fit(past)
        predictions.append([fitted.predict(past, origin) for origin in past.origins])
    actual = np.concatenate([past.y[past.rows, o : o + past.horizon] for o in past.origins])
    segment = np.tile(segments(past)[past.rows], len(past.origins))
    members = np.stack([np.concatenate([p.quantiles for p in each]) for each in predictions])
    weights = equal.copy()
    if len(names) > 1:
        size = mase_scale(past.y[past.rows, : past.origins[0]], past.clock.day)
        size = np.tile(size, len(past.origins))
        weights = _weigh(actual, members, segment, task.levels, size, equal)
    mixed = np.einsum("sm,mshq->shq", weights[segment], members, optimize=True)
    dense = segment >= len(_RATES) - 1
    factors = neutral
    if dense.any():
        days = len(past.origins) * min(int(dense.sum()) / len(past.origins), 20.0) ** 0.5
        factors = stretches(actual[dense], mixed[dense], task.levels, part=part, days=days * 2)
    return Blend(members=names, weights=weights, factors=factors, part=part)


def _weigh(
    actual: Array, members: Array, segment: Array, levels: Array, size: Array, equal: Array
) -> Array:
    """[S, M] the point of the grid with the least CRPS, each series scaled by its naive error."""
    weights = equal.copy()
    grid = _grid(members.shape[0])
    overall = _best(actual, members, levels, size, grid)
    for s in range(len(equal)):
        mine = segment == s
        weights[s] = overall
        if mine.sum() >= 10 or mine.all():
            weights[s] = _best(actual[mine], members[:, mine], levels, size[mine], grid)
    return weights


def _best(actual: Array, members: Array, levels: Array, scale: Array, grid: Array) -> Array:
    usable = np.isfinite(actual) & np.isfinite(scale)[:, None]
    step = max(actual.size // _MOST_SCORES, 1)
    row, column = (index[::step] for index in np.nonzero(usable))
    if not len(row):
        return np.asarray(grid.mean(axis=0))
    truth, some = actual[row, column], members[:, row, column]
    losses = [
        float((crps(truth, np.tensordot(w, some, axes=1), levels) / scale[row]).mean())
        for w in grid
    ]
    return np.asarray(grid[int(np.argmin(losses))])


def _grid(n: int) -> Array:
    """Convex weights of n members in whole steps."""
    steps = round(1 / _STEP)
    if n > 5:  # too many points: single members and pairs
        pairs = [
            np.eye(n)[i] * w + np.eye(n)[j] * (1 - w)
            for i in range(n)
            for j in range(i)
            for w in (0.25, 0.5, 0.75)
        ]
        return np.concatenate([np.eye(n), np.stack(pairs)])
    points = [p for p in product(range(steps + 1), repeat=n) if sum(p) == steps]
    return np.asarray(points, dtype=float) / steps
