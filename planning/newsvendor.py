"""How much to have ready for demand that isn't known: the newsvendor and its relatives.

`under` is what a unit too few costs, `over` what a unit too many does. Demand comes as samples
[..., K] along the last axis, equally likely unless their chances [..., K] (sum 1) are told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planning.problem import Array

HALVINGS = 40  # of the range of prices of money: a millionth of a millionth
ROUNDING = 1e-12  # of a ratio, so that k samples of n reach k / n


def critical_ratio(
    under: Array, over: Array, *, money: Array | float = 0, worst: float = 1
) -> Array:
    """Chance of meeting all demand that is worth paying for, within 0 and 1.

    Parameters
    ----------
    money
        What the money that a unit ties up costs beside `over`: the Lagrange multiplier of a budget
        times the unit's cost (Hadley & Whitin 1963).
    worst
        Share of the worst outcomes whose mean counts, 1 = all: conditional value at risk, where
        only profit forgone makes `under` (Gotoh & Takano 2007).
    """
    gain = np.maximum(np.asarray(under, dtype=float) - money, 0.0)
    total = np.asarray(under, dtype=float) + over
    zero = np.zeros(np.shape(gain * total))
    ratio: Array = np.divide(worst * gain, total, out=zero, where=total > 0)
    return ratio


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What orders must be to meet samples of demand, smallest first: made once, asked often."""

    needed: Array  # [..., K] units to order, non-decreasing along K
    reached: Array  # [..., K] share of the samples, by weight, up to each

    @classmethod
    def of(
        cls, demand: Array, *, arrives: Array | None = None, chance: Array | None = None
    ) -> Steps:
        """Rank samples of demand, of which only a share `arrives` [..., K] of an order comes.

        The first-order condition p E[Y; QY < D] = h E[Y; QY > D] of a random yield Y (Yano & Lee
        1995) asks for the same quantile of D / Y, weighed by Y.
        """
        needed = np.asarray(demand, dtype=float)
        weight = np.broadcast_to(1.0 if chance is None else chance, needed.shape)
        if arrives is not None:
            weight = weight * arrives
            needed = np.divide(needed, arrives, out=np.zeros(needed.shape), where=arrives > 0)
        ranked = np.argsort(needed, axis=-1, kind="stable")
        reached = np.cumsum(np.take_along_axis(weight, ranked, -1), axis=-1)
        total = reached[..., -1:]
        return cls(
            needed=np.take_along_axis(needed, ranked, -1),
            reached=np.divide(reached, total, out=np.ones(reached.shape), where=total > 0),
        )

    def units(self, ratio: Array) -> Array:
        """Units [...] to order: the least that reach `ratio` [...]; a ratio of 0 orders nothing.

        Of n equally likely samples that is the ceil(n × ratio)-th smallest.
        """
        wanted = np.asarray(ratio)[..., None]
        short = (self.reached < wanted - ROUNDING).sum(axis=-1, keepdims=True)
        place = np.minimum(short, self.needed.shape[-1] - 1)
        return np.where(ratio > 0, np.take_along_axis(self.needed, place, -1)[..., 0], 0.0)


def mismatch_cost(
    units: Array,
    demand: Array,
    under: Array,
    over: Array,
    *,
    arrives: Array | float = 1.0,
    chance: Array | None = None,
) -> Array:
    """Expected cost [...] of having `units` [...]: of those too few and those too many."""
    ready = np.asarray(units, dtype=float)[..., None] * arrives
    short, left = np.maximum(demand - ready, 0.0), np.maximum(ready - demand, 0.0)
    cost = np.asarray(under)[..., None] * short + np.asarray(over)[..., None] * left
    mean: Array = cost.mean(axis=-1) if chance is None else (cost * chance).sum(axis=-1)
    return mean


def money_price(spend: Callable[[float], float], budget: float, dearest: float) -> float:
    """The least price of money at which `spend`(price) keeps to the budget.

    `spend` falls as the price rises, to nothing at `dearest`: the Lagrange multiplier of
    the budget, by bisection.
    """
    if spend(0.0) <= budget:
        return 0.0
    low, high = 0.0, dearest
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if spend(middle) <= budget:
            high = middle
        else:
            low = middle
    return high
