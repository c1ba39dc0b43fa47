"""Laws of what would help: the frontier, shadow prices, and advice on what the target takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planning import sensitivity
from planning.advice import capital_for
from planning.expectation import Aims
from planning.limits import Limits
from planning.optimise import solve
from planning.problem import HOUR, Orders
from planning.sensitivity import FRONTIER_COLUMNS, capital_step, study
from tests.planning.strategies import AS_OF, a_market, several, some_orders

AIMS = Aims(
    target_minutes=5, target_share=0.95, delay_cost=0.05, capital_cost=0.08, segment_weight={}
)


def jam(seed: int = 0, orders: int = 400, product: int = 0) -> Orders:
    rng = np.random.default_rng(seed)
    at = np.sort(rng.uniform(600, 720, orders))
    return some_orders(at, product=np.full(orders, product))


def limits(money: float) -> Limits:
    return Limits(as_of=AS_OF, horizon=24 * HOUR, working_capital=money)


def tried(market, streams, money, aims=AIMS):
    solution = solve(market, streams, limits(money), aims, seed=0)
    return solution, study(solution, limits(money), aims, seed=0)


def two_suppliers(**changes):
    """Each sells one product of its own; s0 is jammed in `both`, s1 has hardly any order."""
    names = np.array(["jammed", "idle"], dtype=object)
    terms = {"supplier_ids": names, "channels": np.array([3, 3])}
    return several(products=2, suppliers=2, offers=2, **(terms | changes))


def both() -> Orders:
    busy, calm = np.random.default_rng(1).uniform(600, 720, 200), np.linspace(0, 1400, 20)
    at = np.concatenate([busy, calm])
    order = np.argsort(at)
    return some_orders(at[order], product=np.repeat([0, 1], [200, 20])[order])


@pytest.fixture(scope="module")
def scarce():
    """A jam that the capital relieves in part."""
    return tried(a_market(channels=np.array([3])), [jam(n) for n in range(4)], 1000.0)


def test_more_capital_is_never_slower_along_the_frontier(scarce):
    _, helps = scarce
    curve = helps.frontier
    assert tuple(curve.columns) == FRONTIER_COLUMNS
    assert curve["capital"].is_monotonic_increasing
    assert curve["capital"].iloc[0] == 0
    assert 1250 < curve["capital"].iloc[-1] <= 1500
    assert len(curve) > 8
    assert (np.diff(curve["mean_minutes"]) <= 0.02 * curve["mean_minutes"].iloc[0]).all()
    assert (np.diff(curve["on_time_share"]) >= -0.02).all()


def test_the_frontier_holds_both_policies(scarce):
    solution, helps = scarce
    for one in (solution.reactive, solution.predicted):
        row = helps.frontier[np.isclose(helps.frontier["capital"], one.prealloc_value)].iloc[0]
        assert row["mean_minutes"] == pytest.approx(one.mean_minutes)
        assert row["spend"] == pytest.approx(one.spend)


def test_what_more_capital_would_do_is_what_a_richer_plan_does(scarce):
    solution, helps = scarce
    told = helps.prices[helps.prices["what"] == "capital"].set_index("amount")
    assert sorted(told.index) == [100, 500]
    richer = solve(
        solution.growth.simulator.market, [jam(n) for n in range(4)], limits(1500), AIMS, seed=0
    )
    saved = solution.predicted.mean_minutes - richer.predicted.mean_minutes
    assert saved > 1
    assert told.loc[500, "minutes_saved"] == pytest.approx(saved, rel=0.15)
    assert 0 < told.loc[100, "minutes_saved"] < told.loc[500, "minutes_saved"]


def test_a_channel_is_worth_most_where_orders_wait():
    _, helps = tried(two_suppliers(), [both()], 300.0)
    channel = helps.prices[helps.prices["what"] == "channel"].set_index("supplier_id")
    assert channel.loc["jammed", "minutes_saved"] > 1
    assert channel.loc["idle", "minutes_saved"] == pytest.approx(0, abs=1e-9)
    assert (
        channel.loc["idle", "words"]
        == "One more spot channel at idle would change next to nothing."
    )
    assert helps.prices["minutes_saved"].is_monotonic_decreasing
    assert any("late by the queue at jammed" in sentence for sentence in helps.advice)


def test_one_more_channel_is_that_channel():
    market = two_suppliers()
    solution, helps = tried(market, [both()], 300.0)
    wider = Limits(as_of=AS_OF, horizon=24 * HOUR, working_capital=0.0, committed=solution.plan)
    richer = solve(replace(market, channels=np.array([4, 3])), [both()], wider, AIMS, seed=0)
    saved = solution.predicted.mean_minutes - richer.before.mean_minutes
    told = helps.prices.set_index(["what", "supplier_id"])["minutes_saved"]
    assert told["channel", "jammed"] == pytest.approx(saved)


def test_a_lead_time_that_keeps_a_jam_from_being_covered_is_found():
    early = some_orders(np.sort(np.random.default_rng(2).uniform(120, 240, 200)), product=[0] * 200)
    market = two_suppliers(lead_time=np.array([5 * HOUR, 5 * HOUR]))
    _, helps = tried(market, [early], 1500.0)
    lead = helps.prices[helps.prices["what"] == "lead_time"].set_index("supplier_id")
    assert list(lead.index) == ["jammed"]  # nobody waits at the other
    assert lead.loc["jammed", "minutes_saved"] > 1
    _, covered = tried(two_suppliers(lead_time=np.array([HOUR, HOUR])), [early], 1500.0)
    assert "lead_time" not in set(covered.prices["what"])


def test_advice_names_the_capital_that_reaches_the_target(scarce):
    _, helps = scarce
    aims = replace(AIMS, target_share=float(helps.frontier["on_time_share"].iloc[-2]))
    solution, told = tried(
        a_market(channels=np.array([3])), [jam(n) for n in range(4)], 1000.0, aims
    )
    assert solution.status.startswith("target missed")
    needed = capital_for(told.frontier, aims.target_share, solution.reactive.spend)
    assert 1000 < needed <= 1500
    assert f"about {needed - 1000:,.0f} more working capital" in told.advice[0]


def test_advice_says_how_far_the_capital_that_was_tried_gets(scarce):
    told = scarce[1].advice[0]
    assert told.startswith("Half as much working capital again doesn't reach 95% on time yet")


def test_nothing_is_advised_when_the_target_is_met():
    calm = some_orders(np.linspace(0, 1400, 20))
    solution, helps = tried(a_market(spot_minutes=np.array([0.5])), [calm], 1000.0)
    assert solution.status == "target met, in 1 of 1 sampled futures"
    assert helps.advice == []


@pytest.mark.parametrize(("orders", "money"), [(some_orders([]), 1000.0), (jam(), 0.0)])
def test_without_orders_or_money_there_is_still_an_answer(orders, money):
    _, helps = tried(a_market(), [orders], money)
    assert len(helps.frontier) == 1
    assert helps.prices["words"].str.endswith(".").all()


def test_capital_between_two_points_is_interpolated():
    curve = pd.DataFrame(
        {
            "capital": [0.0, 100.0, 200.0, 300.0],
            "mean_minutes": [9.0, 5.0, 4.0, 3.0],
            "on_time_share": [0.5, 0.6, 0.8, 0.9],
            "spend": [50.0, 49.0, 48.0, 51.0],
        }
    )
    assert capital_for(curve, 0.7, 50.0) == pytest.approx(150)
    assert capital_for(curve, 0.4, 50.0) == 0
    assert np.isnan(capital_for(curve, 0.85, 50.0))  # only at more spend


@pytest.mark.parametrize("capital", [7.0, 999.0, 10_000.0, 173_989.0, 1e6, 3e7])
def test_a_step_of_capital_is_round_and_neither_dust_nor_a_fortune(capital):
    step = capital_step(capital)
    assert np.log10(step) == pytest.approx(round(np.log10(step)))
    assert 0.02 * capital <= step <= 0.2 * capital * (1 + 1e-9)


def test_equal_plans_give_equal_answers():
    market = a_market(channels=np.array([3]), fill_rate=np.array([0.9]))
    first, second = (tried(market, [jam(1), jam(2)], 500.0)[1] for _ in range(2))
    pd.testing.assert_frame_equal(first.frontier, second.frontier, check_exact=True)
    pd.testing.assert_frame_equal(first.prices, second.prices, check_exact=True)


# Capital too small for a line, or not what binds


def test_capital_below_the_smallest_line_is_told_with_its_price():
    market = a_market(min_order_qty=np.array([40]), channels=np.array([3]))  # 400 money
    solution, helps = tried(market, [jam()], 200.0)
    assert len(solution.plan) == 0
    assert solution.status.endswith("working capital is too small for any line")
    assert helps.advice[0].endswith("too little for any line: the smallest costs 400.00.")
    assert len(tried(market, [jam()], 450.0)[0].plan) == 1


def test_where_most_capital_is_idle_more_of_it_is_not_tried():
    market = several(suppliers=1, channels=np.array([3]), max_units=np.array([20.0]))
    solution, helps = tried(market, [jam()], 10_000.0)
    assert 0 < solution.predicted.prealloc_value <= 200
    assert "capital" not in set(helps.prices["what"])
    assert helps.frontier["capital"].iloc[-1] == solution.predicted.prealloc_value
    assert "More working capital alone doesn't reach" in helps.advice[0]


@pytest.mark.parametrize("money", [300.0, 1000.0, 3000.0])
def test_no_point_of_the_frontier_exceeds_a_share(money, monkeypatch):
    market = several(
        suppliers=2,
        offers=2,
        channels=np.array([3, 3]),
        unit_cost=np.array([9.0, 10.0]),
        max_share=np.array([0.6, 0.5]),
        max_units=np.array([np.inf, 20.0]),
    )
    told = []
    real = sensitivity.Study.expect
    monkeypatch.setattr(
        sensitivity.Study,
        "expect",
        lambda self, plan, terms=None: (told.append(plan), real(self, plan, terms))[1],
    )
    tried(market, [jam()], money)
    shares = [
        np.bincount(market.offer_supplier[plan.offer], plan.units * plan.unit_cost, minlength=2)
        / max((plan.units * plan.unit_cost).sum(), 1)
        for plan in told
    ]
    assert (np.array(shares) <= market.max_share * (1 + 1e-9)).all()
