"""The leaderboard of `peakahead backtest`: scored, put into words, tables and a page of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from forecast import (
    GROUPS,
    MEASURES,
    MODELS,
    Backtest,
    Panel,
    Scores,
    bars_figure,
    dependence_figure,
    levels_figure,
    reliability_figure,
    score_members,
)
from planning import pages
from planning.decide import Progress, country_of, past_demand
from planning.exports import csv_text
from planning.tables import Inputs
from planning.workspace import ConfigError, Workspace

FILES = ("leaderboard.csv", "windows.csv", "reliability.csv", "levels.csv", "leaderboard.html")

SECTIONS = {
    "accuracy": "How far off. Less is better.",
    "calibration": "Whether distributions mean what they say: 80% should lie inside the 80% "
    "interval and 1% above q0.99.",
    "peaks": "Whether the right hours, windows and heights were told. Shares: more is better; "
    "errors and scores: less is better.",
    "aggregates": "Sums and maxima from the joint paths, and from the same draws made independent: "
    "what the paths know about dependence is the difference.",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to score."""

    windows: int
    members: Sequence[str] | None  # None = those that suit thousands of series
    seed: int


def check(asked: Asked, out: Path | None) -> None:
    """Raise ConfigError when a member doesn't exist or nothing can be written to `out`."""
    unknown = [name for name in asked.members or () if name not in MODELS]
    if unknown:
        raise ConfigError(
            f"--members: no model is called {', '.join(unknown)}; there are {', '.join(MODELS)}"
        )
    if out is not None and out.suffix not in ("", ".csv", ".html") and not out.is_dir():
        raise ConfigError(f"--out {out}: write to a .csv file, an .html file or a folder")


def of_workspace(
    workspace: Workspace, inputs: Inputs, as_of: pd.Timestamp, asked: Asked, *, progress: Progress
) -> Scores:
    """Score models on the workspace's last horizons."""
    progress("demand", 0.0)
    panel = past_demand(workspace, inputs, as_of)
    buckets = int(workspace.horizon / pd.Timedelta(workspace.freq))
    return score_members(
        panel,
        _plan(panel, buckets, asked, "forecast.horizon in peakahead.toml sets the horizon"),
        members=asked.members,
        products=inputs.tables["products"],
        events=inputs.tables["events"],
        country=country_of(workspace.timezone),
        seed=asked.seed,
        progress=progress,
    )


def of_series(
    panel: Panel, horizon: int, asked: Asked, *, season: int | None, progress: Progress
) -> Scores:
    """Score models on the last horizons of any series."""
    plan = _plan(panel, horizon, asked, "--horizon sets the horizon")
    return score_members(
        panel, plan, members=asked.members, season=season, seed=asked.seed, progress=progress
    )


def _plan(panel: Panel, horizon: int, asked: Asked, hint: str) -> Backtest:
    plan = Backtest(horizon=horizon, windows=asked.windows, step=horizon)
    try:
        plan.cutoffs(len(panel.ds))
    except ValueError as error:
        raise ConfigError(f"--windows: {error} ({hint})") from error
    return plan


def words(board: pd.DataFrame) -> str:
    """The leaderboard for people: a table for each group of measures, the best marked *."""
    names = [str(name) for name in board["member"]]
    width = max(9, *(len(part) for name in names for part in name.split("_"))) + 2
    left = max(map(len, MEASURES)) + 1
    tall = max(name.count("_") for name in names) + 1
    heads = [[""] * (tall - name.count("_") - 1) + name.split("_") for name in names]
    lines = []
    for group in GROUPS:
        for k in range(tall):
            title = group.upper() if k == tall - 1 else ""
            row = f"{title:<{left}}" + "".join(f"{head[k] + ' ':>{width}}" for head in heads)
            lines.append(row.rstrip())
        for name, measure in MEASURES.items():
            if measure.group == group:
                best = measure.best(board, name)
                cells = (
                    measure.shown(value) + ("*" if member in best else " ")
                    for member, value in zip(names, board[name], strict=True)
                )
                row = f"{name:<{left}}" + "".join(f"{cell:>{width}}" for cell in cells)
                lines.append(f"{row}  {measure.label}")
        lines.append("")
    seconds = "".join(f"{value:>{width - 1}.1f} " for value in board["seconds"])
    lines.append(f"{'seconds':<{left}}{seconds}  of one forecast")
    lines += [f"{name} failed: {e}" for name, e in zip(names, board["error"], strict=True) if e]
    return "\n".join(lines)


def as_json(scores: Scores) -> dict[str, Any]:
    """`leaderboard`, `windows`, `reliability`, `levels` as rows; no number is null."""
    return {
        "leaderboard": _rows(scores.board()),
        "windows": _rows(scores.windows),
        "reliability": _rows(scores.reliability),
        "levels": _rows(scores.levels),
    }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    named = [str(name) for name in table]
    return [
        {name: _plain(value) for name, value in zip(named, row, strict=True)}
        for row in table.itertuples(index=False, name=None)
    ]


def _plain(value: Any) -> Any:
    """A cell as JSON knows it; "" is no error and no number is none."""
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value != "" else None


def save(scores: Scores, out: Path) -> list[Path]:
    """Write the board (.csv), its figures (.html) or, to a folder, every table and the figures."""
    board = scores.board()
    if out.suffix == ".csv" and not out.is_dir():
        out.write_text(csv_text(board), encoding="utf-8")
        return [out]
    if out.suffix == ".html" and not out.is_dir():
        out.write_text(page(scores), encoding="utf-8")
        return [out]
    out.mkdir(parents=True, exist_ok=True)
    tables = (board, scores.windows, scores.reliability, scores.levels)
    paths = [out / name for name in FILES]
    for path, table in zip(paths, tables, strict=False):
        path.write_text(csv_text(table), encoding="utf-8")
    paths[-1].write_text(page(scores), encoding="utf-8")
    return paths


def page(scores: Scores) -> str:
    """One self-contained page with every figure."""
    board = scores.board()
    parts: list[str | go.Figure] = []
    for group in GROUPS:
        parts += [f"<h2>{group.capitalize()}</h2>", f'<p class="muted">{SECTIONS[group]}</p>']
        parts += _figures(group, board, scores)
    failed = board.loc[board["error"] != "", ["member", "error"]].itertuples(index=False)
    parts += [f"<p>{escape(f'{name} failed: {error}')}</p>" for name, error in failed]
    windows = scores.windows["starts_at"].nunique()
    origins = "One origin" if windows == 1 else f"{windows} rolling origins; means over them"
    told = f"{origins}. The best of each measure is coloured."
    return pages.page("Leaderboard", told, parts)


def _figures(group: str, board: pd.DataFrame, scores: Scores) -> list[go.Figure]:
    if group == "aggregates":
        return [dependence_figure(board)]
    bars = bars_figure(board, group)
    if group == "calibration":
        return [bars, levels_figure(scores.levels)]
    return [bars, reliability_figure(scores.reliability)] if group == "peaks" else [bars]
