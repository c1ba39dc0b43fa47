"""A self-contained page of figures for people: needs no network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from string import Template

import numpy as np
import pandas as pd
import plotly.graph_objects as go

LONG = 32  # characters, from which on a cell may have several lines

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>peakahead · $name</title>
<style>
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; color: #1f2933; margin: 0 auto;
       max-width: 1120px; padding: 24px; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 18px; margin: 36px 0 0; }
.lead { font-size: 18px; margin: 12px 0 20px; }
.muted { color: #616e7c; margin: 4px 0; }
pre { background: #f5f7fa; padding: 12px; overflow-x: auto; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="muted">$told</p>
$parts
</body>
</html>
""")


def page(title: str, told: str, parts: Iterable[str | go.Figure]) -> str:
    """A page of a title, what it tells, and parts: HTML, or figures."""
    body = "\n".join(_html(parts))
    return PAGE.substitute(name=escape(title.lower()), title=escape(title), told=told, parts=body)


def _html(parts: Iterable[str | go.Figure]) -> Iterator[str]:
    """HTML of each part; the first figure brings the script, and equal pages have equal ids."""
    figures = 0
    for part in parts:
        if isinstance(part, str):
            yield part
            continue
        figures += 1
        yield figure_html(part, first=figures == 1, number=figures)


def figure_html(figure: go.Figure, *, first: bool, number: int) -> str:
    """A figure as part of a page; the first one brings the script, and the id is its number's."""
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=first,
            div_id=f"figure-{number}",
            config={"displayModeBar": False, "responsive": True},
        )
    )


def table_html(
    rows: pd.DataFrame, *, headings: Mapping[str, str] | None = None, forms: Mapping[str, str]
) -> str:
    """Rows as a table; on a narrow screen each row becomes a block of labelled cells.

    Parameters
    ----------
    headings
        What a column is called; else by its name, its underscores as spaces.
    forms
        Format of a column's numbers; else whole ones as they are, others with two digits.
    """
    told = {name: (headings or {}).get(str(name), str(name).replace("_", " ")) for name in rows}
    kind = {name: _kind(rows[name]) for name in rows}
    head = "".join(f"<th{kind[name]}>{escape(told[name])}</th>" for name in rows)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td{kind[name]} data-label="{escape(told[name])}">'
            f"{escape(_shown(value, forms.get(str(name))))}</td>"
            for name, value in zip(rows.columns, row, strict=True)
        )
        + "</tr>"
        for row in rows.itertuples(index=False)
    )
    return (
        '<div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def when(at: pd.Timestamp) -> str:
    """An instant to the minute, the year left out; with its offset where that time comes twice."""
    local = at.tz_localize(None)
    first, second = (local.tz_localize(at.tz, ambiguous=earlier) for earlier in (True, False))
    return at.strftime("%a %d %b %H:%M") + ("" if first == second else f" {at.isoformat()[-6:]}")


def _kind(cells: pd.Series) -> str:
    """The class of a column: numbers, words of several lines, or neither."""
    if pd.api.types.is_numeric_dtype(cells):
        return ' class="n"'
    return ' class="w"' if cells.astype(str).str.len().max() > LONG else ""


def _shown(value: object, form: str | None) -> str:
    if isinstance(value, pd.Timestamp):
        return when(value)
    if isinstance(value, float):
        return "" if np.isnan(value) else (form or "{:,.2f}").format(value)
    return (form or "{:,}").format(value) if isinstance(value, int) else str(value)
