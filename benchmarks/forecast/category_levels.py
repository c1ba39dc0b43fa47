"""Levels that categories share, known and not known: python category_levels.py.

Markets of rarely ordered products whose categories' levels wander: the logarithm is an AR(1) by
hour. Three days are forecast after two months; writes category_levels.csv anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from run import commit

from forecast import Panel, aggregate, blend, forecast, metrics, tasks
from forecast.demand import Array

RESULTS = Path(__file__).with_suffix(".csv")
WANDERING = {"none": (0.0, 0.0), "hours": (0.9, 0.1), "a day": (0.97, 0.06), "days": (0.995, 0.025)}
PRODUCTS, CATEGORIES, DAYS, HORIZON, SEEDS = 40, 5, 60, 72, range(4)
ORDERS = 0.8  # an hour, of the median product
MEMBERS = {"seasonal": ["seasonal"], "ridge": ["ridge"], "blend": None}


def main() -> None:
    """Every kind of level by every member, with and without what categories share."""
    learn, version, rows = tasks.learn_category_levels, commit(), []
    for lasting, (stays, noise) in WANDERING.items():
        markets = [market(stays, noise, seed) for seed in SEEDS]
        for member, names in MEMBERS.items():
            for how, known in (("own", _nothing), ("shared", learn)):
                tasks.learn_category_levels = blend.learn_category_levels = known
                found = np.mean([measured(*each, names) for each in markets], axis=0)
                rows.append([lasting, member, how, *found, version])
                print(*rows[-1], flush=True)
    names = ["level_lasts", "member", "level", "SQL", "coverage80", "CRPS_category_day", "commit"]
    table = pd.DataFrame(rows, columns=names)
    table.to_csv(RESULTS, index=False, float_format="%.4g", lineterminator="\n")


def _nothing(*_: object, **__: object) -> None:
    return None


def market(stays: float, noise: float, seed: int) -> tuple[Panel, Array, pd.DataFrame]:
    """History, what came after it [N, H], products."""
    rng = np.random.default_rng(seed)
    ds = pd.date_range("2026-02-02", periods=24 * DAYS + HORIZON, freq="h", tz="Asia/Shanghai")
    category = np.arange(PRODUCTS) % CATEGORIES
    log = np.zeros((CATEGORIES, len(ds)))
    shocks = rng.normal(0, noise, log.shape)
    for at in range(1, len(ds)):
        log[:, at] = stays * log[:, at - 1] + shocks[:, at]
    hour = 0.3 + 2 * np.exp(-0.5 * ((ds.hour.to_numpy() - 20) / 2.5) ** 2)
    week = np.where(ds.day_of_week >= 5, rng.uniform(0.7, 1.5, (PRODUCTS, 1)), 1.0)
    size = ORDERS * rng.lognormal(0, 1.2, (PRODUCTS, 1))
    y = rng.poisson(size * hour * week * np.exp(log[category])).astype(np.float32)
    ids = np.array([f"P{k:02d}" for k in range(PRODUCTS)], dtype=object)
    past = y[:, :-HORIZON]
    products = pd.DataFrame({"product_id": ids, "category": [f"C{k}" for k in category]})
    panel = Panel(ids=ids, ds=ds[:-HORIZON].as_unit("us"), y=past, orders=past.copy())
    return panel, y[:, -HORIZON:], products


def measured(
    panel: Panel, came: Array, products: pd.DataFrame, members: list[str] | None
) -> tuple[float, float, float]:
    """SQL, coverage of the 80 % interval, CRPS of categories' days over what came in them."""
    ahead = forecast(panel, HORIZON, products=products, members=members)
    groups = {name: list(some) for name, some in products.groupby("category")["product_id"]}
    sums = aggregate(ahead, groups, every=24)
    row = pd.Index(panel.ids)
    days = np.stack(
        [
            came[row.get_indexer(groups[name])].sum(axis=0).reshape(-1, 24).sum(axis=1)
            for name in sums.ids
        ]
    )
    scale = metrics.mase_scale(panel.y, 24)
    return (
        metrics.sql(came, ahead.quantiles, ahead.levels, scale),
        metrics.coverage(came, ahead.quantiles, ahead.levels),
        metrics.crps(days, sums.quantiles, sums.levels).sum() / days.sum(),
    )


if __name__ == "__main__":
    main()
