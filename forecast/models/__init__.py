"""The registry of members: a new model is one file here and one line in `MODELS`."""

from __future__ import annotations

from collections.abc import Callable

from forecast.models.additive import Additive
from forecast.models.corrected import Corrected
from forecast.models.decomposed import Decomposed
from forecast.models.exponential import Exponential
from forecast.models.harmonic import Harmonic
from forecast.models.intermittent import Intermittent
from forecast.models.model import Fitted, Model, Prediction, told
from forecast.models.ridge import Ridge
from forecast.models.seasonal import Seasonal, SeasonalNaive

MODELS: dict[str, Callable[[], Model]] = {
    "seasonal_naive": SeasonalNaive,
    "weekly_naive": lambda: SeasonalNaive(weekly=True),
    "seasonal": Seasonal,
    "ridge": Ridge,
    "intermittent": Intermittent,
    "lightgbm": Corrected,
    "lightgbm_daily": lambda: Corrected(daily=True),
    "network": lambda: Corrected(learner="network"),
    "statsmodels": Exponential,
    "mstl": Decomposed,
    "harmonic": Harmonic,
    "prophet": Additive,
}

__all__ = ["MODELS", "Fitted", "Model", "Prediction", "told"]
