"""Rows from which errors of a simpler forecast are learned, and what is learned from them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple, Protocol

import numpy as np

from forecast.demand import Array

SIDES = (0.05, 0.25, 0.75, 0.95)  # levels beside the median that are learned
CLIP = 30.0  # standardised errors beyond are as bad as this
LEAST = 500  # rows worth learning from
BRIEF = 2  # by which the training of one of several learners is divided
_FEW = 0.5  # orders a bucket below which quantiles come from pools of counts alone


@dataclass(frozen=True, kw_only=True)
class Sample:
    """S training rows.

    Learners are taught what came without what surprised a whole category: the rows of a day share
    it, and few surprises, each told by many rows, would be learned by heart.
    """

    names: tuple[str, ...]
    x: Array  # float32 [S, F]
    actual: Array  # [S] units
    alone: Array  # [S] units freed of the surprise that a whole category shared that day
    error: Array  # [S] (actual − expected) / spread
    linear: Array  # [S] (alone − expected) / spread
    log: Array  # [S] the same on a logarithmic scale
    expected: Array  # [S] units by the simpler rule
    lump: Array  # [S]
    level: Array  # [S]
    origin: Array  # int [S] bucket from which the row was forecast

    @classmethod
    def joined(cls, parts: list[Sample]) -> Sample:
        """All parts in one."""
        arrays = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _arrays()
        }
        return cls(names=parts[0].names, **arrays)

    def rows(self, chosen: Array) -> Sample:
        """Some of the rows."""
        arrays = {name: getattr(self, name)[chosen] for name in _arrays()}
        return Sample(names=self.names, **arrays)

    @property
    def dense(self) -> Array:
        """bool [S] rows whose quantiles can be learned; counts of few orders have pools."""
        rate = self.expected / np.maximum(self.lump, 1e-9)
        return np.asarray((self.lump == 0) | (rate > _FEW))

    @property
    def unit(self) -> Array:
        """[S] units of a usual order, of a usual bucket where the series is no count."""
        return np.where(self.lump > 0, self.lump, self.level)

    @property
    def usual(self) -> Array:
        """[S] `expected` in such units, above 0."""
        return np.maximum(self.expected / self.unit, 1e-6)

    @property
    def weight(self) -> Array:
        """[S] of a row for the mean: less where many orders have more noise."""
        return np.asarray(1 / (1 + 0.3 * self.usual))


def _arrays() -> list[str]:
    return [field.name for field in fields(Sample) if field.name != "names"]


class Quantiles(NamedTuple):
    """Standardised errors of S rows."""

    linear: Array  # [S] median
    log: Array  # [S] median on the logarithmic scale
    around: Array  # [S, 5] distances at SIDES and the median from the median, itself 0; ascending


class Learned(Protocol):
    """What a sample taught."""

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of x."""
        ...

    def growth(self, x: Array) -> Array:
        """[S] expected units over those of the simpler rule."""
        ...

    def quantiles(self, x: Array) -> Quantiles | None:
        """Standardised errors; None where all rows taught had few orders."""
        ...

    def contributions(self, x: Array) -> Array:
        """[S, F + 1] what each column adds to the logarithm of `growth`, last the usual."""
        ...


def around(low: Array, high: Array) -> Array:
    """[S, 5] distances, ascending, from [S, 2] distances on either side of the median."""
    middle = np.zeros((len(low), 1))
    sides = (np.minimum(low, 0), middle, np.maximum(high, 0))
    return np.sort(np.concatenate(sides, axis=1), axis=1)
