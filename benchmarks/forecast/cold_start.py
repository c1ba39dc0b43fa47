"""Error of forecasts of new products that borrow, against those from own or others' data alone.

A fifth of a sample market's products is made new: their orders from more than k days before the
origin are hidden. The error is that of 72 hours' units by the hour, against the product's usual
units (the mean absolute error over the mean demand of its hidden weeks).
"""

from __future__ import annotations

import csv
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from forecast import Panel, forecast
from forecast.demand import Array
from planning.decide import country_of, past_demand
from planning.market import make_market
from planning.tables import read_workspace
from planning.workspace import load_workspace

SEEDS = range(6)
AGES = (0, 1, 3, 7, 13)  # days on sale at the origin
PRODUCTS, DAYS, HORIZON = 100, 60, 72
SHARE = 5  # every so many products is made new
JUDGED = 0.3  # spread of the logarithm of what a planner misjudges a similar product by
RESULTS = Path(__file__).with_suffix(".csv")


def commit() -> str:
    """Short commit of the working tree."""
    head = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], text=True)
    return head.strip()


def situation(seed: int) -> tuple[Panel, Array, pd.DataFrame, pd.DataFrame, str | None]:
    """History, the 72 hours after it, products, events, country."""
    with tempfile.TemporaryDirectory() as folder:
        made = make_market(Path(folder) / "market", days=DAYS, products=PRODUCTS, seed=seed)
        workspace = load_workspace(made.root)
        inputs = read_workspace(workspace, pd.Timestamp(made.as_of))
        panel = past_demand(workspace, inputs, pd.Timestamp(made.as_of))
    cut = len(panel.ds) - HORIZON
    past = replace(panel, ds=panel.ds[:cut], y=panel.y[:, :cut], orders=panel.orders[:, :cut])
    country = country_of(workspace.timezone)
    return past, panel.y[:, cut:], inputs.tables["products"], inputs.tables["events"], country


def hidden(past: Panel, rows: Array, age: int) -> Panel:
    """The panel as if `rows` had been launched `age` days before its end."""
    before = np.arange(past.y.shape[1]) < past.y.shape[1] - 24 * age
    y, orders = past.y.copy(), past.orders.copy()
    y[np.ix_(rows, before)] = 0
    orders[np.ix_(rows, before)] = 0
    return replace(past, y=y, orders=orders)


def listed(past: Panel, products: pd.DataFrame, rows: Array, age: int, seed: int) -> pd.DataFrame:
    """Products with the launch told, and the product of nearest demand as a planner might judge."""
    rng = np.random.default_rng(seed)
    level = np.log(past.y.mean(axis=1) + 1e-3)
    launched = pd.Series(pd.to_datetime(products["launched_at"], utc=True).to_numpy())
    similar = products["similar_to"].astype(object).to_numpy().copy()
    category = products["category"].to_numpy()
    end = past.future(1)[0].tz_convert("UTC").tz_localize(None)
    old = np.setdiff1d(np.flatnonzero(launched.isna().to_numpy()), rows)
    launched = launched.dt.tz_localize(None) if launched.dt.tz is not None else launched
    for row in rows:
        kin = old[category[old] == category[row]]
        if len(kin):
            guess = level[row] + JUDGED * rng.normal()
            similar[row] = past.ids[kin[np.abs(level[kin] - guess).argmin()]]
        launched.iloc[row] = end - pd.Timedelta(days=age)
    stamps = pd.DatetimeIndex(launched).tz_localize("UTC")
    return products.assign(launched_at=stamps, similar_to=similar)


def errors(seed: int) -> Iterator[dict[str, object]]:
    """Rows of the results, for one market."""
    past, actual, products, events, country = situation(seed)
    old = np.flatnonzero(products["launched_at"].isna() & (past.y[:, -672:].sum(axis=1) > 28))
    rows = old[:: max(len(old) // (PRODUCTS // SHARE), 1)]
    usual = past.y[rows][:, -672:].mean(axis=1)
    none = pd.Series([None] * len(products), dtype=object)

    def score(panel: Panel, table: pd.DataFrame) -> tuple[float, float, float]:
        ahead = forecast(
            panel,
            HORIZON,
            products=table,
            events=events,
            country=country,
            members=["seasonal"],
            n_paths=4,
        )
        mine = np.flatnonzero(np.isin(panel.ids, past.ids[rows]))
        error = np.abs(ahead.mean[mine] - actual[rows]).mean(axis=1) / usual
        day = np.abs(ahead.mean[mine].sum(axis=1) - actual[rows].sum(axis=1)) / usual / HORIZON
        total = ahead.mean[mine].sum() / actual[rows].sum()
        return float(error.mean()), float(day.mean()), float(total)

    told = listed(past, products, rows, 0, seed)
    yield from [_row(seed, "all", "whole history", *score(past, products))]
    others = score(hidden(past, rows, 0), told.assign(similar_to=none))
    for age in AGES:
        panel = hidden(past, rows, age)
        told = listed(past, products, rows, age, seed)
        yield _row(seed, age, "category alone", *others)
        if age:
            own = replace(panel, ids=panel.ids[rows], y=panel.y[rows], orders=panel.orders[rows])
            yield _row(seed, age, "own alone", *score(own, told.iloc[rows]))
        yield _row(seed, age, "borrowed, category", *score(panel, told.assign(similar_to=none)))
        yield _row(seed, age, "borrowed, similar_to", *score(panel, told))


def _row(
    seed: int, age: object, how: str, hours: float, total: float, share: float
) -> dict[str, object]:
    return {
        "commit": commit(),
        "seed": seed,
        "age_days": age,
        "forecast": how,
        "error_hours": round(hours, 4),
        "error_sum": round(total, 4),
        "forecast_over_actual": round(share, 4),
    }


def main() -> None:
    """Measure, print the means, and write the rows."""
    rows = [row for seed in SEEDS for row in errors(seed)]
    with RESULTS.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    frame = pd.DataFrame(rows).astype({"age_days": str})
    for name in ("error_hours", "error_sum", "forecast_over_actual"):
        table = frame.pivot_table(name, "forecast", "age_days", "mean", sort=False)
        print(name, table.round(3).to_string(), sep="\n")


if __name__ == "__main__":
    main()
