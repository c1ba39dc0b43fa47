"""The one call that does it all: panel in, forecast out; and its two halves, apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

import numpy as np
import pandas as pd

from forecast.blend import FEW, learn, segments
from forecast.borrow import widened
from forecast.closed import closed, emptied
from forecast.demand import Array, Panel
from forecast.forecasts import Forecast
from forecast.known import check_country, check_horizon, check_panel
from forecast.models import MODELS, Model, Prediction, told
from forecast.paths import sample_paths
from forecast.tasks import LEVELS, Prepared, prepare
from forecast.trained import Basis, RefitNeeded, Trained, basis_of, why_refit

DEFAULT_MEMBERS = (
    "seasonal_naive",
    "weekly_naive",
    "seasonal",
    "ridge",
    "intermittent",
    "lightgbm",
    "lightgbm_daily",
    "network",
)
FEW_MEMBERS = (*DEFAULT_MEMBERS, "mstl")  # of few series that are no order log: there is time


class Known(TypedDict, total=False):
    """What may be told and asked for beside a panel; `forecast` says what each is."""

    products: pd.DataFrame | None
    events: pd.DataFrame | None
    country: str | None
    season: int | None
    members: Sequence[str] | None
    seed: int
    progress: Callable[[str, float], None] | None


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """A forecast, and what it was made with."""

    forecast: Forecast
    trained: Trained
    why: str  # all was trained anew; "" = a quick update was enough


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
    trained: Trained | None = None,
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
        Names in `forecast.models.MODELS` to blend; None = those that suit thousands of
        series, and `mstl` for fewer than five that are no order log.
    progress
        Called with the stage that begins and the share of the work done.
    trained
        What `train` made from the same panel or from one that ended up to a day before; None =
        train on this one. Levels, effects and the recent past are the panel's in both cases.

    Raises
    ------
    RefitNeeded
        When `trained` doesn't serve this panel; `refresh` would train anew.
    """
    work = begin(
        panel,
        horizon,
        products=products,
        events=events,
        country=country,
        season=season,
        members=members,
        seed=seed,
        progress=progress,
    )
    return _ahead(work, learned(work, trained), n_paths)


def train(panel: Panel, horizon: int, **known: Unpack[Known]) -> Trained:
    """Learn all that `forecast` needs, to use it for this panel and newer ones.

    `known`: see `forecast`.
    """
    return _train(begin(panel, horizon, **known))


def refresh(
    panel: Panel,
    horizon: int,
    *,
    trained: Trained | None,
    n_paths: int = 64,
    **known: Unpack[Known],
) -> Refreshed:
    """Forecast with what was trained before where `why_refit` allows it, else train anew.

    `known`: see `forecast`.
    """
    work = begin(panel, horizon, **known)
    why = "nothing was trained before"
    if trained is not None:
        why = why_refit(trained.basis, work.basis)
    if trained is None or why:
        trained = _train(work)
    return Refreshed(forecast=_ahead(work, trained, n_paths), trained=trained, why=why)


@dataclass(frozen=True, kw_only=True)
class Work:
    """A panel made ready, and who forecasts it."""

    panel: Panel
    ready: Prepared
    models: dict[str, Model]
    basis: Basis
    tell: Callable[[str, float], None]


def begin(panel: Panel, horizon: int, **known: Unpack[Known]) -> Work:
    """Make a panel ready for its members to train on, or to forecast."""
    check_panel(panel)
    check_country(known.get("country"))
    check_horizon(horizon)
    tell, models = known.get("progress") or _silent, pick(known.get("members"), panel)
    country, season = known.get("country"), known.get("season")
    tell("features", 0.0)
    ready = prepare(
        panel,
        int(horizon),
        products=known.get("products"),
        events=known.get("events"),
        country=country,
        season=season,
        seed=known.get("seed", 0),
    )
    basis = basis_of(panel, ready.task, models, country=country, season=season)
    return Work(panel=panel, ready=ready, models=models, basis=basis, tell=tell)


def learned(work: Work, trained: Trained | None) -> Trained:
    """What was trained before, if anything was, else what the panel teaches.

    Raises
    ------
    RefitNeeded
        When what was trained doesn't serve the panel.
    """
    if trained is None:
        return _train(work)
    if why := why_refit(trained.basis, work.basis):
        raise RefitNeeded(f"{why}; train on this panel, or call refresh")
    return trained


def _train(work: Work) -> Trained:
    task = work.ready.task
    work.tell("weights", 0.1)
    blend = learn(task, work.models)
    fits = []
    for k, (name, model) in enumerate(work.models.items()):
        work.tell(name, 0.5 + 0.25 * k / len(work.models))
        fits.append(model.fit(task))
    return Trained(basis=work.basis, blend=blend, fits=tuple(fits))


def _ahead(work: Work, trained: Trained, n_paths: int) -> Forecast:
    if n_paths < 1:
        raise ValueError(f"n_paths is {n_paths}; ask for 1 sample path or more")
    task, blend = work.ready.task, trained.blend
    work.tell("quantiles", 0.75)
    fits = trained.aligned(work.basis.ids)
    idle = closed(task, task.origins[-1])
    predictions = [fit.predict(task, task.origins[-1]) for fit in fits]
    segment = segments(task)
    mixed = emptied(blend.combine(predictions, segment, LEVELS), idle, LEVELS)
    sure = work.ready.sure
    mixed = replace(mixed, quantiles=widened(mixed.quantiles, LEVELS, sure))
    result = _launched(task.launch, task.y.shape[1], mixed)
    work.tell("paths", 0.8)
    paths = sample_paths(
        task,
        result.mean,
        result.quantiles,
        n_paths=n_paths,
        rng=np.random.default_rng(task.seed),
        shape=blend.calibration.shape,
        lasting=blend.lasting,
        sure=sure if np.isfinite(sure).any() else None,
    )
    label = np.array([blend.label(int(s)) for s in segment], dtype=object)
    label = told(label, blend.members, predictions, blend.weights[segment].max(axis=1))
    work.tell("done", 1.0)
    return _finished(work.panel, task.horizon, work.ready, result, paths, label)


def _silent(_stage: str, _share: float) -> None:
    return


def pick(members: Sequence[str] | None, panel: Panel) -> dict[str, Model]:
    """Members by name, made; those that suit the panel where none is named."""
    few = panel.orders is None and len(panel.ids) < FEW
    asked = [members] if isinstance(members, str) else members
    names = list(dict.fromkeys(asked or (FEW_MEMBERS if few else DEFAULT_MEMBERS)))
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
    quantiles = result.quantiles + offset[:, None, None]
    if panel.whole:
        quantiles = np.floor(quantiles + 0.5)
    model = np.where(ready.borrowed != "", ready.borrowed, label)
    return Forecast(
        ids=panel.ids,
        ds=panel.future(horizon),
        freq=panel.freq,
        levels=LEVELS,
        mean=(result.mean + offset[:, None]).astype(np.float32),
        quantiles=quantiles.astype(np.float32),
        paths=(paths + offset[None, :, None]).astype(np.float32),
        model=model,
        shift=panel.shift,
        id_name="product_id" if panel.orders is not None else "unique_id",
        provisional=ready.task.days.provisional,
        cleaning=ready.cleaning,
    )
