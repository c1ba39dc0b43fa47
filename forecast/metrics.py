"""Scores of point and quantile forecasts; arrays in, numbers out. NaN in `actual` is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast.demand import Array
from forecast.levels import level_index


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
    return mean_of_series(np.abs(actual - point), scale)


def smape(actual: Array, point: Array) -> float:
    """Symmetric mean absolute percentage error as M4 defines it, 0–200."""
    size = np.abs(actual) + np.abs(point)
    ratio = np.divide(200 * np.abs(actual - point), size, out=np.zeros_like(size), where=size > 0)
    return mean_of_series(np.where(np.isnan(actual), np.nan, ratio), np.ones(len(ratio)))


def wape(actual: Array, point: Array) -> float:
    """Σ |error| / Σ |actual|."""
    return _ratio(np.nansum(np.abs(actual - point)), actual)


def sql(actual: Array, quantiles: Array, levels: Array, scale: Array) -> float:
    """Scaled quantile loss: mean over levels of twice the pinball loss, scaled as MASE is."""
    return mean_of_series(2 * pinball(actual, quantiles, levels).mean(axis=-1), scale)


def wql(actual: Array, quantiles: Array, levels: Array) -> float:
    """Weighted quantile loss: Σ 2·pinball, mean over levels / Σ |actual|."""
    return _ratio(2 * np.nansum(pinball(actual, quantiles, levels).mean(axis=-1)), actual)


def crps(actual: Array, quantiles: Array, levels: Array) -> Array:
    """[..., H] continuous ranked probability score, 2∫ pinball dτ over τ from 0 to 1.

    Each level stands for the τ nearest to it: up to half-way to its neighbours, as in the trapezoid
    rule, the outermost down to 0 and up to 1, with their own loss. So the weights sum to 1.
    """
    loss = 2 * pinball(actual, quantiles, levels)
    weight = np.diff(np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]]))
    return np.asarray((loss * weight).sum(axis=-1))


def sample_crps(actual: Array, paths: Array) -> Array:
    """[...] truth and [K, ...] samples -> [...] CRPS, E|X − y| − ½ E|X − X'|."""
    ordered = np.sort(np.moveaxis(paths, 0, -1), axis=-1)
    k = ordered.shape[-1]
    spread = ordered @ (2.0 * np.arange(1, k + 1) - k - 1) / (k * k)
    return np.asarray(np.abs(ordered - np.asarray(actual)[..., None]).mean(axis=-1) - spread)


def threshold_crps(actual: Array, paths: Array, threshold: Array) -> Array:
    """[...] CRPS that weighs only outcomes of `threshold` and more, from [K, ...] samples.

    ∫ (F(x) − 1{y ≤ x})² 1{x ≥ t} dx (Gneiting & Ranjan 2011), which is the CRPS of max(x, t)
    (Allen, Ginsbourger & Ziegel 2023). `threshold` broadcasts to [...]; where it is NaN, so is the
    score.
    """
    least = np.asarray(threshold, dtype=paths.dtype)
    return sample_crps(np.maximum(actual, threshold), np.maximum(paths, least))


def reliability(probability: Array, happened: Array, bins: int = 10) -> pd.DataFrame:
    """One row for each bin of told probability that holds any: low, high, told, seen, count.

    `told` is the mean probability in the bin, `seen` the share that happened; a reliable forecast
    has them equal (Murphy & Winkler 1977).
    """
    bucket = np.clip((np.ravel(probability) * bins).astype(int), 0, bins - 1)
    count = np.bincount(bucket, minlength=bins)
    filled = np.flatnonzero(count)
    told = np.bincount(bucket, weights=np.ravel(probability), minlength=bins)
    seen = np.bincount(bucket, weights=np.ravel(happened).astype(float), minlength=bins)
    return pd.DataFrame(
        {
            "low": filled / bins,
            "high": (filled + 1) / bins,
            "told": told[filled] / count[filled],
            "seen": seen[filled] / count[filled],
            "count": count[filled],
        }
    )


def coverage(actual: Array, quantiles: Array, levels: Array, width: float = 0.8) -> float:
    """Share of actuals inside the central interval, ties split as the randomised rule expects.

    A count equal to a bound belongs to several levels at once. Of those that the forecast gives to
    this value, the part beyond the bound's level counts as outside (Czado, Gneiting & Held 2009).
    """
    low, high = _ranks(actual, quantiles, levels)
    if not len(low):
        return float("nan")
    start, stop = (1 - width) / 2, (1 + width) / 2
    inside = np.clip(np.minimum(high, stop) - np.maximum(low, start), 0, None)
    return float((inside / (high - low)).mean())


def shares_below(actual: Array, quantiles: Array, levels: Array) -> Array:
    """[Q] share of actuals below each quantile, ties split as in `coverage`; ideally the levels."""
    low, high = _ranks(actual, quantiles, levels)
    if not len(low):
        return np.full(len(levels), np.nan)
    return np.array([np.clip((at - low) / (high - low), 0, 1).mean() for at in levels])


def above(actual: Array, quantiles: Array, levels: Array, level: float = 0.99) -> float:
    """Share of actuals above the quantile of `level`."""
    seen = np.isfinite(actual)
    bound = quantiles[..., level_index(levels, level)]
    return float((actual > bound)[seen].mean()) if seen.any() else float("nan")


def _ranks(actual: Array, quantiles: Array, levels: Array) -> tuple[Array, Array]:
    """Lowest and highest level that the forecast gives to each observed value, [M] each."""
    seen = np.isfinite(actual)
    value, bounds = actual[seen][:, None], quantiles[seen]
    edges = np.concatenate([[0.0], levels, [1.0]])
    return edges[(bounds < value).sum(axis=-1)], edges[(bounds <= value).sum(axis=-1) + 1]


def mean_of_series(loss: Array, scale: Array) -> float:
    """Mean over series of mean loss / scale, [N, H] and [N]; series without either are left out."""
    seen = np.isfinite(loss)
    mean = np.where(seen, loss, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    usable = seen.any(axis=1) & np.isfinite(scale) & (scale > 0)
    return float((mean[usable] / scale[usable]).mean()) if usable.any() else float("nan")


def _ratio(total: float, actual: Array) -> float:
    size = float(np.nansum(np.abs(actual)))
    return float(total) / size if size > 0 else float("nan")
