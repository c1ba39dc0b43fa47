"""Who supplies: licences, offers, tiers, a little stock on hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from planning.market.demand import mean_lots
from planning.market.products import CHEAPEST, Catalogue
from planning.market.reference import choices, known_only, stream, table
from planning.problem import Array

CORE, MOST = 7, 12  # suppliers; the core holds one that lapses and one without a licence
DEAREST_AHEAD = 0.985  # of the list price, buying ahead
MOST_OFFERS = 4  # of a product
STOCK_SHARE = 0.15  # of code products with a little stock on hand


@dataclass(frozen=True, kw_only=True)
class Supply:
    """The suppliers' side of the workspace, before channels and service times are tuned."""

    suppliers: pd.DataFrame
    offers: pd.DataFrame
    price_tiers: pd.DataFrame
    stock: pd.DataFrame
    failure_rate: Array  # [S] of orders, for the history
    load: Array  # [S] share of the market's service work that its offers attract


def supply(shop: Catalogue, as_of: datetime, seed: int) -> Supply:
    """Draws suppliers, offers, tiers and stock; credit limits wait for the capital."""
    kinds = table("supplier_archetypes").iloc[: _count(len(shop))]
    suppliers = _suppliers(stream(seed, "suppliers"), kinds, as_of.date())
    rng = stream(seed, "offers")
    product, supplier = _pairs(rng, kinds, shop)
    units = _units_per_hour(shop)[product]
    offers = _offers(rng, kinds.iloc[supplier], shop.price[product], units)
    offers.insert(0, "supplier_id", suppliers["supplier_id"].to_numpy(dtype=object)[supplier])
    offers.insert(1, "product_id", shop.table["product_id"].to_numpy(dtype=object)[product])
    return Supply(
        suppliers=suppliers,
        offers=offers,
        price_tiers=_tiers(rng, kinds.iloc[supplier], offers, shop.price[product]),
        stock=_stock(stream(seed, "stock"), shop, offers, product, as_of),
        failure_rate=kinds["failure_rate"].to_numpy(dtype=float),
        load=_load(shop, product, supplier, offers, kinds),
    )


def _count(products: int) -> int:
    """7 suppliers up to 60 products, 12 from 10,000."""
    more = (MOST - CORE) * np.log(max(products, 1) / 60) / np.log(10_000 / 60)
    return int(np.clip(CORE + round(float(more)), CORE, MOST))


def _suppliers(rng: np.random.Generator, kinds: pd.DataFrame, today: date) -> pd.DataFrame:
    licensed = (kinds["licence"] != "none").to_numpy()
    ends = [today + timedelta(days=int(days)) for days in rng.integers(90, 1500, len(kinds))]
    lapse = today + timedelta(days=int(rng.choice([-3, 0, 1])))
    lapses = kinds["licence"] == "lapsing"
    until = [lapse if lapsing else end for lapsing, end in zip(lapses, ends, strict=True)]
    numbers = [f"B2-{20200000 + int(n)}" for n in rng.choice(59_999, len(kinds), replace=False)]
    return pd.DataFrame(
        {
            "supplier_id": [f"S{number:02d}" for number in range(1, len(kinds) + 1)],
            "name": [
                f"Supplier {number:02d}, {kind}"
                for number, kind in enumerate(kinds["archetype"], 1)
            ],
            "licence_no": known_only(np.array(numbers), licensed),
            "licence_valid_until": [
                day.isoformat() if has else None for day, has in zip(until, licensed, strict=True)
            ],
            "max_share": kinds["max_share"].to_numpy(dtype=float),
            "credit_limit": kinds["credit_share"].to_numpy(dtype=float),  # × capital, see below
            "spot_channels": 2,
        }
    )


def with_credit(suppliers: pd.DataFrame, capital: float) -> pd.DataFrame:
    """Credit limits as money: the archetype's share of the working capital."""
    return suppliers.assign(credit_limit=(suppliers["credit_limit"] * capital).round(0))


def _pairs(rng: np.random.Generator, kinds: pd.DataFrame, shop: Catalogue) -> tuple[Array, Array]:
    """Offers as (product, supplier) rows: 2–4 a product, at least two of them always licensed."""
    taste = kinds[shop.families].to_numpy(dtype=float).T[shop.family]  # [N, S]
    score = np.log(taste) + rng.gumbel(size=taste.shape)
    steady = (kinds["licence"] == "valid").to_numpy()
    rank = np.argsort(np.argsort(np.where(steady, -score, np.inf), axis=1), axis=1)
    wanted = rng.choice([2, 3], len(shop), p=[0.45, 0.55])
    chosen = (rank < wanted[:, None]) & steady
    doubtful = rng.random(taste.shape) < np.where(wanted == 2, 0.35, 0.2)[:, None]
    doubtful &= ~steady
    doubtful &= (np.cumsum(doubtful, axis=1) + wanted[:, None]) <= MOST_OFFERS
    chosen |= doubtful
    product, supplier = np.nonzero(chosen)
    # whoever comes first in offers is chance, not price: the queue's ties go to the first
    order = np.lexsort((rng.random(len(product)), product))
    return product[order], supplier[order]


def _units_per_hour(shop: Catalogue) -> Array:
    return np.asarray(shop.orders_per_day * (shop.segment_share @ mean_lots()) / 24)


def _offers(
    rng: np.random.Generator, kinds: pd.DataFrame, price: Array, units: Array
) -> pd.DataFrame:
    count = len(kinds)
    share = kinds["price"].to_numpy(dtype=float) + rng.normal(0, 0.006, count)
    unit_cost = price * np.clip(share, CHEAPEST + 0.01, DEAREST_AHEAD)
    markup = np.clip(
        kinds["spot_markup"].to_numpy(dtype=float) + rng.normal(0, 0.006, count), 0.011, 0.059
    )
    spot = np.minimum(unit_cost * (1 + markup), price)
    pack = np.where(units * 24 < 40, 1, kinds["pack_size"].to_numpy(dtype="int64"))
    smallest = pack * np.where(units * 24 < 40, 1, kinds["min_packs"].to_numpy(dtype="int64"))
    return pd.DataFrame(
        {
            "unit_cost": unit_cost.round(4),
            "spot_unit_cost": spot.round(4),
            "min_order_qty": smallest,
            "pack_size": pack,
            "lead_time_minutes": [
                int(rng.choice(choices(cell))) for cell in kinds["lead_time_minutes"]
            ],
            "max_units": _whole(
                np.where(rng.random(count) < 0.1, units * 24 * 4, np.nan), smallest
            ),
            "max_units_per_hour": _whole(
                units * kinds["hourly_cap"].to_numpy(dtype=float), smallest
            ),
            "fill_rate": _fill_rate(rng, kinds),
            "spot_minutes": kinds["spot_minutes"].to_numpy(dtype=float)
            * np.exp(rng.normal(0, 0.05, count)),
            "loss_rate_if_unused": np.clip(
                kinds["loss_rate"].to_numpy(dtype=float) * rng.uniform(0.8, 1.2, count), 0.02, 0.3
            ).round(3),
        }
    )


def _whole(limit: Array, smallest: Array) -> pd.Series:
    """Limits as whole units that leave room for the smallest order; NaN = none."""
    return pd.Series(np.maximum(np.ceil(limit), 4 * smallest)).astype("Int64")


def _fill_rate(rng: np.random.Generator, kinds: pd.DataFrame) -> Array:
    mean = kinds["fill_rate"].to_numpy(dtype=float)
    drawn = np.clip(mean + rng.normal(0, 0.006, len(mean)), 0.9, 0.999)
    return np.where(mean == 1, 1.0, drawn.round(3))


def _tiers(
    rng: np.random.Generator, kinds: pd.DataFrame, offers: pd.DataFrame, price: Array
) -> pd.DataFrame:
    """One or two quantity discounts on some offers."""
    has = rng.random(len(offers)) < kinds["tier_share"].to_numpy(dtype=float)
    rows = []
    for step, off in ((5, 0.004), (20, 0.008)):
        cost = np.maximum(offers["unit_cost"] * (1 - off), price * CHEAPEST).round(4)
        level = offers[["supplier_id", "product_id"]].assign(
            min_qty=offers["min_order_qty"] * step, unit_cost=cost
        )
        rows.append(level[has & (rng.random(len(offers)) < 0.8) & (cost < offers["unit_cost"])])
    return pd.concat(rows).sort_index(kind="stable").reset_index(drop=True)


def _stock(
    rng: np.random.Generator, shop: Catalogue, offers: pd.DataFrame, product: Array, as_of: datetime
) -> pd.DataFrame:
    """About an hour's demand of a few code products, left over from earlier purchases."""
    codes = (shop.table["fulfilment"] == "code").to_numpy()
    chosen = np.flatnonzero(codes & (rng.random(len(shop)) < STOCK_SHARE) & np.isinf(shop.launched))
    offer = np.searchsorted(product, chosen)  # its first offer
    days = rng.choice([0, 1, 20], len(chosen))
    return pd.DataFrame(
        {
            "product_id": shop.table["product_id"].to_numpy(dtype=object)[chosen],
            "supplier_id": offers["supplier_id"].to_numpy(dtype=object)[offer],
            "units": np.ceil(
                _units_per_hour(shop)[chosen] * rng.uniform(0.5, 2, len(chosen))
            ).astype("int64"),
            "expires_at": [
                as_of + timedelta(days=int(day), hours=22) if day else None for day in days
            ],
        }
    )


def _load(
    shop: Catalogue, product: Array, supplier: Array, offers: pd.DataFrame, kinds: pd.DataFrame
) -> Array:
    """Each supplier's share of work if a product's orders went to its offers by speed."""
    minutes = offers["spot_minutes"].to_numpy(dtype=float)
    serves = (kinds["licence"] != "none").to_numpy(dtype=float)
    serves[(kinds["licence"] == "lapsing").to_numpy()] = 0.5  # it won't be there to the end
    pull = serves[supplier] / minutes
    share = pull / np.bincount(product, weights=pull)[product]
    work = np.bincount(
        supplier, weights=shop.orders_per_day[product] * share * minutes, minlength=len(kinds)
    )
    return np.asarray(work / work.sum())
