"""What the peers are shown: long frames of the past, and of what is announced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sets import CACHE, Set

from forecast import LEVELS
from forecast.demand import Array

_LEAST_DAYS = 14  # of history that a peer gets of a new product, zeros before its launch included


def folder_of(data: Set) -> Path:
    """Where a set's frames and forecasts are."""
    return CACHE / "sets" / data.name


def write(data: Set) -> Path:
    """One folder an origin with history.parquet and future.parquet; task.json beside them."""
    folder = folder_of(data)
    for k, origin in enumerate(data.origins):
        place = folder / str(k)
        place.mkdir(parents=True, exist_ok=True)
        stamps = _stamps(data)[: origin + data.horizon]
        told = announced(data, stamps)
        past = data.past(origin).y
        first = origin - past.shape[1]
        history = _long(data, past, stamps[first:origin], told, first)
        start = np.minimum(data.starts(origin), origin - _LEAST_DAYS * data.day)
        keep = np.arange(first, origin)[None, :] >= start[:, None]
        history[keep.ravel()].to_parquet(place / "history.parquet", index=False)
        nothing = np.full((len(data.panel.ids), data.horizon), np.nan)
        future = _long(data, nothing, stamps[origin:], told, origin)
        future.drop(columns="y").to_parquet(place / "future.parquet", index=False)
    task = {
        "series": len(data.panel.ids),
        "origins": len(data.origins),
        "day": data.day,
        "horizon": data.horizon,
        "levels": LEVELS.tolist(),
        "freq": f"{24 * 60 // data.day}min",
    }
    (folder / "task.json").write_text(json.dumps(task))
    return folder


def _stamps(data: Set) -> pd.DatetimeIndex:
    """Bucket starts, naive and evenly spaced: the local clock as it stands at the end."""
    ds = data.panel.ds
    if not isinstance(ds, pd.DatetimeIndex):
        return pd.date_range("2000-01-03", periods=len(ds), freq="1h")
    if ds.tz is None:
        return ds
    return ds.tz_convert("UTC").tz_localize(None) + ds[-1].utcoffset()


def _long(
    data: Set, y: Array, stamps: pd.DatetimeIndex, told: dict[str, Array], start: int
) -> pd.DataFrame:
    n, length = y.shape
    ids = pd.Index(data.panel.ids.astype(str))
    shown = y if "outage" not in told else _unseen(y, told["outage"][:, start : start + length])
    columns = {
        "unique_id": pd.Categorical.from_codes(np.repeat(np.arange(n), length), ids),
        "ds": np.tile(stamps.to_numpy(), n),
        "y": shown.ravel(),
    }
    for name, value in told.items():
        if name != "outage":
            columns[name] = value[:, start : start + length].ravel()
    return pd.DataFrame(columns)


def _unseen(y: Array, outage: Array) -> Array:
    return np.where(outage > 0, np.nan, y)


def announced(data: Set, stamps: pd.DatetimeIndex) -> dict[str, Array]:
    """Name -> [N, T] regressors, past and future, of a set whose events are known.

    A flag for each name of events; for each kind, hours since the start and to the end (−1 = none);
    holidays 1 and make-up workdays −1; category and list price.
    """
    if data.events is None or data.products is None:
        return {}
    products = data.products.set_index("product_id").reindex(data.panel.ids)
    shape = (len(products), len(stamps))
    told = {"holiday": np.broadcast_to(_holidays(data, stamps), shape)}
    for event in data.events.itertuples():
        rows = np.ones(len(products), dtype=bool)
        if isinstance(event.product_id, str):
            rows &= products.index == event.product_id
        if isinstance(event.category, str):
            rows &= (products["category"] == event.category).to_numpy()
        _mark(told, event, rows, stamps)
    category = pd.factorize(products["category"])[0].astype(np.float32)
    price = products["list_price"].astype(np.float32).to_numpy()
    told["static_category"] = np.broadcast_to(category[:, None], shape)
    told["static_price"] = np.broadcast_to(price[:, None], shape)
    return told


def _mark(told: dict[str, Array], event: object, rows: Array, stamps: pd.DatetimeIndex) -> None:
    kind = str(event.kind)  # type: ignore[attr-defined]
    if kind == "holiday":  # the calendar's column tells it
        return
    begin = event.starts_at.tz_localize(None)  # type: ignore[attr-defined]
    end = event.ends_at.tz_localize(None)  # type: ignore[attr-defined]
    at = np.flatnonzero((stamps >= begin.floor("h")) & (stamps < end))
    cells = np.ix_(rows, at)
    shape = (len(rows), len(stamps))
    flag = "outage" if kind == "outage" else f"event_{event.name}"  # type: ignore[attr-defined]
    told.setdefault(flag, np.zeros(shape, dtype=np.float32))[cells] = 1
    if kind == "outage":
        return
    hour = pd.Timedelta("1h")
    since = told.setdefault(f"since_{kind}", np.full(shape, -1, dtype=np.float32))
    since[cells] = np.asarray((stamps[at] - begin) / hour)
    left = told.setdefault(f"left_{kind}", np.full(shape, -1, dtype=np.float32))
    left[cells] = np.asarray((end - stamps[at]) / hour)


def _holidays(data: Set, stamps: pd.DatetimeIndex) -> Array:
    import holidays

    years = sorted(set(stamps.year))
    known = holidays.country_holidays(str(data.country), years=years)
    dates = pd.Series(stamps.date)
    made_up = set(getattr(known, "weekend_workdays", ()))
    return (dates.isin(list(known)).astype(int) - dates.isin(list(made_up))).to_numpy(np.float32)
