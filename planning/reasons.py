"""Why a line is in the plan, in words: the jam it covers and how likely that jam is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from planning.problem import HOUR, Array, Plan, hour_of, instants
from planning.simulate import Future, Simulator
from planning.spot import UNSERVED
from planning.worth import hours_of_use

LIKELY = 0.05  # below this chance of a jam, a line is told as a saving, not as a relief
PEAK = 0.5  # from this chance of a jam on, its hours are told as a peak
MOSTLY = 0.5  # of a line's orders: where nobody else may serve more, that is told
RESCUE = "serves {:.1f} orders expected {} to {} that nobody may serve on spot then"
IDLE = "kept from the plan before; no spot order of the product is expected"
JAM_SHARE = 1 / 3  # hours next to a line's worst one belong to its peak from this share of it on


def spot_load(simulator: Simulator, starts: Array) -> tuple[Array, Array, Array]:
    """Buying no more ahead: work offered to each supplier, and where each product would go.

    Returns
    -------
    load : [K, S, T] minutes of work arriving in each clock hour, over its channels' minutes
    outlet : [N] the offer that serves most of the product's spot orders, -1 = none
    missed : [N, T] mean orders of each product and clock hour that nobody serves
    """
    market, futures = simulator.market, simulator.futures
    suppliers, hours = len(market.supplier_ids), len(starts)
    capacity = market.channels[:, None] * HOUR / 60
    load = np.zeros((len(futures), suppliers, hours))
    used = np.zeros(len(market.unit_cost))
    missed = np.zeros((len(market.product_ids), hours))
    outcomes = simulator.serve(Plan.empty())
    for number, (future, outcome) in enumerate(zip(futures, outcomes, strict=True)):
        spot = outcome.source >= 0
        offer = outcome.source[spot]
        hour = hour_of(future.orders.at[spot], starts)
        cell = market.offer_supplier[offer] * hours + hour
        work = np.bincount(cell, market.spot_minutes[offer], minlength=suppliers * hours)
        load[number] = work.reshape(suppliers, hours) / capacity
        used += np.bincount(offer, minlength=len(used))
        lost = outcome.source == UNSERVED
        late = hour_of(future.orders.at[lost], starts)
        np.add.at(missed, (future.orders.product[lost], late), 1 / len(futures))
    outlet = np.full(len(market.product_ids), -1)
    by_use = np.argsort(used, kind="stable")
    by_use = by_use[used[by_use] > 0]
    outlet[market.offer_product[by_use]] = by_use  # the last written is the most used
    return load, outlet, missed


def per_hour(products: int, futures: Sequence[Future], starts: Array) -> tuple[Array, Array]:
    """Mean orders and mean units [N, T] of each product in each clock hour."""
    hours = len(starts)
    orders, units = np.zeros(products * hours), np.zeros(products * hours)
    for future in futures:
        hour = hour_of(future.orders.at, starts)
        cell = future.orders.product.astype("int64") * hours + hour
        orders += np.bincount(cell, minlength=len(orders))
        units += np.bincount(cell, future.orders.quantity, minlength=len(units))
    shape = (products, hours)
    return orders.reshape(shape) / len(futures), units.reshape(shape) / len(futures)


def _peak_hours(heat: Array, use: Array) -> tuple[Array, Array]:
    """[L, T] heat within a line's hours of use -> [L] first hour of its peak and the hour after."""
    hours = np.arange(heat.shape[1])
    heat = np.where(use, heat, -1.0)
    worst = heat.argmax(axis=1)[:, None]
    outside = heat < JAM_SHARE * heat.max(axis=1, keepdims=True)
    begin = np.where(outside & (hours < worst), hours, -1).max(axis=1) + 1
    end = np.where(outside & (hours > worst), hours, len(hours)).min(axis=1)
    return begin, end


def reasons(simulator: Simulator, plan: Plan, starts: Array) -> list[str]:
    """One sentence for each line: the hours it is for and the chance that they jam on demand.

    They are the run of hours around the line's worst one (expected orders of the product times
    load of the supplier that would serve them on demand) with at least a third of its heat.
    """
    if not len(plan):
        return []
    market, futures = simulator.market, simulator.futures
    load, outlet, missed = spot_load(simulator, starts)
    orders, units = per_hour(len(market.product_ids), futures, starts)
    product = market.offer_product[plan.offer]
    supplier = market.offer_supplier[outlet[product]]
    heat = orders[product] * load.mean(axis=0)[supplier]
    use = hours_of_use(plan, units[product], starts)
    begin, end = _peak_hours(heat, use)
    inside = (np.arange(len(starts)) >= begin[:, None]) & (np.arange(len(starts)) < end[:, None])
    jammed = np.array([((one > 1)[supplier] & inside).any(axis=1) for one in load]).mean(axis=0)
    labels = instants(np.append(starts, starts[-1] + HOUR), market.tz)
    spot_price = np.maximum(market.spot_unit_cost[outlet[product]], 1e-9)
    text = pd.DataFrame(
        {
            "jam": jammed,
            "hours": _clock(labels, "%a %H:%M")[begin] + "–" + _clock(labels, "%H:%M")[end],
            "supplier": np.where(outlet[product] < 0, "", market.supplier_ids[supplier]),
            "orders": (orders[product] * inside).sum(axis=1),
            "saving": 1 - plan.unit_cost / spot_price,
        }
    )
    relieves = [_sentence(*row) for row in text.itertuples(index=False, name=None)]
    rescues = _rescues(orders[product] * use, missed[product] * use, labels)
    return [one or other for one, other in zip(rescues, relieves, strict=True)]


def _clock(labels: pd.DatetimeIndex, form: str) -> Array:
    """[T] local times as text, with their offset where the clocks show them twice."""
    twice = labels.tz_localize(None).duplicated(keep=False)
    offset = [f" {at.isoformat()[-6:]}" for at in labels]
    return labels.strftime(form).to_numpy(dtype=object) + np.where(twice, offset, "")


def _rescues(orders: Array, missed: Array, labels: pd.DatetimeIndex) -> list[str]:
    """A reason [L] for lines whose orders [L, T] mostly are `missed` [L, T] otherwise; else ""."""
    hour = _clock(labels, "%a %H:%M")
    since = hour[(missed > 0).argmax(axis=1)]
    until = hour[missed.shape[1] - (missed > 0)[:, ::-1].argmax(axis=1)]
    alone = missed.sum(axis=1)
    words = [RESCUE.format(*row) for row in zip(alone, since, until, strict=True)]
    mostly = alone > MOSTLY * orders.sum(axis=1)
    return [text if rescues else "" for text, rescues in zip(words, mostly, strict=True)]


def _sentence(jam: float, hours: str, supplier: str, orders: float, saving: float) -> str:
    """A reason; `supplier` serves the product on demand, "" = nobody does."""
    expected = f"{orders:.1f} orders expected"
    if not supplier:
        return IDLE
    if jam >= PEAK:
        return f"covers {hours} peak, {jam:.0%} likely above {supplier}'s spot capacity; {expected}"
    if jam >= LIKELY:
        return (
            f"covers {hours}, when {supplier}'s spot channels jam in {jam:.0%} of futures; "
            f"{expected}"
        )
    side = "below" if saving >= 0 else "above"
    return f"serves {expected} {hours} at once, {abs(saving):.1%} {side} the spot price"
