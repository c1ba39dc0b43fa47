"""Prophet: piecewise trend, daily and weekly Fourier seasons, known effects; one series a fit."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.demand import Array
from forecast.features import Task
from forecast.models.slow import Largest, Series, fit_largest


@dataclass(frozen=True)
class Additive:
    """Prophet on the past freed of holiday and event effects, which its forecast gets back."""

    most: int = 30  # series fitted
    seconds: float = 120.0  # a fit that takes longer hangs

    def fit(self, task: Task) -> Largest:
        """Quantiles of Prophet's posterior samples; the seasonal rule for the other series."""
        return fit_largest(task, fit_prophet, most=self.most, seconds=self.seconds)


def fit_prophet(series: Series) -> tuple[Array, Array] | None:
    """Mean [H] and quantiles [H, Q], or None where there are not two seasons."""
    span = len(series.flat)
    if span < 2 * series.day or series.flat.std() == 0:
        return None
    logging.getLogger("cmdstanpy").setLevel(logging.CRITICAL)
    logging.getLogger("prophet").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # prophet still calls what pandas deprecates
        from prophet import Prophet

        np.random.seed(series.seed % 2**32)  # noqa: NPY002 - prophet draws from the global state
        model = Prophet(
            yearly_seasonality=False,
            weekly_seasonality=3 if span >= 14 * series.day and series.week == 7 else False,
            daily_seasonality=min(series.day // 2, 8) or False,
            uncertainty_samples=400,
        )
        past = pd.DataFrame({"ds": series.stamps[:span], "y": series.flat})
        model.fit(past, seed=series.seed % 2**31)
        ahead = pd.DataFrame({"ds": series.stamps[span:]})
        draws = model.predictive_samples(ahead)["yhat"]
    quantiles = np.quantile(draws, series.levels, axis=1).T
    return draws.mean(axis=1) * series.effect, quantiles * series.effect[:, None]
