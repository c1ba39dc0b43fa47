"""What each line spares at the margin, the rule that binds it, and who is next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planning.marginals import COLUMNS, RULES, WORDS, line_details, with_rules
from planning.optimise import solve
from planning.problem import Plan
from planning.simulate import Simulator, futures_of
from tests.planning.strategies import a_market, a_plan, several, some_orders
from tests.planning.test_sensitivity import AIMS, jam, limits


def told(market, streams, money=1e5):
    within = limits(money)
    solution = solve(market, streams, within, AIMS, seed=0)
    details = line_details(solution, within)
    assert tuple(details.columns) == COLUMNS
    assert len(details) == len(solution.plan) > 0
    return solution, details


def jammed(**changes):
    return a_market(**({"channels": np.array([3])} | changes))


BINDS = {
    "max_units_per_hour": {"max_units_per_hour": np.array([20.0])},
    "max_units": {"max_units": np.array([60.0])},
    "credit_limit": {"credit_limit": np.array([600.0])},
}


@pytest.mark.parametrize("rule", BINDS)
def test_the_cap_that_binds_is_named(rule):
    _, details = told(jammed(**BINDS[rule]), [jam()])
    assert (details["binding_rule"] == rule).mean() > 0.5


def test_scarce_capital_is_named():
    _, details = told(jammed(), [jam()], money=600.0)
    assert set(details["binding_rule"]) == {"working_capital"}


def test_ample_terms_leave_only_demand():
    _, details = told(jammed(), [jam()])
    assert set(details["binding_rule"]) == {"demand"}


def test_a_share_of_the_money_is_named():
    market = twice(max_share=np.array([0.5, np.inf]), unit_cost=np.array([10.0, 10.1]))
    solution = solve(market, [jam()], limits(1e5), AIMS, seed=0)
    halves = a_plan(market, (0, 10, 24, 50), (1, 10, 24, 50))  # 500 and 505 of money
    details = line_details(replace(solution, plan=halves), limits(1e5))
    assert details["binding_rule"].iloc[0] == "max_share"
    assert details["binding_rule"].iloc[1] != "max_share"


def ids(*names):
    return np.array(names, dtype=object)


def twice(**changes):
    """Two suppliers of one product, alike but for the changes."""
    terms = {"supplier_ids": ids("cheap", "dear"), "channels": np.array([2, 2])}
    return several(suppliers=2, offers=2, **(terms | changes))


def test_the_next_best_is_the_other_supplier_if_it_can_be_there_in_time():
    costs = {"unit_cost": np.array([9.0, 10.0])}
    _, details = told(twice(**costs), [jam()], money=500.0)
    assert set(details["next_supplier_id"]) == {"dear"}
    assert set(details["next_unit_cost"]) == {10.0}
    late = twice(**costs, lead_time=np.array([3600.0, 20 * 3600.0]))
    _, details = told(late, [jam()], money=500.0)
    assert details["next_supplier_id"].isna().all()


def test_marginal_minutes_are_those_that_one_order_more_on_spot_costs():
    """First-order worth of a unit against the queue served again without it."""
    market = jammed()
    solution, details = told(market, [jam()], money=600.0)
    future = futures_of(market, [jam()], np.ones(3), np.random.default_rng(0))[0]
    simulator = Simulator(market, [future], Plan.empty())
    before = np.nansum(simulator.serve(solution.plan)[0].minutes)
    lost = []
    for line in range(len(solution.plan)):
        columns = {name: values.copy() for name, values in vars(solution.plan).items()}
        columns["units"][line] -= 1
        after = np.nansum(simulator.serve(Plan(**columns))[0].minutes)
        lost.append((after - before) * 1000 / solution.plan.unit_cost[line])
    weight = solution.plan.units
    assert np.average(details["minutes_per_1000"], weights=weight) == pytest.approx(
        np.average(lost, weights=weight), rel=0.25
    )


def test_a_line_in_the_jam_spares_more_than_one_outside_it():
    calm = np.linspace(60, 500, 60)
    rng = np.random.default_rng(0)
    orders = some_orders(np.concatenate([calm, np.sort(rng.uniform(600, 720, 200))]))
    market = jammed(
        direct=np.array([True]),
        unit_cost=np.array([10.0]),
        lead_time=np.zeros(1),
        max_units_per_hour=np.array([30.0]),
    )
    solution, details = told(market, [orders], money=1500.0)
    jammed_hour = solution.plan.available_from >= solution.starts[10]
    rate = details["minutes_per_1000"].to_numpy()
    assert rate[jammed_hour].max() > rate[~jammed_hour].max()


def test_every_rule_has_its_words_and_reasons_stay_one_sentence():
    assert set(WORDS) == set(RULES)
    solution, details = told(jammed(), [jam()], money=600.0)
    for reason in with_rules(solution.reasons, details):
        assert reason.endswith("; working capital keeps it from being larger")
        assert "\n" not in reason


def test_an_empty_plan_has_no_details():
    solution = solve(a_market(), [some_orders([])], limits(1000), AIMS, seed=0)
    details = line_details(solution, limits(1000))
    assert tuple(details.columns) == COLUMNS
    assert details.empty
    assert with_rules(solution.reasons, details) == []
