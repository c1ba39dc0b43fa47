"""What no forecast can beat: python oracle.py market BENCH; writes what peers.py writes.

The oracle knows how the sample market is made: every level, every calendar factor, the size of
each announced event that is to come, and the random factors up to the origin. What follows it
draws as the market itself was drawn, many times over.
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from ours import store
from sets import CACHE
from sources import load

from forecast import LEVELS
from forecast.demand import Array
from planning.market.days import Days
from planning.market.demand import MILLIS_PER_HOUR, Demand, Noise, noise
from planning.market.events import Lifts, announced, joined, unannounced
from planning.market.reference import stream
from planning.market.world import kept, world

NAME = "oracle"
DRAWS = 1000


def quantiles(source: Demand, first: int, horizon: int) -> Array:
    """[N, H, Q] of the units that come in the `horizon` hours from day `first` on."""
    told = announced(source.shop, source.days, source.seed)[0]
    spikes = unannounced(source.shop, source.days, source.seed)
    begun = _of(spikes, spikes.start < first * 24)
    source = replace(source, lifts=joined(told, begun))
    past = Noise(**{f.name: _until(source, f.name, first) for f in fields(Noise)})
    draws = np.stack([_draw(source, past, first, horizon, k) for k in range(DRAWS)])
    return np.quantile(draws, LEVELS, axis=0).transpose(1, 2, 0)


def _draw(source: Demand, past: Noise, first: int, horizon: int, number: int) -> Array:
    """[N, H] units of one possible future."""
    days = horizon // 24
    seed = source.seed + 1_000_003 * (number + 1)  # of the draw: the market's own is what came
    rest = noise(stream(seed, "noise"), days, source.shop, after=past)
    whole = {f.name: np.r_[getattr(past, f.name), getattr(rest, f.name)] for f in fields(Noise)}
    ahead = _slice(source.days, first, first + days)
    spikes = unannounced(source.shop, ahead, seed)
    lifts = joined(source.lifts, replace(spikes, start=spikes.start + first * 24))
    drawn = replace(source, seed=seed, lifts=lifts, noise=Noise(**whole))
    return np.concatenate([ordered(drawn, day) for day in range(first, first + days)], axis=1)


def ordered(source: Demand, day: int) -> Array:
    """[N, 24] units ordered on one day and not cancelled."""
    rows = kept(source, day)
    cell = rows.product.astype(np.int64) * 24 + rows.millis // MILLIS_PER_HOUR - day * 24
    size = len(source.shop) * 24
    return np.bincount(cell, weights=rows.quantity, minlength=size).reshape(-1, 24)


def _until(source: Demand, name: str, day: int) -> Array:
    steps = day * 24 if name.endswith("hour") else day
    return getattr(source.noise, name)[:steps]


def _of(lifts: Lifts, rows: Array) -> Lifts:
    return Lifts(**{f.name: getattr(lifts, f.name)[rows] for f in fields(Lifts)})


def _slice(days: Days, first: int, last: int) -> Days:
    kind, festival = days.kind[first:last], days.festival[first:last]
    return Days(first=days.date(first), kind=kind, festival=festival, test=0)


def main(bench: Path) -> None:
    """Every origin in turn."""
    data = load("market", bench)
    assert data is not None
    made = json.loads((CACHE / "market" / "market.json").read_text())
    source = world(
        days=made["days"], products=made["products"], seed=made["seed"], price_spread=2.0
    ).source
    store(data, NAME, lambda origin: quantiles(source, origin // 24, data.horizon))


if __name__ == "__main__":
    main(Path(sys.argv[2]))
