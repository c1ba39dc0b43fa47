"""Local clock, days and announced events of a panel's buckets, history and horizon alike."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from forecast.demand import Array, Panel

_SEASONS = (24, 48, 96, 7, 12, 4, 52)  # looked for in an index of whole numbers, in buckets
_OUTAGE = "outage"
_HOLIDAY = "holiday"
_PAY_DAYS = (1, 2, 5, 10, 15, 20, 25)  # days of the month that may well differ from the rest
_OFTEN = 3  # events of one name that make it a type of its own
HOLIDAY_LIKE = 6  # a holiday has the shape of a Sunday
WORKDAY_LIKE = 2  # a make-up workday that of a Wednesday


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Where each of L buckets stands in its day and week, by the local clock."""

    day: int  # buckets in a full day; for other data, in the short season
    week: int  # days in a week; 1 when the short season is the only one
    slot: Array  # int [L] position in the day, 0 … day − 1
    date: Array  # int [L] number of the day, from 0
    weekday: Array  # int [L] 0 … week − 1; holidays count as Sunday, make-up workdays as Wednesday
    hours: float  # length of a bucket; NaN when the index is no time
    table: Array  # int [dates, day] bucket at a date and slot, −1 = the local clock skipped it

    def back(self, at: Array, days: Array | int) -> Array:
        """[...] bucket of the same local time `days` earlier, −1 where there is none."""
        date = self.date[at] - days
        found = self.table[np.clip(date, 0, None), self.slot[at]]
        return np.where(date >= 0, found, -1)


@dataclass(frozen=True, kw_only=True)
class Days:
    """What the calendar knows of each of D days: a basis for effects, and features."""

    basis: Array  # float [D, P] columns of 0 and 1
    prior: Array  # float [P] standard deviation of a column's effect, in logarithms
    month_day: Array  # int [D] 1 … 31, 0 = no calendar
    month_left: Array  # int [D] days to the end of the month
    holiday: Array  # int [D] 1 holiday, −1 make-up workday, 0 neither
    festival: Array  # int [D] days since Spring Festival, −99 when it is far
    provisional: tuple[int, ...] = ()  # years whose official notice is not out


@dataclass(frozen=True, kw_only=True)
class Events:
    """Announced events as buckets [start, stop) of the panel; outages and holidays are not here."""

    kinds: tuple[str, ...]
    types: tuple[str, ...]  # kind, or kind and name where a name comes back often enough
    kind_of: Array  # int [types] kind of each type
    kind: Array  # int [E]
    type: Array  # int [E]
    start: Array  # int [E] may lie before the first bucket
    stop: Array  # int [E]
    rows: tuple[Array, ...]  # products concerned

    def hours(self, rows: Array, buckets: Array, width: float, kind: int) -> tuple[Array, Array]:
        """Hours since the start and to the end, int16 [n, K] each; −1 = no event of this kind.

        `buckets` [K] are consecutive.
        """
        since = np.full((len(rows), len(buckets)), -1, dtype=np.int16)
        left = np.full_like(since, -1)
        low, high = int(buckets[0]), int(buckets[-1]) + 1
        near = (self.kind == kind) & (self.start < high) & (self.stop > low)
        for e in np.flatnonzero(near):
            at = np.arange(max(int(self.start[e]), low), min(int(self.stop[e]), high))
            mine = np.flatnonzero(np.isin(rows, self.rows[e]))
            where = np.ix_(mine, at - low)
            since[where] = ((at - self.start[e]) * width).astype(np.int16)
            left[where] = ((self.stop[e] - 1 - at) * width).astype(np.int16)
        return since, left


def clock_of(panel: Panel, horizon: int, *, season: int | None, days: Days | None = None) -> Clock:
    """Clock of the panel's buckets and the `horizon` after them."""
    ds = panel.ds.append(panel.future(horizon))
    length = len(ds)
    hours = float("nan")
    season = season or panel.season
    if isinstance(ds, pd.DatetimeIndex):
        hours = (ds[1] - ds[0]) / pd.Timedelta("1h")
        if follows_days(panel, season):
            return _wall_clock(ds, round(24 / hours), hours, days)
        season = season or {24.0: 7, 168.0: 52}.get(hours, 12 if hours > 600 else 1)
    season = season or _season_of(panel.y)
    position = np.arange(length) + (-len(panel.ds)) % season
    week = 7 if season >= 24 and season % 24 == 0 else 1
    date = position // season
    return Clock(
        day=season,
        week=week,
        slot=position % season,
        date=date,
        weekday=date % week,
        hours=hours,
        table=_table(date, position % season, season),
    )


def follows_days(panel: Panel, season: int | None) -> bool:
    """Whether the buckets part local days evenly and the season is no other than day or week."""
    if not isinstance(panel.ds, pd.DatetimeIndex):
        return False
    hours = (panel.future(1)[0] - panel.ds[-1]) / pd.Timedelta("1h")
    per_day = 24 / hours
    even = hours < 24 and per_day == int(per_day)
    return even and (season or panel.season) in (None, per_day, 7 * per_day)


def _wall_clock(ds: pd.DatetimeIndex, day: int, hours: float, days: Days | None) -> Clock:
    minute = np.asarray(ds.hour * 60 + ds.minute)
    slot = minute // int(hours * 60)
    date = _dates(ds)
    weekday = np.asarray(ds.day_of_week)
    if days is not None:
        kind = days.holiday[date]
        weekday = np.where(kind > 0, HOLIDAY_LIKE, np.where(kind < 0, WORKDAY_LIKE, weekday))
    return Clock(
        day=day,
        week=7,
        slot=slot,
        date=date,
        weekday=weekday,
        hours=hours,
        table=_table(date, slot, day),
    )


def _dates(ds: pd.DatetimeIndex) -> Array:
    day = np.asarray(ds.tz_localize(None).normalize().to_numpy().astype("M8[D]").astype(np.int64))
    return np.asarray(day - day[0])


def _table(date: Array, slot: Array, day: int) -> Array:
    table = np.full((int(date.max()) + 1, day), -1)
    table[date[::-1], slot[::-1]] = np.arange(len(date))[::-1]  # of two, the earlier
    return table


def _season_of(y: Array) -> int:
    """Buckets of the clearest season in the data, 1 if there is none."""
    recent = np.nan_to_num(y[:200, -1000:].astype(np.float64))
    centred = recent - recent.mean(axis=1, keepdims=True)
    power = (centred**2).sum()
    best, found = 0.2, 1
    for season in _SEASONS:
        if recent.shape[1] > 3 * season:
            likeness = (centred[:, season:] * centred[:, :-season]).sum() / max(power, 1e-9)
            if likeness > best + 0.02:
                best, found = likeness, season
    return found


def days_of(
    panel: Panel,
    horizon: int,
    *,
    country: str | None,
    events: pd.DataFrame | None = None,
    season: int | None = None,
) -> Days:
    """Calendar of the local days of the panel and its horizon.

    Holidays are the country's, and the days that a holiday among `events` covers for every product.
    """
    ds = panel.ds.append(panel.future(horizon))
    if not isinstance(ds, pd.DatetimeIndex) or not follows_days(panel, season):
        n = len(ds)
        none = np.zeros(n, dtype=int)
        return Days(
            basis=np.zeros((n, 0)),
            prior=np.zeros(0),
            month_day=none,
            month_left=none,
            holiday=none,
            festival=np.full(n, -99),
        )
    n_dates = int(_dates(ds)[-1]) + 1
    dates = pd.date_range(ds[0].tz_localize(None).normalize(), periods=n_dates, freq="D")
    holiday, festival, provisional = _holidays(dates, country)
    holiday = np.where(_told_holidays(dates, events), 1, holiday)
    month_day = np.asarray(dates.day)
    month_left = np.asarray(dates.days_in_month) - month_day
    basis, prior = _basis(month_day, month_left, holiday, festival)
    return Days(
        basis=basis,
        prior=prior,
        month_day=month_day,
        month_left=month_left,
        holiday=holiday,
        festival=festival,
        provisional=provisional,
    )


def _told_holidays(dates: pd.DatetimeIndex, events: pd.DataFrame | None) -> Array:
    """bool [D]: days whose noon lies in a holiday of the events table that concerns everyone."""
    told = np.zeros(len(dates), dtype=bool)
    if events is None or events.empty:
        return told
    for event in events[events["kind"] == _HOLIDAY].to_dict("records"):
        if _blank(event.get("product_id")) and _blank(event.get("category")):
            start, end = (
                pd.Timestamp(event[name]).tz_localize(None) for name in ("starts_at", "ends_at")
            )
            noon = dates + pd.Timedelta("12h")
            told |= np.asarray((noon >= start) & (noon < end))
    return told


def _basis(
    month_day: Array, month_left: Array, holiday: Array, festival: Array
) -> tuple[Array, Array]:
    columns = [month_day == k for k in range(1, 32)] + [month_left == k for k in range(3)]
    prior = [0.3 if k in _PAY_DAYS else 0.2 for k in range(1, 32)] + [0.3, 0.15, 0.1]
    off = holiday > 0
    eve = np.append(off[1:] & ~off[:-1], False)
    columns += [off, holiday < 0, eve]
    prior += [0.3, 0.2, 0.2]
    for low, high in ((-14, -8), (-7, -4), (-3, -1), (0, 2), (3, 6), (7, 14)):
        columns.append((festival >= low) & (festival <= high))
        prior.append(0.4)
    return np.stack(columns, axis=1).astype(np.float64), np.asarray(prior)


def _holidays(dates: pd.DatetimeIndex, country: str | None) -> tuple[Array, Array, tuple[int, ...]]:
    """Holiday flags, days since Spring Festival, provisional years."""
    flags = np.zeros(len(dates), dtype=int)
    festival = np.full(len(dates), -99)
    if country is None:
        return flags, festival, ()
    import holidays

    years = range(dates[0].year - 1, dates[-1].year + 2)
    known = holidays.country_holidays(country, years=years, language="en_US")
    named = cast("dict[dt.date, str]", dict(known.items()))
    made_up: set[dt.date] = set(getattr(known, "weekend_workdays", ()))
    day = [stamp.date() for stamp in dates]
    flags += np.array([(d in named) - (d in made_up) for d in day], dtype=int)
    for year in years:
        starts = [d for d, name in named.items() if d.year == year and "Spring Festival" in name]
        if starts and country == "CN":
            since = np.array([(d - min(starts)).days for d in day])
            festival = np.where(np.abs(since) <= 30, since, festival)
    shown = {d.year for d in day}
    noticed = {d.year for d in made_up}
    provisional = tuple(sorted(shown - noticed)) if country == "CN" else ()
    return flags, festival, provisional


def events_of(
    panel: Panel,
    horizon: int,
    events: pd.DataFrame | None,
    products: pd.DataFrame | None,
) -> Events:
    """Promotions and releases (whatever is no outage or holiday) in buckets of the panel."""
    found = [] if events is None else _spans(panel, horizon, events, products)
    found = [span for span in found if span.kind not in (_OUTAGE, _HOLIDAY)]
    often = Counter((span.kind, span.name) for span in found)
    told = [(s.kind, s.name if often[s.kind, s.name] >= _OFTEN else "") for s in found]
    kinds = tuple(sorted({span.kind for span in found}))
    types = sorted(set(told))
    return Events(
        kinds=kinds,
        types=tuple(f"{kind} {name}".strip() for kind, name in types),
        kind_of=np.array([kinds.index(kind) for kind, _ in types], dtype=int),
        kind=np.array([kinds.index(span.kind) for span in found], dtype=int),
        type=np.array([types.index(each) for each in told], dtype=int),
        start=np.array([span.start for span in found], dtype=int),
        stop=np.array([span.stop for span in found], dtype=int),
        rows=tuple(span.rows for span in found),
    )


def outages_of(
    panel: Panel, events: pd.DataFrame | None, products: pd.DataFrame | None
) -> list[tuple[int, int, Array]]:
    """[start, stop) buckets touched by each outage, and the products it concerns."""
    if events is None:
        return []
    spans = _spans(panel, 0, events, products)
    return [(span.start, span.stop, span.rows) for span in spans if span.kind == _OUTAGE]


class _Span(NamedTuple):
    kind: str
    name: str
    start: int  # bucket
    stop: int
    rows: Array


def _spans(
    panel: Panel, horizon: int, events: pd.DataFrame, products: pd.DataFrame | None
) -> list[_Span]:
    if not isinstance(panel.ds, pd.DatetimeIndex) or events.empty:
        return []
    ds = cast("pd.DatetimeIndex", panel.ds.append(panel.future(max(horizon, 1))))
    step = (ds[1] - ds[0]) // pd.Timedelta("1us")
    origin = ds[0]
    starts = (_stamps(events["starts_at"], ds) - origin) // pd.Timedelta("1us")
    ends = (_stamps(events["ends_at"], ds) - origin) // pd.Timedelta("1us")
    first = np.asarray(starts) // step
    last = -(-np.asarray(ends) // step)
    row_of = {str(i): k for k, i in enumerate(panel.ids)}
    groups = _groups(panel, products)
    everyone = np.arange(len(panel.ids))
    spans = []
    for i, event in enumerate(events.to_dict("records")):
        rows = _concerned(event, row_of, groups, everyone)
        if len(rows) and last[i] > 0 and first[i] < len(ds):
            name = event.get("name")
            told = "" if _blank(name) else str(name)
            spans.append(_Span(str(event["kind"]), told, int(first[i]), int(last[i]), rows))
    return spans


def _stamps(column: pd.Series, ds: pd.DatetimeIndex) -> pd.DatetimeIndex:
    stamps = pd.DatetimeIndex(column)
    if (stamps.tz is None) != (ds.tz is None):
        raise ValueError("events and panel must both have a time zone, or neither")
    return stamps


def _groups(panel: Panel, products: pd.DataFrame | None) -> dict[str, Array]:
    """Category -> rows of the panel."""
    if products is None or "category" not in products:
        return {}
    listed = products.set_index(products["product_id"].astype(str))["category"]
    category = listed.reindex([str(i) for i in panel.ids])
    rows = pd.Series(np.arange(len(panel.ids)), index=category.to_numpy())
    return {str(k): np.asarray(v) for k, v in rows.groupby(level=0)}


def _concerned(
    event: dict[Any, Any], row_of: dict[str, int], groups: dict[str, Array], everyone: Array
) -> Array:
    product, category = event.get("product_id"), event.get("category")
    if not _blank(product):
        row = row_of.get(str(product))
        return np.array([row] if row is not None else [], dtype=int)
    if not _blank(category):
        return groups.get(str(category), np.array([], dtype=int))
    return everyone


def _blank(value: Any) -> bool:
    return value is None or value == "" or bool(pd.isna(value))
