"""Small random markets, orders and plans for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from planning.limits import Limits
from planning.problem import DAY, HOUR, Market, Orders, Plan

TZ = "Asia/Shanghai"
AS_OF = 1_774_800_000.0  # 2026-03-30T00:00+08:00


def a_market(**changes: object) -> Market:
    """One supplier with one channel and one code product, every term changeable."""
    terms: dict[str, object] = {
        "tz": TZ,
        "product_ids": np.array(["p0"], dtype=object),
        "direct": np.array([False]),
        "shelf_life": np.array([30 * DAY]),
        "supplier_ids": np.array(["s0"], dtype=object),
        "qualified_until": np.array([AS_OF + 365 * DAY]),
        "max_share": np.array([np.inf]),
        "credit_limit": np.array([np.inf]),
        "channels": np.array([1]),
        "offer_supplier": np.array([0]),
        "offer_product": np.array([0]),
        "unit_cost": np.array([10.0]),
        "spot_unit_cost": np.array([10.5]),
        "min_order_qty": np.array([1]),
        "pack_size": np.array([1]),
        "lead_time": np.array([3600.0]),
        "max_units": np.array([np.inf]),
        "max_units_per_hour": np.array([np.inf]),
        "fill_rate": np.array([1.0]),
        "spot_minutes": np.array([3.0]),
        "loss_rate": np.array([0.1]),
        "tier_offer": np.empty(0, dtype=int),
        "tier_min_qty": np.empty(0),
        "tier_unit_cost": np.empty(0),
        "stock_product": np.empty(0, dtype=int),
        "stock_supplier": np.empty(0, dtype=int),
        "stock_units": np.empty(0, dtype="int64"),
        "stock_expires": np.empty(0),
    }
    return Market(**(terms | changes))  # type: ignore[arg-type]


ROWS = {  # of a market's tables, but for ids and who offers what
    "products": ("direct", "shelf_life"),
    "suppliers": ("qualified_until", "max_share", "credit_limit", "channels"),
    "offers": (
        *("unit_cost", "spot_unit_cost", "min_order_qty", "pack_size", "lead_time", "max_units"),
        *("max_units_per_hour", "fill_rate", "spot_minutes", "loss_rate"),
    ),
}


def several(*, products: int = 1, suppliers: int = 1, offers: int = 1, **changes: object) -> Market:
    """`a_market` with more rows, alike but for the changes; offers go round the products."""
    one, rows = a_market(), np.arange(offers)
    counts = {"products": products, "suppliers": suppliers, "offers": offers}
    alike = {
        name: np.repeat(getattr(one, name), counts[table])
        for table, names in ROWS.items()
        for name in names
    }
    who = {
        "product_ids": np.array([f"p{k}" for k in range(products)], dtype=object),
        "supplier_ids": np.array([f"s{k}" for k in range(suppliers)], dtype=object),
        "offer_product": rows % products,
        "offer_supplier": rows % suppliers,
    }
    return a_market(**(alike | who | changes))


def some_orders(minutes: object, quantity: object = None, product: object = None) -> Orders:
    """Orders at minutes after as-of, of one unit of product 0 unless told otherwise."""
    at = AS_OF + 60 * np.asarray(minutes, dtype=float)
    count = len(at)
    return Orders(
        at=at,
        product=np.zeros(count, "int32") if product is None else np.asarray(product, "int32"),
        quantity=np.ones(count, "int64") if quantity is None else np.asarray(quantity, "int64"),
        segment=np.zeros(count, "int8"),
    )


def a_plan(market: Market, *rows: tuple[int, float, float, int]) -> Plan:
    """Lines of (offer, ready from, ready until, units), hours after as-of."""
    offer, since, until, units = (np.array(column) for column in zip(*rows, strict=True))
    since = AS_OF + since * HOUR
    return Plan(
        offer=offer,
        order_by=since - market.lead_time[offer],
        available_from=since,
        available_to=AS_OF + until * HOUR,
        units=units.astype("int64"),
        unit_cost=market.line_cost(offer, units),
    )


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Up to four products and three suppliers, tight and infeasible terms included."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    products, suppliers = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    pairs = np.argwhere(rng.random((suppliers, products)) < 0.8)
    offers = len(pairs)
    cost = rng.uniform(5, 20, offers)
    tiers = np.flatnonzero(rng.random(offers) < 0.3)
    stock = np.flatnonzero(rng.random(products) < 0.3)
    return a_market(
        product_ids=np.array([f"p{n}" for n in range(products)], dtype=object),
        direct=rng.random(products) < 0.5,
        shelf_life=rng.choice([0.2 * DAY, DAY, 30 * DAY, np.inf], products),
        supplier_ids=np.array([f"s{n}" for n in range(suppliers)], dtype=object),
        qualified_until=AS_OF + rng.choice([-np.inf, -DAY, DAY, 400 * DAY], suppliers),
        max_share=rng.choice([0.2, 0.6, 1.0, np.inf], suppliers),
        credit_limit=rng.choice([50.0, 400.0, np.inf], suppliers),
        channels=rng.integers(1, 4, suppliers),
        offer_supplier=pairs[:, 0],
        offer_product=pairs[:, 1],
        unit_cost=cost,
        spot_unit_cost=cost * rng.uniform(0.98, 1.2, offers),
        min_order_qty=rng.choice([1, 5, 12], offers),
        pack_size=rng.choice([1, 5, 6], offers),
        lead_time=rng.choice([0.0, 1800.0, 4 * 3600.0, 100 * 3600.0], offers),
        max_units=rng.choice([10.0, 100.0, np.inf], offers),
        max_units_per_hour=rng.choice([3.0, 20.0, np.inf], offers),
        fill_rate=rng.choice([0.5, 0.9, 1.0], offers),
        spot_minutes=rng.uniform(1, 8, offers),
        loss_rate=rng.uniform(0, 1, offers),
        tier_offer=tiers,
        tier_min_qty=rng.integers(2, 30, len(tiers)).astype(float),
        tier_unit_cost=cost[tiers] * rng.uniform(0.8, 1.1, len(tiers)),
        stock_product=stock,
        stock_supplier=np.full(len(stock), -1),
        stock_units=rng.integers(1, 10, len(stock)),
        stock_expires=rng.choice([AS_OF + DAY / 2, np.inf], len(stock)),
    )


@st.composite
def orders_of(draw: st.DrawFn, market: Market, most: int = 60, hours: float = 24) -> Orders:
    """Orders of the market's products within `hours` of as-of, crowded now and then."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, most))
    crowd = rng.choice([0.01, 20])  # minutes that share one instant
    minutes = np.sort(rng.uniform(0, hours * 60, count) // crowd * crowd)
    return some_orders(
        minutes,
        quantity=rng.choice([1, 1, 1, 2, 7], count),
        product=rng.integers(0, len(market.product_ids), count),
    )


@st.composite
def limits_of(draw: st.DrawFn) -> Limits:
    """A day ahead with little or much money, as-of on or off the hour."""
    return Limits(
        as_of=AS_OF + draw(st.sampled_from([0.0, 17 * 60.0])),
        horizon=24 * HOUR,
        working_capital=draw(st.sampled_from([1.0, 150.0, 1000.0, 1e6])),
    )
