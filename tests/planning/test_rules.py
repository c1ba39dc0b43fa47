"""Each plan rule catches the line that breaks it, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from planning.limits import Limits
from planning.problem import DAY, HOUR, Plan, lines
from planning.rules import RULES, RuleBroken, check, violations
from tests.planning.strategies import AS_OF, a_market, a_plan

LIMITS = Limits(as_of=AS_OF, horizon=72 * HOUR, working_capital=1000.0)
MARKET = a_market(
    product_ids=np.array(["code", "direct"], dtype=object),
    direct=np.array([False, True]),
    shelf_life=np.array([10 * DAY, np.inf]),
    supplier_ids=np.array(["s0", "s1"], dtype=object),
    qualified_until=AS_OF + np.array([60 * HOUR, 365 * DAY]),
    max_share=np.array([np.inf, 0.9]),
    credit_limit=np.array([900.0, np.inf]),
    channels=np.array([1, 1]),
    offer_supplier=np.array([0, 1]),
    offer_product=np.array([0, 1]),
    unit_cost=np.array([10.0, 5.0]),
    spot_unit_cost=np.array([10.5, 5.5]),
    min_order_qty=np.array([4, 4]),
    pack_size=np.array([4, 2]),
    lead_time=np.array([HOUR, HOUR]),
    max_units=np.array([100.0, 60.0]),
    max_units_per_hour=np.array([88.0, 40.0]),
    fill_rate=np.array([1.0, 1.0]),
    spot_minutes=np.array([3.0, 3.0]),
    loss_rate=np.array([0.1, 0.1]),
    tier_offer=np.array([0]),
    tier_min_qty=np.array([40.0]),
    tier_unit_cost=np.array([9.0]),
)
GOOD = ((0, 2.0, 50.0, 8), (1, 3.0, 4.0, 10))


def rows(*lines_of_plan: tuple[int, float, float, int], **columns: object) -> pd.DataFrame:
    plan = a_plan(MARKET, *lines_of_plan)
    frame = lines(plan, MARKET, ["because"] * len(plan))
    return frame.assign(**columns)


def broken(frame: pd.DataFrame, limits: Limits = LIMITS) -> set[str]:
    return {violation.rule for violation in violations(frame, MARKET, limits)}


BREAKERS = {
    "qualified": rows((0, 61.0, 70.0, 8), GOOD[1]),
    "min_order_qty": rows(GOOD[0], (1, 3.0, 4.0, 2)),
    "pack_size": rows((0, 2.0, 50.0, 9), GOOD[1]),
    "order_by": rows((0, 0.5, 50.0, 8), GOOD[1]),
    "lead_time": rows(*GOOD).assign(order_by=lambda f: f["order_by"] + pd.Timedelta("1s")),
    "unit_cost": rows(*GOOD, unit_cost=[10.0, 5.01]),
    "horizon": rows(GOOD[0], (1, 72.0, 73.0, 10)),
    "shelf_life": rows((0, 2.0, 2.0 + 241, 8), GOOD[1]),
    "direct_window": rows(GOOD[0], (1, 3.5, 4.1, 10)),
    "max_units_per_hour": rows((0, 2.0, 50.0, 8), (1, 3.0, 4.0, 22), (1, 3.5, 4.0, 20)),
    "max_units": rows((0, 2.0, 50.0, 8), (1, 3.0, 4.0, 40), (1, 5.0, 6.0, 22)),
    "working_capital": rows((0, 2.0, 50.0, 88), (0, 4.0, 50.0, 12), (1, 3.0, 4.0, 40)),
    "credit_limit": rows((0, 2.0, 50.0, 88), (0, 4.0, 50.0, 12)),
    "max_share": rows((1, 3.0, 4.0, 10)),
}


def test_a_good_plan_keeps_every_rule():
    assert violations(rows(*GOOD), MARKET, LIMITS) == []
    check(rows(*GOOD), MARKET, LIMITS)


@pytest.mark.parametrize("name", sorted(RULES))
def test_each_rule_is_broken_by_its_breaker(name):
    assert name in broken(BREAKERS[name])


@pytest.mark.parametrize("name", sorted(set(RULES) - {"working_capital", "max_share"}))
def test_a_breaker_breaks_one_rule_only(name):
    assert broken(BREAKERS[name]) == {name}


def test_every_rule_has_a_breaker():
    assert set(BREAKERS) == set(RULES)


def test_a_tier_price_is_due_from_its_quantity_on():
    line = rows((0, 2.0, 50.0, 40), GOOD[1])
    assert line["unit_cost"].iloc[0] == 9.0
    assert broken(line) == set()
    assert broken(line.assign(unit_cost=[10.0, 5.0])) == {"unit_cost"}


def test_lines_of_an_hour_are_counted_on_the_local_clock():
    frame = rows(GOOD[0], (1, 3.9, 4.0, 22), (1, 4.0, 5.0, 22))
    assert "max_units_per_hour" not in broken(frame)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("product_id", "nothing", "offer"),
        ("units", 8.5, "whole_units"),
        ("unit_cost", np.inf, "no_empty_value"),
        ("unit_cost", np.nan, "no_empty_value"),
        ("available_from", pd.NaT, "value of available_from"),
    ],
)
def test_malformed_lines_are_named(column, value, rule):
    frame = rows(*GOOD)
    frame[column] = frame[column].astype(object) if column == "product_id" else frame[column]
    frame[column] = [value, frame[column].iloc[1]]
    if column == "available_from":
        frame[column] = pd.to_datetime(frame[column])
    found = violations(frame, MARKET, LIMITS)
    assert [(v.rule, v.line_id) for v in found] == [(rule, "L000001")]


def test_times_without_an_offset_are_named():
    frame = rows(*GOOD)
    frame["order_by"] = frame["order_by"].dt.tz_localize(None)
    assert broken(frame) == {"offset of order_by"}


def test_check_tells_every_line_and_rule():
    frame = pd.concat([BREAKERS["pack_size"], BREAKERS["min_order_qty"]], ignore_index=True)
    frame["line_id"] = ["a", "b", "c", "d"]
    with pytest.raises(RuleBroken, match=r"(?s)d breaks min_order_qty.*a breaks pack_size"):
        check(frame, MARKET, LIMITS)


def test_an_empty_plan_is_fine():
    assert violations(lines(Plan.empty(), MARKET, []), MARKET, LIMITS) == []
