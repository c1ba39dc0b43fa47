"""From checked tables to a checked plan: demand, forecast, peaks, sampled futures, plan.

Data in, data out: nothing here touches a user's disk, the screen or the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecast import Forecast, Panel, find_peaks, forecast, panel_of_orders
from planning import rules
from planning.committed import (
    NOBODY,
    Committed,
    answered_short,
    committed,
    on_order,
    unanswered,
)
from planning.expectation import Aims
from planning.limits import Closed, Limits
from planning.marginals import line_details, with_rules
from planning.optimise import Solution, solve
from planning.problem import (
    Array,
    Market,
    Orders,
    Plan,
    epoch,
    lines,
    market,
    plan_of,
    stream,
)
from planning.scenarios import OrderMix, order_mix, past_instants, sample_future
from planning.sensitivity import Sensitivity, study
from planning.tables import Inputs
from planning.workspace import Workspace

RECENT_DAYS = 56  # of history that tell the sizes of orders
PATHS = 64  # sample paths of a forecast
FUTURES = (8, 64)  # of them that the plan is made for: the fewest, the most
SAMPLED_ORDERS = 25_000_000  # that all futures together should not exceed
HOURLY = pd.Timedelta(hours=1)
STREAMS = 3  # number of this purpose among the seed's; optimise has 1 and 2

Progress = Callable[[str, float], None]
Forecaster = Callable[..., Forecast]  # called as `forecast.forecast`


class NoPlanPossible(ValueError):
    """Nothing can be bought from anyone; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is known and expected about demand."""

    panel: Panel
    forecast: Forecast
    peaks: pd.DataFrame  # the rows of peaks.csv


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a run found, before it is written down."""

    market: Market
    demand: Demand
    solution: Solution
    sensitivity: Sensitivity  # what would help most
    lines: pd.DataFrame  # the rows of plan.csv
    details: pd.DataFrame  # the rows of plan_reasons.csv, a line each
    committed: Committed  # what suppliers have confirmed before, still to come


def order_rows(log: pa.Table) -> pd.DataFrame:
    """The columns of an order log that fulfilment needs."""
    wanted = ["product_id", "ordered_at", "quantity", "status", "segment"]
    rows: pd.DataFrame = log.select(wanted).to_pandas()
    return rows


@cache
def country_of(tz: str) -> str | None:
    """ISO code of the country whose clock `tz` is, for its holidays; None = of no country."""
    zones = resources.files("tzdata") / "zoneinfo"
    rows = [row.split("\t") for row in (zones / "zone.tab").read_text("utf-8").splitlines()]
    countries = {row[2]: row[0] for row in rows if not row[0].startswith("#")}
    links = [row.split() for row in (zones / "tzdata.zi").read_text("utf-8").splitlines()]
    other_names = {row[2]: row[1] for row in links if row[0] == "L"}  # PRC is Asia/Shanghai
    return countries.get(tz) or countries.get(other_names.get(tz, ""))


def limits_of(workspace: Workspace, as_of: pd.Timestamp) -> Limits:
    """What a plan of this workspace may use at `as_of`."""
    return Limits(
        as_of=as_of.timestamp(),
        horizon=workspace.horizon.total_seconds(),
        working_capital=workspace.working_capital,
    )


def aims_of(workspace: Workspace) -> Aims:
    """What the workspace wants of a plan."""
    return Aims(
        target_minutes=workspace.target_minutes,
        target_share=workspace.target_share,
        delay_cost=workspace.delay_cost_per_minute,
        capital_cost=workspace.capital_cost_per_year,
        segment_weight=workspace.segment_weight,
        worst_share=workspace.worst_share,
    )


def models_used(model: Array) -> dict[str, int]:
    """How many series each model or fallback forecast, by its name."""
    names, counts = np.unique(model.astype(str), return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def past_demand(workspace: Workspace, inputs: Inputs, as_of: pd.Timestamp) -> Panel:
    """Units and orders of every product in every bucket before as-of."""
    return panel_of_orders(
        inputs.orders,
        inputs.tables["products"]["product_id"].to_numpy(dtype=object),
        freq=workspace.freq,
        tz=workspace.timezone,
        as_of=as_of,
    )


def expect_demand(
    workspace: Workspace,
    inputs: Inputs,
    as_of: pd.Timestamp,
    *,
    seed: int,
    progress: Progress,
    forecaster: Forecaster = forecast,
) -> Demand:
    """Aggregate the order log and forecast every product over the horizon."""
    products, events = inputs.tables["products"], inputs.tables["events"]
    country = country_of(workspace.timezone)
    progress("demand", 0.0)
    panel = past_demand(workspace, inputs, as_of)
    progress("demand", 1.0)
    ahead = _forecast(workspace, inputs, panel, seed=seed, progress=progress, forecaster=forecaster)
    peaks = find_peaks(ahead, panel, events, products=products, country=country)
    return Demand(panel=panel, forecast=ahead, peaks=peaks)


def _forecast(
    workspace: Workspace,
    inputs: Inputs,
    panel: Panel,
    *,
    seed: int,
    progress: Progress,
    forecaster: Forecaster = forecast,
) -> Forecast:
    return forecaster(
        panel,
        int(workspace.horizon / pd.Timedelta(workspace.freq)),
        products=inputs.tables["products"],
        events=inputs.tables["events"],
        country=country_of(workspace.timezone),
        n_paths=PATHS,
        seed=seed,
        progress=progress,
    )


def expect_orders(
    workspace: Workspace, inputs: Inputs, panel: Panel, *, seed: int, progress: Progress
) -> Forecast:
    """Forecast the number of orders of every product: channels jam by orders, not by units."""
    return _forecast(
        workspace,
        inputs,
        panel.counted(),
        seed=seed,
        progress=lambda step, share: progress(f"orders: {step}", share),
    )


def recent_mix(panel: Panel, orders: pa.Table, as_of: pd.Timestamp) -> OrderMix:
    """Sizes, segments and instants of the last weeks' orders.

    Those of a product and bucket in which some were fake are left out.
    """
    since = (as_of - pd.Timedelta(days=RECENT_DAYS)).tz_convert("UTC")
    recent = orders.filter(
        pc.and_(
            pc.greater_equal(orders["ordered_at"], pa.scalar(since, orders["ordered_at"].type)),
            pc.not_equal(orders["status"], "cancelled"),
        )
    )
    ids = pa.array(panel.ids, orders["product_id"].type)
    product = pc.index_in(recent["product_id"], value_set=ids).to_numpy()
    at = epoch(recent["ordered_at"].to_pandas())
    bucket = pd.Timedelta(panel.freq).total_seconds()
    start = epoch(pd.DatetimeIndex(panel.future(1)))[0]
    real = ~_among_fakes(panel, product, np.floor((at - start) / bucket), start, bucket)
    return replace(
        order_mix(recent.filter(pa.array(real)), product[real], len(panel.ids)),
        instants=past_instants(at[real], start, bucket),
    )


def _among_fakes(panel: Panel, product: Array, number: Array, start: float, bucket: float) -> Array:
    """[M] True for orders of a product and bucket (its number since `start`) with fake orders."""
    if panel.marks is None:
        return np.zeros(len(product), dtype=bool)
    fake = panel.marks[panel.marks["kind"] == "fake_orders"]
    row = pd.Index(panel.ids).get_indexer(pd.Index(fake["product_id"], dtype=object))
    burst = np.round((epoch(pd.DatetimeIndex(fake["ds"])) - start) / bucket)
    cells = pd.MultiIndex.from_arrays([row, burst])
    return np.asarray(pd.MultiIndex.from_arrays([product, number]).isin(cells))


def sample_streams(arrivals: Forecast, freq: str, mix: OrderMix, seed: int) -> list[Orders]:
    """Streams of orders, one for each sample path of a forecast of order counts."""
    starts = epoch(pd.DatetimeIndex(arrivals.ds))
    bucket = pd.Timedelta(freq).total_seconds()
    rng = stream(seed, STREAMS)
    expected = max(float(arrivals.mean.sum()), 1.0)
    futures = int(np.clip(SAMPLED_ORDERS / expected, *FUTURES))
    return [sample_future(path, starts, bucket, mix, rng) for path in arrivals.paths[:futures]]


def sampled_futures(
    workspace: Workspace,
    inputs: Inputs,
    panel: Panel,
    as_of: pd.Timestamp,
    *,
    seed: int,
    progress: Progress,
) -> list[Orders]:
    """Forecast the orders of every product and draw the streams that a plan is made for.

    They begin at as-of itself: what comes in the rest of a bucket that as-of cuts in two jams the
    next one, too.
    """
    seen, first = panel, panel.future(1)[0]
    if first > as_of:
        seen = replace(panel, ds=panel.ds[:-1], y=panel.y[:, :-1], orders=_but_last(panel.orders))
        workspace = replace(workspace, horizon=workspace.horizon + pd.Timedelta(workspace.freq))
    arrivals = expect_orders(workspace, inputs, seen, seed=seed, progress=progress)
    mix = recent_mix(panel, inputs.orders, as_of)
    streams = sample_streams(arrivals, workspace.freq, mix, seed)
    return [each.between(as_of.timestamp(), np.inf) for each in streams]


def _but_last(counts: Array | None) -> Array | None:
    return None if counts is None else counts[:, :-1]


def require_sellers(sellers: Market, as_of: pd.Timestamp) -> None:
    """Raise NoPlanPossible unless some supplier that offers anything holds a licence."""
    licensed = sellers.qualified_until > as_of.timestamp()
    if not licensed[sellers.offer_supplier].any():
        raise NoPlanPossible(
            f"no plan is possible: at {as_of.isoformat()} no supplier with an offer has a "
            f"licence_no and a licence_valid_until that has not passed "
            f"({len(sellers.supplier_ids)} suppliers, {int(licensed.sum())} licensed); "
            "renew the licences in the suppliers table"
        )


@dataclass(frozen=True, kw_only=True)
class Before:
    """An earlier plan, not ordered yet, that the new one should stay near to."""

    lines: pd.DataFrame  # the rows of its plan.csv
    freeze: pd.Timedelta  # lines to be ordered within this from as-of are kept as they are


def decide(
    workspace: Workspace,
    inputs: Inputs,
    as_of: pd.Timestamp,
    *,
    seed: int,
    progress: Progress,
    before: Before | None = None,
    answered: pd.DataFrame = NOBODY,
) -> Decision:
    """Forecast, find peaks, plan (near the plan before, if one is given) and check the plan.

    `answered`: what suppliers have answered (`requests.ANSWERED`): the plan is made around lines
    that are still to come, and doesn't ask again for what a supplier doesn't have.

    Raises
    ------
    NoPlanPossible
        When no supplier that offers anything holds a licence.
    planning.rules.RuleBroken
        When the optimiser broke a plan rule: nothing may be stored then.
    """
    sellers = market(inputs.tables, workspace.timezone)
    require_sellers(sellers, as_of)
    previous = None if before is None else _previous(before, answered, sellers)
    demand = expect_demand(workspace, inputs, as_of, seed=seed, progress=progress)
    streams = sampled_futures(workspace, inputs, demand.panel, as_of, seed=seed, progress=progress)
    bound = committed(on_order(answered, as_of), sellers)
    closed = Closed(*answered_short(answered, sellers))
    limits = limits_of(workspace, as_of)
    limits = replace(
        limits,
        working_capital=max(limits.working_capital - bound.stray, 0.0),
        committed=bound.plan,
        unlisted=bound.unlisted,
        closed=closed,
    )
    aims = aims_of(workspace)
    solution = solve(
        sellers,
        streams,
        limits,
        aims,
        seed=seed,
        progress=progress,
        previous=previous,
        freeze=0.0 if before is None else before.freeze.total_seconds(),
    )
    details = line_details(solution, limits)
    rows = lines(solution.plan, sellers, with_rules(solution.reasons, details))
    rules.check(rows, sellers, limits)
    return Decision(
        market=sellers,
        demand=demand,
        solution=solution,
        sensitivity=study(solution, limits, aims, seed=seed, progress=progress),
        lines=rows,
        details=details,
        committed=bound,
    )


def _previous(before: Before, answered: pd.DataFrame, sellers: Market) -> Plan:
    """The lines of the plan before that nobody has answered, of offers that are still there."""
    lines, known = unanswered(before.lines, answered), sellers.offer_rows()
    pairs = zip(lines["supplier_id"], lines["product_id"], strict=True)
    return plan_of(lines[np.array([pair in known for pair in pairs], dtype=bool)], sellers)
