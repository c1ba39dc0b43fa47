"""Puts a sample market on disk as a workspace: whole, or without its peakahead.toml."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from planning.market import log
from planning.market.suppliers import with_credit
from planning.market.world import AS_OF, TEST_DAYS, TZ, World, world

RECENT_DAYS = 7  # that a recent day's spend is averaged over
SHORTEST, NARROWEST = 7, 1.25  # days of history, price spread
PARTIAL = ".peakahead-init"  # where files grow; its presence means that an init was cut short
CONFIG = "peakahead.toml"
FILES = (
    "orders.parquet",
    "future.parquet",
    "products.csv",
    "suppliers.csv",
    "offers.csv",
    "price_tiers.csv",
    "stock.csv",
    "events.csv",
    "market.json",
    CONFIG,  # last: a folder without it is no workspace
)

Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class MarketSummary:
    """What `make_market` made."""

    root: Path
    as_of: datetime
    counts: dict[str, int]  # rows of each table; orders as history and future
    working_capital: float
    reactive_mean_minutes: float  # of buying everything on demand over the test days


def make_market(
    root: Path,
    *,
    days: int = 120,
    products: int = 60,
    seed: int = 0,
    capital_days: float = 0.5,
    price_spread: float = 2.0,
    progress: Progress | None = None,
) -> MarketSummary:
    """Makes `root` a sample market in the workspace format; equal arguments, equal bytes.

    Parameters
    ----------
    days
        Of history before as-of; the orders of the 3 days after it go to future.parquet.
    capital_days
        Working capital in recent days' spend.
    price_spread
        Highest unit price over the lowest; 2 gives 27–54, 20 gives 10–200.
    progress
        Told what is being done, and what share of the whole is done (0–1).

    Raises
    ------
    FileExistsError
        When `root` holds a workspace, or a file that a workspace would replace.
    ValueError
        When an argument is out of its range.
    """
    _check(days, products, seed, capital_days, price_spread)
    partial = _claim(root)
    tell = progress or _silent
    tell("customers, suppliers, spot channels", 0.0)
    made = world(days=days, products=products, seed=seed, price_spread=price_spread)
    counts, spend = _write_logs(partial, made, tell)
    capital = max(round(capital_days * spend), 1)
    counts |= _write_tables(partial, made, capital)
    about = {"as_of": AS_OF.isoformat(), "seed": seed, "days": days, "products": products}
    _write(partial / "market.json", json.dumps({**about, "counts": counts}, indent=1) + "\n")
    _write(partial / CONFIG, CONFIG_TEXT.format(tz=TZ, capital=capital, days=capital_days))
    _settle(partial, root)
    tell("done", 1.0)
    return MarketSummary(
        root=root,
        as_of=AS_OF,
        counts=counts,
        working_capital=float(capital),
        reactive_mean_minutes=made.reactive_mean_minutes,
    )


def _silent(_label: str, _share: float) -> None:
    """Progress nobody asked for."""


def _check(days: int, products: int, seed: int, capital_days: float, spread: float) -> None:
    wrong = {
        f"days is {days}; a market needs at least {SHORTEST}": days < SHORTEST,
        f"products is {products}; a market needs at least 1": products < 1,
        f"seed is {seed}; it must be 0 or more": seed < 0,
        f"capital_days is {capital_days}; it must be above 0": not 0 < capital_days < np.inf,
        f"price_spread is {spread}; it must be at least {NARROWEST}, or suppliers' prices have "
        "no room to differ": not NARROWEST <= spread < np.inf,
    }
    found = [message for message, holds in wrong.items() if holds]
    if found:
        raise ValueError("; ".join(found))


def _claim(root: Path) -> Path:
    """The empty folder within `root` where files grow."""
    if (root / CONFIG).exists():
        raise FileExistsError(
            f"{root} already holds a workspace ({CONFIG}); choose another folder or delete this one"
        )
    partial = root / PARTIAL
    if partial.exists():
        shutil.rmtree(partial)  # an init was killed here: its leftovers are ours to replace
    else:
        taken = [name for name in FILES if (root / name).exists()]
        if taken:
            raise FileExistsError(
                f"{root} holds {', '.join(taken)}, which a sample market would replace; "
                "choose an empty folder"
            )
    partial.mkdir(parents=True)
    return partial


def _settle(partial: Path, root: Path) -> None:
    """Moves the finished files to their place, peakahead.toml last."""
    for name in FILES:
        (partial / name).replace(root / name)
    partial.rmdir()


def _write_logs(partial: Path, made: World, tell: Progress) -> tuple[dict[str, int], float]:
    """Writes both order logs; returns their rows and a recent day's spend."""
    days = made.source.days.history
    future = log.write(partial / "future.parquet", log.days(made.log, days, days + TEST_DAYS, None))
    spend = np.zeros(days)
    price = pd.Series(made.spot_price(), index=made.source.shop.table["product_id"])

    def watched() -> Iterator[pa.Table]:
        tables = log.days(made.log, 0, days, days * log.DAY_MILLIS)
        for day, rows in enumerate(tables):
            tell("orders", 0.1 + 0.9 * day / days)
            if day >= days - RECENT_DAYS:
                spend[day] = _spend(rows, price)
            yield rows

    history = log.write(partial / "orders.parquet", watched())
    return {"history": history, "future": future}, float(spend[-RECENT_DAYS:].mean())


def _spend(rows: pa.Table, price: pd.Series) -> float:
    """What a day's orders cost on spot at the cheapest licensed supplier, cancelled ones out."""
    bought = rows.filter(pc.not_equal(rows["status"], "cancelled"))
    units = bought["quantity"].to_numpy()
    return float((units * bought["product_id"].to_pandas().map(price)).sum())


def _write_tables(partial: Path, made: World, capital: float) -> dict[str, int]:
    tables = {
        "products": made.source.shop.table,
        "suppliers": with_credit(made.terms.suppliers, capital),
        "offers": made.terms.offers,
        "price_tiers": made.terms.price_tiers,
        "stock": made.terms.stock,
        "events": made.events,
    }
    for name, table in tables.items():
        text = table.map(_cell).to_csv(index=False, lineterminator="\n")
        _write(partial / f"{name}.csv", text)
    return {name: len(table) for name, table in tables.items()}


def _cell(value: object) -> str:
    """A cell as text: instants with offset, whole numbers without a point, missing as empty."""
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.10g}"
    return str(value)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


CONFIG_TEXT = """\
# A sample market made by `peakahead init`. Every key that a workspace may have is described in
# docs/formats.md; the ones below are all that this market needs.

[data]
timezone    = "{tz}"        # stamps without an offset are read in it
orders      = "orders.parquet"       # your own: a file, a glob or a database address
products    = "products.csv"
suppliers   = "suppliers.csv"
offers      = "offers.csv"           # one supplier's terms for one product
price_tiers = "price_tiers.csv"      # optional: quantity discounts
stock       = "stock.csv"            # optional: units on hand
events      = "events.csv"           # optional: what is announced, past and future

max_quarantine_share = 0.1           # more bad rows than this in a table: the run stops

# Your columns are called something else? Name them here, ours = yours:
# [data.columns.orders]
# ordered_at = "created_at"
# Your words are others? Say what they mean, ours = yours:
# [data.values.orders.status]
# delivered = ["ok", "done"]

[forecast]
freq    = "1h"                       # "15min", "30min" or "1h"
horizon = "72h"

[planning]
working_capital       = {capital:<12} # most that a plan may commit: {days:g} recent days' spend
target_minutes        = 5            # an order is on time when delivered within this
target_share          = 0.95         # wanted share of orders on time
delay_cost_per_minute = 0.05         # money per order per minute of waiting
capital_cost_per_year = 0.08

[planning.segment_weight]            # multiplies the cost of waiting
distributor = 1.5
enterprise  = 3.0

[export]
formats  = ["xlsx", "csv", "json"]
language = "en"                      # or "zh"

[store]
url = "sqlite:///peakahead.db"       # or postgresql+psycopg://…
"""
