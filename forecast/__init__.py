"""Demand history -> quantiles, sample paths and peaks, for thousands of products at once."""

from forecast.backtest import Backtest, leaderboard
from forecast.demand import Panel, panel_of_orders, panel_of_series
from forecast.engine import forecast
from forecast.forecasts import Forecast
from forecast.peaks import find_peaks
from forecast.tasks import LEVELS

__all__ = [
    "LEVELS",
    "Backtest",
    "Forecast",
    "Panel",
    "find_peaks",
    "forecast",
    "leaderboard",
    "panel_of_orders",
    "panel_of_series",
]
