"""Distributions around an expected value, pooled from past errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forecast.demand import Array

_RATES = np.geomspace(1e-4, 30.0, 45)  # expected orders a bucket: centres of the pools
_SPARSE, _DENSE = 1.5, 4.0  # below the first an order count, above the second a continuum
_HUGE = 20.0  # times the expected: a bulk order beyond is counted as this
_SMALLEST = 300  # samples that a pool needs
_SPAN = 2.5  # times its least rate that a pool reaches at most
_CALM = 0.05  # orders a bucket, below which all rates are alike
_NEAR = 1.33  # a pool tells of rates as near to its own
_CHANCE = 100.0  # orders that Poisson's spread counts as
_POISSON, _WIDEST = 1.01, 4.0  # variance against the mean


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

    Neighbouring pools are joined until each has enough samples. Where rates that lie near one
    another have too few, chance tells, spread as wide as all samples are.
    """
    keep = np.isfinite(actual) & (lump > 0)
    rate = np.maximum(expected[keep], 1e-9) / lump[keep]
    size = np.minimum(actual[keep] / lump[keep], _HUGE * (1 + rate))
    order = np.argsort(rate, kind="stable")
    rate, size = rate[order], size[order]
    spread = (((size - rate) ** 2).sum() + _CHANCE) / (rate.sum() + _CHANCE)
    likely = chance_counts(levels, float(np.clip(spread, 1.0, _WIDEST)))
    pools = list(_alike(rate))
    if not pools:
        return likely
    rates = np.array([rate[pool].mean() for pool in pools])
    alone = likely.rates > (rates[0] if rates[0] <= _CALM else 0.0)
    for pool in pools:
        near = likely.rates >= rate[pool][0] / _NEAR
        alone &= ~near | (likely.rates > rate[pool][-1] * _NEAR)
    sizes = [np.quantile(size[pool], levels) for pool in pools]
    rates = np.concatenate([likely.rates[alone], rates])
    order = np.argsort(rates, kind="stable")
    grown = np.maximum.accumulate(rates[order] * (1 + 1e-9 * np.arange(len(rates))))
    return Counts(rates=grown, sizes=np.concatenate([likely.sizes[alone], sizes])[order])


def _alike(rate: Array) -> Iterator[slice]:
    """Parts of ascending rates that lie near one another and are enough for a pool."""
    start = 0
    for stop in [*np.searchsorted(rate, _RATES).tolist(), len(rate)]:
        if stop - start < _SMALLEST:
            continue
        if rate[stop - 1] <= max(_SPAN * rate[start], _CALM):
            yield slice(start, stop)
        start = stop


def chance_counts(levels: Array, spread: float = 1.0) -> Counts:
    """Orders as a count by chance, of usual size: Poisson, where there is no past to learn from.

    With a variance of `spread` times the mean they are negative binomial.
    """
    from scipy.special import nbdtrik, pdtrik

    if spread > _POISSON:
        count = nbdtrik(levels[None, :], _RATES[:, None] / (spread - 1), 1 / spread)
    else:
        count = pdtrik(levels[None, :], _RATES[:, None])
    return Counts(rates=_RATES, sizes=np.ceil(np.maximum(np.nan_to_num(count) - 1e-9, 0.0)))


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
