"""Our side, in a process of its own: python ours.py SET BENCH; writes what peers.py writes."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from exchange import folder_of
from sets import Set
from sources import load

from forecast import LEVELS, forecast
from forecast.demand import Array

NAME = "peakahead"


def main(name: str, bench: Path) -> None:
    """Every origin in turn."""
    data = load(name, bench)
    if data is None:
        raise SystemExit(f"{name} is not in {bench}")

    def told(origin: int) -> Array:
        past = data.past(origin)
        return forecast(
            past,
            data.horizon,
            products=data.products,
            events=data.events,
            country=data.country,
            season=past.season,
        ).quantiles

    store(data, NAME, told)


def store(data: Set, model: str, told: Callable[[int], Array]) -> None:
    """Writes what a model tells from each origin [N, H, Q], and what that cost."""
    seconds = []
    for k, origin in enumerate(data.origins):
        started = time.perf_counter()
        quantiles = told(origin)
        seconds.append(time.perf_counter() - started)
        _write(data, quantiles, folder_of(data) / str(k) / f"{model}.parquet")
    facts = {
        "seconds": float(np.mean(seconds)),
        "reached": len(data.panel.ids),
        "series": len(data.panel.ids),
        "peak_rss_mb": peak_rss_mb(),
    }
    (folder_of(data) / f"{model}.json").write_text(json.dumps(facts))


def peak_rss_mb() -> float:
    """Largest resident memory of this process, and of its largest child beside it.

    Not by RUSAGE_SELF, which begins with the peak of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    own = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (int(own.split()[1]) + children) / 1024


def _write(data: Set, quantiles: Array, path: Path) -> None:
    flat = quantiles.reshape(-1, len(LEVELS))
    frame = pd.DataFrame(flat, columns=[f"q{level:g}" for level in LEVELS])
    frame.insert(0, "step", np.tile(np.arange(data.horizon), len(data.panel.ids)))
    frame.insert(0, "unique_id", np.repeat(data.panel.ids.astype(str), data.horizon))
    frame.to_parquet(path, index=False)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
