"""The five data sets, and the origins from which each is forecast."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from forecast import Panel, metrics, panel_of_orders, panel_of_series
from forecast.demand import Array

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "forecast"
HOURS = 72  # horizon of the markets


@dataclass(frozen=True, kw_only=True)
class Set:
    """Data, where it is cut, and what a forecaster may know beside the past."""

    name: str
    panel: Panel
    horizon: int
    origins: tuple[int, ...]  # buckets of history, the latest first
    day: int  # buckets in the short season
    products: pd.DataFrame | None = None
    events: pd.DataFrame | None = None
    country: str | None = None

    def past(self, origin: int) -> Panel:
        """What is known at an origin: nothing later is in it."""
        orders = None if self.panel.orders is None else self.panel.orders[:, :origin]
        return replace(
            self.panel, ds=self.panel.ds[:origin], y=self.panel.y[:, :origin], orders=orders
        )

    def starts(self, origin: int) -> Array:
        """[N] where each series begins: the first value, of an order log's products the first sale.

        `origin` for those that have not begun.
        """
        y = self.panel.y[:, :origin]
        shown = np.isfinite(y) if self.panel.orders is None else np.nan_to_num(y) > 0
        return np.where(shown.any(axis=1), shown.argmax(axis=1), origin)

    def scale(self, origin: int) -> Array:
        """[N] MASE's scale over a series' own life; NaN with less than two days of it.

        With the zeros before its launch in it, a new product's scale would be next to nothing, and
        a few such products would make up nearly all of a mean over series.
        """
        start = self.starts(origin)
        lived = np.arange(origin)[None, :] >= start[:, None]
        scale = metrics.mase_scale(np.where(lived, self.panel.y[:, :origin], np.nan), self.day)
        return np.where(start <= origin - 2 * self.day, scale, np.nan)

    def actual(self, origin: int) -> Array:
        """[N, H] what came, NaN where nothing was observed."""
        return self.panel.y[:, origin : origin + self.horizon].astype(np.float64)


def load(name: str, bench: Path) -> Set | None:
    """The data set called `name`; None (and a message) where its files are missing."""
    source, make = SETS[name]
    path = bench / source if source else CACHE / "market"
    if source and not path.exists():
        print(f"{name}: skipped, {source} is not in the folder given")
        return None
    return make(path)


def _origins(panel: Panel, horizon: int, count: int, apart: int) -> tuple[int, ...]:
    last = len(panel.ds) - horizon
    return tuple(last - k * apart for k in range(count))


def _m4(path: Path) -> Set:
    panel = panel_of_series(pd.read_parquet(path), freq="1", season=24)
    origins = _origins(panel, 48, 2, 4 * 24)
    return Set(name="m4", panel=panel, horizon=48, origins=origins, day=24)


def _taxi(path: Path) -> Set:
    panel = panel_of_series(pd.read_parquet(path), freq="30min")
    origins = _origins(panel, 96, 6, 3 * 48)
    return Set(name="taxi", panel=panel, horizon=96, origins=origins, day=48)


def _bike(path: Path) -> Set:
    panel = panel_of_series(pd.read_parquet(path), freq="1h")
    origins = _origins(panel, 48, 6, 3 * 24)
    return Set(name="bike", panel=panel, horizon=48, origins=origins, day=24)


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
        origins=_origins(panel, HOURS, 4, HOURS),
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
        origins=_origins(panel, HOURS, 2, HOURS),
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


SETS: dict[str, tuple[str, Callable[[Path], Set]]] = {
    "market": ("", _market),
    "bike": ("bike_hourly.parquet", _bike),
    "taxi": ("nyc_taxi_30min.parquet", _taxi),
    "m4": ("m4_hourly_train.parquet", _m4),
    "retail": ("online_retail", _retail),
}
