"""An order log and an as-of as analysts hold them, made what the panel counts from."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

NEEDED = ("product_id", "ordered_at", "quantity", "status")
STAMPS = ("ordered_at", "delivered_at")


def readable(orders: Any) -> Any:
    """A pandas frame as an Arrow table; all else that holds the columns stays as it is.

    Raises
    ------
    ValueError
        When a needed column is missing, or a frame's stamp has no time zone.
    """
    table = not isinstance(orders, pd.DataFrame) and hasattr(orders, "schema")
    missing = set(NEEDED) - set(orders.schema.names if table else orders.columns)
    if missing:
        raise ValueError(f"the orders lack {sorted(missing)}; they need {', '.join(NEEDED)}")
    if not isinstance(orders, pd.DataFrame):
        return orders
    for name in STAMPS:
        if name in orders and not isinstance(orders[name].dtype, pd.DatetimeTZDtype):
            raise ValueError(
                f"{name} is {orders[name].dtype}; it must hold timestamps with their time zone: "
                f"pd.to_datetime(orders.{name}).dt.tz_localize(tz)"
            )
    return pa.Table.from_pandas(orders, preserve_index=False)


def aware(as_of: Any, tz: str) -> pd.Timestamp:
    """What `pd.Timestamp` takes as an instant; naive = local in `tz`, the earlier of two.

    Raises
    ------
    ValueError
        When it is no time, or a local one that doesn't exist.
    """
    stamp = pd.Timestamp(as_of)
    if pd.isna(stamp):
        raise ValueError("as_of is no time; give the instant at which the history ends")
    return stamp if stamp.tz is not None else stamp.tz_localize(tz, ambiguous=True)
