"""Ridge regression on the same phase of past days and weeks, each series with its own weights."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from forecast.demand import Array
from forecast.effects import settled
from forecast.features import Past, Task, apart, change, mean_seen, past_of, same_time
from forecast.models.backcasts import past_errors, predicted
from forecast.models.chunks import in_chunks
from forecast.models.model import Prediction
from forecast.models.residuals import Counts
from forecast.models.seasonal import Seasonal, SeasonalFit
from forecast.shapes import ordinary

_PENALTY = 2e-4  # of a series' own weights, against the mean square of its candidates
_CHUNK = 500  # series at a time, to bound memory
_CELLS = 8_000_000  # series × past origins × buckets to learn from
_BLOCKS = 5  # of past origins, each left out once
_ORIGINS = (6, 400)  # past origins: the fewest, the most
_CLIP = 50.0  # standardised errors beyond are as bad as this
_FAR = 3.0  # usual changes from yesterday at which a bucket weighs half
_DRIFTS = 6  # candidates that are changes
_DENSE = 4.0  # orders a bucket from which errors are a continuum


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What each candidate counts, by day of the horizon and series."""

    part: Array  # int [H] day of the horizon, 0 … P − 1
    own: Array  # float [P, N, K]; NaN for series that the task did not ask for

    def expected(self, task: Task, past: Past) -> Array:
        """[n, H] weighted candidates in units, within what the candidates themselves allow."""
        found, size = candidates(task, past)
        level = past.level[:, None]
        value = np.einsum("nhk,hnk->nh", found, self.own[:, past.rows][self.part])
        low, high = found[..., :-_DRIFTS].min(axis=-1), found[..., :-_DRIFTS].max(axis=-1)
        wide = high - low + 1.0
        value = level + size[:, None] * np.clip(value, low - wide, high + wide)
        rule = level + size[:, None] * found[..., -_DRIFTS - 1]
        return np.asarray(np.maximum(value, 0.1 * np.maximum(rule, 0.0)) * past.effect)

    def drift(self, task: Task, past: Past) -> Array:
        """[n, H] ordinary units of `expected` that come from changes that may go on."""
        found, size = candidates(task, past)
        own = self.own[:, past.rows, -_DRIFTS:][self.part]
        return np.asarray(size[:, None] * np.einsum("nhk,hnk->nh", found[..., -_DRIFTS:], own))


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """Weights, and for each block of past origins those that were learned without it.

    Who learns from the errors of a rule must see such as it makes on days it did not learn from.
    """

    whole: Weights
    blocks: tuple[tuple[int, int], ...]  # first and last origin of each
    without: tuple[Weights, ...]

    def at(self, origin: int) -> Weights:
        """Weights that have not seen what followed the origin, as far as there are any."""
        for (first, last), weights in zip(self.blocks, self.without, strict=True):
            if first <= origin <= last:
                return weights
        return self.whole

    def expected(self, task: Task, past: Past) -> Array:
        """[n, H] units by the weights that have not seen them."""
        return self.at(past.origin).expected(task, past)


@dataclass(frozen=True)
class Ridge:
    """Weights on yesterday, recent days' mean, last week, recent weeks' mean and the seasonal rule.

    Fitted for each series and day of the horizon by penalised least squares on past origins, shrunk
    to the weights of all series together (ridge regression, Hoerl & Kennard 1970).
    """

    def fit(self, task: Task) -> RidgeFit | SeasonalFit:
        """Weights, and the errors that they made from past origins."""
        starts = past_origins(task)
        if not starts:
            return Seasonal().fit(task)
        found = crossed_weights(task)
        errors, counts = past_errors(
            task, starts, found.expected, usable=lambda _, error: np.clip(error, -_CLIP, _CLIP)
        )
        return RidgeFit(weights=found.whole, errors=errors, counts=counts)


@dataclass(frozen=True, kw_only=True)
class RidgeFit:
    """Weights of the candidates and their past errors."""

    weights: Weights
    errors: Array  # float [R, Q] quantiles of standardised errors
    counts: Counts

    def predict(self, task: Task, origin: int) -> Prediction:
        """Weighted candidates with past errors around them."""
        return predicted(task, origin, self.weights.expected, self.errors, self.counts)


def candidates(task: Task, past: Past) -> tuple[Array, Array]:
    """Forecasts to be weighed, float32 [n, H, K] as (units / effect − level) / size; size [n].

    The last `_DRIFTS` are changes that may go on; before them stands the seasonal rule, which also
    fills in what was not observed.
    """
    clock, ahead = task.clock, task.ahead(past.origin)
    size, level = change(task, past), past.level[:, None]
    rule = ordinary(task, past) / past.effect
    days = np.stack([past.at(same_time(clock, ahead, past.origin, k)) for k in range(1, 8)])
    columns = [days[0], mean_seen(days[:3]), mean_seen(days)]
    if clock.week > 1:
        at = [same_time(clock, ahead, past.origin, k, weekly=True) for k in range(1, 5)]
        weeks = np.stack([past.at(each) for each in at])
        columns += [weeks[0], mean_seen(weeks)]
    columns.append(rule)
    scaled = [(np.where(np.isfinite(c), c, rule) - level) / size[:, None] for c in columns]
    scaled += [drift / size[:, None] for drift in _drifts(task, past)]
    return np.stack(scaled, axis=-1).astype(np.float32), size


def _drifts(task: Task, past: Past) -> list[Array]:
    """[n, H] each: units by which the last hours or day lie off earlier ones, fading or lasting."""
    clock = task.clock
    hours = clock.day // 8 or 1
    moves = []
    for length, days, fade in (
        (hours, 1, 0.25),
        (clock.day, 1, np.inf),
        (clock.day, clock.week, np.inf),
    ):
        recent = np.arange(max(past.origin - length, 0), past.origin)
        moves.append((past.at(recent) - past.at(clock.back(recent, days)), fade))
    off = apart(task, past)
    moves += [(off, np.inf), (off[:, -1:], 0.25), (off[:, -1:], np.inf)]
    ahead = np.arange(1, task.horizon + 1) / clock.day
    return [
        np.nan_to_num(mean_seen(move.T))[:, None] * np.exp(-ahead / fade) for move, fade in moves
    ]


def past_origins(task: Task) -> list[int]:
    """Origins at the first origin's time of day whose horizon had passed by then, latest first."""
    day, first = task.clock.day, task.origins[0]
    least = day * (task.clock.week + 2 if task.clock.week > 1 else 2)
    most = int(np.clip(_CELLS // (len(task.y) * task.horizon), *_ORIGINS))
    return list(range(first - task.horizon, least - 1, -day))[:most]


_CROSSED: WeakKeyDictionary[Task, Crossed] = WeakKeyDictionary()


def crossed_weights(task: Task) -> Crossed:
    """`crossed`, kept as long as the task: this member and those who correct it ask for it."""
    if task not in _CROSSED:
        _CROSSED[task] = crossed(task)
    return _CROSSED[task]


def crossed(task: Task, *, blocks: int = _BLOCKS) -> Crossed:
    """Weights of the task's rows, and those that each block of past origins was kept from."""
    starts = past_origins(task)
    each = np.array_split(np.asarray(starts), min(blocks, len(starts)))

    def look(chunk: slice) -> tuple[Array, Array]:
        some = [_sums(task, task.rows[chunk], block) for block in each]
        return np.stack([gram for gram, _ in some]), np.stack([cross for _, cross in some])

    sums = in_chunks(look, len(task.rows), _CHUNK)
    gram, cross = (np.concatenate(parts, axis=2) for parts in zip(*sums, strict=True))

    def weights(these: Array) -> Weights:
        own = _solve(gram[these].sum(axis=0), cross[these].sum(axis=0))
        placed = np.full((own.shape[0], len(task.y), own.shape[2]), np.nan)
        placed[:, task.rows] = own
        return Weights(part=task.part, own=placed)

    block = np.arange(len(each))
    whole = weights(block)
    if len(each) < 2:
        return Crossed(whole=whole, blocks=(), without=())
    return Crossed(
        whole=whole,
        blocks=tuple((int(some[-1]), int(some[0])) for some in each),
        without=tuple(weights(block[block != k]) for k in block),
    )


def _sums(task: Task, rows: Array, starts: Array) -> tuple[Array, Array]:
    """`_moments` of some past origins together."""
    some = [_moments(task, past_of(task, rows, int(start)), task.part) for start in starts]
    return np.sum([gram for gram, _ in some], axis=0), np.sum([cross for _, cross in some], axis=0)


def _moments(task: Task, past: Past, part: Array) -> tuple[Array, Array]:
    """Weighted sums of squares [P, n, K, K] and of products with the truth [P, n, K].

    A bucket far from yesterday's weighs less, except where orders are so few that it is usual.
    """
    found, size = candidates(task, past)
    actual = task.y[past.rows, past.origin : past.origin + task.horizon] / past.effect
    told = (actual - past.level[:, None]) / size[:, None]
    seen = np.isfinite(told)
    lump = task.lump[past.rows]
    rare = (past.level < _DENSE * lump)[:, None]
    weight = np.where(rare, 1.0, 1 / (1 + np.abs(np.where(seen, told, 0) - found[..., 0]) / _FAR))
    weight = np.where(seen, weight, 0.0).astype(np.float32)
    told = np.where(seen, told, 0.0).astype(np.float32)
    parts = [part == p for p in range(int(part.max()) + 1)]
    found, told = found.astype(np.float64), told.astype(np.float64)
    weighted = found * weight[..., None]
    gram = [np.swapaxes(weighted[:, at], 1, 2) @ found[:, at] for at in parts]
    cross = [(np.swapaxes(weighted[:, at], 1, 2) @ told[:, at, None])[..., 0] for at in parts]
    return np.stack(gram), np.stack(cross)


def _solve(gram: Array, cross: Array) -> Array:
    """[P, N, K, K], [P, N, K] -> [P, N, K] each series' weights, shrunk to everyone's."""
    k = gram.shape[-1]
    power = np.trace(gram, axis1=2, axis2=3) / k + 1e-9
    gram, cross = gram / power[..., None, None], cross / power[..., None]
    unit = np.eye(k)
    shared = np.linalg.solve(gram.mean(axis=1) + 1e-3 * unit, cross.mean(axis=1)[..., None])[..., 0]
    centred = cross + _PENALTY * shared[:, None, :]
    return settled(np.linalg.solve(gram + _PENALTY * unit, centred[..., None])[..., 0])
