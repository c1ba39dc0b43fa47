"""What a block is worth, what is given back of a grown plan, and that its money does more then."""

from dataclasses import replace

import numpy as np
import pytest

from planning.allocation import Allocation, Step
from planning.grow import renew
from planning.limits import Limits
from planning.polish import costs_of, give_back, give_back_losers, merge_lines
from planning.pricing import Price, price_blocks
from planning.problem import DAY, HOUR
from planning.simulate import Batches, Simulator, futures_of
from tests.planning.strategies import AS_OF, a_market, a_plan, several, some_orders

MINUTE = 10.0  # price of a minute
SLICE = 500.0


def in_hour(hour: int, orders: int, seed: int = 0):
    """Orders within a clock hour after as-of."""
    return some_orders(60 * hour + np.sort(np.random.default_rng(seed).uniform(0, 60, orders)))


def served(market, streams):
    futures = futures_of(market, streams, np.ones(3), np.random.default_rng(0))
    return Simulator(market, futures, a_plan(market, (0, 0, 1, 0)))


def within(money: float) -> Limits:
    return Limits(as_of=AS_OF, horizon=24 * HOUR, working_capital=money)


def blocks_of(market, simulator, most_money: float):
    allocation = Allocation(market, within(1e6))
    unserved = simulator.unserved(simulator.serve(allocation.plan()), MINUTE)
    returns = np.full(allocation.units.shape, np.inf)
    price = Price(0.0, most_money, np.inf)
    return price_blocks(unserved, allocation.slots(), allocation.terms(), price, returns)


def test_a_block_is_worth_what_it_saves_where_nobody_waits():
    market = a_market(channels=np.array([500]), fill_rate=np.array([0.7]))
    simulator = served(market, [in_hour(10, 40, seed) for seed in range(6)])
    offer, slot, units, gain, _ = blocks_of(market, simulator, 1e6)[0]
    allocation = Allocation(market, within(1e6))
    before = costs_of(allocation, simulator, MINUTE).total
    allocation.units[int(offer), int(slot)] = units
    saved = before - costs_of(allocation, simulator, MINUTE).total
    ready = MINUTE * 5 / 60 * units  # an order from ready units still takes 5 seconds
    assert saved <= gain <= saved + ready


def test_a_product_is_priced_until_its_blocks_cost_a_slice():
    market = several(offers=1, direct=np.array([True]), channels=np.array([1]))
    simulator = served(market, [some_orders(np.arange(60, 24 * 60))])
    cost = blocks_of(market, simulator, SLICE)[:, 4]
    assert cost[:-1].sum() < SLICE <= cost.sum()
    everything = blocks_of(market, simulator, 1e6)
    assert np.unique(everything[:, 1]).size == 23


def two_products():
    """A jam of one product, and as many orders of another at a supplier where nobody waits."""
    market = several(products=2, suppliers=2, offers=2, channels=np.array([1, 100]))
    at = np.arange(540, 660, 0.5)  # both within two hours, in turn
    streams = [some_orders(at, product=np.arange(len(at)) % 2)]
    plan = a_plan(market, (0, 10, 700, 50), (1, 10, 700, 50))
    return market, served(market, streams), plan


def test_the_line_that_spares_least_is_given_back():
    market, simulator, plan = two_products()
    allocation = Allocation.holding(market, within(1000), plan, 0.0)
    give_back(allocation, simulator, simulator.serve(allocation.plan()), 0.5)
    assert allocation.plan().offer.tolist() == [0]
    outcomes = simulator.serve(allocation.plan())
    give_back(allocation, simulator, outcomes, 0.9)  # less than a line's money: nothing
    assert allocation.plan().units.tolist() == [50]


def test_products_whose_lines_cost_more_than_they_save_are_given_back():
    market, simulator, plan = two_products()
    idle = a_plan(market, (0, 10, 700, 50), (1, 20, 700, 50))  # after the last order
    lossy = replace(market, shelf_life=np.full(2, 2 * HOUR), loss_rate=np.ones(2))
    simulator = Simulator(lossy, simulator.futures, simulator.committed)
    allocation = Allocation.holding(lossy, within(1000), idle, 0.0)
    assert give_back_losers(allocation, simulator, MINUTE).plan().offer.tolist() == [0]
    held = Allocation.holding(market, within(1000), plan, 0.0)
    kept = give_back_losers(held, simulator.over(simulator.futures, market), MINUTE)
    assert kept.plan().offer.tolist() == [0, 1]


def tiered(life: float = DAY) -> Allocation:
    """Six lines of ten units at an offer without tiers; another has one from 100 units on."""
    market = several(
        offers=2,
        unit_cost=np.array([10.0, 10.5]),
        shelf_life=np.array([life]),
        lead_time=np.zeros(2),
        pack_size=np.array([1, 3]),
        tier_offer=np.array([1]),
        tier_min_qty=np.array([100.0]),
        tier_unit_cost=np.array([5.0]),
    )
    plan = a_plan(market, *[(0, hour, hour + 24, 10) for hour in range(10, 16)])
    return Allocation.holding(market, within(1000), plan, 0.0)


def test_lines_of_a_product_are_gathered_where_a_tier_makes_that_cheaper():
    allocation = tiered()
    orders = some_orders(60 * 10 + np.arange(120) * 3.0)
    assert merge_lines(allocation, served(allocation.market, [orders]), MINUTE)
    plan = allocation.plan()
    assert plan.offer.tolist() == [1]
    assert plan.units.tolist() == [120]  # as many as the sixty at ten would have paid for
    assert plan.unit_cost.tolist() == [5.0]


def test_lines_that_no_tier_makes_cheaper_stay():
    allocation = tiered(life=2 * HOUR)  # three lines of twenty units at most
    before = allocation.units.copy()
    orders = some_orders(60 * 10 + np.arange(60) * 6.0)
    merge_lines(allocation, served(allocation.market, [orders]), MINUTE)
    assert (allocation.units == before).all()


def test_a_frozen_line_is_not_given_back():
    market, simulator, plan = two_products()
    allocation = Allocation(market, within(1000))
    allocation.stay_near(plan, AS_OF + 24 * HOUR)
    give_back(allocation, simulator, simulator.serve(allocation.plan()), 0.5)
    assert allocation.plan().units.tolist() == [50, 50]


@pytest.mark.parametrize("streams", [1, 3])
def test_money_of_idle_lines_is_spent_where_it_helps(streams):
    market = a_market(channels=np.array([2]), shelf_life=np.array([2 * HOUR]))
    simulator = served(market, [in_hour(10, 120, seed) for seed in range(streams)])
    idle = a_plan(market, (0, 2, 4, 30), (0, 10, 12, 70))
    allocation = Allocation.holding(market, within(1000), idle, 0.0)
    allocation.path = [Step(idle, 0.0)]
    before = costs_of(allocation, simulator, MINUTE).total
    batches = Batches(simulator.futures, simulator)
    renew(allocation, batches, simulator, minute_price=MINUTE, progress=lambda *_: None)
    plan = allocation.plan()
    assert costs_of(allocation, simulator, MINUTE).total < before
    assert (plan.available_from >= AS_OF + 8 * HOUR).all()
    assert (plan.units * plan.unit_cost).sum() <= 1000
