"""Where a level stands among those for which a forecast gives quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def level_index(levels: Array, level: float) -> int:
    """Column of `level` among `levels` [Q].

    Raises
    ------
    ValueError
        When it is not among them.
    """
    found = np.flatnonzero(np.isclose(levels, level))
    if not len(found):
        raise ValueError(f"level {level} is not among the forecast's levels {list(levels)}")
    return int(found[0])
