"""Rows put back in the order of their files."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa

MOST_STRETCHES = 10_000


def in_order(table: pa.Table) -> pa.Table | None:
    """Sort rows by file and line where it takes no more than moving a few stretches of them.

    DuckDB's threads insert a hundred thousand rows at a time, now and then not in turn; moving
    those stretches costs nothing, sorting ten million rows takes longer than all the rest.
    """
    at = table.column("file").to_numpy().astype(np.int64) << 44 | table.column("line").to_numpy()
    cuts = [0, *(np.flatnonzero(np.diff(at) < 0) + 1).tolist(), len(at)]
    if len(cuts) == 2:
        return table
    if len(cuts) > MOST_STRETCHES:
        return None
    stretches = sorted(pairwise(cuts), key=lambda stretch: int(at[stretch[0]]))
    if (np.diff(np.concatenate([at[start:stop] for start, stop in stretches])) < 0).any():
        return None
    return pa.concat_tables([table.slice(start, stop - start) for start, stop in stretches])
