"""What would help, in words: the effect of a change, and what it takes to reach the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from planning.expectation import Expectation
from planning.optimise import SPENT
from planning.problem import Array, Market
from planning.simulate import Outcome
from planning.spot import UNSERVED

NOTICEABLE = 0.5, 0.001  # seconds an order, and share on time: what is below both is nothing
WORTH_TELLING = 0.01  # of the late orders
NAMED = 3  # suppliers of whom other terms are named
MOST_MORE = 0.5  # of the working capital: how far the frontier goes beyond it
MOST_DIGITS = 6  # of a share in percent
CHANGES = {  # what is changed -> in words
    "capital": "{amount:,.0f} more working capital",
    "channel": "{amount:g} more spot channel at {supplier}",
    "lead_time": "{amount:.0%} of the lead time at {supplier}",
}


def on_time(share: float, target: float, digits: int = 0) -> str:
    """A share in percent; with more digits where rounding alone would make it reach the target."""
    if share >= target:
        return f"{share:.{digits}%}"
    finer = range(digits, MOST_DIGITS + 1)
    shown = [f"{share:.{more}%}" for more in finer]
    return next((text for text in shown if float(text[:-1]) < 100 * target - 1e-9), shown[-1])


def change(what: str, supplier_id: str, amount: float) -> str:
    """A change of terms in a few words, of the columns of that name in shadow_prices.csv."""
    return CHANGES[what].format(supplier=supplier_id, amount=amount)


def _noticeable(seconds: Array, gain: Array) -> Array:
    """Whether a change of minutes, in seconds (NaN = none), or of the share is worth a word."""
    least, share = NOTICEABLE
    return np.isfinite(seconds) & ((np.abs(seconds) >= least) | (np.abs(gain) >= share))


def effect(name: str, base: Expectation, result: Expectation) -> str:
    """One sentence: what the change of that name would do to minutes, share on time and spend."""
    seconds = 60 * (base.mean_minutes - result.mean_minutes)
    more = round(result.spend - base.spend)
    spend = f"{abs(more):,} {'higher' if more > 0 else 'lower'}" if more else "the same"
    gain = result.on_time_share - base.on_time_share
    if not _noticeable(np.array(seconds), np.array(gain)):
        return f"{name} would change next to nothing."
    return (
        f"{name} would {'spare' if seconds > 0 else 'cost'} {abs(seconds):.1f} seconds an "
        f"order ({base.mean_minutes:.2f} minutes become {result.mean_minutes:.2f}); on time "
        f"{result.on_time_share:.1%} instead of {base.on_time_share:.1%}, "
        f"spend {spend}."
    )


def capital_for(frontier: pd.DataFrame, target_share: float, most_spend: float) -> float:
    """Least capital on the frontier that reaches the target share at no more spend; NaN = none.

    Between two points the share on time is taken to be linear in capital.
    """
    fits = frontier[frontier["spend"] <= most_spend]
    reached = np.flatnonzero((fits["on_time_share"] >= target_share).to_numpy())
    if not len(reached):
        return float("nan")
    upto = fits.iloc[max(reached[0] - 1, 0) : reached[0] + 1]
    return float(np.interp(target_share, upto["on_time_share"], upto["capital"]))


def capital_advice(
    frontier: pd.DataFrame,
    *,
    capital: float,
    target_share: float,
    most_spend: float,
    left: float,
    least_line: float,
) -> str:
    """How much more capital reaches the target share, if any on the frontier does.

    `left` of the capital nothing has committed; the smallest line costs `least_line`, inf = none.
    """
    if capital <= 0:
        return "There is no working capital: nothing can be bought ahead."
    if left < 0:
        return (
            f"The lines that suppliers have confirmed commit {-left:,.2f} more than the working "
            "capital: nothing more can be bought ahead."
        )
    if len(frontier) == 1 and left < least_line < np.inf:
        return (
            f"{left:,.2f} of working capital is left, too little for any line: the smallest costs "
            f"{least_line:,.2f}."
        )
    if len(frontier) == 1:
        return (
            "Nothing more is worth buying ahead at these terms, nor would it be with half as much "
            "working capital again."
        )
    needed = capital_for(frontier, target_share, most_spend)
    if np.isnan(needed):
        return _out_of_reach(frontier, capital, target_share, most_spend)
    return (
        f"{100 * target_share:g}% on time would take about {max(needed - capital, 0.0):,.0f} more "
        f"working capital, {max(needed, capital):,.0f} in all."
    )


def _out_of_reach(
    frontier: pd.DataFrame, capital: float, target_share: float, most_spend: float
) -> str:
    """What to say where no point of the frontier reaches the target share at no more spend."""
    wanted = f"{100 * target_share:g}% on time"
    reached = frontier[frontier["on_time_share"] >= target_share]
    if len(reached):
        first = reached.iloc[0]
        return (
            f"{wanted} would take {first['capital']:,.0f} of working capital and "
            f"{first['spend'] - most_spend:,.2f} more spend than buying on demand."
        )
    best = frontier.iloc[-1]
    how_far = (
        f"with {best['capital']:,.0f} committed it is "
        f"{on_time(best['on_time_share'], target_share, digits=1)}"
    )
    if best["capital"] >= (1 - SPENT) * (1 + MOST_MORE) * capital:
        return (
            f"Half as much working capital again doesn't reach {wanted} yet: {how_far}, and more "
            "was not tried."
        )
    return f"More working capital alone doesn't reach {wanted}: {how_far}."


def late_by(market: Market, outcomes: Sequence[Outcome], target_minutes: float) -> Array:
    """[S + 2] shares of late orders: late by each supplier's queue, without one, and never served.

    An order is late by a queue if it would be on time without its wait.
    """
    suppliers = len(market.supplier_ids)
    count = np.zeros(suppliers + 2)
    for outcome in outcomes:
        late = ~(outcome.minutes <= target_minutes)
        jammed = late & (outcome.source >= 0) & (outcome.minutes - outcome.wait <= target_minutes)
        supplier = market.offer_supplier[outcome.source[jammed]]
        count[:-2] += np.bincount(supplier, minlength=suppliers)
        missed = (outcome.source == UNSERVED).sum()
        count[-2:] += late.sum() - jammed.sum() - missed, missed
    shares: Array = count / max(float(count.sum()), 1.0)
    return shares


def jam_advice(late: Array, supplier_ids: Array, prices: pd.DataFrame) -> list[str]:
    """The suppliers' terms that would help most, and how many late orders wait in their queues.

    Parameters
    ----------
    late
        [S + 2] as of `late_by`.
    prices
        Shadow prices with their words, the most minutes saved first.
    """
    share = dict(zip(supplier_ids, late[:-2], strict=True))
    seconds = 60 * prices["minutes_saved"].to_numpy()
    helpful = prices[
        prices["what"].isin(["channel", "lead_time"])
        & (seconds > 0)
        & _noticeable(seconds, prices["on_time_gain"].to_numpy())
    ].head(NAMED)
    told = [
        f"{row.words} {share[row.supplier_id]:.0%} of late orders are late by the queue at "
        f"{row.supplier_id}."
        if row.what == "channel" and share[row.supplier_id] >= WORTH_TELLING
        else str(row.words)
        for row in helpful.itertuples()
    ]
    alone, missed = late[-2:]
    if alone >= WORTH_TELLING:
        told.append(
            f"{alone:.0%} of late orders are late without a queue: their service alone takes "
            "longer than the target; only ready units make them fast."
        )
    if missed >= WORTH_TELLING:
        told.append(
            f"{missed:.0%} of late orders are served by nobody: no unit is ready, and no supplier "
            "that offers their product holds a licence then."
        )
    return told
