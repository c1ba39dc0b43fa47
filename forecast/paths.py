"""Sample paths: quantiles of single buckets joined as past residuals were joined."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from forecast.demand import Array
from forecast.features import Task

_CHUNK = 500
_LASTING = (0.07, 0.07, 0.1)  # relative errors of a level that last: everyone's, a category's, own
_BELIEF = 8.0  # days of a category, held out, that weigh as the belief in these sizes
_SCALES = (0.3, 1.5)  # of these sizes, the least and the most
_WILD = 9.0  # times the belief's square: what a missed day counts as at most
_LEAST_CLIMB = 0.1  # share of a climb between two levels that its mean has, and 1 less the most
_SURE = 0.3  # of a bucket's mean, the least spread that a lasting error is seen against


def sample_paths(
    task: Task,
    mean: Array,
    quantiles: Array,
    *,
    n_paths: int,
    rng: np.random.Generator,
    shape: float = 0.0,
    lasting: float = 1.0,
    sure: Array | None = None,
) -> Array:
    """float32 [K, N, H] joint draws whose marginals are the quantiles (Schaake shuffle).

    Each path copies the ranks of one past block of `horizon` buckets with the same local times, the
    same block for every product: residuals against the level before the block and the category's
    week. So dependence across hours and across products is that of the past (Clark et al. 2004).
    A forecast also misses levels for the whole horizon, all products' together, a category's and
    each product's own; residuals of the past don't show that, so the ranks are moved by it, by
    `lasting` times the usual sizes (`lasting_scale`); the own level of a product that is known by
    `sure` [N] orders only misses by 1 / √sure more.
    """
    horizon, n = task.horizon, len(task.rows)
    starts = _blocks(task, n_paths, rng)
    stand_in = _stand_ins(task, starts, rng)
    normal = ndtri((np.arange(n_paths) + 0.5) / n_paths)  # scores of the ranks
    missed = lasting * _missed_levels(task, normal, rng)
    if sure is not None:
        missed = missed + _doubts(normal, sure, rng)
    paths = np.empty((n_paths, n, horizon), dtype=np.float32)
    for first in range(0, n, _CHUNK):
        chunk = slice(first, first + _CHUNK)
        residuals = _residuals(task, task.rows[chunk], starts, rng)
        instead = np.take_along_axis(residuals, stand_in[:, None, :], axis=0)
        rank = _ranks(np.where(np.isfinite(residuals), residuals, instead), rng)
        lump = task.lump[task.rows[chunk]]
        clear = _clearness(mean[chunk], quantiles[chunk], task.levels, lump)
        score = normal.astype(np.float32)[rank.astype(np.intp)]
        rank = _places(score + clear * missed[:, chunk, None])
        u = (rank + rng.random(rank.shape, dtype=np.float32)) / n_paths
        paths[:, chunk] = inverse_cdf(u, mean[chunk], quantiles[chunk], task.levels, lump, shape)
    return paths


def _doubts(normal: Array, sure: Array, rng: np.random.Generator) -> Array:
    """float32 [K, N] relative errors of levels that stand on `sure` [N] orders."""
    drawn = rng.permuted(np.tile(normal[:, None], (1, len(sure))), axis=0)
    return np.asarray(drawn / np.sqrt(sure), dtype=np.float32)


def lasting_scale(
    actual: Array, mean: Array, *, category: Array, origin: Array, day: Array
) -> float:
    """How large errors of levels are that last, against the usual sizes, by days held out.

    A category's day misses its expected sum by what its buckets miss, each by itself, and by what
    they miss together. That is set against what the usual sizes would make it.

    Parameters
    ----------
    actual, mean
        [R, H] units that came (NaN = not observed), and that were expected.
    category, origin
        int [R] of each row.
    day
        int [H] of the horizon.
    """
    seen = np.isfinite(actual) & (mean > 0)
    group = np.unique(np.stack([origin, category], axis=1), axis=0, return_inverse=True)[1]
    ahead = int(day.max()) + 1
    group = group.ravel()[:, None] * ahead + day
    size = int(group.max()) + 1

    def sums(x: Array) -> Array:
        return np.bincount(group[seen], x[seen], minlength=size)

    total, error, apart = sums(mean), sums(actual - mean), sums((actual - mean) ** 2)
    cells, own = sums(mean**2), np.where(seen, mean, 0).sum(axis=1, keepdims=True)
    own = sums(mean * own) / ahead
    both, single = _LASTING[0] ** 2 + _LASTING[1] ** 2, _LASTING[2] ** 2
    usual = both * (total**2 - cells) + single * np.maximum(own - cells, 0)
    told = usual > 0
    ratio = np.minimum((error**2 - apart)[told] / usual[told], _WILD)
    days = len(np.unique(np.flatnonzero(told) // ahead))
    found = (_BELIEF + days * ratio.mean()) / (_BELIEF + days) if days else 1.0
    return float(np.sqrt(np.clip(found, _SCALES[0] ** 2, _SCALES[1] ** 2)))


def _missed_levels(task: Task, normal: Array, rng: np.random.Generator) -> Array:
    """float32 [K, n] relative error of each product's level that a path assumes, for its whole."""
    category = task.category[task.rows]
    missed = np.zeros((len(normal), len(task.rows)), dtype=np.float32)
    groups = np.zeros_like(category), category, np.arange(len(category))
    for size, group in zip(_LASTING, groups, strict=True):
        drawn = np.tile(normal[:, None], (1, int(group.max()) + 1))
        missed += size * rng.permuted(drawn, axis=0)[:, group].astype(np.float32)
    return missed


def _clearness(mean: Array, quantiles: Array, levels: Array, lump: Array) -> Array:
    """float32 [n, H] units that are expected, in standard deviations of them.

    So many standard deviations does a bucket move if the level is twice what was thought.
    """
    low, high = np.searchsorted(levels, [0.1, 0.9])
    spread = (quantiles[..., high] - quantiles[..., low]) / (
        ndtri(levels[high]) - ndtri(levels[low])
    )
    least = np.maximum(np.sqrt(lump[:, None] * np.maximum(mean, 0)), _SURE * np.abs(mean))
    found = np.divide(mean, np.maximum(spread, least), out=np.zeros(mean.shape), where=mean > 0)
    return np.asarray(found, dtype=np.float32)


def _blocks(task: Task, n_paths: int, rng: np.random.Generator) -> Array:
    """First buckets of the blocks, latest first; repeated at random when the past is short.

    All begin at the local time of the first bucket ahead, before and after a change of the clocks.
    """
    day, end = task.clock.day, task.origins[-1]
    days = np.arange(-(-task.horizon // day), end // day + 2)
    starts = task.clock.back(np.full(len(days), end), days)
    starts = starts[(starts >= day) & (starts + task.horizon <= end)][:n_paths]
    if not len(starts):
        return np.full(n_paths, -1)
    again = rng.choice(starts, size=n_paths - len(starts))
    return np.concatenate([starts, again])


def _stand_ins(task: Task, starts: Array, rng: np.random.Generator) -> Array:
    """[K, H] block that lends its residuals where a block was not observed.

    One at random for all products, the same for the whole block as far as it was observed itself:
    with a rank of its own for every product, an outage would look like an hour without shared fate.
    """
    blocks = rng.permuted(np.tile(np.arange(len(starts)), (len(starts), 1)), axis=1)
    if starts[0] < 0:
        return np.broadcast_to(blocks[:, :1], (len(starts), task.horizon))
    low = int(starts.min())
    seen = np.isfinite(task.y[task.rows, low : int(starts.max()) + task.horizon]).mean(axis=0)
    share = seen[starts[:, None] - low + np.arange(task.horizon)]
    usable = share >= 0.5 * share.max(axis=0)
    first = np.argmax(usable[blocks], axis=1)
    return np.asarray(np.take_along_axis(blocks, first, axis=1))


def _residuals(task: Task, rows: Array, starts: Array, rng: np.random.Generator) -> Array:
    """[K, n, H] units against level × shape × effects, a little noise added; NaN = not observed."""
    horizon, clock = task.horizon, task.clock
    found = rng.random((len(starts), len(rows), horizon), dtype=np.float32) * 1e-3
    if starts[0] < 0:
        return found
    low, high = int(starts.min()), int(starts.max()) + horizon
    week = clock.day * clock.week
    begin = max(low - week, 0)
    buckets = np.arange(begin, high)
    factor = task.effects.factor(rows, clock.date[buckets], buckets)
    shape = task.effects.shape[:, clock.weekday[buckets], clock.slot[buckets]]
    flat = task.y[rows, begin:high] / factor
    seen = np.isfinite(flat)
    total = np.pad(np.cumsum(np.where(seen, flat, 0), axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    count = np.pad(np.cumsum(seen, axis=1), ((0, 0), (1, 0)))
    flat /= np.maximum(shape, 1e-3)[task.category[rows]]
    for k, start in enumerate(starts):
        a = start - begin
        b = max(a - week, 0)
        level = (total[:, a] - total[:, b]) / np.maximum(count[:, a] - count[:, b], 1)
        found[k] += flat[:, a : a + horizon] / np.maximum(level, 1e-9)[:, None]
    return found


def _ranks(residuals: Array, rng: np.random.Generator) -> Array:
    """[K, ...] ranks 0 … K − 1 along the first axis; any of them where nothing was observed."""
    ranks = _places(residuals)
    known = np.isfinite(residuals)
    if known.all():
        return ranks
    among = rng.random(known.shape, dtype=np.float32) * np.maximum(known.sum(axis=0), 1) - 0.5
    return _places(np.where(known, ranks, among))


def _places(x: Array) -> Array:
    """float32 [K, ...] places in ascending order along the first axis, NaN last."""
    order = np.argsort(x, axis=0, kind="stable")
    places = np.empty(x.shape, dtype=np.float32)
    place = np.arange(len(x), dtype=np.float32).reshape(-1, 1, 1)
    np.put_along_axis(places, order, np.broadcast_to(place, x.shape), axis=0)
    return places


def inverse_cdf(
    u: Array, mean: Array, quantiles: Array, levels: Array, lump: Array, shape: float = 0.0
) -> Array:
    """[K, n, H] quantiles at u of distributions known at [Q] levels, [n, H, Q].

    A climb from level to level, bent as the mean asks for, within bounds (`_bend`); beyond the last
    a generalised Pareto tail of the given shape (0 = exponential), as heavy as the mean asks for,
    within bounds. Where even the last quantile is no order of `lump` units, single orders of that
    size arrive as often as the mean says.
    """
    edge = np.concatenate([[0.0], levels]).astype(np.float32)
    first = np.maximum(1.25 * quantiles[..., :1] - 0.25 * quantiles[..., 1:2], 0)
    first = np.where(quantiles[..., :1] < 0, quantiles[..., :1], first)
    knots = np.concatenate([np.minimum(first, quantiles[..., :1]), quantiles], axis=-1)
    place = np.clip(np.searchsorted(edge, u, side="right") - 1, 0, len(edge) - 2)
    part = np.minimum((u - edge[place]) / (edge[place + 1] - edge[place]), 1.0)
    moved = np.moveaxis(place, 0, -1)
    low = np.moveaxis(np.take_along_axis(knots, moved, axis=-1), -1, 0)
    high = np.moveaxis(np.take_along_axis(knots, moved + 1, axis=-1), -1, 0)
    excess, step = tail_excess(mean, knots, edge), _step(mean, knots, edge, lump)
    bend = _bend(mean, knots, edge, step, excess).astype(np.float32)
    ramp = low + part**bend * (high - low)
    value = _stepped(u, ramp, low, high, step)
    top = levels[-1]
    over = np.clip((1 - u) / (1 - top), 1e-4, 1.0)
    tail = -np.log(over) if abs(shape) < 1e-6 else (1 - shape) / shape * (over**-shape - 1)
    value = value + tail * excess
    size = np.where(lump > 0, lump, 0.0)[:, None]
    none = (quantiles[..., -1] < 0.5 * size) & (quantiles[..., 0] >= 0)
    if none.any():
        arrives = u > 1 - mean / np.where(size > 0, size, 1.0)
        value = np.where(none, np.where(arrives, size, 0.0), value)
    return np.asarray(value, dtype=np.float32)


def _step(mean: Array, knots: Array, edge: Array, lump: Array) -> Array:
    """[n, H] probability at which units jump from 0 to the first positive quantile.

    Between the last level that is 0 and the first that isn't, an order count steps and doesn't
    climb: where, follows from the mean. NaN for series that are no counts, or never 0.
    """
    zero = (knots <= 0).sum(axis=-1)
    usable = (zero > 0) & (zero < len(edge)) & (lump > 0)[:, None]
    right = np.clip(zero, 1, len(edge) - 1)
    parts = 0.5 * (knots[..., 1:] + knots[..., :-1]) * np.diff(edge)
    first = np.take_along_axis(parts, right[..., None] - 1, axis=-1)[..., 0]
    size = np.take_along_axis(knots, right[..., None], axis=-1)[..., 0]
    slope = (knots[..., -1] - knots[..., -2]) / np.log((1 - edge[-2]) / (1 - edge[-1]))
    beyond = (1 - edge[-1]) * (knots[..., -1] + slope)
    wanted = mean - (parts.sum(axis=-1) - first) - beyond
    at = edge[right] - wanted / np.where(size > 0, size, 1)
    return np.where(usable, np.clip(at, edge[right - 1], edge[right]), np.nan)


def _bend(mean: Array, knots: Array, edge: Array, step: Array, excess: Array) -> Array:
    """[n, H] exponent of the climb between two levels that makes the mean right; 1 = linear.

    Quantiles of counts are whole, so climbs in a straight line can miss the mean by a twentieth,
    and in every bucket to the same side. The mean of x^γ is 1 / (1 + γ).
    """
    width = np.diff(edge)
    climbs = np.diff(knots) * width
    stepped = np.isfinite(step)[..., None] & (knots[..., :-1] <= 0) & (knots[..., 1:] > 0)
    jump = knots[..., 1:] * np.maximum(edge[1:] - np.nan_to_num(step)[..., None], 0)
    below = np.where(stepped, jump, knots[..., :-1] * width).sum(axis=-1)
    climb = np.where(stepped, 0, climbs).sum(axis=-1)
    rest = mean - below - (1 - edge[-1]) * (knots[..., -1] + excess)
    share = np.divide(rest, climb, out=np.full(mean.shape, 0.5), where=climb > 0)
    return np.asarray(1 / np.clip(share, _LEAST_CLIMB, 1 - _LEAST_CLIMB) - 1)


def _stepped(u: Array, ramp: Array, low: Array, high: Array, step: Array) -> Array:
    climbs = (low <= 0) & (high > 0) & np.isfinite(step)
    return np.where(climbs, np.where(u >= step, high, 0.0), ramp)


def tail_excess(mean: Array, knots: Array, edge: Array) -> Array:
    """[n, H] mean excess over the last knot that makes the whole distribution's mean right."""
    inner = (0.5 * (knots[..., 1:] + knots[..., :-1]) * np.diff(edge)).sum(axis=-1)
    rest = 1 - float(edge[-1])
    wanted = (mean - inner) / rest - knots[..., -1]
    slope = (knots[..., -1] - knots[..., -2]) / np.log((1 - edge[-2]) / rest)
    return np.asarray(np.clip(wanted, 0.5 * slope, 3.0 * slope))
