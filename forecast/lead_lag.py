"""What an announced event does to the days around it: ramps before it, dips after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forecast.calendars import AROUND_HOURS, Clock, Events, buckets_around
from forecast.demand import Array

EDGES = np.array([6.0, 24.0, AROUND_HOURS])  # hours from an event at which the parts of a side end
SIDES = ("before", "after")  # the start, the end
_BASE_DAYS = 14  # on both sides of an event, whose calm buckets tell the usual level
_LEAST_DAYS = 3  # of them
_NOISE, _LEVEL = 2.0, 0.2  # variance of orders over their mean; error of a level's logarithm
_CHANCE, _SLAB = 0.1, 0.5  # that a part of a side differs; how far its logarithm then does
_SPIKE = 0.03  # how far it seems to where it doesn't: no level is known better
_TWICE = 2  # events of a kind that must have been seen


@dataclass(frozen=True, kw_only=True)
class LeadLag:
    """Factors on the buckets around events, and whose surroundings a bucket lies in."""

    factor: Array  # float [kinds, 2, parts] before and after, nearest part first
    owner: Array  # int32 [N, L] nearest event, −1 = none is near or one is under way

    @property
    def acts(self) -> Array:
        """bool [kinds] whether a kind has any effect."""
        return np.asarray(np.any(self.factor != 1, axis=(1, 2)))

    def boost(self, events: Events, width: float) -> Array:
        """float32 [N, L] factor of each bucket."""
        found: Array = np.ones(self.owner.shape, dtype=np.float32)
        for e, kind in enumerate(events.kind):
            rows = _rows(events, e, len(found))
            for at in _around(events, e, width, found.shape[1]) if self.acts[kind] else ():
                side, part = _place(events, e, at, width)
                factor = self.factor[kind, side, part]
                found[rows, at] = np.where(self.owner[rows, at] == e, factor, found[rows, at])
        return found

    def touched(self, events: Events) -> Array:
        """bool [N, L] buckets near an event of a kind that has any effect."""
        return np.asarray((self.owner >= 0) & self.acts[events.kind][self.owner])

    def told(self, events: Events, row: int, at: Array, width: float) -> dict[str, Array]:
        """[K] factors of a product's buckets by what makes them, such as "after promotion"."""
        owner = self.owner[row, at]
        found: dict[str, Array] = {}
        for e in np.unique(owner[owner >= 0]):
            kind = int(events.kind[e])
            side, part = _place(events, int(e), at, width)
            for k, name in enumerate(SIDES):
                mine = (owner == e) & (side == k)
                if (self.factor[kind, k, part[mine]] != 1).any():
                    label = f"{name} {events.kinds[kind]}"
                    factor = np.where(mine, self.factor[kind, k, part], 1.0)
                    found[label] = found.get(label, np.ones(len(at))) * factor
        return found


def learn_lead_lag(
    y: Array,
    calm: Array,
    usual: Array,
    *,
    events: Events,
    clock: Clock,
    category: Array,
    order: Array,
) -> LeadLag | None:
    """Lead and lag effects (van Heerde, Leeflang & Wittink 2000) of each kind of event.

    Orders in parts of the two days around each event against the level of the calm weeks around
    it; of a kind's events the ratio of sums, shrunk by a spike and slab, so that what differs
    little or was seen once is 1. None where no kind has any.

    Parameters
    ----------
    y, calm
        [N, T] history; NaN = not observed, in `calm` also during events.
    usual
        [C, T] each category's demand by calendar and time of week, mean about 1.
    order
        [N] units that weigh as one order, above 0.
    """
    width = clock.hours
    owner = _nearest(events, (len(y), len(clock.slot)), width)
    if owner is None:
        return None
    base = _Base.of(np.where(owner[:, : y.shape[1]] < 0, calm, np.nan), usual, category, clock)
    came = np.zeros((len(events.kind), len(SIDES), len(EDGES)))
    told = np.zeros_like(came)
    for e in range(len(events.kind)):
        rows = _rows(events, e, len(y))
        level = base.level(rows, int(events.start[e]), int(events.stop[e])) / order[rows]
        for at in _around(events, e, width, y.shape[1]):
            side, part = _place(events, e, at, width)
            units = y[rows, at]
            seen = (owner[rows, at] == e) & np.isfinite(units) & (level > 0)[:, None]
            orders = np.where(seen, units / order[rows, None], 0).sum(axis=0)
            expected = np.zeros(orders.shape)
            for g, rate in enumerate(usual[:, at]):
                expected += rate * (level @ (seen & (category[rows] == g)[:, None]))
            np.add.at(came[e], (side, part), orders)
            np.add.at(told[e], (side, part), expected)
    factor = np.ones((len(events.kinds), len(SIDES), len(EDGES)))
    for kind in range(len(events.kinds)):
        factor[kind] = np.exp(_believed(came[events.kind == kind], told[events.kind == kind]))
    return LeadLag(factor=factor, owner=owner) if (factor != 1).any() else None


def _nearest(events: Events, shape: tuple[int, int], width: float) -> Array | None:
    """`LeadLag.owner`; None where buckets are too long for it."""
    if not np.isfinite(width) or width > EDGES[-1]:
        return None
    owner = np.full(shape, -1, dtype=np.int32)
    away = np.full(shape, np.iinfo(np.int16).max, dtype=np.int16)
    for e in range(len(events.kind)):
        rows = _rows(events, e, len(owner))
        under_way = slice(max(int(events.start[e]), 0), max(int(events.stop[e]), 0))
        away[rows, under_way], owner[rows, under_way] = 0, -1
        for at in _around(events, e, width, shape[1]):
            apart = _apart(events, e, at).astype(np.int16)
            nearer = apart < away[rows, at]
            owner[rows, at] = np.where(nearer, e, owner[rows, at])
            away[rows, at] = np.minimum(apart, away[rows, at])
    return owner


def _rows(events: Events, e: int, n: int) -> Array | slice:
    """Products that an event concerns; all of them as a slice, which is much faster."""
    rows = events.rows[e]
    return slice(None) if len(rows) == n else rows


def _around(events: Events, e: int, width: float, length: int) -> list[slice]:
    """Buckets in the two days before an event, and in those after it; none where there are none."""
    reach = buckets_around(width)
    start, stop = int(events.start[e]), int(events.stop[e])
    before = slice(max(start - reach, 0), max(min(start, length), 0))
    after = slice(max(stop, 0), min(stop + reach, length))
    return [side for side in (before, after) if side.start < side.stop]


def _apart(events: Events, e: int, at: Array | slice) -> Array:
    """[K] buckets from each one outside an event to it, the next one's being 1."""
    at = np.arange(at.start, at.stop) if isinstance(at, slice) else at
    before, after = events.start[e] - at, at - events.stop[e] + 1
    return np.asarray(np.where(at < events.start[e], before, after))


def _place(events: Events, e: int, at: Array | slice, width: float) -> tuple[Array, Array]:
    """Side and part [K] of an event's surroundings."""
    at = np.arange(at.start, at.stop) if isinstance(at, slice) else at
    hours = (_apart(events, e, at) - 0.5) * width
    part = np.minimum(np.searchsorted(EDGES, hours, side="right"), len(EDGES) - 1)
    return (at >= events.stop[e]).astype(int), part


class _Base(NamedTuple):
    """Days of calm buckets, cumulated: what came and what is usual for a product of level 1."""

    starts: Array  # int [D] first bucket of each day
    units: Array  # [N, D + 1]
    usual: Array  # [N, D + 1]
    day: int

    @classmethod
    def of(cls, quiet: Array, shape: Array, category: Array, clock: Clock) -> _Base:
        """`quiet` [N, T] has NaN where an event is near; `shape` [C, T]."""
        starts, _ = clock.days(quiet.shape[1])
        seen = np.isfinite(quiet)
        sums = np.zeros((2, len(quiet), len(starts) + 1))
        sums[0, :, 1:] = np.add.reduceat(np.where(seen, quiet, 0), starts, axis=1)
        for g, rate in enumerate(shape.astype(np.float32)):
            mine = category == g
            sums[1, mine, 1:] = np.add.reduceat(seen[mine] * rate, starts, axis=1)
        units, usual = sums.cumsum(axis=2)
        return cls(starts, units, usual, clock.day)

    def level(self, rows: Array | slice, start: int, stop: int) -> Array:
        """[n] units in a usual bucket of the weeks around an event; 0 = too few were observed."""
        reach = _BASE_DAYS * self.day
        first, last = np.searchsorted(self.starts, (start - reach, stop + reach))
        units, usual = (x[rows, last] - x[rows, first] for x in (self.units, self.usual))
        enough = usual >= _LEAST_DAYS * self.day
        return np.where(enough, units / np.maximum(usual, 1e-9), 0.0)


def _believed(came: Array, told: Array) -> Array:
    """[2, parts] logarithms of factors, from orders [E, 2, parts] that came and were expected."""
    weight = 1 / (_NOISE + told * _LEVEL**2)  # a busy event counts for no more than its level does
    power = np.maximum((weight * told).sum(axis=0), 1e-12)
    ratio = ((weight * came).sum(axis=0) + 0.01) / (power + 0.01)
    expected = np.maximum(told * ratio, 1e-12)
    off = (came - expected) ** 2 / (expected * (_NOISE + expected * _LEVEL**2))
    times = (told > 0).sum(axis=0)
    spread = np.where(told > 0, off, 0).sum(axis=0) / np.maximum(times - 1, 1)
    variance = np.maximum(spread, 1.0) / power + _SPIKE**2
    mean, slab = np.log(ratio), _SLAB**2
    odds = np.log(_CHANCE / (1 - _CHANCE)) + 0.5 * np.log(variance / (variance + slab))
    odds = odds + 0.5 * mean**2 * slab / (variance * (variance + slab))
    matters = (times >= _TWICE) / (1 + np.exp(-np.clip(odds, -30, 30)))
    effect = mean * matters * slab / (slab + variance)
    return np.asarray(np.round(np.where(matters >= 0.5, effect, 0.0), 6))
