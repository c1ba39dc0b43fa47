"""The catalogue: what is sold, how popular it is, who buys it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from planning.market.reference import Row, choices, known_only, stream, table
from planning.problem import SEGMENTS, Array

CARRIERS = ("Mobile", "Unicom", "Telecom")
NEW_SHARE = 0.05  # of products launched within the last two weeks
INTERMITTENT_SHARE = 0.08
CHEAPEST = 0.90  # no offer, tiers included, costs less than this share of the list price


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Products [N] in the order of products.csv, families [F] in the order of families.csv."""

    table: pd.DataFrame  # products.csv
    families: list[str]
    family: Array  # [N] row in families
    price: Array  # [N] list price
    orders_per_day: Array  # [N] on an ordinary day
    segment_share: Array  # [N, segment] of orders
    launched: Array  # [N] hours before as-of (> 0), inf = before the history
    similar: Array  # [N] row of the product it resembles, -1 = none
    sensitivity: Array  # [N] multiplies the log-lift of every event

    def __len__(self) -> int:
        return len(self.family)


def price_band(spread: float) -> tuple[float, float]:
    """Lowest cost and highest list price: 27–54 at a spread of 2, 10–200 at 20.

    The exponent makes both bands hold real face values (30 and 50; 20, 50, 100 and 200).
    """
    low = 27 * (2 / spread) ** (np.log(2.7) / np.log(10))
    return float(low), float(low * spread)


def catalogue(products: int, *, as_of: datetime, days: int, spread: float, seed: int) -> Catalogue:
    """Draws the products of the market."""
    rng = stream(seed, "products")
    families = table("families")
    family = _families(families, products)
    volume = 730 * products**0.55  # a bigger shop has more products and fewer orders of each
    rate = _popularity(rng, family, families["order_share"].to_numpy(dtype=float) * volume)
    rare = rng.random(products) < INTERMITTENT_SHARE
    rate = np.where(rare, np.minimum(rate, rng.uniform(0.5, 4, products)), rate)
    launched, similar = _launches(rng, family, days, rate)
    rows = _rows(rng, families, family, price_band(spread))
    rows["launched_at"] = [
        None if np.isinf(hours) else as_of - timedelta(hours=float(hours)) for hours in launched
    ]
    ids = rows["product_id"].to_numpy(dtype=object)
    rows["similar_to"] = known_only(ids[similar], similar >= 0)
    return Catalogue(
        table=rows,
        families=families["family"].tolist(),
        family=family,
        price=rows["list_price"].to_numpy(dtype=float),
        orders_per_day=rate,
        segment_share=_segments(rng, families, family),
        launched=launched,
        similar=similar,
        sensitivity=np.exp(rng.normal(0, 0.12, products)),
    )


def _families(families: pd.DataFrame, products: int) -> Array:
    """[N] each product's family, family after family; sizes by largest remainder."""
    wanted = families["product_share"].to_numpy(dtype=float) * products
    count = np.floor(wanted).astype(int)
    count[np.argsort(count - wanted, kind="stable")[: products - count.sum()]] += 1
    return np.repeat(np.arange(len(families)), count)


def _popularity(rng: np.random.Generator, family: Array, orders: Array) -> Array:
    """Zipf-like orders per day [N], scaled to `orders` [F] a family."""
    rank = rng.permutation(len(family))
    weight = (rank + 4.0) ** -0.9 * np.exp(rng.normal(0, 0.2, len(family)))
    total = np.bincount(family, weights=weight, minlength=len(orders))
    return np.asarray(weight / total[family] * orders[family])


def _launches(
    rng: np.random.Generator, family: Array, days: int, rate: Array
) -> tuple[Array, Array]:
    """Hours between launch and as-of, and an older product of the family that each resembles."""
    products = len(family)
    launched = np.full(products, np.inf)
    new = rng.permutation(products)[: max(round(NEW_SHARE * products), min(2, products // 4))]
    recent = min(14, days)
    launched[new] = np.floor(rng.uniform(4, recent * 24, len(new)))
    # a few that came earlier, within a long history
    older = np.setdiff1d(rng.permutation(products)[: len(new)], new)
    if days > 40:
        launched[older] = np.floor(rng.uniform(15 * 24, days * 24, len(older)))
    similar = np.full(products, -1)
    for product in new:
        kin = np.flatnonzero((family == family[product]) & np.isinf(launched))
        if len(kin):
            likeness = np.abs(np.log(rate[kin] / rate[product]))
            similar[product] = kin[np.argmin(likeness)]
    return launched, similar


def _segments(rng: np.random.Generator, families: pd.DataFrame, family: Array) -> Array:
    """Each product's own mix of customers around its family's."""
    mix = families[list(SEGMENTS)].to_numpy(dtype=float)[family]
    draws = rng.gamma(np.maximum(mix, 1e-9) * 12)
    draws = np.where(mix > 0, draws, 0)
    return np.asarray(draws / draws.sum(axis=1, keepdims=True))


def _rows(
    rng: np.random.Generator, families: pd.DataFrame, family: Array, band: tuple[float, float]
) -> pd.DataFrame:
    parts = [
        _family_rows(rng, row, int((family == number).sum()), band)
        for number, row in enumerate(families.to_dict("records"))
    ]
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True)
    rows.insert(0, "product_id", [f"P{number:05d}" for number in range(1, len(rows) + 1)])
    return rows


def _family_rows(
    rng: np.random.Generator, row: Row, count: int, band: tuple[float, float]
) -> pd.DataFrame:
    faces = table("faces")
    faces = faces[(faces["family"] == row["family"]) & faces["face"].between(*_list_band(band))]
    pick = rng.integers(0, max(len(faces), 1), count)
    if len(faces):
        price = faces["face"].to_numpy(dtype=float)[pick]
        items = faces["item"].to_numpy(dtype=object)[pick]
    else:  # a narrow band holds no real face value of this family: any price within it
        price = np.round(rng.uniform(*_list_band(band), count), 2)
        items = np.array([f"{value:g} yuan" for value in price], dtype=object)
    shelf = choices(row["shelf_life_days"])
    lives = rng.choice(shelf, count).astype(float) if shelf else np.full(count, np.nan)
    return pd.DataFrame(
        {
            "name": _names(row["family"], row["name"], items),
            "category": row["family"],
            "fulfilment": row["fulfilment"],
            "list_price": price,
            "shelf_life_days": pd.array(lives, dtype="Float64").astype("Int64"),
        }
    )


def _list_band(band: tuple[float, float]) -> tuple[float, float]:
    return band[0] / CHEAPEST, band[1]


def _names(family: str, label: str, items: Array) -> list[str]:
    regions = table("regions")["region"].tolist()
    lines = [(carrier, region) for region in regions for carrier in CARRIERS]
    if family != "phone_topup":
        return [f"{label} {number:04d}, {item}" for number, item in enumerate(items, 1)]
    cycle = [(*lines[k % len(lines)], 1 + k // len(lines)) for k in range(len(items))]
    return [
        f"{label} {item}, {carrier} {region}" + (f" (line {line})" if line > 1 else "")
        for item, (carrier, region, line) in zip(items, cycle, strict=True)
    ]
