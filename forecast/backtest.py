"""Rolling origins: every member asked for, and the blend, on data they have not seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecast import metrics
from forecast.calendars import clock_of
from forecast.clean import observed
from forecast.demand import Array, Panel
from forecast.engine import forecast
from forecast.forecasts import Forecast

BLEND = "blend"
MEMBERS = ("seasonal_naive", "weekly_naive", "seasonal", "lightgbm")


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """Where a rolling-origin evaluation cuts the history."""

    horizon: int  # buckets forecast from each cutoff
    windows: int = 1
    step: int = 1  # buckets between cutoffs

    def cutoffs(self, n_buckets: int) -> range:
        """Lengths of the history that each window may see, oldest first."""
        last = n_buckets - self.horizon
        first = last - (self.windows - 1) * self.step
        if first < 1:
            raise ValueError(
                f"{self.windows} windows of horizon {self.horizon} need more than "
                f"{n_buckets} buckets of history; lower windows or horizon"
            )
        return range(first, last + 1, self.step)


def leaderboard(
    panel: Panel,
    plan: Backtest,
    *,
    members: Sequence[str] = MEMBERS,
    products: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    country: str | None = None,
    season: int | None = None,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> pd.DataFrame:
    """Scores of each member alone, and of the default blend, best first.

    Each window forecasts from the panel cut at its cutoff, so nothing later is known. Columns:
    member, MASE and WAPE of the median, SQL (scaled quantile loss), WQL, CRPS (units), coverage80,
    above99 (share above q0.99), sum_crps (of each series' total over the horizon, from the paths,
    against the total demand), seconds (of one window); means over the windows.
    """
    names = [*dict.fromkeys(members), BLEND]
    truth = observed(panel, products=products, events=events, country=country).y
    cutoffs = list(plan.cutoffs(len(panel.ds)))
    scores = []
    for w, cutoff in enumerate(cutoffs):
        past = head(panel, cutoff)
        actual = truth[:, cutoff : cutoff + plan.horizon].astype(np.float64)
        for k, name in enumerate(names):
            if progress is not None:
                progress(name, (w * len(names) + k) / (len(names) * len(cutoffs)))
            started = time.perf_counter()
            result = forecast(
                past,
                plan.horizon,
                products=products,
                events=events,
                country=country,
                season=season,
                members=None if name == BLEND else [name],
                seed=seed,
            )
            seconds = time.perf_counter() - started
            row = score(result, actual, past, season=season)
            scores.append({"member": name, **row, "seconds": seconds})
    board = pd.DataFrame(scores).groupby("member", sort=False).mean().reset_index()
    return board.sort_values("SQL", kind="stable", ignore_index=True)


def score(
    result: Forecast, actual: Array, past: Panel, *, season: int | None = None
) -> dict[str, float]:
    """Every measure of one forecast; `actual` [N, H] with NaN where nothing was observed."""
    day = clock_of(past, 1, season=season).day
    scale = metrics.mase_scale(past.y, day)
    levels, quantiles = result.levels, result.quantiles.astype(np.float64)
    median = quantiles[:, :, int(np.argmin(np.abs(levels - 0.5)))]
    whole = np.isfinite(actual).all(axis=1)
    total = actual[whole].sum(axis=1)
    sums = result.paths[:, whole].sum(axis=2, dtype=np.float64)
    return {
        "MASE": metrics.mase(actual, median, scale),
        "WAPE": metrics.wape(actual, median),
        "SQL": metrics.sql(actual, quantiles, levels, scale),
        "WQL": metrics.wql(actual, quantiles, levels),
        "CRPS": float(np.nanmean(metrics.crps(actual, quantiles, levels))),
        "coverage80": metrics.coverage(actual, quantiles, levels),
        "above99": metrics.above(actual, quantiles, levels),
        "sum_crps": float(metrics.sample_crps(total, sums).sum() / max(np.abs(total).sum(), 1e-9)),
    }


def head(panel: Panel, cutoff: int) -> Panel:
    """The panel's first `cutoff` buckets."""
    orders = None if panel.orders is None else panel.orders[:, :cutoff]
    return replace(panel, ds=panel.ds[:cutoff], y=panel.y[:, :cutoff], orders=orders)
