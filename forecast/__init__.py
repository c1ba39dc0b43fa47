"""Demand history -> quantiles, sample paths and peaks, for thousands of products at once."""

from forecast.backtest import Backtest, Scores, leaderboard, score_members
from forecast.demand import Panel, panel_of_orders, panel_of_series
from forecast.engine import forecast
from forecast.explain import explain
from forecast.forecasts import Forecast
from forecast.hierarchy import aggregate, by_category
from forecast.models import MODELS
from forecast.peaks import find_peaks
from forecast.plots import (
    bars_figure,
    dependence_figure,
    levels_figure,
    reliability_figure,
    waterfall_figure,
)
from forecast.scores import GROUPS, MEASURES, Measure
from forecast.tasks import LEVELS

__all__ = [
    "GROUPS",
    "LEVELS",
    "MEASURES",
    "MODELS",
    "Backtest",
    "Forecast",
    "Measure",
    "Panel",
    "Scores",
    "aggregate",
    "bars_figure",
    "by_category",
    "dependence_figure",
    "explain",
    "find_peaks",
    "forecast",
    "leaderboard",
    "levels_figure",
    "panel_of_orders",
    "panel_of_series",
    "reliability_figure",
    "score_members",
    "waterfall_figure",
]
