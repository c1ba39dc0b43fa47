"""Customers' demand: the calendar × events × correlated noise -> arrivals, one day at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planning.market.days import Days, levels
from planning.market.events import Lifts
from planning.market.products import Catalogue
from planning.market.reference import hour_shares, stream
from planning.problem import SEGMENTS, Array

MILLIS_PER_HOUR = 3_600_000
RAMP_HOURS = 36.0  # a new product's way to its full demand
BURST_SHAPE = 12.0  # gamma shape of a product-hour's own noise

# Shared noise, standard deviation of the log and correlation with the day or hour before.
MARKET_DAY, MARKET_HOUR = (0.045, 0.6), (0.04, 0.8)
FAMILY_DAY, FAMILY_HOUR = (0.05, 0.6), (0.05, 0.8)
PRODUCT_DAY = (0.18, 0.8)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Logs of random factors of demand on D days; F families, N products."""

    market_day: Array  # [D, 1]
    family_day: Array  # [D, F]
    market_hour: Array  # [24 D, 1]
    family_hour: Array  # [24 D, F]
    product_day: Array  # [D, N]


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Everything that a day's arrivals are drawn from; F families, S segments, D days."""

    seed: int
    shop: Catalogue
    days: Days
    lifts: Lifts
    gap: tuple[int, int]  # the outage: first hour, hours
    level: Array  # [S, F, D]
    shares: Array  # [S, F, day type, 24]
    noise: Noise


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """Orders [M] of some days, before anything became of them."""

    millis: Array  # [M] int64 since the first day's midnight
    product: Array  # [M] int32
    segment: Array  # [M] int8: row of SEGMENTS
    quantity: Array  # [M] int64

    def __len__(self) -> int:
        return len(self.millis)


def demand(shop: Catalogue, days: Days, lifts: Lifts, gap: tuple[int, int], seed: int) -> Demand:
    """Lays out the calendar and draws the shared noise."""
    level = np.array([[levels(days, _profile(s, f)) for f in shop.families] for s in SEGMENTS])
    shares = np.array([[hour_shares(_profile(s, f)) for f in shop.families] for s in SEGMENTS])
    return Demand(
        seed=seed,
        shop=shop,
        days=days,
        lifts=lifts,
        gap=gap,
        level=level,
        shares=shares,
        noise=noise(stream(seed, "noise"), len(days), shop),
    )


def _profile(segment: str, family: str) -> str:
    return family if segment == "individual" else segment


def noise(
    rng: np.random.Generator, days: int, shop: Catalogue, after: Noise | None = None
) -> Noise:
    """Draws `days` days of it; with `after`, the days that follow those."""

    def path(name: str, steps: int, series: int, sd: float, phi: float) -> Array:
        last = None if after is None else getattr(after, name)[-1]
        return ar1(rng, steps, series, sd, phi, last)

    families = len(shop.families)
    return Noise(
        market_day=path("market_day", days, 1, *MARKET_DAY),
        family_day=path("family_day", days, families, *FAMILY_DAY),
        market_hour=path("market_hour", days * 24, 1, *MARKET_HOUR),
        family_hour=path("family_hour", days * 24, families, *FAMILY_HOUR),
        product_day=path("product_day", days, len(shop), *PRODUCT_DAY),
    )


def ar1(
    rng: np.random.Generator,
    steps: int,
    series: int,
    sd: float,
    phi: float,
    last: Array | None = None,
) -> Array:
    """[steps, series] stationary AR(1) paths with standard deviation `sd`, less sd²/2.

    The shift makes the exponential average one. `last` [series] is what came before the first step.
    """
    shocks = rng.normal(0, sd, (steps, series))
    shocks[(last is None) :] *= np.sqrt(1 - phi**2)
    if last is not None:
        shocks[0] += phi * (last + sd**2 / 2)
    for step in range(1, steps):
        shocks[step] += phi * shocks[step - 1]
    return shocks - sd**2 / 2


def rates(source: Demand, day: int) -> Array:
    """[S, N, 24] expected orders of one day, all that is systematic and all shared noise in."""
    family = source.shop.family
    kind = source.days.kind[day]
    product_day = np.exp(source.noise.product_day[day]).astype("float32")
    base = source.shop.segment_share.T * source.shop.orders_per_day * product_day
    shape = source.level[:, :, day, None] * source.shares[:, :, kind] * _common(source.noise, day)
    rate = base[:, :, None] * shape[:, family]
    rate *= np.exp(_lift(source, day))
    return np.asarray(rate * _on_sale(source, day))


def _common(noise: Noise, day: int) -> Array:
    """[F, 24] factor of what whole families share on a day."""
    hours = slice(day * 24, day * 24 + 24)
    hourly = noise.market_hour[hours] + noise.family_hour[hours]
    daily = noise.market_day[day] + noise.family_day[day]
    return np.asarray(np.exp(daily[:, None] + hourly.T))


def _lift(source: Demand, day: int) -> Array:
    """[N, 24] log-lift of the day's events and spikes."""
    lifts, shop = source.lifts, source.shop
    lift = np.zeros((len(shop), 24))
    first = day * 24
    touches = (lifts.start < first + 24) & (lifts.start + lifts.hours > first)
    for event in np.flatnonzero(touches):
        age = first + np.arange(24) - lifts.start[event]
        within = (age >= 0) & (age < lifts.hours[event])
        fade = np.exp(-age / lifts.hours[event]) if lifts.decay[event] else np.ones(24)
        effect = lifts.log_lift[event] * np.where(within, fade, 0)
        product = lifts.product[event]
        if product >= 0:
            lift[product] += effect
        else:
            lift[shop.family == lifts.family[event]] += effect
    return lift * shop.sensitivity[:, None]


def _on_sale(source: Demand, day: int) -> Array:
    """[N, 24] 0 before launch and in the outage, rising to 1 after a launch."""
    hours = day * 24 + np.arange(24)
    launch = source.days.history * 24 - source.shop.launched
    age = hours - launch[:, None]
    with np.errstate(over="ignore"):
        sale = np.where(age >= 0, 1 - 0.75 * np.exp(-np.maximum(age, 0) / RAMP_HOURS), 0.0)
    start, length = source.gap
    sale[:, (hours >= start) & (hours < start + length)] = 0
    return np.asarray(sale)


def arrivals(source: Demand, day: int) -> Arrivals:
    """One day's orders in order of time: gamma-Poisson counts, spread within their hours."""
    rng = stream(source.seed, "counts", day)
    rate = rates(source, day)
    rate *= rng.gamma(BURST_SHAPE, 1 / BURST_SHAPE, rate.shape[1:])
    count = rng.poisson(rate)
    cell = np.repeat(np.arange(count.size), count.ravel())
    segment, product, hour = np.unravel_index(cell, count.shape)
    millis = (day * 24 + hour) * MILLIS_PER_HOUR + rng.integers(0, MILLIS_PER_HOUR, len(cell))
    quantity = _quantities(rng, segment)
    order = np.argsort(millis, kind="stable")
    return Arrivals(
        millis=millis[order],
        product=product[order].astype("int32"),
        segment=segment[order].astype("int8"),
        quantity=quantity[order],
    )


LOTS = (  # units of an order by segment, and how often
    ((1, 2, 3, 5), (0.91, 0.06, 0.02, 0.01)),
    ((1, 2, 3, 5, 10, 20), (0.15, 0.25, 0.20, 0.25, 0.12, 0.03)),
    ((1, 2, 3, 5, 10), (0.40, 0.20, 0.15, 0.17, 0.08)),
)


def mean_lots() -> Array:
    """[S] mean units of an order."""
    return np.array([np.dot(units, odds) for units, odds in LOTS])


def _quantities(rng: np.random.Generator, segment: Array) -> Array:
    draw = rng.random(len(segment))
    quantity = np.ones(len(segment), dtype="int64")
    for number, (units, odds) in enumerate(LOTS):
        mine = segment == number
        bounds = np.cumsum(odds)[:-1]
        quantity[mine] = np.array(units)[np.searchsorted(bounds, draw[mine], side="right")]
    return quantity
