"""How suppliers have served of late: minutes, failures, prices, licences, what they confirmed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

RECENT_SHARE = 0.25  # of the days looked at, the last: their prices are held against those before
SOON = 30  # days within which the end of a licence is worth a word
SEEN = (
    "supplier_id",
    "product_id",
    "ordered_at",
    "delivered_at",
    "status",
    "quantity",
    "unit_price",
)


def scorecard(
    orders: pa.Table,
    suppliers: pd.DataFrame,
    answered: pd.DataFrame,
    *,
    as_of: pd.Timestamp,
    days: int,
    target_minutes: float,
) -> pd.DataFrame:
    """One row a supplier, in the order of `suppliers`; NaN or NA where there is nothing to judge.

    Parameters
    ----------
    orders
        The log as it was known at `as_of`. Orders that name no supplier don't count, nor do
        cancelled ones.
    answered
        Lines that suppliers have answered (`requests.ANSWERED`).
    days
        Looked back on from `as_of`.

    Returns
    -------
    supplier_id, name; orders; on_time_share of those that failed or whose minutes are known;
    p50_minutes and p95_minutes until delivery; failure_rate of those that came to an end;
    price_drift, see `_drift`; licence_days_left after the day of as-of, negative once lapsed, NA
    without a licence; asked_units in the lines answered, confirmed_share of them; late_share and
    early_share of the units confirmed, to come after and before the instant asked for.
    """
    recent = _recent(orders, as_of - pd.Timedelta(days=days))
    minutes = (recent["delivered_at"] - recent["ordered_at"]).dt.total_seconds() / 60
    failed, ended = recent["status"] == "failed", recent["status"] != "pending"
    judged = minutes.notna() | failed
    told = recent.assign(
        minutes=minutes.mask(failed),
        on_time=((minutes <= target_minutes) & ~failed).astype(float).where(judged),
        failed=failed.astype(float).where(ended),
    ).groupby("supplier_id")
    rows = pd.DataFrame(
        {
            "orders": told.size(),
            "on_time_share": told["on_time"].mean(),
            "p50_minutes": told["minutes"].quantile(0.5),
            "p95_minutes": told["minutes"].quantile(0.95),
            "failure_rate": told["failed"].mean(),
            "price_drift": _drift(recent, as_of - pd.Timedelta(days=days * RECENT_SHARE)),
        }
    ).reindex(pd.Index(suppliers["supplier_id"], name="supplier_id"))
    rows["orders"] = rows["orders"].fillna(0).astype("int64")
    rows.insert(0, "name", suppliers["name"].to_numpy())
    rows["licence_days_left"] = _licence(suppliers, as_of).array
    return rows.join(_answers(answered, rows.index)).reset_index()


def _answers(answered: pd.DataFrame, suppliers: pd.Index) -> pd.DataFrame:
    """Units asked for in the lines that each supplier answered, and what it confirmed of them."""
    asked, ready = (
        pd.to_datetime(answered[at], utc=True, format="ISO8601")
        for at in ("asked_from", "available_from")
    )
    units = answered["units"].astype(float)
    told = pd.DataFrame(
        {
            "asked": answered["asked_units"].astype(float),
            "units": units,
            "late": units.where(ready > asked, 0.0),
            "early": units.where(ready < asked, 0.0),
        }
    )
    total = told.groupby(answered["supplier_id"]).sum().reindex(suppliers)
    some = total["units"].where(total["units"] > 0)
    return pd.DataFrame(
        {
            "asked_units": total["asked"].fillna(0).astype("int64"),
            "confirmed_share": total["units"] / total["asked"],
            "late_share": total["late"] / some,
            "early_share": total["early"] / some,
        }
    )


def _recent(orders: pa.Table, first: pd.Timestamp) -> pd.DataFrame:
    """Orders from `first` on that name their supplier, without cancelled ones."""
    since = pa.scalar(first.tz_convert("UTC"), orders["ordered_at"].type)
    wanted = pc.and_(
        pc.and_(pc.greater_equal(orders["ordered_at"], since), pc.is_valid(orders["supplier_id"])),
        pc.not_equal(orders["status"], "cancelled"),
    )
    rows: pd.DataFrame = orders.select(list(SEEN)).filter(wanted).to_pandas()
    return rows


def _drift(recent: pd.DataFrame, since: pd.Timestamp) -> pd.Series:
    """By supplier, how much more the units sold from `since` on cost than at the prices before.

    Paasche's index less 1, over the products sold in both spans: Σ p₁ q₁ / Σ p₀ q₁ − 1.
    """
    priced = recent[recent["unit_price"].notna()]
    key = ["supplier_id", "product_id"]
    money = priced["unit_price"].astype(float) * priced["quantity"]
    sums = priced[key].assign(money=money, units=priced["quantity"].astype(float))
    late = priced["ordered_at"] >= since
    now, before = (sums[part].groupby(key).sum() for part in (late, ~late))
    both = now.join(before.add_suffix("_before"), how="inner")
    at_old = both["money_before"] / both["units_before"] * both["units"]
    by_supplier = both.assign(at_old=at_old).groupby("supplier_id")[["money", "at_old"]].sum()
    old = by_supplier["at_old"]
    return by_supplier["money"] / old.where(old > 0) - 1


def _licence(suppliers: pd.DataFrame, as_of: pd.Timestamp) -> pd.Series:
    today = as_of.tz_localize(None).normalize()
    left = (pd.to_datetime(suppliers["licence_valid_until"]) - today).dt.days
    return left.where(suppliers["licence_no"].notna()).astype("Int64")


def remarks(card: pd.DataFrame, *, horizon: pd.Timedelta) -> list[str]:
    """What a coordinator should act on, in sentences: what the orders lack, licences that lapse."""
    told = _lacking(card)
    ahead = int(np.ceil(horizon / pd.Timedelta(days=1)))
    for supplier, left in zip(card["supplier_id"], card["licence_days_left"], strict=True):
        if pd.isna(left):
            told.append(f"{supplier} has no licence: nothing is bought there")
        elif left < 0:
            told.append(f"{supplier}'s licence lapsed {_days(-left)} ago: nothing is bought there")
        elif left == 0:
            told.append(f"{supplier}'s licence is valid today for the last time")
        elif left <= max(ahead, SOON):
            told.append(f"{supplier}'s licence is valid for {_days(left, 'more ')}")
    return told


def _days(count: int, more: str = "") -> str:
    return f"{count} {more}{'day' if count == 1 else 'days'}"


def _lacking(card: pd.DataFrame) -> list[str]:
    """Why there is nothing to judge by."""
    if not card["orders"].any():
        return [
            "no order of these days names one of these suppliers: orders, minutes, failures and "
            "prices stay empty until the orders table has supplier_id (and delivered_at, for the "
            "minutes)"
        ]
    if card["p50_minutes"].isna().all():
        return [
            "no order of these days says when it was delivered: minutes stay empty, and only "
            "failures count as not on time, until the orders table has delivered_at"
        ]
    return []


def card_words(card: pd.DataFrame) -> str:
    """The scorecard as a table for people; - where there is nothing to judge by."""
    forms = {
        "orders": ("orders", "{:,}"),
        "on_time_share": ("on time", "{:.1%}"),
        "p50_minutes": ("p50 min", "{:.1f}"),
        "p95_minutes": ("p95 min", "{:.1f}"),
        "failure_rate": ("failed", "{:.2%}"),
        "price_drift": ("price drift", "{:+.2%}"),
        "licence_days_left": ("licence days", "{:,}"),
        "asked_units": ("asked", "{:,}"),
        "confirmed_share": ("confirmed", "{:.0%}"),
        "late_share": ("late", "{:.0%}"),
        "early_share": ("early", "{:.0%}"),
    }
    told = card[["supplier_id", "name"]].rename(columns={"supplier_id": "supplier"})
    for name, (head, form) in forms.items():
        told[head] = ["-" if pd.isna(value) else form.format(value) for value in card[name]]
    return told.to_string(index=False)
