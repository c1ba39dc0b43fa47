"""Figures of a backtest's scores; each is returned, never shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from forecast.scores import GROUPS, MEASURES, Measure

INK, MUTED, FAINT, ACCENT = "#1f2933", "#9aa5b1", "#d3dae0", "#0b7285"
_OTHERS = ("#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#1971c2", "#e67700", "#495057")
_BLEND = "blend"
_COLUMNS = 3
_MOST_POINT, _LEAST_POINT = 16, 4  # marker sizes, pixels


def bars_figure(board: pd.DataFrame, group: str) -> go.Figure:
    """One panel of bars for each measure of a group, the best members' coloured.

    `board` as from `leaderboard`. A dotted line marks an ideal that is neither 0 nor 1.
    """
    mine = _rivals(group)
    rows = -(-len(mine) // _COLUMNS)
    figure = make_subplots(
        rows=rows,
        cols=_COLUMNS,
        subplot_titles=[
            f"<b>{name}</b><br><span style='font-size:11px'>{measure.label}</span>"
            for name, measure in mine.items()
        ],
        shared_yaxes=True,
        horizontal_spacing=0.04,
        vertical_spacing=0.36 / rows,
    )
    for k, (name, measure) in enumerate(mine.items()):
        at = {"row": k // _COLUMNS + 1, "col": k % _COLUMNS + 1}
        best = measure.best(board, name)
        figure.add_bar(
            x=board[name],
            y=board["member"],
            orientation="h",
            marker_color=[ACCENT if m in best else FAINT for m in board["member"]],
            insidetextfont={"color": ["white" if m in best else INK for m in board["member"]]},
            text=[measure.shown(value) for value in board[name]],
            textposition="auto",
            hovertemplate="%{y}: %{x:.4f}<extra>" + name + "</extra>",
            **at,
        )
        if 0 < measure.ideal < 1:
            figure.add_vline(x=measure.ideal, line={"color": INK, "dash": "dot"}, **at)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(showticklabels=False, rangemode="tozero")
    figure.update_layout(showlegend=False)
    return _styled(figure, height=70 + rows * (90 + 26 * len(board))).update_xaxes(ticks="")


def reliability_figure(reliability: pd.DataFrame) -> go.Figure:
    """Told probability against how often it came, for buckets and for peak windows.

    On the diagonal a probability means what it says; below it peaks are told too surely. The larger
    a point, the more forecasts it stands for. `reliability` as in `Scores`.
    """
    kinds = {"bucket": "a bucket above the usual", "window": "a told peak comes"}
    figure = make_subplots(rows=1, cols=2, subplot_titles=list(kinds.values()))
    colour = _colours(reliability["member"])
    for k, kind in enumerate(kinds):
        figure.add_scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": MUTED, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
            row=1,
            col=k + 1,
        )
        for name, own in reliability[reliability["kind"] == kind].groupby("member", sort=False):
            size = np.log1p(own["count"]) / np.log1p(own["count"].max()) * _MOST_POINT
            figure.add_scatter(
                x=own["told"],
                y=own["seen"],
                name=str(name),
                mode="lines+markers",
                line={"color": colour[str(name)], "width": 2},
                marker={"size": np.maximum(size, _LEAST_POINT), "line": {"width": 0}},
                customdata=own["count"],
                hovertemplate="told %{x:.0%}, came %{y:.0%} of %{customdata:,}",
                legendgroup=str(name),
                showlegend=k == 0,
                cliponaxis=False,
                row=1,
                col=k + 1,
            )
    figure.update_xaxes(title="told probability", range=[0, 1], tickformat=".0%")
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(title="came", col=1)
    return _styled(figure, height=460)


def levels_figure(levels: pd.DataFrame) -> go.Figure:
    """Share of actuals below each quantile less its level, in percentage points; `Scores.levels`.

    Zero is perfect. Above on the left and below on the right: the distributions are too narrow.
    """
    figure = go.Figure()
    figure.add_hline(y=0, line={"color": MUTED, "dash": "dot"})
    colour = _colours(levels["member"])
    for name, own in levels.groupby("member", sort=False):
        figure.add_scatter(
            x=own["level"],
            y=100 * (own["share"] - own["level"]),
            name=str(name),
            mode="lines+markers",
            line={"color": colour[str(name)], "width": 2},
            hovertemplate="q%{x}: %{y:+.1f} points",
        )
    figure.update_xaxes(title="level of the quantile", range=[0, 1])
    figure.update_yaxes(title="share below − level, points")
    return _styled(figure, height=380)


def dependence_figure(board: pd.DataFrame) -> go.Figure:
    """CRPS of each aggregate from the joint paths, beside the same draws made independent."""
    mine = _rivals("aggregates")
    titles = [measure.label for measure in mine.values()]
    figure = make_subplots(rows=1, cols=len(mine), subplot_titles=titles)
    for k, name in enumerate(mine):
        for suffix, told, fill in (
            ("", "joint paths", ACCENT),
            ("_independent", "independent", MUTED),
        ):
            figure.add_bar(
                x=board["member"],
                y=board[name + suffix],
                name=told,
                marker_color=fill,
                hovertemplate="%{x}: %{y:.4f}<extra>" + told + "</extra>",
                legendgroup=told,
                showlegend=k == 0,
                row=1,
                col=k + 1,
            )
    figure.update_yaxes(rangemode="tozero")
    styled = _styled(figure, height=400)
    return styled.update_layout(legend={"y": 1.1, "yanchor": "bottom"}, margin={"t": 90})


def waterfall_figure(frame: pd.DataFrame) -> go.Figure:
    """A bar for each driver of one product's forecast in one window; `frame` as from `explain`.

    Each bar stands on those before it; the last is the forecast. Parts are told when hovered over.

    Raises
    ------
    ValueError
        When the frame tells of several products or windows.
    """
    what = frame[["product_id", "starts_at", "ends_at"]].drop_duplicates()
    if len(what) != 1:
        raise ValueError(f"a waterfall is of one product and window, the frame has {len(what)}")
    bars = frame.groupby("driver", sort=False)["units"].sum()
    total = float(bars.sum())
    digits = int(np.clip(2 - np.floor(np.log10(max(abs(total), 1e-3))), 0, 4))
    told = frame["part"] + ": " + frame["units"].map(f"{{:+,.{digits}f}}".format)
    hover = told.groupby(frame["driver"], sort=False).agg("<br>".join)
    figure = go.Figure(
        go.Waterfall(
            x=[*bars.index, "forecast"],
            y=[*bars, total],
            measure=["absolute", *["relative"] * (len(bars) - 1), "total"],
            text=[
                f"{bars.iloc[0]:,.{digits}f}",
                *bars.iloc[1:].map(lambda units: f"{units:+,.{digits}f}" if units else "0"),
                f"{total:,.{digits}f}",
            ],
            textposition="outside",
            customdata=[*hover, "sum of all"],
            hovertemplate="<b>%{x}</b><br>%{customdata}<extra></extra>",
            connector={"line": {"color": MUTED, "width": 1}},
            increasing={"marker": {"color": ACCENT}},
            decreasing={"marker": {"color": _OTHERS[0]}},
            totals={"marker": {"color": INK}},
            cliponaxis=False,
        )
    )
    row = what.iloc[0]
    title = f"{row['product_id']}, {_told_window(row['starts_at'], row['ends_at'])}"
    figure.update_yaxes(title="expected units")
    return _styled(figure, height=420).update_layout(title=title, showlegend=False)


def _told_window(start: object, end: object) -> str:
    if not (isinstance(start, pd.Timestamp) and isinstance(end, pd.Timestamp)):
        return f"{start} to {end}"
    same = start.date() == end.date()
    return f"{start:%Y-%m-%d %H:%M} to {end:{'%H:%M' if same else '%Y-%m-%d %H:%M'}}"


def _rivals(group: str) -> dict[str, Measure]:
    if group not in GROUPS:
        raise ValueError(f"no group of measures is called {group!r}; there are {', '.join(GROUPS)}")
    return {name: m for name, m in MEASURES.items() if m.group == group and m.rival}


def _colours(members: pd.Series) -> dict[str, str]:
    """A colour for each member, always the same one for the blend."""
    names = [str(name) for name in members.unique() if name != _BLEND]
    found = {name: _OTHERS[k % len(_OTHERS)] for k, name in enumerate(names)}
    return {**found, _BLEND: ACCENT}


def _styled(figure: go.Figure, *, height: int) -> go.Figure:
    figure.update_layout(
        template="plotly_white",
        font={"family": 'system-ui, "Noto Sans CJK SC", sans-serif', "color": INK},
        legend={"orientation": "h", "y": -0.22},
        margin={"l": 60, "r": 20, "t": 60, "b": 50},
        height=height,
    )
    figure.update_xaxes(ticks="outside", ticklen=6, tickcolor=FAINT)
    figure.update_yaxes(ticks="outside", ticklen=6, tickcolor=FAINT)
    figure.update_annotations(font_size=13)
    return figure
