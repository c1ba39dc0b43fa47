"""Cells of an order log in which orders failed or hung while few came: customers may have left."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.usual import usual_at

Array = npt.NDArray[Any]

_FAILED = 0.5  # share of a cell's orders that failed
_FAILS_ANYWAY = 0.25  # a product that fails so often says nothing by failing
_SLOW = np.log(5.0)  # of the mean wait against the product's usual one, in logarithms
_FEW = 0.6  # of the usual number of orders: else nobody was turned away


def jammed(cells: dict[str, Array], per_day: int) -> Array:
    """bool [C]: cells with a jam and fewer orders than the time of day has in the weeks around.

    Parameters
    ----------
    cells
        Arrays [C]: code, bucket, orders, failed (how many), wait (mean logarithm of the time to
        delivery; NaN = nothing was delivered).
    per_day
        Buckets of a day.
    """
    code, orders, failed = cells["code"], cells["orders"], cells["failed"]
    if not len(code):
        return np.zeros(0, dtype=bool)
    total = np.bincount(code, weights=orders)
    often = np.bincount(code, weights=failed) / np.maximum(total, 1.0)
    jam = (failed >= _FAILED * orders) & (failed >= 2) & (often[code] < _FAILS_ANYWAY)
    wait = cells["wait"]
    if np.isfinite(wait).any():
        middle = pd.Series(wait).groupby(code).median().reindex(np.arange(len(total))).to_numpy()
        jam |= np.nan_to_num(wait, nan=-np.inf) >= middle[code] + _SLOW
    if not jam.any():
        return jam
    usual = usual_at(code, cells["bucket"], orders[None], per_day=per_day)[0]
    return np.asarray(jam & (orders <= _FEW * usual))
