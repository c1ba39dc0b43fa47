"""A panel made ready for models: cleaned, offset, with calendar, events, effects and donors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from forecast.borrow import Kin, borrow, codes_of
from forecast.calendars import Clock, Days, Events, clock_of, days_of, events_of
from forecast.category_levels import learn_category_levels
from forecast.clean import by_time, launches, pauses, shifted
from forecast.clean import clean as cleaned
from forecast.demand import Array, Panel
from forecast.effects import Effects, learn_effects
from forecast.features import Task
from forecast.known import checked_events, checked_products
from forecast.shifts import level_starts

LEVELS = np.array([0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
_USUAL = 3.3  # standard deviations from q0.05 to q0.95
_FAR = 5.0  # times as far below q0.05 as the median is above it, beyond which a value is no level
_CLOSED = 0.05  # share of the buckets of a time of day that sell, under which it is closed
_MAX_CELLS = 25_000_000  # history cells that models look at


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A task from the end of the panel, and what turns its forecasts back into the panel's."""

    task: Task
    offset: Array  # float [N] added to every forecast; 0 unless the history has negative values
    borrowed: Array  # [N] str: where a product without history of its own borrowed, "" = nowhere
    sure: Array  # float [N] orders that the level of a borrowed past stands on, inf = all its own
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
    """Clean the panel, learn its effects and let new products borrow a past.

    Raises
    ------
    ValueError
        When the panel has no product or no bucket, or its y holds infinite values.
    """
    if not panel.y.size:
        raise ValueError(
            f"the panel holds {len(panel.ids)} products and {len(panel.ds)} buckets; a forecast "
            "needs one of each or more"
        )
    if np.isinf(panel.y).any():
        raise ValueError("the panel's y holds infinite values; correct them, or NaN = not observed")
    products, events = checked_products(products, panel), checked_events(events)
    done = cleaned(_recent(panel), products=products, events=events, country=country)
    clean = done.panel
    y, offset = _positive(clean.y)
    days = days_of(clean, horizon, country=country, events=events, season=season)
    clock = clock_of(clean, horizon, season=season, days=days)
    planned = events_of(clean, horizon, events, products, season=season)
    ahead = _Ahead(horizon=horizon, clock=clock, days=days, events=planned)
    kin = _kin(clean, y, products, clock)
    effects = learn_effects(
        y, clock=clock, days=days, events=planned, category=kin.category, lump=kin.lump
    )
    start = level_starts(effects.calm(y), clock, calendar=effects.calendar, breaks=days.breaks)
    moved = shifted(clean, y + offset[:, None], start)
    lent = borrow(y, clock=clock, effects=effects, kin=kin)
    task = _task(lent.y, ahead, kin, effects, level_start=start, seed=seed)
    cleaning = by_time([done.changes, moved])
    return Prepared(task=task, offset=offset, borrowed=lent.told, sure=lent.sure, cleaning=cleaning)


class _Ahead(NamedTuple):
    """What is known of all buckets, history and horizon alike."""

    horizon: int
    clock: Clock
    days: Days
    events: Events


def _task(
    y: Array, ahead: _Ahead, kin: Kin, effects: Effects, *, level_start: Array, seed: int
) -> Task:
    """All series to forecast from the end of their history [N, T], categories' levels learned."""
    task = Task(
        y=y,
        origins=(y.shape[1],),
        horizon=ahead.horizon,
        levels=LEVELS,
        rows=np.arange(len(y)),
        clock=ahead.clock,
        days=ahead.days,
        events=ahead.events,
        effects=effects,
        category=kin.category,
        category_levels=None,
        attributes=kin.price[:, None].astype(np.float32),
        launch=kin.launch,
        similar=kin.similar,
        lump=kin.lump,
        level_start=level_start,
        seed=seed,
    )
    levels = learn_category_levels(
        task.told(task.rows, 0, y.shape[1]),
        clock=ahead.clock,
        effects=effects,
        category=kin.category,
        lump=kin.lump,
        first=y.shape[1],
        horizon=ahead.horizon,
    )
    return replace(task, category_levels=levels)


def _recent(panel: Panel) -> Panel:
    most = max(_MAX_CELLS // max(len(panel.ids), 1), 1500)
    if len(panel.ds) <= most:
        return panel
    orders = None if panel.orders is None else panel.orders[:, -most:]
    return replace(panel, ds=panel.ds[-most:], y=panel.y[:, -most:], orders=orders)


def _positive(y: Array) -> tuple[Array, Array]:
    """Series with negative values are moved up by their least value and spread.

    Values far below a series' others count as the least usual ones: what is relative to the level
    would be lost beside them.
    """
    if not (y < 0).any():
        return y, np.zeros(len(y))
    below = np.flatnonzero(np.where(np.isfinite(y), y, np.inf).min(axis=1) < 0)
    offset = np.zeros(len(y), dtype=y.dtype)
    some = y[below]
    low, least, middle, high = np.nanquantile(some, [0.0, 0.05, 0.5, 0.95], axis=1)
    usual = high > least
    spread = np.where(usual, (high - least) / _USUAL, np.nanstd(some, axis=1))
    bound = np.where(usual, least - _FAR * np.maximum(middle - least, spread), low)
    low = np.nanmin(np.where(some >= bound[:, None], some, np.nan), axis=1)
    offset[below] = np.minimum(low, 0) - 2 * spread
    moved = y - offset[:, None]
    moved[below] = np.maximum(moved[below], (low - offset[below])[:, None])
    return moved.astype(np.float32), offset


def _kin(panel: Panel, y: Array, products: pd.DataFrame | None, clock: Clock) -> Kin:
    """What is told of the products, and what the panel shows of their orders and launches."""
    launch = np.zeros(len(y), dtype=int)
    if panel.orders is not None:
        launch = launches(panel, products)
        paused, _, back = pauses(panel, products)
        launch[paused] = np.where(back >= y.shape[1], back, launch[paused])
    similar, price = _similar_and_price(panel, products)
    return Kin(
        ids=panel.ids,
        category=codes_of(panel.ids, products, "category"),
        fulfilment=codes_of(panel.ids, products, "fulfilment"),
        similar=similar,
        price=price,
        launch=launch,
        lump=_lump(panel, y, clock),
    )


def _similar_and_price(panel: Panel, products: pd.DataFrame | None) -> tuple[Array, Array]:
    """Rows of similar products, −1 = none told, and logarithms of list prices; all [N]."""
    n = len(panel.ids)
    similar, price = np.full(n, -1), np.full(n, np.nan)
    if products is None:
        return similar, price
    ids = [str(i) for i in panel.ids]
    told = products.set_index(products["product_id"].astype(str)).reindex(ids)
    if "similar_to" in told:
        row_of = pd.Series(np.arange(n), index=ids)
        alike = told["similar_to"].astype(object).where(told["similar_to"].notna(), "")
        similar = row_of.reindex(alike.astype(str)).fillna(-1).to_numpy().astype(int)
        similar = np.where(similar == np.arange(n), -1, similar)
    if "list_price" in told:
        value = pd.to_numeric(told["list_price"]).to_numpy(dtype=float, na_value=np.nan)
        price = np.log1p(np.clip(value, 0, None))
    return similar, price


def _lump(panel: Panel, y: Array, clock: Clock) -> Array:
    """[N] units of a usual order; 0 for a series that is no count of rare things."""
    seen = np.isfinite(y)
    if panel.orders is None:
        zero = _idle(y, clock)
        whole = (~seen | (y % 1 == 0)).all(axis=1)
        return np.where((zero > 0.3) & whole, _usual_sale(y), 0.0)
    units = np.where(seen, y, 0).sum(axis=1, dtype=np.float64)
    orders = np.where(seen, panel.orders, 0).sum(axis=1, dtype=np.float64)
    everyone = units.sum() / max(orders.sum(), 1.0) or 1.0
    return np.asarray((units + everyone) / (orders + 1.0))


def _idle(y: Array, clock: Clock) -> Array:
    """[N] share of zeros among what was observed at times of day, and on weekdays, that sell.

    Closed nights and Sundays make no series a rare one; with under two weeks all times count.
    """
    length = y.shape[1]
    seen, sold = np.isfinite(y), np.nan_to_num(y) != 0
    keys = (clock.slot, clock.day), (clock.weekday, clock.week)
    for key, size in keys if length >= 14 * clock.day else ():
        at = np.eye(size, dtype=np.float32)[key[:length]]
        share = (sold & seen) @ at / np.maximum(seen @ at, 1)
        ever = (share >= _CLOSED).any(axis=1, keepdims=True)
        seen = seen & np.where(ever, share >= _CLOSED, True)[:, key[:length]]
    return np.asarray((seen & ~sold).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))


def _usual_sale(y: Array) -> Array:
    """[N] median of the values above 0; 1 where there is none."""
    count = (y > 0).sum(axis=1)
    ordered = np.sort(np.where(y > 0, y, np.inf), axis=1)
    row, half = np.arange(len(y)), np.maximum(count, 1)
    middle = (ordered[row, (half - 1) // 2] + ordered[row, half // 2]) / 2
    return np.where(count > 0, middle, 1.0)
