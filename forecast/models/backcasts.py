"""A rule's forecasts from past origins, whose errors are put around those from the present one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from forecast.demand import Array
from forecast.features import Past, Task, past_of, spread
from forecast.models.chunks import in_chunks
from forecast.models.model import Prediction
from forecast.models.residuals import (
    Counts,
    chance_counts,
    error_quantiles,
    mixed,
    pool_counts,
)

Rule = Callable[[Task, Past], Array]  # [n, H] expected units
_CHUNK = 500  # series at a time, to bound memory
_SAMPLES = 3_000_000  # counts pooled, about


def past_errors(
    task: Task, starts: Sequence[int], rule: Rule, *, usable: Callable[[Past, Array], Array]
) -> tuple[Array, Counts]:
    """Errors that a rule made from the origins `starts`: [R, Q] quantiles, and pools of counts.

    Errors are standardised by each series' usual change, so that they carry over from calm to busy
    hours. `usable` turns those of some series [n, H] into the ones that tell, NaN = none. Without a
    past origin they are everyone's.
    """
    rows, levels = task.rows, task.levels
    if not starts:
        none = error_quantiles(np.full((len(rows), 1), np.nan), levels)
        return none, chance_counts(levels)
    errors = np.full((len(rows), len(starts), task.horizon), np.nan, dtype=np.float32)
    expected = np.zeros_like(errors)

    def look(chunk: slice) -> None:
        for j, start in enumerate(starts):
            past = past_of(task, rows[chunk], start)
            m = rule(task, past)
            error = (task.y[past.rows, start : start + task.horizon] - m) / spread(task, past, m)
            errors[chunk, j] = usable(past, error)
            expected[chunk, j] = m

    in_chunks(look, len(rows), _CHUNK)
    actual = np.stack([task.y[rows, s : s + task.horizon] for s in starts], axis=1)
    lump = np.broadcast_to(task.lump[rows][:, None, None], actual.shape)
    some = slice(None, None, max(actual.size // _SAMPLES, 1))
    counts = pool_counts(expected.ravel()[some], actual.ravel()[some], lump.ravel()[some], levels)
    return error_quantiles(errors.reshape(len(rows), -1), levels), counts


def predicted(task: Task, origin: int, rule: Rule, errors: Array, counts: Counts) -> Prediction:
    """What a rule expects from an origin, with what `past_errors` found around it."""
    shape = (len(task.rows), task.horizon)
    mean = np.zeros(shape, dtype=np.float32)
    quantiles = np.zeros((*shape, len(task.levels)), dtype=np.float32)

    def fill(chunk: slice) -> None:
        past = past_of(task, task.rows[chunk], origin)
        m = rule(task, past)
        wide = m[..., None] + spread(task, past, m)[..., None] * errors[chunk][:, None, :]
        quantiles[chunk] = np.maximum(mixed(m, wide, counts, task.lump[past.rows]), 0.0)
        mean[chunk] = m

    in_chunks(fill, len(task.rows), _CHUNK)
    return Prediction(mean=mean, quantiles=np.sort(quantiles, axis=2))
