"""Gradient-boosted trees (LightGBM) of standardised errors: training rows in, boosters out."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from forecast.demand import Array

SIDES = (0.05, 0.25, 0.75, 0.95)  # levels beside the median for which trees are grown
_CLIP = 30.0  # standardised errors beyond are as bad as this
_FEW = 0.5  # orders a bucket below which quantiles come from pools of counts alone
_ROUNDS, _SIDE_ROUNDS, _MEAN_ROUNDS = 280, 160, 100
_LEAST = 500  # rows that trees need


@dataclass(frozen=True, kw_only=True)
class Sample:
    """S training rows."""

    names: tuple[str, ...]
    x: Array  # float32 [S, F]
    error: Array  # [S] (units − expected) / spread
    ratio: Array  # [S] the same on a logarithmic scale
    actual: Array  # [S] units
    expected: Array  # [S] units by the simpler rule
    lump: Array  # [S]
    level: Array  # [S]

    @classmethod
    def joined(cls, parts: list[Sample]) -> Sample:
        """All parts in one."""
        arrays = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(cls)
            if field.name != "names"
        }
        return cls(names=parts[0].names, **arrays)

    @property
    def rate(self) -> Array:
        """[S] expected orders a bucket, inf for series that are no counts."""
        return np.where(self.lump > 0, self.expected / np.maximum(self.lump, 1e-9), np.inf)


@dataclass(frozen=True, kw_only=True)
class Trees:
    """Boosters; those of quantiles are missing where all hours have few orders."""

    names: tuple[str, ...]  # of the features
    mean: Any  # logarithm of units / expected
    median: tuple[Any, ...]  # standardised error on a linear and a logarithmic scale
    sides: tuple[Any, ...]  # standardised error at SIDES

    def growth(self, x: Array) -> Array:
        """[S] expected units over those of the simpler rule."""
        return np.asarray(np.exp(self.mean.predict(x, raw_score=True, num_threads=1)))

    def contributions(self, x: Array) -> Array:
        """[S, F + 1] what each feature adds to the logarithm of `growth`, last the usual.

        Exact TreeSHAP (Lundberg et al. 2020): a row's sum is the logarithm.
        """
        return np.asarray(self.mean.predict(x, pred_contrib=True, num_threads=1))

    def medians(self, x: Array) -> list[Array]:
        """Standardised errors [S] on both scales."""
        return [booster.predict(x, num_threads=1) for booster in self.median]

    def sides_around(self, x: Array, middle: Array) -> Array:
        """[S, 5] distances of the quantiles from the median, itself 0; ascending."""
        found = [booster.predict(x, num_threads=1) - middle for booster in self.sides]
        low = np.minimum(np.stack(found[:2], axis=1), 0)
        high = np.maximum(np.stack(found[2:], axis=1), 0)
        return np.sort(np.concatenate([low, np.zeros((len(x), 1)), high], axis=1), axis=1)


def grow(sample: Sample, *, seed: int) -> Trees:
    """Median by absolute error, four quantiles by pinball loss, mean by Poisson deviance.

    Each objective in one thread, objectives side by side: LightGBM's own threads wait for each
    other by spinning, with busy cores a hundred times slower.
    """
    import lightgbm as lgb

    settings = _settings(len(sample.error), seed)
    fine = settings | {"num_leaves": 63, "learning_rate": 0.06, "objective": "quantile"}
    jobs = [(settings | {"objective": "poisson", "poisson_max_delta_step": 0.3}, _MEAN_ROUNDS)]
    data = [_mean_data(sample, settings)]
    dense = np.flatnonzero(sample.rate > _FEW)
    if len(dense) >= _LEAST:
        linear = _data(sample, dense, sample.error, settings)
        log = _data(sample, dense, sample.ratio, settings)
        jobs += [(fine, _ROUNDS), (fine | {"seed": settings["seed"] + 1}, _ROUNDS)]
        side = settings | {"objective": "quantile"}
        jobs += [(side | {"alpha": level}, _SIDE_ROUNDS) for level in SIDES]
        data += [linear, log, *[linear] * len(SIDES)]
    with ThreadPoolExecutor(workers()) as pool:
        longest = sorted(range(len(jobs)), key=lambda k: -jobs[k][1])
        done = pool.map(lambda k: lgb.train(jobs[k][0], data[k], jobs[k][1]), longest)
        grown = dict(zip(longest, done, strict=True))
    trees = [grown[k] for k in range(len(jobs))]
    return Trees(
        names=sample.names, mean=trees[0], median=tuple(trees[1:3]), sides=tuple(trees[3:])
    )


def _data(sample: Sample, rows: Array, label: Array, settings: dict[str, Any]) -> Any:
    import lightgbm as lgb

    return lgb.Dataset(
        sample.x[rows],
        label=np.clip(label[rows], -_CLIP, _CLIP),
        categorical_feature=_categorical(sample),
        params=settings,
    ).construct()


def _mean_data(sample: Sample, settings: dict[str, Any]) -> Any:
    """Units of usual orders, or of the level, on top of the simpler rule's."""
    import lightgbm as lgb

    unit = np.where(sample.lump > 0, sample.lump, sample.level)
    usual = np.maximum(sample.expected / unit, 1e-6)
    return lgb.Dataset(
        sample.x,
        label=sample.actual / unit,
        weight=1 / (1 + 0.3 * usual),
        init_score=np.log(usual),
        categorical_feature=_categorical(sample),
        params=settings,
    ).construct()


def _categorical(sample: Sample) -> list[int]:
    return [k for k, name in enumerate(sample.names) if name == "category"]


def workers() -> int:
    """Threads to use."""
    return min(len(os.sched_getaffinity(0)), 4)


def _settings(n: int, seed: int) -> dict[str, Any]:
    return {
        "alpha": 0.5,
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
