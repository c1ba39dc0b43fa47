"""The peer that an analyst would write: direct LightGBM quantiles, one model a quantile.

Runs in the peers' environment. Each row is a series, a past origin at the same time of day, and a
step ahead; the target is divided by the series' level; events, holidays and product attributes are
features of the target's bucket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from peers import Task

_ROWS = 300_000  # training rows at most
_ORIGINS = 200  # past origins at most
_SETTINGS = {
    "objective": "quantile",
    "learning_rate": 0.06,
    "num_leaves": 31,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbosity": -1,
    "seed": 0,
}
_ROUNDS = 250


def quantiles(task: Task, *, cores: int) -> np.ndarray:
    """[N, H, Q]."""
    import lightgbm as lgb

    x, y, names = _sample(task)
    settings = {**_SETTINGS, "num_threads": cores}
    categorical = [k for k, name in enumerate(names) if name == "static_category"]
    data = lgb.Dataset(x, y, categorical_feature=categorical, params=settings).construct()
    n, n_past = task.y.shape
    rows = np.arange(n)
    inputs, scale = _features(task, rows, np.full(n, n_past))
    inputs = inputs.reshape(-1, inputs.shape[-1])
    found = []
    for level in task.levels:
        model = lgb.train({**settings, "alpha": float(level)}, data, _ROUNDS)
        found.append(model.predict(inputs).reshape(n, task.horizon) * scale[:, None])
    return np.stack(found, axis=2)


def _sample(task: Task) -> tuple[np.ndarray, np.ndarray, list[str]]:
    n, n_past = task.y.shape
    origins = np.arange(n_past - task.horizon, 8 * task.day, -task.day)[:_ORIGINS]
    row, origin = (a.ravel() for a in np.meshgrid(np.arange(n), origins, indexing="ij"))
    begun = np.isfinite(task.y).argmax(axis=1)
    usable = origin >= begun[row] + 7 * task.day
    row, origin = row[usable], origin[usable]
    most = max(_ROWS // task.horizon, 1)
    if len(row) > most:
        chosen = np.random.default_rng(0).choice(len(row), most, replace=False)
        row, origin = row[chosen], origin[chosen]
    x, scale = _features(task, row, origin)
    target = task.y[row[:, None], origin[:, None] + np.arange(task.horizon)] / scale[:, None]
    seen = np.isfinite(target)
    return x[seen], target[seen], _names(task)


def _names(task: Task) -> list[str]:
    lags = [f"day_{k}" for k in range(1, 8)] + [f"week_{k}" for k in range(1, 5)]
    return [*lags, *_LEVELS, "step", "slot", "weekday", "size", *task.names]


_LEVELS = ("last_hours", "last_day", "last_week", "same_mean", "same_spread")


def _features(task: Task, row: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[R, H, F] inputs and [R] scale of pairs of series and origin; the past before it only."""
    day, week, step = task.day, 7 * task.day, np.arange(task.horizon)
    scale = _scale(task, row, origin)
    at = origin[:, None] + step
    days = [at - (step // day + k) * day for k in range(1, 8)]
    weeks = [at - (step // week + k) * week for k in range(1, 5)]
    lags = np.stack([_at(task.y, row, lag) for lag in days + weeks], axis=2) / scale[:, None, None]
    recent = _at(task.y, row, origin[:, None] - 1 - np.arange(week)) / scale[:, None]
    shape = (len(row), task.horizon)
    with np.errstate(all="ignore"):
        import warnings

        warnings.simplefilter("ignore", RuntimeWarning)
        means = [np.nanmean(recent[:, :k], axis=1) for k in (max(day // 8, 1), day, week)]
        same = [np.nanmean(lags[:, :, :7], axis=2), np.nanstd(lags[:, :, :7], axis=2)]
    stamp = task.ds[at.ravel()]
    minute = (stamp.hour * 60 + stamp.minute).to_numpy().reshape(shape)
    wide = [np.broadcast_to(m[:, None], shape) for m in means]
    clock = [np.broadcast_to(step, shape), minute, stamp.dayofweek.to_numpy().reshape(shape)]
    size = np.broadcast_to(np.log(scale)[:, None], shape)
    known = task.x[row[:, None], at]
    own = np.stack([*wide, *same, *clock, size], axis=2)
    return np.concatenate([lags, own, known], axis=2).astype(np.float32), scale


def _scale(task: Task, row: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """[R] mean of the four weeks before, of the whole past where that is more, at least 0.001."""
    total = np.cumsum(np.nan_to_num(task.y), axis=1, dtype=np.float64)
    count = np.cumsum(np.isfinite(task.y), axis=1)
    before = np.maximum(origin - 28 * task.day, 0)

    def mean(start: np.ndarray) -> np.ndarray:
        begin = np.maximum(start - 1, 0)
        part = total[row, origin - 1] - np.where(start > 0, total[row, begin], 0)
        seen = count[row, origin - 1] - np.where(start > 0, count[row, begin], 0)
        return part / np.maximum(seen, 1)

    return np.maximum(np.maximum(np.abs(mean(before)), np.abs(mean(0 * before)) * 0.1), 1e-3)


def _at(y: np.ndarray, row: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values of the past, NaN before the beginning."""
    return np.where(at >= 0, y[row[:, None], np.maximum(at, 0)], np.nan)
