"""Lines that suppliers have confirmed and that are still to come: a plan is made around them."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from planning.problem import (
    HOUR,
    LINE_COLUMNS,
    Array,
    Market,
    Plan,
    clock_hours,
    epoch,
    instants,
    plan_of,
)
from planning.requests import ANSWERED

NOBODY = pd.DataFrame(columns=list(ANSWERED))  # has answered
KEY = ["line_id", "supplier_id", "product_id"]
SHOWN = 8  # digits of a request that part its lines from other requests'


@dataclass(frozen=True, kw_only=True)
class Committed:
    """What is on order."""

    lines: pd.DataFrame  # the rows of committed.csv: columns of plan.csv
    plan: Plan  # the same as arrays
    notes: list[str]
    unlisted: Array  # money [S] at each supplier, of lines whose offers are not listed any more
    stray: float = 0.0  # money at suppliers that are not listed any more

    @property
    def money(self) -> float:
        """What they commit."""
        listed = float((self.plan.units * self.plan.unit_cost).sum())
        return listed + float(self.unlisted.sum()) + self.stray


def on_order(answered: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Those of the answered lines (`requests.ANSWERED`) that bring units at or after `as_of`.

    What was ready before is stock: the stock table tells what is left of it.
    """
    return answered[_ahead(answered, as_of)].reset_index(drop=True)


def bearing(answered: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Those of the answered lines that a plan as of `as_of` must know of.

    What is on order, and what says that a supplier has no more in an hour that isn't over.
    """
    asked, ready = (_stamps(answered[at]) for at in ("asked_from", "available_from"))
    less = (answered["units"] < answered["asked_units"]).to_numpy(dtype=bool)
    open_hour = asked + pd.Timedelta(hours=1) > as_of
    kept = _ahead(answered, as_of) | (open_hour & (less | (ready != asked)))
    return answered[kept].reset_index(drop=True)


def _ahead(answered: pd.DataFrame, as_of: pd.Timestamp) -> Array:
    """[L] True where a line brings units at or after `as_of`."""
    some = (answered["units"] > 0).to_numpy(dtype=bool)
    return np.asarray(some & (_stamps(answered["available_from"]) >= as_of))


def unanswered(lines: pd.DataFrame, answered: pd.DataFrame) -> pd.DataFrame:
    """Those of a plan's lines (rows of its plan.csv) that no supplier has answered."""
    known = pd.MultiIndex.from_arrays(
        [answered["supplier_id"], answered["product_id"], _stamps(answered["asked_from"])]
    )
    asked = pd.MultiIndex.from_arrays(
        [lines["supplier_id"], lines["product_id"], _stamps(lines["available_from"])]
    )
    return lines[~asked.isin(known)]


def answered_short(answered: pd.DataFrame, market: Market) -> tuple[Array, Array]:
    """Offers [K] and starts [K] of the clock hours for which a supplier has said: no more.

    It has confirmed fewer units than asked for, perhaps none, or units of another clock hour only;
    codes that come early serve the hour asked for as well. Each pair once, by offer, then by hour;
    offers that are not listed any more are left out.
    """
    rows = market.offer_rows()
    pairs = zip(answered["supplier_id"], answered["product_id"], strict=True)
    offer = np.array([rows.get(pair, -1) for pair in pairs], dtype="int64")
    asked, ready = (epoch(_stamps(answered[at])) for at in ("asked_from", "available_from"))
    hour, came = clock_hours(asked, market.tz), clock_hours(ready, market.tz)
    direct = market.direct[market.offer_product[offer]]
    less = (answered["units"] < answered["asked_units"]).to_numpy(dtype=bool)
    closed = (offer >= 0) & (less | (came > hour) | (direct & (came < hour)))
    found = np.unique(np.stack([offer[closed], hour[closed]]), axis=1)
    return found[0].astype("int64"), found[1]


def other_hour(answered: pd.DataFrame, tz: str) -> Array:
    """[L] True where a slot within one clock hour was asked for and another hour is confirmed."""
    asked, until, ready = (
        epoch(_stamps(answered[at])) for at in ("asked_from", "available_to", "available_from")
    )
    hour = clock_hours(asked, tz)
    return np.asarray((until <= hour + HOUR) & (clock_hours(ready, tz) != hour))


def answers_sha256(answered: pd.DataFrame) -> str:
    """Hash of answered lines, for the id of a run that plans around them."""
    return hashlib.sha256(
        answered.to_json(orient="split", double_precision=15).encode()
    ).hexdigest()


def committed(answered: pd.DataFrame, market: Market) -> Committed:
    """Lines on order as a plan.

    A line that comes early or late keeps its length, a direct slot ends with the hour in which it
    comes; what comes before it had to be ordered counts as ordered then.
    """
    known = set(market.offer_rows())
    pairs = list(zip(answered["supplier_id"], answered["product_id"], strict=True))
    offered = np.array([pair in known for pair in pairs], dtype=bool)
    gone = answered[~offered]
    lost = [
        f"line {line} that {supplier!r} has confirmed for {product!r} names an offer that is not "
        "listed any more: the plan doesn't count on its units, but its money stays committed; take "
        "in an answer of 0 if they will not come"
        for line, supplier, product in gone[KEY].to_numpy()
    ]
    rows = _rows(answered[offered], market)
    plan = plan_of(rows, market)
    plan = _as_confirmed(plan, epoch(_stamps(answered[offered]["asked_from"])), market)
    earliest = np.minimum(plan.order_by, plan.available_from)  # what comes early is ordered
    plan = replace(plan, order_by=earliest)
    rows = rows.assign(
        order_by=instants(plan.order_by, market.tz),
        available_to=instants(plan.available_to, market.tz),
    )
    lapsed = rows[~market.delivered(plan)]
    lost += [
        f"line {line} that {supplier!r} has confirmed for {product!r} comes after its licence has "
        "lapsed: nothing of it will arrive, but its money stays committed"
        for line, supplier, product in lapsed[KEY].to_numpy()
    ]
    unlisted, stray = _money_of(gone, market)
    return Committed(
        lines=rows[list(LINE_COLUMNS)],
        plan=plan,
        notes=[*_told(plan), *lost],
        unlisted=unlisted,
        stray=stray,
    )


def _money_of(gone: pd.DataFrame, market: Market) -> tuple[Array, float]:
    """Money [S] at each supplier, and at those that are not listed."""
    supplier = pd.Index(market.supplier_ids).get_indexer(pd.Index(gone["supplier_id"]))
    money = (gone["units"] * gone["unit_cost"]).to_numpy(dtype=float)
    each = np.bincount(supplier + 1, money, minlength=len(market.supplier_ids) + 1)
    return each[1:], float(each[0])


def _told(plan: Plan) -> list[str]:
    if not len(plan):
        return []
    money = float((plan.units * plan.unit_cost).sum())
    count = "1 line that is" if len(plan) == 1 else f"{len(plan):,} lines that are"
    return [
        f"suppliers have confirmed {count} still to come ({money:,.2f}): the plan is made around "
        "what committed.csv lists"
    ]


def _stamps(column: pd.Series) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(column, utc=True, format="ISO8601"))


def _rows(answered: pd.DataFrame, market: Market) -> pd.DataFrame:
    stamps = {
        name: pd.Series(_stamps(answered[name]).tz_convert(market.tz), index=answered.index)
        for name in ("order_by", "available_from", "available_to")
    }
    return answered.assign(
        **stamps,
        line_id=[f"{r[:SHOWN]}-{line}" for r, line in answered[["request", "line_id"]].to_numpy()],
        reason=[_reason(row) for row in answered.to_dict("records")],
    )


def _reason(row: dict[Hashable, Any]) -> str:
    late = pd.Timestamp(str(row["available_from"])) - pd.Timestamp(str(row["asked_from"]))
    words = f"confirmed by {row['supplier_id']}: {row['units']} of {row['asked_units']} asked for"
    if late == pd.Timedelta(0):
        return words
    minutes = abs(late.total_seconds()) / 60
    return f"{words}, {minutes:g} minutes {'late' if late > pd.Timedelta(0) else 'early'}"


def _as_confirmed(plan: Plan, asked_from: Array, market: Market) -> Plan:
    direct = market.direct[market.offer_product[plan.offer]]
    hour_end = clock_hours(plan.available_from, market.tz) + HOUR
    slot = np.where(plan.available_from < plan.available_to, plan.available_to, hour_end)
    life = plan.available_to + plan.available_from - asked_from
    return replace(plan, available_to=np.where(direct, np.minimum(slot, hour_end), life))
