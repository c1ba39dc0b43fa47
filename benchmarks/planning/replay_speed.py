"""Orders a second of `planning.replay`, on demand and with last week's plan in place."""

from __future__ import annotations

import csv
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from results import commit

from planning.decide import limits_of, order_rows
from planning.limits import Limits
from planning.market import make_market
from planning.policies import last_week
from planning.problem import Market, Orders, Plan, market, orders
from planning.replay import replay
from planning.tables import read_workspace
from planning.workspace import load_workspace

SIZES = ((60, 28), (1000, 14))  # products, days of history
REPEATS = 5
RESULTS = Path(__file__).with_suffix(".csv")


def situation(products: int, days: int) -> tuple[Market, Orders, Plan, Limits]:
    """A market, the orders of its whole past, and a plan for its next days."""
    with tempfile.TemporaryDirectory() as folder:
        made = make_market(Path(folder) / "market", days=days, products=products, seed=0)
        workspace = load_workspace(made.root)
        as_of = pd.Timestamp(made.as_of)
        inputs = read_workspace(workspace, as_of)
        sellers = market(inputs.tables, workspace.timezone)
        stream = orders(order_rows(inputs.orders), sellers.product_ids)
        limits = limits_of(workspace, as_of)
    return sellers, stream, last_week(sellers, stream, limits), limits


def shifted(stream: Orders, limits: Limits) -> Orders:
    """The past's orders, the last one moved to the horizon's end, so that they meet the plan."""
    later = limits.as_of + limits.horizon - stream.at[-1] - 1
    return Orders(
        at=stream.at + later,
        product=stream.product,
        quantity=stream.quantity,
        segment=stream.segment,
    )


def best_seconds(sellers: Market, stream: Orders, plan: Plan, limits: Limits) -> float:
    """Shortest of several passes, the first one (compilation) left out."""
    seconds = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        replay(
            sellers,
            stream,
            plan,
            as_of=limits.as_of,
            horizon=limits.horizon,
            target_minutes=5.0,
            rng=np.random.default_rng(0),
        )
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def main() -> None:
    """Measure every size and add the figures to the CSV."""
    rows = []
    version = commit()
    for products, days in SIZES:
        sellers, past, plan, limits = situation(products, days)
        stream = shifted(past, limits)
        for name, lines in (("none", Plan.empty()), ("last-week", plan)):
            seconds = best_seconds(sellers, stream, lines, limits)
            rate = len(stream) / seconds
            print(f"{products:>5} products, {len(stream):>9,} orders, {name}: {rate:,.0f} a second")
            rows.append(
                {
                    "commit": version,
                    "python": platform.python_version(),
                    "cores": os.cpu_count(),
                    "products": products,
                    "orders": len(stream),
                    "plan_lines": len(lines),
                    "plan": name,
                    "repeats": REPEATS,
                    "seconds": f"{seconds:.4f}",
                    "orders_per_second": round(rate),
                }
            )
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0].keys(), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
