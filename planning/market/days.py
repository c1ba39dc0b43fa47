"""The Chinese calendar as daily factors: make-up workdays, Spring Festival, pay days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import holidays
import numpy as np

from planning.market.reference import DAY_TYPES, table
from planning.problem import Array

WORKDAY, EVE, OFF, HOLIDAY = range(len(DAY_TYPES))
SPRING_FESTIVAL = "Chinese New Year (Spring Festival)"
FADE_DAYS = 4.0  # how fast the days around Spring Festival return to normal


@dataclass(frozen=True, kw_only=True)
class Days:
    """Consecutive local days [D], the last `test` of them after as-of."""

    first: date
    kind: Array  # [D] row in DAY_TYPES; a make-up Saturday is a workday
    festival: Array  # [D] days to the Spring Festival's break: < 0 before, 0 within, > 0 after
    test: int

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def history(self) -> int:
        """Days before as-of."""
        return len(self) - self.test

    def date(self, day: int) -> date:
        """The day's date."""
        return self.first + timedelta(days=day)

    def breaks(self) -> list[tuple[int, int, str]]:
        """Holiday breaks as (first day, day after the last, name)."""
        official = _official(self.first, len(self))
        edges = np.flatnonzero(np.diff(np.r_[0, self.kind == HOLIDAY, 0]))
        spans = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
        return [(a, b, _name([official.get(self.date(d)) for d in range(a, b)])) for a, b in spans]


def _official(first: date, days: int) -> holidays.HolidayBase:
    years = range(first.year, (first + timedelta(days=days)).year + 1)
    return holidays.country_holidays("CN", years=list(years), language="en_US")


def _name(names: list[str | None]) -> str:
    given = [name for name in names if name and not name.startswith("Day off")]
    festival = [name for name in given if name == SPRING_FESTIVAL]
    return (festival or given or ["Public holiday"])[0]


def calendar(first: date, days: int, test: int) -> Days:
    """`days` days from `first`, with their kinds.

    A break is the whole run of days off around a public holiday; an eve is a workday before a
    day off.
    """
    pad = 20  # a break or festival that only begins or ends outside counts too
    start = first - timedelta(days=pad)
    dates = [start + timedelta(days=k) for k in range(days + 2 * pad)]
    official = _official(start, len(dates))
    works = np.array([official.is_working_day(day) for day in dates])
    kind = np.where(works, WORKDAY, OFF)
    kind[:-1][works[:-1] & ~works[1:]] = EVE
    named = np.array([day in official for day in dates])
    spring = np.array([official.get(day) == SPRING_FESTIVAL for day in dates])
    festival = np.full(len(dates), 10_000)
    run = np.cumsum(np.r_[True, works[1:] != works[:-1]])
    for number in np.unique(run[named & ~works]):
        off = (run == number) & ~works
        kind[off] = HOLIDAY
        if spring[off].any():
            festival = _nearer(festival, np.flatnonzero(off))
    keep = slice(pad, pad + days)
    return Days(first=first, kind=kind[keep], festival=festival[keep], test=test)


def _nearer(festival: Array, off: Array) -> Array:
    place = np.arange(len(festival))
    distance = np.where(place < off[0], place - off[0], np.maximum(place - off[-1], 0))
    return np.where(np.abs(distance) < np.abs(festival), distance, festival)


def levels(days: Days, profile: str) -> Array:
    """[D] a profile's day factors: kind of day × day of month × Spring Festival.

    An ordinary week of an ordinary month averages about one.
    """
    row = table("days").set_index("profile").loc[profile]
    by_kind = row[list(DAY_TYPES)].to_numpy(dtype=float)
    level = by_kind[days.kind] / _ordinary_week(by_kind)
    month = table("month_days")
    month = month[month["family"] == profile]
    factors = dict(zip(month["day"].tolist(), month["factor"].tolist(), strict=True))
    level = level * np.array([factors.get(days.date(day).day, 1.0) for day in range(len(days))])
    away = np.abs(days.festival)
    fade = np.exp(-(away - 1) / FADE_DAYS)
    around = np.where(days.festival < 0, row["festival_before"], row["festival_after"])
    factor = np.where(away == 0, row["festival_during"], 1 + (around - 1) * fade)
    return np.asarray(level * factor, dtype=float)


def _ordinary_week(by_kind: Array) -> float:
    return float(4 * by_kind[WORKDAY] + by_kind[EVE] + 2 * by_kind[OFF]) / 7
