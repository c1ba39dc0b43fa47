"""Short histories of few series, with and without cross-fitting: python few.py BENCH.

Series of M4 Hourly by themselves and in groups, the last 48 hours of each held out; writes few.csv
anew. Compare it with MSTL and others by `run.py`; here only what cross-fitting does is asked.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from run import commit

from forecast import LEVELS, Panel, forecast, metrics, panel_of_series
from forecast.demand import Array
from forecast.models import folds

RESULTS = Path(__file__).resolve().parent / "few.csv"
HORIZON, DAY = 48, 24
GROUPS = {1: 24, 4: 8}  # series of a panel: panels
MEMBERS = {"lightgbm": ["lightgbm"], "network": ["network"], "blend": None}
MIDDLE = int(np.argmin(np.abs(LEVELS - 0.5)))


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
    past = replace(panel, ds=panel.ds[:-HORIZON], y=panel.y[:, :-HORIZON])
    actual = panel.y[:, -HORIZON:].astype(np.float64)
    scale = metrics.mase_scale(past.y, DAY)
    quantiles = forecast(past, HORIZON, members=names, season=DAY).quantiles.astype(np.float64)
    return np.array(
        [
            np.log(metrics.sql(actual, quantiles, LEVELS, scale)),
            np.log(metrics.mase(actual, quantiles[:, :, MIDDLE], scale)),
            metrics.coverage(actual, quantiles, LEVELS),
            metrics.above(actual, quantiles, LEVELS),
        ]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
