"""Small seeded planning instances in which no order ever waits for a channel.

With more channels than orders, waiting on spot is a constant of the product, and choosing a plan is
a two-stage mixed-integer linear program: `milp.py` solves it exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from planning.expectation import Aims
from planning.limits import Limits
from planning.problem import DAY, HOUR, Array, Market, Orders

AS_OF = 1_774_800_000.0  # 2026-03-30T00:00+08:00
HOURS = 12
FUTURES = 6
PLENTY = 10_000  # channels: more than there are orders


@dataclass(frozen=True, kw_only=True)
class Instance:
    """What a planner is given."""

    kind: str
    seed: int
    market: Market
    streams: list[Orders]
    limits: Limits
    aims: Aims


def single(**changes: Array) -> Market:
    """One code product of one supplier whose channels never fill; every term changeable."""
    terms: dict[str, object] = {
        "tz": "Asia/Shanghai",
        "product_ids": np.array(["p0"], dtype=object),
        "direct": np.array([False]),
        "shelf_life": np.array([30 * DAY]),
        "supplier_ids": np.array(["s0"], dtype=object),
        "qualified_until": np.array([AS_OF + 365 * DAY]),
        "max_share": np.array([np.inf]),
        "credit_limit": np.array([np.inf]),
        "channels": np.array([PLENTY]),
        "offer_supplier": np.array([0]),
        "offer_product": np.array([0]),
        "unit_cost": np.array([10.0]),
        "spot_unit_cost": np.array([10.5]),
        "min_order_qty": np.array([1]),
        "pack_size": np.array([1]),
        "lead_time": np.array([0.0]),
        "max_units": np.array([np.inf]),
        "max_units_per_hour": np.array([np.inf]),
        "fill_rate": np.array([1.0]),
        "spot_minutes": np.array([3.0]),
        "loss_rate": np.array([0.1]),
        "tier_offer": np.empty(0, dtype="int64"),
        "tier_min_qty": np.empty(0),
        "tier_unit_cost": np.empty(0),
        "stock_product": np.empty(0, dtype="int64"),
        "stock_supplier": np.empty(0, dtype="int64"),
        "stock_units": np.empty(0, dtype="int64"),
        "stock_expires": np.empty(0),
    }
    return Market(**(terms | changes))  # type: ignore[arg-type]


def _base(rng: np.random.Generator, products: int, suppliers: int) -> Market:
    """Codes that outlive the horizon; every product has two offers; no rule binds."""
    picked = [np.sort(rng.permutation(suppliers)[:2]) for _ in range(products)]
    supplier = np.concatenate(picked)
    product = np.repeat(np.arange(products), 2)
    offers = len(product)
    price = rng.uniform(5, 50, products)[product]
    unit_cost = price * rng.uniform(0.96, 1.0, offers)
    return single(
        product_ids=np.array([f"p{n}" for n in range(products)], dtype=object),
        direct=np.zeros(products, dtype=bool),
        shelf_life=np.full(products, 30 * DAY),
        supplier_ids=np.array([f"s{n}" for n in range(suppliers)], dtype=object),
        qualified_until=np.full(suppliers, AS_OF + 365 * DAY),
        max_share=np.full(suppliers, np.inf),
        credit_limit=np.full(suppliers, np.inf),
        channels=np.full(suppliers, PLENTY),
        offer_supplier=supplier,
        offer_product=product,
        unit_cost=unit_cost,
        spot_unit_cost=price * rng.uniform(1.0, 1.06, offers),
        min_order_qty=np.ones(offers, dtype="int64"),
        pack_size=np.ones(offers, dtype="int64"),
        lead_time=rng.choice([0.0, HOUR, 2 * HOUR], offers),  # the model's lines start on the hour
        max_units=np.full(offers, np.inf),
        max_units_per_hour=np.full(offers, np.inf),
        fill_rate=np.ones(offers),
        spot_minutes=rng.uniform(2, 8, offers),
        loss_rate=rng.uniform(0.02, 0.2, offers),
    )


def _streams(rng: np.random.Generator, products: int, sizes: Array) -> list[Orders]:
    """Poisson orders with an evening peak; sizes are drawn evenly."""
    hours = np.arange(HOURS)
    shape = 0.4 + 2.5 * np.exp(-((hours - 8) ** 2) / 4)
    rate = rng.uniform(0.5, 4, products)[:, None] * shape
    streams = []
    for _ in range(FUTURES):
        count = rng.poisson(rate * rng.gamma(10, 0.1))
        product, hour = np.divmod(np.repeat(np.arange(count.size), count.ravel()), HOURS)
        at = AS_OF + HOUR * (hour + rng.uniform(0, 1, len(hour)))
        first = np.argsort(at, kind="stable")
        streams.append(
            Orders(
                at=at[first],
                product=product[first].astype("int32"),
                quantity=rng.choice(sizes, len(at)).astype("int64"),
                segment=rng.choice(3, len(at), p=[0.8, 0.15, 0.05]).astype("int8"),
            )
        )
    return streams


def _money(market: Market, streams: list[Orders]) -> float:
    """Mean money that buying everything at the mean unit cost takes."""
    mean = np.bincount(market.offer_product, market.unit_cost) / np.bincount(market.offer_product)
    return float(np.mean([(mean[one.product] * one.quantity).sum() for one in streams]))


Kind = Callable[[np.random.Generator, Market], Market]


def _plain(_: np.random.Generator, market: Market) -> Market:
    return market


def _packs(rng: np.random.Generator, market: Market) -> Market:
    offers = len(market.unit_cost)
    return replace(
        market,
        min_order_qty=rng.choice([1, 6, 10, 25], offers),
        pack_size=rng.choice([1, 2, 5, 10], offers),
        shelf_life=rng.choice([4 * HOUR, 30 * DAY], len(market.direct)),
    )


def _tiers(rng: np.random.Generator, market: Market) -> Market:
    offer = np.repeat(np.arange(len(market.unit_cost)), 2)
    step = np.tile([10.0, 25.0], len(market.unit_cost))
    discount = np.tile([0.985, 0.96], len(market.unit_cost))
    return replace(
        market,
        tier_offer=offer,
        tier_min_qty=step + rng.integers(0, 6, len(step)),
        tier_unit_cost=market.unit_cost[offer] * discount * rng.uniform(0.99, 1.0, len(step)),
    )


def _tiers_short(rng: np.random.Generator, market: Market) -> Market:
    return _tiers(rng, _shelf(rng, market))


def _shelf(rng: np.random.Generator, market: Market) -> Market:
    return replace(
        market,
        shelf_life=rng.choice([2 * HOUR, 3 * HOUR, 5 * HOUR], len(market.direct)),
        direct=rng.random(len(market.direct)) < 0.3,
    )


def _caps(rng: np.random.Generator, market: Market) -> Market:
    offers = len(market.unit_cost)
    return replace(
        _shelf(rng, market),
        max_units_per_hour=rng.choice([3.0, 6.0, np.inf], offers),
        max_units=rng.choice([20.0, 40.0, np.inf], offers),
    )


def _credit(rng: np.random.Generator, market: Market) -> Market:
    suppliers = len(market.channels)
    return replace(
        _shelf(rng, market),
        credit_limit=rng.choice([600.0, 1500.0, np.inf], suppliers),
        max_share=rng.choice([0.4, 0.6, 1.0], suppliers),
    )


def _everything(rng: np.random.Generator, market: Market) -> Market:
    offers = len(market.unit_cost)
    bound = _packs(rng, _tiers(rng, _credit(rng, market)))
    return replace(
        bound,
        direct=rng.random(len(market.direct)) < 0.3,
        credit_limit=bound.credit_limit * 4,  # orders are of many units here
        max_units_per_hour=rng.choice([15.0, 30.0, np.inf], offers),
        max_units=rng.choice([60.0, 120.0, np.inf], offers),
    )


ONE, MANY = np.array([1]), np.array([1, 1, 1, 2, 2, 5, 12])
KINDS: dict[str, tuple[Kind, Array, float]] = {  # what is changed, order sizes, share of the money
    "plain": (_plain, ONE, 2.0),
    "orders of many units": (_plain, MANY, 2.0),
    "minimum and pack": (_packs, ONE, 2.0),
    "tiers": (_tiers, ONE, 2.0),
    "tiers, short life": (_tiers_short, ONE, 2.0),
    "tight capital": (_plain, ONE, 0.4),
    "tight capital, packs": (_packs, MANY, 0.4),
    "short life and slots": (_shelf, ONE, 2.0),
    "caps": (_caps, ONE, 2.0),
    "credit and shares": (_credit, ONE, 1.0),
    "everything": (_everything, MANY, 0.5),
}


def instance(kind: str, seed: int, *, products: int = 4, suppliers: int = 3) -> Instance:
    """The instance of this kind and seed."""
    change, sizes, share = KINDS[kind]
    rng = np.random.default_rng([seed, *kind.encode()])
    market = change(rng, _base(rng, products, suppliers))
    streams = _streams(rng, products, sizes)
    money = share * _money(market, streams)
    return Instance(
        kind=kind,
        seed=seed,
        market=market,
        streams=streams,
        limits=Limits(as_of=AS_OF, horizon=HOURS * HOUR, working_capital=round(money, 2)),
        aims=Aims(
            target_minutes=5,
            target_share=0.0,  # so that a minute is worth its delay cost, no more
            delay_cost=0.05,
            capital_cost=0.08,
            segment_weight={"enterprise": 3.0},
        ),
    )
