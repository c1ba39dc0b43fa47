"""Aggregates of a forecast, from its joint sample paths: they add up whatever is summed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from forecast import metrics
from forecast.demand import Array
from forecast.forecasts import Forecast
from forecast.known import named


def aggregate(
    forecast: Forecast,
    groups: Mapping[str, Sequence[str]] | None = None,
    *,
    every: int = 1,
) -> Forecast:
    """Forecast of sums over groups of products and over `every` consecutive buckets.

    Each path of the result is the sum of that path of the members, so aggregates of aggregates, in
    any order, agree (coherence). `mean` is the sum of means; the quantiles are those of the paths.

    Parameters
    ----------
    groups
        Name -> ids of its members, at least one; a product may be in many groups or in none. None
        leaves the products apart.
    every
        Buckets of one sum; must divide the horizon.
    """
    if forecast.shift is not None and forecast.shift.any():
        raise ValueError("the series end at different times, so their sums mix different times")
    if every < 1 or len(forecast.ds) % every:
        raise ValueError(f"sums of {every} buckets don't part a horizon of {len(forecast.ds)}")
    ids, members = _membership(forecast.ids, groups)
    mean = _sums(forecast.mean[None], members, every)[0]
    paths = _sums(forecast.paths, members, every)
    quantiles = np.moveaxis(np.quantile(paths, forecast.levels, axis=0), 0, -1)
    size = np.asarray(members.sum(axis=1)).ravel().astype(int)
    return Forecast(
        ids=ids,
        ds=forecast.ds[::every],
        freq=_longer(forecast.freq, every),
        levels=forecast.levels,
        mean=mean.astype(np.float32),
        quantiles=quantiles.astype(np.float32),
        paths=paths.astype(np.float32),
        model=np.array([f"sum of {k}" for k in size], dtype=object),
        id_name=forecast.id_name if groups is None else "group",
    )


def by_category(products: pd.DataFrame) -> dict[str, list[str]]:
    """Category -> its products, for `aggregate`; products without a category are under ""."""
    products = named(products, "products")
    category = products["category"].astype(object).fillna("").astype(str)
    grouped = products["product_id"].astype(str).groupby(category, sort=True)
    return {str(name): list(ids) for name, ids in grouped}


def aggregate_scores(
    actual: Array, paths: Array, day: Array, category: Array, rng: np.random.Generator
) -> dict[str, float]:
    """CRPS of sums and maxima, from the paths and from the same paths without their dependence.

    The twin `…_independent` shuffles the draws of every product and bucket among themselves: equal
    marginals, nothing joint. Each is Σ CRPS / Σ |actual|. `…_coverage80` is the share of sums
    inside the 80 % interval of the paths, ties split. Buckets that were not observed are left out
    of a sum or maximum on both sides.

    Parameters
    ----------
    actual, paths
        [N, H] with NaN where not observed, and [K, N, H].
    day
        int [H] number of the day, −1 = of none.
    category
        int [N].
    """
    seen = np.isfinite(actual)
    parts: dict[str, Callable[[Array, float], Array]] = {
        "sum24_crps": lambda x, _: _by_day(np.add, x, day),
        "category_crps": lambda x, _: _by_category(x, category),
        "max_crps": lambda x, least: _by_day(np.maximum, np.where(seen, x, least), day),
    }
    apart = rng.permuted(paths, axis=0)
    found: dict[str, float] = {}
    for suffix, draws in (("", paths), ("_independent", apart)):
        ahead, came = np.where(seen, draws, 0), np.where(seen, actual, 0)
        for name, part in parts.items():
            known = part(seen.astype(np.float64), 0.0) > 0
            truth = part(came, -np.inf)[known]
            size = float(np.abs(truth).sum())
            loss = metrics.sample_crps(truth, part(ahead, -np.inf)[:, known]).sum()
            found[name + suffix] = float(loss) / size if size else float("nan")
    days = [_by_day(np.add, np.where(seen, x, 0), day) for x in (paths, actual, np.ones(day.shape))]
    levels = np.arange(1, len(paths) + 1) / (len(paths) + 1)
    for name, (ahead, came, known) in {
        "sum24_coverage80": days,
        "category24_coverage80": [_by_category(x, category) for x in days],
    }.items():
        ranked = np.moveaxis(np.sort(ahead, axis=0), 0, -1)
        found[name] = metrics.coverage(np.where(known > 0, came, np.nan), ranked, levels)
    return found


def _by_day(ufunc: np.ufunc, x: Array, day: Array) -> Array:
    """[..., H] -> [..., D] reduction over the buckets of each day."""
    inside = day >= 0
    starts = np.flatnonzero(np.diff(day[inside], prepend=-1))
    if not len(starts):
        return np.zeros((*x.shape[:-1], 0), dtype=x.dtype)
    return np.asarray(ufunc.reduceat(x[..., inside], starts, axis=-1))


def _by_category(x: Array, category: Array) -> Array:
    """[..., N, H] -> [..., C, H] sums."""
    order = np.argsort(category, kind="stable")
    starts = np.flatnonzero(np.diff(category[order], prepend=-1))
    return np.asarray(np.add.reduceat(x[..., order, :], starts, axis=-2, dtype=np.float64))


def _membership(
    ids: Array, groups: Mapping[str, Sequence[str]] | None
) -> tuple[Array, sparse.csr_matrix]:
    """Names [G] and a sparse [G, N] of 0 and 1."""
    if groups is None:
        return ids, sparse.identity(len(ids), format="csr")
    row_of = pd.Index([str(i) for i in ids])
    parts = []
    for name, wanted in groups.items():
        rows = row_of.get_indexer(pd.Index([str(i) for i in wanted], dtype=object))
        missing = [i for i, row in zip(wanted, rows, strict=True) if row < 0]
        if missing or not len(rows):
            raise ValueError(f"group {name!r} needs products of the forecast; got {missing[:5]}")
        parts.append(np.unique(rows))
    group = np.repeat(np.arange(len(parts)), [len(rows) for rows in parts])
    rows = np.concatenate(parts) if parts else np.zeros(0, dtype=int)
    shape = (len(parts), len(ids))
    one = np.ones(len(rows))
    return np.array(list(groups), dtype=object), sparse.csr_matrix(
        (one, (group, rows)), shape=shape
    )


def _sums(x: Array, members: sparse.csr_matrix, every: int) -> Array:
    """[K, N, H] -> float64 [K, G, H / every]."""
    horizon = x.shape[2] // every
    whole = x.reshape(*x.shape[:2], horizon, every).sum(axis=3, dtype=np.float64)
    return np.stack([members @ path for path in whole])


def _longer(freq: str, every: int) -> str:
    if freq.isdigit():
        return str(int(freq) * every)
    return freq if every == 1 else str((pd.tseries.frequencies.to_offset(freq) * every).freqstr)
