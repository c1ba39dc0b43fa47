"""Runs in the peers' own environment: python peers.py FOLDER PEER SECONDS; no code of ours here.

FOLDER is written by exchange.py. Each origin's quantiles go to FOLDER/origin/PEER.parquet, one row
a series and step; what it took to FOLDER/PEER.json.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CORES = 2
_ROWS = 6_000_000  # of history that mlforecast gets; it holds them and their features in memory


@dataclass(frozen=True)
class Task:
    """One origin: N series of at most T past buckets, F regressors that are known ahead."""

    ids: pd.Index
    y: np.ndarray  # [N, T] NaN before a series begins and where nothing was observed
    x: np.ndarray  # [N, T + H, F]
    names: list[str]  # [F]
    ds: pd.DatetimeIndex  # [T + H]
    day: int
    horizon: int
    levels: np.ndarray
    freq: str

    @property
    def flags(self) -> list[int]:
        """Regressors that a linear model can use: events and holidays."""
        return [k for k, n in enumerate(self.names) if n.startswith(("event_", "holiday"))]


def read(folder: Path, origin: int) -> Task:
    """The frames of one origin as arrays."""
    task = json.loads((folder / "task.json").read_text())
    past = pd.read_parquet(folder / str(origin) / "history.parquet")
    ahead = pd.read_parquet(folder / str(origin) / "future.parquet")
    ids = past["unique_id"].cat.categories
    names = [c for c in ahead.columns if c not in ("unique_id", "ds")]
    ds = pd.DatetimeIndex(np.sort(np.union1d(past["ds"].unique(), ahead["ds"].unique())))
    h, n, n_past = task["horizon"], len(ids), len(ds) - task["horizon"]
    y = np.full((n, n_past), np.nan, dtype=np.float32)
    row, column = past["unique_id"].cat.codes.to_numpy(), ds.get_indexer(past["ds"])
    y[row, column] = past["y"]
    x = np.zeros((n, len(ds), len(names)), dtype=np.float32)
    for k, name in enumerate(names):
        x[row, column, k] = past[name]
        x[:, n_past:, k] = ahead[name].to_numpy().reshape(n, h)
    levels = np.array(task["levels"])
    return Task(ids, y, x, names, ds, task["day"], h, levels, task["freq"])


def whole(y: np.ndarray, day: int) -> np.ndarray:
    """[T] -> the series from its first value on, holes filled with last week's or yesterday's."""
    y = y[np.isfinite(y).argmax() :].astype(float)
    for back in (7 * day, day):
        for at in np.flatnonzero(np.isnan(y)):
            if at >= back:
                y[at] = y[at - back]
    return np.nan_to_num(y)


# ---- peers that take one series at a time: (task, row) -> [H, Q]


def _statsforecast(model: Any, task: Task, row: int) -> np.ndarray:
    widths = [98, 90, 80, 60, 40, 20]
    found = model.forecast(y=whole(task.y[row], task.day), h=task.horizon, level=widths)
    low = [found[f"lo-{w}"] for w in widths]
    high = [found[f"hi-{w}"] for w in reversed(widths)]
    return np.stack([*low, found["mean"], *high], axis=1)


def seasonal_naive(task: Task, row: int) -> np.ndarray:
    from statsforecast.models import SeasonalNaive

    return _statsforecast(SeasonalNaive(season_length=task.day), task, row)


def seasonal_naive_week(task: Task, row: int) -> np.ndarray:
    from statsforecast.models import SeasonalNaive

    return _statsforecast(SeasonalNaive(season_length=7 * task.day), task, row)


def auto_ets(task: Task, row: int) -> np.ndarray:
    from statsforecast.models import AutoETS

    return _statsforecast(AutoETS(season_length=task.day), task, row)


def mstl(task: Task, row: int) -> np.ndarray:
    from statsforecast.models import MSTL

    return _statsforecast(MSTL(season_length=[task.day, 7 * task.day]), task, row)


def prophet(task: Task, row: int) -> np.ndarray:
    import logging

    from prophet import Prophet

    logging.getLogger("cmdstanpy").disabled = True
    n_past = task.y.shape[1]
    frame = pd.DataFrame({"ds": task.ds[:n_past], "y": task.y[row].astype(float)})
    ahead = pd.DataFrame({"ds": task.ds[n_past:]})
    model = Prophet(uncertainty_samples=500)
    for k in task.flags:
        frame[task.names[k]] = task.x[row, :n_past, k]
        ahead[task.names[k]] = task.x[row, n_past:, k]
        if np.ptp(frame.loc[frame["y"].notna(), task.names[k]]) > 0:
            model.add_regressor(task.names[k])
    np.random.seed(0)  # noqa: NPY002 (prophet draws from it)
    model.fit(frame)
    draws = model.predictive_samples(ahead)["yhat"]
    return np.quantile(draws, task.levels, axis=1).T


def flaircast(task: Task, row: int) -> np.ndarray:
    from flaircast import forecast

    y = whole(task.y[row], task.day)
    n_past = task.y.shape[1]
    x = task.x[row][:, task.flags]
    told: dict[str, Any] = {}
    if x.shape[1]:
        told = {"X_hist": x[n_past - len(y) : n_past], "X_future": x[n_past:]}
    freq = "H" if task.day == 24 else task.freq.replace("min", "T")
    draws = forecast(y, task.horizon, freq, n_samples=500, seed=0, **told)
    return np.quantile(draws, task.levels, axis=0).T


# ---- peers that learn from all series together: task -> [N, H, Q]


def mlforecast(task: Task) -> np.ndarray:
    """LightGBM as mlforecast's guide to M4 hourly sets it up, with conformal intervals."""
    import lightgbm as lgb
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import ExpandingMean, RollingMean
    from mlforecast.target_transforms import Differences
    from mlforecast.utils import PredictionIntervals

    day, n = task.day, len(task.ids)
    frame = _long(task, max(_ROWS // n, 60 * day))
    model = MLForecast(
        models=lgb.LGBMRegressor(n_estimators=200, n_jobs=CORES, verbosity=-1, seed=0),
        freq=task.freq,
        lags=[day * k for k in range(1, 8)],
        lag_transforms={1: [ExpandingMean()], day: [RollingMean(window_size=2 * day)]},
        target_transforms=[Differences([day])],
        date_features=["hour", "dayofweek"],
        num_threads=CORES,
    )
    shortest = int(frame.groupby("unique_id", observed=True).size().min())
    windows = max(min(10, (shortest - 10 * day) // task.horizon), 2)
    intervals = PredictionIntervals(n_windows=windows, h=task.horizon)
    model.fit(frame, static_features=[], prediction_intervals=intervals)
    widths = [98, 90, 80, 60, 40, 20]
    n_past = task.y.shape[1]
    ahead = None
    if task.names:
        ahead = pd.DataFrame(
            {
                "unique_id": np.repeat(np.asarray(task.ids, dtype=object), task.horizon),
                "ds": np.tile(task.ds[n_past:], n),
                **{name: task.x[:, n_past:, k].ravel() for k, name in enumerate(task.names)},
            }
        )
    found = model.predict(task.horizon, level=widths, X_df=ahead)
    found = found.set_index("unique_id")
    name = "LGBMRegressor"
    columns = [f"{name}-lo-{w}" for w in widths] + [name]
    columns += [f"{name}-hi-{w}" for w in reversed(widths)]
    values = found[columns].to_numpy().reshape(n, task.horizon, -1)
    return values[pd.Index(found.index.unique()).get_indexer(pd.Index(task.ids))]


def _long(task: Task, last: int) -> pd.DataFrame:
    parts = []
    n_past = task.y.shape[1]
    for i, name in enumerate(task.ids):
        y = whole(task.y[i], task.day)[-last:]
        since = slice(n_past - len(y), n_past)
        parts.append(pd.DataFrame({"unique_id": name, "ds": task.ds[since], "y": y}))
        for k, column in enumerate(task.names):
            parts[-1][column] = task.x[i, since, k]
    return pd.concat(parts, ignore_index=True)


def lightgbm(task: Task) -> np.ndarray:
    """Direct quantiles of the scaled target, one model a quantile."""
    from direct import quantiles

    return quantiles(task, cores=CORES)


ONE_BY_ONE: dict[str, Callable[[Task, int], np.ndarray]] = {
    "seasonal_naive": seasonal_naive,
    "seasonal_naive_week": seasonal_naive_week,
    "auto_ets": auto_ets,
    "mstl": mstl,
    "prophet": prophet,
    "flaircast": flaircast,
}
TOGETHER: dict[str, Callable[[Task], np.ndarray]] = {"mlforecast": mlforecast, "lightgbm": lightgbm}
_IMPORTED = {  # before the clock starts
    **dict.fromkeys(
        ("seasonal_naive", "seasonal_naive_week", "auto_ets", "mstl"), "statsforecast.models"
    ),
    **{name: name for name in ("prophet", "flaircast", "mlforecast", "lightgbm")},
}

# ---- running them

_task: Task


def _begin(task: Task) -> None:
    global _task
    _task = task


def _one(peer: str, row: int) -> tuple[int, np.ndarray | None]:
    try:
        found = ONE_BY_ONE[peer](_task, row)
    except Exception as error:
        print(f"{peer}: {_task.ids[row]}: {type(error).__name__}: {error}", file=sys.stderr)
        return row, None
    return row, found if np.isfinite(found).all() else None


def each(task: Task, peer: str, seconds: float) -> tuple[np.ndarray, int]:
    """Largest series first, until the time is up: (quantiles, series reached), NaN for the rest."""
    size = np.nansum(np.abs(task.y[:, -28 * task.day :]), axis=1)
    found = np.full((len(size), task.horizon, len(task.levels)), np.nan)
    end, reached = time.perf_counter() + seconds, 0
    order = np.argsort(-size, kind="stable")
    with multiprocessing.get_context("fork").Pool(CORES, _begin, (task,)) as pool:
        done = pool.imap_unordered(partial(_one, peer), order.tolist())
        for _ in order:
            try:
                row, values = done.next(timeout=max(end - time.perf_counter(), 0))
            except multiprocessing.TimeoutError:
                break
            if values is not None:
                found[row] = values
                reached += 1
    return found, reached


def main(folder: Path, peer: str, limit: float) -> None:
    """Every origin in turn, each with its share of the time."""
    count = json.loads((folder / "task.json").read_text())["origins"]
    importlib.import_module(_IMPORTED[peer])
    seconds, reached, series = 0.0, 0, 0
    for k in range(count):
        task = read(folder, k)
        started = time.perf_counter()
        if peer in TOGETHER:
            found = TOGETHER[peer](task)
            done = len(found)
        else:
            found, done = each(task, peer, limit / count)
        seconds += time.perf_counter() - started
        reached, series = reached + done, series + len(found)
        flat = np.sort(found, axis=2).reshape(-1, len(task.levels))
        frame = pd.DataFrame(flat.astype(np.float32), columns=[f"q{q:g}" for q in task.levels])
        frame.insert(0, "step", np.tile(np.arange(task.horizon), len(task.ids)))
        frame.insert(0, "unique_id", np.repeat(np.asarray(task.ids, dtype=object), task.horizon))
        frame.to_parquet(folder / str(k) / f"{peer}.parquet", index=False)
    status = Path("/proc/self/status").read_text()  # RUSAGE_SELF begins with the starter's peak
    mine = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    facts = {
        "seconds": seconds / count,
        "reached": reached / count,
        "series": series / count,
        "peak_rss_mb": (mine + (0 if peer in TOGETHER else CORES * child)) / 1024,
    }
    (folder / f"{peer}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
