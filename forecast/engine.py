"""The one call that does it all: panel in, forecast out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from forecast.blend import learn, segments
from forecast.demand import Array, Panel
from forecast.forecasts import Forecast
from forecast.models import MODELS, Model, Prediction, told
from forecast.paths import sample_paths
from forecast.tasks import LEVELS, Prepared, prepare

DEFAULT_MEMBERS = ("seasonal_naive", "weekly_naive", "seasonal", "ridge", "lightgbm")


def forecast(
    panel: Panel,
    horizon: int,
    *,
    products: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    country: str | None = None,
    season: int | None = None,
    n_paths: int = 64,
    members: Sequence[str] | None = None,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> Forecast:
    """Distribution of demand in the `horizon` buckets after the panel, for each of its products.

    Parameters
    ----------
    panel
        History, see `panel_of_orders` and `panel_of_series`.
    products
        product_id, and if known category, launched_at, similar_to, list_price.
    events
        name, kind, starts_at, ends_at, and product_id or category for an event that doesn't
        concern everyone; past and future.
    country
        ISO code whose holidays count; None assumes no holiday.
    season
        Buckets in the short season; None = a day, or found in an index of whole numbers.
    members
        Names in `forecast.models.MODELS` to blend; None = those that suit thousands of series.
    progress
        Called with the stage that begins and the share of the work done.
    """
    if horizon < 1:
        raise ValueError(f"horizon {horizon} is no number of buckets; ask for 1 or more")
    tell = progress or _silent
    models = pick(members)
    tell("features", 0.0)
    ready = prepare(
        panel,
        horizon,
        products=products,
        events=events,
        country=country,
        season=season,
        seed=seed,
    )
    task = ready.task
    tell("weights", 0.1)
    blend = learn(task, models)
    predictions = []
    for k, (name, model) in enumerate(models.items()):
        tell(name, 0.5 + 0.3 * k / len(models))
        predictions.append(model.fit(task).predict(task, task.origins[-1]))
    segment = segments(task)
    result = _launched(task.launch, task.y.shape[1], blend.combine(predictions, segment, LEVELS))
    tell("paths", 0.8)
    paths = sample_paths(
        task, result.mean, result.quantiles, n_paths=n_paths, rng=np.random.default_rng(seed)
    )
    label = np.array([blend.label(int(s)) for s in segment], dtype=object)
    label = told(label, blend.members, predictions, blend.weights[segment])
    tell("done", 1.0)
    return _finished(panel, horizon, ready, result, paths, label)


def _silent(_stage: str, _share: float) -> None:
    return


def pick(members: Sequence[str] | None) -> dict[str, Model]:
    """Members by name, made."""
    names = list(dict.fromkeys(members)) if members else list(DEFAULT_MEMBERS)
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise ValueError(f"no member is called {unknown}; there are {sorted(MODELS)}")
    return {name: MODELS[name]() for name in names}


def _launched(launch: Array, length: int, result: Prediction) -> Prediction:
    """Nothing sells before its launch."""
    ahead = length + np.arange(result.mean.shape[1])
    sold = ahead[None, :] >= launch[:, None]
    return replace(result, mean=result.mean * sold, quantiles=result.quantiles * sold[..., None])


def _finished(
    panel: Panel,
    horizon: int,
    ready: Prepared,
    result: Prediction,
    paths: Array,
    label: Array,
) -> Forecast:
    offset = ready.offset
    model = np.where(ready.borrowed != "", ready.borrowed, label)
    return Forecast(
        ids=panel.ids,
        ds=panel.future(horizon),
        freq=panel.freq,
        levels=LEVELS,
        mean=(result.mean + offset[:, None]).astype(np.float32),
        quantiles=(result.quantiles + offset[:, None, None]).astype(np.float32),
        paths=(paths + offset[None, :, None]).astype(np.float32),
        model=model,
        shift=panel.shift,
        id_name="product_id" if panel.orders is not None else "unique_id",
        provisional=ready.task.days.provisional,
        cleaning=ready.cleaning,
    )
