"""Markets by another generator than `peakahead init`'s: other rhythms, calendars and suppliers.

A plan tuned to one generator shows it here. Demand is a Poisson rate by product and hour: size ×
day's rhythm × weekend × a category's wandering level × sales or pay days.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from results import CACHE

from planning.problem import Array

HOURS_AHEAD = 72
CATEGORIES = 5
WANDERING = (0.97, 0.06)  # an hour's share of a category's log level that stays, and its noise
OFFERS = (
    *("supplier_id", "product_id", "unit_cost", "spot_unit_cost", "min_order_qty", "pack_size"),
    *("lead_time_minutes", "max_units", "max_units_per_hour", "fill_rate", "spot_minutes"),
    "loss_rate_if_unused",
)
CONFIG = """[data]
timezone = "{timezone}"
orders = "orders.parquet"
products = "products.csv"
suppliers = "suppliers.csv"
offers = "offers.csv"

[planning]
working_capital = {capital:.0f}

[planning.segment_weight]
enterprise = 3.0
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a market is like."""

    timezone: str
    as_of: str  # local
    days: int  # of history
    products: int
    suppliers: int
    orders: float  # a day
    peaks: tuple[
        tuple[float, float, float], ...
    ]  # hour, width in hours, weight against all day's 1
    capital_days: float  # of last week's spend
    life: tuple[float, float] = (1, 9)  # days that codes live
    fill: tuple[float, float] = (0.9, 1)
    least: int = 20  # smallest lines up to
    spot: tuple[float, float] = (2, 8)  # mean minutes
    direct: float = 0.0  # share of products
    shares: bool = False  # whether most suppliers have a max_share
    sales: bool = False  # two hours, a category at four to eight times its demand, announced
    pay_days: bool = False  # the 25th, 26th and 1st at 2.2 times


KINDS = {
    "breakfast": Kind(
        timezone="Europe/Berlin",
        as_of="2026-03-28",  # the clocks change on the second day
        days=35,
        products=25,
        suppliers=4,
        orders=3000,
        peaks=((8, 1, 15), (18, 1.5, 10)),
        capital_days=0.4,
        life=(1, 5),
        fill=(0.85, 1),
        spot=(2, 6),
    ),
    "night": Kind(
        timezone="Asia/Shanghai",
        as_of="2026-05-09",
        days=100,
        products=150,
        suppliers=9,
        orders=5000,
        peaks=((22, 1, 10), (12, 1.5, 2.5)),
        capital_days=0.6,
        life=(0.5, 3),
        fill=(0.7, 1),
        least=50,
        spot=(3, 15),
        shares=True,
    ),
    "sales": Kind(
        timezone="America/New_York",
        as_of="2026-10-30",
        days=60,
        products=40,
        suppliers=5,
        orders=6000,
        peaks=((20, 2, 3.3), (11, 2, 1.3)),
        capital_days=1.0,
        life=(2, 30),
        least=10,
        spot=(1, 4),
        direct=0.7,
        sales=True,
    ),
    "young": Kind(
        timezone="Asia/Shanghai",
        as_of="2026-07-03T12:00:00",
        days=25,
        products=12,
        suppliers=3,
        orders=800,
        peaks=((15, 5, 0.7),),
        capital_days=0.5,
        life=(3, 9),
        fill=(1, 1),
        least=5,
        spot=(4, 10),
        direct=0.3,
    ),
    "wide": Kind(
        timezone="Asia/Shanghai",
        as_of="2026-06-17",
        days=150,
        products=300,
        suppliers=12,
        orders=12000,
        peaks=((20, 2, 3.3), (11, 2, 1.3)),
        capital_days=0.5,
        life=(2, 60),
        fill=(0.8, 1),
        least=100,
        direct=0.4,
        shares=True,
        sales=True,
    ),
    "pay days": Kind(
        timezone="Asia/Tokyo",
        as_of="2026-09-30",
        days=80,
        products=60,
        suppliers=6,
        orders=4000,
        peaks=((19, 2, 5), (12, 1, 4)),
        capital_days=0.3,
        life=(0.2, 1),
        fill=(0.95, 1),
        least=30,
        spot=(2, 5),
        direct=0.2,
        pay_days=True,
    ),
}


def other_markets(seeds: Iterable[int]) -> Iterator[tuple[str, Path]]:
    """Name and folder of a market of each kind, made where it is missing."""
    for name, kind in KINDS.items():
        for seed in seeds:
            root = CACHE / "others" / f"{name.replace(' ', '-')}-{seed}"
            if not (root / "market.json").exists():
                make(root, kind, seed)
            yield f"{name}, seed {seed}", root


def make(root: Path, kind: Kind, seed: int) -> None:
    """Write a workspace, the orders of the three days after as-of and `market.json`."""
    rng = np.random.default_rng(seed)
    as_of = pd.Timestamp(kind.as_of, tz=kind.timezone)
    start = (as_of - pd.Timedelta(days=kind.days)).floor("h")
    hours = pd.date_range(
        start, as_of + pd.Timedelta(hours=HOURS_AHEAD), freq="h", inclusive="left"
    )
    category = rng.integers(0, CATEGORIES, kind.products)
    rate = _rates(rng, kind, hours, category)
    events = _sales(rng, hours, as_of, category, rate) if kind.sales else []
    price = np.round(rng.lognormal(3, 0.6, kind.products), 2)
    orders = _orders(rng, hours, rate, price)
    known = (orders["ordered_at"] < as_of).to_numpy()
    week = orders[known & (orders["ordered_at"] >= as_of - pd.Timedelta(days=7)).to_numpy()]
    spend = float((week["quantity"] * week["unit_price"]).sum()) / 7
    offers, tiers, work = _offers(rng, kind, price, rate)
    tables = {
        "products": _products(rng, kind, category, price),
        "suppliers": _suppliers(rng, kind, work),
        "offers": pd.DataFrame(offers, columns=list(OFFERS)),
        "price_tiers": pd.DataFrame(
            tiers, columns=["supplier_id", "product_id", "min_qty", "unit_cost"]
        ),
        "events": pd.DataFrame(
            events, columns=["name", "kind", "starts_at", "ends_at", "category"]
        ),
    }
    root.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(root / f"{name}.csv", index=False)
    orders[known].to_parquet(root / "orders.parquet", index=False)
    orders[~known].to_parquet(root / "future.parquet", index=False)
    config = CONFIG.format(timezone=kind.timezone, capital=spend * kind.capital_days)
    (root / "peakahead.toml").write_text(config, encoding="utf-8")
    told = json.dumps({"as_of": as_of.isoformat()})
    (root / "market.json").write_text(told, encoding="utf-8")


def _ids(letter: str, rows: Iterable[int]) -> list[str]:
    return [f"{letter}{row:04d}" for row in rows]


def _rates(rng: np.random.Generator, kind: Kind, hours: pd.DatetimeIndex, category: Array) -> Array:
    """[N, T] orders that are expected in each hour."""
    clock, day = hours.hour.to_numpy(), hours.day.to_numpy()
    rhythm = np.ones(24)
    for hour, width, weight in kind.peaks:
        far = np.abs((np.arange(24) - hour + 12) % 24 - 12)
        rhythm += weight * np.exp(-0.5 * (far / width) ** 2)
    stays, noise = WANDERING
    level = np.zeros((CATEGORIES, len(hours)))
    for at in range(1, len(hours)):
        level[:, at] = stays * level[:, at - 1] + rng.normal(0, noise, CATEGORIES)
    size = rng.lognormal(0, 1.3, kind.products)
    own = np.stack([np.roll(rhythm, shift) for shift in rng.integers(-1, 2, kind.products)])
    weekend = rng.uniform(0.5, 1.8, (kind.products, 1))
    trend = rng.normal(0, 0.15, (kind.products, 1)) * np.linspace(0, 1, len(hours))
    rate = kind.orders * (size / size.sum())[:, None] * own[:, clock] / rhythm.sum()
    rate *= np.where(hours.day_of_week >= 5, weekend, 1.0) * np.exp(level[category] + trend)
    if kind.pay_days:
        rate *= np.where(np.isin(day, [25, 26, 1]), 2.2, 1.0)
    return np.asarray(rate)


def _sales(
    rng: np.random.Generator,
    hours: pd.DatetimeIndex,
    as_of: pd.Timestamp,
    category: Array,
    rate: Array,
) -> list[tuple[object, ...]]:
    """Raise a category's rates on Fridays, some other days and the day after as-of: event rows."""
    rows: list[tuple[object, ...]] = []
    for day in pd.date_range(hours[0].normalize(), hours[-1].normalize(), freq="D"):
        soon = (day - as_of.normalize()).days == 1
        if not (day.day_of_week == 4 or soon or rng.random() < 0.05):
            continue
        chosen = int(rng.integers(0, CATEGORIES))
        start = day + pd.Timedelta(hours=int(rng.choice([10, 20])))
        stop = start + pd.Timedelta(hours=2)
        during = np.asarray((hours >= start) & (hours < stop))
        rate[np.ix_(category == chosen, during)] *= rng.uniform(4, 8)
        rows.append(("sale", "promotion", start.isoformat(), stop.isoformat(), f"C{chosen}"))
    return rows


def _orders(
    rng: np.random.Generator, hours: pd.DatetimeIndex, rate: Array, price: Array
) -> pd.DataFrame:
    count = rng.poisson(rate)
    product, hour = (np.repeat(axis, count[count > 0]) for axis in np.nonzero(count))
    since = pd.to_timedelta(np.round(rng.uniform(0, 3600e6, len(hour))), unit="us")
    many = rng.random(len(hour)) < 0.3
    orders = pd.DataFrame(
        {
            "product_id": np.array(_ids("P", range(len(price))), dtype=object)[product],
            "ordered_at": (hours[hour] + since).as_unit("us"),
            "quantity": 1 + rng.negative_binomial(1, 0.5, len(hour)) * many,
            "status": rng.choice(
                ["delivered", "failed", "cancelled", "refunded"],
                len(hour),
                p=[0.93, 0.03, 0.03, 0.01],
            ),
            "segment": rng.choice(
                ["individual", "distributor", "enterprise"], len(hour), p=[0.7, 0.2, 0.1]
            ),
            "unit_price": price[product],
        }
    ).sort_values("ordered_at", kind="stable", ignore_index=True)
    orders.insert(0, "order_id", [f"O{number}" for number in range(len(orders))])
    return orders


def _products(rng: np.random.Generator, kind: Kind, category: Array, price: Array) -> pd.DataFrame:
    direct = rng.random(kind.products) < kind.direct
    life = np.round(rng.uniform(*kind.life, kind.products), 2)
    return pd.DataFrame(
        {
            "product_id": _ids("P", range(kind.products)),
            "name": _ids("Product ", range(kind.products)),
            "category": [f"C{number}" for number in category],
            "fulfilment": np.where(direct, "direct", "code"),
            "list_price": price,
            "shelf_life_days": np.where(direct, np.nan, life),
        }
    )


def _offers(
    rng: np.random.Generator, kind: Kind, price: Array, rate: Array
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]], Array]:
    """Rows of offers and of price tiers, and the channels [S, 72] that demand would keep busy."""
    offers: list[tuple[object, ...]] = []
    tiers: list[tuple[object, ...]] = []
    work = np.zeros((kind.suppliers, HOURS_AHEAD))
    ids = _ids("S", range(kind.suppliers))
    for row, product in enumerate(_ids("P", range(kind.products))):
        sellers = rng.choice(kind.suppliers, rng.integers(1, 5).clip(max=kind.suppliers), False)
        for seller, part in zip(sellers, rng.dirichlet(np.ones(len(sellers))), strict=True):
            cost = round(float(price[row] * rng.uniform(0.75, 0.9)), 4)
            pack = int(rng.choice([1, 1, 5, 10]))
            least = int(np.ceil(rng.uniform(1, kind.least) / pack)) * pack
            busiest = float(rate[row].max())
            minutes = round(float(rng.uniform(*kind.spot)), 2)
            offers.append(
                (
                    *(ids[seller], product, cost, round(cost * rng.uniform(1, 1.08), 4)),
                    *(least, pack, int(rng.integers(10, 600))),
                    "" if rng.random() < 0.7 else int(busiest * HOURS_AHEAD / 5 + least),
                    "" if rng.random() < 0.6 else int(busiest * 1.2 + least),
                    *(round(float(rng.uniform(*kind.fill)), 3), minutes),
                    round(float(rng.uniform(0, 0.6)), 2),
                )
            )
            if rng.random() < 0.4:
                for times, share in ((4, 0.985), (12, 0.96)):
                    tiers.append((ids[seller], product, least * times, round(cost * share, 4)))
            work[seller] += rate[row, -HOURS_AHEAD:] * part * minutes / 60
    return offers, tiers, work


def _suppliers(rng: np.random.Generator, kind: Kind, work: Array) -> pd.DataFrame:
    """Channels that are too few in about a quarter of the hours; one of many has no licence."""
    count = len(work)
    share = np.round(rng.uniform(0.2, 0.5, count), 2)
    free = rng.random(count) < (0.4 if kind.shares else 1.0)
    licence = np.array(_ids("L", range(count)), dtype=object)
    licence[6:][-1:] = ""
    return pd.DataFrame(
        {
            "supplier_id": _ids("S", range(count)),
            "name": _ids("Supplier ", range(count)),
            "licence_no": licence,
            "licence_valid_until": "2027-12-31",
            "max_share": np.where(free, np.nan, share),
            "spot_channels": np.maximum(np.round(np.quantile(work, 0.72, axis=1)), 1).astype(int),
        }
    )
