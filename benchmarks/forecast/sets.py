"""What a data set is, and the origins from which it is forecast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from forecast import Panel, metrics
from forecast.demand import Array

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "forecast"


@dataclass(frozen=True, kw_only=True)
class Set:
    """Data, where it is cut, and what a forecaster may know beside the past."""

    name: str
    panel: Panel
    horizon: int
    origins: tuple[int, ...]  # buckets of history, the latest first
    day: int  # buckets in the short season
    products: pd.DataFrame | None = None
    events: pd.DataFrame | None = None
    country: str | None = None
    known: int | None = None  # days of history that are shown; None = all

    def past(self, origin: int) -> Panel:
        """What is known at an origin: nothing later is in it."""
        at = slice(0 if self.known is None else origin - self.known * self.day, origin)
        orders = None if self.panel.orders is None else self.panel.orders[:, at]
        return replace(self.panel, ds=self.panel.ds[at], y=self.panel.y[:, at], orders=orders)

    def starts(self, origin: int) -> Array:
        """[N] where each series begins: the first value, of an order log's products the first sale.

        `origin` for those that have not begun.
        """
        y = self.panel.y[:, :origin]
        shown = np.isfinite(y) if self.panel.orders is None else np.nan_to_num(y) > 0
        return np.where(shown.any(axis=1), shown.argmax(axis=1), origin)

    def scale(self, origin: int) -> Array:
        """[N] MASE's scale over a series' own life; NaN with less than two days of it.

        With the zeros before its launch in it, a new product's scale would be next to nothing, and
        a few such products would make up nearly all of a mean over series.
        """
        start = self.starts(origin)
        lived = np.arange(origin)[None, :] >= start[:, None]
        scale = metrics.mase_scale(np.where(lived, self.panel.y[:, :origin], np.nan), self.day)
        return np.where(start <= origin - 2 * self.day, scale, np.nan)

    def actual(self, origin: int) -> Array:
        """[N, H] what came, NaN where nothing was observed."""
        return self.panel.y[:, origin : origin + self.horizon].astype(np.float64)


def origins(panel: Panel, horizon: int, count: int, apart: int) -> tuple[int, ...]:
    """The last `count` origins whose future is known, `apart` buckets from one another."""
    last = len(panel.ds) - horizon
    return tuple(last - k * apart for k in range(count))
