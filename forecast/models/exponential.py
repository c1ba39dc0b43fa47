"""Exponential smoothing (statsmodels): damped trend and additive season, one series at a time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.demand import Array
from forecast.features import Task
from forecast.models.slow import Largest, Series, fit_largest


@dataclass(frozen=True)
class Exponential:
    """ETS(A, Ad, A) with the day's season on the week-free past, for the largest series."""

    most: int = 30  # series fitted
    seconds: float = 120.0  # a fit that takes longer hangs

    def fit(self, task: Task) -> Largest:
        """Normal quantiles around the smoothed forecast; the seasonal rule for the rest."""
        return fit_largest(task, fit_ets, most=self.most, seconds=self.seconds)


def fit_ets(series: Series) -> tuple[Array, Array] | None:
    """Mean [H] and quantiles [H, Q], or None where there are not three seasons."""
    from scipy.special import ndtri
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    horizon, span = len(series.effect), len(series.flat)
    if span < 3 * series.day or series.flat.std() == 0:
        return None
    season = "add" if series.day > 1 else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsmodels tells of fits that stop early
        model = ETSModel(
            pd.Series(series.flat),
            trend="add",
            damped_trend=True,
            seasonal=season,
            seasonal_periods=series.day if season else None,
            initialization_method="heuristic",
        )
        fitted = model.fit(disp=False, maxiter=30)
        ahead = fitted.get_prediction(start=span, end=span + horizon - 1)
    mean = np.asarray(ahead.predicted_mean)
    deviation = np.sqrt(np.maximum(np.asarray(ahead.forecast_variance), 0))
    quantiles = mean[:, None] + deviation[:, None] * ndtri(series.levels)[None, :]
    return mean * series.effect, quantiles * series.effect[:, None]
