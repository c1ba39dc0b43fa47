"""What a notebook starts from: where it stands in time, and what it is held against."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from planning.tables import Inputs, read_orders, read_workspace
from planning.workspace import Workspace

FUTURE = "future.parquet"  # what a sample market keeps of the days after as-of


def latest_as_of(workspace: Workspace, now: pd.Timestamp) -> pd.Timestamp:
    """Where a notebook stands: at the as-of of a sample market, else of the latest run.

    Without either it is the midnight after the last order, or `now` if that comes first.
    """
    sample = workspace.root / "market.json"
    runs = (workspace.root / "runs").glob("[!.]*/manifest.json")
    told = [_as_of_in(path) for path in ([sample] if sample.is_file() else runs)]
    present = now.tz_convert(workspace.timezone)
    if told:
        return max(told).tz_convert(workspace.timezone)
    last = _last_order(read_workspace(workspace, present).orders)
    return present if last is None else min(present, _midnight(last.tz_convert(present.tz), 1))


def _as_of_in(path: Path) -> pd.Timestamp:
    return pd.Timestamp(json.loads(path.read_text(encoding="utf-8"))["as_of"])


def _last_order(orders: pa.Table) -> pd.Timestamp | None:
    last = pc.max(orders["ordered_at"]).as_py()
    return None if last is None else pd.Timestamp(last)


def _midnight(at: pd.Timestamp, days: int = 0) -> pd.Timestamp:
    """The local midnight that began the day of `at`, or so many days after it."""
    day = pd.Timestamp(at.date()) + pd.Timedelta(days=days)
    return day.tz_localize(at.tz, ambiguous=True, nonexistent="shift_forward")


def held_out(
    workspace: Workspace, inputs: Inputs, as_of: pd.Timestamp
) -> tuple[pd.Timestamp, pa.Table]:
    """An instant, and the orders of the horizon after it: what a plan can be held against.

    A sample market keeps those after as-of. Elsewhere the log's own last days are held out: the
    instant is the last midnight that a whole horizon of the log follows.

    Raises
    ------
    ValueError
        When the log is not longer than that.
    """
    if (workspace.root / FUTURE).is_file():
        log = read_orders(workspace.root / FUTURE, workspace, inputs.tables["products"])
        return as_of, _within(log.orders, as_of, workspace.horizon)
    last = _last_order(inputs.orders)
    if last is None:
        raise ValueError("nothing can be held out: there are no orders before as-of")
    end = min(as_of, last.tz_convert(as_of.tz) + pd.Timedelta(hours=1))
    since = _midnight(end - workspace.horizon)
    if since <= pc.min(inputs.orders["ordered_at"]).as_py():
        raise ValueError(
            f"nothing can be held out: the log begins after {since.isoformat()}, a horizon of "
            f"{workspace.horizon} before its end; give a longer log or a shorter forecast.horizon"
        )
    return since, _within(inputs.orders, since, workspace.horizon)


def _within(orders: pa.Table, since: pd.Timestamp, length: pd.Timedelta) -> pa.Table:
    at = orders["ordered_at"]
    begin = pa.scalar(since.tz_convert("UTC"), at.type)
    end = pa.scalar((since + length).tz_convert("UTC"), at.type)
    return orders.filter(pc.and_(pc.greater_equal(at, begin), pc.less(at, end)))
