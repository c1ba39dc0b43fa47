"""Plans held side by side on the same orders, for `peakahead replay`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from planning import policies
from planning.decide import limits_of, order_rows
from planning.limits import Limits
from planning.ownership import open_book
from planning.policies import last_week
from planning.problem import Market, Plan, market, orders, plan_of
from planning.replay import Served, replay
from planning.tables import InputRefused, read_orders, read_plan, read_workspace
from planning.workspace import ConfigError, Workspace

NAMES = {  # for people
    "none": policies.NAMES["reactive"],
    "last-week": policies.NAMES["last-week"],
    "latest": policies.NAMES["plan"],
}
Kpis = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one plan gives on the orders: means over the seeds."""

    kpis: Kpis
    by_segment: dict[str, Kpis]  # of the segments that ordered
    spread: Kpis | None  # standard deviation of each figure over the seeds; None = one seed

    def as_json(self) -> dict[str, Any]:
        """The figures themselves, `by_segment` and, over several seeds, `spread`."""
        spread = {} if self.spread is None else {"spread": self.spread}
        return {**self.kpis, "by_segment": self.by_segment, **spread}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The figures of each plan on the same orders."""

    figures: dict[str, Figures]  # by plan, as it was asked for
    seeds: int
    orders: int
    counts: dict[str, int]  # what became of the rows of the orders' file
    report: Path | None  # of the run whose plan was replayed
    notes: list[str]


def _latest(workspace: Workspace) -> Path:
    with open_book(workspace) as book:
        found = book.all()
    if not found:
        raise ConfigError("--plan latest: no run has succeeded yet; do `peakahead run` first")
    plans = (workspace.root / "runs" / run.run_id / "plan.csv" for run in found)
    here = next((plan for plan in plans if plan.is_file()), None)
    if here is None:
        raise ConfigError(
            "--plan latest: no run of the ledger has its plan in this workspace's runs/"
        )
    return here


def _known_as_of(plans: Sequence[Path], tz: str) -> pd.Timestamp | None:
    """The as-of of the run that wrote a plan, from the manifest beside it."""
    for path in plans:
        manifest = path.parent / "manifest.json"
        try:
            told = json.loads(manifest.read_text(encoding="utf-8"))["as_of"]
            return pd.Timestamp(told).tz_convert(tz)
        except (OSError, ValueError, KeyError, TypeError):  # none, or not one of ours
            continue
    return None


def compare(
    workspace: Workspace,
    orders_file: Path,
    plans: Sequence[str],
    *,
    as_of: pd.Timestamp | None,
    now: pd.Timestamp,
    seeds: Sequence[int],
) -> Comparison:
    """Replay the orders under each plan: a file, `none`, `last-week` or `latest`.

    Each seed is a replay with chances of its own, the same for every plan.
    Without `as_of`, that of the run which made one of the plans counts, else `now`.
    """
    files = {
        name: _latest(workspace) if name == "latest" else Path(name)
        for name in plans
        if name not in ("none", "last-week")
    }
    known = _known_as_of(list(files.values()), workspace.timezone)
    instant = as_of or known or now.tz_convert(workspace.timezone)
    source = "that of the plan's run" if known else "the present moment; --as-of sets another"
    inputs = read_workspace(workspace, instant, history="last-week" in plans)
    log = read_orders(orders_file, workspace, inputs.tables["products"])
    sellers = market(inputs.tables, workspace.timezone)
    stream = orders(order_rows(log.orders), sellers.product_ids)
    limits = limits_of(workspace, instant)
    figures: dict[str, Figures] = {}
    for name in plans:
        plan = _plan(name, files, workspace, sellers, inputs.orders, limits)
        figures[name] = _figures(
            [
                replay(
                    sellers,
                    stream,
                    plan,
                    as_of=limits.as_of,
                    horizon=limits.horizon,
                    target_minutes=workspace.target_minutes,
                    rng=np.random.default_rng(seed),
                )
                for seed in seeds
            ]
        )
    report = next((path.parent / "report.html" for path in files.values()), None)
    return Comparison(
        figures=figures,
        seeds=len(seeds),
        orders=len(stream),
        counts=asdict(log.counts),
        report=report if report is not None and report.is_file() else None,
        notes=[*log.notes, *([] if as_of else [f"as-of {instant.isoformat()}, {source}"])],
    )


def _figures(runs: Sequence[Served]) -> Figures:
    table = pd.DataFrame([run.kpis() for run in runs], dtype=float)
    segments = pd.concat([run.by_segment() for run in runs])
    segments = segments.groupby(level=0, sort=False).mean().astype({"orders": "int64"})
    return Figures(
        kpis=_plain(table.mean()),
        by_segment={str(name): _plain(row) for name, row in segments.astype(object).iterrows()},
        spread=_plain(table.std()) if len(runs) > 1 else None,
    )


def _plain(row: pd.Series) -> Kpis:
    """Figures as JSON knows them: None where there is none."""
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}


def _plan(
    name: str,
    files: Mapping[str, Path],
    workspace: Workspace,
    sellers: Market,
    history: pa.Table,
    limits: Limits,
) -> Plan:
    if name == "none":
        return Plan.empty()
    if name == "last-week":
        return last_week(sellers, orders(order_rows(history), sellers.product_ids), limits)
    path = files[name]
    plan = _read(path, workspace, sellers)
    bound = path.parent / "committed.csv"
    if name != "latest" or not bound.is_file():
        return plan
    return plan.joined(_read(bound, workspace, sellers))  # what the run planned around


def _read(path: Path, workspace: Workspace, sellers: Market) -> Plan:
    if not path.is_file():
        told = "there is no such file; name a plan.csv, none, last-week or latest"
        raise InputRefused([f"--plan {path}: {told}"])
    rows = read_plan(path, workspace)
    try:
        return plan_of(rows, sellers)
    except ValueError as error:
        raise InputRefused([f"{path}: {error}"]) from error


def words(result: Comparison, workspace: Workspace) -> str:
    """The comparison in plain words."""
    told = [f"{result.orders:,} orders, on time = within {workspace.target_minutes:g} minutes"]
    if result.seeds > 1:
        told[0] += f"; means over {result.seeds} seeds"
    for name, figures in result.figures.items():
        kpis, spread = figures.kpis, figures.spread
        if kpis["mean_minutes"] is None:
            told.append(f"  {NAMES.get(name, name)}: no order was served")
            continue
        apart = "" if spread is None else f" ± {spread['mean_minutes']:.2f}"
        told.append(
            f"  {NAMES.get(name, name)}: {kpis['mean_minutes']:.1f}{apart} minutes on average "
            f"(95 % within {kpis['p95_minutes']:.1f}), {kpis['on_time_share']:.0%} on time, "
            f"{kpis['instant_share']:.0%} at once, spend {kpis['spend']:,.0f}"
        )
    if result.report is not None:
        told.append(f"Open {result.report}")
    return "\n".join(told)
