"""How members are weighed: by segment of series, on held-out origins, by their CRPS."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from forecast.calibrate import Calibration, calibrate, neutral
from forecast.category_levels import learn_category_levels
from forecast.closed import closed, emptied
from forecast.demand import Array, mean_units
from forecast.effects import learn_effects
from forecast.features import Task
from forecast.metrics import crps, mase_scale
from forecast.models import Model, Prediction
from forecast.models.chunks import in_chunks
from forecast.paths import lasting_scale
from forecast.shifts import level_starts

_RATES = (0.05, 0.5, 5.0)  # orders a bucket that part the segments
_DENSE = 2  # first segment whose quantiles are calibrated; pools of rare counts are as they are
_MOST_ROWS = 1_500  # series in the hold-out
_EFFORT = 0.6  # share of the training rows that members may use in the hold-out
_CELLS = 40_000  # buckets scored for a segment and part of the horizon
_FEWEST_ROWS = 10  # held-out rows with which a segment has weights of its own
_SHOWN = 0.005  # of the weights: a member with less isn't told
_STEPS = 20  # of the greedy search: weights are whole twentieths, before the belief is mixed in
_BELIEF = 600  # held-out rows that weigh as the belief in learners does, among many series
_MANY = 50  # series; with fewer there is no search
_DOUBTED = 0.05  # belief in the others there, against 1
_POWER = 6  # of the held-out error, by which it is divided
_EXACT = 1e-9  # CRPS over size below which members are alike
FEW = 5  # series; with fewer there is time for slow members, too
_ORIGINS, _FEWEST = 30, 3  # held out with fewer than `_MANY` series, and with more
_FIRST = {FEW: 10, _MANY: 6}  # of them that may reach back to the half of a history
_FAITH = 30  # that in all members alike, where no learner is among them
# Gain from history that a hold-out takes from them:
_LEARNERS = ("lightgbm", "lightgbm_daily", "network")
_RARE, _COUNTS = "intermittent", "seasonal"  # believed beside them, in orders of a segment


@dataclass(frozen=True, kw_only=True)
class Blend:
    """Weights of the members by segment and part of the horizon, and how the result is calibrated.

    With no hold-out the weights are the belief alone.
    """

    members: tuple[str, ...]
    weights: Array  # float [S, P, M] rows sum to 1
    calibration: Calibration
    slips: tuple[str, ...] = ()  # in words, fits of the hold-out that hung or failed
    lasting: float = 1.0  # errors of levels that last, against the usual, see `paths`

    def combine(self, predictions: list[Prediction], segment: Array, levels: Array) -> Prediction:
        """Average the members' quantiles; calibrate those of series that are no rare counts."""
        weight = self.weights[segment][:, self.calibration.part].astype(np.float32)
        quantiles = sum(weight[:, :, k, None] * p.quantiles for k, p in enumerate(predictions))
        mean = sum(weight[:, :, k] * p.mean for k, p in enumerate(predictions))
        moved = self.calibration.apply(np.asarray(quantiles), levels)
        dense = (segment >= _DENSE)[:, None, None]
        return Prediction(
            mean=np.asarray(mean), quantiles=np.maximum(np.where(dense, moved, quantiles), 0.0)
        )

    def label(self, segment: int) -> str:
        """Members with weight, heaviest first, and what slipped, as told to people."""
        weight = self.weights[segment][self.calibration.part].mean(axis=0)
        order = np.argsort(-weight, kind="stable")
        told = [f"{self.members[k]}:{weight[k]:.2f}" for k in order if weight[k] >= _SHOWN]
        return "; ".join(["+".join(told), *self.slips])


def segments(task: Task) -> Array:
    """int [N] by the usual number of orders a bucket; the last for what is no count of orders."""
    recent = task.y[:, -4 * task.clock.day * task.clock.week :]
    rate = np.where(
        task.lump > 0, mean_units(recent) / np.where(task.lump > 0, task.lump, 1), np.inf
    )
    return np.searchsorted(np.asarray(_RATES), rate, side="right")


def holdout(task: Task) -> Task | None:
    """The task from earlier origins and some of its series; None when the past is too short.

    Its effects, present levels and categories' levels are learned before the first of these
    origins: with those that have seen the days to come, members would look better than they are.
    Cleaning, usual orders and borrowed pasts stay those of the whole history.
    """
    origins = _origins(task)
    if not origins:
        return None
    clock, first = task.clock, origins[0]
    rows = task.rows
    if len(rows) > _MOST_ROWS:
        by_size = rows[np.argsort(-np.nansum(task.y[rows], axis=1), kind="stable")]
        rows = np.sort(by_size[:: -(-len(rows) // _MOST_ROWS)])
    before = task.y[:, :first]
    effects = learn_effects(
        before,
        clock=clock,
        days=task.days,
        events=task.events,
        category=task.category,
        lump=task.lump,
    )
    levels = learn_category_levels(
        task.y,
        clock=clock,
        effects=effects,
        category=task.category,
        lump=task.lump,
        first=first,
        horizon=task.horizon,
    )
    return replace(
        task,
        origins=tuple(origins),
        rows=rows,
        effort=_EFFORT,
        effects=effects,
        category_levels=levels,
        level_start=level_starts(effects.calm(before), clock, calendar=effects.calendar),
    )


def _origins(task: Task) -> list[int]:
    """Earlier origins, ascending; none when the past is too short.

    Products of one market share their days: a few in a row, which may have been alike, tell as much
    of six products as of one.
    """
    n, length = task.y.shape
    day, week = task.clock.day, task.clock.week
    days = -(-task.horizon // day)
    stride = max(days // 3 if n < _MANY else days, 1) * day
    if n >= _MANY and week > 1 and stride % (7 * day) == 0:
        stride += day
    least = min(max(4 * task.horizon, 3 * day * week, length // 2), length - task.horizon)
    wanted = _ORIGINS if n < _MANY else _FEWEST
    latest = [length - task.horizon - k * stride for k in range(wanted)]
    reach = max(least, 2 * length // 3, 5 * day * week)
    first = next((most for size, most in _FIRST.items() if n < size), _FEWEST)
    origins = sorted(o for k, o in enumerate(latest) if o >= (least if k < first else reach))
    return origins if origins and origins[0] >= max(2 * day, task.horizon) else []


def learn(task: Task, models: dict[str, Model]) -> Blend:
    """Weights and calibration from the hold-out."""
    names = tuple(models)
    part = task.part
    belief = np.stack([believed(names, beside) for beside in _beside(task)])
    weights = np.repeat(belief[:, None], int(part.max()) + 1, axis=1)
    calm = neutral(part, task.levels)
    past = holdout(task)
    if past is None:
        return Blend(members=names, weights=weights, calibration=calm)
    told, means, slips = [], [], []
    idle = [closed(past, origin) for origin in past.origins]
    for name, model in models.items():
        fitted = model.fit(past)
        found = [
            emptied(fitted.predict(past, origin), times, past.levels)
            for origin, times in zip(past.origins, idle, strict=True)
        ]
        told.append(np.concatenate([each.quantiles for each in found]))
        means.append(np.concatenate([each.mean for each in found]))
        reasons = Counter(reason for each in found for reason in each.fallbacks.values())
        slips += [f"{name} {why} in the hold-out ({n} fits)" for why, n in sorted(reasons.items())]
    members = np.stack(told)
    actual = np.concatenate([past.y[past.rows, o : o + past.horizon] for o in past.origins])
    segment = np.tile(segments(past)[past.rows], len(past.origins))
    if len(names) > 1:
        trust = _BELIEF if _learners(names) else _FAITH
        weights = _weigh_all(past, actual, members, segment, (part, weights), trust)
    dense = segment >= _DENSE
    mean = np.einsum("shm,msh->sh", weights[segment][:, part], np.stack(means))
    blend = Blend(
        members=names,
        weights=weights,
        calibration=calm,
        slips=tuple(slips),
        lasting=_lasting(past, actual, mean),
    )
    if not dense.any():
        return blend
    mixed = np.einsum("shm,mshq->shq", weights[segment[dense]][:, part], members[:, dense])
    age = np.repeat(np.arange(len(past.origins))[::-1], len(past.rows))[dense]
    awake = np.where(np.concatenate(idle)[dense] > 0, np.nan, actual[dense])
    learned = calibrate(awake, mixed, task.levels, part=part, age=age)
    return replace(blend, calibration=learned)


def _lasting(past: Task, actual: Array, mean: Array) -> float:
    """`Blend.lasting`, by the days of categories that were held out."""
    rows = np.tile(past.rows, len(past.origins))
    return lasting_scale(
        actual,
        mean,
        category=past.category[rows],
        origin=np.repeat(np.arange(len(past.origins)), len(past.rows)),
        day=np.arange(past.horizon) // past.clock.day,
    )


def _weigh_all(
    past: Task,
    actual: Array,
    members: Array,
    segment: Array,
    believed: tuple[Array, Array],
    trust: float,
) -> Array:
    """[S, P, M] weights of each segment and part; from all rows where a segment has too few."""
    part, belief = believed
    size = mase_scale(past.y[past.rows, : past.origins[0]], past.clock.day)
    size = np.tile(size, len(past.origins))
    n_segments, n_parts, _ = belief.shape

    def some(one: slice) -> Array:
        s, p = divmod(one.start, n_parts)
        rows, at = np.flatnonzero(segment == s), np.flatnonzero(part == p)
        rows = rows if len(rows) >= _FEWEST_ROWS else np.arange(len(segment))
        told, truth = members[:, rows[:, None], at], actual[rows[:, None], at]
        if len(past.rows) < _MANY:
            return borne_out(truth, told, past.levels, size=size[rows], belief=belief[s, p])
        return weigh(truth, told, past.levels, size=size[rows], belief=belief[s, p], trust=trust)

    return np.stack(in_chunks(some, n_segments * n_parts, 1)).reshape(belief.shape)


def _beside(task: Task) -> list[str]:
    """Name of the member that is believed beside the learners, in each segment."""
    counts = segments(task)[task.lump > 0] == len(_RATES)
    last = _COUNTS if 2 * counts.sum() > (segments(task) == len(_RATES)).sum() else ""
    return [_RARE] * _DENSE + [_COUNTS] * (len(_RATES) - _DENSE) + [last]


def believed(names: tuple[str, ...], beside: str = "") -> Array:
    """[M] weights before anything is held out: those that learn from all series, else everyone.

    `beside` is the name of one more that is believed if any of those is.
    """
    learners = _learners(names)
    chosen = np.array([name in (*learners, beside) or not learners for name in names], dtype=float)
    return np.asarray(chosen / chosen.sum())


def _learners(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in _LEARNERS]


def borne_out(actual: Array, members: Array, levels: Array, *, size: Array, belief: Array) -> Array:
    """[M] the belief over a power of each member's CRPS (after Bates & Granger 1969).

    A month of few series is searched in vain: what is best in it is best by chance. Members that
    aren't believed count a little. See `weigh` for the parameters.
    """
    row, column = _usable(actual, size)
    if not len(row):
        return belief
    truth, told = actual[row, column], members[:, row, column].astype(np.float64)
    error = np.array([_loss(truth, m, levels, size[row]) for m in told])
    error = np.maximum(error, _EXACT)
    found = np.maximum(belief, _DOUBTED * belief.max()) * (error / error.min()) ** -_POWER
    return np.asarray(found / found.sum())


def weigh(
    actual: Array,
    members: Array,
    levels: Array,
    *,
    size: Array,
    belief: Array,
    trust: float,
) -> Array:
    """[M] convex weights with little CRPS, each row scaled by its `size`.

    Members are added one by one, the one that helps most each time, with replacement (Caruana et
    al. 2004), to a start that holds the belief: much of it where little was held out.

    Parameters
    ----------
    actual, members
        [S, H] and [M, S, H, Q]; NaN = not observed.
    size
        [S] error of the naive forecast, NaN = the row doesn't count.
    belief
        [M] weights that hold-out rows must outweigh.
    trust
        How many rows weigh as much as the belief.
    """
    row, column = _usable(actual, size)
    step = max(len(row) // _CELLS, 1)
    row, column = row[::step], column[::step]
    if not len(row):
        return belief
    truth, some = actual[row, column], members[:, row, column].astype(np.float64)
    count = belief * _STEPS * trust / len(actual)
    total = np.tensordot(count, some, axes=1)
    for _ in range(_STEPS):
        whole = count.sum() + 1
        losses = [_loss(truth, (total + m) / whole, levels, size[row]) for m in some]
        best = int(np.argmin(losses))
        count[best] += 1
        total = total + some[best]
    return np.asarray(count / count.sum())


def _usable(actual: Array, size: Array) -> tuple[Array, ...]:
    """Rows and columns of the cells that were observed and have a size."""
    return np.nonzero(np.isfinite(actual) & np.isfinite(size)[:, None])


def _loss(truth: Array, quantiles: Array, levels: Array, size: Array) -> float:
    """Mean CRPS of cells [K], [K, Q], each over its size."""
    return float((crps(truth, quantiles, levels) / size).mean())
