"""One scorer for all: every model's quantiles, whoever made them, by the same measures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from naive2 import naive2
from sets import Set

from forecast import LEVELS, metrics
from forecast.demand import Array

FALLBACK = "seasonal_naive"  # for series that a peer did not reach
MEDIAN = int(np.argmin(np.abs(LEVELS - 0.5)))
MEASURES = ["MASE", "WAPE", "sMAPE", "OWA", "SQL", "WQL", "coverage80", "above99"]
COST = ["seconds", "series_per_second", "peak_rss_mb"]
COLUMNS = ["set", "model", "series", "reached", *MEASURES, *COST, "commit"]


def row(data: Set, folder: Path, model: str) -> dict[str, object]:
    """Means over the origins of everything measured of one model on one set."""
    facts = json.loads((folder / f"{model}.json").read_text())
    scores = []
    for k, origin in enumerate(data.origins):
        quantiles = read(folder / str(k), model, len(data.panel.ids), data.horizon)
        past = data.past(origin).y
        positive = ~(past < 0).any(axis=1)
        quantiles[positive] = np.maximum(quantiles[positive], 0)
        scores.append(scores_of(data, origin, quantiles))
    found = {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}
    if data.name == "m4":
        found["OWA"] = _owa(data, found)
    facts["series_per_second"] = facts["reached"] / facts["seconds"]
    return {"set": data.name, "model": model, **facts, **found}


def read(folder: Path, model: str, n: int, horizon: int) -> Array:
    """[N, H, Q] float64 as written, the fallback's where the model has none."""
    columns = [f"q{level:g}" for level in LEVELS]
    shape = (n, horizon, len(LEVELS))
    found = pd.read_parquet(folder / f"{model}.parquet", columns=columns)
    values = found.to_numpy(dtype=np.float64).reshape(shape).copy()
    missing = ~np.isfinite(values).all(axis=(1, 2))
    if missing.any() and model != FALLBACK:
        values[missing] = read(folder, FALLBACK, n, horizon)[missing]
    return values


def scores_of(data: Set, origin: int, quantiles: Array) -> dict[str, float]:
    """Everything measured of [N, H, Q] quantiles from one origin."""
    actual = data.actual(origin)
    scale = data.scale(origin)
    median = quantiles[:, :, MEDIAN]
    return {
        "MASE": metrics.mase(actual, median, scale),
        "WAPE": metrics.wape(actual, median),
        "sMAPE": metrics.smape(actual, median),
        "SQL": metrics.sql(actual, quantiles, LEVELS, scale),
        "WQL": metrics.wql(actual, quantiles, LEVELS),
        "coverage80": metrics.coverage(actual, quantiles, LEVELS),
        "above99": metrics.above(actual, quantiles, LEVELS),
    }


def _owa(data: Set, found: dict[str, float]) -> float:
    """Overall weighted average: mean of sMAPE and MASE, each as a share of Naive2's."""
    smape, mase = yardstick(data)
    return (found["sMAPE"] / smape + found["MASE"] / mase) / 2


def yardstick(data: Set) -> tuple[float, float]:
    """(sMAPE, MASE) of Naive2, means over the origins."""
    scores = []
    for origin in data.origins:
        past, actual = data.past(origin).y, data.actual(origin)
        point = naive2(past, data.day, data.horizon)
        scores.append(
            (metrics.smape(actual, point), metrics.mase(actual, point, data.scale(origin)))
        )
    smape, mase = np.mean(scores, axis=0)
    return float(smape), float(mase)
