"""Our engine on many products, in a process of its own: python speed.py PRODUCTS; prints JSON."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pandas as pd
from ours import peak_rss_mb

from forecast import Panel, forecast

SIZES = (2_500, 10_000)  # four times the products should take little more than four times as long
DAYS = 120
HORIZON = 72
_CHUNK = 1_000  # products drawn at a time, so that the drawing is not the peak of memory


def panel(products: int, *, seed: int = 0) -> Panel:
    """Poisson units by hour: levels of several orders of magnitude, a day's and a week's shape."""
    rng = np.random.default_rng(seed)
    ds = pd.date_range("2026-01-01", periods=24 * DAYS, freq="1h", tz="Asia/Shanghai")
    hour, weekday = ds.hour.to_numpy(), ds.day_of_week.to_numpy()
    y = np.empty((products, len(ds)), dtype=np.float32)
    for start in range(0, products, _CHUNK):
        n = min(_CHUNK, products - start)
        level = rng.lognormal(-0.5, 1.5, (n, 1))
        peak = rng.normal(15, 3, (n, 1))
        shape = 1 + 0.8 * np.cos((hour[None, :] - peak) * 2 * np.pi / 24)
        week = 1 + 0.3 * (weekday >= 5)[None, :] * rng.normal(1, 1, (n, 1))
        y[start : start + n] = rng.poisson(level * shape * np.maximum(week, 0.1))
    ids = np.array([f"P{i:05d}" for i in range(products)], dtype=object)
    return Panel(ids=ids, ds=ds.as_unit("us"), y=y, orders=y.copy(), freq="1h")


def main(products: int) -> None:
    """One forecast, timed; reading and drawing stay outside."""
    history = panel(products)
    started = time.perf_counter()
    forecast(history, HORIZON)
    facts = {"seconds": time.perf_counter() - started, "peak_rss_mb": peak_rss_mb()}
    print(json.dumps(facts))


if __name__ == "__main__":
    main(int(sys.argv[1]))
