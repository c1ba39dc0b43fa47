"""The plan rules of docs/fulfilment.md: every plan is checked here before it is stored.

The checker shares the nouns and nothing else with the optimiser. A new rule is a function from a
`Proposal` to a sentence for each line that breaks it, registered under its name with `@rule`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from planning.limits import TOLERANCE, Limits
from planning.problem import DAY, HOUR, LINE_COLUMNS, Array, Market, Plan, clock_hours, plan_of

STAMPS = ("order_by", "available_from", "available_to")
TICK = 5e-7  # seconds: instants are kept to the microsecond


class RuleBroken(ValueError):
    """A plan breaks a rule; the message names every line and rule."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A plan with all that its rules refer to."""

    plan: Plan
    market: Market
    limits: Limits

    @property
    def supplier(self) -> Array:
        """[L] row in suppliers."""
        return self.market.offer_supplier[self.plan.offer]

    @property
    def direct(self) -> Array:
        """[L] True for reserved direct top-up slots."""
        return self.market.direct[self.market.offer_product[self.plan.offer]]

    @property
    def together(self) -> Plan:
        """The plan's lines, then those committed earlier."""
        return self.plan.joined(self.limits.committed)


@dataclass(frozen=True)
class Violation:
    """One rule broken by one line."""

    rule: str
    line_id: str
    message: str

    def __str__(self) -> str:
        return f"{self.line_id} breaks {self.rule}: {self.message}"


Findings = Iterator[tuple[int, str]]  # (row of the line, what is wrong)
RULES: dict[str, Callable[[Proposal], Findings]] = {}


def rule(name: str) -> Callable[[Callable[[Proposal], Findings]], Callable[[Proposal], Findings]]:
    """Register a rule under its name."""

    def register(check: Callable[[Proposal], Findings]) -> Callable[[Proposal], Findings]:
        RULES[name] = check
        return check

    return register


def _flag(broken: Array, sentence: Callable[[int], str]) -> Findings:
    for row in np.flatnonzero(broken):
        yield int(row), sentence(int(row))


@rule("qualified")
def _qualified(p: Proposal) -> Findings:
    until = p.market.qualified_until[p.supplier]
    late = np.maximum(p.plan.available_from, p.limits.as_of) >= until
    return _flag(
        late,
        lambda row: (
            f"supplier {p.market.supplier_ids[p.supplier[row]]!r} holds no valid licence "
            "at as-of and at available_from"
        ),
    )


@rule("min_order_qty")
def _minimum(p: Proposal) -> Findings:
    least = np.maximum(p.market.min_order_qty[p.plan.offer], 1)
    return _flag(
        p.plan.units < least, lambda row: f"{p.plan.units[row]} units, at least {least[row]} needed"
    )


@rule("pack_size")
def _pack(p: Proposal) -> Findings:
    pack = p.market.pack_size[p.plan.offer]
    return _flag(
        p.plan.units % pack != 0,
        lambda row: f"{p.plan.units[row]} units are no multiple of packs of {pack[row]}",
    )


@rule("order_by")
def _order_by(p: Proposal) -> Findings:
    return _flag(p.plan.order_by < p.limits.as_of - TICK, lambda _: "order_by lies before as-of")


@rule("lead_time")
def _lead_time(p: Proposal) -> Findings:
    lead = p.market.lead_time[p.plan.offer]
    return _flag(
        p.plan.available_from < p.plan.order_by + lead - TICK,
        lambda row: f"available_from is less than {lead[row] / 60:g} minutes after order_by",
    )


@rule("unit_cost")
def _unit_cost(p: Proposal) -> Findings:
    due = _prices(p)
    return _flag(
        p.plan.unit_cost != due,
        lambda row: f"unit_cost {p.plan.unit_cost[row]}, the offer and its tiers say {due[row]}",
    )


def _prices(p: Proposal) -> Array:
    """[L] the lower of the offer's price and the lowest of the tiers that the line reaches."""
    lines = pd.DataFrame({"offer": p.plan.offer, "units": p.plan.units})
    tiers = pd.DataFrame(
        {
            "offer": p.market.tier_offer,
            "least": p.market.tier_min_qty,
            "price": p.market.tier_unit_cost,
        }
    )
    reached = lines.reset_index().merge(tiers, on="offer").query("units >= least")
    lowest = reached.groupby("index")["price"].min().reindex(lines.index)
    own = p.market.unit_cost[p.plan.offer].astype(float)
    return np.asarray(np.fmin(own, lowest.to_numpy(dtype=float)))


@rule("horizon")
def _horizon(p: Proposal) -> Findings:
    end = p.limits.as_of + p.limits.horizon
    return _flag(
        p.plan.available_from >= end, lambda _: "available_from lies at or beyond the horizon's end"
    )


@rule("shelf_life")
def _shelf_life(p: Proposal) -> Findings:
    limit = p.market.shelf_life[p.market.offer_product[p.plan.offer]]
    span = p.plan.available_to - p.plan.available_from
    broken = ~p.direct & ~((span > 0) & (span <= limit + TICK))
    return _flag(
        broken,
        lambda row: f"available for {span[row] / DAY:g} days, 0 to {limit[row] / DAY:g} allowed",
    )


@rule("direct_window")
def _direct_window(p: Proposal) -> Findings:
    hour = clock_hours(p.plan.available_from, p.market.tz)
    inside = (p.plan.available_to > p.plan.available_from) & (
        p.plan.available_to <= hour + HOUR + TICK
    )
    return _flag(p.direct & ~inside, lambda _: "a direct slot must lie within one clock hour")


@rule("max_units_per_hour")
def _hourly(p: Proposal) -> Findings:
    every = p.together
    hours = clock_hours(every.available_from, p.market.tz)
    frame = pd.DataFrame({"offer": every.offer, "hour": hours, "units": every.units})
    total = frame.groupby(["offer", "hour"])["units"].transform("sum").to_numpy()[: len(p.plan)]
    cap = p.market.max_units_per_hour[p.plan.offer]
    return _flag(
        total > cap, lambda row: f"{total[row]} units within its clock hour, {cap[row]:g} allowed"
    )


@rule("max_units")
def _max_units(p: Proposal) -> Findings:
    every = p.together
    total = np.bincount(every.offer, every.units, minlength=len(p.market.unit_cost))[p.plan.offer]
    cap = p.market.max_units[p.plan.offer]
    return _flag(
        total > cap, lambda row: f"{total[row]:g} units of its offer, {cap[row]:g} allowed a plan"
    )


@rule("working_capital")
def _capital(p: Proposal) -> Findings:
    total = float(_spent(p).sum())
    if total > p.limits.working_capital * (1 + TOLERANCE):
        yield -1, f"the lines commit {total:.2f}, working_capital is {p.limits.working_capital:.2f}"


def _spent(p: Proposal) -> Array:
    """[S] money at each supplier, committed lines included."""
    every = p.together
    supplier = p.market.offer_supplier[every.offer]
    money = every.units * every.unit_cost
    spent = np.bincount(supplier, money, minlength=len(p.market.supplier_ids))
    return np.asarray(spent + p.limits.unlisted)


def _per_supplier(p: Proposal, cap: Array, what: str) -> Findings:
    spent = _spent(p)
    asked = np.isin(np.arange(len(spent)), p.supplier)  # others are past changing
    for row in np.flatnonzero(asked & (spent > cap * (1 + TOLERANCE))):
        name = p.market.supplier_ids[row]
        yield -1, f"{spent[row]:.2f} goes to supplier {name!r}, {what} allows {cap[row]:.2f}"


@rule("credit_limit")
def _credit(p: Proposal) -> Findings:
    return _per_supplier(p, p.market.credit_limit, "credit_limit")


@rule("max_share")
def _share(p: Proposal) -> Findings:
    share = np.minimum(p.market.max_share, 1.0)
    return _per_supplier(p, share * float(_spent(p).sum()), "max_share")


def _malformed(frame: pd.DataFrame, market: Market) -> Iterator[Violation]:
    """What must hold before a row can be read as a line at all."""
    pairs = pd.MultiIndex.from_frame(frame[["supplier_id", "product_id"]])
    units = pd.to_numeric(frame["units"], errors="coerce").to_numpy(dtype=float)
    cost = pd.to_numeric(frame["unit_cost"], errors="coerce").to_numpy(dtype=float)
    broken = {
        "offer": (~pairs.isin(list(market.offer_rows())), "the supplier doesn't offer the product"),
        "whole_units": (~(units % 1 == 0), "units is no whole number"),
        "no_empty_value": (~np.isfinite(cost), "unit_cost is empty or infinite"),
        "no_empty_text": (
            frame[["line_id", "reason"]].isin(["", None]).any(axis=1).to_numpy(),
            "line_id or reason is empty",
        ),
        "line_id": (frame["line_id"].duplicated().to_numpy(), "the line_id came before"),
    }
    for name in STAMPS:
        stamps = frame[name]
        if not isinstance(stamps.dtype, pd.DatetimeTZDtype):
            broken[f"offset of {name}"] = (np.full(len(frame), True), "a time without its offset")
        else:
            broken[f"value of {name}"] = (stamps.isna().to_numpy(), "the time is empty")
    for rule_name, (mask, message) in broken.items():
        for line_id in frame["line_id"][mask]:
            yield Violation(rule_name, str(line_id), message)


def violations(frame: pd.DataFrame, market: Market, limits: Limits) -> list[Violation]:
    """Check the lines of a plan (columns of plan.csv, typed) against every rule.

    Malformed lines are told alone: the other rules can't be judged before they are mended.
    """
    missing = [name for name in LINE_COLUMNS if name not in frame.columns]
    if missing:
        raise ValueError(f"a plan needs the columns {', '.join(missing)}")
    found = list(_malformed(frame, market))
    if found or frame.empty:
        return found
    proposal = Proposal(plan=plan_of(frame, market), market=market, limits=limits)
    line_ids = [*frame["line_id"], "the plan"]
    return [
        Violation(name, line_ids[row], message)
        for name, check in RULES.items()
        for row, message in check(proposal)
    ]


def check(frame: pd.DataFrame, market: Market, limits: Limits) -> None:
    """Raise RuleBroken, naming every line and rule, unless the plan keeps them all."""
    found = violations(frame, market, limits)
    if found:
        raise RuleBroken("\n".join(str(violation) for violation in found))
