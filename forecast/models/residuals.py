"""Distributions around an expected value, pooled from past errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.demand import Array

_RATES = np.geomspace(1e-4, 30.0, 45)  # expected orders a bucket: centres of the pools
_SPARSE, _DENSE = 1.5, 4.0  # below the first an order count, above the second a continuum
_HUGE = 20.0  # times the expected: a bulk order beyond is counted as this
_SMALLEST = 300  # samples that a pool needs


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Quantiles of units, in usual orders, by the expected number of orders."""

    rates: Array  # float [B] ascending
    sizes: Array  # float [B, Q]

    def quantiles(self, expected: Array, lump: Array) -> Array:
        """[..., Q] for expected units and units of a usual order of the same shape."""
        rate = np.maximum(expected, 1e-9) / lump
        place = np.interp(np.log(rate), np.log(self.rates), np.arange(len(self.rates)))
        low = np.minimum(place.astype(int), max(len(self.rates) - 2, 0))
        high = np.minimum(low + 1, len(self.rates) - 1)
        part = (place - low)[..., None]
        size = (1 - part) * self.sizes[low] + part * self.sizes[high]
        beyond = np.clip(rate / self.rates[-1], 1.0, None)[..., None]
        return np.asarray(size * beyond * lump[..., None])


def pool_counts(expected: Array, actual: Array, lump: Array, levels: Array) -> Counts:
    """Pools of actual / lump by expected / lump; flat arrays of equal length.

    Neighbouring pools are joined until each has enough samples.
    """
    keep = np.isfinite(actual) & (lump > 0)
    rate = np.maximum(expected[keep], 1e-9) / lump[keep]
    size = np.minimum(actual[keep] / lump[keep], _HUGE * (1 + rate))
    order = np.argsort(rate, kind="stable")
    rate, size = rate[order], size[order]
    cuts = np.searchsorted(rate, _RATES)
    rates: list[float] = []
    pools: list[Array] = []
    start = 0
    for stop in [*cuts, len(rate)]:
        if stop - start < _SMALLEST and not (stop == len(rate) and not rates and stop > start):
            continue
        rates.append(max(float(rate[start:stop].mean()), 1e-9))
        pools.append(np.quantile(size[start:stop], levels))
        start = stop
    if not rates:
        return poisson_counts(levels)
    grown = np.maximum.accumulate(np.asarray(rates) * (1 + 1e-9 * np.arange(len(rates))))
    return Counts(rates=grown, sizes=np.stack(pools))


def poisson_counts(levels: Array) -> Counts:
    """Orders as a Poisson count of usual size, when there is no past to learn from."""
    from scipy.special import pdtrik

    count = np.nan_to_num(pdtrik(levels[None, :], _RATES[:, None]))
    return Counts(rates=_RATES, sizes=np.ceil(np.maximum(count, 0.0)))


def error_quantiles(errors: Array, levels: Array) -> Array:
    """[R, M] standardised errors, NaN = none -> [R, Q].

    Half the series' own quantiles, half everyone's stretched to its own size of error; a series
    without enough errors has everyone's alone.
    """
    count = np.isfinite(errors).sum(axis=1)
    size = np.where(count > 0, np.nansum(np.abs(errors), axis=1) / np.maximum(count, 1), np.nan)
    usable = (count >= 20) & (size > 0)
    if not usable.any():
        from scipy.special import ndtri

        return np.tile(ndtri(levels) * 1.25, (len(errors), 1))
    scaled = errors[usable] / size[usable, None]
    sample = scaled[:: max(len(scaled) // 2000, 1)]
    everyone = np.quantile(sample[np.isfinite(sample)], levels)
    found = np.tile(everyone * float(np.median(size[usable])), (len(errors), 1))
    own = _nan_quantile(errors[usable], levels)
    found[usable] = 0.5 * own + 0.5 * everyone * size[usable, None]
    return found


def _nan_quantile(x: Array, levels: Array) -> Array:
    """[R, M] -> [R, Q] quantiles of the finite entries of each row (at least one)."""
    ordered = np.sort(x, axis=1)  # NaN goes last
    count = np.isfinite(x).sum(axis=1)
    place = levels[None, :] * (count - 1)[:, None]
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, (count - 1)[:, None])
    part = place - low
    row = np.arange(len(x))[:, None]
    return np.asarray((1 - part) * ordered[row, low] + part * ordered[row, high])


def mixed(expected: Array, continuous: Array, counts: Counts, lump: Array) -> Array:
    """[n, H, Q]: counts where orders are few, `continuous` where they are many.

    `lump` [n] is 0 where the series is no count of orders.
    """
    if not (lump > 0).any():
        return continuous
    few = counted(expected, lump)[..., None]
    size = np.where(lump > 0, lump, 1.0)[:, None]
    sparse = counts.quantiles(expected, np.broadcast_to(size, expected.shape))
    return np.asarray(few * sparse + (1 - few) * continuous)


def counted(expected: Array, lump: Array) -> Array:
    """[n, H] from 0 to 1, how far quantiles are those of counts; 1 = of nothing else."""
    known = (lump > 0)[:, None]
    rate = expected / np.where(known, lump[:, None], 1.0)
    few = np.clip((_DENSE - rate) / (_DENSE - _SPARSE), 0.0, 1.0)
    return np.where(known, few, 0.0)
