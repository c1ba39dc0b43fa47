"""The sample market in memory: customers, suppliers, and a spot market tuned to jam."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from planning import problem
from planning.market.calibrate import tune
from planning.market.days import calendar
from planning.market.demand import Arrivals, Demand, arrivals, demand
from planning.market.events import announced, event_rows, joined, outage, unannounced
from planning.market.log import Log, Spot, cancelled, fakes
from planning.market.products import catalogue
from planning.market.suppliers import Supply, supply
from planning.problem import Array

TZ = "Asia/Shanghai"
AS_OF = datetime(2026, 3, 30, tzinfo=ZoneInfo(TZ))  # a Monday: month end, then 1 April's peak
TEST_DAYS = 3


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything about a sample market but its files."""

    source: Demand
    terms: Supply  # tuned
    events: pd.DataFrame
    log: Log
    reactive_mean_minutes: float

    def spot_price(self) -> Array:
        """[N] the cheapest spot price of a supplier that is licensed at as-of."""
        spot, history = self.log.spot, self.source.days.history
        cost = self.terms.offers["spot_unit_cost"].to_numpy(dtype=float)
        licensed = spot.last_day[spot.supplier] >= history
        price = np.full(len(self.source.shop), np.inf)
        np.minimum.at(price, spot.product, np.where(licensed, cost, np.inf))
        return price


def world(*, days: int, products: int, seed: int, price_spread: float) -> World:
    """Draws a market with `days` days of history and three test days."""
    midnight = AS_OF - timedelta(days=days)
    span = calendar(midnight.date(), days + TEST_DAYS, TEST_DAYS)
    shop = catalogue(products, as_of=AS_OF, days=days, spread=price_spread, seed=seed)
    lifts, drawn = announced(shop, span, seed)
    gap = outage(span, seed)
    source = demand(shop, span, joined(lifts, unannounced(shop, span, seed)), gap, seed)
    terms, reactive = _tuned(source, supply(shop, AS_OF, seed))
    log = Log(
        source=source,
        spot=_spot(source, terms),
        fakes=fakes(source),
        supplier_ids=terms.suppliers["supplier_id"].tolist(),
        tz=TZ,
    )
    return World(
        source=source,
        terms=terms,
        events=event_rows(drawn, gap, shop, span, midnight),
        log=log,
        reactive_mean_minutes=reactive,
    )


def _tuned(source: Demand, terms: Supply) -> tuple[Supply, float]:
    """Channels and service times under which the test days' reactive mean is about 15 minutes."""
    tables = {
        "products": source.shop.table,
        "suppliers": terms.suppliers.assign(credit_limit=np.nan),
        "offers": terms.offers,
        "price_tiers": terms.price_tiers,
        "stock": terms.stock.assign(expires_at=pd.to_datetime(terms.stock["expires_at"], utc=True)),
    }
    tuned = tune(
        problem.market(tables, TZ),
        _test_orders(source),
        terms,
        horizon=TEST_DAYS * problem.DAY,
        seed=source.seed,
    )
    found = replace(
        terms,
        suppliers=terms.suppliers.assign(spot_channels=tuned.channels),
        offers=terms.offers.assign(spot_minutes=tuned.spot_minutes),
    )
    return found, tuned.reactive_mean_minutes


def _test_orders(source: Demand) -> problem.Orders:
    """The test days' orders as replay sees them: without the cancelled ones."""
    first, last = source.days.history, len(source.days)
    left = [kept(source, day) for day in range(first, last)]
    start = AS_OF.timestamp() - first * problem.DAY
    return problem.Orders(
        at=np.concatenate([day.millis for day in left]) / 1000 + start,
        product=np.concatenate([day.product for day in left]),
        quantity=np.concatenate([day.quantity for day in left]),
        segment=np.concatenate([day.segment for day in left]),
    )


def kept(source: Demand, day: int) -> Arrivals:
    """A day's orders without the cancelled ones."""
    rows = arrivals(source, day)
    keep = ~cancelled(source.seed, day, len(rows))
    return Arrivals(
        millis=rows.millis[keep],
        product=rows.product[keep],
        segment=rows.segment[keep],
        quantity=rows.quantity[keep],
    )


def _spot(source: Demand, terms: Supply) -> Spot:
    offers, suppliers = terms.offers, terms.suppliers
    products = pd.Index(source.shop.table["product_id"])
    return Spot(
        product=products.get_indexer(pd.Index(offers["product_id"])),
        supplier=pd.Index(suppliers["supplier_id"]).get_indexer(pd.Index(offers["supplier_id"])),
        spot_minutes=offers["spot_minutes"].to_numpy(dtype=float),
        last_day=np.array(
            [_day_number(cell, source.days.first) for cell in suppliers["licence_valid_until"]]
        ),
        failure_rate=terms.failure_rate,
        channels=suppliers["spot_channels"].to_numpy(dtype="int64"),
    )


def _day_number(cell: str | None, first: date) -> int:
    return -1 if pd.isna(cell) else (date.fromisoformat(str(cell)) - first).days
