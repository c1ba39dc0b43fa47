"""The nouns of planning, as arrays: who sells what, who ordered what, what is pre-allocated.

Instants are seconds since the Unix epoch (UTC, float64); durations are seconds; money is in the
workspace's one currency. Products, suppliers and offers are numbered by their row in the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[Any]
Tables = Mapping[str, pd.DataFrame]

TINY = 1e-9  # what must be above 0 is at least this
INEXACT = 2.0**53  # a float64 from here on may stand for another whole number
HOUR = 3600.0
DAY = 86400.0

READ = {  # table -> its columns that a market is made of
    "products": ("product_id", "fulfilment", "shelf_life_days"),
    "suppliers": (
        "supplier_id",
        "licence_no",
        "licence_valid_until",
        "max_share",
        "credit_limit",
        "spot_channels",
    ),
    "offers": (
        "supplier_id",
        "product_id",
        "unit_cost",
        "spot_unit_cost",
        "min_order_qty",
        "pack_size",
        "lead_time_minutes",
        "max_units",
        "max_units_per_hour",
        "fill_rate",
        "spot_minutes",
        "loss_rate_if_unused",
    ),
    "price_tiers": ("supplier_id", "product_id", "min_qty", "unit_cost"),
    "stock": ("product_id", "supplier_id", "units", "expires_at"),
}


def epoch(stamps: pd.Series | pd.DatetimeIndex) -> Array:
    """Aware timestamps -> float64 seconds since the Unix epoch, NaN where missing."""
    index = pd.DatetimeIndex(stamps).as_unit("us")
    if index.tz is None:
        raise ValueError("timestamps without a time zone have no place on the time line")
    seconds = index.tz_convert("UTC").asi8 / 1e6
    return np.where(index.isna(), np.nan, seconds)


def group_starts(group: Array, groups: int) -> Array:
    """Sorted group numbers -> [groups + 1] starts: group g owns starts[g]:starts[g + 1]."""
    return np.searchsorted(group, np.arange(groups + 1)).astype("int64")


def hour_of(at: Array, starts: Array) -> Array:
    """[M] row of the hour, of those from `starts` [T] on, that an instant is in; 0 = or before."""
    return np.maximum(np.searchsorted(starts, at, side="right") - 1, 0)


def instant(seconds: float, tz: str) -> pd.Timestamp:
    """One instant in local time, to the microsecond."""
    return pd.Timestamp(round(seconds * 1e6), unit="us", tz="UTC").tz_convert(tz)


def instants(seconds: Array, tz: str) -> pd.DatetimeIndex:
    """[L] seconds since the epoch -> [L] aware timestamps in `tz`, to the microsecond."""
    micros = np.round(np.asarray(seconds, dtype=float) * 1e6).astype("int64")
    return pd.DatetimeIndex(micros.view("M8[us]"), tz="UTC").tz_convert(tz)


def stream(seed: int, *purpose: int) -> np.random.Generator:
    """A generator of its own for each purpose of a seed; no two share a sequence."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=purpose))


def clock_hours(seconds: Array, tz: str) -> Array:
    """[L] instants -> [L] starts of the local clock hours that hold them."""
    local = instants(seconds, tz)
    past = local.minute * 60 + local.second + local.microsecond / 1e6
    hours: Array = np.asarray(seconds, dtype=float) - np.asarray(past, dtype=float)
    return hours


@dataclass(frozen=True, kw_only=True)
class Market:
    """Products [N], suppliers [S], offers [O], price tiers [J] and stock [B] in array form."""

    tz: str
    product_ids: Array  # [N] str
    direct: Array  # [N] bool: direct top-up, a slot lives within one clock hour
    shelf_life: Array  # [N] seconds; inf = no limit
    supplier_ids: Array  # [S] str
    qualified_until: Array  # [S] first instant without a valid licence; -inf = never licensed
    max_share: Array  # [S] of a plan's money; inf = no limit
    credit_limit: Array  # [S] money per plan; inf = no limit
    channels: Array  # [S] int: spot channels
    offer_supplier: Array  # [O] int: row in suppliers
    offer_product: Array  # [O] int: row in products
    unit_cost: Array  # [O] money
    spot_unit_cost: Array  # [O] money
    min_order_qty: Array  # [O] int units
    pack_size: Array  # [O] int units
    lead_time: Array  # [O] seconds
    max_units: Array  # [O] units per plan; inf = no limit
    max_units_per_hour: Array  # [O] units becoming available in a clock hour; inf = no limit
    fill_rate: Array  # [O] (0, 1]
    spot_minutes: Array  # [O] mean service time of a spot order
    loss_rate: Array  # [O] share of unit cost lost on an unused unit
    tier_offer: Array  # [J] int: row in offers
    tier_min_qty: Array  # [J] units of a line that earn the price
    tier_unit_cost: Array  # [J] money
    stock_product: Array  # [B] int
    stock_supplier: Array  # [B] int, -1 = supplier no longer listed
    stock_units: Array  # [B] int
    stock_expires: Array  # [B] instant; inf = never

    def offer_rows(self) -> dict[tuple[str, str], int]:
        """(supplier_id, product_id) -> row in offers."""
        suppliers = self.supplier_ids[self.offer_supplier]
        products = self.product_ids[self.offer_product]
        return {pair: row for row, pair in enumerate(zip(suppliers, products, strict=True))}

    def line_cost(self, offer: Array, units: Array) -> Array:
        """Unit price [L] of lines of `units` [L] at `offer` [L], tiers considered (all-units)."""
        cost = self.unit_cost[offer].astype(float)
        starts, least, price = self.tiers
        for step in range(int(np.diff(starts).max(initial=0))):
            row = starts[offer] + step
            known = row < starts[offer + 1]
            row = np.where(known, row, 0)
            reached = known & (units >= least[row])
            cost = np.where(reached, np.minimum(cost, price[row]), cost)
        return cost

    @cached_property
    def tiers(self) -> tuple[Array, Array, Array]:
        """Tiers of offer o are rows starts[o]:starts[o + 1] of least units [J] and prices [J].

        Sorted by units; starts is [O + 1].
        """
        order = np.lexsort((self.tier_min_qty, self.tier_offer))
        starts = np.searchsorted(self.tier_offer[order], np.arange(len(self.unit_cost) + 1))
        return starts, self.tier_min_qty[order], self.tier_unit_cost[order]

    @cached_property
    def by_product(self) -> tuple[Array, Array]:
        """Offers [O] grouped by product: those of product p are rows[starts[p]:starts[p + 1]].

        rows, starts [N + 1].
        """
        rows = np.argsort(self.offer_product, kind="stable")
        return rows, group_starts(self.offer_product[rows], len(self.product_ids))

    def delivered(self, plan: Plan) -> Array:
        """[L] True where a line's supplier still holds a licence when its units become ready."""
        until = self.qualified_until[self.offer_supplier[plan.offer]]
        return np.asarray(plan.available_from < until)

    @cached_property
    def lowest_cost(self) -> Array:
        """[O] price of a unit in a line as large as you like."""
        offers = len(self.unit_cost)
        return self.line_cost(np.arange(offers), np.full(offers, np.inf))


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Orders [M] in order of arrival."""

    at: Array  # [M] instant, non-decreasing
    product: Array  # [M] int32 row in products
    quantity: Array  # [M] int64 units
    segment: Array  # [M] int8: row in SEGMENTS

    def __len__(self) -> int:
        return len(self.at)

    def between(self, since: float, until: float) -> Orders:
        """The orders of since <= t < until."""
        first, last = np.searchsorted(self.at, [since, until])
        return Orders(**{f.name: getattr(self, f.name)[first:last] for f in fields(Orders)})


SEGMENTS = ("individual", "distributor", "enterprise")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Plan lines [L]: pre-allocations at offers."""

    offer: Array  # [L] int: row in offers
    order_by: Array  # [L] instant
    available_from: Array  # [L] instant
    available_to: Array  # [L] instant
    units: Array  # [L] int64
    unit_cost: Array  # [L] money

    def __len__(self) -> int:
        return len(self.offer)

    @classmethod
    def empty(cls) -> Plan:
        """Buy nothing ahead: everything goes to spot."""
        none = np.empty(0)
        rows = np.empty(0, dtype="int64")
        return cls(
            offer=rows,
            order_by=none,
            available_from=none,
            available_to=none,
            units=rows,
            unit_cost=none,
        )

    def joined(self, other: Plan) -> Plan:
        """The lines of both, these first."""
        return Plan(
            **{
                field.name: np.concatenate([getattr(self, field.name), getattr(other, field.name)])
                for field in fields(Plan)
            }
        )


def _rows(ids: pd.Series, known: pd.Series, what: str) -> Array:
    rows: Array = pd.Index(known).get_indexer(pd.Index(ids))
    if (rows < 0).any():
        raise ValueError(f"{what} {ids[rows < 0].iloc[0]!r} is not listed")
    return rows


def _require(frame: pd.DataFrame, name: str, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(
            f"{name} lacks {', '.join(missing)}; every column is needed, NA where a cell is empty, "
            "and a frame without rows where there are none: read_workspace gives tables so"
        )


def _limit(column: pd.Series) -> Array:
    return column.astype(float).fillna(np.inf).to_numpy(copy=True)


def _whole(column: pd.Series, least: int) -> Array:
    """[n] int64; what is missing, broken, too large or below `least` is refused, not rounded."""
    values = column.to_numpy(dtype=float, na_value=np.nan)
    wrong = ~((values >= least) & (values < INEXACT) & (values == np.floor(values)))
    if wrong.any():
        raise ValueError(
            f"{column.name} is {values[wrong][0]:g}; it must be whole, {least} or more, "
            f"and below {INEXACT:g}"
        )
    return values.astype("int64")


def _number(column: pd.Series, low: float = 0.0, high: float = np.inf) -> Array:
    """[n] float64; what is missing or outside of low to high is refused.

    A copy: for arrays that can't be written, as pandas gives them, numba compiles everything anew.
    """
    values = column.to_numpy(dtype=float, na_value=np.nan, copy=True)
    wrong = ~((values >= low) & (values <= high) & np.isfinite(values))
    if wrong.any():
        told = f"from {low:g} to {high:g}" if np.isfinite(high) else f"{low:g} or more"
        raise ValueError(f"{column.name} is {values[wrong][0]:g}; it must be {told}")
    return values


def _direct(fulfilment: pd.Series) -> Array:
    known = fulfilment.isin(["direct", "code"])
    if not known.all():
        raise ValueError(f"fulfilment is {fulfilment[~known].iloc[0]!r}; it is code or direct")
    return (fulfilment == "direct").to_numpy()


def _qualified_until(suppliers: pd.DataFrame, tz: str) -> Array:
    """The end of the licence's last local day; -inf without a number or a date."""
    last_day = pd.to_datetime(suppliers["licence_valid_until"])
    ends = (last_day + pd.Timedelta(days=1)).dt.tz_localize(
        tz, ambiguous=True, nonexistent="shift_forward"
    )
    named = suppliers["licence_no"].astype(object).fillna("").astype(str).str.strip() != ""
    licensed = named & last_day.notna()
    return np.where(licensed, np.nan_to_num(epoch(ends), nan=-np.inf), -np.inf)


def market(tables: Tables, tz: str) -> Market:
    """Checked tables (docs/formats.md's names, typed, missing = NA) -> arrays.

    Raises
    ------
    ValueError
        When a table or a column isn't there, an offer, tier or stock row names a product or
        supplier that isn't listed, or a number is missing, broken or out of bounds; the reader of
        tables quarantines such rows beforehand.
    """
    for name, columns in READ.items():
        _require(tables.get(name, pd.DataFrame()), name, columns)
    products, suppliers, offers = tables["products"], tables["suppliers"], tables["offers"]
    tiers, stock = tables["price_tiers"], tables["stock"]
    key = ["supplier_id", "product_id"]
    offer_keys = pd.MultiIndex.from_frame(offers[key])
    tier_offer = offer_keys.get_indexer(pd.MultiIndex.from_frame(tiers[key]))
    if (tier_offer < 0).any():
        raise ValueError("a price tier names an offer that isn't listed")
    expires = epoch(stock["expires_at"])
    return Market(
        tz=tz,
        product_ids=products["product_id"].to_numpy(dtype=object),
        direct=_direct(products["fulfilment"]),
        shelf_life=_limit(products["shelf_life_days"]) * DAY,
        supplier_ids=suppliers["supplier_id"].to_numpy(dtype=object),
        qualified_until=_qualified_until(suppliers, tz),
        max_share=_limit(suppliers["max_share"]),
        credit_limit=_limit(suppliers["credit_limit"]),
        channels=_whole(suppliers["spot_channels"], 1),
        offer_supplier=_rows(offers["supplier_id"], suppliers["supplier_id"], "supplier"),
        offer_product=_rows(offers["product_id"], products["product_id"], "product"),
        unit_cost=_number(offers["unit_cost"]),
        spot_unit_cost=_number(offers["spot_unit_cost"]),
        min_order_qty=_whole(offers["min_order_qty"], 1),
        pack_size=_whole(offers["pack_size"], 1),
        lead_time=_number(offers["lead_time_minutes"]) * 60,
        max_units=_limit(offers["max_units"]),
        max_units_per_hour=_limit(offers["max_units_per_hour"]),
        fill_rate=_number(offers["fill_rate"], TINY, 1.0),
        spot_minutes=_number(offers["spot_minutes"], TINY),
        loss_rate=_number(offers["loss_rate_if_unused"], 0.0, 1.0),
        tier_offer=tier_offer,
        tier_min_qty=_whole(tiers["min_qty"], 1).astype(float),
        tier_unit_cost=_number(tiers["unit_cost"]),
        stock_product=_rows(stock["product_id"], products["product_id"], "product"),
        stock_supplier=pd.Index(suppliers["supplier_id"]).get_indexer(
            pd.Index(stock["supplier_id"])
        ),
        stock_units=_whole(stock["units"], 0),
        stock_expires=np.where(np.isnan(expires), np.inf, expires),
    )


def orders(frame: pd.DataFrame, products: Array) -> Orders:
    """Order rows (product_id, ordered_at, quantity, status, segment) -> arrivals, cancelled out.

    Rows with equal instants keep their order in the frame; no segment means individual.

    Raises
    ------
    ValueError
        When a column isn't there, a row names an unlisted product or segment, has no instant, or
        asks for less than one whole unit.
    """
    _require(frame, "orders", ("product_id", "ordered_at", "quantity", "status", "segment"))
    rows = frame[frame["status"] != "cancelled"]
    at = epoch(rows["ordered_at"])
    if np.isnan(at).any():
        raise ValueError("an order has no ordered_at")
    by_time = np.argsort(at, kind="stable")
    segments = rows["segment"].astype(object).fillna(SEGMENTS[0])
    segment = _rows(segments, pd.Series(SEGMENTS), "segment")
    product = _rows(rows["product_id"], pd.Series(products), "product")
    return Orders(
        at=at[by_time],
        product=product[by_time].astype("int32"),
        quantity=_whole(rows["quantity"], 1)[by_time],
        segment=segment[by_time].astype("int8"),
    )


LINE_COLUMNS = (
    "line_id",
    "supplier_id",
    "product_id",
    "order_by",
    "available_from",
    "available_to",
    "units",
    "unit_cost",
    "reason",
)


def lines(plan: Plan, market: Market, reasons: list[str]) -> pd.DataFrame:
    """A plan as the rows of plan.csv: local aware stamps, one reason a line."""
    return pd.DataFrame(
        {
            "line_id": [f"L{row:06d}" for row in range(1, len(plan) + 1)],
            "supplier_id": market.supplier_ids[market.offer_supplier[plan.offer]],
            "product_id": market.product_ids[market.offer_product[plan.offer]],
            "order_by": instants(plan.order_by, market.tz),
            "available_from": instants(plan.available_from, market.tz),
            "available_to": instants(plan.available_to, market.tz),
            "units": plan.units.astype("int64"),
            "unit_cost": plan.unit_cost.astype(float),
            "reason": reasons,
        },
        columns=list(LINE_COLUMNS),
    )


def plan_of(frame: pd.DataFrame, market: Market) -> Plan:
    """The rows of plan.csv (typed) -> a plan.

    Raises
    ------
    ValueError
        When a column isn't there, a line names an offer that doesn't exist, or its units are not
        whole.
    """
    _require(frame, "plan", LINE_COLUMNS[1:-1])
    known = market.offer_rows()
    pairs = list(zip(frame["supplier_id"], frame["product_id"], strict=True))
    missing = [pair for pair in pairs if pair not in known]
    if missing:
        raise ValueError(f"supplier {missing[0][0]!r} makes no offer for product {missing[0][1]!r}")
    return Plan(
        offer=np.array([known[pair] for pair in pairs], dtype="int64"),
        order_by=epoch(frame["order_by"]),
        available_from=epoch(frame["available_from"]),
        available_to=epoch(frame["available_to"]),
        units=_whole(frame["units"], 0),
        unit_cost=frame["unit_cost"].to_numpy(dtype=float),
    )
