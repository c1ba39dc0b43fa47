"""The newsvendor against known answers, to the digits that were printed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from planning.newsvendor import Steps, critical_ratio, mismatch_cost, money_price


def grid(demand, span: float, points: int = 400_001):
    """A continuous demand as many samples with their chances."""
    mean, spread = demand.mean(), demand.std()
    at = np.linspace(max(mean - span * spread, demand.support()[0]), mean + span * spread, points)
    density = demand.pdf(at)
    return at, density / density.sum()


def counts(demand, most: int):
    at = np.arange(most)
    return at.astype(float), demand.pmf(at)


@pytest.mark.parametrize(
    ("demand", "under", "over", "units", "cost"),
    [
        (stats.norm(50, 8), 0.70, 0.18, 56.60395592743389, 1.9976051931766445),
        (stats.lognorm(0.3, scale=np.exp(6)), 0.1765, 1, 295.6266448, 29.4425436),
    ],
    ids=["normal", "lognormal"],
)
def test_continuous_demand(demand, under, over, units, cost):
    ratio = critical_ratio(under, over)
    assert demand.ppf(ratio) == pytest.approx(units, rel=1e-9)
    samples, chance = grid(demand, 20)
    near = Steps.of(samples, chance=chance).units(ratio)
    assert near == pytest.approx(units, abs=np.diff(samples)[0])
    exact = np.array(demand.ppf(ratio))
    told = mismatch_cost(exact, samples, under, over, chance=chance)
    assert told == pytest.approx(cost, rel=1e-6)


@pytest.mark.parametrize(
    ("mean", "under", "over", "units", "cost"),
    [(50, 0.70, 0.18, 56, 1.7972352118), (6, 4, 1, 8, 3.5701069457709416)],
)
def test_poisson_demand(mean, under, over, units, cost):
    samples, chance = counts(stats.poisson(mean), 300)
    best = Steps.of(samples, chance=chance).units(critical_ratio(under, over))
    assert best == units
    assert mismatch_cost(best, samples, under, over, chance=chance) == pytest.approx(cost, rel=1e-9)


def test_discrete_demand_and_its_profits():
    demand, chance = np.arange(1.0, 7), np.array([0.2, 0.1, 0.1, 0.2, 0.3, 0.1])
    under, over = 25 - 15, 15 - 10
    assert Steps.of(demand, chance=chance).units(critical_ratio(under, over)) == 5
    costs = mismatch_cost(
        np.arange(1.0, 7), np.tile(demand, (6, 1)), np.full(6, under), np.full(6, over),
        chance=np.tile(chance, (6, 1)),
    )  # fmt: skip
    profit = under * (demand * chance).sum() - costs
    assert profit == pytest.approx([10, 17, 22.5, 26.5, 27.5, 24])


@given(
    samples=st.lists(st.integers(0, 1000), min_size=1, max_size=60),
    under=st.integers(1, 20),
    over=st.integers(1, 20),
)
def test_samples_give_an_order_statistic(samples, under, over):
    n, p, h = len(samples), under, over
    place = -(-n * p // (p + h))  # the ceiling, exactly
    best = Steps.of(np.array(samples)).units(critical_ratio(under, over))
    assert best == sorted(samples)[place - 1]
    costs = mismatch_cost(
        np.arange(1001.0), np.array(samples)[None, :], np.full(1001, under), np.full(1001, over)
    )
    assert mismatch_cost(best, np.array(samples), under, over) == pytest.approx(costs.min())


def test_four_items_under_one_budget():
    price, cost = np.array([50.3, 40, 32, 6.1]), np.array([35.1, 15, 28, 4.8])
    salvage, shortage = np.array([25, 12.5, 15.1, 2]), np.array([9.7, 0, 10.3, 1.5])
    demand = stats.norm(np.array([900.0, 800, 1200, 2300]), np.array([122.0, 200, 170, 200]))
    under, over = price - cost + shortage, cost - salvage

    def units(money):
        return demand.ppf(critical_ratio(under, over, money=money * cost))

    def profit(ordered):
        grids = [
            grid(stats.norm(m, s), 10) for m, s in zip(demand.mean(), demand.std(), strict=True)
        ]
        samples, chance = (np.stack(part) for part in zip(*grids, strict=True))
        lost = mismatch_cost(ordered, samples, under, over, chance=chance)
        return ((price - cost) * demand.mean() - lost).sum()

    free = units(0.0)
    assert np.round(free).tolist() == [968, 1067, 1211, 2300]
    assert (free * cost).sum() == pytest.approx(94_930.40, abs=0.005)
    assert profit(free) == pytest.approx(36_824.23, abs=0.005)
    multiplier = money_price(lambda money: (units(money) * cost).sum(), 70_000, 2.0)
    assert multiplier == pytest.approx(0.509306, abs=5e-7)
    assert units(multiplier) == pytest.approx([797.61, 867.05, 693.69, 1994.71], abs=0.005)
    assert profit(units(multiplier)) == pytest.approx(28_752.01, abs=0.005)


def test_ample_money_has_no_price():
    assert money_price(lambda money: 10 - money, 10.0, 5.0) == 0


def test_the_worst_half_makes_it_cautious():
    demand = stats.norm(100, 20)
    assert demand.ppf(critical_ratio(6, 3)) == pytest.approx(108.615, abs=5e-4)
    assert demand.ppf(critical_ratio(6, 3, worst=0.5)) == pytest.approx(91.385, abs=5e-4)


def test_a_random_yield_of_half_to_all():
    share = np.linspace(0.5, 1, 4_000_001)
    best = Steps.of(np.full(len(share), 100.0), arrives=share).units(critical_ratio(4, 1))
    assert best == pytest.approx(158.1139, abs=5e-5)
    assert best == pytest.approx(100 / np.sqrt((1 * 1**2 + 4 * 0.5**2) / 5), rel=1e-6)


def test_what_never_pays_is_never_ordered():
    assert Steps.of(np.array([3.0, 4.0])).units(critical_ratio(0, 1)) == 0
    assert Steps.of(np.array([3.0, 4.0])).units(critical_ratio(1, 1, money=2.0)) == 0
