"""A clean order log with a clean future, and every kind of dirt planted in it by an rng."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast import Panel, panel_of_orders

TZ = "Asia/Shanghai"
START = pd.Timestamp("2025-11-03", tz=TZ)
HORIZON = 72
LOTS = ((1, 2, 3, 5, 10), (0.7, 0.15, 0.07, 0.05, 0.03))


@dataclass(frozen=True, kw_only=True)
class Log:
    """Orders before as-of and demand after it."""

    orders: pd.DataFrame
    ids: list[str]
    as_of: pd.Timestamp
    future: np.ndarray  # [N, HORIZON] units
    hit: np.ndarray  # bool [N] products that were made dirty

    def panel(self, freq: str = "1h") -> Panel:
        return panel_of_orders(table(self.orders), self.ids, freq=freq, tz=TZ, as_of=self.as_of)


def table(orders: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(orders, preserve_index=False)


def clean_log(rng, *, n=12, days=56, per_day=240.0, level=None) -> Log:
    """Poisson orders with an evening peak and wandering days; individuals and distributors.

    Every third product has two distributors who order a third of it, often and in lots of ten; in
    an evening of every fourth one, a promotion brings five times the customers.
    """
    hours = 24 * days + HORIZON
    hour = np.arange(hours) % 24
    shape = 0.25 + np.exp(-0.5 * ((hour - 20) / 3.0) ** 2)
    wander = np.zeros((n, days + 3))
    for day in range(1, days + 3):
        wander[:, day] = 0.8 * wander[:, day - 1] + rng.normal(0, 0.06, n)
    scale = per_day * np.geomspace(0.3, 3.0, n)[:, None] / shape.reshape(-1, 24)[0].sum()
    rate = scale * shape * np.exp(np.repeat(wander, 24, axis=1))
    for product in range(0, n, 4):
        evening = 24 * int(rng.integers(days // 2, days - 2)) + 19
        rate[product, evening : evening + 4] *= 5
    if level is not None:
        rate *= level(n, hours)
    count = rng.poisson(rate)
    cell = np.repeat(np.arange(count.size), count.ravel())
    product, at = np.divmod(cell, hours)
    frame = _rows(rng, product, at)
    as_of = START + pd.Timedelta(hours=24 * days)
    ahead = frame[frame["ordered_at"] >= as_of.tz_convert("UTC")]
    step = ((ahead["ordered_at"] - as_of) // pd.Timedelta("1h")).to_numpy()
    future = np.zeros((n, HORIZON))
    np.add.at(future, (ahead["product"].to_numpy(), step), ahead["quantity"].to_numpy())
    return Log(
        orders=frame[frame["ordered_at"] < as_of.tz_convert("UTC")].drop(columns="product"),
        ids=[f"P{k:03d}" for k in range(n)],
        as_of=as_of,
        future=future,
        hit=np.zeros(n, dtype=bool),
    )


def _rows(rng, product, hour) -> pd.DataFrame:
    size = len(product)
    quantity = rng.choice(LOTS[0], size, p=LOTS[1])
    trade = (product % 3 == 0) & (rng.random(size) < 1 / 3)
    account = np.where(
        trade, product * 10 + rng.integers(0, 2, size), 10**6 + rng.integers(0, 5000, size)
    )
    quantity = np.where(trade, 10, quantity)
    start = START.tz_convert("UTC") + pd.to_timedelta(hour, unit="h")
    ordered = start + pd.to_timedelta(rng.integers(0, 3_600_000, size), unit="ms")
    fate = rng.random(size)
    frame = pd.DataFrame(
        {
            "product": product,
            "product_id": [f"P{k:03d}" for k in product],
            "ordered_at": ordered.as_unit("us"),
            "quantity": quantity,
            "status": np.where(fate < 0.03, "failed", "delivered"),
            "delivered_at": (
                ordered + pd.to_timedelta(rng.lognormal(5.0, 0.4, size), unit="s")
            ).as_unit("us"),
            "segment": np.where(trade, "distributor", "individual"),
            "account_id": [f"A{k}" for k in account],
        }
    )
    frame.loc[frame["status"] == "failed", "delivered_at"] = pd.NaT
    return frame


def bursts(rng, log: Log, *, last_days=14, orders=(60, 150)) -> Log:
    """In every second product a burst of odd quantities from two or three strangers."""
    parts, hit = [log.orders], log.hit.copy()
    for product in range(1, len(log.ids), 2):
        size = int(rng.integers(*orders))
        start = log.as_of - pd.Timedelta(minutes=int(rng.integers(90, last_days * 1440)))
        part = log.orders.iloc[:size].copy()
        part["product_id"] = log.ids[product]
        seconds = np.sort(rng.integers(0, 60 * int(rng.integers(25, 75)), size))
        stamps = start.tz_convert("UTC") + pd.to_timedelta(seconds, unit="s")
        part["ordered_at"] = pd.DatetimeIndex(stamps).as_unit("us")
        part["delivered_at"] = part["ordered_at"] + pd.Timedelta("5min")
        part["quantity"] = rng.choice([7, 13, 17, 23], size)
        part["status"], part["segment"] = "delivered", "individual"
        part["account_id"] = [f"F{product}-{k}" for k in rng.integers(0, rng.integers(2, 4), size)]
        parts.append(part)
        hit[product] = True
    return replace(log, orders=pd.concat(parts, ignore_index=True), hit=hit)


def silences(rng, log: Log, *, last_days=10, lost=1.0) -> Log:
    """In every second product a few stock-outs of 6 to 30 hours; with `lost` < 1 a jam instead.

    In a jam a share `lost` of the customers leaves; most of the other orders fail or wait long.
    """
    orders, hit = log.orders.copy(), log.hit.copy()
    gone = np.zeros(len(orders), dtype=bool)
    stuck = np.zeros(len(orders), dtype=bool)
    for product in range(1, len(log.ids), 2):
        mine = (orders["product_id"] == log.ids[product]).to_numpy()
        for _ in range(2):
            start = log.as_of - pd.Timedelta(hours=int(rng.integers(40, 24 * last_days)))
            end = start + pd.Timedelta(hours=int(rng.integers(6, 30)))
            within = (
                mine & ((orders["ordered_at"] >= start) & (orders["ordered_at"] < end)).to_numpy()
            )
            gone |= within & (rng.random(len(orders)) < lost)
            stuck |= within
        hit[product] = True
    failed = stuck & (rng.random(len(orders)) < 0.7)
    orders.loc[failed, "status"] = "failed"
    orders.loc[failed, "delivered_at"] = pd.NaT
    late = stuck & ~failed & orders["delivered_at"].notna().to_numpy()
    orders.loc[late, "delivered_at"] += pd.Timedelta("90min")
    return replace(log, orders=orders[~gone].reset_index(drop=True), hit=hit)


def gap(rng, log: Log, *, hours=20) -> Log:
    """The whole log silent for some hours of the last days."""
    start = log.as_of - pd.Timedelta(hours=int(rng.integers(hours + 24, 5 * 24)))
    inside = (log.orders["ordered_at"] >= start) & (
        log.orders["ordered_at"] < start + pd.Timedelta(hours=hours)
    )
    return replace(log, orders=log.orders[~inside], hit=np.ones_like(log.hit))


def shifting(rng, days=56):
    """For `clean_log(level=…)`: every second product's level changes, 4 to 25 days ago."""

    def level(n, hours):
        factor = np.ones((n, hours))
        for product in range(1, n, 2):
            since = 24 * (days - int(rng.integers(4, 26)))
            factor[product, since:] = rng.choice([0.35, 0.5, 2.0, 2.5])
        return factor

    return level
