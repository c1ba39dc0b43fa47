"""Runs of consecutive buckets in which something holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def runs(where: Array) -> tuple[Array, Array, Array]:
    """[N, T] bool -> row, first and last + 1 bucket of each run of True, in order."""
    edges = np.diff(np.pad(where.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    row, start = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    return row, start, stop
