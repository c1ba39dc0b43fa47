"""Laws of the policies: every plan keeps every rule, and base stock is a newsvendor."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.allocation import Allocation
from planning.base_stock import base_stock
from planning.expectation import Aims
from planning.limits import Closed, Limits
from planning.newsvendor import critical_ratio
from planning.policies import NAMES, POLICIES, Situation, last_week
from planning.problem import DAY, HOUR, Orders, Plan, lines
from planning.rules import violations
from tests.planning.strategies import (
    AS_OF,
    a_market,
    a_plan,
    limits_of,
    markets,
    orders_of,
    some_orders,
)

AIMS = Aims(
    target_minutes=5, target_share=0.95, delay_cost=0.05, capital_cost=0.08, segment_weight={}
)
LIMITS = Limits(as_of=AS_OF, horizon=24 * HOUR, working_capital=1e6)


def earlier(orders: Orders, by: float) -> Orders:
    return replace(orders, at=orders.at - by)


def faced(market, limits, streams, truth) -> Situation:
    """The week before, the first of the streams came."""
    return Situation(
        market=market,
        limits=limits,
        aims=AIMS,
        history=earlier(streams[0], 7 * DAY),
        streams=streams,
        truth=[truth],
        seed=0,
    )


def bought(market, streams, limits=LIMITS, delay_cost=0.0) -> Plan:
    aims = replace(AIMS, delay_cost=delay_cost)
    return base_stock(market, streams, limits, aims, seed=0)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_policy_breaks_a_rule(name, data):
    market, limits = data.draw(markets()), data.draw(limits_of())
    streams = [data.draw(orders_of(market)) for _ in range(2)]
    plan = POLICIES[name](faced(market, limits, streams, truth=streams[1]))
    assert violations(lines(plan, market, ["so"] * len(plan)), market, limits) == []


def test_every_policy_has_a_name_for_people():
    assert list(NAMES) == list(POLICIES)


def hourly(units: list[int]) -> list[Orders]:
    """Futures in which a product is asked for so many times in the tenth hour."""
    return [some_orders(np.linspace(601, 650, count)) for count in units]


def direct(**changes):
    return a_market(direct=np.array([True]), shelf_life=np.array([np.inf]), **changes)


@pytest.mark.parametrize(("premium", "loss"), [(0.5, 0.1), (0.1, 0.3), (3.0, 0.02)])
def test_direct_slots_are_the_order_statistic_of_their_hour(premium, loss):
    market = direct(spot_unit_cost=np.array([10 + premium]), loss_rate=np.array([loss]))
    futures = [3, 30, 12, 7, 19, 25, 9, 14]
    plan = bought(market, hourly(futures))
    capital = 0.08 * 10 / (365 * 24)
    ratio = critical_ratio(premium - capital, loss * 10 + capital)
    assert plan.units.tolist() == [sorted(futures)[int(np.ceil(8 * ratio)) - 1]]
    assert (plan.available_from - AS_OF).tolist() == [10 * HOUR]


def test_codes_are_bought_once_a_day_and_what_is_there_counts():
    day = [some_orders(np.linspace(100, 1400, count)) for count in (40, 50, 60, 70)]
    full = bought(a_market(), day)
    assert full.units.tolist() == [70]  # kept codes lose nothing: nearly the highest
    stocked = a_market(
        stock_product=np.array([0]),
        stock_supplier=np.array([0]),
        stock_units=np.array([25]),
        stock_expires=np.array([np.inf]),
    )
    assert bought(stocked, day).units.tolist() == [45]


def test_codes_of_a_short_life_are_filled_up_as_often():
    day = [some_orders(np.linspace(61, 1439, 200))]
    plan = bought(a_market(shelf_life=np.array([6 * HOUR])), day)
    assert np.diff(plan.available_from).tolist() == [5 * HOUR, 6 * HOUR, 6 * HOUR]
    assert plan.units.sum() == pytest.approx(200, abs=4)


def test_an_hourly_cap_spreads_codes_forward():
    day = [some_orders(np.linspace(100, 1400, 70))]
    plan = bought(a_market(max_units_per_hour=np.array([30.0])), day)
    assert plan.units.tolist() == [30, 30, 10]
    assert np.diff(plan.available_from).tolist() == [HOUR, HOUR]


def test_scarce_money_goes_where_it_saves_most_and_is_never_overspent():
    one = direct()
    pair = {
        name: np.repeat(getattr(one, name), 2)
        for name in vars(one)
        if np.shape(getattr(one, name)) == (1,) and not name.startswith(("supplier", "qualified"))
        and name not in ("max_share", "credit_limit", "channels", "offer_supplier")
    }  # fmt: skip
    two = replace(
        one,
        **pair
        | {
            "product_ids": np.array(["plain", "dear on spot"], dtype=object),
            "offer_supplier": np.array([0, 0]),
            "offer_product": np.array([0, 1]),
            "spot_unit_cost": np.array([10.5, 14.0]),
        },
    )
    at = np.linspace(601, 650, 200)
    futures = [some_orders(at, product=np.arange(200) % 2)]
    plan = bought(two, futures, replace(LIMITS, working_capital=600.0))
    assert (plan.units * plan.unit_cost).sum() <= 600
    assert plan.units.tolist() == [60]
    assert plan.offer.tolist() == [1]
    assert bought(two, futures).units.tolist() == [100, 100]


def test_what_does_not_all_arrive_is_ordered_with_the_loss_in_mind():
    futures = hourly([50] * 16)
    sure, risky = (
        bought(direct(fill_rate=np.array([fill]), spot_unit_cost=np.array([15.0])), futures)
        for fill in (1.0, 0.6)
    )
    assert sure.units.sum() == 50
    assert 60 < risky.units.sum() < 160


def test_nothing_is_bought_that_is_cheaper_on_spot_unless_its_minutes_are_dearer():
    market, futures = direct(spot_unit_cost=np.array([9.0])), hourly([50, 60])
    assert len(bought(market, futures)) == 0
    assert bought(market, futures, delay_cost=1.0).units.sum() >= 50  # a jam of over an hour
    calm = a_market(
        direct=np.array([True]), spot_unit_cost=np.array([9.0]), channels=np.array([99])
    )
    assert len(bought(calm, futures, delay_cost=0.2)) == 0  # 3 minutes at 0.2 are 0.6


def test_what_is_on_order_is_not_bought_twice():
    market, futures = direct(), hourly([20] * 8)
    ordered = bought(market, futures)
    assert ordered.units.sum() == 20
    committed = replace(LIMITS, committed=ordered)
    assert len(bought(market, futures, committed)) == 0
    assert bought(market, hourly([26] * 8), committed).units.tolist() == [6]
    a_week_ago = earlier(some_orders(np.linspace(601, 650, 20)), 7 * DAY)
    assert len(last_week(market, a_week_ago, LIMITS)) == 1
    assert len(last_week(market, a_week_ago, committed)) == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_no_policy_asks_again_where_a_supplier_has_no_more(policy):
    market = direct(lead_time=np.zeros(1))
    evening = [some_orders(np.linspace(601, 719, 60))]
    seen = faced(market, LIMITS, evening, truth=evening[0])
    closed = Closed(np.array([0, 0]), AS_OF + HOUR * np.array([10.0, -5.0]))
    plan, after = POLICIES[policy](seen), replace(seen, limits=replace(LIMITS, closed=closed))
    assert (AS_OF + 10 * HOUR in plan.available_from) == (policy != "reactive")
    rest = POLICIES[policy](after)
    assert AS_OF + 10 * HOUR not in rest.available_from
    assert (AS_OF + 11 * HOUR in rest.available_from) == (policy != "reactive")


def test_codes_on_order_count_for_their_day():
    day = [some_orders(np.linspace(100, 1400, 50))]
    market = a_market()
    committed = replace(LIMITS, committed=a_plan(market, (0, 5.0, 300.0, 30)))
    assert bought(market, day, committed).units.tolist() == [20]


def test_what_is_due_counts_in_its_hour_and_not_beyond_the_horizon():
    market = a_market()
    ordered = a_plan(market, (0, -0.5, 300.0, 1), (0, 2.5, 300.0, 2), (0, 24.5, 300.0, 4))
    due = Allocation(market, replace(LIMITS, committed=ordered)).due()
    assert due.shape == (1, 24)
    assert {int(hour): due[0, hour] for hour in np.flatnonzero(due)} == {0: 1, 2: 2}


def test_foresight_needs_the_orders_to_come():
    seen = Situation(
        market=a_market(),
        limits=LIMITS,
        aims=AIMS,
        history=some_orders([]),
        streams=[some_orders([])],
        truth=(),
        seed=0,
    )
    with pytest.raises(ValueError, match="orders that will come"):
        POLICIES["foresight"](seen)


def test_nothing_is_bought_where_nothing_is_ordered():
    assert len(bought(a_market(), [some_orders([])])) == 0
