"""MSTL (statsmodels): loess seasons of day and week, exponential smoothing of what is left."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.demand import Array
from forecast.features import Task
from forecast.models.slow import Largest, Series, fit_largest, slot_sizes


@dataclass(frozen=True)
class Decomposed:
    """Multiple seasonal-trend decomposition (Bandara, Hyndman & Bergmeir 2021), largest series."""

    most: int = 30  # series fitted
    seconds: float = 120.0  # a fit that takes longer hangs

    def fit(self, task: Task) -> Largest:
        """Last seasons + ETS(A, Ad, N) of the rest; the seasonal rule for the other series."""
        return fit_largest(task, fit_mstl, most=self.most, seconds=self.seconds)


def fit_mstl(series: Series) -> tuple[Array, Array] | None:
    """Mean [H] and quantiles [H, Q], or None where there are not three days."""
    from scipy.special import ndtri
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel
    from statsmodels.tsa.seasonal import MSTL

    horizon, span, day = len(series.effect), len(series.flat), series.day
    if day < 2 or span < 3 * day or series.flat.std() == 0:
        return None
    periods = [day]
    if series.week > 1 and span >= 3 * day * series.week:
        periods.append(day * series.week)
    ahead = np.arange(span, span + horizon)
    season = np.zeros(horizon)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsmodels tells of fits that stop early
        parts = MSTL(series.flat, periods=tuple(periods), stl_kwargs=_jumps(day)).fit()
        shapes = np.asarray(parts.seasonal).reshape(span, -1)
        for period, shape in zip(periods, shapes.T, strict=True):
            season += shape[span - period + (ahead - span) % period]
        left = series.flat - shapes.sum(axis=1)
        model = ETSModel(
            pd.Series(left), trend="add", damped_trend=True, initialization_method="heuristic"
        )
        fitted = model.fit(disp=False, maxiter=30)
        later = fitted.get_prediction(start=span, end=span + horizon - 1)
    mean = season + np.asarray(later.predicted_mean)
    deviation = np.sqrt(np.maximum(np.asarray(later.forecast_variance), 0))
    deviation = deviation * slot_sizes(np.asarray(fitted.resid), day)[ahead % day]
    quantiles = mean[:, None] + deviation[:, None] * ndtri(series.levels)[None, :]
    return mean * series.effect, quantiles * series.effect[:, None]


def _jumps(day: int) -> dict[str, int]:
    """Loess at every so many buckets and a line between them: five times as fast, as good.

    A tenth of the windows, as Cleveland et al. (1990) advise.
    """
    return {"seasonal_jump": 1, "trend_jump": max(day // 7, 1), "low_pass_jump": max(day // 10, 1)}
