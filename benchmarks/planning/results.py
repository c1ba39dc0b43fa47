"""Rows of the benchmarks' CSVs, and which code made them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pandas as pd

import planning

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".cache" / "benchmarks"


def commit() -> str:
    """Short commit of the working tree, with a + when code that is measured was changed.

    Raises
    ------
    RuntimeError
        When what is imported is another checkout's planning: its figures aren't this commit's.
    """
    if Path(planning.__file__).resolve().parents[1] != ROOT:
        raise RuntimeError(f"planning comes from elsewhere: set PYTHONPATH to {ROOT}")
    paths = ["--", "planning", "benchmarks/planning/*.py"]
    try:
        head = subprocess.check_output(
            ["git", "rev-parse", "--short=12", "HEAD"], text=True, cwd=ROOT
        )
        changed = subprocess.check_output(
            ["git", "status", "--porcelain", "-uno", *paths], text=True, cwd=ROOT
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.strip() + ("+" if changed.strip() else "")


def keep(path: Path, rows: pd.DataFrame, key: list[str]) -> None:
    """Rows into the CSV, in the place of older ones with the same key."""
    rows = rows.assign(cores=os.cpu_count(), commit=commit())
    if path.exists():
        old = pd.read_csv(path)
        known = pd.MultiIndex.from_frame(rows[key])
        rows = pd.concat([old[~pd.MultiIndex.from_frame(old[key]).isin(known)], rows])
    rows.to_csv(path, index=False, float_format="%.8g", lineterminator="\n")


def answer(
    instance: str,
    measure: str,
    ours: float,
    known: float,
    *,
    error: float = 0.0,
    digit: float | None = None,
) -> dict[str, object]:
    """One row beside a known answer.

    Parameters
    ----------
    error
        Standard error of ours; 0 = ours is no estimate.
    digit
        Size of the known answer's last printed digit; None = it is known to a relative 1e-6.
        `agrees` allows half of it and four standard errors.
    """
    room = 1e-6 * abs(known) if digit is None else digit / 2
    return {
        "instance": instance,
        "measure": measure,
        "ours": float(ours),
        "known": float(known),
        "difference": float(ours - known),
        "standard_error": float(error),
        "agrees": bool(abs(ours - known) <= room * (1 + 1e-9) + 4 * error),
    }
