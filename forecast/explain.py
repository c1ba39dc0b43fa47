"""What drives a product's forecast in a window, as a frame whose units sum to the forecast."""

from __future__ import annotations

from typing import Any, Unpack, cast

import numpy as np
import pandas as pd

from forecast.demand import Panel
from forecast.drivers import explained
from forecast.engine import Known, begin, learned
from forecast.known import check_horizon, check_panel
from forecast.trained import Trained

_NO_START = "{!r} is no start of a bucket such as {}"
COLUMNS = ["product_id", "starts_at", "ends_at", "driver", "part", "units"]


def explain(
    panel: Panel,
    horizon: int,
    product_id: str,
    start: Any = None,
    end: Any = None,
    *,
    trained: Trained | None = None,
    **known: Unpack[Known],
) -> pd.DataFrame:
    """What drives the expected units of a product in the buckets that start in [start, end).

    The units sum to `mean` of these buckets in the `Forecast` that the same arguments give.

    Parameters
    ----------
    product_id
        Or unique_id, of the panel.
    start, end
        Stamps, naive = local, or whole numbers; None = the horizon's.
    trained
        What `train` made, where it serves this panel; None = train on this one, which takes as long
        as for a forecast.
    known
        See `forecast`.

    Returns
    -------
    product_id, starts_at, ends_at (of the buckets), driver (one of `DRIVERS`), part (of the
    driver: an event's type, a kind of day, the member that saw it), units. Drivers are switched on
    in their order, so each one's units are those it adds to what is before it; parts of a driver
    share theirs evenly (Shapley 1953).

    Raises
    ------
    ValueError
        When there is no such product, or no bucket in the window, or a bound of another type than
        the buckets' starts.
    RefitNeeded
        When `trained` doesn't serve this panel.
    """
    check_panel(panel)
    check_horizon(horizon)
    row = _row(panel, product_id)
    stamps = _stamps(panel, horizon, row)
    window = _window(stamps[:-1], start, end)
    work = begin(panel, horizon, **known)
    trained = learned(work, trained)
    fits = trained.aligned(work.basis.ids)
    fitted = dict(zip(trained.blend.members, fits, strict=True))
    units = explained(work.ready, trained.blend, fitted, row, window)
    told = pd.DataFrame(list(units), columns=["driver", "part"]).assign(units=list(units.values()))
    told["product_id"] = str(product_id)
    told["starts_at"], told["ends_at"] = stamps[window.start], stamps[window.stop]
    return told[COLUMNS]


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
        bounds.append(missing if stamp is None else int(starts.searchsorted(_bound(starts, stamp))))
    if bounds[0] >= bounds[1]:
        raise ValueError(
            f"no bucket starts in [{start}, {end}); the forecast has {starts[0]} … {starts[-1]}"
        )
    return slice(*bounds)


def _bound(starts: pd.Index[Any], stamp: Any) -> Any:
    """A bound of the window as the buckets' starts are; naive = local."""
    numbered = isinstance(stamp, int | float | np.number)
    try:
        if isinstance(starts, pd.DatetimeIndex) and not numbered:
            at = pd.Timestamp(stamp)
            return at.tz_localize(starts.tz) if at.tz is None else at.tz_convert(starts.tz)
    except (TypeError, ValueError) as error:
        raise ValueError(_NO_START.format(stamp, starts[0])) from error
    if numbered and not isinstance(starts, pd.DatetimeIndex):
        return stamp
    raise ValueError(_NO_START.format(stamp, starts[0]))
