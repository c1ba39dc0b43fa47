"""What a forecast is: a distribution for each product and bucket, and joint sample paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.demand import Array


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Demand of N products in H buckets."""

    ids: Array  # [N] str
    ds: pd.Index[Any]  # [H] bucket starts
    freq: str  # of `ds`: a pandas offset, or the whole-number step of an integer index as text
    levels: Array  # [Q]
    mean: Array  # float32 [N, H] expectation, units
    quantiles: Array  # float32 [N, H, Q] non-decreasing; ≥ 0 if the history is
    paths: Array  # float32 [K, N, H] draws, joint across time and products
    model: Array  # [N] str: the members blended, or what a new product borrowed from
    shift: Array | None = None  # [N] buckets by which a series ends before the panel
    id_name: str = "product_id"
    provisional: tuple[int, ...] = ()  # years shown whose public holidays are not yet official
    cleaning: pd.DataFrame | None = None  # what was changed in the history; None = not told

    def __repr__(self) -> str:
        """What it is of, in a line: arrays say little, and much of it."""
        (n, horizon), first = self.mean.shape, self.ds[0] if len(self.ds) else "nowhere"
        what = f"{n} series, {horizon} buckets of {self.freq} from {first}"
        return f"<Forecast of {what}, {len(self.paths)} paths; .frame() for its numbers>"

    def frame(self) -> pd.DataFrame:
        """Long frame: the id, ds, mean and a column for each level, q0.01 … q0.99."""
        horizon = self.mean.shape[1]
        columns: dict[str, Any] = {
            self.id_name: np.repeat(self.ids, horizon),
            "ds": self._stamps(),
            "mean": self.mean.ravel(),
        }
        for k, level in enumerate(self.levels):
            columns[f"q{level:g}"] = self.quantiles[:, :, k].ravel()
        return pd.DataFrame(columns)

    def _stamps(self) -> Any:
        n, horizon = self.mean.shape
        if self.shift is None:
            return self.ds.take(np.tile(np.arange(horizon), n))
        if not isinstance(self.ds, pd.DatetimeIndex):
            return (np.asarray(self.ds)[None, :] - int(self.freq) * self.shift[:, None]).ravel()
        shifts, which = np.unique(self.shift, return_inverse=True)
        stamps = [self.ds.shift(-int(back), freq=self.freq) for back in shifts]
        joined = stamps[0].append(stamps[1:])
        return joined.take((which[:, None] * horizon + np.arange(horizon)).ravel())
