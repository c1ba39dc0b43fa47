"""Regression on many columns of which few matter, with errors that linger from day to day."""

from __future__ import annotations

import numpy as np

from forecast.demand import Array

_SPIKE = 0.01  # standard deviation of an effect that doesn't matter
_FEWEST = 14  # observed days without which nothing is learned
_STEPS = 4  # of finding errors and fitting anew
_SWEEPS = 20  # over the columns, at most
_SETTLED = 1e-4  # change in a sweep below which the effects are found
_NOISE = 0.03  # standard deviation of a day, at least
_FREAK = 8.0  # standard deviations off, a day weighs half
_MAD = 1.4826  # standard deviation of a normal variable over its median absolute deviation
_MOST_LINGER = 0.9
_CHUNK = 200  # series at a time


def sparse_effects(y: Array, columns: Array, slab: Array, chance: Array) -> Array:
    """[C, P] effect of each column on each of C series of days `y` [C, D]; NaN = not observed.

    `columns` [D, P]; an effect matters with probability `chance` [P], is then normal with standard
    deviation `slab` [P], else with a tiny one (spike and slab, George & McCulloch 1993). Posterior
    means, column by column as if the others were known (Carbonetto & Stephens 2012). The errors
    are a first-order autoregression: each day is taken against the day before (Prais & Winsten
    1954), so that a level that wanders is no effect of the days on which it was high. 0 for series
    with too few observed days.
    """
    effect = np.zeros((len(y), columns.shape[1]))
    enough = np.flatnonzero(np.isfinite(y).sum(axis=1) >= _FEWEST)
    if columns.shape[1]:
        for first in range(0, len(enough), _CHUNK):
            some = enough[first : first + _CHUNK]
            effect[some] = _fitted(y[some], columns, slab, chance)
    return effect


def _fitted(y: Array, columns: Array, slab: Array, chance: Array) -> Array:
    """`sparse_effects` of series with enough days."""
    seen = np.isfinite(y)
    told = np.where(seen, y - np.nanmedian(y, axis=1, keepdims=True), 0.0)
    follows = np.zeros_like(seen)
    follows[:, 1:] = seen[:, 1:] & seen[:, :-1]
    effect = np.zeros((len(y), columns.shape[1]))
    for _ in range(_STEPS):
        left = np.where(seen, told - np.einsum("dp,cp->cd", columns, effect), 0.0)
        linger = _lingering(left, seen, follows)
        before = linger[:, None] * follows  # share of the day before's that each day has
        alone = np.where(follows, 1.0, np.sqrt(1 - linger[:, None] ** 2)) * seen
        x = _against_yesterday(columns[None], alone, before)
        fresh = _against_yesterday(told[..., None], alone, before)[..., 0]
        error = fresh - np.einsum("cdp,cp->cd", x, effect)
        noise = np.maximum(_spread(error, seen), _NOISE)
        weight = seen / (1 + (error / (_FREAK * noise)) ** 2) / noise**2
        gram = np.einsum("cdp,cdq->cpq", weight[..., None] * x, x)
        cross = np.einsum("cdp,cd->cp", x, weight * fresh)
        effect = _posterior(gram, cross, effect, slab, chance)
    return effect


def _against_yesterday(x: Array, alone: Array, before: Array) -> Array:
    """[C, D, K] what is new each day of K columns: each series' own, or [1, D, K] for all."""
    fresh = alone[..., None] * x
    fresh[:, 1:] -= before[:, 1:, None] * x[:, :-1]
    return fresh


def _lingering(error: Array, seen: Array, follows: Array) -> Array:
    """[C] correlation of an error with the day before's, 0 or more."""
    most = 4 * _spread(error, seen) + 1e-9
    calm = np.clip(error, -most, most)
    pair = follows[:, 1:]
    both = (calm[:, 1:] * calm[:, :-1] * pair).sum(axis=1)
    linger = both / np.maximum((calm[:, :-1] ** 2 * pair).sum(axis=1), 1e-9)
    return np.asarray(np.clip(linger, 0, _MOST_LINGER))


def _spread(x: Array, seen: Array) -> Array:
    """[C, 1] standard deviation as the median absolute deviation tells it."""
    known = np.where(seen, x, np.nan)
    off = np.abs(known - np.nanmedian(known, axis=1, keepdims=True))
    return np.asarray(_MAD * np.nanmedian(off, axis=1, keepdims=True))


def _posterior(gram: Array, cross: Array, start: Array, slab: Array, chance: Array) -> Array:
    """[C, P] mean effects given the normal equations [C, P, P] and [C, P]."""
    mean = start.copy()
    wide, tight = 1 / slab**2, 1 / _SPIKE**2
    odds = np.log(chance / (1 - chance)) + 0.5 * np.log(wide / tight)
    known = np.einsum("cpp->cp", gram)
    wide_var, tight_var = 1 / (known + wide), 1 / (known + tight)
    odds = odds + 0.5 * np.log(wide_var / tight_var)
    for _ in range(_SWEEPS):
        last = mean.copy()
        for k in range(mean.shape[1]):
            own = cross[:, k] - (gram[:, k] * mean).sum(axis=1) + known[:, k] * mean[:, k]
            more = odds[:, k] + 0.5 * own**2 * (wide_var[:, k] - tight_var[:, k])
            matters = 1 / (1 + np.exp(-np.clip(more, -30, 30)))
            var = matters * wide_var[:, k] + (1 - matters) * tight_var[:, k]
            mean[:, k] = own * var
        if np.abs(mean - last).max() < _SETTLED:
            break
    return mean


def settled(x: Array) -> Array:
    """Fitted numbers without the last digits, which differ between processors' linear algebra.

    Trees would turn such a difference into another forecast.
    """
    return np.asarray(np.round(x, 6))
