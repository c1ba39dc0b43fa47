"""What to order, by when: a plan's lines in the order in which somebody has to act on them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

IN_FULL = pd.Timedelta("24h")  # from as-of: lines to be ordered in that time are told one by one


@dataclass(frozen=True, kw_only=True)
class Agenda:
    """Lines to be ordered soon, one by one, and the later ones, supplier by supplier."""

    soon: pd.DataFrame  # order_by, supplier, product, units, amount
    later: pd.DataFrame  # supplier, lines, units, amount, order_first


def named(ids: pd.Series, names: pd.Series) -> pd.Series:
    """Ids, each with its name behind it where one is known."""
    name = ids.map(names).fillna("").astype(str)
    return ids.where(name == "", ids.astype(str) + " · " + name)


def agenda(
    lines: pd.DataFrame, as_of: pd.Timestamp, *, products: pd.Series, suppliers: pd.Series
) -> Agenda:
    """The rows of plan.csv by order_by, then supplier; `products`, `suppliers`: name by id."""
    told = pd.DataFrame(
        {
            "order_by": lines["order_by"],
            "supplier": named(lines["supplier_id"], suppliers),
            "product": named(lines["product_id"], products),
            "units": lines["units"],
            "amount": lines["units"] * lines["unit_cost"],
        }
    ).sort_values(["order_by", "supplier"], kind="stable", ignore_index=True)
    soon = told["order_by"] < as_of + IN_FULL
    later = told[~soon].groupby("supplier", sort=True, as_index=False)
    return Agenda(
        soon=told[soon],
        later=later.agg(
            lines=("product", "size"),
            units=("units", "sum"),
            amount=("amount", "sum"),
            order_first=("order_by", "min"),
        ),
    )
