"""The local search beside every plan that there is, on markets small enough to try them all."""

from collections.abc import Callable
from itertools import product as every

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planning.grow
import planning.optimise
from planning.allocation import Allocation
from planning.exchange import MOST_WORK, exchange
from planning.expectation import Aims
from planning.limits import Limits
from planning.polish import costs_of
from planning.problem import HOUR, Market, Orders, Plan
from planning.simulate import Simulator, futures_of
from tests.planning.strategies import AS_OF, a_market, limits_of, markets, orders_of, several

AIMS = Aims(
    target_minutes=5, target_share=0.95, delay_cost=0.5, capital_cost=0.08, segment_weight={}
)
MINUTE = 0.5  # what a minute is worth


def some_streams(seed: int, *, products: int, hours: int, futures: int = 4) -> list[Orders]:
    """A few orders of one to three units, spread over the hours."""
    rng = np.random.default_rng(seed)
    streams = []
    for _ in range(futures):
        count = int(rng.integers(3, 8)) * products
        streams.append(
            Orders(
                at=np.sort(AS_OF + rng.uniform(0, hours * HOUR, count)),
                product=rng.integers(0, products, count).astype("int32"),
                quantity=rng.integers(1, 4, count),
                segment=np.zeros(count, dtype="int8"),
            )
        )
    return streams


def begun(market, streams, *, hours: int, money: float) -> tuple[Allocation, Simulator]:
    """Nothing bought yet, and the futures to buy for."""
    limits = Limits(as_of=AS_OF, horizon=hours * HOUR, working_capital=money)
    futures = futures_of(market, streams, np.ones(3), np.random.default_rng(0))
    return Allocation(market, limits), Simulator(market, futures, Plan.empty())


def cost(allocation: Allocation, simulator: Simulator) -> float:
    return costs_of(allocation, simulator, MINUTE).total


def least_cost(allocation: Allocation, simulator: Simulator, sizes: range) -> float:
    """Cost of the best plan whose lines have these sizes, by trying them all."""
    best, shape = np.inf, allocation.units.shape
    for units in every(sizes, repeat=allocation.units.size):
        allocation.units = np.array(units, dtype=float).reshape(shape)
        too_small = (allocation.units > 0) & (allocation.units < allocation.least[:, None])
        if allocation.money_left() >= 0 and not too_small.any() and not allocation.over_share():
            best = min(best, cost(allocation, simulator))
    allocation.units = np.zeros(shape)
    return best


def shares_won(market_of: Callable[[int], Market], *, hours: int, money: float, most: int):
    """Of six markets: share of what the best plan saves that the search, begun from none, saves."""
    won = []
    for seed in range(6):
        market = market_of(seed)
        streams = some_streams(seed, products=len(market.product_ids), hours=hours)
        allocation, simulator = begun(market, streams, hours=hours, money=money)
        reactive, best = (
            cost(allocation, simulator),
            least_cost(allocation, simulator, range(most)),
        )
        exchange(allocation, simulator, MINUTE)
        assert allocation.money_left() >= 0
        won.append((reactive - cost(allocation, simulator)) / (reactive - best))
    return np.array(won)


def test_lines_that_earn_a_tier_together_are_found():
    def one_product(seed: int) -> Market:
        rng = np.random.default_rng(seed)
        return a_market(
            channels=np.array([50]),
            lead_time=np.zeros(1),
            shelf_life=np.array([2 * HOUR]),
            loss_rate=rng.uniform(0, 0.4, 1),
            tier_offer=np.array([0]),
            tier_min_qty=np.array([float(rng.integers(4, 8))]),
            tier_unit_cost=np.array([9.0]),
        )

    won = shares_won(one_product, hours=3, money=1000.0, most=11)
    assert won.min() > 0.95
    assert (won > 1 - 1e-9).sum() >= 4


def test_scarce_money_goes_to_the_products_that_earn_most_with_it():
    def two_products(seed: int) -> Market:
        rng = np.random.default_rng(seed)
        return several(
            products=2,
            offers=2,
            channels=np.array([50]),
            lead_time=np.zeros(2),
            shelf_life=np.full(2, 2 * HOUR),
            unit_cost=rng.uniform(5, 20, 2),
            spot_unit_cost=np.full(2, 21.0),
            min_order_qty=rng.integers(1, 4, 2),
        )

    won = shares_won(two_products, hours=2, money=90.0, most=11)
    assert won.min() > 0.95
    assert (won > 1 - 1e-9).sum() >= 4


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_plan_never_gets_dearer(data):
    market, within = data.draw(markets()), data.draw(limits_of())
    streams = [data.draw(orders_of(market)) for _ in range(2)]
    costs = []

    def watched(allocation, simulator, minute_price):
        before = costs_of(allocation, simulator, minute_price).total
        exchange(allocation, simulator, minute_price)
        costs.append((before, costs_of(allocation, simulator, minute_price).total))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning.grow, "exchange", watched)
        planning.optimise.solve(market, streams, within, AIMS, seed=0)
    for before, after in costs:
        assert after <= before + 1e-9 * abs(before)


def test_a_large_market_keeps_its_plan():
    streams = some_streams(0, products=1, hours=4)
    allocation, simulator = begun(
        a_market(lead_time=np.zeros(1)), streams * (MOST_WORK // 12), hours=4, money=1000.0
    )
    assert len(simulator.at) > MOST_WORK
    allocation.units[0, 0] = 500
    exchange(allocation, simulator, MINUTE)
    assert allocation.units[0, 0] == 500
