"""Queues with known answers, served by the replay's own queue.

Stationary queues are long simulated runs, several independent ones, so that the difference to the
formula can be held against a standard error. The peak is a fluid: a very fine stream of orders.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from instances import single
from results import answer
from scipy.optimize import brentq

from planning.problem import Array
from planning.spot import SpotMarket

RUNS, ORDERS = 100, 200_000  # many runs, so that the standard error is known well
WARM = 0.1  # share of a run that is not counted: it starts empty
Draw = Callable[[np.random.Generator, int], Array]


def waits(
    at: Array, minutes: float, channels: int, noise: Array, lots: Array | None = None
) -> Array:
    """Minutes [M] in the queue of one supplier; lots [B, 3] of ready units: since, until, units."""
    ready = np.empty((0, 3)) if lots is None else lots
    market = single(spot_minutes=np.array([minutes]), channels=np.array([channels]))
    run = SpotMarket(market).serve(
        at=at,
        product=np.zeros(len(at), dtype="int32"),
        quantity=np.ones(len(at), dtype="int64"),
        noise=noise,
        lot_product=np.zeros(len(ready), dtype="int64"),
        since=ready[:, 0],
        until=ready[:, 1],
        units=ready[:, 2],
    )
    return run.wait


def exponential(rng: np.random.Generator, size: int) -> Array:
    """Mean 1, squared coefficient of variation 1."""
    return rng.exponential(1.0, size)


def constant(_: np.random.Generator, size: int) -> Array:
    """Always 1."""
    return np.ones(size)


def wide(rng: np.random.Generator, size: int) -> Array:
    """Lognormal of mean 1 and squared coefficient of variation 4."""
    sigma = np.sqrt(np.log(5.0))
    return np.exp(rng.normal(-(sigma**2) / 2, sigma, size))


STATIONARY: list[tuple[str, float, float, int, Draw, float | None, float]] = [
    # name, orders and services a minute, channels, service law, P(wait), mean wait
    ("Erlang C 8, 1, 10", 8, 1, 10, exponential, 0.409180, 0.204590),
    ("Erlang C 10, 1, 12", 10, 1, 12, exponential, 0.449388, 0.224694),
    ("Erlang C 100, 1, 110", 100, 1, 110, exponential, 0.237008, 0.0237008),
    ("Erlang C 4, 2, 3", 4, 2, 3, exponential, 4 / 9, 2 / 9),
    ("M/D/1 at .8", 0.8, 1, 1, constant, None, 2.0),
    ("M/M/1 at .8", 0.8, 1, 1, exponential, None, 4.0),
    ("M/G/1 at .8, cs² 4", 0.8, 1, 1, wide, None, 10.0),
]


def stationary(runs: int = RUNS, orders: int = ORDERS) -> list[dict[str, object]]:
    """Erlang C and Pollaczek–Khinchine."""
    rows = []
    for number, (name, rate, speed, channels, law, waiting, mean) in enumerate(STATIONARY):
        found = np.empty((runs, 2))
        for run in range(runs):
            rng = np.random.default_rng([number, run])
            at = np.cumsum(rng.exponential(60 / rate, orders))
            wait = waits(at, 1 / speed, channels, law(rng, orders))[int(WARM * orders) :]
            found[run] = (wait > 1e-9).mean(), wait.mean()
        error = found.std(axis=0, ddof=1) / np.sqrt(runs)
        for column, (measure, known) in enumerate((("P(wait)", waiting), ("mean wait", mean))):
            if known is not None:
                rows.append(
                    answer(name, measure, found[:, column].mean(), known, error=error[column])
                )
    return rows


PEAK_MINUTES, PEAK_RATE = 30, 20
FINE = 100  # orders that make up one


def peak(per_minute: float, ahead: float = 0.0, *, spread: bool = False) -> float:
    """Mean minutes in the queue of a peak of 20 a minute for 30 minutes.

    Parameters
    ----------
    per_minute
        What the channels can do.
    ahead
        Share of the peak that is served from ready units: its last part, or every so many orders.
    """
    orders = PEAK_RATE * PEAK_MINUTES * FINE
    at = np.arange(orders) * 60 / (PEAK_RATE * FINE)
    if spread:
        count = np.floor(np.arange(1, orders + 1) * ahead)
        chosen = np.flatnonzero(np.diff(count, prepend=0.0))
        lots = np.stack([at[chosen], at[chosen] + 1e-3, np.ones(len(chosen))], axis=1)
    else:
        first = (1 - ahead) * PEAK_MINUTES * 60
        lots = np.array([[first, np.inf, float(round(ahead * orders))]])
    wait = waits(at, 1 / (per_minute * FINE), 1, np.ones(orders), lots)
    return float(wait.mean())


def peaks() -> list[dict[str, object]]:
    """The 20-a-minute peak, and how much of it must be pre-allocated for a mean wait of 5."""
    late = brentq(lambda x: peak(10, x) - 5, 0.3, 0.5, xtol=1e-5)
    even = brentq(lambda x: peak(10, x, spread=True) - 5, 0.2, 0.4, xtol=1e-5)
    name = "peak of 20 a minute"
    return [
        answer(name, "mean wait at 10 a minute", peak(10), 15.0, digit=0.1),
        answer(name, "mean wait at 15 a minute", peak(15), 5.0, digit=0.1),
        answer(name, "last share ahead for 5 minutes", late, 0.423, digit=0.001),
        answer(name, "even share ahead for 5 minutes", even, 0.271, digit=0.001),
    ]
