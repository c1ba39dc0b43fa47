"""An order log and an as-of as analysts hold them, made what the panel counts from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NEEDED = ("product_id", "ordered_at", "quantity", "status")
STAMPS = ("ordered_at", "delivered_at")
STATUS = ("delivered", "failed", "cancelled", "refunded", "pending")
_MEANT = {
    "status": f"{', '.join(STATUS)} or a word of yours, which counts as demand",
    "ordered_at": "an instant",
    "quantity": "1, 2, 3 …",
}
_AMOUNT = "try_cast(quantity as double)"
WRONG = f"""case when status is null or (status::varchar not in {STATUS}
    and lower(trim(status::varchar)) in {(*STATUS, "canceled")})
    then 'status ' || coalesce(status::varchar, 'none')
    when ordered_at is null then 'ordered_at none'
    when {_AMOUNT} is null or not ({_AMOUNT} between 1 and 1e15) or {_AMOUNT} % 1 <> 0
    then 'quantity ' || coalesce(quantity::varchar, 'none') end"""  # in SQL, null = nothing is


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


def refuse_wrong(log: DuckDBPyConnection) -> None:
    """Raise ValueError where the table `placed` has a row whose `WRONG` tells of something.

    Words of the user's own are demand; `CANCELLED` isn't meant to be.
    """
    told = "select wrong, count(*) from placed where wrong is not null group by all order by all"
    for what, rows in log.execute(told).fetchall():
        name = what.split()[0]
        raise ValueError(f"{rows:,} orders have the {what}; it must be {_MEANT[name]}")
    log.execute("alter table placed drop column wrong")


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
