"""The data sets by name: the sample market, the files of a folder, and logs from packages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import packaged
import pandas as pd
from sets import CACHE, Set, origins

from forecast import panel_of_orders, panel_of_series

HOURS = 72  # horizon of the markets


def load(name: str, bench: Path) -> Set | None:
    """The data set called `name`; None (and a message) where its files are missing."""
    if name in _SHORT:
        whole = load(_SHORT[name][0], bench)
        return whole and replace(whole, name=name, known=_SHORT[name][1])
    if name in packaged.SETS:
        return packaged.SETS[name]()
    source, make = _FILES[name]
    path = bench / source if source else CACHE / "market"
    if source and not path.exists():
        print(f"{name}: skipped, {source} is not in the folder given")
        return None
    return make(path)


def _m4(path: Path) -> Set:
    panel = panel_of_series(pd.read_parquet(path), freq="1", season=24)
    last = origins(panel, 48, 2, 4 * 24)
    return Set(name="m4", panel=panel, horizon=48, origins=last, day=24)


def _taxi(path: Path) -> Set:
    panel = panel_of_series(pd.read_parquet(path), freq="30min")
    last = origins(panel, 96, 6, 3 * 48)
    return Set(name="taxi", panel=panel, horizon=96, origins=last, day=48)


def _bike(path: Path) -> Set:
    panel = panel_of_series(pd.read_parquet(path), freq="1h")
    last = origins(panel, 48, 6, 3 * 24)
    return Set(name="bike", panel=panel, horizon=48, origins=last, day=24)


def _market(path: Path) -> Set:
    """The sample market of seed 0; its held-out days are the last origin's future."""
    if not (path / "market.json").exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        command = Path(sys.executable).parent / "peakahead"
        subprocess.run([command, "init", path, "--seed", "0"], check=True)
    zone = "Asia/Shanghai"
    as_of = pd.Timestamp(json.loads((path / "market.json").read_text())["as_of"])
    columns = ["product_id", "ordered_at", "quantity", "status"]
    past = pd.read_parquet(path / "orders.parquet")[columns]
    later = pd.read_parquet(path / "future.parquet")[columns]
    log = pd.concat([past, later], ignore_index=True)
    log["ordered_at"] = pd.to_datetime(log["ordered_at"], utc=True)
    products = _table(path / "products.csv", zone, ["launched_at"])
    events = _table(path / "events.csv", zone, ["starts_at", "ends_at"])
    panel = panel_of_orders(
        _arrow(log),
        products["product_id"].tolist(),
        freq="1h",
        tz=zone,
        as_of=as_of + pd.Timedelta(hours=HOURS),
    )
    return Set(
        name="market",
        panel=panel,
        horizon=HOURS,
        origins=origins(panel, HOURS, 4, HOURS),
        day=24,
        products=products,
        events=events,
        country="CN",
    )


def _retail(path: Path) -> Set:
    """Units sold per product and hour; returns and corrections are no demand."""
    import duckdb

    zone = "Europe/London"
    as_of = pd.Timestamp(json.loads((path / "market.json").read_text())["as_of"])
    products = _table(path / "products.csv", zone, [])
    log = duckdb.connect().sql(
        f"""
        select StockCode as product_id, InvoiceDate at time zone '{zone}' as ordered_at,
               Quantity as quantity, status
        from '{path / "orders.parquet"}' where Quantity > 0 and UnitPrice >= 0
        """
    )
    panel = panel_of_orders(
        log, products["product_id"].tolist(), freq="1h", tz=zone, as_of=as_of.tz_convert(zone)
    )
    return Set(
        name="retail",
        panel=panel,
        horizon=HOURS,
        origins=origins(panel, HOURS, 2, HOURS),
        day=24,
        products=products,
        country="GB",
    )


def _table(path: Path, zone: str, stamps: list[str]) -> pd.DataFrame:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    for name in stamps:
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.tz_convert(zone)
    return frame


def _arrow(frame: pd.DataFrame) -> object:
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False)


_FILES: dict[str, tuple[str, Callable[[Path], Set]]] = {
    "market": ("", _market),
    "bike": ("bike_hourly.parquet", _bike),
    "taxi": ("nyc_taxi_30min.parquet", _taxi),
    "m4": ("m4_hourly_train.parquet", _m4),
    "retail": ("online_retail", _retail),
}
_SHORT = {  # sets of whose past only the last days are shown
    f"{name}-{days}": (name, days) for name in ("market", "bike", "taxi") for days in (14, 28)
}
SETS = (*_FILES, *packaged.SETS, *_SHORT)
