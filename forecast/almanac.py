"""What a country's calendar knows of local days: holidays, festivals, pay days, month ends."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from forecast.demand import Array

FAR = -99  # days to a festival that is not near
WORKDAY_LIKE = 2  # a make-up workday has the shape of a Wednesday
_PAY_DAYS = (1, 2, 5, 10, 15, 20, 25)  # days of the month that may well differ from the rest
_PAID = (5, 10, 15, 20, 25)  # whose pay may come on the last working day up to them
_SHOPPING = ((6, 18), (11, 11), (12, 12))  # month and day of China's shopping festivals
_LIKELY, UNLIKELY = 0.3, 0.05  # chances that a day of the calendar differs from the rest
_RUN_UP = 7  # days before a shopping festival that may differ
_WEEK = 7  # other days that must be known before those of a break are left out
_LONG = 3  # days off in a row that say nothing of ordinary ones
_PAD = 10  # days looked at on both sides, for breaks and eves that the dates cut
_WORKED = {"US": ("Columbus Day", "Veterans Day")}  # holidays on which most of a country works
_SPRING = "Chinese New Year"  # and its eve: their days have columns of their own
_IN_LIEU = "Day off"  # the name of a day off for a weekend that is worked
_ESTIMATED = "(estimated)"  # in the name of a holiday that follows a moon not yet seen


@dataclass(frozen=True, kw_only=True)
class Days:
    """What the calendar knows of each of D days: a basis for effects, and features."""

    basis: Array  # float [D, P] columns of 0 and 1
    size: Array  # float [P] standard deviation of a column's effect, in logarithms, if it matters
    chance: Array  # float [P] that it matters
    month_day: Array  # int [D] 1 … 31, 0 = no calendar
    month_left: Array  # int [D] days to the end of the month
    holiday: Array  # int [D] 1 holiday, −1 make-up workday, 0 neither
    festival: Array  # int [D] days since Spring Festival, −99 when it is far
    provisional: tuple[int, ...] = ()  # years whose official notice is not out
    rest: int = 6  # weekday whose shape a holiday has: the last of the country's weekend

    @property
    def breaks(self) -> Array:
        """bool [D]: days of breaks so long that a running median or a level takes on theirs."""
        off = self.holiday > 0
        run = np.cumsum(~off)
        return np.asarray(off & (np.bincount(run, weights=off)[run] >= _LONG))

    def occasions(self, seen: Array) -> Array:
        """int [P] runs of days of each column among the first days, where `seen` [d]."""
        on = self.basis[: len(seen)].T * seen
        return np.asarray((np.diff(on, axis=1, prepend=0.0) > 0).sum(axis=1))

    def over(self, today: int) -> Array:
        """bool [D]: days of `breaks` that had ended before day `today`: its like is not theirs.

        None while less than a week of other days is known.
        """
        breaks = self.breaks
        run = np.cumsum(~breaks)
        enough = np.count_nonzero(~breaks[:today]) >= _WEEK
        return np.asarray(breaks & (run < run[today]) & enough)


def no_days(n: int) -> Days:
    """Of `n` spans that are no local days, nothing is known."""
    none = np.zeros(n, dtype=int)
    return Days(
        basis=np.zeros((n, 0)),
        size=np.zeros(0),
        chance=np.zeros(0),
        month_day=none,
        month_left=none,
        holiday=none,
        festival=np.full(n, FAR),
    )


def days_on(dates: pd.DatetimeIndex, *, country: str | None, told: Array) -> Days:
    """Calendar of consecutive local `dates` [D]; `told` are days that the user calls holidays."""
    pad = pd.Timedelta(days=_PAD)
    wide = pd.date_range(dates[0] - pad, dates[-1] + pad, freq="D")
    weekend = _weekend(country)
    resting = np.isin(np.asarray(wide.day_of_week), list(weekend))
    holiday, festival, provisional, name = _public(wide, country, resting)
    holiday[_PAD:-_PAD][told] = 1
    shopping = shopping_offsets(wide) if country == "CN" else {}
    month_day = np.asarray(wide.day)
    month_left = np.asarray(wide.days_in_month) - month_day
    inner = slice(_PAD, -_PAD)
    again = _again(name[inner], np.asarray(dates.year))
    named = [name == each for each in again]
    idle = (holiday > 0) | (resting & (holiday == 0))
    basis, size, chance = _basis(month_day, month_left, holiday, festival, shopping, named, idle)
    years = set(dates.year)
    return Days(
        basis=basis[inner],
        size=size,
        chance=chance,
        month_day=month_day[inner],
        month_left=month_left[inner],
        holiday=holiday[inner],
        festival=festival[inner],
        provisional=tuple(year for year in provisional if year in years),
        rest=_last_of(weekend),
    )


def shopping_offsets(dates: pd.DatetimeIndex) -> dict[str, Array]:
    """int [D] days since each shopping festival (negative: to go), `FAR` when it is far."""
    offsets = {}
    for month, day in _SHOPPING:
        since = np.full(len(dates), FAR)
        for year in sorted(set(dates.year)):
            passed = np.asarray((dates - pd.Timestamp(year, month, day)).days)
            since = np.where(np.abs(passed) <= _RUN_UP, passed, since)
        offsets[f"{month}-{day}"] = since
    return offsets


def _again(name: Array, year: Array) -> list[str]:
    """Names of days off [D] that come in several years, but for Spring Festival's."""
    years = {each: set(year[name == each]) for each in sorted(set(name) - {""})}
    return [each for each, seen in years.items() if len(seen) > 1 and _SPRING not in each]


def _basis(
    month_day: Array,
    month_left: Array,
    holiday: Array,
    festival: Array,
    shopping: dict[str, Array],
    named: list[Array],
    idle: Array,
) -> tuple[Array, Array, Array]:
    """Columns [D, P], the size [P] of their effects where there are any, the chance [P] of that.

    `idle` [D] are days on which most don't work: what is due on one may be paid the day before.
    """
    sale = np.zeros(len(month_day), dtype=bool)
    for since in shopping.values():
        sale |= since == 0
    columns = [(month_day == k) & ~sale for k in range(1, 32)]
    columns += [month_left == k for k in range(3)]
    size = [0.6 if k in _PAY_DAYS else 0.4 for k in range(1, 32)] + [0.6, 0.3, 0.2]
    chance = [_LIKELY if k in _PAY_DAYS else UNLIKELY for k in range(1, 32)]
    chance += [_LIKELY, UNLIKELY, UNLIKELY]
    columns += [_before(month_day == k, idle) & ~sale for k in _PAID]
    columns += [_before(month_left == 0, idle)]
    size += [0.6] * (len(_PAID) + 1)
    chance += [UNLIKELY] * len(_PAID) + [_LIKELY]
    off = holiday > 0
    eve = np.append(off[1:] & ~off[:-1], False)
    columns += [off, holiday < 0, eve, *named]
    size += [0.6, 0.4, 0.4] + [0.6] * len(named)
    for low, high in ((-14, -8), (-7, -4), (-3, -2), (-1, -1), (0, 2), (3, 6), (7, 14)):
        columns.append((festival >= low) & (festival <= high))
        size.append(0.8)
    for low, high, own, shared in ((0, 0, 1.0, 0.4), (-1, -1, 0.8, 0.3), (-_RUN_UP, -2, 0.4, 0.2)):
        each = [(since >= low) & (since <= high) for since in shopping.values()]
        if each:  # what one festival shows holds a little for the others
            columns += [*each, np.any(each, axis=0)]
            size += [own] * len(each) + [shared]
    chance += [_LIKELY] * (len(columns) - len(chance))
    return np.stack(columns, axis=1).astype(np.float64), np.asarray(size), np.asarray(chance)


def _before(due: Array, idle: Array) -> Array:
    """bool [D] the days `due`, or where they are `idle` the last day before that is not."""
    place = np.arange(len(due))
    last = np.maximum.accumulate(np.where(idle, -1, place))
    return np.isin(place, last[due])


def _weekend(country: str | None) -> set[int]:
    """Weekdays of it, 0 = Monday."""
    if country is None:
        return {5, 6}
    import holidays

    return set(holidays.country_holidays(country).weekend)


def _public(
    dates: pd.DatetimeIndex, country: str | None, resting: Array
) -> tuple[Array, Array, tuple[int, ...], Array]:
    """Holiday flags, days since Spring Festival, provisional years, names; by days of weekends."""
    flags, festival = np.zeros(len(dates), dtype=int), np.full(len(dates), FAR)
    if country is None:
        return flags, festival, (), np.full(len(dates), "")
    import holidays

    years = range(dates[0].year - 1, dates[-1].year + 2)
    known = holidays.country_holidays(country, years=years, language="en_US")
    worked = _WORKED.get(country, ())
    all_named = cast("dict[dt.date, str]", dict(known.items()))
    named = {day: name for day, name in all_named.items() if not name.startswith(worked)}
    made_up: set[dt.date] = set(getattr(known, "weekend_workdays", ()))
    day = [stamp.date() for stamp in dates]
    flags = np.array([(d in named) - (d in made_up) for d in day], dtype=int)
    weekend = resting & (flags == 0)
    flags = np.where(_within_breaks(flags > 0, weekend, whole=country == "CN"), 1, flags)
    if country == "CN":
        festival = _spring_festival(dates, named)
        shown = {d.year for d in day}
        provisional = tuple(sorted(shown - {d.year for d in made_up}))
    else:
        provisional = tuple(sorted({d.year for d in day if _ESTIMATED in named.get(d, "")}))
    name = _names(flags > 0, [named.get(d, "") for d in day])
    return flags, festival, provisional, name


def _names(off: Array, named: list[str]) -> Array:
    """str [D] the holiday whose name most days of a day's break have; "" = no day off."""
    own = [re.sub(r" \((observed|estimated)\)", "", each) for each in named]
    run = np.cumsum(~off)
    found = np.full(len(off), "", dtype=object)
    for each in np.unique(run[off]):
        mine = off & (run == each)
        names = Counter(own[d] for d in np.flatnonzero(mine) if own[d])
        told = [name for name, _ in names.most_common() if not name.startswith(_IN_LIEU)]
        found[mine] = told[0] if told else ""
    return found


def _within_breaks(off: Array, weekend: Array, *, whole: bool) -> Array:
    """bool [D]: weekends that belong to a break: between two holidays, or if `whole` beside one."""
    run = pd.Series(np.cumsum(~(off | weekend)))
    counted = pd.Series(off.astype(int)).groupby(run)
    before = counted.cumsum().to_numpy() > 0
    after = (counted.transform("sum") - counted.cumsum()).to_numpy() > 0
    return np.asarray(weekend & ((before | after) if whole else (before & after)))


def _last_of(weekend: set[int]) -> int:
    """The weekend's day that a working day follows; 6 where there is no weekend."""
    return max((d for d in weekend if (d + 1) % 7 not in weekend), default=6)


def _spring_festival(dates: pd.DatetimeIndex, named: dict[dt.date, str]) -> Array:
    festival = np.full(len(dates), FAR)
    first: dict[int, dt.date] = {}
    for day in sorted(named):
        if "Spring Festival" in named[day]:
            first.setdefault(day.year, day)
    for day in first.values():
        since = np.asarray((dates - pd.Timestamp(day)).days)
        festival = np.where(np.abs(since) <= 30, since, festival)
    return festival
