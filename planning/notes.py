"""What people should know of a run, in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast import Forecast
from planning.decide import HOURLY, Decision, country_of
from planning.optimise import ROUNDING, Solution
from planning.problem import Market, instant
from planning.tables import Inputs
from planning.workspace import Workspace


def forecast_notes(workspace: Workspace, ahead: Forecast) -> list[str]:
    """What people should know of the history and the calendar that a forecast stands on."""
    told = _silent_since(ahead, pd.Timedelta(workspace.freq))
    if country_of(workspace.timezone) is None:
        told.append(
            f"{workspace.timezone} is the clock of no country, so no public holidays are assumed; "
            "name a city's zone in data.timezone, or list the holidays in events"
        )
    told += [
        f"{year} is provisional: its official holiday notice is not out, so days off are assumed "
        "where they usually fall and make-up workdays are not known; the forecast may change "
        "when the notice comes"
        for year in ahead.provisional
    ]
    return told


def notes_of(workspace: Workspace, inputs: Inputs, decision: Decision) -> list[str]:
    """What people should know of a run."""
    ahead = forecast_notes(workspace, decision.demand.forecast)
    until = pd.Timestamp(decision.demand.forecast.ds[-1])
    lapse = lapsing(decision.market, decision.demand.panel.future(1)[0], until)
    dearer = spending_more(decision.solution, workspace.delay_cost_per_minute)
    return [*inputs.notes, *ahead, *lapse, *decision.committed.notes, *dearer]


def spending_more(solution: Solution, delay_cost: float) -> list[str]:
    """A note on a plan that costs more than buying on demand, and what it has for that."""
    plan, before = solution.predicted, solution.before
    more = plan.cost - max(before.cost, solution.reactive.cost)
    if more <= ROUNDING * plan.cost:
        return []
    spared = before.delay() - plan.delay()
    return [
        f"the plan is expected to cost {more:,.2f} more than buying on demand, for {spared:,.0f} "
        f"order-minutes less of waiting, worth {delay_cost * spared:,.2f} at delay_cost_per_minute "
        f"= {delay_cost:g}: lower that if it is less to you"
    ]


def lapsing(sellers: Market, since: pd.Timestamp, until: pd.Timestamp) -> list[str]:
    """A note on products that nobody may sell any more before the horizon is over."""
    last = np.full(len(sellers.product_ids), -np.inf)
    np.maximum.at(last, sellers.offer_product, sellers.qualified_until[sellers.offer_supplier])
    gone = (last > since.timestamp()) & (last <= until.timestamp())
    if not gone.any():
        return []
    first = instant(float(last[gone].min()), sellers.tz)
    return [
        f"from {first.isoformat()} on no supplier that offers them holds a licence for "
        f"{int(gone.sum())} products: their orders can only be served from units that are "
        "ready then; renew licences in the suppliers table"
    ]


def _silent_since(ahead: Forecast, bucket: pd.Timedelta) -> list[str]:
    """A log that ended before as-of, which may cut the last bucket in two."""
    if ahead.cleaning is None:
        return []
    gaps, until = ahead.cleaning[ahead.cleaning["kind"] == "gap"], pd.Timestamp(ahead.ds[0])
    return [
        f"no order of any product since {since.isoformat()}, {(until - since) / HOURLY:,.0f} hours "
        "before the forecast begins: they count as not observed; is the orders table up to date, "
        "and as-of right?"
        for since in gaps.loc[gaps["ends_at"] >= until - bucket, "starts_at"]
    ]
