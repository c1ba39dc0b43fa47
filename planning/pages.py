"""A self-contained page of figures for people: needs no network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from string import Template

import plotly.graph_objects as go

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
