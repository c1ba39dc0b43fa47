"""Global gradient-boosted trees (LightGBM): what ridge regression gets wrong, learned from all."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.demand import Array
from forecast.features import Past, Task, design, past_of, spread
from forecast.models.model import Prediction
from forecast.models.residuals import Counts, mixed, poisson_counts, pool_counts
from forecast.models.ridge import Weights, learn_weights, past_origins

_CHUNK = 500  # series predicted at a time
_LEVELS = (0.05, 0.25, 0.75, 0.95)  # trees are grown for these and the median
_CLIP = 30.0  # standardised errors beyond are as bad as this
_FEW = 0.5  # orders a bucket below which quantiles come from pools of counts alone

E_=lambda k,d: type(d)(os.environ.get(k,d))

@dataclass(frozen=True)
class Boosted:
    """Direct forecasts for the whole horizon by one set of trees for all series.

    Errors of the ridge member, standardised, are regressed on the same-phase past, level, trend,
    calendar, events and attributes: the median by absolute error on a linear and on a logarithmic
    scale, four more quantiles by pinball loss, the mean by Poisson deviance on top of the ridge's.
    Hours with few orders take their distribution from pools of past counts.
    """

    rows: int = E_('ROWS',300_000)  # training rows at most
    rounds: int = E_('ROUNDS',400)  # for the median
    side_rounds: int = E_('SIDE',160)  # for the other quantiles
    mean_rounds: int = 100
    origins: int = 400  # past origins at most

    def forecast(self, task: Task) -> list[Prediction]:
        """Train on what precedes the first origin, predict from each."""
        weights = learn_weights(task) if past_origins(task) else None
        sample = None if weights is None else self._sample(task, weights)
        if sample is None or len(sample.error) < 500 or not (sample.actual > 0).any():
            from forecast.models.seasonal import Seasonal

            return Seasonal().forecast(task)
        trees = self._train(sample, task)
        counts = poisson_counts(task.levels)
        if (sample.lump > 0).any():
            mean = sample.expected * np.exp(
                trees.mean.predict(sample.x, raw_score=True, num_threads=1)
            )
            counts = pool_counts(mean, sample.actual, sample.lump, task.levels)
        return [_predict(task, origin, trees, counts, weights) for origin in task.origins]

    def _sample(self, task: Task, weights: Weights) -> _Sample | None:
        """Rows of past origins at the same time of day as the first origin."""
        day, first = task.clock.day, task.origins[0]
        least = min(2 * day * task.clock.week, max(first // 3, day))
        starts = np.arange(first - task.horizon, least - 1, -day)
        if not len(starts):
            return None
        most = int(task.effort * self.rows)
        fewest = 90
        starts = starts[: self.origins]
        if len(task.y) * task.horizon * len(starts) > most and len(starts) > fewest:
            starts = starts[:: -(-len(starts) // fewest)]
        rng = np.random.default_rng(task.seed)
        each = min(max(most // (task.horizon * len(starts)), 1), len(task.y))
        chance = _chances(task)
        parts = []
        for start in starts:
            rows = np.sort(rng.choice(len(task.y), size=each, replace=False, p=chance))
            parts.append(_rows(task, past_of(task, rows, int(start)), weights))
        return _joined(parts)

    def _train(self, sample: _Sample, task: Task) -> _Trees:
        """Each objective in one thread, objectives side by side.

        LightGBM's own threads wait for each other by spinning: with busy cores, a hundred times
        slower.
        """
        import lightgbm as lgb

        categorical = [k for k, name in enumerate(sample.names) if name == "category"]
        dense = np.flatnonzero(sample.rate > _FEW)
        settings = self._settings(len(sample.error), task.seed)
        unit = np.where(sample.lump > 0, sample.lump, sample.level)
        usual = np.maximum(sample.expected / unit, 1e-6)
        def data(rows,label,**kw):
            return lgb.Dataset(sample.x[rows], label=label[rows], categorical_feature=categorical, params=settings, **kw)
        everything = slice(None)
        jobs=[]
        mean = data(everything, sample.actual / unit, weight=1 / (1 + 0.3 * usual), init_score=np.log(usual))
        poisson = {"objective": "poisson", "poisson_max_delta_step": 0.3}
        jobs = [({**settings, **poisson}, mean, self.mean_rounds)]
        if len(dense) >= 500:
            fine = {**settings, "num_leaves": E_('LEAVES',63), "learning_rate": E_('LR',0.05)}
            x = lgb.Dataset(sample.x[dense], label=np.clip(sample.error[dense], -_CLIP, _CLIP), categorical_feature=categorical, params=settings).construct()
            ylog = lgb.Dataset(sample.x[dense], label=np.clip(sample.ratio[dense], -_CLIP, _CLIP), categorical_feature=categorical, params=settings, reference=x).construct()
            jobs.append(({**fine, "objective": "quantile", "alpha": 0.5}, x, self.rounds))
            jobs.append(({**fine, "objective": "quantile", "alpha": 0.5, "seed": settings["seed"] + 1}, ylog, self.rounds))
            jobs += [({**settings, "objective": "quantile", "alpha": level}, x, self.side_rounds) for level in _LEVELS]
        order = sorted(range(len(jobs)), key=lambda k: -jobs[k][2])
        with ThreadPoolExecutor(_workers()) as pool:
            grown = dict(zip(order, pool.map(lambda k: lgb.train(*jobs[k]), order), strict=True))
        trees = [grown[k] for k in range(len(jobs))]
        return _Trees(mean=trees[0], median=tuple(trees[1:3]), sides=tuple(trees[3:]))

    def _settings(self, n: int, seed: int) -> dict[str, Any]:
        return {
            "learning_rate": 0.09,
            "num_leaves": 31,
            "min_data_in_leaf": max(20, min(n // 1500, 200)),
            "feature_fraction": E_('FF',0.6),
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "lambda_l2": 1.0,
            "max_bin": 63,
            "min_data_per_group": 50,
            "cat_smooth": 20.0,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "seed": seed % 2**31,
            "verbosity": -1,
        }


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """S training rows."""

    names: list[str]
    x: Array  # float32 [S, F]
    error: Array  # [S] (units − expected) / spread
    ratio: Array  # [S] the same on a logarithmic scale
    actual: Array  # [S] units
    expected: Array  # [S] by the ridge member
    lump: Array  # [S]
    level: Array  # [S]

    @property
    def rate(self) -> Array:
        """[S] expected orders a bucket, inf for series that are no counts."""
        return np.where(self.lump > 0, self.expected / np.maximum(self.lump, 1e-9), np.inf)


@dataclass(frozen=True, kw_only=True)
class _Trees:
    mean: Any
    median: tuple[Any, ...]  # linear, logarithmic; none when all hours are sparse
    sides: tuple[Any, ...]  # for _LEVELS


def _chances(task: Task) -> Array:
    """[N] chance of each series to be sampled: more where there is more to learn."""
    recent = np.nan_to_num(task.y[:, -4 * task.clock.day * task.clock.week :])
    size = np.where(task.lump > 0, recent.mean(axis=1) / np.maximum(task.lump, 1e-9), 1.0)
    chance = 0.05 + np.minimum(size, 1.0) ** 0.5
    return np.asarray(chance / chance.sum())


def floor_of(past: Past) -> Array:
    """[n, 1] units added before taking logarithms."""
    return np.asarray(E_('EPS',0.02) * np.maximum(past.level, 1e-9)[:, None] + 1e-9)


def _rows(task: Task, past: Past, weights: Weights) -> _Sample:
    m = weights.expected(task, past)
    s = spread(task, past, m)
    columns = design(task, past, m, s)
    actual = task.y[past.rows, past.origin : past.origin + task.horizon]
    level = np.broadcast_to(np.maximum(past.level, 1e-9)[:, None], m.shape)
    keep = np.isfinite(actual) & (level > 1e-6)
    shape = m.shape
    x = np.stack([np.broadcast_to(c, shape)[keep] for c in columns.values()], axis=1)
    lump = np.broadcast_to(task.lump[past.rows][:, None], shape)
    floor = floor_of(past)
    ratio = np.log(np.maximum(actual, 0) + floor) - np.log(m + floor)
    return _Sample(
        names=list(columns),
        x=x.astype(np.float32),
        error=((actual - m) / s)[keep],
        ratio=(ratio * (m + floor) / s)[keep],
        actual=actual[keep].astype(np.float64),
        expected=m[keep],
        lump=lump[keep],
        level=level[keep],
    )


def _joined(parts: list[_Sample]) -> _Sample:
    def all_of(name: str) -> Array:
        return np.concatenate([getattr(part, name) for part in parts])

    return _Sample(
        names=parts[0].names,
        x=all_of("x"),
        error=all_of("error"),
        ratio=all_of("ratio"),
        actual=all_of("actual"),
        expected=all_of("expected"),
        lump=all_of("lump"),
        level=all_of("level"),
    )


def _workers() -> int:
    return min(len(os.sched_getaffinity(0)), 4)


def _predict(task: Task, origin: int, trees: _Trees, counts: Counts, weights: Weights) -> Prediction:
    shape = (len(task.rows), task.horizon)
    mean = np.zeros(shape, dtype=np.float32)
    quantiles = np.zeros((*shape, len(task.levels)), dtype=np.float32)

    def fill(start: int) -> None:
        chunk = slice(start, start + _CHUNK)
        past = past_of(task, task.rows[chunk], origin)
        mean[chunk], quantiles[chunk] = _predict_some(task, past, trees, counts, weights)

    with ThreadPoolExecutor(_workers()) as pool:
        list(pool.map(fill, range(0, len(task.rows), _CHUNK)))
    return Prediction(mean=mean, quantiles=np.sort(quantiles, axis=2))


def _predict_some(task: Task, past: Past, trees: _Trees, counts: Counts, weights: Weights) -> tuple[Array, Array]:
    m = weights.expected(task, past)
    s = spread(task, past, m)
    columns = design(task, past, m, s)
    x = np.stack([np.broadcast_to(c, m.shape).ravel() for c in columns.values()], axis=1)
    x = x.astype(np.float32)
    expected = m * np.exp(trees.mean.predict(x, raw_score=True, num_threads=1)).reshape(m.shape)
    wide = np.repeat(expected[..., None], len(task.levels), axis=2)
    if trees.median:
        linear, logarithmic = (t.predict(x, num_threads=1).reshape(m.shape) for t in trees.median)
        floor = floor_of(past)
        grown = (m + floor) * np.exp(np.clip(logarithmic * s / (m + floor), -6, 6)) - floor
        MX=E_('MIX',0.5)
        middle = (1-MX) * (m + s * linear) + MX * np.maximum(grown, 0)
        found = [tree.predict(x, num_threads=1).reshape(m.shape) - linear for tree in trees.sides]
        errors = np.stack([*found[:2], np.zeros_like(m), *found[2:]], axis=-1)
        errors[..., :2] = np.minimum(errors[..., :2], 0)
        errors[..., 3:] = np.maximum(errors[..., 3:], 0)
        errors = np.sort(errors, axis=-1)
        wide = middle[..., None] + s[..., None] * between(errors.reshape(-1, 5), task.levels).reshape(wide.shape)
    both = mixed(expected, wide, counts, task.lump[past.rows])
    return expected, np.maximum(both, 0.0)


def between(errors: Array, levels: Array) -> Array:
    """[S, 5] quantiles at _LEVELS and the median -> [S, Q], linear in the normal quantile."""
    from scipy.special import ndtri

    known, wanted = ndtri((*_LEVELS[:2], 0.5, *_LEVELS[2:])), ndtri(levels)
    left = np.clip(np.searchsorted(known, wanted, side="right") - 1, 0, len(known) - 2)
    part = (wanted - known[left]) / (known[left + 1] - known[left])
    return np.asarray(errors[:, left] * (1 - part) + errors[:, left + 1] * part)
