"""Figures for report and notebooks; each is returned, never shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from forecast import Forecast, Panel
from planning.optimise import Solution
from planning.problem import Market, instants

INK, MUTED, ACCENT, WARM = "#1f2933", "#9aa5b1", "#0b7285", "#e8590c"
BAND = "rgba(11, 114, 133, 0.18)"
SEEN_DAYS = 7  # of history before a forecast


def _styled(figure: go.Figure, title: str, y_title: str) -> go.Figure:
    figure.update_layout(
        title={"text": title, "font": {"size": 16, "color": INK}, "x": 0, "xanchor": "left"},
        template="plotly_white",
        hovermode="x unified",
        legend={"orientation": "h", "y": -0.2},
        margin={"l": 60, "r": 20, "t": 50, "b": 40},
        height=340,
    )
    figure.update_yaxes(title=y_title, rangemode="tozero")
    return figure


def delivery_figure(solution: Solution, market: Market, target_minutes: float) -> go.Figure:
    """Mean delivery minutes by hour of order, on demand and with the plan."""
    hours = instants(solution.starts, market.tz)
    figure = go.Figure()
    for name, minutes, colour in (
        ("buying on demand", solution.reactive.by_hour, WARM),
        ("with the plan", solution.predicted.by_hour, ACCENT),
    ):
        figure.add_scatter(x=hours, y=minutes, name=name, line={"color": colour, "width": 2})
    figure.add_hline(y=target_minutes, line={"color": MUTED, "dash": "dot"})
    return _styled(figure, "Expected delivery time by hour of order", "minutes")


def demand_figure(panel: Panel, forecast: Forecast, product_id: str | None = None) -> go.Figure:
    """Recent demand and its forecast with the 80 % band, of one product or of all together."""
    rows = np.full(len(panel.ids), True) if product_id is None else panel.ids == product_id
    if not rows.any():
        raise ValueError(f"product {product_id!r} is not in the panel")
    sums = forecast.paths[:, rows].sum(axis=1)
    low, high = np.quantile(sums, [0.1, 0.9], axis=0)
    per_day = int(pd.Timedelta("1D") / pd.Timedelta(panel.freq))
    seen = panel.y[rows, -SEEN_DAYS * per_day :]
    total = np.where(np.isnan(seen).all(axis=0), np.nan, np.nansum(seen, axis=0))
    figure = go.Figure()
    figure.add_scatter(
        x=panel.ds[-SEEN_DAYS * per_day :], y=total, name="demand", line={"color": INK, "width": 1}
    )
    figure.add_scatter(x=forecast.ds, y=high, line={"width": 0}, showlegend=False)
    figure.add_scatter(
        x=forecast.ds, y=low, fill="tonexty", fillcolor=BAND, line={"width": 0}, name="80 % band"
    )
    figure.add_scatter(
        x=forecast.ds,
        y=forecast.mean[rows].sum(axis=0),
        name="expected",
        line={"color": ACCENT, "width": 2},
    )
    what = "all products" if product_id is None else str(product_id)
    return _styled(figure, f"Demand and forecast, {what}", "units")


def frontier_figure(
    frontier: pd.DataFrame, working_capital: float, target_minutes: float
) -> go.Figure:
    """Mean minutes, share on time and spend against money committed; the capital is marked."""
    figure = go.Figure()
    x = frontier["capital"]
    figure.add_scatter(
        x=x,
        y=frontier["mean_minutes"],
        name="mean minutes",
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
    )
    figure.add_scatter(
        x=x,
        y=100 * frontier["on_time_share"],
        name=f"% within {target_minutes:g} minutes",
        mode="lines+markers",
        line={"color": WARM, "width": 2},
        yaxis="y2",
    )
    figure.add_scatter(
        x=x,
        y=100 * frontier["spend"] / frontier["spend"].iloc[0],
        name="spend, % of that with nothing committed",
        mode="lines",
        line={"color": MUTED, "width": 1, "dash": "dot"},
        yaxis="y2",
    )
    figure.add_vline(
        x=working_capital,
        line={"color": INK, "dash": "dash", "width": 1},
        annotation={"text": "working capital", "textangle": 0},
    )
    styled = _styled(figure, "What capital buys", "minutes")
    styled.update_xaxes(title="money committed", rangemode="tozero")
    right = {"title": "%", "overlaying": "y", "side": "right", "showgrid": False}
    styled.update_layout(
        yaxis2={**right, "range": [0, 105]}, legend={"y": -0.35}, margin={"r": 60, "b": 80}
    )
    return styled


def money_figure(lines: pd.DataFrame) -> go.Figure:
    """Money committed by hour at which units become ready, one colour a supplier."""
    figure = go.Figure()
    amount = lines.assign(amount=lines["units"] * lines["unit_cost"])
    for supplier_id, own in amount.groupby("supplier_id", sort=True):
        by_hour = own.groupby("available_from")["amount"].sum()
        figure.add_bar(x=by_hour.index, y=by_hour, name=str(supplier_id))
    figure.update_layout(barmode="stack")
    return _styled(figure, "Money committed, by the hour that units become ready", "money")
