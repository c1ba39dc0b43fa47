"""Spot channels and service times such that buying on demand averages about 15 minutes.

Channels are whole numbers, so they are found first, in proportion to each supplier's work; one
common factor on the service times then does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from planning.market.reference import stream
from planning.market.suppliers import Supply
from planning.problem import Array, Market, Orders, Plan
from planning.replay import replay

REACTIVE_MINUTES = 15.0
REPLAYS = 5  # random service times averaged over
FACTORS = (0.87, 1.25)  # of service times
SPOT_RANGE = (2.0, 6.0)  # minutes
STEPS = 14


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What the calibration chose."""

    channels: Array  # [S] int
    spot_minutes: Array  # [O]
    reactive_mean_minutes: float


def tune(market: Market, orders: Orders, supply: Supply, *, horizon: float, seed: int) -> Tuned:
    """Channels, then service times, by bisection on the replayed mean of the test orders."""
    base = market.spot_minutes
    work = supply.load * len(orders) * float(base.mean()) * 60 / horizon  # mean busy channels

    def scaled(channels: Array, factor: float) -> Market:
        minutes = np.clip(base * factor, *SPOT_RANGE).round(3)
        return replace(market, channels=channels, spot_minutes=minutes)

    def mean(candidate: Market) -> float:
        served = [
            replay(
                candidate,
                orders,
                Plan.empty(),
                as_of=float(orders.at[0]) if len(orders) else 0.0,
                horizon=horizon,
                target_minutes=5.0,
                rng=stream(seed, "calibration", number),
            )
            for number in range(REPLAYS)
        ]
        return float(np.mean([np.nanmean(one.minutes) for one in served]))

    room = _falling(lambda room: mean(scaled(_channels(work, room), 1.0)), 0.3, 6.0)
    channels = _channels(work, room)
    factor = _rising(lambda factor: mean(scaled(channels, factor)), *FACTORS)
    best = scaled(channels, factor)
    return Tuned(
        channels=channels,
        spot_minutes=best.spot_minutes,
        reactive_mean_minutes=mean(best),
    )


def _channels(work: Array, room: float) -> Array:
    """`room` times the work, at least two channels; one where a market is tiny."""
    fewest = 2 if work.sum() > 2 * len(work) else 1
    return np.maximum(np.round(work * room), fewest).astype("int64")


def _rising(value: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function meets REACTIVE_MINUTES, or the nearer end."""
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if value(middle) < REACTIVE_MINUTES else (low, middle)
    return (low + high) / 2


def _falling(value: Callable[[float], float], low: float, high: float) -> float:
    return -_rising(lambda x: value(-x), -high, -low)
