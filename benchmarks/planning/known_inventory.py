"""Newsvendors with known answers, solved by the planner.

One product, one direct slot, one hour, more channels than orders: a unit bought ahead saves p where
it is used and costs h where it is not. p is the spot price less the unit cost, h the unit cost
times the loss rate. A future is a number of orders of one unit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from instances import AS_OF, single
from results import answer
from scipy import stats

from planning.expectation import Aims
from planning.limits import Limits
from planning.optimise import solve
from planning.problem import HOUR, Array, Market, Orders

FREE = 1e9  # money that never binds
Law = Any  # a frozen distribution of scipy.stats


def newsvendors(cost: Array, over: Array, under: Array) -> Market:
    """One direct product each; over and under are money per unit too many or too few."""
    count = len(cost)
    ones = np.ones(count, dtype="int64")
    return single(
        product_ids=np.array([f"p{n}" for n in range(count)], dtype=object),
        direct=np.full(count, True),
        shelf_life=np.full(count, np.inf),
        offer_supplier=0 * ones,
        offer_product=np.arange(count),
        unit_cost=cost,
        spot_unit_cost=cost + under,
        min_order_qty=ones,
        pack_size=ones,
        lead_time=np.zeros(count),
        max_units=np.full(count, np.inf),
        max_units_per_hour=np.full(count, np.inf),
        fill_rate=np.ones(count),
        spot_minutes=np.ones(count),
        loss_rate=over / cost,
    )


def ordered(market: Market, demand: Array, money: float = FREE) -> Array:
    """Units [N] that the planner buys for demand [K, N]."""
    streams = []
    for units in demand.astype("int64"):
        product = np.repeat(np.arange(len(units)), units)
        at = AS_OF + HOUR * (np.arange(len(product)) + 0.5) / max(len(product), 1)
        streams.append(
            Orders(
                at=at,
                product=product.astype("int32"),
                quantity=np.ones(len(product), dtype="int64"),
                segment=np.zeros(len(product), dtype="int8"),
            )
        )
    solution = solve(
        market,
        streams,
        Limits(as_of=AS_OF, horizon=2 * HOUR, working_capital=money),
        Aims(
            target_minutes=5, target_share=0.0, delay_cost=0.0, capital_cost=0.0, segment_weight={}
        ),
        seed=0,
    )
    plan = solution.plan
    product = market.offer_product[plan.offer]
    return np.bincount(product, plan.units, minlength=len(market.product_ids))


def quantiles(law: Law, futures: int) -> Array:
    """Demand [K] at the midpoints of K equal parts of its probability."""
    return law.ppf((np.arange(futures) + 0.5) / futures)


def one(law: Law, over: float, under: float, *, scale: int = 1, futures: int = 1000) -> float:
    """Units ordered of one product, in units of 1 / scale."""
    cost = np.array([10 * over])
    market = newsvendors(cost, np.array([over]), np.array([under]))
    return float(ordered(market, np.round(scale * quantiles(law, futures))[:, None])[0]) / scale


def classics() -> list[dict[str, object]]:
    """Textbook newsvendors; continuous ones in tenths of a unit, to half of which ours can be."""
    lognormal = stats.lognorm(0.3, scale=np.exp(6))
    pmf = np.repeat(np.arange(1, 7), [2, 1, 1, 2, 3, 1])
    sold = newsvendors(np.array([15.0]), np.array([5.0]), np.array([10.0]))
    normal = one(stats.norm(50, 8), 0.18, 0.70, scale=10)
    return [
        answer("newsvendor N(50, 8)", "units", normal, 56.60395592743389, digit=0.1),
        answer("newsvendor Poisson(50)", "units", one(stats.poisson(50), 0.18, 0.70), 56),
        answer("newsvendor Poisson(6)", "units", one(stats.poisson(6), 1, 4), 8),
        answer(
            "newsvendor lognormal",
            "units",
            one(lognormal, 1, 0.1765, futures=400),
            295.6266448,
            digit=1.0,
        ),
        answer("newsvendor 1 to 6", "units", ordered(sold, pmf[:, None])[0], 5),
    ]


def order_statistics(trials: int = 10) -> list[dict[str, object]]:
    """Random samples: the best order is the ⌈n p / (p + h)⌉-th order statistic."""
    rows = []
    for futures in (16, 50, 200):
        for trial in range(trials):
            rng = np.random.default_rng([futures, trial])
            demand = rng.negative_binomial(4, 0.05, futures)
            over, under = rng.uniform(0.1, 1.0, 2)
            found = ordered(
                newsvendors(np.array([2.0]), np.array([over]), np.array([under])), demand[:, None]
            )[0]
            rank = int(np.ceil(futures * under / (under + over) - 1e-9))
            known = np.sort(demand)[rank - 1]
            name = f"sample of {futures}, no. {trial}"
            rows.append(answer(name, "units", found, known))
    return rows


def four_items(futures: int = 1000) -> list[dict[str, object]]:
    """Four items without and with one budget: units as exactly as the sample tells, and profit."""
    price = np.array([50.3, 40, 32, 6.1])
    cost = np.array([35.1, 15, 28, 4.8])
    salvage = np.array([25, 12.5, 15.1, 2])
    shortage = np.array([9.7, 0, 10.3, 1.5])
    mean, spread = np.array([900, 800, 1200, 2300]), np.array([122, 200, 170, 200])
    market = newsvendors(cost, cost - salvage, price + shortage - cost)
    z = quantiles(stats.norm(), futures)
    rng = np.random.default_rng(0)  # products are independent, the sum hardly matters
    demand = np.stack(
        [m + s * rng.permutation(z) for m, s in zip(mean, spread, strict=True)], axis=1
    )
    demand = np.round(np.maximum(demand, 0))
    wanted = {
        ("four items", FREE): ((968, 1067, 1211, 2300), 36_824.23),
        ("four items, budget", 70_000.0): ((797.61, 867.05, 693.69, 1994.71), 28_752.01),
    }
    rows = []
    for (name, money), (units, profit) in wanted.items():
        found = ordered(market, demand, money)
        short = spread * _loss((found - mean) / spread)
        sold = mean - short
        ours = price * sold + salvage * (found - sold) - shortage * short - cost * found
        rows += [
            answer(name, f"units of item {n + 1}", found[n], units[n], digit=3.0) for n in range(4)
        ]
        rows.append(answer(name, "profit", ours.sum(), profit, digit=0.1))
    return rows


def _loss(z: Array) -> Array:
    """Standard normal loss: E max(Z - z, 0)."""
    return stats.norm.pdf(z) - z * stats.norm.sf(z)
