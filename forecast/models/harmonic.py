"""Dynamic harmonic regression (statsmodels): Fourier terms of day and week, AR(2) errors."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from forecast.demand import Array
from forecast.features import Task
from forecast.models.slow import Largest, Series, fit_largest, slot_sizes

_DAILY = 8  # harmonics of the day
_BESIDE = 2  # harmonics of the week on both sides of each: the day's shape differs by weekday
_ORDER = 2  # of the autoregression of errors
_PATHS = 500


@dataclass(frozen=True)
class Harmonic:
    """Regression on Fourier terms with autoregressive errors, for the largest series."""

    most: int = 30  # series fitted
    seconds: float = 120.0  # a fit that takes longer hangs

    def fit(self, task: Task) -> Largest:
        """Quantiles of simulated futures; the seasonal rule for the other series."""
        return fit_largest(task, fit_harmonic, most=self.most, seconds=self.seconds)


def fit_harmonic(series: Series) -> tuple[Array, Array] | None:
    """Mean [H] and quantiles [H, Q], or None where there are not three days.

    Coefficients and autoregression in turn, by least squares (Cochrane & Orcutt 1949). Futures draw
    innovations of the past, each against the usual size of its time of day.
    """
    from statsmodels.regression.linear_model import GLSAR

    horizon, span, day = len(series.effect), len(series.flat), series.day
    if day < 2 or span < 3 * day or series.flat.std() == 0:
        return None
    x = fourier(np.arange(span + horizon), day, series.week if span >= 3 * day * series.week else 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GLSAR(series.flat, x[:span], rho=_ORDER)
        beta = np.asarray(model.iterative_fit(maxiter=6).params)
    rho = np.atleast_1d(np.asarray(model.rho, dtype=float))
    error = series.flat - x[:span] @ beta
    fresh = error[_ORDER:] - sum(rho[j] * error[_ORDER - 1 - j : -1 - j] for j in range(_ORDER))
    size = slot_sizes(np.concatenate([np.zeros(_ORDER), fresh]), day)
    slot = np.arange(span + horizon) % day
    draws = np.random.default_rng(series.seed).choice(
        (fresh - fresh.mean()) / size[slot[_ORDER:span]], size=(horizon, _PATHS)
    )
    paths = np.empty((_ORDER + horizon, _PATHS))
    paths[:_ORDER] = error[-_ORDER:, None]
    for h in range(horizon):
        before = paths[h : h + _ORDER][::-1]
        paths[_ORDER + h] = rho @ before + draws[h] * size[slot[span + h]]
    mean = x[span:] @ beta
    quantiles = mean[:, None] + np.quantile(paths[_ORDER:], series.levels, axis=1).T
    mean = mean + paths[_ORDER:].mean(axis=1)
    return mean * series.effect, quantiles * series.effect[:, None]


def fourier(at: Array, day: int, week: int) -> Array:
    """[K, P] constant, sines and cosines of the week's harmonics that make days and weekdays."""
    daily = min(_DAILY, day // 2 - 1) if day > 3 else 1
    harmonics = {week * k for k in range(1, daily + 1)}
    if week > 1:
        harmonics |= set(range(1, week))
        harmonics |= {
            week * k + j for k in range(1, daily + 1) for j in range(-_BESIDE, _BESIDE + 1)
        }
    angle = 2 * np.pi * np.outer(at, sorted(harmonics)) / (day * week)
    return np.concatenate([np.ones((len(at), 1)), np.sin(angle), np.cos(angle)], axis=1)
