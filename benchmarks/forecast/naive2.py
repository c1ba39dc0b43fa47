"""Naive2: the last value, seasonally adjusted where the season is significant; M4's yardstick."""

from __future__ import annotations

import numpy as np

from forecast.demand import Array

_CRITICAL = 1.645  # of the test for a season, 90 % two-sided


def naive2(y: Array, season: int, horizon: int) -> Array:
    """[N, T] history, NaN before a series begins -> [N, H].

    Multiplicative classical decomposition where the autocorrelation at the season stands out
    (Makridakis, Spiliotis & Assimakopoulos 2020, the competition's published R code).
    """
    found = np.empty((len(y), horizon))
    for i, row in enumerate(y):
        found[i] = _one(row[np.isfinite(row)].astype(np.float64), season, horizon)
    return found


def _one(y: Array, season: int, horizon: int) -> Array:
    index = np.ones(len(y) + horizon)
    if is_seasonal(y, season):
        index = np.resize(seasonal_indices(y, season), len(y) + horizon)
    # The competition repeats the last season's indices, which continues the phase.
    return np.asarray(y[-1] / index[len(y) - 1] * index[len(y) :])


def is_seasonal(y: Array, season: int) -> bool:
    """Whether the autocorrelation at lag `season` is beyond its 90 % band (Bartlett's formula)."""
    if len(y) < 3 * season:
        return False
    centred = y - y.mean()
    power = float(centred @ centred)
    if power == 0:
        return False
    lags = np.array([centred[k:] @ centred[:-k] for k in range(1, season + 1)]) / power
    limit = _CRITICAL / np.sqrt(len(y)) * np.sqrt(1 + 2 * (lags[:-1] ** 2).sum())
    return bool(abs(lags[-1]) > limit)


def seasonal_indices(y: Array, season: int) -> Array:
    """[season] mean ratio to the centred moving average by phase, of mean 1."""
    half = season // 2
    weights = np.ones(season + 1 - season % 2)
    if season % 2 == 0:
        weights[[0, -1]] = 0.5
    trend = np.full(len(y), np.nan)
    trend[half : len(y) - half] = np.convolve(y, weights / season, mode="valid")
    ratio = y / trend
    padded = np.full(-(-len(y) // season) * season, np.nan)
    padded[: len(y)] = ratio
    figure = np.nanmean(padded.reshape(-1, season), axis=0)
    return np.asarray(figure / figure.mean())
