"""Rolling origins: every member asked for, and their blend, on data they have not seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Unpack

import numpy as np
import pandas as pd

from forecast.clean import observed
from forecast.demand import Panel
from forecast.engine import Known, forecast, pick
from forecast.forecasts import Forecast
from forecast.known import check_horizon, checked_events, checked_products
from forecast.outcomes import outcome_of
from forecast.peak_scores import reliability_of
from forecast.scores import MEASURES, level_shares, score

BLEND = "blend"


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """Where a rolling-origin evaluation cuts the history."""

    horizon: int  # buckets forecast from each cutoff
    windows: int = 1
    step: int = 1  # buckets between cutoffs

    def cutoffs(self, n_buckets: int) -> range:
        """Lengths of the history that each window may see, oldest first."""
        check_horizon(self.horizon)
        for name, count in (("windows", self.windows), ("step", self.step)):
            if count < 1:
                raise ValueError(f"{name} is {count}; ask for 1 or more")
        last = n_buckets - self.horizon
        first = last - (self.windows - 1) * self.step
        if first < 1:
            raise ValueError(
                f"{self.windows} windows of horizon {self.horizon} need more than "
                f"{n_buckets} buckets of history; lower windows or horizon"
            )
        return range(first, last + 1, self.step)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a backtest found, as long frames."""

    windows: pd.DataFrame  # member, starts_at, each of MEASURES, seconds, error ("" = none)
    reliability: pd.DataFrame  # member, kind (bucket, window), low, high, told, seen, count
    levels: pd.DataFrame  # member, level, share (of actuals below the quantile), count

    def board(self) -> pd.DataFrame:
        """One row a member, means over the windows, the least SQL first.

        Measures of a member that failed in some window are NaN, its last: means over other windows
        than its rivals' would mislead.
        """
        columns = [*MEASURES, "seconds"]
        grouped = self.windows.groupby("member", sort=False)
        board = grouped[columns].mean()
        error = grouped["error"].agg(lambda told: next((text for text in told if text), ""))
        board.loc[error != "", list(MEASURES)] = np.nan
        board = board.assign(error=error).reset_index()
        return board.sort_values("SQL", kind="stable", ignore_index=True)


def score_members(
    panel: Panel,
    plan: Backtest,
    *,
    members: Sequence[str] | None = None,
    products: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    country: str | None = None,
    season: int | None = None,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> Scores:
    """Score each member alone, and the blend of them, from each cutoff of `plan`.

    Each window forecasts from the panel cut at its cutoff. Of what came later it knows only which
    orders before it the whole log shows to be fake or jammed (`Panel.marks`). Buckets in which
    demand was cut short are scored nowhere: what it would have been is a guess. `members` None =
    those that `forecast` blends by itself. A member that fails costs its own row, not the board.
    `seconds` is the time of one forecast, its training and calibration in it. What the other
    arguments are, see `forecast`.
    """
    names = list(pick(members, panel))
    runs = {**{name: [name] for name in names}, BLEND: names}
    products, events = checked_products(products, panel), checked_events(events)
    truth = observed(panel, products=products, events=events, country=country, raised=False)
    cutoffs = list(plan.cutoffs(len(panel.ds)))
    make = partial(
        forecast, products=products, events=events, country=country, season=season, seed=seed
    )
    rows, tables, levels = [], [], []
    for w, cutoff in enumerate(cutoffs):
        past = head(panel, cutoff)
        outcome = outcome_of(
            past,
            truth,
            plan.horizon,
            products=products,
            events=events,
            country=country,
            season=season,
        )
        step = f"window {w + 1} of {len(cutoffs)}"
        for k, (name, mine) in enumerate(runs.items()):
            tell = _within(progress, step, k / len(runs), 1 / len(runs))
            tell("", 0.0)
            result, row = _tried(partial(make, past, plan.horizon, members=mine, progress=tell))
            if result is not None:
                row = {**score(result, outcome, seed=seed), **row}
                tables.append(_named(reliability_of(result, outcome), name))
                levels.append(_named(level_shares(result, outcome), name))
            rows.append({"member": name, "starts_at": past.future(1)[0], **row})
    return Scores(
        windows=pd.DataFrame(rows).reindex(
            columns=["member", "starts_at", *MEASURES, "seconds", "error"]
        ),
        reliability=_pooled(tables, ["member", "kind", "low", "high"], ["told", "seen"]),
        levels=_pooled(levels, ["member", "level"], ["share"]),
    )


def leaderboard(panel: Panel, plan: Backtest, **known: Unpack[Known]) -> pd.DataFrame:
    """One row of scores for each member and the blend, best first: `score_members(…).board()`.

    `known`: see `score_members` and `forecast`.
    """
    return score_members(panel, plan, **known).board()


def head(panel: Panel, cutoff: int) -> Panel:
    """The panel's first `cutoff` buckets, with the marks that the whole log put on them."""
    orders = None if panel.orders is None else panel.orders[:, :cutoff]
    return replace(panel, ds=panel.ds[:cutoff], y=panel.y[:, :cutoff], orders=orders)


def _tried(make: Callable[[], Forecast]) -> tuple[Forecast | None, dict[str, Any]]:
    """The forecast, its seconds, and what went wrong if something did."""
    started = time.perf_counter()
    result, error = None, ""
    try:
        result = make()
    except Exception as failure:  # whatever a member's library raises
        error = f"{type(failure).__name__}: {failure}"
    return result, {"seconds": time.perf_counter() - started, "error": error}


def _within(
    progress: Callable[[str, float], None] | None, step: str, start: float, width: float
) -> Callable[[str, float], None]:
    """A part of a step's progress, as one forecast reports its own."""

    def tell(_stage: str, share: float) -> None:
        if progress is not None:
            progress(step, start + width * share)

    return tell


def _named(table: pd.DataFrame, member: str) -> pd.DataFrame:
    return table.assign(member=member)


def _pooled(tables: list[pd.DataFrame], keys: list[str], means: list[str]) -> pd.DataFrame:
    """Rows of equal keys as one: counts added, means weighted by them."""
    columns = [*keys, *means, "count"]
    if not tables:
        return pd.DataFrame(columns=columns)
    rows = pd.concat(tables, ignore_index=True)
    rows = rows[rows["count"] > 0]
    rows[means] = rows[means].mul(rows["count"], axis=0)
    pooled = rows.groupby(keys, sort=False, as_index=False)[[*means, "count"]].sum()
    pooled[means] = pooled[means].div(pooled["count"], axis=0)
    order = pooled["member"].map({name: k for k, name in enumerate(rows["member"].unique())})
    return pooled.assign(order=order).sort_values(["order", *keys[1:]], ignore_index=True)[columns]
