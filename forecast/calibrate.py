"""Conformal stretching of quantiles, so that levels mean what they say on data not trained on."""

from __future__ import annotations

import numpy as np

from forecast.demand import Array

_LEAST = 60  # observations that a stretch needs
_DOUBT = 12.0  # days of hold-out that weigh as much as the belief that no stretch is needed


def stretches(actual: Array, quantiles: Array, levels: Array, *, part: Array, days: float) -> Array:
    """How far each quantile must move from the median to hold its share, by part of the horizon.

    Parameters
    ----------
    actual
        [S, H] held-out units, NaN = not observed or not to be used.
    quantiles
        [S, H, Q] their forecasts.
    part
        int [H] part of the horizon, 0 … P − 1.
    days
        Independent days in the hold-out: few of them, and the stretch stays near 1.

    Returns
    -------
    [P, Q] factors on the distance from the median; conformalised quantile regression (Romano,
    Patterson & Candès 2019) with a multiplicative score, each side and level on its own.
    """
    middle = int(np.argmin(np.abs(levels - 0.5)))
    centre = quantiles[..., middle]
    factors = np.ones((int(part.max()) + 1, len(levels)))
    trust = days / (days + _DOUBT)
    for p in range(len(factors)):
        at = part == p
        for k, level in enumerate(levels):
            distance = quantiles[:, at, k] - centre[:, at]
            error = actual[:, at] - centre[:, at]
            usable = np.isfinite(error) & (np.abs(distance) > 1e-9)
            if k == middle or usable.sum() < _LEAST:
                continue
            score = error[usable] / distance[usable]
            found = float(np.quantile(score, max(level, 1 - level)))
            factors[p, k] = np.clip(found, 0.4, 4.0) ** trust
    return factors


def stretched(quantiles: Array, levels: Array, factors: Array, part: Array) -> Array:
    """Apply `stretches` to [N, H, Q]; sorted along Q."""
    middle = int(np.argmin(np.abs(levels - 0.5)))
    centre = quantiles[..., middle : middle + 1]
    return np.sort(centre + (quantiles - centre) * factors[part][None], axis=2)
