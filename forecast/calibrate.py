"""Conformal calibration: quantiles stretched, and their tail fitted, on data not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.demand import Array
from forecast.levels import level_index

_LEAST = 60  # observations that a stretch needs
_DOUBT = 30.0  # days of hold-out that weigh as much as the belief that no stretch is needed
_ALIKE = 20.0  # series that weigh as much as the belief that all levels need the same stretch
_FADE = 0.9  # weight of an origin against the next later one
_TAIL = 0.95  # the level beyond which the tail has a shape of its own
_EXTREMES = 40  # held-out values beyond it that a shape needs
_SHAPES = (-0.2, 0.4)  # of the generalised Pareto distribution


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far quantiles move from the median, by part of the horizon, and the tail's shape."""

    part: Array  # int [H] part of the horizon, 0 … P − 1
    factors: Array  # float [P, Q] on the distance from the median
    shape: float = 0.0  # of the generalised Pareto tail beyond the last level; 0 = exponential

    def apply(self, quantiles: Array, levels: Array) -> Array:
        """[N, H, Q] stretched; sorted along Q."""
        centre = quantiles[..., level_index(levels, 0.5)][..., None]
        return np.sort(centre + (quantiles - centre) * self.factors[self.part][None], axis=2)


def neutral(part: Array, levels: Array) -> Calibration:
    """Changes nothing."""
    return Calibration(part=part, factors=np.ones((int(part.max()) + 1, len(levels))))


def calibrate(
    actual: Array, quantiles: Array, levels: Array, *, part: Array, age: Array
) -> Calibration:
    """Learn from held-out forecasts.

    Conformalised quantile regression (Romano, Patterson & Candès 2019) with the score
    (units − median) / (quantile − median), recent origins weighing more (Barber et al. 2023). With
    many series each level of each side moves on its own, with few all by much the same factor, and
    hardly together: calm days of few series are no proof that those to come are calm.
    Beyond q0.95 scores follow a generalised Pareto distribution.

    Parameters
    ----------
    actual
        [S, H] held-out units, NaN = not observed or not to be used.
    quantiles
        [S, H, Q] their forecasts.
    part
        int [H] part of the horizon, 0 … P − 1.
    age
        int [S] origins between a row's and the last one. The more origins and rows, the more a
        stretch is trusted; with few it stays near 1.
    """
    found = neutral(part, levels)
    origins, rows = np.unique(age, return_counts=True)
    series = float(rows.mean())
    days = 2 * len(origins) * min(series, 20.0) ** 0.5
    trust = days / (days + _DOUBT)
    weight = np.broadcast_to((_FADE**age)[:, None], actual.shape)
    centre = quantiles[..., level_index(levels, 0.5)]
    error = actual - centre
    moved = np.full(found.factors.shape, np.nan)  # logarithms
    for p in range(len(moved)):
        at = part == p
        for k, level in enumerate(levels):
            distance = quantiles[:, at, k] - centre[:, at]
            usable = np.isfinite(error[:, at]) & (np.abs(distance) > 1e-9)
            if k == level_index(levels, 0.5) or usable.sum() < _LEAST:
                continue
            score = error[:, at][usable] / distance[usable]
            share = max(level, 1 - level)
            factor = weighted_quantile(score, weight[:, at][usable], share)
            moved[p, k] = np.log(np.clip(factor, 0.4, 4.0))
    known = np.isfinite(moved)
    if not known.any():
        return found
    common, own = moved[known].mean(), trust * series / (series + _ALIKE)
    if common < 0:
        common *= min(series / _ALIKE, 1.0)
    found.factors[known] = np.exp(trust * common + own * (moved[known] - common))
    return _with_tail(found, actual, quantiles, levels, own)


def weighted_quantile(x: Array, weight: Array, level: float) -> float:
    """Least x at which the running share of weight reaches the level."""
    order = np.argsort(x, kind="stable")
    running = np.cumsum(weight[order])
    return float(x[order][np.searchsorted(running, level * running[-1])])


def _with_tail(
    found: Calibration, actual: Array, quantiles: Array, levels: Array, trust: float
) -> Calibration:
    """Let levels beyond q0.95 follow the Pareto tail of all parts of the horizon together."""
    start = int(np.argmin(np.abs(levels - _TAIL)))
    if abs(levels[start] - _TAIL) > 1e-9:
        return found
    moved = found.apply(quantiles, levels)
    centre = moved[..., level_index(levels, 0.5)]
    width = moved[..., start] - centre
    usable = np.isfinite(actual) & (width > 1e-9)
    score = (actual - centre)[usable] / width[usable]
    beyond = score[score > 1] - 1
    if len(beyond) < _EXTREMES:
        return found
    shape, scale = pareto_tail(beyond)
    factors = found.factors.copy()
    for k in range(start + 1, len(levels)):
        excess = tail_quantile((1 - levels[k]) / (1 - _TAIL), shape, scale)
        ratio = float(np.median((moved[..., k] - centre)[usable] / width[usable]))
        factors[:, k] *= ((1 + excess) / max(ratio, 1.0)) ** trust
    return Calibration(part=found.part, factors=factors, shape=shape)


def pareto_tail(excess: Array) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution by probability-weighted moments.

    Hosking & Wallis (1987); the shape is kept within bounds, and the mean as observed.
    """
    x = np.sort(excess)
    n = len(x)
    rest = 1 - (np.arange(1, n + 1) - 0.35) / n
    first, second = float(x.mean()), float((x * rest).mean())
    shape = 2 - first / max(first - 2 * second, 1e-12)
    shape = float(np.clip(shape, *_SHAPES))
    return shape, first * (1 - shape)


def tail_quantile(share: float, shape: float, scale: float) -> float:
    """Excess that a `share` of the tail lies beyond."""
    if abs(shape) < 1e-6:
        return float(-scale * np.log(share))
    return float(scale / shape * (share**-shape - 1))
