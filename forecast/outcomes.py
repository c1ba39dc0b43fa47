"""What a forecast is judged against: the demand that came, and what was usual before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.borrow import codes_of
from forecast.calendars import clock_of
from forecast.clean import observed
from forecast.demand import Array, Panel
from forecast.metrics import mase_scale
from forecast.peaks import crossings, thresholds


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Demand of N products in the H buckets that were forecast."""

    actual: Array  # float64 [N, H] units, NaN = not observed
    orders: Array | None  # [N, H] orders behind them; None = the series counts no orders
    limit: Array  # [N] q0.9 of the 28 days before, NaN = nothing was observed
    crossing: Array  # [N] what a sampled path must exceed for demand to exceed `limit`
    scale: Array  # [N] mean error of the seasonal naive in the history, NaN = none
    day: Array  # int [H] number of the local day, −1 = of a day that the horizon cuts
    per_hour: int  # buckets in an hour; 1 where a bucket is longer or no time
    category: Array  # int [N]


def outcome_of(
    past: Panel,
    truth: Panel,
    horizon: int,
    *,
    products: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    country: str | None = None,
    season: int | None = None,
) -> Outcome:
    """What `truth` says of the `horizon` buckets after `past`, of which it is a continuation.

    `truth` has NaN where nothing was observed. Scale and threshold are known at the end of `past`.
    """
    seen = observed(past, products=products, events=events, country=country)
    ahead = slice(len(past.ds), len(past.ds) + horizon)
    season_length = clock_of(past, 1, season=season).day
    limit = thresholds(seen)
    day, per_hour = days_of_horizon(past, horizon, season=season)
    return Outcome(
        actual=truth.y[:, ahead].astype(np.float64),
        orders=None if truth.orders is None else truth.orders[:, ahead],
        limit=limit,
        crossing=crossings(seen, limit),
        scale=mase_scale(seen.y, season_length),
        day=day,
        per_hour=per_hour,
        category=codes_of(past.ids, products, "category"),
    )


def days_of_horizon(past: Panel, horizon: int, *, season: int | None = None) -> tuple[Array, int]:
    """int [H] number of each bucket's day, −1 = of a day that the horizon cuts; buckets an hour.

    A day is one of the local clock (23 or 25 hours when it changes), a short season in other data.
    A horizon that holds no whole one is parted into days that start with it.
    """
    clock = clock_of(past, horizon + 1, season=season)
    date = clock.date[len(past.ds) - 1 :]
    cut = (date[1:-1] == date[0]) | (date[1:-1] == date[-1])
    per_hour = max(round(1 / clock.hours), 1) if np.isfinite(clock.hours) else 1
    if not cut.all():
        return np.where(cut, -1, date[1:-1] - date[1:-1][~cut].min()), per_hour
    block = np.arange(horizon) // clock.day
    whole = max(horizon // clock.day, 1)
    return np.where(block < whole, block, -1), per_hour
