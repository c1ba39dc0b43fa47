"""The planner's benchmarks: the exact program is exact, known answers are met, rows are kept."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planning.limits import Limits
from planning.problem import Plan, lines
from planning.rules import violations
from planning.tables import read_workspace
from planning.workspace import load_workspace

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "planning"
sys.path.append(str(FOLDER))

import beside_peers  # noqa: E402
import instances  # noqa: E402
import known_inventory  # noqa: E402
import known_queues  # noqa: E402
import milp  # noqa: E402
import others  # noqa: E402
import readme  # noqa: E402
import results  # noqa: E402
import scale  # noqa: E402
import small_exact  # noqa: E402


def script(name: str):
    """A module whose name another benchmark has too."""
    spec = importlib.util.spec_from_file_location(f"planning_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tiny(kind: str = "plain", seed: int = 0) -> instances.Instance:
    return instances.instance(kind, seed, products=2, suppliers=2)


def one_slot(seed: int) -> instances.Instance:
    """One product whose units live for the ninth hour only, in lines of 4, 6, 8 … units."""
    rng = np.random.default_rng(seed)
    changes = {"lead_time": [8 * 3600.0], "min_order_qty": [4], "pack_size": [2]}
    market = instances.single(
        direct=np.array([True]),
        loss_rate=rng.uniform(0, 0.4, 1),
        **{name: np.array(value) for name, value in changes.items()},
    )
    within = [
        replace(
            orders,
            **{
                name: getattr(orders, name)[(orders.product == 0) & (orders.at < LATE)]
                for name in ("at", "product", "quantity", "segment")
            },
        )
        for orders in tiny(seed=seed).streams
    ]
    limits = Limits(as_of=instances.AS_OF, horizon=12 * 3600.0, working_capital=200.0)
    return replace(tiny(seed=seed), market=market, streams=within, limits=limits)


LATE = instances.AS_OF + 9 * 3600.0


@pytest.mark.parametrize("seed", range(4))
def test_the_program_finds_what_trying_every_plan_finds(seed):
    given = one_slot(seed)
    aims = replace(given.aims, segment_weight={})  # weights: the program may choose whom to serve
    given = replace(given, aims=aims)
    worth = {}
    for count in (0, *range(4, 21, 2)):
        units = np.zeros((1, 12))
        units[0, 8] = count
        worth[count] = milp.replayed(given, milp.plan_of(given, units))
    answer = milp.Model(given).solve(seconds=20, gap=0.0)
    best = min(worth, key=worth.get)
    assert answer.objective == pytest.approx(worth[best], rel=1e-9)
    assert answer.units.sum() == best
    assert set(worth) > {best}


@pytest.mark.parametrize("kind", instances.KINDS)
def test_the_bound_lies_below_every_plan_and_plans_keep_the_rules(kind):
    given = tiny(kind)
    row = small_exact.compare(given, seconds=1)  # raises where a plan breaks a rule
    assert row["bound"] <= row["milp"] + 1e-6
    assert row["bound"] <= row["ours"] + 1e-6
    assert row["milp"] <= row["reactive"] + 1e-6
    # the program chooses whom units serve, the rules take orders as they come
    assert row["ours"] <= row["ours_replayed"] + 1e-6
    assert row["milp"] <= row["milp_replayed"] + 1e-6


def test_a_plan_is_worth_what_its_replay_says_where_all_orders_are_alike():
    given = tiny("short life and slots", 3)
    given = replace(given, aims=replace(given.aims, segment_weight={}))
    answer = milp.Model(given).solve(seconds=10, gap=1e-6)
    plan = milp.plan_of(given, answer.units)
    assert len(plan)
    assert milp.replayed(given, plan) == pytest.approx(answer.objective, rel=2e-4)
    assert (
        violations(lines(plan, given.market, ["so"] * len(plan)), given.market, given.limits) == []
    )


def test_buying_nothing_costs_what_reactive_costs():
    given = tiny("orders of many units")
    model = milp.Model(given)
    assert model.worth(np.zeros((4, 12))) == pytest.approx(model.reactive)
    assert milp.replayed(given, Plan.empty()) == pytest.approx(model.reactive)


def test_a_plan_that_breaks_a_rule_is_worth_nothing():
    given = tiny()
    model = milp.Model(given)
    dear, early = np.zeros((4, 12)), np.zeros((4, 12))
    dear[:, 11] = 1e6
    assert np.isnan(model.worth(dear))
    early[np.argmax(given.market.lead_time), 0] = 1
    with pytest.raises(ValueError, match="doesn't know"):
        model.worth(early)


def test_the_queue_meets_its_known_answers():
    rows = known_queues.peaks() + known_queues.stationary(runs=5, orders=50_000)
    assert [row["instance"] for row in rows if not row["agrees"]] == []


def test_a_wrong_answer_does_not_agree():
    assert not results.answer("x", "m", 1.02, 1.0, digit=0.01)["agrees"]
    assert not results.answer("x", "m", 1.02, 1.0, error=0.004)["agrees"]
    assert results.answer("x", "m", 1.02, 1.0, error=0.006)["agrees"]


def test_the_planner_orders_the_order_statistic():
    rows = known_inventory.order_statistics(trials=2)
    assert all(row["agrees"] for row in rows)


def test_a_large_market_tells_its_figures(capsys):
    scale.main(20, 3)
    facts = json.loads(capsys.readouterr().out)
    assert 0 <= facts["gap"] < 1
    assert 20 < facts["orders_a_path"] / 20 < 60
    assert facts["plan_minutes"] <= facts["reactive_minutes"]


def test_a_size_that_takes_too_long_is_told():
    assert "did not finish" in script("run").plan_of(20, 3, limit=0.01)["status"]


def test_ciw_is_asked_for_the_same_queue():
    at, noise = beside_peers.task_of(300, 2)
    wait, seconds = script("peers").ciw(at, 3.0 * noise, 2)
    assert seconds > 0
    np.testing.assert_allclose(beside_peers.ours(at, noise, 2)[0], wait, atol=1e-9)


def test_rows_replace_those_of_the_same_key_only(tmp_path):
    path = tmp_path / "rows.csv"
    results.keep(path, pd.DataFrame({"kind": ["a", "b"], "gap": [1.0, 2.0]}), ["kind"])
    results.keep(path, pd.DataFrame({"kind": ["a"], "gap": [3.0]}), ["kind"])
    kept = pd.read_csv(path).set_index("kind")["gap"]
    assert kept.to_dict() == {"a": 3.0, "b": 2.0}


def test_the_readme_shows_the_csvs():
    text = readme.README.read_text(encoding="utf-8")
    shown = text.split(readme.BEGIN)[1].split(readme.END)[0].strip()
    assert shown == readme.markdown()


@pytest.mark.parametrize("kind", others.KINDS)
def test_markets_of_the_other_generator_keep_the_contract(kind, tmp_path):
    few = replace(others.KINDS[kind], days=9, orders=300)
    others.make(tmp_path, few, seed=0)
    told = json.loads((tmp_path / "market.json").read_text(encoding="utf-8"))["as_of"]
    inputs = read_workspace(load_workspace(tmp_path), pd.Timestamp(told))
    for table, counts in inputs.counts.items():
        assert counts.accepted == counts.read, table
    assert len(inputs.orders) > 1000
    assert (pd.read_parquet(tmp_path / "future.parquet")["ordered_at"] >= pd.Timestamp(told)).all()
    others.make(tmp_path / "again", few, seed=0)
    for file in tmp_path.glob("*.csv"):
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()
