"""Cross-fitting: with little history, learners are judged by windows that they did not see.

Errors of rows that a learner was trained on are smaller than those to come, and with little history
much smaller, so the quantiles that it learned lie too close together. Each of several learners does
without some windows; what they say of these tells how far their quantiles must be stretched (Vovk
2015, cross-conformal). Their mean is what is forecast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecast.demand import Array
from forecast.models.sample import LEAST, SIDES, Learned, Quantiles, Sample

_FOLDS = 5
_BLOCK = 7  # windows next to each other that the same learner does without
_WINDOWS, _ROWS = 250, 50_000  # with more, a learner is nearly as sure as it should be
_FEWEST = 60  # rows not seen that a stretch needs
_STRETCH = (0.3, 5.0)  # the least and the most
_WHOLE = 0.8  # power of a stretch: the mean of all learners errs less than the one it was told of
_COLUMNS = (0, 1, 3, 4)  # of `Quantiles.around` that hold SIDES


@dataclass(frozen=True, kw_only=True)
class Folds:
    """The mean of learners that have each seen a part."""

    learned: tuple[Learned, ...]
    stretch: Array  # [5] of the distances in `Quantiles.around`

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of x."""
        return self.learned[0].names

    def growth(self, x: Array) -> Array:
        """[S] expected units over those of the simpler rule."""
        logs = [np.log(each.growth(x)) for each in self.learned]
        return np.asarray(np.exp(np.mean(logs, axis=0)))

    def quantiles(self, x: Array) -> Quantiles | None:
        """Standardised errors, stretched; None where all had few orders."""
        told = [each.quantiles(x) for each in self.learned]
        found = [each for each in told if each is not None]
        if not found:
            return None
        linear, log, around = (np.mean(parts, axis=0) for parts in zip(*found, strict=True))
        return Quantiles(linear, log, np.sort(around * self.stretch, axis=1))

    def contributions(self, x: Array) -> Array:
        """[S, F + 1] what each column adds to the logarithm of `growth`, last the usual."""
        return np.asarray(np.mean([each.contributions(x) for each in self.learned], axis=0))


def cross_fit(
    learn: Callable[..., Learned], sample: Sample, *, horizon: int, seed: int
) -> tuple[Learned, Array | None]:
    """What `learn` makes of a sample; with few windows, the mean of several learners.

    Second the [S] `growth` in the rows of the sample, each told by a learner that did not see it;
    None where a single one has seen them all.
    """
    parts = _parts(sample, horizon)
    if not parts:
        return learn(sample, seed=seed), None
    learned, scores, growth = [], [], np.ones(len(sample.x))
    for seen, unseen in parts:
        some, others = learn(sample.rows(seen), seed=seed, brief=True), sample.rows(unseen)
        growth[unseen] = some.growth(others.x)
        scores.append(_scores(some, others))
        learned.append(some)
    stretch = np.ones(len(SIDES) + 1)
    for column, level, told in zip(_COLUMNS, SIDES, zip(*scores, strict=True), strict=True):
        score = np.concatenate(told)
        if len(score) >= _FEWEST:
            factor = np.quantile(score, max(level, 1 - level))
            stretch[column] = np.clip(factor, *_STRETCH) ** _WHOLE
    return Folds(learned=tuple(learned), stretch=stretch), growth


def _parts(sample: Sample, horizon: int) -> list[tuple[Array, Array]]:
    """Rows that each learner sees, and those that it is judged by; none where one sees all.

    Windows that overlap those that a learner does without, it does without too. A part in which
    nothing was sold teaches nothing.
    """
    starts, window = np.unique(sample.origin, return_inverse=True)
    if not 2 * _FOLDS <= len(starts) <= _WINDOWS or len(sample.x) > _ROWS:
        return []
    block = min(_BLOCK, -(-len(starts) // _FOLDS))
    fold = np.arange(len(starts)) // block % _FOLDS
    parts = []
    for k in range(int(fold.max()) + 1):
        away = np.abs(starts[:, None] - starts[fold == k]).min(axis=1)
        parts.append((np.flatnonzero((away >= horizon)[window]), np.flatnonzero(fold[window] == k)))
    sold = sample.actual > 0
    return parts if all(len(seen) >= LEAST and sold[seen].any() for seen, _ in parts) else []


def _scores(learned: Learned, sample: Sample) -> list[Array]:
    """For each of SIDES, errors over the distance that was told: above 1 = farther."""
    dense = np.flatnonzero(sample.dense)
    told = learned.quantiles(sample.x[dense])
    if told is None:
        return [np.zeros(0) for _ in SIDES]
    error = sample.error[dense] - told.linear
    found = []
    for distance in told.around[:, _COLUMNS].T:
        apart = np.abs(distance) > 1e-9
        found.append(error[apart] / distance[apart])
    return found
