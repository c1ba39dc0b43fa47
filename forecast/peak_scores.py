"""How well peaks were told: their hour, their windows, their height, their probability."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast import metrics
from forecast.demand import Array
from forecast.forecasts import Forecast
from forecast.levels import level_index
from forecast.outcomes import Outcome
from forecast.peaks import median_of, over_windows, path_windows
from forecast.runs import runs

PEAK_ORDERS = 48  # a day, from which on its busiest hour is more than chance
_NEAR = 1  # hours by which a told peak hour may be off


def peak_scores(result: Forecast, outcome: Outcome) -> dict[str, float]:
    """Every measure of peaks; NaN where there was nothing to judge."""
    actual, scale, levels = outcome.actual, outcome.scale, result.levels
    quantiles = result.quantiles.astype(np.float64)
    found = {
        "peak_hour_hits": peak_hour_hits(result.mean, outcome),
        **window_scores(median_of(result), actual, outcome.limit),
        "peak_height_error": height_error(result.paths, outcome),
    }
    for kind, (probability, happened) in exceedances(result, outcome).items():
        name = "brier" if kind == "bucket" else f"{kind}_brier"
        found[name] = float(((probability - happened) ** 2).mean()) if len(happened) else np.nan
    for level in (0.95, 0.99):
        k = level_index(levels, level)
        loss = 2 * metrics.pinball(actual, quantiles[..., k : k + 1], levels[k : k + 1])[..., 0]
        found[f"q{level:g}_loss"] = metrics.mean_of_series(loss, scale)
    above = metrics.threshold_crps(actual, result.paths, outcome.limit[:, None])
    found["twCRPS"] = metrics.mean_of_series(above, scale)
    return found


def peak_hour_hits(mean: Array, outcome: Outcome) -> float:
    """Share of product-days whose busiest hour is at most an hour from the one expected to be.

    Judged are local days of which every bucket was forecast and observed, with 48 orders or more;
    where no orders are counted, every day that is not flat. Of several equally busy hours any
    counts; the expected one is the first with the largest mean. Buckets of an hour are summed; a
    bucket that is longer, or no time, counts as an hour.
    """
    hits = days = 0
    for at in _days(outcome.day):
        hours = _hours(outcome.actual[:, at], outcome.per_hour)
        if hours.shape[1] < 2:
            continue
        top = hours == hours.max(axis=1, keepdims=True)
        if outcome.orders is None:
            judged = np.isfinite(hours).all(axis=1) & ~top.all(axis=1)
        else:
            judged = np.isfinite(hours).all(axis=1)
            judged &= outcome.orders[:, at].sum(axis=1) >= PEAK_ORDERS
        near = top.copy()
        for step in range(1, _NEAR + 1):
            near[:, step:] |= top[:, :-step]
            near[:, :-step] |= top[:, step:]
        told = _hours(mean[:, at], outcome.per_hour).argmax(axis=1)
        hits += int(near[np.arange(len(near)), told][judged].sum())
        days += int(judged.sum())
    return hits / days if days else float("nan")


def window_scores(median: Array, actual: Array, limit: Array) -> dict[str, float]:
    """Precision, recall, F1 and IoU of predicted windows; [N, H], [N, H], [N].

    Windows are runs of buckets above the product's limit: of the median those predicted, of the
    actual demand those that came. Precision is the mean over predicted windows of the share of
    their buckets that was above, recall the mean over actual windows of the share that was
    predicted (Tatbul et al. 2018 with flat bias and no reward for existence), F1 their harmonic
    mean. IoU: buckets in both / buckets in either. Buckets that were not observed don't count.
    """
    seen = np.isfinite(actual) & np.isfinite(limit)[:, None]
    high = seen & (np.where(seen, actual, 0) > limit[:, None])
    told = median > limit[:, None]
    either = int((seen & (told | high)).sum())
    precision, recall = _mean_share(told, high, seen), _mean_share(high, told, seen)
    both = (told & high).sum()
    if not either:
        f1 = float("nan")
    else:
        p, r = np.nan_to_num(precision), np.nan_to_num(recall)
        f1 = float(2 * p * r / (p + r)) if p + r else 0.0
    return {
        "peak_precision": precision,
        "peak_recall": recall,
        "peak_f1": f1,
        "peak_iou": float(both / either) if either else float("nan"),
    }


def height_error(paths: Array, outcome: Outcome) -> float:
    """Σ |median over the paths of a day's largest bucket − the actual one| / Σ |actual one|.

    Over the product-days of which every bucket was forecast and observed.
    """
    error = size = 0.0
    for at in _days(outcome.day):
        top = outcome.actual[:, at].max(axis=1)
        known = np.isfinite(top)
        told = np.median(paths[:, known][:, :, at].max(axis=2), axis=0)
        error += float(np.abs(told - top[known]).sum())
        size += float(np.abs(top[known]).sum())
    return error / size if size else float("nan")


def exceedances(result: Forecast, outcome: Outcome) -> dict[str, tuple[Array, Array]]:
    """Told probability and what happened: of each observed bucket, of each predicted window.

    The event is that demand exceeds the product's limit, in the bucket or somewhere in the window;
    the probability is the share of paths, as in `find_peaks`. A window counts if all of it was
    observed.
    """
    actual, limit = outcome.actual, outcome.limit
    seen = np.isfinite(actual) & np.isfinite(limit)[:, None]
    high = seen & (np.where(seen, actual, 0) > limit[:, None])
    crossing = outcome.crossing.astype(result.paths.dtype)
    probability = (result.paths > crossing[:, None]).mean(axis=0)
    row, start, stop = runs(median_of(result) > limit[:, None])
    whole = over_windows(np.minimum, seen.astype(np.int8), row, start, stop) > 0
    row, start, stop = row[whole], start[whole], stop[whole]
    _, tops = path_windows(result.paths, row, start, stop)
    told = (tops > crossing[row]).mean(axis=0) if len(row) else np.zeros(0)
    came = over_windows(np.maximum, high.astype(np.int8), row, start, stop) > 0
    return {"bucket": (probability[seen], high[seen]), "window": (told, came)}


def reliability_of(result: Forecast, outcome: Outcome) -> pd.DataFrame:
    """Reliability tables of both probabilities: kind, low, high, told, seen, count."""
    parts = []
    for kind, (probability, happened) in exceedances(result, outcome).items():
        table = metrics.reliability(probability, happened)
        table.insert(0, "kind", kind)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _days(day: Array) -> list[Array]:
    """Buckets of each day."""
    return [np.flatnonzero(day == number) for number in np.unique(day[day >= 0])]


def _hours(x: Array, per_hour: int) -> Array:
    return np.add.reduceat(x, np.arange(0, x.shape[1], per_hour), axis=1)


def _mean_share(windows: Array, other: Array, seen: Array) -> float:
    """Mean over the runs of `windows` of the share of their seen buckets that is in `other`."""
    row, start, stop = runs(windows)
    inside = over_windows(np.add, seen.astype(np.int64), row, start, stop)
    shared = over_windows(np.add, (seen & other).astype(np.int64), row, start, stop)
    known = inside > 0
    return float((shared[known] / inside[known]).mean()) if known.any() else float("nan")
