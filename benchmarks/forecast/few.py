"""Short histories of few series, with and without cross-fitting: python few.py BENCH.

Series of M4 Hourly by themselves and in groups, the last 48 hours of each held out; writes few.csv
anew. Compare it with MSTL and others by `run.py`; here only what cross-fitting does is asked.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from run import commit
from score import scores_of
from sets import Set

from forecast import Panel, forecast, panel_of_series
from forecast.demand import Array
from forecast.models import folds

RESULTS = Path(__file__).resolve().parent / "few.csv"
HORIZON, DAY = 48, 24
GROUPS = {1: 24, 4: 8}  # series of a panel: panels
MEMBERS = {"lightgbm": ["lightgbm"], "network": ["network"], "blend": None}


def main(bench: Path) -> None:
    """Every panel by every member, both ways."""
    frame = pd.read_parquet(bench / "m4_hourly_train.parquet")
    ids = np.sort(frame["unique_id"].unique().astype(str))
    version, most, rows = commit(), folds._WINDOWS, []
    for size, count in GROUPS.items():
        drawn = np.random.default_rng(size).permutation(ids)[: size * count].reshape(count, size)
        panels = [
            panel_of_series(frame[frame["unique_id"].isin(some)], freq="1", season=DAY)
            for some in drawn
        ]
        for member, names in MEMBERS.items():
            for how, windows in (("whole", 0), ("cross-fitted", most)):
                folds._WINDOWS = windows
                found = np.mean([measured(panel, names) for panel in panels], axis=0)
                told = [size, count, member, how, *np.exp(found[:2]), *found[2:]]
                rows.append([*told, version])
                print(*rows[-1], flush=True)
    columns = ["series", "panels", "member", "how", "SQL", "MASE", "coverage80", "above99"]
    table = pd.DataFrame(rows, columns=[*columns, "commit"])
    table.to_csv(RESULTS, index=False, float_format="%.4g", lineterminator="\n")


def measured(panel: Panel, names: list[str] | None) -> Array:
    """[4] logarithms of SQL and MASE, coverage of the 80 % interval, share above q0.99."""
    origin = len(panel.ds) - HORIZON
    data = Set(name="few", panel=panel, horizon=HORIZON, origins=(origin,), day=DAY)
    quantiles = forecast(data.past(origin), HORIZON, members=names, season=DAY).quantiles
    found = scores_of(data, origin, quantiles.astype(np.float64))
    logs = np.log([found["SQL"], found["MASE"]])
    return np.array([*logs, found["coverage80"], found["above99"]])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
