"""Demand history -> quantiles, sample paths and peaks, for thousands of products at once."""

from forecast.backtest import Backtest, Scores, leaderboard, score_members
from forecast.demand import Panel, panel_of_orders, panel_of_series
from forecast.engine import Known, Refreshed, forecast, refresh, train
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
from forecast.saved import ModelOfOtherVersion, ModelRefused, load, save
from forecast.scores import GROUPS, MEASURES, Measure
from forecast.tasks import LEVELS
from forecast.trained import RefitNeeded, Trained, why_refit

__all__ = [
    "GROUPS",
    "LEVELS",
    "MEASURES",
    "MODELS",
    "Backtest",
    "Forecast",
    "Known",
    "Measure",
    "ModelOfOtherVersion",
    "ModelRefused",
    "Panel",
    "RefitNeeded",
    "Refreshed",
    "Scores",
    "Trained",
    "aggregate",
    "bars_figure",
    "by_category",
    "dependence_figure",
    "explain",
    "find_peaks",
    "forecast",
    "leaderboard",
    "levels_figure",
    "load",
    "panel_of_orders",
    "panel_of_series",
    "refresh",
    "reliability_figure",
    "save",
    "score_members",
    "train",
    "waterfall_figure",
    "why_refit",
]
