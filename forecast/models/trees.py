"""Gradient-boosted trees (LightGBM) of standardised errors: training rows in, boosters out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.demand import Array
from forecast.models.chunks import workers
from forecast.models.sample import BRIEF, CLIP, LEAST, SIDES, Quantiles, Sample, around

_ROUNDS, _SIDE_ROUNDS, _MEAN_ROUNDS = 280, 160, 100


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

    def quantiles(self, x: Array) -> Quantiles | None:
        """Standardised errors; None where the trees for them are missing."""
        if not self.median:
            return None
        linear, log = (booster.predict(x, num_threads=1) for booster in self.median)
        found = [booster.predict(x, num_threads=1) - linear for booster in self.sides]
        low, high = np.stack(found[:2], axis=1), np.stack(found[2:], axis=1)
        return Quantiles(linear, log, around(low, high))


def grow(sample: Sample, *, seed: int, brief: bool = False) -> Trees:
    """Median by absolute error, four quantiles by pinball loss, mean by Poisson deviance.

    `brief`: half the trees, for one of several learners whose mean is wanted.

    Each objective in one thread, objectives side by side: LightGBM's own threads wait for each
    other by spinning, with busy cores a hundred times slower.
    """
    import lightgbm as lgb

    settings = _settings(len(sample.x), seed)
    fine = settings | {"num_leaves": 63, "learning_rate": 0.06, "objective": "quantile"}
    jobs = [(settings | {"objective": "poisson", "poisson_max_delta_step": 0.3}, _MEAN_ROUNDS)]
    data = [_mean_data(sample, settings)]
    dense = np.flatnonzero(sample.dense)
    if len(dense) >= LEAST:
        linear = _data(sample, dense, sample.linear, settings)
        log = _data(sample, dense, sample.log, settings)
        jobs += [(fine, _ROUNDS), (fine | {"seed": settings["seed"] + 1}, _ROUNDS)]
        side = settings | {"objective": "quantile"}
        jobs += [(side | {"alpha": level}, _SIDE_ROUNDS) for level in SIDES]
        data += [linear, log, *[linear] * len(SIDES)]
    divisor = BRIEF if brief else 1
    with ThreadPoolExecutor(workers()) as pool:
        longest = sorted(range(len(jobs)), key=lambda k: -jobs[k][1])
        done = pool.map(lambda k: lgb.train(jobs[k][0], data[k], jobs[k][1] // divisor), longest)
        grown = dict(zip(longest, done, strict=True))
    trees = [grown[k] for k in range(len(jobs))]
    return Trees(
        names=sample.names, mean=trees[0], median=tuple(trees[1:3]), sides=tuple(trees[3:])
    )


def _data(sample: Sample, rows: Array, label: Array, settings: dict[str, Any]) -> Any:
    import lightgbm as lgb

    return lgb.Dataset(
        sample.x[rows],
        label=np.clip(label[rows], -CLIP, CLIP),
        categorical_feature=_categorical(sample),
        params=settings,
    ).construct()


def _mean_data(sample: Sample, settings: dict[str, Any]) -> Any:
    """Units of usual orders, or of the level, on top of the simpler rule's."""
    import lightgbm as lgb

    return lgb.Dataset(
        sample.x,
        label=sample.alone / sample.unit,
        weight=sample.weight,
        init_score=np.log(sample.usual),
        categorical_feature=_categorical(sample),
        params=settings,
    ).construct()


def _categorical(sample: Sample) -> list[int]:
    return [k for k, name in enumerate(sample.names) if name == "category"]


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
