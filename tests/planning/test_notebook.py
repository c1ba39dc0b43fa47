"""What a notebook starts from: an instant, and orders to hold against what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pytest

from planning.notebook import FUTURE, held_out, latest_as_of
from planning.tables import read_workspace
from planning.workspace import load_workspace
from tests.planning.workspaces import AS_OF

TZ = "Asia/Shanghai"
NOW = pd.Timestamp("2026-11-29T10:00:00Z")


@pytest.fixture
def own(fresh: Path) -> Path:
    """A workspace in which nothing says when it is, or what came after."""
    (fresh / "market.json").unlink()
    (fresh / FUTURE).unlink()
    return fresh


def a_run(root: Path, name: str, as_of: str) -> None:
    folder = root / "runs" / name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"as_of": as_of}), encoding="utf-8")


def test_a_sample_market_is_looked_at_as_of_the_instant_it_was_made_for(fresh):
    a_run(fresh, "a", "2026-03-31T00:00:00+08:00")
    assert latest_as_of(load_workspace(fresh), NOW) == pd.Timestamp(AS_OF, tz=TZ)


def test_elsewhere_the_latest_run_counts_and_nothing_unfinished(own):
    for name, as_of in (
        ("b", "2026-03-29T00:00:00+08:00"),
        ("a", "2026-03-29T18:00:00+00:00"),
        (".unfinished-c", "2026-04-01T00:00:00+08:00"),
    ):
        a_run(own, name, as_of)
    found = latest_as_of(load_workspace(own), NOW)
    assert found.isoformat() == "2026-03-30T02:00:00+08:00"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW, "2026-04-02T00:00:00+08:00"),  # the day of the last order is over
        (pd.Timestamp("2026-03-28T10:00:00Z"), "2026-03-28T18:00:00+08:00"),
    ],
)
def test_before_the_first_run_it_is_the_midnight_after_the_last_order_or_now(own, now, expected):
    assert latest_as_of(load_workspace(own), now).isoformat() == expected


def test_a_sample_market_keeps_what_followed(fresh):
    workspace = load_workspace(fresh)
    as_of = pd.Timestamp(AS_OF, tz=TZ)
    since, came = held_out(workspace, read_workspace(workspace, as_of), as_of)
    about = json.loads((fresh / "market.json").read_text(encoding="utf-8"))
    assert since == as_of
    assert len(came) == about["counts"]["future"]


@pytest.mark.parametrize("as_of", ["2026-03-30T00:00", "2026-03-30T09:17"])
def test_elsewhere_the_last_whole_days_before_as_of_are_held_out(own, as_of):
    workspace = load_workspace(own)
    instant = pd.Timestamp(as_of, tz=TZ)
    inputs = read_workspace(workspace, instant)
    since, came = held_out(workspace, inputs, instant)
    assert since.isoformat() == "2026-03-27T00:00:00+08:00"
    at = pd.DatetimeIndex(came["ordered_at"].to_pandas())
    assert len(came) > 0
    assert since <= at.min()
    assert at.max() < since + workspace.horizon <= instant
    known = pd.DatetimeIndex(inputs.orders["ordered_at"].to_pandas())
    assert len(came) == ((known >= since) & (known < since + workspace.horizon)).sum()


def test_a_log_that_ended_before_as_of_is_held_out_from_its_own_end(own):
    workspace = load_workspace(own)
    inputs = read_workspace(workspace, pd.Timestamp(AS_OF, tz=TZ))
    since, came = held_out(workspace, inputs, NOW.tz_convert(TZ))
    assert since.isoformat() == "2026-03-27T00:00:00+08:00"
    assert len(came) > 0


def test_too_short_a_log_is_told_and_not_held_out(own):
    workspace = load_workspace(own)
    as_of = pd.Timestamp(AS_OF, tz=TZ)
    inputs = read_workspace(workspace, as_of)
    at = inputs.orders["ordered_at"]
    late = pc.greater(at, pc.max(at).as_py() - pd.Timedelta("2D"))
    with pytest.raises(ValueError, match="nothing can be held out: the log begins after"):
        held_out(workspace, replace(inputs, orders=inputs.orders.filter(late)), as_of)
    with pytest.raises(ValueError, match="there are no orders before as-of"):
        held_out(workspace, replace(inputs, orders=inputs.orders.slice(0, 0)), as_of)
