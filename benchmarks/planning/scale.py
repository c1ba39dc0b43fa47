"""One plan of a large synthetic market, in a process of its own: seconds, memory, gap.

`python scale.py PRODUCTS PATHS` prints one line of JSON. Products have about 35 orders in 72 hours,
as in `peakahead init --products 10000`: a few sell much, most sell little.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
from instances import AS_OF, single

from planning.expectation import Aims
from planning.limits import Limits
from planning.optimise import solve
from planning.problem import DAY, HOUR, Array, Market, Orders
from planning.scenarios import OrderMix, sample_future

MEMORY = 16 * 2**30  # bytes of address space that a process of this script may take
HOURS = 72
ORDERS = 35.0  # of a product, mean
SUPPLIERS = 12
OFFERS = 3  # of a product
SPOT_MINUTES = 3.0
LOAD = 0.6  # of the channels by the mean order: evenings are above 1


def shape() -> Array:
    """[HOURS] orders of an hour over the mean: quiet nights, an evening peak."""
    clock = np.arange(HOURS) % 24
    curve = 0.3 + np.exp(-((clock - 20.5) ** 2) / 8) * 2.2 + 0.7 * np.exp(-((clock - 12) ** 2) / 10)
    return curve / curve.mean()


def rates(rng: np.random.Generator, products: int) -> Array:
    """[N, HOURS] orders expected."""
    size = rng.lognormal(0, 1.2, products)
    size *= ORDERS / HOURS / size.mean()
    return size[:, None] * shape()


def sellers(rng: np.random.Generator, rate: Array) -> Market:
    """Every product at three suppliers, whose channels jam in the evenings."""
    products = len(rate)
    supplier = np.concatenate(
        [np.sort(rng.permutation(SUPPLIERS)[:OFFERS]) for _ in range(products)]
    )
    product = np.repeat(np.arange(products), OFFERS)
    offers = len(product)
    price = np.exp(rng.uniform(np.log(5), np.log(200), products))[product]
    work = np.bincount(supplier, rate.mean(axis=1)[product] / OFFERS, minlength=SUPPLIERS)
    count = np.ceil(work * SPOT_MINUTES / 60 / LOAD).astype("int64")
    return single(
        product_ids=np.array([f"p{n}" for n in range(products)], dtype=object),
        direct=rng.random(products) < 0.4,
        shelf_life=rng.choice([2 * DAY, 30 * DAY, np.inf], products),
        supplier_ids=np.array([f"s{n}" for n in range(SUPPLIERS)], dtype=object),
        qualified_until=np.full(SUPPLIERS, AS_OF + 365 * DAY),
        max_share=np.full(SUPPLIERS, 0.5),
        credit_limit=np.full(SUPPLIERS, np.inf),
        channels=np.maximum(count, 1),
        offer_supplier=supplier,
        offer_product=product,
        unit_cost=price * rng.uniform(0.95, 0.99, offers),
        spot_unit_cost=price * rng.uniform(0.98, 1.04, offers),
        min_order_qty=rng.choice([1, 5, 10], offers),
        pack_size=rng.choice([1, 1, 5], offers),
        lead_time=rng.choice([HOUR, 4 * HOUR], offers),
        max_units=np.full(offers, np.inf),
        max_units_per_hour=np.full(offers, np.inf),
        fill_rate=rng.choice([0.9, 0.97, 1.0], offers),
        spot_minutes=SPOT_MINUTES * rng.uniform(0.7, 1.3, offers),
        loss_rate=rng.uniform(0.02, 0.2, offers),
    )


def situation(products: int, paths: int) -> tuple[Market, list[Orders], Limits]:
    """A market, sampled futures, and half a day's spend for 72 hours."""
    rng = np.random.default_rng(products)
    rate = rates(rng, products)
    market = sellers(rng, rate)
    mix = OrderMix(
        sizes=np.tile(np.repeat([1, 2, 5], [15, 4, 1]), (products, 1)),
        segment=np.tile([0.9, 0.07, 0.03], (products, 1)),
    )
    starts = AS_OF + HOUR * np.arange(HOURS)
    streams = [
        sample_future(rng.poisson(rate * rng.gamma(20, 0.05)), starts, HOUR, mix, rng)
        for _ in range(paths)
    ]
    first = np.searchsorted(market.offer_product, np.arange(products))
    spend = (rate.sum(axis=1) * mix.sizes.mean() * market.spot_unit_cost[first]).sum()
    money = round(float(spend) * 0.5 / (HOURS / 24), 2)
    limits = Limits(as_of=AS_OF, horizon=HOURS * HOUR, working_capital=money)
    return market, streams, limits


def main(products: int, paths: int) -> None:
    market, streams, limits = situation(products, paths)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    aims = Aims(
        target_minutes=5,
        target_share=0.95,
        delay_cost=0.05,
        capital_cost=0.08,
        segment_weight={"enterprise": 3.0},
    )
    started = time.perf_counter()
    solution = solve(market, streams, limits, aims, seed=0)
    facts = {
        "orders_a_path": round(float(np.mean([len(stream) for stream in streams]))),
        "seconds": time.perf_counter() - started,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "input_rss_mb": before / 1024,
        "gap": solution.gap,
        "lines": len(solution.plan),
        "reactive_minutes": solution.reactive.mean_minutes,
        "plan_minutes": solution.predicted.mean_minutes,
        "status": solution.status,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    main(int(sys.argv[1]), int(sys.argv[2]))
