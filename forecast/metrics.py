"""Scores of point and quantile forecasts; arrays in, numbers out. NaN in `actual` is left out."""

from __future__ import annotations

import numpy as np

from forecast.demand import Array


def pinball(actual: Array, quantiles: Array, levels: Array) -> Array:
    """[..., H] and [..., H, Q] -> [..., H, Q] quantile loss, NaN where not observed."""
    error = np.asarray(actual)[..., None] - quantiles
    return np.asarray(np.maximum(levels * error, (levels - 1) * error))


def mase_scale(y: Array, season: int) -> Array:
    """[N, T] history -> [N] mean absolute error of the in-sample seasonal naive (NaN if none).

    Hyndman & Koehler (2006). A series that never changes has scale NaN: it has no scaled error.
    """
    if y.shape[1] <= season:
        return np.full(len(y), np.nan)
    step = np.abs(y[:, season:].astype(np.float64) - y[:, :-season])
    seen = np.isfinite(step)
    total = np.where(seen, step, 0).sum(axis=1)
    scale = total / np.maximum(seen.sum(axis=1), 1)
    return np.where(scale > 0, scale, np.nan)


def mase(actual: Array, point: Array, scale: Array) -> float:
    """Mean over series of mean |error| / scale; [N, H], [N, H], [N]."""
    return _mean_of_series(np.abs(actual - point), scale)


def smape(actual: Array, point: Array) -> float:
    """Symmetric mean absolute percentage error as M4 defines it, 0–200."""
    size = np.abs(actual) + np.abs(point)
    ratio = np.divide(200 * np.abs(actual - point), size, out=np.zeros_like(size), where=size > 0)
    return _mean_of_series(np.where(np.isnan(actual), np.nan, ratio), np.ones(len(ratio)))


def wape(actual: Array, point: Array) -> float:
    """Σ |error| / Σ |actual|."""
    return _ratio(np.nansum(np.abs(actual - point)), actual)


def sql(actual: Array, quantiles: Array, levels: Array, scale: Array) -> float:
    """Scaled quantile loss: mean over levels of twice the pinball loss, scaled as MASE is."""
    return _mean_of_series(2 * pinball(actual, quantiles, levels).mean(axis=-1), scale)


def wql(actual: Array, quantiles: Array, levels: Array) -> float:
    """Weighted quantile loss: Σ 2·pinball, mean over levels / Σ |actual|."""
    return _ratio(2 * np.nansum(pinball(actual, quantiles, levels).mean(axis=-1)), actual)


def crps(actual: Array, quantiles: Array, levels: Array) -> Array:
    """[..., H] continuous ranked probability score, 2∫ pinball dτ by the trapezoid rule."""
    loss = 2 * pinball(actual, quantiles, levels)
    weight = np.diff(np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]]))
    return np.asarray((loss * weight).sum(axis=-1))


def sample_crps(actual: Array, paths: Array) -> Array:
    """[...] truth and [K, ...] samples -> [...] CRPS, E|X − y| − ½ E|X − X'|."""
    ordered = np.sort(paths, axis=0)
    k = len(ordered)
    weight = (2 * np.arange(1, k + 1) - k - 1).reshape((k,) + (1,) * (ordered.ndim - 1))
    spread = (weight * ordered).sum(axis=0) / (k * k)
    return np.asarray(np.abs(paths - actual).mean(axis=0) - spread)


def coverage(actual: Array, quantiles: Array, levels: Array, width: float = 0.8) -> float:
    """Share of actuals inside the central interval, ties split as the randomised rule expects.

    A count equal to a bound belongs to several levels at once. Of those that the forecast gives to
    this value, the part beyond the bound's level counts as outside (Czado, Gneiting & Held 2009).
    """
    seen = np.isfinite(actual)
    if not seen.any():
        return float("nan")
    edges = np.concatenate([[0.0], levels, [1.0]])
    low = edges[(quantiles < actual[..., None]).sum(axis=-1)]
    high = edges[(quantiles <= actual[..., None]).sum(axis=-1) + 1]
    start, stop = (1 - width) / 2, (1 + width) / 2
    inside = np.clip(np.minimum(high, stop) - np.maximum(low, start), 0, None)
    return float((inside / (high - low))[seen].mean())


def above(actual: Array, quantiles: Array, levels: Array, level: float = 0.99) -> float:
    """Share of actuals above the quantile of `level`."""
    seen = np.isfinite(actual)
    bound = quantiles[..., _level(levels, level)]
    return float((actual > bound)[seen].mean()) if seen.any() else float("nan")


def _level(levels: Array, level: float) -> int:
    found = np.flatnonzero(np.isclose(levels, level))
    if not len(found):
        raise ValueError(f"level {level} is not among the forecast's levels {list(levels)}")
    return int(found[0])


def _mean_of_series(loss: Array, scale: Array) -> float:
    seen = np.isfinite(loss)
    mean = np.where(seen, loss, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    usable = seen.any(axis=1) & np.isfinite(scale) & (scale > 0)
    return float((mean[usable] / scale[usable]).mean()) if usable.any() else float("nan")


def _ratio(total: float, actual: Array) -> float:
    size = float(np.nansum(np.abs(actual)))
    return float(total) / size if size > 0 else float("nan")
