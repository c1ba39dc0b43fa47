"""What people should know of a run, in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast import Forecast
from planning.decide import HOURLY, Decision, country_of
from planning.optimise import ROUNDING, Solution
from planning.problem import Array, Market, instant
from planning.tables import Inputs
from planning.workspace import Workspace

LEAST_UNITS = 1.0  # expected in the horizon, of a product that is worth a note
SHOWN = 5  # products that a note names


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
    demand = decision.demand
    since, until = demand.panel.future(1)[0], pd.Timestamp(demand.forecast.ds[-1])
    sellers = [
        *unsold(decision.market, since, demand.forecast.mean.sum(axis=1)),
        *lapsing(decision.market, since, until),
    ]
    dearer = spending_more(decision.solution, workspace.delay_cost_per_minute)
    return [*inputs.notes, *ahead, *sellers, *decision.committed.notes, *dearer]


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


def _sold_until(sellers: Market) -> Array:
    """[N] instant from which no supplier may sell a product; -inf = none ever."""
    last = np.full(len(sellers.product_ids), -np.inf)
    np.maximum.at(last, sellers.offer_product, sellers.qualified_until[sellers.offer_supplier])
    return last


def unsold(sellers: Market, since: pd.Timestamp, units: Array) -> list[str]:
    """A note on products that nobody may sell at all, of which `units` [N] are expected."""
    nobody = (_sold_until(sellers) <= since.timestamp()) & (units >= LEAST_UNITS)
    if not nobody.any():
        return []
    named, count = sellers.product_ids[nobody][:SHOWN], int(nobody.sum())
    shown = ", ".join([*map(repr, named), *["…"] * (count > SHOWN)])
    return [
        f"nobody may sell {'1 product' if count == 1 else f'{count:,} products'} ({shown}), of "
        f"which {units[nobody].sum():,.0f} units are expected: no supplier that holds a licence "
        "offers them, so only stock on hand and lines on order serve their orders; see the tables "
        "offers and suppliers"
    ]


def lapsing(sellers: Market, since: pd.Timestamp, until: pd.Timestamp) -> list[str]:
    """A note on products that nobody may sell any more before the horizon is over."""
    last = _sold_until(sellers)
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
