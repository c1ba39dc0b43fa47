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
from planning.problem import Market, Orders, Plan, instant, market, orders, plan_of
from planning.replay import Served, replay
from planning.tables import InputRefused, read_orders, read_plan, read_workspace
from planning.workspace import ConfigError, Workspace

NAMES = {  # for people
    "none": policies.NAMES["reactive"],
    "last-week": policies.NAMES["last-week"],
    "latest": policies.NAMES["plan"],
}
NOTHING_LAST_WEEK = (
    "--plan last-week buys nothing, so it equals none: the orders before as-of don't reach back a "
    "week, or nothing that was ordered in the same hours can be bought in time"
)
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
    start = as_of or known or now.tz_convert(workspace.timezone)
    source = "that of the plan's run" if known else "the present moment; --as-of sets another"
    inputs = read_workspace(workspace, start, history="last-week" in plans)
    log = read_orders(orders_file, workspace, inputs.tables["products"])
    sellers = market(inputs.tables, workspace.timezone)
    stream = orders(order_rows(log.orders), sellers.product_ids)
    limits = limits_of(workspace, start)
    figures: dict[str, Figures] = {}
    told = [*log.notes, *_orders_outside(stream, limits, sellers.tz)]
    for name in plans:
        plan, notes = _plan(name, files, workspace, sellers, inputs.orders, limits)
        told += [*notes, *_lines_outside(name, plan, limits)]
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
        notes=[*told, *([] if as_of else [f"as-of {start.isoformat()}, {source}"])],
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
) -> tuple[Plan, list[str]]:
    """The plan of that name, and what people should know of it."""
    if name == "none":
        return Plan.empty(), []
    if name == "last-week":
        plan = last_week(sellers, orders(order_rows(history), sellers.product_ids), limits)
        return plan, [] if len(plan) else [NOTHING_LAST_WEEK]
    path = files[name]
    plan, bound = _read(path, workspace, sellers), path.with_name("committed.csv")
    if path.name != "plan.csv" or not bound.is_file():
        return plan, []
    confirmed = _read(bound, workspace, sellers)  # what the run planned around
    if not len(confirmed):
        return plan, []
    told = f"--plan {name}: served with the {len(confirmed):,} confirmed lines of committed.csv"
    return plan.joined(confirmed), [f"{told} beside it"]


def _orders_outside(stream: Orders, limits: Limits, tz: str) -> list[str]:
    """A note on orders outside the horizon, which no plan was made for."""
    until = limits.as_of + limits.horizon
    inside = len(stream.between(limits.as_of, until))
    if inside == len(stream):
        return []
    first, end = (instant(at, tz).isoformat() for at in (limits.as_of, until))
    return [
        f"{inside:,} of {len(stream):,} orders lie in the horizon, {first} to {end}; the figures "
        "are of all of them, though a plan is made for those alone: give the orders of that time, "
        "or another --as-of"
    ]


def _lines_outside(name: str, plan: Plan, limits: Limits) -> list[str]:
    """A note on a plan's lines outside the horizon: it was made for another time."""
    since_as_of = plan.available_from - limits.as_of
    inside = int(((since_as_of >= 0) & (since_as_of < limits.horizon)).sum())
    if inside == len(plan):
        return []
    return [
        f"--plan {name}: {inside:,} of {len(plan):,} lines become ready in the horizon; is it of "
        "another time than --as-of?"
    ]


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
