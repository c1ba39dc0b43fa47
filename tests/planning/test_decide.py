"""What a run expects: the orders from as-of on, whenever that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast import forecast
from planning import decide, notes
from planning.committed import NOBODY
from planning.tables import read_workspace
from planning.workspace import load_workspace
from tests.planning.strategies import several
from tests.planning.workspaces import AS_OF


def test_products_that_nobody_may_sell_any_more_are_told():
    market = several(
        products=3, suppliers=2, offers=3, qualified_until=np.array([1e9 + 3600, 2e9])
    )  # supplier 0 offers products 0 and 2
    since, later = (pd.Timestamp(1e9 + at, unit="s", tz="UTC") for at in (0, 7200))
    (note,) = notes.lapsing(market, since, later)
    assert note.startswith("from 2001-09-09T10:46:40+08:00 on no supplier")
    assert "for 2 products" in note
    assert notes.lapsing(market, later, later + pd.Timedelta("1D")) == []


def test_products_that_nobody_may_sell_at_all_are_told():
    market = several(products=4, suppliers=2, offers=3, qualified_until=np.array([1e9, 2e9]))
    market = replace(market, product_ids=np.array(["a", "b", "c", "d"], dtype=object))
    since = pd.Timestamp(1e9, unit="s", tz="UTC")  # only b's supplier holds a licence
    (note,) = notes.unsold(market, since, np.array([40.0, 9.0, 0.2, 2.0]))
    assert note.startswith("nobody may sell 2 products ('a', 'd'), of which 42 units are expected")
    assert notes.unsold(market, since, np.array([0.0, 9.0, 0.2, 0.0])) == []


@pytest.mark.parametrize("late", ["0min", "20min", "59min 59.5s"])
def test_sampled_orders_begin_at_as_of_and_fill_the_horizon(fresh, monkeypatch, late):
    monkeypatch.setattr(
        decide, "forecast", lambda *a, **known: forecast(*a, **{**known, "members": ["seasonal"]})
    )
    workspace = replace(load_workspace(fresh), horizon=pd.Timedelta("6h"))
    as_of = pd.Timestamp(f"{AS_OF}T12:00", tz=workspace.timezone) - pd.Timedelta("1D")
    as_of += pd.Timedelta(late)
    inputs = read_workspace(workspace, as_of)
    panel = decide.past_demand(workspace, inputs, as_of)
    streams = decide.sampled_futures(
        workspace, inputs, panel, as_of, seed=0, progress=lambda *_: None
    )
    at = np.sort(np.concatenate([each.at for each in streams])) - as_of.timestamp()
    assert at[0] >= 0
    first = panel.future(1)[0].timestamp() - as_of.timestamp()
    assert at[-1] < first + 6 * 3600
    assert at[-1] > first + 5.5 * 3600
    if first > 600:  # the rest of the hour has its share of orders
        expected = (at < first + 3600).sum() - (at < first).sum()
        assert (at < first).sum() == pytest.approx(expected * first / 3600, rel=0.5)


@pytest.fixture
def deciding(fresh, monkeypatch):
    """Decides for the next six hours, with one quick member."""
    monkeypatch.setattr(
        decide, "forecast", lambda *a, **known: forecast(*a, **{**known, "members": ["seasonal"]})
    )
    workspace = replace(load_workspace(fresh), horizon=pd.Timedelta("6h"))
    as_of = pd.Timestamp(f"{AS_OF}T17:00", tz=workspace.timezone) - pd.Timedelta("1D")
    inputs = read_workspace(workspace, as_of)

    def decided(**given):
        return decide.decide(
            workspace, inputs, as_of, seed=0, progress=lambda *_: None, **given
        ).lines

    return workspace, as_of, decided


def test_money_that_a_supplier_has_confirmed_stays_committed_though_its_offer_is_gone(deciding):
    workspace, as_of, decided = deciding
    at, until = as_of.isoformat(), (as_of + pd.Timedelta("1h")).isoformat()
    row = ["a" * 32, "gone", "L1", "P1", at, at, at, until, 1, 1, workspace.working_capital]
    free = decided()
    assert len(free)
    assert decided(answered=pd.DataFrame([row], columns=NOBODY.columns)).empty
    row[1], row[3] = free["supplier_id"].iloc[0], "gone"
    assert decided(answered=pd.DataFrame([row], columns=NOBODY.columns)).empty


def test_lines_of_the_plan_before_whose_offers_are_gone_are_forgotten(deciding):
    _, _, decided = deciding
    line = decided().iloc[[0]].assign(supplier_id="gone")
    near = decided(before=decide.Before(lines=line, freeze=pd.Timedelta("1D")))
    assert len(near)
    assert "gone" not in set(near["supplier_id"])
