"""What a plan of a run may use, and what is bound already."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from planning.problem import Array, Market, Plan

TOLERANCE = 1e-9  # relative, for sums of money only


class Closed(NamedTuple):
    """Where a supplier has said that it has no more."""

    offer: Array  # int [X]
    hour: Array  # [X] start of the clock hour

    @classmethod
    def nowhere(cls) -> Closed:
        """Every offer can be asked for, in every hour."""
        return cls(np.empty(0, dtype="int64"), np.empty(0))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a plan of this run may use, and what is bound already."""

    as_of: float  # instant
    horizon: float  # seconds
    working_capital: float  # money
    committed: Plan = field(default_factory=Plan.empty)  # lines ordered earlier: they count too
    # Money [S] at each supplier of lines whose offers are gone; [1] of 0 where there is none:
    unlisted: Array = field(default_factory=lambda: np.zeros(1))
    closed: Closed = field(default_factory=Closed.nowhere)  # asked for in vain: not again

    def __post_init__(self) -> None:
        """Refuse what is no time or no money, such as an as_of that is a Timestamp."""
        told = {name: getattr(self, name) for name in ("as_of", "horizon", "working_capital")}
        for name, value in told.items():
            if not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
                raise ValueError(
                    f"{name} is {value!r}; it must be a finite number: as_of in seconds since 1970 "
                    "(Timestamp.timestamp()), horizon in seconds, working_capital in money"
                )
        if self.horizon < 0 or self.working_capital < 0:
            raise ValueError("horizon and working_capital are 0 or more")

    def committed_money(self, market: Market) -> Array:
        """[S] money at each supplier that lines ordered earlier bind."""
        lines, suppliers = self.committed, len(market.supplier_ids)
        supplier, money = market.offer_supplier[lines.offer], lines.units * lines.unit_cost
        return np.asarray(np.bincount(supplier, money, minlength=suppliers) + self.unlisted)
