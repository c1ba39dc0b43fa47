"""What each step of cleaning is worth on seeded dirt, and how often clean data is touched."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the dirt is planted by the tests' own generator

from forecast import Panel, forecast, metrics, panel_of_orders  # noqa: E402
from forecast.calendars import clock_of  # noqa: E402
from forecast.censor import Censored, censored  # noqa: E402
from forecast.clean import clean  # noqa: E402
from forecast.shifts import level_starts  # noqa: E402
from planning.decide import country_of, past_demand  # noqa: E402
from planning.market import make_market  # noqa: E402
from planning.tables import read_workspace  # noqa: E402
from planning.workspace import load_workspace  # noqa: E402
from tests.forecast import dirt  # noqa: E402

SEEDS = range(10)
MARKETS = range(3)
RESULTS = Path(__file__).with_suffix(".csv")
NOTHING = Censored(
    row=np.zeros(0, int), bucket=np.zeros(0, int), run=np.zeros(0, int), share=np.zeros(0),
    due=np.zeros(0),
)  # fmt: skip
Off = Callable[[], AbstractContextManager[object]]


def commit() -> str:
    """Short commit of the working tree, with a + when it has changes; unknown outside git."""
    try:
        head = subprocess.check_output(
            ["git", "rev-parse", "--short=12", "HEAD"], text=True, stderr=subprocess.DEVNULL
        )
        changed = subprocess.check_output(["git", "status", "--porcelain", "-uno"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.strip() + ("+" if any("dirt" not in line for line in changed.splitlines()) else "")


def loss(panel: Panel, log: dirt.Log, hit: np.ndarray) -> float:
    """Weighted quantile loss of the fast member over the products that were made dirty."""
    result = forecast(panel, dirt.HORIZON, members=["seasonal"], n_paths=1)
    return metrics.wql(log.future[hit], result.quantiles[hit].astype(float), result.levels)


def kept() -> AbstractContextManager[object]:
    return patch("forecast.clean.censored", lambda *_, **__: NOTHING)


def forgotten() -> AbstractContextManager[object]:
    """Cells of a jam become unobserved instead of what is likely."""

    def unseen(*args: object, **kwargs: object) -> Censored:
        found = censored(*args, **kwargs)  # type: ignore[arg-type]
        return replace(found, share=np.full(len(found.row), np.nan))

    return patch("forecast.clean.censored", unseen)


def unseen_gaps() -> AbstractContextManager[object]:
    return patch("forecast.clean.gaps", lambda panel, _=None: np.zeros(len(panel.ds), bool))


def steady() -> AbstractContextManager[object]:
    """No level ever shifted."""
    found = ExitStack()
    for module in ("tasks", "blend"):
        never = patch(f"forecast.{module}.level_starts", lambda y, *_, **__: np.zeros(len(y), int))
        found.enter_context(never)
    return found


def planted(kind: str, seed: int) -> tuple[dirt.Log, dirt.Log]:
    """(clean, dirty) logs with one future."""
    rng = np.random.default_rng([seed, 1])
    if kind == "level_shift":
        log = dirt.clean_log(np.random.default_rng(seed), level=dirt.shifting(rng))
        return log, replace(log, hit=np.arange(len(log.ids)) % 2 == 1)
    log = dirt.clean_log(np.random.default_rng(seed))
    if kind == "fake_orders":
        return log, dirt.bursts(rng, log)
    if kind == "fake_orders, no account_id":
        log = replace(log, orders=log.orders.drop(columns="account_id"))
        dirty = dirt.bursts(rng, log)
        return log, replace(dirty, orders=dirty.orders.drop(columns="account_id"))
    if kind == "gap":
        return log, dirt.gap(rng, log)
    return log, dirt.silences(rng, log, lost=1.0 if kind == "silence" else 0.8)


def measured(kind: str) -> dict[str, object]:
    """Mean losses over the seeds: of the clean log, of the dirty one without and with the step."""
    rows = []
    for seed in SEEDS:
        log, dirty = planted(kind, seed)
        panel = dirty.panel()
        dull, off = panel, nullcontext
        if kind.startswith("fake"):
            dull = replace(panel, marks=None)
        elif kind.startswith(("silence", "jam")):
            off = kept
        elif kind == "gap":
            off = unseen_gaps
        elif kind == "level_shift":
            off = steady
        with off():
            without = loss(dull, dirty, dirty.hit)
        with forgotten() if kind.endswith("unobserved") else nullcontext():
            with_it = loss(panel, dirty, dirty.hit)
        pure = loss(log.panel(), dirty, dirty.hit) if kind != "level_shift" else float("nan")
        rows.append((pure, without, with_it))
    clean_loss, without, with_it = np.mean(rows, axis=0)
    better = sum(row[2] < row[1] for row in rows)
    return {
        "what": kind,
        "clean": f"{clean_loss:.4f}",
        "without": f"{without:.4f}",
        "with": f"{with_it:.4f}",
        "better_seeds": f"{better} of {len(rows)}",
    }


def touched_synthetic() -> dict[str, object]:
    """Cells that cleaning changes in clean synthetic logs, and products with a false shift."""
    cells = changed = products = shifted = 0
    for seed in SEEDS:
        panel = dirt.clean_log(np.random.default_rng([seed, 2])).panel()
        seen = clean(panel).panel
        changed += int((~(seen.y == panel.y)).sum())
        cells += panel.y.size
        shifted += int((level_starts(seen.y, clock_of(panel, 1, season=None)) > 0).sum())
        products += len(panel.ids)
    return {"what": "clean synthetic log", **_share(changed, cells, shifted, products)}


def touched_market(seed: int) -> dict[str, object]:
    """The same in the sample market, which has outages and fake orders of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = make_market(Path(folder) / "market", days=120, products=60, seed=seed)
        workspace = load_workspace(made.root)
        as_of = pd.Timestamp(made.as_of)
        inputs = read_workspace(workspace, as_of)
        panel = past_demand(workspace, inputs, as_of)
        odd = inputs.orders.to_pandas()
        genuine = odd[~odd["quantity"].isin([7, 13, 17, 23])]
        truth = panel_of_orders(
            dirt.table(genuine), panel.ids, freq="1h", tz=workspace.timezone, as_of=as_of
        )
        tables = inputs.tables
    seen = clean(
        panel,
        products=tables["products"],
        events=tables["events"],
        country=country_of(workspace.timezone),
    )
    listed = seen.changes[~seen.changes["kind"].isin(["outage"])]
    finite = np.isfinite(seen.panel.y) & np.isfinite(truth.y)
    wrong = int((seen.panel.y[finite] != truth.y[finite]).sum())
    wrong += int((listed["kind"] != "fake_orders").sum())
    first = level_starts(seen.panel.y, clock_of(panel, 1, season=None))
    row = _share(wrong, panel.y.size, int((first > 0).sum()), len(panel.ids))
    return {"what": f"sample market, seed {seed}", **row}


def _share(changed: int, cells: int, shifted: int, products: int) -> dict[str, object]:
    return {
        "wrong_cells": f"{changed} of {cells}",
        "shifts": f"{shifted} of {products}",
    }


def main() -> None:
    kinds = ["fake_orders", "fake_orders, no account_id", "silence", "jam"]
    kinds += ["jam, unobserved", "gap", "level_shift"]
    rows = []
    version = commit()
    for make in [
        *(lambda kind=kind: measured(kind) for kind in kinds),
        touched_synthetic,
        *(lambda seed=seed: touched_market(seed) for seed in MARKETS),
    ]:
        row = {"commit": version, "cores": os.cpu_count(), **make()}
        print(", ".join(f"{name} {value}" for name, value in list(row.items())[2:]), flush=True)
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with RESULTS.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
