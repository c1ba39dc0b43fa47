"""Intermittent demand: chance of a sale and size of a sale smoothed apart, for rarely sold things.

After Teunter, Syntetos & Babai (2011): the chance is updated in every bucket, so that a product
that stopped selling fades, the size only when something sold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from forecast.demand import Array
from forecast.features import Past, Task, past_of, past_origins
from forecast.models.chunks import in_chunks
from forecast.models.model import Prediction
from forecast.models.seasonal import Seasonal, SeasonalFit
from forecast.shapes import ordinary

HALF_LIVES = (4.0, 8.0, 16.0, 32.0, 64.0)  # days; the last is what the others are shrunk to
_SIZE_HALF_LIFE = 30.0  # days after which the size of a sale counts half
_PRIOR = 1.0  # sales that the slow rate counts as
_VAGUE = 12.0  # sales that the usual variance of sizes counts as
_SEGMENTS = (0.003, 0.01, 0.03, 0.1)  # sales a bucket that part the choice of the half-life
_DENSE = 0.6  # sales a bucket from which a series is no rare one
_SHIFTED = 3  # days after which a new level counts alone
_CHUNK = 1_000  # series at a time, to bound memory
_SERIES = 3_000  # that teach, at most
_CELLS = 4_000_000  # series × past origins × buckets that teach, at most
_CHANCES = np.geomspace(1e-4, 5.0, 24)  # expected sales a bucket: cuts of the pools
_SALES = 200  # that a pool needs
_PARTS = np.concatenate([np.linspace(0, 0.95, 39), [0.96, 0.97, 0.98, 0.99, 0.995, 1.0]])
_HUGE = 30.0  # times the usual size: a bulk order beyond is counted as this


@dataclass(frozen=True, kw_only=True)
class Sold:
    """What is known at an origin of the sales of some series."""

    rates: Array  # float [n, G] sales a mean bucket, by half-life
    size: Array  # float [n] mean logarithm of the units of a sale
    square: Array  # float [n] sum of squared deviations from it
    sales: Array  # float [n] sales that it was learned from, the old ones counting less
    shape: Array  # float32 [n, H] bucket against the mean one, effects included


@dataclass(frozen=True, kw_only=True)
class Pools:
    """By the expected number of sales: how often any came, and how large they were."""

    expected: Array  # float [B] ascending
    ratio: Array  # float [B] seen share of buckets with a sale / 1 − exp(−expected)
    sizes: Array  # float [B, U] quantiles of standardised logarithms of units, at _PARTS
    mean: Array  # float [B] mean of units / exp(size)
    variance: float  # of logarithms of units, of a usual series

    def chance(self, expected: Array) -> Array:
        """Chance of a sale in a bucket."""
        ratio = np.interp(np.log(np.maximum(expected, 1e-12)), np.log(self.expected), self.ratio)
        return np.asarray(np.minimum(ratio * -np.expm1(-expected), 1.0))

    def mean_size(self, expected: Array) -> Array:
        """Mean units of a sale against exp(size)."""
        at = np.log(np.maximum(expected, 1e-12))
        return np.asarray(np.interp(at, np.log(self.expected), self.mean))

    def size_at(self, expected: Array, part: Array) -> Array:
        """Quantiles of standardised logarithms of units of a sale; arrays of equal shape."""
        at = np.log(np.maximum(expected, 1e-12))
        row = np.interp(at, np.log(self.expected), np.arange(len(self.expected)))
        column = np.interp(part, _PARTS, np.arange(len(_PARTS)))
        top, left = row.astype(int), column.astype(int)
        below = np.minimum(top + 1, len(self.expected) - 1)
        right = np.minimum(left + 1, len(_PARTS) - 1)
        down, along = row - top, column - left
        high = (1 - along) * self.sizes[top, left] + along * self.sizes[top, right]
        low = (1 - along) * self.sizes[below, left] + along * self.sizes[below, right]
        return np.asarray((1 - down) * high + down * low)


@dataclass(frozen=True)
class Intermittent:
    """Zero or a sale: chance × size, each smoothed apart, with the shape of the week.

    Half-lives are chosen by segment on past origins; how often sales come at an expected number of
    them, and how large they are, is pooled from the same origins. Series that sell in most hours,
    or that are no counts, get the seasonal rule.
    """

    lookbacks: int = 10
    stride: int = 5  # days between the past origins; prime to the week

    def fit(self, task: Task) -> IntermittentFit | SeasonalFit:
        """Half-lives and pools from past origins."""
        rest = Seasonal().fit(task)
        counted = task.rows[task.lump[task.rows] > 0]
        if not len(counted):
            return rest
        teach = counted[:: -(-len(counted) // _SERIES)]
        day, first = task.clock.day, task.origins[0]
        least = min(2 * day * task.clock.week, max(first // 2, day))
        stride = self.stride if task.clock.week > 1 else 1
        starts = past_origins(task, least=least, stride=stride)[: self.lookbacks]
        most = max(_CELLS // max(len(starts) * task.horizon, 1), 50)
        teach = teach[:: -(-len(teach) // most)]

        def look(chunk: slice) -> list[tuple[Sold, Array]]:
            pasts = [past_of(task, teach[chunk], start) for start in starts]
            return [(sold_before(task, past), _truth(task, past)) for past in pasts]

        told = list(chain.from_iterable(in_chunks(look, len(teach), _CHUNK)))
        if not told:
            chosen = np.full(len(_SEGMENTS) + 1, len(HALF_LIVES) - 1)
            return IntermittentFit(chosen=chosen, pools=plain_pools(), rest=rest)
        chosen = _choose(told)
        return IntermittentFit(chosen=chosen, pools=_pool(told, chosen), rest=rest)


@dataclass(frozen=True, kw_only=True)
class IntermittentFit:
    """Half-lives by segment and pooled chances and sizes."""

    chosen: Array  # int [S] place in HALF_LIVES
    pools: Pools
    rest: SeasonalFit  # for the series that are not rare

    def predict(self, task: Task, origin: int) -> Prediction:
        """Chance × size for rare series, the seasonal rule for the others."""
        found = self.rest.predict(task, origin)
        place = np.flatnonzero(task.lump[task.rows] > 0)

        def fill(chunk: slice) -> None:
            mine = place[chunk]
            sold = sold_before(task, past_of(task, task.rows[mine], origin))
            rate = _rate(sold, self.chosen)
            rare = rate < _DENSE
            mean, quantiles = self._spread(sold, rate, task.levels)
            found.mean[mine[rare]] = mean[rare]
            found.quantiles[mine[rare]] = quantiles[rare]

        in_chunks(fill, len(place), _CHUNK)
        return found

    def _spread(self, sold: Sold, rate: Array, levels: Array) -> tuple[Array, Array]:
        """Mean [n, H] and quantiles [n, H, Q] in whole units."""
        expected = rate[:, None] * sold.shape
        chance = self.pools.chance(expected)
        width = deviation(sold, self.pools.variance)
        mean = chance * self.pools.mean_size(expected) * np.exp(sold.size)[:, None]
        above = levels - (1 - chance[..., None])
        part = np.clip(above / np.maximum(chance[..., None], 1e-12), 0.0, 1.0)
        wide = np.broadcast_to(expected[..., None], part.shape)
        logs = self.pools.size_at(wide, part) * width[:, None, None] + sold.size[:, None, None]
        units = np.exp(np.minimum(logs, 30.0))
        return mean, np.where(above > 0, np.maximum(np.rint(units), 1.0), 0.0)


def sold_before(task: Task, past: Past) -> Sold:
    """Rates by half-life and usual size of the sales before the origin.

    A rate is Σ w · sale / Σ w · exposure, where the weight w halves every half-life and the
    exposure is the shape of the week × effects; sales saturate in hours that nearly always see one,
    which is turned back. A fast rate is the mean of a gamma posterior around the slow one.
    """
    clock, rows = task.clock, past.rows
    whole = (past.origin - past.first) // clock.day
    buckets = np.arange(past.origin - whole * clock.day, past.origin)
    y = task.told(rows, past.origin - len(buckets), past.origin)
    since = task.level_start[rows]
    since = np.where(past.origin - since >= _SHIFTED * clock.day, since, 0)
    seen = np.isfinite(y) & (buckets[None, :] >= since[:, None])
    sale = seen & (np.nan_to_num(y) > 0)
    shape = task.effects.shape[:, clock.weekday[buckets], clock.slot[buckets]]
    exposure = shape.astype(np.float32)[task.category[rows]] * seen
    exposure *= task.effects.factor(rows, clock.date[buckets], buckets)
    age = np.arange(whole)[::-1]
    weight = 0.5 ** (age[:, None] / np.asarray(HALF_LIVES))
    days = (len(rows), whole, clock.day)
    count = np.einsum("nd,dk->nk", sale.reshape(days).sum(axis=2), weight)
    chances = np.einsum("nd,dk->nk", exposure.reshape(days).sum(axis=2), weight)
    slow = count[:, -1:] / np.maximum(chances[:, -1:], 1e-9)
    share = slow * (count + _PRIOR) / np.maximum(slow * chances + _PRIOR, 1e-9)
    ones = replace(past, level=np.ones(len(rows)))
    recency = np.repeat(0.5 ** (age / _SIZE_HALF_LIFE), clock.day) * sale
    logs = np.log(np.where(sale, y, 1.0))
    prior = np.log(np.maximum(task.lump[rows], 1e-9))
    sales = recency.sum(axis=1)
    size = ((recency * logs).sum(axis=1) + prior) / (sales + 1.0)
    square = (recency * (logs - size[:, None]) ** 2).sum(axis=1)
    return Sold(
        rates=_unsaturated(
            share, task.effects.shape.reshape(len(task.effects.shape), -1), task.category[rows]
        ),
        size=size,
        square=square,
        sales=sales,
        shape=ordinary(task, ones).astype(np.float32),
    )


def _unsaturated(share: Array, shape: Array, category: Array) -> Array:
    """Rates r whose mean of 1 − exp(−r · shape) over the week is `share` [n, G]."""
    grid = np.concatenate([[0.0], np.geomspace(1e-4, 20.0, 60)])
    found = np.empty_like(share)
    for c in np.unique(category):
        mine = category == c
        hit = -np.expm1(-grid[:, None] * shape[c]).mean(axis=1)
        found[mine] = np.interp(share[mine], hit, grid)
    return found


def deviation(sold: Sold, variance: float) -> Array:
    """[n] standard deviation of the logarithm of a sale's units, shrunk to the usual `variance`."""
    return np.asarray(np.sqrt((sold.square + _VAGUE * variance) / (sold.sales + _VAGUE)))


def _truth(task: Task, past: Past) -> Array:
    return task.y[past.rows, past.origin : past.origin + task.horizon]


def _segment(sold: Sold) -> Array:
    return np.searchsorted(np.asarray(_SEGMENTS), sold.rates[:, -1], side="right")


def _rate(sold: Sold, chosen: Array) -> Array:
    """[n] sales a mean bucket, at the half-life of each series' segment."""
    return np.asarray(sold.rates[np.arange(len(sold.rates)), chosen[_segment(sold)]])


def _choose(told: list[tuple[Sold, Array]]) -> Array:
    """int [S] half-life of each segment with the largest likelihood of sale or none."""
    loss = np.zeros((len(_SEGMENTS) + 1, len(HALF_LIVES)))
    for sold, y in told:
        segment = _segment(sold)
        seen, sale = np.isfinite(y), np.nan_to_num(y) > 0
        for g in range(len(HALF_LIVES)):
            expected = np.maximum(sold.rates[:, g, None] * sold.shape, 1e-6)
            surprise = np.where(sale, -np.log(-np.expm1(-expected)), expected)
            each = np.where(seen, surprise, 0).sum(axis=1)
            loss[:, g] += np.bincount(segment, weights=each, minlength=len(loss))
    return np.asarray(loss.argmin(axis=1))


def _pool(told: list[tuple[Sold, Array]], chosen: Array) -> Pools:
    """Chances and sizes by the expected number of sales, neighbours joined to have enough."""
    variance = _variance(told)
    parts: list[tuple[Array, ...]] = []
    for sold, y in told:
        rate, width = _rate(sold, chosen), deviation(sold, variance)
        expected = rate[:, None] * sold.shape
        keep = np.isfinite(y) & (expected > 1e-6) & (rate < _DENSE)[:, None]
        logs = np.log(np.maximum(y, 0.5)) - sold.size[:, None]
        usual = np.broadcast_to(np.exp(sold.size)[:, None], y.shape)
        units = np.minimum(y, _HUGE * usual)
        parts.append((expected[keep], (logs / width[:, None])[keep], units[keep], usual[keep]))
    every: list[Array] = [np.concatenate(each) for each in zip(*parts, strict=True)]
    order = np.argsort(every[0], kind="stable")
    expected, logs, units, usual = (each[order] for each in every)
    before = np.concatenate([[0], np.cumsum(units > 0)])
    likely = -np.expm1(-expected)
    came, due = before[-1], likely.sum()
    few = (came + _SALES) / (due + _SALES) * due / max(came, 1)  # all that came may be by chance
    found, start = [], 0
    for stop in [*np.searchsorted(expected, _CHANCES), len(expected)]:
        if before[stop] - before[start] < _SALES:
            continue
        some, sale = expected[start:stop], units[start:stop] > 0
        ratio = few * sale.sum() / likely[start:stop].sum()
        sizes = np.quantile(logs[start:stop][sale], _PARTS)
        mean = units[start:stop][sale].sum() / usual[start:stop][sale].sum()
        found.append((some.mean(), np.clip(ratio, 0.3, 2.0), sizes, mean))
        start = stop
    if not found:
        return plain_pools()
    return Pools(
        expected=np.array([pool[0] for pool in found]),
        ratio=np.array([pool[1] for pool in found]),
        sizes=np.stack([pool[2] for pool in found]),
        mean=np.array([pool[3] for pool in found]),
        variance=variance,
    )


def _variance(told: list[tuple[Sold, Array]]) -> float:
    """Usual variance of the logarithms of units within a series; above 0."""
    square = sum(float(sold.square.sum()) for sold, _ in told)
    return square / max(sum(float(sold.sales.sum()) for sold, _ in told), 1e-9) + 1e-4


def plain_pools() -> Pools:
    """Sales come as a Poisson process, all of usual size: before there is a past to learn from."""
    one = np.ones(1)
    return Pools(expected=one, ratio=one, sizes=np.zeros((1, len(_PARTS))), mean=one, variance=1e-4)
