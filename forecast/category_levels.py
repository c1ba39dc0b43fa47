"""Levels that the products of a category share, and how they are expected to go on.

The last hours of one product are mostly chance; those of its category tell where demand stands.
How much of that will last, and for how long, is learned from the panel's own past.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from forecast.calendars import Clock
from forecast.demand import Array
from forecast.effects import Effects
from forecast.sparse import settled

_WINDOWS = (1e6, 28.0, 7.0, 3.0, 1.0, 0.5, 0.125)  # days before an origin that tell of a level
_PRIOR = (1.0, 1.0, 0.0, 0.0, 0.0, 0.0)  # the last week's level stays: what nothing learned says
_EDGES = (0.25, 0.5, 1.0, 2.0)  # days ahead at which other weights begin
_ORDERS = 10.0  # orders that a window's level is shrunk to the longer window's by
_SURPRISE = 20.0  # orders that a surprise is shrunk to none by
_DAYS = 20.0  # of learning that count as much as the prior
_EVERY = 8  # past origins a day that teach
_FEWEST = 3  # days of them
_FIRST = 10  # days of history that the first has
_CELLS = 500_000  # categories × past origins that teach, at most
_CHUNK = 500  # series at a time, to bound memory
_MOST = 1.5  # logarithm of a factor


@dataclass(frozen=True, kw_only=True)
class CategoryLevels:
    """How much came in each of C categories against what its products' usual weeks bring."""

    day: int  # buckets in a day
    orders: Array  # float [C, T + 1] orders before each bucket, freed of effects
    usual: Array  # float [C, T + 1] those of usual levels, in the hours that were observed
    weights: Array  # float [B, K] of changes between windows, in each block of the horizon
    middle: Array  # float [B] middle of each block, in buckets ahead

    def mean(self, category: Array, start: Array, stop: int) -> Array:
        """[n] level from bucket `start` [n] to `stop`; 1 where nothing was observed."""
        came = self.orders[category, stop] - self.orders[category, start]
        usual = self.usual[category, stop] - self.usual[category, start]
        return _ratio(came, usual)

    def faded(self, category: Array, start: Array, stop: int, half_life: float) -> Array:
        """[n] mean level of whole days whose weight halves every `half_life` days."""
        ends = np.arange(stop, min(int(start.min()), stop - 1), -self.day)
        a, b = (np.maximum(at, start[:, None]) for at in (np.maximum(ends - self.day, 0), ends))
        weight = 0.5 ** (np.arange(len(ends)) / half_life)
        rows = category[:, None]
        came = np.einsum("nd,d->n", self.orders[rows, b] - self.orders[rows, a], weight)
        usual = np.einsum("nd,d->n", self.usual[rows, b] - self.usual[rows, a], weight)
        return _ratio(came, usual)

    def ahead(self, category: Array, origin: int, horizon: int) -> Array:
        """[n, H] level that is expected after the origin."""
        long, changes = _state(self.orders, self.usual, category, np.array([origin]), self.day)
        blocks = long + np.einsum("nk,bk->nb", changes[:, 0], self.weights)
        at = np.arange(horizon) + 0.5
        between = np.stack([np.interp(at, self.middle, unit) for unit in np.eye(len(self.middle))])
        level = np.einsum("nb,bh->nh", blocks, between)
        return np.asarray(np.exp(np.clip(level, -_MOST, _MOST)))

    def surprise(self, category: Array, origin: int, horizon: int) -> Array:
        """[n, H] orders of each day after the origin over those that were expected of it."""
        ahead = slice(origin, origin + horizon + 1)
        level = self.ahead(np.arange(len(self.orders)), origin, horizon)
        days = np.arange(0, horizon, self.day)
        came = np.add.reduceat(np.diff(self.orders[:, ahead]), days, axis=1)
        expected = np.add.reduceat(np.diff(self.usual[:, ahead]) * level, days, axis=1)
        factor = (came + _SURPRISE) / (expected + _SURPRISE)
        return np.asarray(np.repeat(factor, self.day, axis=1)[category, :horizon])


def learn_category_levels(
    y: Array,
    *,
    clock: Clock,
    effects: Effects,
    category: Array,
    lump: Array,
    first: int,
    horizon: int,
) -> CategoryLevels | None:
    """Levels of the whole panel, and weights from what came before bucket `first`.

    In each block of the horizon the logarithm of a category's level, against that of its whole
    past, is regressed on the steps from each window's level to the next shorter one's. The weights
    are those of all categories and are shrunk to `_PRIOR` (ridge regression).

    Parameters
    ----------
    y
        [N, T] units, NaN = not observed.
    category, lump
        [N] code; units of a usual order, 0 = the series is no count of orders and tells nothing.

    Returns
    -------
    None where no series counts orders.
    """
    if not (lump > 0).any():
        return None
    orders, usual = _totals(y, clock, effects, category, lump, first)
    day = clock.day
    inner = [round(each * day) for each in _EDGES]
    edges = np.unique([0, *(edge for edge in inner if 0 < edge < horizon), horizon])
    weights = np.tile(_PRIOR, (len(edges) - 1, 1))
    stride = max(day // _EVERY, 1)
    starts = np.arange(first - horizon, _FIRST * day - 1, -stride)
    if len(starts) * stride >= _FEWEST * day:
        teach = np.unique(category[lump > 0])
        teach = teach[:: -(-len(teach) * len(starts) // _CELLS)]
        long, changes = _state(orders, usual, teach, starts, day)
        for block, (a, b) in enumerate(pairwise(edges)):
            came = orders[teach][:, starts + b] - orders[teach][:, starts + a]
            expected = usual[teach][:, starts + b] - usual[teach][:, starts + a]
            level = (came + _ORDERS * np.exp(long)) / (expected + _ORDERS)
            trust = expected / (expected + _ORDERS) * stride / day
            weights[block] = _regress(changes, np.log(level) - long, trust)
    middle = (edges[:-1] + edges[1:]) / 2
    return CategoryLevels(day=day, orders=orders, usual=usual, weights=weights, middle=middle)


def _totals(
    y: Array, clock: Clock, effects: Effects, category: Array, lump: Array, first: int
) -> tuple[Array, Array]:
    """Running [C, T + 1] orders and usual orders; a product's usual is its mean before `first`."""
    length = y.shape[1]
    shape = (int(category.max()) + 1, length + 1)
    orders, usual = np.zeros(shape), np.zeros(shape)
    buckets = np.arange(length)
    week = effects.shape[:, clock.weekday[:length], clock.slot[:length]]
    counted = np.flatnonzero(lump > 0)
    for some in np.split(counted, np.arange(_CHUNK, len(counted), _CHUNK)):
        factor = effects.factor(some, clock.date[buckets], buckets)
        flat = y[some] / factor / lump[some, None]
        seen = np.isfinite(flat)
        flat = np.where(seen, flat, 0.0)
        size = flat[:, :first].sum(axis=1) / np.maximum(seen[:, :first].sum(axis=1), 1)
        np.add.at(orders[:, 1:], category[some], flat)
        np.add.at(usual[:, 1:], category[some], seen * size[:, None] * week[category[some]])
    return np.cumsum(orders, axis=1), np.cumsum(usual, axis=1)


def _ratio(came: Array, usual: Array) -> Array:
    return np.asarray(np.divide(came, usual, out=np.ones(len(came)), where=usual > 0))


def _state(
    orders: Array, usual: Array, category: Array, origins: Array, day: int
) -> tuple[Array, Array]:
    """Logarithm of the longest window's level [n, O], and steps to the shorter ones' [n, O, K]."""
    rows, logs, level = category[:, None], [], np.ones(1)
    for window in _WINDOWS:
        start = np.maximum(origins - max(round(window * day), 1), 0)
        came = orders[rows, origins] - orders[rows, start]
        expected = usual[rows, origins] - usual[rows, start]
        level = (came + _ORDERS * level) / (expected + _ORDERS)
        logs.append(np.log(level))
    found = np.stack(logs, axis=-1)
    return found[..., 0], np.diff(found, axis=-1)


def _regress(x: Array, y: Array, weight: Array) -> Array:
    """[K] weights by penalised least squares, shrunk to `_PRIOR`; weight in days of learning."""
    x, y, weight = x.reshape(-1, x.shape[-1]), y.ravel(), weight.ravel()
    prior = np.array(_PRIOR)
    gram = (x * weight[:, None]).T @ x
    power = np.trace(gram) / len(prior) / max(float(weight.sum()), 1e-9)
    left = (x * weight[:, None]).T @ (y - x @ prior)
    penalty = (_DAYS * power + 1e-9) * np.eye(len(prior))
    return settled(prior + np.linalg.solve(gram + penalty, left))
