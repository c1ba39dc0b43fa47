"""What a product usually sells at a time of day, from cells of an order log (silence left out)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK = 14  # days of a block; a cell is compared with its own block and the two beside it


def usual_at(code: Array, hour: Array, values: Array, *, per_day: int = 24) -> Array:
    """[V, C] mean at the same time of day in the weeks around each cell, the cell left out.

    Parameters
    ----------
    code, hour
        int [C] product and bucket of each cell that holds an order, each pair once.
    values
        [V, C] what to average; buckets without a cell count as 0.
    per_day
        Buckets of a day.
    """
    day, slot = hour // per_day, hour % per_day
    first, last = int(day.min()), int(day.max())
    n_blocks = (last - first) // BLOCK + 1
    shape = int(code.max()) + 1, n_blocks, per_day
    block = (day - first) // BLOCK
    place = np.ravel_multi_index((code, block, slot), shape)
    days = np.full(n_blocks, float(BLOCK))
    days[-1] = last - first + 1 - BLOCK * (n_blocks - 1)
    around = np.maximum(_beside(days[None, :, None])[0, :, 0][block] - 1, 1)
    means = []
    for value in values:
        total = np.bincount(place, weights=value, minlength=int(np.prod(shape))).reshape(shape)
        means.append(np.maximum(_beside(total).ravel()[place] - value, 0) / around)
    return np.stack(means)


def _beside(total: Array) -> Array:
    """Each block's total and those of the blocks before and after it, along the middle axis."""
    padded = np.pad(total, ((0, 0), (1, 1), (0, 0)))
    return np.asarray(padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:])
