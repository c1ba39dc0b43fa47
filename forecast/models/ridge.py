"""Ridge regression on the same phase of past days and weeks, each series with its own weights."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from forecast.demand import Array
from forecast.features import Past, Task, apart, change, mean_seen, past_of, past_origins, same_time
from forecast.models.backcasts import past_errors, predicted
from forecast.models.chunks import in_chunks
from forecast.models.model import Prediction
from forecast.models.residuals import Counts
from forecast.models.seasonal import Seasonal, SeasonalFit
from forecast.shapes import ordinary
from forecast.sparse import settled

_SHARED = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # penalties of all series' weights to choose from, and
_OWN = (2e-4, 2e-3, 2e-2, 2e-1, 2.0, 20.0, 200.0)  # of a series' own, against the candidates' size
_BLIND = (10.0, 20.0)  # those where there is nothing to choose by
_JUDGES = 100  # series, about, by whose past origins they are chosen
_LEAST = 1e-6  # share of a series' squares that is left as an error at least
_CHUNK = 500  # series at a time, to bound memory
_CELLS = 8_000_000  # series × past origins × buckets to learn from
_BLOCKS = 5  # of past origins, each left out once
_ORIGINS = (6, 400)  # past origins: the fewest, the most
_CLIP = 50.0  # standardised errors beyond are as bad as this
_FAR = 3.0  # usual changes from the nearest candidate at which a bucket weighs half
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
    to the weights of all series together, and these to the rule alone (ridge regression, Hoerl &
    Kennard 1970).
    """

    def fit(self, task: Task) -> RidgeFit | SeasonalFit:
        """Weights, and the errors that they made from past origins."""
        starts = taught_by(task)
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


def taught_by(task: Task) -> list[int]:
    """Past origins that the weights are learned from, latest first."""
    clock = task.clock
    least = clock.day * (clock.week + 2 if clock.week > 1 else 2)
    most = int(np.clip(_CELLS // (len(task.y) * task.horizon), *_ORIGINS))
    return past_origins(task, least=least)[:most]


_CROSSED: WeakKeyDictionary[Task, Crossed] = WeakKeyDictionary()


def crossed_weights(task: Task) -> Crossed:
    """Weights of the task's rows, and those that each block of past origins was kept from.

    Kept as long as the task: this member and those who correct it ask for them.
    """
    if task not in _CROSSED:
        sums = _summed(task)
        _CROSSED[task] = _learned(task, sums, _chosen(*sums))
    return _CROSSED[task]


def _blocks(task: Task) -> list[Array]:
    """Past origins, parted into blocks of neighbours."""
    starts = taught_by(task)
    return np.array_split(np.asarray(starts), min(_BLOCKS, len(starts)))


def _summed(task: Task) -> list[Array]:
    """`_moments` of the task's rows by block of past origins, [B, P, R, ...]."""
    each = _blocks(task)

    def look(chunk: slice) -> list[Array]:
        some = [_sums(task, task.rows[chunk], block) for block in each]
        return [np.stack(parts) for parts in zip(*some, strict=True)]

    sums = in_chunks(look, len(task.rows), _CHUNK)
    return [np.concatenate(parts, axis=2) for parts in zip(*sums, strict=True)]


def _learned(task: Task, sums: list[Array], penalties: tuple[float, float]) -> Crossed:
    """Weights from `_summed`."""
    gram, cross, _ = sums
    whole = _solve(gram.sum(axis=0), cross.sum(axis=0), penalties)
    if len(gram) < 2:
        return Crossed(whole=_placed(task, whole), blocks=(), without=())
    return Crossed(
        whole=_placed(task, whole),
        blocks=tuple((int(block[-1]), int(block[0])) for block in _blocks(task)),
        without=tuple(_placed(task, own) for own in _left_out(gram, cross, penalties)),
    )


def _placed(task: Task, own: Array) -> Weights:
    """Weights of the task's rows [P, R, K] among those of all series."""
    placed = np.full((own.shape[0], len(task.y), own.shape[2]), np.nan)
    placed[:, task.rows] = own
    return Weights(part=task.part, own=placed)


def _sums(task: Task, rows: Array, starts: Array) -> list[Array]:
    """`_moments` of some past origins together."""
    some = [_moments(task, past_of(task, rows, int(start)), task.part) for start in starts]
    return [np.sum(each, axis=0) for each in zip(*some, strict=True)]


def _moments(task: Task, past: Past, part: Array) -> tuple[Array, Array, Array]:
    """Weighted sums of squares [P, n, K, K], of products with the truth [P, n, K], of its squares.

    A bucket far from all that the past suggests weighs less, except where orders are so few that it
    is usual: a blizzard is, a Saturday, which is like the last one, is not.
    """
    found, size = candidates(task, past)
    actual = task.y[past.rows, past.origin : past.origin + task.horizon] / past.effect
    told = (actual - past.level[:, None]) / size[:, None]
    seen = np.isfinite(told)
    lump = task.lump[past.rows]
    rare = (past.level < _DENSE * lump)[:, None]
    told = np.where(seen, told, 0.0).astype(np.float32)
    away = np.abs(told[..., None] - found[..., :-_DRIFTS]).min(axis=-1)
    weight = np.where(seen, np.where(rare, 1.0, 1 / (1 + away / _FAR)), 0.0).astype(np.float32)
    parts = [part == p for p in range(int(part.max()) + 1)]
    found, told = found.astype(np.float64), told.astype(np.float64)
    weighted = found * weight[..., None]
    gram = [np.swapaxes(weighted[:, at], 1, 2) @ found[:, at] for at in parts]
    cross = [(np.swapaxes(weighted[:, at], 1, 2) @ told[:, at, None])[..., 0] for at in parts]
    square = [(weight[:, at] * told[:, at] ** 2).sum(axis=1) for at in parts]
    return np.stack(gram), np.stack(cross), np.stack(square)


def _left_out(gram: Array, cross: Array, penalties: tuple[float, float]) -> list[Array]:
    """[P, N, K] weights learned without each block, from sums by block [B, P, N, K, K]."""
    rest = [np.arange(len(gram)) != k for k in range(len(gram))]
    return [_solve(gram[these].sum(axis=0), cross[these].sum(axis=0), penalties) for these in rest]


def _chosen(gram: Array, cross: Array, square: Array) -> tuple[float, float]:
    """Penalties whose weights err least in the blocks that they were learned without.

    Of each series the logarithm of its squared errors counts: noisy ones would drown smooth ones.
    """
    if len(gram) < 2:
        return _BLIND
    some = slice(None, None, max(gram.shape[2] // _JUDGES, 1))
    gram, cross, square = gram[:, :, some], cross[:, :, some], square[:, :, some]
    whole = square.sum(axis=0)

    def loss(penalties: tuple[float, float]) -> float:
        own = np.stack(_left_out(gram, cross, penalties))
        told = np.einsum("bpnk,bpnkj,bpnj->pn", own, gram, own)
        left = whole + told - 2 * np.einsum("bpnk,bpnk->pn", own, cross)
        return round(float(np.log(np.maximum(left, _LEAST * whole + 1e-12)).sum()), 6)

    return min(itertools.product(_SHARED, _OWN), key=loss)


def _solve(gram: Array, cross: Array, penalties: tuple[float, float]) -> Array:
    """[P, N, K, K], [P, N, K] -> [P, N, K] each series' weights, shrunk to everyone's.

    Those are shrunk to 1 for the seasonal rule and 0 for all others.
    """
    k, (shrunk, leant) = gram.shape[-1], penalties
    power = np.trace(gram, axis1=2, axis2=3) / k + 1e-9
    gram, cross = gram / power[..., None, None], cross / power[..., None]
    unit = np.eye(k)
    whole, rule = gram.mean(axis=1) + shrunk * unit, unit[-_DRIFTS - 1]
    shared = np.linalg.solve(whole, (cross.mean(axis=1) + shrunk * rule)[..., None])[..., 0]
    centred = cross + leant * shared[:, None, :]
    return settled(np.linalg.solve(gram + leant * unit, centred[..., None])[..., 0])
