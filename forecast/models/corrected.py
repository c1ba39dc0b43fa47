"""What a simpler forecast gets wrong, learned from the errors of all series at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecast.columns import design, slopes
from forecast.demand import Array
from forecast.features import Past, Task, past_of, past_origins, same_time, spread
from forecast.models.chunks import in_chunks
from forecast.models.folds import cross_fit
from forecast.models.model import Prediction
from forecast.models.network import train
from forecast.models.residuals import Counts, chance_counts, counted, mixed, pool_counts
from forecast.models.ridge import Crossed, Weights, crossed_weights, taught_by
from forecast.models.sample import LEAST, SIDES, Learned, Quantiles, Sample
from forecast.models.seasonal import Seasonal, SeasonalFit
from forecast.models.trees import grow
from forecast.shapes import ordinary

_CHUNK = 500  # series predicted at a time
_FLOOR = 0.02  # of the level, added before taking logarithms
_ORIGINS = (90, 400)  # past origins: kept when rows are too many, looked at
_LEARNERS: dict[str, tuple[Callable[..., Learned], int]] = {  # with the training rows at most
    "trees": (grow, 200_000),
    "network": (train, 400_000),
}


@dataclass(frozen=True)
class Corrected:
    """Direct forecasts for the whole horizon by one learner for all series.

    Errors of a simpler forecast, standardised, are regressed on the same-phase past, level, trend,
    calendar, events and attributes. The simpler forecast is the ridge member's, or the last day.
    """

    learner: str = "trees"
    daily: bool = False  # learn what the last day gets wrong

    def fit(self, task: Task) -> CorrectedFit | SeasonalFit:
        """Learn from what precedes the first origin."""
        if not taught_by(task):
            return Seasonal().fit(task)
        learn, most = _LEARNERS[self.learner]
        crossed = None if self.daily else crossed_weights(task)
        sample = _sample(task, crossed, int(task.effort * most))
        if sample is None or len(sample.x) < LEAST or not (sample.actual > 0).any():
            return Seasonal().fit(task)
        learned, unseen = cross_fit(learn, sample, horizon=task.horizon, seed=task.seed)
        counts = chance_counts(task.levels)
        if (sample.lump > 0).any():
            growth = learned.growth(sample.x) if unseen is None else unseen
            mean = sample.expected * growth
            counts = pool_counts(mean, sample.actual, sample.lump, task.levels)
        weights = None if crossed is None else crossed.whole
        return CorrectedFit(weights=weights, learned=learned, counts=counts)


@dataclass(frozen=True, kw_only=True)
class CorrectedFit:
    """What was learned, the rule whose errors it knows, and pools of counts for few orders."""

    weights: Weights | None  # None = the last day
    learned: Learned
    counts: Counts

    def predict(self, task: Task, origin: int) -> Prediction:
        """Mean and quantiles, some series at a time."""
        shape = (len(task.rows), task.horizon)
        mean = np.zeros(shape, dtype=np.float32)
        quantiles = np.zeros((*shape, len(task.levels)), dtype=np.float32)

        def fill(chunk: slice) -> None:
            past = past_of(task, task.rows[chunk], origin)
            mean[chunk], quantiles[chunk] = self._some(task, past)

        in_chunks(fill, len(task.rows), _CHUNK)
        return Prediction(mean=mean, quantiles=np.sort(quantiles, axis=2))

    def reasons(self, task: Task, past: Past) -> tuple[Array, dict[str, Array]]:
        """The simpler rule's units [n, H], and what each feature adds to the mean's logarithm.

        Under "" stands what is added on average.
        """
        m = simple(task, past, self.weights)
        x = self._features(task, past, m, spread(task, past, m))
        found = self.learned.contributions(x).reshape(*m.shape, -1)
        return m, {name: found[..., k] for k, name in enumerate([*self.learned.names, ""])}

    def _features(self, task: Task, past: Past, m: Array, s: Array) -> Array:
        columns = _columns(task, past, m, s, self.weights)
        return _matrix(columns, np.ones(m.shape, dtype=bool))

    def _some(self, task: Task, past: Past) -> tuple[Array, Array]:
        m = simple(task, past, self.weights)
        s = spread(task, past, m)
        x = self._features(task, past, m, s)
        expected = m * self.learned.growth(x).reshape(m.shape)
        wide = np.repeat(expected[..., None], len(task.levels), axis=2)
        lump = task.lump[past.rows]
        many = counted(expected, lump) < 1
        found = self.learned.quantiles(x[many.ravel()]) if many.any() else None
        if found is not None:
            wide[many] = _around(found, m[many], s[many], _floor(past, m)[many], task.levels)
        return expected, np.maximum(mixed(expected, wide, self.counts, lump), 0.0)


def simple(task: Task, past: Past, weights: Weights | None) -> Array:
    """[n, H] units by the rule whose errors are learned: the ridge member's, or the last day's."""
    if weights is not None:
        return weights.expected(task, past)
    rule = ordinary(task, past)
    value = past.at(same_time(task.clock, task.ahead(past.origin), past.origin, 1)) * past.effect
    return np.asarray(np.maximum(np.where(np.isfinite(value), value, rule), 0.05 * rule))


def _sample(task: Task, crossed: Crossed | None, most: int) -> Sample | None:
    """Rows, about `most` at most, of past origins at the same time of day as the first origin.

    The simpler rule errs in each as it does on days that it has not learned from.
    """
    day, first = task.clock.day, task.origins[0]
    least = min(2 * day * task.clock.week, max(first // 3, day))
    starts = past_origins(task, least=least)[: _ORIGINS[1]]
    if not starts:
        return None
    if len(task.rows) * task.horizon * len(starts) > most and len(starts) > _ORIGINS[0]:
        starts = starts[:: -(-len(starts) // _ORIGINS[0])]
    rng = np.random.default_rng(task.seed)
    each = min(max(most // (task.horizon * len(starts)), 1), len(task.rows))
    chance = _chances(task)
    parts = []
    for start in starts:
        rows = np.sort(rng.choice(task.rows, size=each, replace=False, p=chance))
        weights = None if crossed is None else crossed.at(start)
        parts.append(_rows(task, past_of(task, rows, start), weights))
    return Sample.joined(parts)


def _chances(task: Task) -> Array:
    """[R] chance of each series to be sampled: more where there is more to learn."""
    recent = np.nan_to_num(task.y[task.rows, -4 * task.clock.day * task.clock.week :])
    lump = task.lump[task.rows]
    size = np.where(lump > 0, recent.mean(axis=1) / np.maximum(lump, 1e-9), 1.0)
    chance = 0.05 + np.minimum(size, 1.0) ** 0.5
    return np.asarray(chance / chance.sum())


def _around(found: Quantiles, m: Array, s: Array, floor: Array, levels: Array) -> Array:
    """[S, Q] units, from standardised errors of S rows and what their simpler rule expects."""
    grown = (m + floor) * np.exp(np.clip(found.log * s / (m + floor), -6, 6)) - floor
    middle = 0.5 * (m + s * found.linear) + 0.5 * np.maximum(grown, 0)
    return np.asarray(middle[:, None] + s[:, None] * between(found.around, levels))


def _floor(past: Past, m: Array) -> Array:
    """What is added to the units `m` [n, H] before taking logarithms."""
    floor = _FLOOR * np.maximum(past.level, 1e-9)[:, None] + 1e-9
    return np.broadcast_to(floor, m.shape)


def _columns(
    task: Task, past: Past, m: Array, s: Array, weights: Weights | None
) -> dict[str, Array]:
    """Features by name; with slopes unless m is the last day, whose own slope is in it."""
    columns = design(task, past, m, s)
    return columns if weights is None else columns | slopes(task, past, m, s)


def _matrix(columns: dict[str, Array], keep: Array) -> Array:
    """float32 [S, F] features of the cells to keep."""
    full = [np.broadcast_to(column, keep.shape)[keep] for column in columns.values()]
    return np.stack(full, axis=1).astype(np.float32)


def _rows(task: Task, past: Past, weights: Weights | None) -> Sample:
    m = simple(task, past, weights)
    s = spread(task, past, m)
    columns = _columns(task, past, m, s, weights)
    actual = task.y[past.rows, past.origin : past.origin + task.horizon]
    alone = actual / _surprise(task, past)
    level = np.broadcast_to(np.maximum(past.level, 1e-9)[:, None], m.shape)
    lump = np.broadcast_to(task.lump[past.rows][:, None], m.shape)
    floor = _floor(past, m)
    log = np.log((np.maximum(alone, 0) + floor) / (m + floor)) * (m + floor) / s
    keep = np.isfinite(actual) & (level > 1e-9)
    return Sample(
        names=tuple(columns),
        x=_matrix(columns, keep),
        actual=actual[keep].astype(np.float64),
        alone=alone[keep],
        error=((actual - m) / s)[keep],
        linear=((alone - m) / s)[keep],
        log=log[keep],
        expected=m[keep],
        lump=lump[keep],
        level=level[keep],
        origin=np.full(int(keep.sum()), past.origin),
    )


def _surprise(task: Task, past: Past) -> Array:
    """[n, H] factor by which each product's category surprised; 1 where there are no orders."""
    known = task.category_levels
    if known is None:
        return np.ones((len(past.rows), task.horizon))
    found = known.surprise(task.category[past.rows], past.origin, task.horizon)
    return np.where(task.lump[past.rows, None] > 0, found, 1.0)


def between(errors: Array, levels: Array) -> Array:
    """[S, 5] quantiles at SIDES and the median -> [S, Q], linear in the normal quantile."""
    from scipy.special import ndtri

    known, wanted = ndtri((*SIDES[:2], 0.5, *SIDES[2:])), ndtri(levels)
    left = np.clip(np.searchsorted(known, wanted, side="right") - 1, 0, len(known) - 2)
    part = (wanted - known[left]) / (known[left + 1] - known[left])
    return np.asarray(errors[:, left] * (1 - part) + errors[:, left + 1] * part)
