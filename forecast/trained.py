"""What was learned from a panel, and whether it still serves a newer one."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from forecast.blend import Blend
from forecast.calibrate import Calibration
from forecast.columns import design
from forecast.demand import Array, Panel
from forecast.features import Task, past_of, spread
from forecast.models import Fitted, Model
from forecast.models.corrected import CorrectedFit
from forecast.models.folds import Folds
from forecast.models.intermittent import IntermittentFit, Pools
from forecast.models.network import Network, Scaling
from forecast.models.residuals import Counts
from forecast.models.ridge import RidgeFit, Weights
from forecast.models.seasonal import SeasonalFit, SeasonalNaive
from forecast.models.slow import Largest
from forecast.models.trees import Trees
from forecast.shapes import ordinary

MOST_DAYS = 1.0  # between the ends of two panels that one training serves
MOST_NEW = 0.1  # share of products that a training may not know
_SAME = {  # of two panels that one training serves, with the words for people
    "horizon": "buckets ahead",
    "freq": "length of a bucket",
    "zone": "clock",
    "season": "season asked for",
    "day": "buckets in a day or season",
    "week": "days in a week",
    "country": "country",
    "seed": "seed",
    "members": "members and their settings",
    "levels": "quantile levels",
    "counts_orders": "counting of orders instead of units",
}


class RefitNeeded(ValueError):
    """What was trained doesn't serve this panel; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a training was made on, as far as it decides where else it may be used."""

    ids: Array  # [N] str
    category: Array  # int [N] codes, as the trees know them
    end: str | int  # start of the bucket after the panel's last: ISO 8601, or a whole number
    zone: str  # of `end`; "none" = naive stamps, "whole numbers" = no time at all
    freq: str
    horizon: int
    levels: tuple[float, ...]
    season: int | None  # as asked for
    day: int  # buckets in a day, see `Clock`
    week: int
    country: str | None
    seed: int
    members: tuple[str, ...]  # name and settings of each
    features: tuple[str, ...]  # columns that trees look at, in their order
    counts_orders: bool  # instead of units


@dataclass(frozen=True, kw_only=True)
class Trained:
    """All that `forecast` learns from a panel; a newer one needs only to be predicted."""

    basis: Basis
    blend: Blend
    fits: tuple[Fitted, ...]  # in the order of `blend.members`

    def aligned(self, ids: Array) -> tuple[Fitted, ...]:
        """The fits with a row for each of `ids` [N]; a new product has everyone's mean."""
        row = pd.Index(self.basis.ids).get_indexer(pd.Index(ids))
        if np.array_equal(row, np.arange(len(self.basis.ids))):
            return self.fits
        return tuple(_taken(fit, row) for fit in self.fits)


# What fits are made of: each class with the axis of those of its arrays that hold a row a series.
# A new member adds its classes here; only these can be saved and loaded.
PARTS: dict[type, dict[str, int]] = {
    Basis: {},
    Blend: {},
    Calibration: {},
    CorrectedFit: {},
    Counts: {},
    Folds: {},
    IntermittentFit: {},
    Largest: {},
    Network: {},
    Pools: {},
    RidgeFit: {"errors": 0},
    Scaling: {},
    SeasonalFit: {"errors": 0},
    SeasonalNaive: {},
    Trained: {},
    Trees: {},
    Weights: {"own": 1},
}


def _taken(part: Any, row: Array) -> Any:
    """A part of a fit with its series in another order; `row` [N], −1 = not known."""
    if isinstance(part, tuple):
        return tuple(_taken(each, row) for each in part)
    axes = PARTS.get(type(part))
    if axes is None:
        return part
    inner = {field.name: getattr(part, field.name) for field in fields(part)}
    moved = {
        name: _rows(value, row, axes[name]) if name in axes else _taken(value, row)
        for name, value in inner.items()
    }
    return replace(part, **moved)


def _rows(array: Array, row: Array, axis: int) -> Array:
    found = np.take(array, np.maximum(row, 0), axis=axis)
    unknown = np.expand_dims(row < 0, tuple(k for k in range(array.ndim) if k != axis))
    everyone = array.mean(axis=axis, keepdims=True)
    return np.where(unknown, everyone, found).astype(array.dtype)


def basis_of(
    panel: Panel,
    task: Task,
    models: dict[str, Model],
    *,
    country: str | None,
    season: int | None,
) -> Basis:
    """What a training on this panel, made ready as `task`, depends on."""
    end = panel.future(1)[0]
    timed = isinstance(end, pd.Timestamp)
    return Basis(
        ids=np.array([str(name) for name in panel.ids], dtype=object),
        category=task.category,
        end=end.isoformat() if timed else int(end),
        zone=str(end.tz or "none") if timed else "whole numbers",
        freq=panel.freq,
        horizon=task.horizon,
        levels=tuple(float(level) for level in task.levels),
        season=season,
        day=task.clock.day,
        week=task.clock.week,
        country=country,
        seed=task.seed,
        members=tuple(f"{name}: {model}" for name, model in models.items()),
        features=_features(task),
        counts_orders=panel.orders is not None
        and np.array_equal(panel.y, panel.orders, equal_nan=True),
    )


def _features(task: Task) -> tuple[str, ...]:
    """Names of the columns that trees see of this task; one series tells them."""
    past = past_of(task, task.rows[:1], task.origins[-1])
    expected = ordinary(task, past)
    return tuple(design(task, past, expected, spread(task, past, expected)))


def why_refit(old: Basis, new: Basis) -> str:
    """Why a training on `old` doesn't serve `new`; "" = it does, a quick update is enough.

    It serves the same question, up to a day later by the panels' ends, for the same products in any
    order with at most a tenth of new ones.
    """
    for name, words in _SAME.items():
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            return f"{words}: trained for {was}, asked for {now}"
    days = _days_between(old, new)
    if days < 0:
        return f"trained on history up to {old.end}, after the end of this panel, {new.end}"
    if days > MOST_DAYS:
        return f"trained on history up to {old.end}, {days:.1f} days before {new.end}"
    row = pd.Index(old.ids).get_indexer(pd.Index(new.ids))
    unknown = int((row < 0).sum())
    if unknown > MOST_NEW * len(row):
        return f"{unknown} of {len(row)} products were not there when it was trained"
    if (old.category[row[row >= 0]] != new.category[row >= 0]).any():
        return "products have other categories than when it was trained"
    if old.features != new.features:
        other = sorted(set(old.features) ^ set(new.features))
        return f"trees look at other columns than when they were trained: {', '.join(other)}"
    return ""


def _days_between(old: Basis, new: Basis) -> float:
    """From the end of one panel to that of another; seasons where the index is no time."""
    if isinstance(old.end, int) and isinstance(new.end, int):
        return (new.end - old.end) / (int(new.freq) * new.day)
    return float((pd.Timestamp(new.end) - pd.Timestamp(old.end)) / pd.Timedelta("1D"))
