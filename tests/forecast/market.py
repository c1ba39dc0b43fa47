"""Small seeded demand for the tests."""

import numpy as np
import pandas as pd

from forecast import Panel

TZ = "Asia/Shanghai"


def hours(n, start="2025-11-03"):
    return pd.date_range(start, periods=n, freq="h", tz=TZ).as_unit("us")


def panel(n=6, days=42, *, seed=0, shared=0.0, level=20.0):
    """Poisson counts with an evening peak; `shared` is the spread of a daily factor of all."""
    rng = np.random.default_rng(seed)
    ds = hours(24 * days)
    shape = 0.3 + np.exp(-0.5 * ((np.asarray(ds.hour) - 20) / 3.0) ** 2)
    daily = np.exp(rng.normal(-(shared**2) / 2, shared, days)) if shared else np.ones(days)
    rate = level * (1 + np.arange(n))[:, None] / n * shape * np.repeat(daily, 24)
    y = rng.poisson(rate).astype(np.float32)
    ids = np.array([f"P{k}" for k in range(n)], dtype=object)
    return Panel(ids=ids, ds=ds, y=y, orders=y.copy())


def closed_for_christmas():
    """A shop in London with orders in office hours, closed from the 24th to the 4th."""
    ds = pd.date_range("2025-11-03", "2026-01-30", freq="h", tz="Europe/London", inclusive="left")
    open_ = (ds.hour >= 9) & (ds.hour < 18) & (ds.day_of_week < 5)
    shut = (ds >= "2025-12-24") & (ds < "2026-01-05")
    y = np.random.default_rng(0).poisson(20.0 * (open_ & ~shut), (5, len(ds)))
    ids = np.array([f"P{k}" for k in range(5)], dtype=object)
    y = y.astype(np.float32)
    return Panel(ids=ids, ds=ds.as_unit("us"), y=y, orders=y.copy()), shut


def events(rows):
    """[(kind, start, hours, product or None, category or None)]"""
    return pd.DataFrame(
        [
            {
                "name": kind,
                "kind": kind,
                "starts_at": start,
                "ends_at": start + pd.Timedelta(hours=length),
                "product_id": product,
                "category": category,
            }
            for kind, start, length, product, category in rows
        ]
    )
