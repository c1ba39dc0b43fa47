"""What drives a product's forecast in a window, as a frame whose units sum to the forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from forecast.blend import Blend, learn
from forecast.demand import Panel
from forecast.drivers import explained, weights_of
from forecast.engine import pick
from forecast.features import Task
from forecast.models import Fitted
from forecast.tasks import prepare

COLUMNS = ["product_id", "starts_at", "ends_at", "driver", "part", "units"]


def explain(
    panel: Panel,
    horizon: int,
    product_id: str,
    start: Any = None,
    end: Any = None,
    *,
    products: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    country: str | None = None,
    season: int | None = None,
    members: Sequence[str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """What drives the expected units of a product in the buckets that start in [start, end).

    Learns anew what `forecast` learns from the same arguments, so takes as long. The units sum to
    `Forecast.mean` of these buckets.

    Parameters
    ----------
    product_id
        Or unique_id, of the panel.
    start, end
        Stamps, naive = local, or whole numbers; None = the horizon's.

    Returns
    -------
    product_id, starts_at, ends_at (of the buckets), driver (one of `DRIVERS`), part (of the
    driver: an event's type, a kind of day, the member that saw it), units. Drivers are switched on
    in their order, so each one's units are those it adds to what is before it; parts of a driver
    share theirs evenly (Shapley 1953).

    Raises
    ------
    ValueError
        When there is no such product, or no bucket in the window.
    """
    row = _row(panel, product_id)
    stamps = _stamps(panel, horizon, row)
    window = _window(stamps[:-1], start, end)
    ready = prepare(
        panel,
        horizon,
        products=products,
        events=events,
        country=country,
        season=season,
        seed=seed,
    )
    blend, fitted = _learned(ready.task, members, row)
    units = explained(ready, blend, fitted, row, window)
    told = pd.DataFrame(list(units), columns=["driver", "part"]).assign(units=list(units.values()))
    told["product_id"] = str(product_id)
    told["starts_at"], told["ends_at"] = stamps[window.start], stamps[window.stop]
    return told[COLUMNS]


def _learned(
    task: Task, members: Sequence[str] | None, row: int
) -> tuple[Blend, dict[str, Fitted]]:
    """The blend, and the members of it that a product needs."""
    models = pick(members)
    blend = learn(task, models)
    return blend, {name: models[name].fit(task) for name in weights_of(task, blend, row)}


def _row(panel: Panel, product_id: str) -> int:
    found = np.flatnonzero(panel.ids.astype(str) == str(product_id))
    if not len(found):
        raise ValueError(f"the panel has no product {product_id!r}; it has {list(panel.ids[:5])} …")
    return int(found[0])


def _stamps(panel: Panel, horizon: int, row: int) -> pd.Index[Any]:
    """Starts of a product's buckets ahead, and the end of the last."""
    ahead = panel.future(horizon + 1)
    back = 0 if panel.shift is None else int(panel.shift[row])
    if isinstance(ahead, pd.DatetimeIndex):
        return cast("pd.Index[Any]", ahead.shift(-back, freq=panel.freq) if back else ahead)
    return ahead - int(panel.freq) * back


def _window(starts: pd.Index[Any], start: Any, end: Any) -> slice:
    bounds = []
    for stamp, missing in ((start, 0), (end, len(starts))):
        at = stamp
        if isinstance(starts, pd.DatetimeIndex) and stamp is not None:
            at = pd.Timestamp(stamp)
            at = at.tz_localize(starts.tz) if at.tz is None else at.tz_convert(starts.tz)
        bounds.append(missing if stamp is None else int(starts.searchsorted(at)))
    if bounds[0] >= bounds[1]:
        raise ValueError(
            f"no bucket starts in [{start}, {end}); the forecast has {starts[0]} … {starts[-1]}"
        )
    return slice(*bounds)
