"""Our plans of small instances beside a monolithic mixed-integer program."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from instances import KINDS, Instance, instance
from milp import Model, plan_of, replayed, units_of

from planning.optimise import solve
from planning.problem import lines
from planning.rules import violations

SECONDS = 30.0  # the program's time limit
GAP = 2e-3  # of what the plan saves, at which it may stop: its bound is what counts


def compare(given: Instance, *, seconds: float = SECONDS) -> dict[str, Any]:
    """One row: objectives of both plans, on the program's ruler and replayed, and the gap."""
    started = time.perf_counter()
    ours = solve(given.market, given.streams, given.limits, given.aims, seed=given.seed)
    took = time.perf_counter() - started
    started = time.perf_counter()
    model = Model(given, ours.plan)
    answer = model.solve(seconds=seconds, gap=GAP)
    exact = plan_of(given, answer.units)
    for plan in (ours.plan, exact):
        broken = violations(
            lines(plan, given.market, ["so"] * len(plan)), given.market, given.limits
        )
        if broken:
            raise RuntimeError(f"{given.kind}, seed {given.seed}: {broken[0]}")
    solved = time.perf_counter() - started
    worth = model.worth(units_of(given, ours.plan))
    best = float(np.fmin(answer.objective, model.worth(answer.units)))  # its units used best
    return {
        "kind": given.kind,
        "seed": given.seed,
        "orders": round(np.mean([len(orders) for orders in given.streams])),
        "reactive": model.reactive,
        "ours": worth,
        "milp": best,
        "bound": answer.bound,
        "gap": (worth - answer.bound) / worth,
        "milp_gap": (best - answer.bound) / best,
        "ours_replayed": replayed(given, ours.plan),
        "milp_replayed": replayed(given, exact),
        "ours_money": float((ours.plan.units * ours.plan.unit_cost).sum()),
        "milp_money": float((exact.units * exact.unit_cost).sum()),
        "ours_lines": len(ours.plan),
        "milp_lines": len(exact),
        "ours_seconds": took,
        "milp_seconds": solved,
    }


def told(row: dict[str, Any]) -> str:
    """One line for people."""
    reachable = row["reactive"] - row["bound"]
    won = 1 - (row["ours"] - row["bound"]) / max(reachable, 1e-9)
    return (
        f"{row['kind']:22} {row['seed']}: gap {row['gap']:.3%}, its own {row['milp_gap']:.3%}, "
        f"won {won:.1%} of {reachable / row['reactive']:.2%}; replayed "
        f"{row['ours_replayed'] / row['milp_replayed'] - 1:+.3%}; money {row['ours_money']:.0f}, "
        f"{row['milp_money']:.0f}; lines {row['ours_lines']}, {row['milp_lines']}; "
        f"{row['ours_seconds']:.1f} s, {row['milp_seconds']:.1f} s"
    )


def measure(seeds: Sequence[int], kinds: Sequence[str] = tuple(KINDS)) -> pd.DataFrame:
    """Rows of every kind and seed; compilation is left out of the seconds."""
    first = instance("plain", 0)
    solve(first.market, first.streams, first.limits, first.aims, seed=0)
    rows = []
    for kind in kinds:
        for seed in seeds:
            rows.append(compare(instance(kind, seed)))
            print(told(rows[-1]), flush=True)
    return pd.DataFrame(rows)
