"""What a supplier is asked for, known by a hash of it, and what is known of its answer."""

from __future__ import annotations

import hashlib
import json

import pandas as pd

from planning.problem import LINE_COLUMNS

ASKED = tuple(name for name in LINE_COLUMNS if name not in ("supplier_id", "reason"))
ANSWERED = (  # what is known of a line that a supplier has answered; stamps as text
    "request",
    "supplier_id",
    "line_id",
    "product_id",
    "order_by",
    "asked_from",
    "available_from",
    "available_to",
    "asked_units",
    "units",
    "unit_cost",
)
DIGITS = 32  # hexadecimal, of a SHA-256


def request_id(supplier_id: str, lines: pd.DataFrame) -> str:
    """Hash of a supplier's plan lines; stamps as the ISO 8601 text of plan.csv.

    Equal lines are the same request, whichever run asked for them.
    """
    rows = lines[list(ASKED)].astype({"units": int, "unit_cost": float}).to_numpy(dtype=object)
    text = json.dumps([supplier_id, rows.tolist()], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
