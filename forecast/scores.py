"""Every measure of a forecast, and how to read each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from forecast import metrics
from forecast.forecasts import Forecast
from forecast.hierarchy import aggregate_scores
from forecast.outcomes import Outcome
from forecast.peak_scores import peak_scores
from forecast.peaks import median_of

_PERMUTED = 5  # number of this purpose among the seed's


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How to read a column of the leaderboard."""

    group: str  # accuracy, calibration, peaks or aggregates
    label: str  # in words
    ideal: float  # the best value that there is
    share: bool  # shown in per cent
    rival: bool  # whether members compete by it; False = what another column is held against

    def best(self, board: pd.DataFrame, name: str) -> list[str]:
        """Members whose column `name` is shown as near to the ideal as any; none without a number.

        A lead in digits that aren't shown is no lead.
        """
        distance = (board[name].astype(float) - self.ideal).abs()
        if not self.rival or distance.isna().all():
            return []
        shown = self.shown(float(board[name].iloc[int(distance.argmin())]))
        return [
            str(member)
            for member, value in zip(board["member"], board[name], strict=True)
            if self.shown(float(value)) == shown
        ]

    def shown(self, value: float) -> str:
        """A value of the column for people."""
        if not np.isfinite(value):
            return "–"
        if self.share:
            return f"{value:.1%}" if abs(value) >= 0.1 else f"{value:.2%}"
        return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"


# (name, label, ideal); a share is shown in per cent
_ACCURACY = (
    ("MASE", "error of the median / seasonal naive's", 0.0),
    ("WAPE", "error of the median / demand", 0.0),
    ("sMAPE", "symmetric error of the median, 0–200", 0.0),
    ("SQL", "quantile loss / seasonal naive's error", 0.0),
    ("WQL", "quantile loss / demand", 0.0),
    ("CRPS", "CRPS, units", 0.0),
)
_CALIBRATION = (
    ("coverage80", "inside the 80 % interval", 0.8),
    ("above99", "above q0.99", 0.01),
    ("sum24_coverage80", "a product's day inside its 80 % interval", 0.8),
    ("category24_coverage80", "a category's day inside its 80 % interval", 0.8),
)
_PEAKS = (
    ("peak_hour_hits", "day's busiest hour told within 1 h", 1.0),
    ("peak_precision", "share of a told window that came", 1.0),
    ("peak_recall", "share of a window that was told", 1.0),
    ("peak_f1", "harmonic mean of the two", 1.0),
    ("peak_iou", "told and came / told or came", 1.0),
    ("peak_height_error", "error of the day's highest bucket", 0.0),
    ("window_brier", "Brier score: a told window comes", 0.0),
    ("brier", "Brier score: a bucket above the usual", 0.0),
    ("q0.95_loss", "pinball loss at 0.95, scaled", 0.0),
    ("q0.99_loss", "pinball loss at 0.99, scaled", 0.0),
    ("twCRPS", "CRPS above the usual, scaled", 0.0),
)
_AGGREGATES = (
    ("sum24_crps", "CRPS of a product's day", 0.0),
    ("category_crps", "CRPS of a category's bucket", 0.0),
    ("max_crps", "CRPS of a product's daily maximum", 0.0),
    ("sum24_crps_independent", "the first from independent draws", 0.0),
    ("category_crps_independent", "the second from independent draws", 0.0),
    ("max_crps_independent", "the third from independent draws", 0.0),
)
_BY_GROUP = {
    "accuracy": _ACCURACY,
    "calibration": _CALIBRATION,
    "peaks": _PEAKS,
    "aggregates": _AGGREGATES,
}
GROUPS = tuple(_BY_GROUP)
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        name: Measure(
            group=group,
            label=label,
            ideal=ideal,
            share=ideal > 0,
            rival=not name.endswith("_independent"),
        )
        for group, rows in _BY_GROUP.items()
        for name, label, ideal in rows
    }
)


def score(result: Forecast, outcome: Outcome, *, seed: int = 0) -> dict[str, float]:
    """Every measure of `MEASURES`; NaN where there was nothing to judge."""
    actual, scale, levels = outcome.actual, outcome.scale, result.levels
    quantiles = result.quantiles.astype(np.float64)
    median = median_of(result).astype(np.float64)
    crps = metrics.crps(actual, quantiles, levels)
    seen = np.isfinite(crps)
    return {
        "MASE": metrics.mase(actual, median, scale),
        "WAPE": metrics.wape(actual, median),
        "sMAPE": metrics.smape(actual, median),
        "SQL": metrics.sql(actual, quantiles, levels, scale),
        "WQL": metrics.wql(actual, quantiles, levels),
        "CRPS": float(crps[seen].mean()) if seen.any() else float("nan"),
        "coverage80": metrics.coverage(actual, quantiles, levels),
        "above99": metrics.above(actual, quantiles, levels),
        **peak_scores(result, outcome),
        **aggregate_scores(
            actual,
            result.paths,
            outcome.day,
            outcome.category,
            np.random.default_rng([seed, _PERMUTED]),
        ),
    }


def level_shares(result: Forecast, outcome: Outcome) -> pd.DataFrame:
    """Share of actuals below each quantile, ties split: level, share, count."""
    share = metrics.shares_below(outcome.actual, result.quantiles, result.levels)
    count = int(np.isfinite(outcome.actual).sum())
    return pd.DataFrame({"level": result.levels, "share": share, "count": count})
