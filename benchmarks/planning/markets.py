"""Plans for whole markets, the days that followed replayed: every policy, the same orders.

Each market is read, forecast and planned as `peakahead run` would; perfect foresight is the same
planner on the orders that came.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from results import CACHE

from planning.decide import aims_of, limits_of, order_rows, past_demand, sampled_futures
from planning.policies import POLICIES, Situation
from planning.problem import Plan, market, orders
from planning.replay import replay
from planning.tables import read_orders, read_workspace
from planning.workspace import load_workspace

REPLAYS = 8  # of the same orders, with other chances
FIGURES = ("mean_minutes", "on_time_share", "p95_minutes", "spend", "lost_value")
KINDS = {"tight": (), "ample": ("--capital-days", "1.3", "--price-spread", "20")}


def sample_markets(seeds: Iterable[int]) -> Iterator[tuple[str, Path]]:
    """Name and folder of `peakahead init`'s markets, made where they are missing."""
    for kind, options in KINDS.items():
        for seed in seeds:
            root = CACHE / "markets" / f"{kind}-{seed}"
            if not (root / "market.json").exists():
                command = [Path(sys.executable).parent / "peakahead", "init", root, *options]
                subprocess.run([*command, "--seed", str(seed), "--quiet"], check=True)
            yield f"{kind}, seed {seed}", root


def situation(root: Path) -> Situation:
    """What is known at the market's as-of, and the orders that came."""
    workspace = load_workspace(root)
    told = json.loads((root / "market.json").read_text(encoding="utf-8"))["as_of"]
    as_of = pd.Timestamp(told).tz_convert(workspace.timezone)
    inputs = read_workspace(workspace, as_of)
    sellers = market(inputs.tables, workspace.timezone)
    panel = past_demand(workspace, inputs, as_of)
    came = read_orders(root / "future.parquet", workspace, inputs.tables["products"])
    return Situation(
        market=sellers,
        limits=limits_of(workspace, as_of),
        aims=aims_of(workspace),
        history=orders(order_rows(inputs.orders), sellers.product_ids),
        streams=sampled_futures(workspace, inputs, panel, as_of, seed=0, progress=lambda *_: None),
        truth=[orders(order_rows(came.orders), sellers.product_ids)],
        seed=0,
    )


def served(seen: Situation, plan: Plan) -> dict[str, float]:
    """Means of FIGURES over the replays."""
    (came,) = seen.truth
    runs = [
        replay(
            seen.market,
            came,
            plan,
            as_of=seen.limits.as_of,
            horizon=seen.limits.horizon,
            target_minutes=seen.aims.target_minutes,
            rng=np.random.default_rng(number),
        ).kpis()
        for number in range(REPLAYS)
    ]
    return {name: float(np.mean([run[name] for run in runs])) for name in FIGURES}


def measure(name: str, root: Path) -> pd.DataFrame:
    """A row a policy; `won` is the share of the reachable improvement in minutes."""
    seen, rows = situation(root), []
    for policy, decide in POLICIES.items():
        started = time.perf_counter()
        plan = decide(seen)
        seconds = time.perf_counter() - started
        rows.append({"market": name, "policy": policy, "seconds": seconds} | served(seen, plan))
    frame = pd.DataFrame(rows).set_index("policy")
    minutes, spend = frame["mean_minutes"], frame["spend"]
    reachable = minutes["reactive"] - minutes["foresight"]
    frame["won"] = (minutes["reactive"] - minutes) / reachable
    frame["spend"] = spend / spend["reactive"]
    return frame.reset_index()
