"""Quick update against full refit: errors and CPU seconds, on sample markets; writes refresh.csv.

A model is trained at the end of a history and used for the histories that end some hours later,
each of which is also trained on anew. The error is the CRPS of all hours of the horizon, scaled by
each product's mean absolute change from day to day.
"""

from __future__ import annotations

import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast import LEVELS, Panel, load, refresh, save, train
from forecast.backtest import head
from forecast.metrics import crps, mase_scale
from planning.decide import country_of, past_demand
from planning.market import make_market
from planning.tables import read_workspace
from planning.workspace import load_workspace

SEEDS = range(1)
AFTER = (1, 6, 12, 24)  # hours from the training to the forecast
PRODUCTS, DAYS, HORIZON = 40, 60, 72
RESULTS = Path(__file__).with_suffix(".csv")


def situation(seed: int, folder: Path) -> tuple[Panel, dict[str, Any]]:
    """Whole history of a sample market, and what is known beside it."""
    made = make_market(folder / f"market{seed}", days=DAYS, products=PRODUCTS, seed=seed)
    workspace = load_workspace(made.root)
    inputs = read_workspace(workspace, pd.Timestamp(made.as_of))
    panel = past_demand(workspace, inputs, pd.Timestamp(made.as_of))
    known = {name: inputs.tables[name] for name in ("products", "events")}
    return panel, {**known, "country": country_of(workspace.timezone)}


def compared(seed: int, folder: Path) -> list[dict[str, float]]:
    """Rows of seed, hours after the training, quick and full errors and CPU seconds."""
    panel, known = situation(seed, folder)
    cut = len(panel.ds) - HORIZON - max(AFTER)
    scale = mase_scale(panel.y[:, :cut], 24)
    usable = np.isfinite(scale) & (scale > 0)
    trained = train(head(panel, cut), HORIZON, **known)
    save(trained, folder / "kept.model")
    rows = []
    for hours in AFTER:
        now = cut + hours
        actual = panel.y[usable, now : now + HORIZON]
        row: dict[str, float] = {"seed": seed, "hours": hours}
        for way in ("quick", "full"):
            started = time.process_time()
            kept = load(folder / "kept.model") if way == "quick" else None
            found = refresh(head(panel, now), HORIZON, trained=kept, **known)
            row[f"{way}_seconds"] = round(time.process_time() - started, 2)
            assert bool(found.why) == (way == "full"), found.why
            loss = crps(actual, found.forecast.quantiles[usable], LEVELS) / scale[usable, None]
            row[f"{way}_error"] = round(float(np.nanmean(loss)), 5)
        row["megabytes"] = round((folder / "kept.model").stat().st_size / 1e6, 1)
        rows.append(row)
        print(row, flush=True)
    return rows


def main() -> None:
    """All seeds, into the CSV; means by hours on the screen."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for seed in SEEDS for row in compared(seed, Path(folder))]
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(pd.DataFrame(rows).groupby("hours").mean().drop(columns="seed").round(4))


if __name__ == "__main__":
    main()
