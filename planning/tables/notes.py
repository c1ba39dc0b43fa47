"""What is worth a planner's look, though no row is refused for it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

MOST_COMPARED = 10_000  # distinct unknown ids held against the known ones
SHOWN = 5
MOST_REPEATED = 0.01  # of a table's rows, without a word


def folded(name: str) -> str:
    """Return what an id looks like to people: width, case and spaces aside."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _few(items: Sequence[str]) -> str:
    rest = len(items) - SHOWN
    return "; ".join(items[:SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


def near_variants(table: str, column: str, ids: Iterable[str]) -> list[str]:
    """Note ids that differ only in case, spaces or width, and are kept apart all the same."""
    groups: dict[str, list[str]] = {}
    for one in ids:
        groups.setdefault(folded(one), []).append(one)
    alike = [", ".join(repr(one) for one in group) for group in groups.values() if len(group) > 1]
    if not alike:
        return []
    return [
        f"{table}: {len(alike)} sets of {column} differ only in case, spaces or width and are "
        f"kept apart: {_few(alike)}"
    ]


def near_known(table: str, unknown: Iterable[str], known: Iterable[str]) -> list[str]:
    """Note unlisted products that a listed one resembles."""
    unlisted = {one: folded(one) for one in unknown}
    if not unlisted:
        return []
    listed = {folded(one): one for one in known}
    pairs = [f"{one!r} for {listed[f]!r}" for one, f in unlisted.items() if f in listed]
    if not pairs:
        return []
    return [
        f"{table}: {len(pairs)} unlisted product_id resemble a listed one but are not it: "
        f"{_few(pairs)}"
    ]


def rejected(table: str, quarantine: pd.DataFrame) -> list[str]:
    """Tell how many rows are in quarantine and the rules that most break, each with its first."""
    if quarantine.empty:
        return []
    by_rule = quarantine.groupby("rule", sort=True)
    count = by_rule.size().sort_values(ascending=False, kind="stable")
    first = by_rule[["file", "line"]].first()
    rows = pd.concat([count.rename("count"), first], axis=1).loc[count.index].reset_index()
    told = [
        f"{row['rule']} ({row['count']:,}, first in {row['file']}, line {row['line']})"
        for row in rows.to_dict("records")
    ]
    faults, bad = len(quarantine), len(quarantine[["file", "line"]].drop_duplicates())
    what = "1 row is" if bad == 1 else f"{bad:,} rows are"
    whose = "" if faults == bad else f" with {faults:,} faults"
    return [f"{table}: {what} in quarantine{whose}: {_few(told)}"]


def ambiguous(table: str, count: int, tz: str) -> list[str]:
    """Note accepted rows whose local time comes twice."""
    if not count:
        return []
    return [
        f"{table}: {count:,} rows hold a local time that comes twice in {tz} "
        "(the clocks go back); the earlier instant was taken"
    ]


def repeated(table: str, again: int, read: int) -> list[str]:
    """Note rows that repeat another, where there are many."""
    if again <= MOST_REPEATED * read:
        return []
    return [
        f"{table}: {again:,} of {read:,} rows ({again / read:.0%}) repeat an earlier row exactly "
        "and were counted once; is an export in there twice?"
    ]


def meaning(tables: Mapping[str, pd.DataFrame], orders: pa.Table) -> list[str]:
    """Note what is allowed and yet likely a slip."""
    products, suppliers = tables["products"], tables["suppliers"]
    return [
        *near_variants("products", "product_id", products["product_id"]),
        *near_variants("suppliers", "supplier_id", suppliers["supplier_id"]),
        *_unlisted(products, "similar_to", products["product_id"], "products"),
        *_unlisted(tables["events"], "category", products["category"], "events"),
        *_unlisted(tables["stock"], "supplier_id", suppliers["supplier_id"], "stock"),
        *_unlisted_suppliers(orders, suppliers),
        *_never_allocated(tables["offers"]),
        *_same_stock(tables["stock"]),
    ]


def _unlisted(rows: pd.DataFrame, column: str, known: pd.Series, table: str) -> list[str]:
    listed = set(known)
    unlisted = [repr(name) for name in rows[column].dropna().unique() if name not in listed]
    if not unlisted:
        return []
    return [f"{table}: {column} names what is not listed: {_few(unlisted)}"]


def _unlisted_suppliers(orders: pa.Table, suppliers: pd.DataFrame) -> list[str]:
    named = pc.unique(orders.column("supplier_id").drop_null()).to_pylist()
    return _unlisted(
        pd.DataFrame({"supplier_id": named}), "supplier_id", suppliers["supplier_id"], "orders"
    )


def _never_allocated(offers: pd.DataFrame) -> list[str]:
    least = offers["min_order_qty"].astype(float)
    tight = offers[["max_units", "max_units_per_hour"]].astype(float).min(axis=1)
    never = offers[least > tight]
    if never.empty:
        return []
    pairs = [f"{row.supplier_id} / {row.product_id}" for row in never.itertuples()]
    return [
        f"offers: {len(never)} can never be pre-allocated, their min_order_qty exceeds "
        f"max_units or max_units_per_hour: {_few(pairs)}"
    ]


def _same_stock(stock: pd.DataFrame) -> list[str]:
    again = int(stock.duplicated().sum())
    if not again:
        return []
    return [f"stock: {again} rows repeat another row exactly and were counted as further stock"]
