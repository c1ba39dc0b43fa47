"""A panel made ready for models: cleaned, offset, with calendar, events, effects and donors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecast.borrow import Kin, borrow, fulfilment_of
from forecast.calendars import Clock, clock_of, days_of, events_of
from forecast.category_levels import learn_category_levels
from forecast.clean import by_time, launches, pauses, shifted
from forecast.clean import clean as cleaned
from forecast.demand import Array, Panel
from forecast.effects import Effects, learn_effects
from forecast.features import Task
from forecast.shifts import level_starts

LEVELS = np.array([0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
_MAX_CELLS = 25_000_000  # history cells that models look at


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A task from the end of the panel, and what turns its forecasts back into the panel's."""

    task: Task
    offset: Array  # float [N] added to every forecast; 0 unless the history has negative values
    borrowed: Array  # [N] str: where a product without history of its own borrowed, "" = nowhere
    cleaning: pd.DataFrame  # what was changed in the history, `forecast.clean.COLUMNS`


def prepare(
    panel: Panel,
    horizon: int,
    *,
    products: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    country: str | None = None,
    season: int | None = None,
    seed: int = 0,
) -> Prepared:
    """Clean the panel, learn its effects and let new products borrow a past."""
    panel = _recent(panel)
    done = cleaned(panel, products=products, events=events, country=country)
    clean = done.panel
    y, offset = _positive(clean.y)
    days = days_of(clean, horizon, country=country, events=events, season=season)
    clock = clock_of(clean, horizon, season=season, days=days)
    planned = events_of(clean, horizon, events, products)
    category, similar, price = _attributes(clean, products)
    lump = _lump(clean, y)
    launch = np.zeros(len(y), dtype=int)
    if clean.orders is not None:
        launch = launches(clean, products)
        paused, _, back = pauses(clean, products)
        launch[paused] = np.where(back >= y.shape[1], back, launch[paused])
    effects = learn_effects(y, clock=clock, days=days, events=planned, category=category, lump=lump)
    level_start = _level_start(y, clock, effects, category)
    changes = [done.changes, shifted(clean, y - offset[:, None], level_start)]
    kin = Kin(
        ids=clean.ids,
        category=category,
        fulfilment=fulfilment_of(clean.ids, products),
        similar=similar,
        price=price,
        launch=launch,
        lump=lump,
    )
    y, borrowed = borrow(y, clock=clock, effects=effects, kin=kin)
    levels = learn_category_levels(
        y,
        clock=clock,
        effects=effects,
        category=category,
        lump=lump,
        first=y.shape[1],
        horizon=horizon,
    )
    task = Task(
        y=y,
        origins=(y.shape[1],),
        horizon=horizon,
        levels=LEVELS,
        rows=np.arange(len(y)),
        clock=clock,
        days=days,
        events=planned,
        effects=effects,
        category=category,
        category_levels=levels,
        attributes=price[:, None].astype(np.float32),
        launch=launch,
        similar=similar,
        lump=lump,
        level_start=level_start,
        seed=seed,
    )
    return Prepared(
        task=task,
        offset=offset,
        borrowed=borrowed,
        cleaning=by_time(changes),
    )


def _level_start(y: Array, clock: Clock, effects: Effects, category: Array) -> Array:
    """[N] where the present level begins, in history freed of calendar and events."""
    calm = y if effects.boost is None else y / effects.boost[:, : y.shape[1]]
    return level_starts(calm, clock, calendar=effects.calendar[category])


def _recent(panel: Panel) -> Panel:
    most = max(_MAX_CELLS // max(len(panel.ids), 1), 1500)
    if len(panel.ds) <= most:
        return panel
    orders = None if panel.orders is None else panel.orders[:, -most:]
    return replace(panel, ds=panel.ds[-most:], y=panel.y[:, -most:], orders=orders)


def _positive(y: Array) -> tuple[Array, Array]:
    """Series with negative values are moved up by their least value and spread."""
    if not (y < 0).any():
        return y, np.zeros(len(y))
    low = np.array([np.nanmin(row) if np.isfinite(row).any() else 0.0 for row in y])
    width = np.array([np.nanstd(row) if np.isfinite(row).any() else 0.0 for row in y])
    offset = np.where(low < 0, low - 2 * width, 0.0)
    return (y - offset[:, None]).astype(np.float32), offset


def _attributes(panel: Panel, products: pd.DataFrame | None) -> tuple[Array, Array, Array]:
    """Category codes, rows of similar products, logarithms of list prices; all [N]."""
    n = len(panel.ids)
    category, similar = np.zeros(n, dtype=int), np.full(n, -1)
    price = np.full(n, np.nan)
    if products is None:
        return category, similar, price
    ids = [str(i) for i in panel.ids]
    told = products.set_index(products["product_id"].astype(str)).reindex(ids)
    if "category" in told:
        category = pd.factorize(told["category"].fillna("").astype(str), sort=True)[0]
    if "similar_to" in told:
        row_of = pd.Series(np.arange(n), index=ids)
        alike = told["similar_to"].astype(object).where(told["similar_to"].notna(), "")
        similar = row_of.reindex(alike.astype(str)).fillna(-1).to_numpy().astype(int)
        similar = np.where(similar == np.arange(n), -1, similar)
    if "list_price" in told:
        value = pd.to_numeric(told["list_price"]).to_numpy(dtype=float, na_value=np.nan)
        price = np.log1p(np.clip(value, 0, None))
    return category, similar, price


def _lump(panel: Panel, y: Array) -> Array:
    """[N] units of a usual order; 0 for a series that is no count of rare things."""
    if panel.orders is None:
        zero = (y == 0).sum(axis=1) / np.maximum(np.isfinite(y).sum(axis=1), 1)
        whole = np.array([bool((row[np.isfinite(row)] % 1 == 0).all()) for row in y])
        size = np.array([np.median(row[row > 0]) if (row > 0).any() else 1.0 for row in y])
        return np.where((zero > 0.3) & whole, size, 0.0)
    seen = np.isfinite(y)
    units = np.where(seen, y, 0).sum(axis=1, dtype=np.float64)
    orders = np.where(seen, panel.orders, 0).sum(axis=1, dtype=np.float64)
    everyone = units.sum() / max(orders.sum(), 1.0) or 1.0
    return np.asarray((units + everyone) / (orders + 1.0))
