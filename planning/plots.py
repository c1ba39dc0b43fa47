"""Figures for report and notebooks in one look; each is returned, never shown."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
from plotly.subplots import make_subplots

from forecast import Forecast, Panel
from planning.optimise import Solution
from planning.problem import Array, Market, instants

INK, MUTED, ACCENT, WARM = "#1f2933", "#9aa5b1", "#0b7285", "#e8590c"
FAINT = "#e4e7eb"
COLOURWAY = (ACCENT, WARM, "#f2b134", "#7b5ea7", "#2b8a3e", "#1971c2", "#c2255c", "#495057")
BAND = "rgba(11, 114, 133, 0.18)"
COLOURS = {  # of policies
    "reactive": WARM,
    "last-week": "#f2b134",
    "base-stock": "#7b5ea7",
    "plan": ACCENT,
    "foresight": MUTED,
}
SEEN_DAYS = 7  # of history before a forecast
KEPT = "plotly_mimetype+notebook"  # how notebooks keep figures: for JupyterLab, and for HTML
HOUSE = "plotly_white+peakahead"  # the look of every figure
CLOCK = (  # how a time axis is labelled, short enough for a telephone
    {"dtickrange": [None, 86_399_999], "value": "%H:%M\n%-d %b"},
    {"dtickrange": [86_400_000, None], "value": "%-d %b"},
)

TIME_AXIS = {  # of a figure whose x are instants
    "tickformatstops": CLOCK,
    "tickangle": 0,
    "hoverformat": "%a %-d %b %H:%M",
}

_AXIS = {"ticks": "outside", "ticklen": 6, "tickcolor": FAINT}  # labels stand off the corner
pio.templates["peakahead"] = go.layout.Template(
    layout={
        "font": {"family": 'system-ui, "Noto Sans CJK SC", sans-serif', "color": INK},
        "title": {"font": {"size": 16}, "x": 0, "xanchor": "left"},
        "colorway": COLOURWAY,
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    }
)


def keep_figures() -> None:
    """Have a notebook's figures look like ours and stay in it, also where nobody looks on.

    Whoever has set PLOTLY_RENDERER keeps what was set.
    """
    pio.templates.default = HOUSE
    if "PLOTLY_RENDERER" not in os.environ:
        pio.renderers.default = KEPT


def _styled(figure: go.Figure, title: str, y_title: str) -> go.Figure:
    figure.update_layout(
        title={"text": title},
        template=HOUSE,
        hovermode="x unified",
        legend={"orientation": "h", "y": -0.22, "traceorder": "normal"},
        margin={"l": 60, "r": 20, "t": 50, "b": 40},
        height=340,
    )
    figure.update_yaxes(title=y_title, rangemode="tozero")
    return figure


def _by_clock(figure: go.Figure, title: str, y_title: str) -> go.Figure:
    figure.update_xaxes(**TIME_AXIS)
    return _styled(figure, title, y_title)


def delivery_figure(solution: Solution, market: Market, target_minutes: float) -> go.Figure:
    """Mean delivery minutes by hour of order, on demand and with the plan."""
    hours = instants(solution.starts, market.tz)
    figure = go.Figure()
    for name, minutes, colour in (
        ("buying on demand", solution.reactive.by_hour, WARM),
        ("with the plan", solution.predicted.by_hour, ACCENT),
    ):
        figure.add_scatter(x=hours, y=minutes, name=name, line={"color": colour, "width": 2})
    figure.add_scatter(  # a line with its name in the legend: a label would lie on the curves
        x=hours[[0, -1]],
        y=[target_minutes] * 2,
        name=f"target: {target_minutes:g} minutes",
        mode="lines",
        line={"color": MUTED, "dash": "dot", "width": 2},
        hoverinfo="skip",
    )
    return _by_clock(figure, "Expected delivery time by hour of order", "minutes")


def _fakes(panel: Panel) -> Array:
    """[N, T] units of fake orders."""
    units = np.zeros(panel.y.shape)
    if panel.marks is None:
        return units
    fake = panel.marks[panel.marks["kind"] == "fake_orders"]
    row = pd.Index(panel.ids).get_indexer(pd.Index(fake["product_id"]))
    bucket = panel.ds.get_indexer(pd.Index(fake["ds"]))
    inside = (row >= 0) & (bucket >= 0)
    np.add.at(units, (row[inside], bucket[inside]), fake["units"].to_numpy()[inside])
    return units


def _unseen(panel: Panel, cleaning: pd.DataFrame | None) -> Array:
    """[N, T] True where the history was taken for not observed."""
    unseen = np.isnan(panel.y)
    if cleaning is None:
        return unseen
    for row in cleaning[cleaning["units_after"].isna()].itertuples():
        rows = panel.ids == row.product_id if row.product_id else slice(None)
        unseen[rows, slice(*panel.ds.searchsorted([row.starts_at, row.ends_at]))] = True
    return unseen


def demand_figure(panel: Panel, forecast: Forecast, product_id: str | None = None) -> go.Figure:
    """Recent demand and its forecast with the 80% band, of one product or of all together.

    Fake orders are left out and marked; the line has a gap where no product was observed.
    """
    rows = np.full(len(panel.ids), True) if product_id is None else panel.ids == product_id
    if not rows.any():
        raise ValueError(f"product {product_id!r} is not in the panel")
    sums = forecast.paths[:, rows].sum(axis=1)
    low, high = np.quantile(sums, [0.1, 0.9], axis=0)
    recent = slice(-SEEN_DAYS * int(pd.Timedelta("1D") / pd.Timedelta(panel.freq)), None)
    fakes = _fakes(panel)[rows, recent]
    seen = np.where(_unseen(panel, forecast.cleaning), np.nan, panel.y)[rows, recent] - fakes
    total = np.where(np.isnan(seen).all(axis=0), np.nan, np.nansum(seen, axis=0))
    figure = go.Figure()
    figure.add_scatter(x=panel.ds[recent], y=total, name="demand", line={"color": INK, "width": 1})
    left_out = fakes.sum(axis=0)
    if left_out.any():
        figure.add_scatter(
            x=panel.ds[recent][left_out > 0],
            y=total[left_out > 0],
            name="left out: fake orders",
            mode="markers",
            marker={"color": WARM, "symbol": "x", "size": 8},
            customdata=left_out[left_out > 0],
            hovertemplate="%{customdata:,.0f} units",
        )
    figure.add_scatter(x=forecast.ds, y=high, line={"width": 0}, showlegend=False, hoverinfo="skip")
    figure.add_scatter(
        x=forecast.ds, y=low, fill="tonexty", fillcolor=BAND, line={"width": 0}, name="80% band"
    )
    figure.add_scatter(
        x=forecast.ds,
        y=forecast.mean[rows].sum(axis=0),
        name="expected",
        line={"color": ACCENT, "width": 2},
    )
    what = "all products" if product_id is None else str(product_id)
    return _by_clock(figure, f"Demand and forecast, {what}", "units")


def queue_figure(
    at: Array, waits: Mapping[str, Array], tz: str, since: pd.Timestamp, until: pd.Timestamp
) -> go.Figure:
    """Orders that wait for a channel, minute by minute, under several policies.

    Parameters
    ----------
    at
        [M] instants of the orders.
    waits
        Name of a policy -> [M] minutes that each order waits under it, 0 = none.
    since, until
        The part of the clock that is shown.
    """
    minutes = np.arange(since.timestamp(), until.timestamp() + 1, 60.0)
    figure = go.Figure()
    colours = (WARM, ACCENT, MUTED, INK)
    for number, (name, wait) in enumerate(waits.items()):
        queued = wait > 0
        came = np.searchsorted(np.sort(at[queued]), minutes, side="right")
        left = np.searchsorted(np.sort(at[queued] + 60 * wait[queued]), minutes, side="right")
        colour = colours[number % len(colours)]
        figure.add_scatter(
            x=instants(minutes, tz),
            y=came - left,
            name=name,
            fill="tozeroy",
            line={"color": colour, "width": 1.5},
        )
    return _by_clock(figure, "Orders waiting for a channel", "orders")


def frontier_figure(
    frontier: pd.DataFrame, working_capital: float, target_minutes: float
) -> go.Figure:
    """Mean minutes and share on time, and below them spend, against money committed.

    The working capital is marked.
    """
    shown = (
        ("mean_minutes", 1.0, "mean minutes", ACCENT, (1, False)),
        ("on_time_share", 100.0, f"% within {target_minutes:g} minutes", WARM, (1, True)),
        ("spend", 1.0, "expected spend", INK, (2, False)),
    )
    figure = make_subplots(
        rows=2,
        shared_xaxes=True,
        row_heights=[0.7, 0.3],
        vertical_spacing=0.08,
        specs=[[{"secondary_y": True}], [{}]],
    )
    for column, scale, name, colour, (row, secondary) in shown:
        figure.add_scatter(
            x=frontier["capital"],
            y=scale * frontier[column],
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            row=row,
            col=1,
            secondary_y=secondary if row == 1 else None,
        )
    figure.add_vline(x=working_capital, line={"color": MUTED, "dash": "dash", "width": 1})
    figure.add_annotation(
        text="working capital",
        x=working_capital,
        y=1,
        yref="y domain",
        yanchor="bottom",
        showarrow=False,
        font={"size": 11},
    )
    styled = _styled(figure, "What capital buys", "minutes")
    styled.update_yaxes(
        title="%",
        range=[0, 100],
        tickvals=[0, 25, 50, 75, 100],
        showgrid=False,
        row=1,
        secondary_y=True,
    )
    styled.update_yaxes(title="spend", rangemode="normal", row=2, col=1)
    styled.update_xaxes(title="money committed", rangemode="tozero", row=2, col=1)
    return styled.update_layout(height=460, margin={"r": 60})


def money_figure(lines: pd.DataFrame) -> go.Figure:
    """Money committed by hour at which units become ready, one colour a supplier."""
    figure = go.Figure()
    amount = lines.assign(amount=lines["units"] * lines["unit_cost"])
    for supplier_id, own in amount.groupby("supplier_id", sort=True):
        by_hour = own.groupby("available_from")["amount"].sum()
        figure.add_bar(x=by_hour.index, y=by_hour, name=str(supplier_id))
    figure.update_layout(barmode="stack")
    return _by_clock(figure, "Money by the hour that units are ready", "money")


def daily_figure(days: pd.DataFrame, names: Mapping[str, str]) -> go.Figure:
    """Mean delivery minutes by day of order, one line a policy (columns policy, day, …)."""
    figure = go.Figure()
    for policy, own in days.groupby("policy", sort=False):
        colour = COLOURS.get(str(policy), INK)
        figure.add_scatter(
            x=own["day"],
            y=own["mean_minutes"],
            name=names[str(policy)],
            line={"color": colour, "width": 2},
        )
    figure.update_xaxes(type="category")
    return _styled(figure, "Delivery time by day of order", "minutes")


def reachable_figure(policies: pd.DataFrame, names: Mapping[str, str]) -> go.Figure:
    """Share of the reachable improvement that each policy wins, as bars."""
    shown = policies[policies["policy"] != "reactive"]
    figure = go.Figure()
    figure.add_bar(
        x=shown["share_of_reachable"],
        y=[names[policy] for policy in shown["policy"]],
        orientation="h",
        marker={"color": [COLOURS.get(policy, INK) for policy in shown["policy"]]},
        text=shown["share_of_reachable"],
        texttemplate="%{text:.0%}",
        textposition="outside",
        cliponaxis=False,
    )
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(autorange="reversed")
    title = (
        "Share of the reachable improvement<br><span style='font-size:12px'>"
        "none: buying on demand, all: perfect foresight</span>"
    )
    return _styled(figure, title, "").update_layout(hovermode="closest", margin={"r": 60})
