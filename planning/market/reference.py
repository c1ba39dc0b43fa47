"""The committed tables behind the sample market; data/README.md says where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planning.problem import Array

Row = Mapping[Any, Any]  # one row of a table, by column

DAY_TYPES = ("workday", "eve", "off", "holiday")

# Each part of the market draws from a stream of its own, so that a change of one part leaves the
# others as they were. The numbers are part of the format: add, never renumber.
PARTS = {
    "products": 0,
    "events": 1,
    "spikes": 2,
    "noise": 3,
    "counts": 4,
    "orders": 5,
    "fakes": 6,
    "suppliers": 7,
    "offers": 8,
    "stock": 9,
    "outage": 10,
    "calibration": 11,
}


def stream(seed: int, part: str, day: int = 0) -> np.random.Generator:
    """The random numbers of one part of the market, on one day where the part has days."""
    return np.random.default_rng([seed, PARTS[part], day])


def folder() -> Path:
    """Where the tables lie: beside the installed package, else in the repository's data/.

    Raises
    ------
    FileNotFoundError
        When neither place holds them.
    """
    package = Path(__file__).resolve().parents[1]
    installed, checkout = package / "market_data", package.parent / "data"
    for place in (installed, checkout):
        if (place / "families.csv").is_file():
            return place
    raise FileNotFoundError(
        f"the sample market's tables are neither in {installed} nor in {checkout}; "
        "install peakahead again (`make setup`)"
    )


def table(name: str) -> pd.DataFrame:
    """One reference table; an empty cell is missing, "NA" is text."""
    path = folder() / f"{name}.csv"
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def choices(cell: object) -> list[int]:
    """'6|12|24' -> [6, 12, 24]; an empty cell -> []."""
    text = "" if cell is None or cell != cell else str(cell)  # NaN is not itself
    return [int(float(part)) for part in text.split("|") if part]


def known_only(values: Array, known: Array) -> Array:
    """`values` as objects, None where not known."""
    blank = np.full(len(values), None, dtype=object)
    blank[known] = np.asarray(values, dtype=object)[known]
    return blank


def hour_shares(profile: str) -> Array:
    """[day type, 24] share of a day's orders in each hour; rows sum to one."""
    hours = table("hours")
    rows = hours[hours["profile"] == profile].set_index("day_type").loc[list(DAY_TYPES)]
    weights = rows.drop(columns="profile").to_numpy(dtype=float)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
