"""What `peakahead evaluate` found, put into words, JSON, tables and a page of figures."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planning import pages
from planning.evaluate import Evaluation
from planning.exports import csv_text
from planning.plots import daily_figure, reachable_figure
from planning.policies import NAMES
from planning.workspace import ConfigError

FILES = (
    "policies.csv",
    "days.csv",
    "segments.csv",
    "products.csv",
    "lines.csv",
    "evaluation.html",
)
SHOWN = {  # column -> heading, how a cell is written
    "mean_minutes": ("minutes", "{:.2f}"),
    "p50_minutes": ("median", "{:.2f}"),
    "p95_minutes": ("95% in", "{:.1f}"),
    "on_time_share": ("on time", "{:.1%}"),
    "instant_share": ("at once", "{:.1%}"),
    "spend": ("spend", "{:,.0f}"),
    "prealloc_spend": ("ahead", "{:,.0f}"),
    "lost_value": ("lost", "{:,.0f}"),
    "share_of_reachable": ("won", "{:.1%}"),
}


def check(out: Path | None) -> None:
    """Raise ConfigError when nothing can be written to `out`."""
    if out is not None and out.suffix not in ("", ".csv", ".html") and not out.is_dir():
        raise ConfigError(f"--out {out}: write to a .csv file, an .html file or a folder")


def words(found: Evaluation, target_minutes: float) -> str:
    """The standings for people: one line a policy, then the delay by segment."""
    table = found.policies()
    orders = len(next(iter(found.served.values())).orders)
    days = len(found.midnights) - 1
    told = [
        f"{orders:,} orders of {days} day{'s' * (days > 1)} from {found.midnights[0]:%Y-%m-%d}, "
        f"on time = within {target_minutes:g} minutes",
        *_columns(
            [NAMES[name] for name in table["policy"]],
            [(head, [_cell(form, v) for v in table[c]]) for c, (head, form) in SHOWN.items()],
        ),
    ]
    told.append(
        "won = share of the way from buying on demand to perfect foresight"
        if np.isfinite(table["share_of_reachable"]).any()
        else "won: no share is told, perfect foresight saves too little on these days"
    )
    segments = found.by_segment().pivot_table(
        index="policy", columns="segment", values="mean_minutes", sort=False
    )
    if len(segments.columns) > 1:
        heads = [(str(c), [_cell("{:.2f}", v) for v in segments[c]]) for c in segments]
        told += ["mean minutes by segment", *_columns([NAMES[n] for n in segments.index], heads)]
    return "\n".join(told)


def _columns(names: list[str], columns: list[tuple[str, list[str]]]) -> list[str]:
    """Right-aligned columns under their headings, a name to the left of each row."""
    left = max(map(len, names)) + 2
    widths = [max(len(head), *map(len, cells)) + 2 for head, cells in columns]
    rows = [[head for head, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]
    return [
        f"  {name:<{left}}" + "".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True))
        for name, row in zip(["", *names], rows, strict=True)
    ]


def _cell(form: str, value: float) -> str:
    return form.format(value) if np.isfinite(value) else "–"


def as_json(found: Evaluation) -> dict[str, Any]:
    """Standings by policy, day and segment; no number is null."""
    table = found.policies()
    served = next(iter(found.served.values()))
    return {
        "starts_at": found.midnights[0].isoformat(),
        "ends_at": found.midnights[-1].isoformat(),
        "days": len(found.midnights) - 1,
        "orders": len(served.orders),
        "policies": {str(row.pop("policy")): row for row in _rows(table)},
        "by_day": _rows(found.by_day()),
        "by_segment": _rows(found.by_segment()),
        "notes": found.notes,
    }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    plain = table.astype(object).where(table.notna(), None)
    return [dict(zip(plain.columns, row, strict=True)) for row in plain.to_numpy().tolist()]


def save(found: Evaluation, out: Path, told: str) -> list[Path]:
    """Write the standings (.csv), the figures (.html) or, to a folder, every table and them."""
    if out.suffix == ".csv" and not out.is_dir():
        out.write_text(csv_text(found.policies()), encoding="utf-8")
        return [out]
    if out.suffix == ".html" and not out.is_dir():
        out.write_text(page(found, told), encoding="utf-8")
        return [out]
    out.mkdir(parents=True, exist_ok=True)
    tables = (
        found.policies(),
        found.by_day(),
        found.by_segment(),
        found.by_product(),
        found.lines(),
    )
    paths = [out / name for name in FILES]
    for path, table in zip(paths, tables, strict=False):
        path.write_text(csv_text(table), encoding="utf-8")
    paths[-1].write_text(page(found, told), encoding="utf-8")
    return paths


def page(found: Evaluation, told: str) -> str:
    """One self-contained page: what the plan would have won, the figures, the table."""
    days = f"{found.midnights[0]:%Y-%m-%d %H:%M} to {found.midnights[-1]:%Y-%m-%d %H:%M}"
    return pages.page(
        "Policies on past days",
        f"Real orders of {days}, served under each policy by the fulfilment rules.",
        [
            f'<p class="lead">{escape(_lead(found))}</p>',
            daily_figure(found.by_day(), NAMES),
            reachable_figure(found.policies(), NAMES),
            f"<h2>In figures</h2><pre>{escape(told)}</pre>",
        ],
    )


def _lead(found: Evaluation) -> str:
    table = found.policies().set_index("policy")
    plan, reactive = table.loc["plan"], table.loc["reactive"]
    if np.isnan(plan["mean_minutes"]) or np.isnan(reactive["mean_minutes"]):
        return "No order of these days could be served."
    won = plan["share_of_reachable"]
    beside = f" That is {won:.0%} of what perfect foresight wins." if np.isfinite(won) else ""
    return (
        f"With the plan an order would have been delivered in {plan['mean_minutes']:.1f} minutes "
        f"instead of {reactive['mean_minutes']:.1f}, and {plan['on_time_share']:.0%} instead of "
        f"{reactive['on_time_share']:.0%} of orders on time.{beside}"
    )
