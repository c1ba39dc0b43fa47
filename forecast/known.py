"""Tables told beside a history, products and events, checked before anything is learned."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast.demand import Panel

KINDS = ("promotion", "release", "holiday", "outage")  # others are like promotions
_SERIES = "unique_id"  # what a long frame calls the product


def checked_products(products: pd.DataFrame | None, panel: Panel) -> pd.DataFrame | None:
    """One row a product, its id under product_id; the frame given is left as it is.

    Raises
    ------
    ValueError
        When the column is missing, a product of the panel comes twice, or none of them is listed.
    """
    if products is None:
        return None
    found = named(products, "products")
    ids = found["product_id"].astype(str)
    ours = ids.isin([str(each) for each in panel.ids])
    if len(found) and not ours.any():
        raise ValueError(
            f"products lists none of the panel's ids: it has {ids.iloc[0]!r}, the panel "
            f"{panel.ids[0]!r}"
        )
    twice = ids[ours & ids.duplicated()]
    if len(twice):
        raise ValueError(f"products has {twice.iloc[0]!r} more than once; keep one row for each")
    return found


def check_panel(panel: object) -> None:
    """Raise TypeError, with what makes a panel, unless this is one."""
    if not isinstance(panel, Panel):
        raise TypeError(
            f"the history is a {type(panel).__name__}, not a Panel: make one of a long frame with "
            "panel_of_series, of an order log with panel_of_orders"
        )


def check_horizon(horizon: object) -> None:
    """Raise ValueError unless this is a number of buckets, 1 or more."""
    if isinstance(horizon, int | float | np.integer) and horizon >= 1 and horizon % 1 == 0:
        return
    raise ValueError(f"horizon {horizon!r} is no number of buckets; ask for 1 or more")


def check_country(country: str | None) -> None:
    """Raise ValueError unless the holidays of this country are known; None = of none."""
    import holidays

    if country is None or country in holidays.list_supported_countries(include_aliases=True):
        return
    known = holidays.list_supported_countries(include_aliases=False)
    raise ValueError(
        f"no country has the ISO code {country!r}; holidays are known of {', '.join(known)}"
    )


def checked_events(events: pd.DataFrame | None) -> pd.DataFrame | None:
    """Events with the id of a product under product_id; the frame given is left as it is.

    Raises
    ------
    ValueError
        When a column is missing, a kind is empty or one of `KINDS` in other letters, or an event
        has no time or ends before it starts.
    """
    if events is None:
        return None
    found = named(events, "events", optional=True)
    missing = {"kind", "starts_at", "ends_at"} - set(found.columns)
    if missing:
        raise ValueError(f"events lacks {sorted(missing)}; it needs kind, starts_at, ends_at")
    for kind in found["kind"].drop_duplicates():
        plain = str(kind).strip().casefold()
        if pd.isna(kind) or not plain or (plain in KINDS and kind not in KINDS):
            raise ValueError(
                f"an event's kind is {kind!r}; there are {', '.join(KINDS)}, and yours"
            )
    starts, ends = pd.DatetimeIndex(found["starts_at"]), pd.DatetimeIndex(found["ends_at"])
    never = np.asarray(starts.isna()) | np.asarray(ends.isna())
    wrong = never if never.any() else np.asarray(ends <= starts)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"the event in row {row} lasts from {starts[row]} to {ends[row]}: an event needs both, "
            "and must end after it starts"
        )
    return found


def named(frame: pd.DataFrame, what: str, *, optional: bool = False) -> pd.DataFrame:
    """The frame with the id of a product under product_id, also where it was unique_id."""
    if "product_id" in frame:
        return frame
    if _SERIES in frame:
        return frame.rename(columns={_SERIES: "product_id"})
    if not optional:
        raise ValueError(f"{what} lacks product_id, by which its rows belong to the panel's ids")
    return frame
