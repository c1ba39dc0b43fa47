"""Global gradient-boosted trees (LightGBM): what the seasonal rule gets wrong, learned from all."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.demand import Array
from forecast.features import Past, Task, design, ordinary, past_of, spread
from forecast.models.model import Prediction
from forecast.models.residuals import Counts, mixed, poisson_counts, pool_counts

_CHUNK = 500  # series predicted at a time
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # trees are grown for these; the rest lies between
_CLIP = 30.0  # standardised errors beyond are as bad as this


@dataclass(frozen=True)
class Boosted:
    """Direct forecasts for the whole horizon by one set of trees for all series.

    Errors of the seasonal rule, standardised, are regressed on the same-phase past, level, trend,
    calendar, events and attributes: five quantiles by pinball loss, the mean by Poisson deviance on
    top of the rule's. Hours with few orders take their distribution from pools of past counts.
    """

    rows: int = 160_000  # training rows at most
    rounds: int = 160
    mean_rounds: int = 100
    origins: int = 90  # past origins at most

    def forecast(self, task: Task) -> list[Prediction]:
        """Train on what precedes the first origin, predict from each."""
        sample = self._sample(task)
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
        return [_predict(task, origin, trees, counts) for origin in task.origins]

    def _sample(self, task: Task) -> _Sample | None:
        """Rows of past origins at the same time of day as the first origin."""
        day, first = task.clock.day, task.origins[0]
        least = min(2 * day * task.clock.week, max(first // 3, day))
        starts = np.arange(first - task.horizon, least - 1, -day)
        if not len(starts):
            return None
        starts = starts[:: max(-(-len(starts) // self.origins), 1)]
        rng = np.random.default_rng(task.seed)
        each = min(
            max(int(task.effort * self.rows) // (task.horizon * len(starts)), 1), len(task.y)
        )
        chance = _chances(task)
        parts = []
        for start in starts:
            rows = np.sort(rng.choice(len(task.y), size=each, replace=False, p=chance))
            parts.append(_rows(task, past_of(task, rows, int(start))))
        return _joined(parts)

    def _train(self, sample: _Sample, task: Task) -> _Trees:
        """Each objective in one thread, objectives side by side.

        LightGBM's own threads wait for each other by spinning: with busy cores, a hundred times
        slower.
        """
        import lightgbm as lgb

        settings = self._settings(len(sample.error), task.seed)
        unit = np.where(sample.lump > 0, sample.lump, sample.level)
        usual = np.maximum(sample.expected / unit, 1e-6)
        error = lgb.Dataset(
            sample.x,
            label=np.clip(sample.error, -_CLIP, _CLIP),
            categorical_feature=[k for k, name in enumerate(sample.names) if name == "category"],
            params=settings,
        ).construct()
        units = lgb.Dataset(
            sample.x,
            label=sample.actual / unit,
            weight=1 / (1 + 0.3 * usual),
            init_score=np.log(usual),
            reference=error,
            categorical_feature=[k for k, name in enumerate(sample.names) if name == "category"],
            params=settings,
        ).construct()
        dense = bool((sample.rate > 1.0).any())
        levels = _LEVELS if dense else ()
        jobs = [({"objective": "quantile", "alpha": level}, error, self.rounds) for level in levels]
        poisson = {"objective": "poisson", "poisson_max_delta_step": 0.3}
        jobs.append((poisson, units, self.mean_rounds))
        with ThreadPoolExecutor(_workers()) as pool:
            trees = list(
                pool.map(lambda job: lgb.train({**settings, **job[0]}, job[1], job[2]), jobs)
            )
        return _Trees(quantiles=tuple(trees[:-1]), mean=trees[-1])

    def _settings(self, n: int, seed: int) -> dict[str, Any]:
        return {
            "learning_rate": 0.09,
            "num_leaves": 31,
            "min_data_in_leaf": max(20, min(n // 1500, 200)),
            "feature_fraction": 0.6,
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
    actual: Array  # [S] units
    expected: Array  # [S] by the seasonal rule
    lump: Array  # [S]
    level: Array  # [S]

    @property
    def rate(self) -> Array:
        """[S] expected orders a bucket, inf for series that are no counts."""
        return np.where(self.lump > 0, self.expected / np.maximum(self.lump, 1e-9), np.inf)


@dataclass(frozen=True, kw_only=True)
class _Trees:
    quantiles: tuple[Any, ...]  # boosters for _LEVELS, none when all hours are sparse
    mean: Any


def _chances(task: Task) -> Array:
    """[N] chance of each series to be sampled: more where there is more to learn."""
    recent = np.nan_to_num(task.y[:, -4 * task.clock.day * task.clock.week :])
    size = np.where(task.lump > 0, recent.mean(axis=1) / np.maximum(task.lump, 1e-9), 1.0)
    chance = 0.05 + np.minimum(size, 1.0) ** 0.5
    return np.asarray(chance / chance.sum())


def _rows(task: Task, past: Past) -> _Sample:
    m = ordinary(task, past)
    s = spread(task, past, m)
    columns = design(task, past, m, s)
    actual = task.y[past.rows, past.origin : past.origin + task.horizon]
    level = np.broadcast_to(np.maximum(past.level, 1e-9)[:, None], m.shape)
    keep = np.isfinite(actual) & (level > 1e-6)
    shape = m.shape
    x = np.stack([np.broadcast_to(c, shape)[keep] for c in columns.values()], axis=1)
    lump = np.broadcast_to(task.lump[past.rows][:, None], shape)
    return _Sample(
        names=list(columns),
        x=x.astype(np.float32),
        error=((actual - m) / s)[keep],
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
        actual=all_of("actual"),
        expected=all_of("expected"),
        lump=all_of("lump"),
        level=all_of("level"),
    )


def _workers() -> int:
    return min(len(os.sched_getaffinity(0)), 4)


def _predict(task: Task, origin: int, trees: _Trees, counts: Counts) -> Prediction:
    shape = (len(task.rows), task.horizon)
    mean = np.zeros(shape, dtype=np.float32)
    quantiles = np.zeros((*shape, len(task.levels)), dtype=np.float32)

    def fill(start: int) -> None:
        chunk = slice(start, start + _CHUNK)
        past = past_of(task, task.rows[chunk], origin)
        mean[chunk], quantiles[chunk] = _predict_some(task, past, trees, counts)

    with ThreadPoolExecutor(_workers()) as pool:
        list(pool.map(fill, range(0, len(task.rows), _CHUNK)))
    return Prediction(mean=mean, quantiles=np.sort(quantiles, axis=2))


def _predict_some(task: Task, past: Past, trees: _Trees, counts: Counts) -> tuple[Array, Array]:
    m = ordinary(task, past)
    s = spread(task, past, m)
    columns = design(task, past, m, s)
    x = np.stack([np.broadcast_to(c, m.shape).ravel() for c in columns.values()], axis=1)
    x = x.astype(np.float32)
    expected = m * np.exp(trees.mean.predict(x, raw_score=True, num_threads=1)).reshape(m.shape)
    wide = np.repeat(expected[..., None], len(task.levels), axis=2)
    if trees.quantiles:
        found = [tree.predict(x, num_threads=1) for tree in trees.quantiles]
        errors = np.sort(np.stack(found, axis=1), axis=1)
        wide = between(errors, task.levels).reshape(*m.shape, -1)
        wide = m[..., None] + s[..., None] * wide
    both = mixed(expected, wide, counts, task.lump[past.rows])
    return expected, np.maximum(both, 0.0)


def between(errors: Array, levels: Array) -> Array:
    """[S, 5] quantiles at _LEVELS -> [S, Q], linear in the normal quantile, beyond the ends too."""
    from scipy.special import ndtri

    known, wanted = ndtri(_LEVELS), ndtri(levels)
    left = np.clip(np.searchsorted(known, wanted, side="right") - 1, 0, len(known) - 2)
    part = (wanted - known[left]) / (known[left + 1] - known[left])
    return np.asarray(errors[:, left] * (1 - part) + errors[:, left + 1] * part)
