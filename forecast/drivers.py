"""What each member's mean is made of: base level, trend, shape, recent past, calendar, events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from forecast.blend import Blend, segments
from forecast.demand import Array
from forecast.event_sizes import event_factors
from forecast.features import Past, Task, past_of
from forecast.models import Fitted
from forecast.models.corrected import CorrectedFit
from forecast.models.ridge import RidgeFit, Weights
from forecast.models.seasonal import SeasonalFit, SeasonalNaive
from forecast.shapes import ordinary
from forecast.tasks import Prepared

BASE, TREND, SHAPE, RECENT = "base level", "trend", "day and week", "recent past"
PRODUCT, CALENDAR, EVENT, LAUNCH = "product", "calendar", "event", "launch"
DRIVERS = (
    BASE,
    TREND,
    SHAPE,
    RECENT,
    PRODUCT,
    CALENDAR,
    EVENT,
    LAUNCH,
)  # switched on in this order

_FESTIVAL_DAYS = 14  # around Spring Festival that have an effect of their own
FAMILIES = {  # features of `forecast.columns.design`, except those named after kinds of events
    RECENT: {
        *(f"day_{k}" for k in range(1, 8)),
        *(f"week_{k}" for k in range(1, 5)),
        *("days", "days_spread", "weeks", "day_before", "day_after", "week_before", "week_after"),
    },
    TREND: {
        *("", "step", "roughness", "month_level", "rate", "trend", "level_1", "level_3", "moved"),
        *(f"moved_{days}" for days in (1, 2, 3, 7, 14)),
        *(f"{name}_{days}" for name in ("hours", "half") for days in (1, 7)),
        *("category_level", "hours_apart", "now_apart"),
    },
    SHAPE: {"slot", "weekday", "height", "pooled", "before", "after"},
    CALENDAR: {"month_day", "month_left", "holiday", "festival", "effect"},
    PRODUCT: {"category", "price", "age"},
}


class Part(NamedTuple):
    """What can be switched off."""

    driver: str
    name: str


_LEVEL, _WEEK = Part(TREND, "last days"), Part(SHAPE, "usual shape")
_CATEGORY = Part(TREND, "its category's level")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A member's mean as a function of the parts that are on, linear in each; arrays are [b].

    ((base + trend) × (1 + Σ shape) + Σ added) × Π factors.
    """

    base: Array  # units of a usual bucket
    trend: Array  # units by which the last days' level is above it
    shape: dict[Part, Array]  # share of the level
    added: dict[Part, Array]  # ordinary units
    factors: dict[Part, Array]

    @property
    def parts(self) -> set[Part]:
        """All that can be switched off."""
        return {_LEVEL, *self.shape, *self.added, *self.factors}

    def units(self, on: Mapping[Part, float]) -> Array:
        """[b] units when each part is on by that share; missing ones are off."""
        shape = 1 + sum(on.get(part, 0.0) * x for part, x in self.shape.items())
        found = (self.base + on.get(_LEVEL, 0.0) * self.trend) * shape
        found = found + sum(on.get(part, 0.0) * x for part, x in self.added.items())
        for part, factor in self.factors.items():
            found = found * (1 + on.get(part, 0.0) * (factor - 1))
        return np.asarray(found)


@dataclass(frozen=True, kw_only=True)
class _View:
    """One product's past at the origin and its usual bucket, level and shapes in the window."""

    task: Task  # whose only row is the product
    past: Past
    at: slice  # the window's buckets within the horizon
    plain: Array  # [b] shape of the week as if no day were a holiday
    shape: Array  # [b] shape of the week
    calendar: dict[Part, Array]  # [b] factors
    events: dict[Part, Array]  # [b] factors

    def rule(self, units: Array, source: str, weights: Weights | None = None) -> Rule:
        """A member that puts calendar and events on what it expects of ordinary days.

        `units` [b] is its mean; beyond level and shape it saw them in the recent past.
        """
        level = float(self.past.level[0])
        shared = self.past.shared[0, self.at].astype(float)
        calm = units / self.past.effect[0, self.at].astype(float) / shared
        found = self._bare()
        added = {}
        if weights is not None:
            added[_LEVEL] = weights.drift(self.task, self.past)[0, self.at] / shared
        rest = calm - level * self.shape - sum(added.values())
        added[Part(RECENT, source)] = rest
        change = {Part(CALENDAR, "shape of the holiday"): self.shape - self.plain}
        return replace(
            found,
            shape=found.shape | (change if np.any(self.shape != self.plain) else {}),
            added=added,
            factors=self.calendar
            | self.events
            | ({_CATEGORY: shared} if np.any(shared != 1) else {}),
        )

    def repeated(self, units: Array, source: str) -> Rule:
        """A member that repeats the past without its events, and puts on those to come."""
        calm = units / np.prod([np.ones(len(units)), *self.events.values()], axis=0)
        rest = calm - float(self.past.level[0]) * self.plain
        return replace(self._bare(), added={Part(RECENT, source): rest}, factors=self.events)

    def _bare(self) -> Rule:
        month, level = float(self.past.month[0]), float(self.past.level[0])
        return Rule(
            base=np.full(len(self.plain), month),
            trend=np.full(len(self.plain), level - month),
            shape={_WEEK: self.plain - 1},
            added={},
            factors={},
        )


def explained(
    ready: Prepared, blend: Blend, fitted: Mapping[str, Fitted], row: int, window: slice
) -> dict[Part, float]:
    """Units of each part in the window's buckets of one product of a prepared panel.

    `fitted` holds at least the members that weigh anything for the product.
    """
    task = ready.task
    view = _view(task, row, window)
    rules = [
        (share[window], _rule_of(view, name, fitted[name], task))
        for name, share in weights_of(task, blend, row).items()
    ]

    def mean(on: Mapping[Part, float]) -> Array:
        return np.asarray(sum(share * rule.units(on) for share, rule in rules))

    ahead = task.ahead(task.origins[-1])[window]
    sold = ahead >= task.launch[row]
    source = str(ready.borrowed[row]).replace(":", " from ") or "last 28 days"
    base = mean({})
    units = {Part(BASE, source): float(base.sum() + ready.offset[row] * len(ahead))}
    parts = set().union(*(rule.parts for _, rule in rules))
    on: dict[Part, float] = {}
    for driver in DRIVERS[1:-1]:
        own = sorted(part for part in parts if part.driver == driver)
        shares = _shapley(mean, own, on)
        units |= {part: float((x * sold).sum()) for part, x in shares.items()}
        if not own:
            units[Part(driver, "none")] = 0.0
        on |= dict.fromkeys(own, 1.0)
    if not sold.all():
        units[Part(LAUNCH, "not yet on sale")] = -float(base[~sold].sum())
    return units


def _shapley(
    mean: Callable[[Mapping[Part, float]], Array], parts: list[Part], on: Mapping[Part, float]
) -> dict[Part, Array]:
    """Shapley value [b] of each part, those in `on` being on already.

    It is the integral of the partial derivative along the diagonal of a function that is linear in
    each part (Owen 1972), a polynomial, for which Gauss's rule is exact.
    """
    nodes, weights = np.polynomial.legendre.leggauss(len(parts) // 2 + 1)
    found: dict[Part, Array] = {}
    for part in parts:
        total: Any = 0.0
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            around = {**on, **dict.fromkeys(parts, float(node))}
            total = total + weight * (mean({**around, part: 1.0}) - mean({**around, part: 0.0}))
        found[part] = np.asarray(total)
    return found


def weights_of(task: Task, blend: Blend, row: int) -> dict[str, Array]:
    """[H] weight in each bucket of the members that weigh anything for a product."""
    found = blend.weights[segments(task)[row]][blend.calibration.part]
    return {name: w for name, w in zip(blend.members, found.T, strict=True) if w.any()}


def _view(task: Task, row: int, window: slice) -> _View:
    origin = task.origins[-1]
    rows = np.array([row])
    past = past_of(task, rows, origin)
    one = replace(
        past,
        level=np.ones(1),
        effect=np.ones_like(past.effect),
        shared=np.ones_like(past.shared),
    )
    return _View(
        task=replace(task, rows=rows),
        past=past,
        at=window,
        plain=ordinary(_without_holidays(task), one)[0, window],
        shape=ordinary(task, one)[0, window],
        calendar=_calendar(task, row, task.ahead(origin)[window]),
        events=_events(task, row, task.ahead(origin)[window]),
    )


def _without_holidays(task: Task) -> Task:
    """The same, but that in the horizon holidays have the shape of their weekday."""
    clock, origin = task.clock, task.origins[-1]
    usual = np.flatnonzero(task.days.holiday[clock.date] == 0)
    if len(usual) in (0, len(clock.date)):
        return task
    first = clock.weekday[usual[0]] - clock.date[usual[0]]
    weekday = clock.weekday.copy()
    weekday[origin:] = (clock.date[origin:] + first) % clock.week
    return replace(task, clock=replace(clock, weekday=weekday))


def _calendar(task: Task, row: int, ahead: Array) -> dict[Part, Array]:
    """[b] factors by what the day is; a day that is several things is the first of them."""
    date = task.clock.date[ahead]
    factor = task.effects.of_day(np.array([row]), date, ahead)[0]
    days = task.days
    left = np.ones(len(ahead), dtype=bool)
    found = {}
    for name, mine in (
        ("holiday", days.holiday[date] > 0),
        ("make-up workday", days.holiday[date] < 0),
        ("around Spring Festival", np.abs(days.festival[date]) <= _FESTIVAL_DAYS),
        ("date", np.ones(len(ahead), dtype=bool)),
    ):
        some = mine & left & (factor != 1)
        left &= ~mine
        if some.any():
            found[Part(CALENDAR, name)] = np.where(some, factor, 1.0)
    return found


def _events(task: Task, row: int, ahead: Array) -> dict[Part, Array]:
    """[b] learned factors by type of event under way, and of being before or after one."""
    events, low, high = task.events, int(ahead[0]), int(ahead[-1]) + 1
    found: dict[Part, Array] = {}
    for e in np.flatnonzero((events.start < high) & (events.stop > low)):
        place = np.flatnonzero(events.rows[e] == row)
        if not len(place):
            continue
        at = np.arange(max(int(events.start[e]), low), min(int(events.stop[e]), high))
        factor = event_factors(events, task.effects.event, int(e), at, task.clock.hours)
        part = Part(EVENT, events.types[events.type[e]])
        found.setdefault(part, np.ones(len(ahead)))[at - low] *= factor[place[0]]
    if task.effects.around is not None:
        near = task.effects.around.told(events, row, ahead, task.clock.hours)
        found |= {Part(EVENT, name): factor for name, factor in near.items()}
    return found


def _rule_of(view: _View, name: str, fitted: Fitted, task: Task) -> Rule:
    """How a member comes to its mean; of one that is not known only what it says is used."""
    at, origin = view.at, view.past.origin
    match fitted:
        case SeasonalNaive():
            told = fitted.predict(view.task, origin).mean[0, at]
            return view.repeated(told.astype(float), name)
        case SeasonalFit():
            return replace(view.rule(ordinary(view.task, view.past)[0, at], name), added={})
        case RidgeFit():
            expected = fitted.weights.expected(view.task, view.past)[0, at]
            return view.rule(expected, name, fitted.weights)
        case CorrectedFit():
            return _corrected(view, name, fitted)
    place = int(np.flatnonzero(task.rows == view.past.rows[0])[0])
    return view.rule(fitted.predict(task, origin).mean[place, at].astype(float), name)


def _corrected(view: _View, name: str, fitted: CorrectedFit) -> Rule:
    """The simpler rule × what was learned of each family of features."""
    simple, found = fitted.reasons(view.task, view.past)
    source = "last day" if fitted.weights is None else "ridge"
    rule = view.rule(simple[0, view.at], source, fitted.weights)
    logs = {column: x[0, view.at] for column, x in found.items()}
    kinds = {f"{kind}_{way}" for kind in view.task.events.kinds for way in ("since", "left")}
    busy = _busy(view)
    total: dict[str, Array] = {}
    for column, x in logs.items():
        family = EVENT if column in kinds else family_of(column)
        during = EVENT if column in kinds or column == "effect" else family
        apart = TREND if family == EVENT else family  # no event to speak of
        for driver, mine in ((during, busy), (apart, ~busy)):
            total[driver] = total.get(driver, np.zeros(len(busy))) + np.where(mine, x, 0.0)
    trees = {Part(driver, name): np.exp(x) for driver, x in total.items() if x.any()}
    return replace(rule, factors=rule.factors | trees)


def _busy(view: _View) -> Array:
    """bool [b] whether an event that concerns the product is under way."""
    events = view.task.events
    ahead = view.task.ahead(view.past.origin)[view.at]
    busy = np.zeros(len(ahead), dtype=bool)
    for kind in range(len(events.kinds)):
        since, _ = events.hours(view.past.rows, ahead, view.task.clock.hours, kind)
        busy |= since[0] >= 0
    return busy


def family_of(column: str) -> str:
    """Driver of which a feature tells."""
    for driver, names in FAMILIES.items():
        if column in names:
            return driver
    return TREND
