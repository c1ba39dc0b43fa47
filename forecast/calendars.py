"""Local clock, days and announced events of a panel's buckets, history and horizon alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from forecast.almanac import WORKDAY_LIKE, days_on, no_days
from forecast.almanac import Days as Days
from forecast.customs import by_weekday
from forecast.demand import Array, Panel

_SEASONS = (24, 48, 96, 7, 12, 4, 52)  # looked for in an index of whole numbers, in buckets
_LEAST_LIKE, _AS_CLEAR = 0.1, 0.9  # of a season; its share of the clearest that is as good
_FAR = 4.0  # usual changes, beyond which one counts as this, so that no single one decides
AROUND_HOURS = 48.0  # before and after an event in which it may be felt
_OUTAGE = "outage"
_HOLIDAY = "holiday"
_AHEAD = 10_000  # buckets after the panel whose own length counts
_OFTEN = 3  # events of one name that make it a type of its own


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Where each of L buckets stands in its day and week, by the local clock."""

    day: int  # buckets in a full day; for other data, in the short season
    week: int  # days in a week; 1 when the short season is the only one
    slot: Array  # int [L] position in the day, 0 … day − 1
    date: Array  # int [L] number of the day, from 0
    weekday: Array  # int [L] 0 … week − 1; of holidays and make-up workdays see `customs`
    hours: float  # length of a bucket; NaN when the index is no time
    table: Array  # int [dates, day] bucket at a date and slot, −1 = the local clock skipped it

    def back(self, at: Array, days: Array | int) -> Array:
        """[...] bucket of the same local time `days` earlier, −1 where there is none."""
        date = self.date[at] - days
        found = self.table[np.clip(date, 0, None), self.slot[at]]
        return np.where(date >= 0, found, -1)

    def days(self, length: int) -> tuple[Array, Array]:
        """First bucket of each date among the first `length` buckets, and how many it has there."""
        starts = np.flatnonzero(np.diff(self.date[:length], prepend=-1))
        return starts, np.diff(np.append(starts, length))


@dataclass(frozen=True, kw_only=True)
class Events:
    """Announced events as buckets [start, stop) of the panel; outages and holidays are not here."""

    kinds: tuple[str, ...]
    types: tuple[str, ...]  # kind, or kind and name where a name comes back often enough
    kind_of: Array  # int [types] kind of each type
    kind: Array  # int [E]
    type: Array  # int [E]
    start: Array  # int [E] first bucket touched; may lie before the panel's first
    stop: Array  # int [E] after the last bucket touched
    early: Array  # float [E] share of the first bucket that lies before the event
    late: Array  # float [E] share of the last bucket that lies after it
    rows: tuple[Array, ...]  # products concerned

    def covered(self, event: int, at: Array) -> Array:
        """[K] share of each bucket that the event covers, for buckets that it touches."""
        early = np.where(at == self.start[event], self.early[event], 0.0)
        return np.asarray(1.0 - early - np.where(at == self.stop[event] - 1, self.late[event], 0.0))

    def middle(self, event: int, at: Array, width: float) -> Array:
        """[K] hours from the start to the middle of what the event covers of each bucket."""
        begun = np.maximum(at - self.start[event] - self.early[event], 0.0)
        return np.asarray((begun + 0.5 * self.covered(event, at)) * width)

    def hours(self, rows: Array, buckets: Array, width: float, kind: int) -> tuple[Array, Array]:
        """Hours since the start and to the end, float32 [n, K] each; −1 = no event of this kind.

        `buckets` [K] are consecutive, `width` hours long; hours are those from the event's start to
        the bucket's, and from the bucket's end to the event's, not below 0.
        """
        since = np.full((len(rows), len(buckets)), -1, dtype=np.float32)
        left = np.full_like(since, -1)
        low, high = int(buckets[0]), int(buckets[-1]) + 1
        near = (self.kind == kind) & (self.start < high) & (self.stop > low)
        for e in np.flatnonzero(near):
            at = np.arange(max(int(self.start[e]), low), min(int(self.stop[e]), high))
            mine = np.flatnonzero(np.isin(rows, self.rows[e]))
            where = np.ix_(mine, at - low)
            since[where] = np.maximum(at - self.start[e] - self.early[e], 0.0) * width
            left[where] = np.maximum(self.stop[e] - 1 - at - self.late[e], 0.0) * width
        return since, left


def clock_of(panel: Panel, horizon: int, *, season: int | None, days: Days | None = None) -> Clock:
    """Clock of the panel's buckets and the `horizon` after them."""
    ds = panel.ds.append(panel.future(horizon))
    length = len(ds)
    hours = float("nan")
    season = season or panel.season
    if isinstance(ds, pd.DatetimeIndex) and panel.width is not None:
        hours = panel.width / pd.Timedelta("1h")
        if follows_days(panel, season):
            return _wall_clock(ds, panel.width, days, panel.y)
        season = season or _longer_season(panel.freq, hours)
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


def _longer_season(freq: str, hours: float) -> int:
    """Buckets of the season of days, weeks, months, quarters or years."""
    if hours == 24.0:
        at_work = isinstance(pd.tseries.frequencies.to_offset(freq), pd.offsets.BusinessDay)
        return 5 if at_work else 7
    for least, season in ((8000, 1), (2000, 4), (600, 12)):
        if hours > least:
            return season
    return 52 if hours == 168.0 else 1


def follows_days(panel: Panel, season: int | None) -> bool:
    """Whether the buckets part local days evenly and the season is no other than day or week."""
    day = panel.per_day
    return day is not None and day > 1 and (season or panel.season) in (None, day, 7 * day)


def _wall_clock(ds: pd.DatetimeIndex, width: pd.Timedelta, days: Days | None, y: Array) -> Clock:
    wall = ds.tz_localize(None)
    slot = np.asarray((wall - wall.normalize()) // width)
    day = pd.Timedelta("1D") // width
    date = _dates(ds)
    weekday = np.asarray(ds.day_of_week)
    if days is not None:
        kind = days.holiday[date]
        like = np.where(kind > 0, days.rest, np.where(kind < 0, WORKDAY_LIKE, weekday))
        if not by_weekday(y, date, day, weekday, like):
            weekday = like
    return Clock(
        day=day,
        week=7,
        slot=slot,
        date=date,
        weekday=weekday,
        hours=width / pd.Timedelta("1h"),
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
    """Buckets of the clearest season in the data, 1 if there is none.

    Changes from bucket to bucket are compared, each series' own scale apart: neighbours are alike
    in a walk or a trend, too, and a large series would outvote the others.
    """
    moved = np.diff(y[:200, -1000:].astype(np.float64), axis=1)
    seen = np.isfinite(moved)
    size = np.sqrt(np.where(seen, moved**2, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))
    moved = np.where(seen, moved, 0) / np.where(size > 0, size, 1)[:, None]
    moved = np.clip(moved, -_FAR, _FAR)
    alike = {1: _LEAST_LIKE}
    for season in _SEASONS:
        both = seen[:, season:] & seen[:, :-season]
        if both.any(axis=0).sum() > 2 * season:
            product = (moved[:, season:] * moved[:, :-season])[both].sum()
            power = np.where(both, moved[:, season:] ** 2 + moved[:, :-season] ** 2, 0).sum() / 2
            alike[season] = product / max(power, 1e-9)
    clearest = max(alike, key=lambda season: alike[season])
    near = [
        s for s in alike if s > 1 and clearest % s == 0 and alike[s] >= _AS_CLEAR * alike[clearest]
    ]
    return min(near, default=1)


def days_of(
    panel: Panel,
    horizon: int,
    *,
    country: str | None,
    events: pd.DataFrame | None = None,
    season: int | None = None,
) -> Days:
    """Calendar of the local days of the panel and its horizon.

    Holidays are the country's, and the days whose noon lies in a holiday of the `events` for all.
    """
    ds = panel.ds.append(panel.future(horizon))
    if not isinstance(ds, pd.DatetimeIndex) or not follows_days(panel, season):
        return no_days(len(ds))
    dates = _local_dates(ds)
    holidays = [] if events is None else _day_holidays(panel, horizon, events, season)[1]
    told = np.any([np.zeros(len(dates), dtype=bool), *holidays], axis=0)
    return days_on(dates, country=country, told=told)


def _day_holidays(
    panel: Panel, horizon: int, events: pd.DataFrame, season: int | None
) -> tuple[Array, list[Array]]:
    """bool [E]: events that are days of the calendar, and of each of these its days, bool [D].

    A holiday for everyone that holds the noon of a local day; any other is an event of its hours.
    """
    ds = panel.ds.append(panel.future(horizon))
    is_day = np.zeros(len(events), dtype=bool)
    found = []
    if isinstance(ds, pd.DatetimeIndex) and follows_days(panel, season):
        dates = _local_dates(ds)
        for i in np.flatnonzero((events["kind"] == _HOLIDAY).to_numpy(dtype=bool)):
            days = _noons(events.iloc[i].to_dict(), dates, ds)
            is_day[i] = days.any()
            found.append(days)
    return is_day, found


def _local_dates(ds: pd.DatetimeIndex) -> pd.DatetimeIndex:
    n_dates = int(_dates(ds)[-1]) + 1
    return pd.date_range(ds[0].tz_localize(None).normalize(), periods=n_dates, freq="D")


def _noons(event: dict[Any, Any], dates: pd.DatetimeIndex, ds: pd.DatetimeIndex) -> Array:
    """bool [D]: days whose noon lies in an event, if it concerns everyone; else none."""
    if not (_blank(event.get("product_id")) and _blank(event.get("category"))):
        return np.zeros(len(dates), dtype=bool)
    start, end = (_local(event[name], ds) for name in ("starts_at", "ends_at"))
    noon = dates + pd.Timedelta("12h")
    return np.asarray((noon >= start) & (noon < end))


def _local(stamp: Any, ds: pd.DatetimeIndex) -> pd.Timestamp:
    """The panel's wall clock at an instant."""
    aware = _stamps(pd.Series([stamp]), ds, "events")
    return (aware if ds.tz is None else aware.tz_convert(ds.tz).tz_localize(None))[0]


def events_of(
    panel: Panel,
    horizon: int,
    events: pd.DataFrame | None,
    products: pd.DataFrame | None,
    *,
    season: int | None = None,
) -> Events:
    """Promotions, releases (whatever is no outage and no day of the calendar) in the buckets.

    Those that begin soon after the horizon are among them: they may be felt before. A holiday of
    one product or category, or of some hours only, is an event like these; any is where the
    `season` leaves no days.
    """
    found = []
    if events is not None and panel.width is not None:
        others = events[~_day_holidays(panel, horizon, events, season)[0]]
        soon = buckets_around(panel.width / pd.Timedelta("1h"))
        found = _spans(panel, horizon + soon, others, products)
    found = [span for span in found if span.kind != _OUTAGE]
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
        early=np.array([span.early for span in found], dtype=float),
        late=np.array([span.late for span in found], dtype=float),
        rows=tuple(span.rows for span in found),
    )


def buckets_around(width: float) -> int:
    """Whole buckets of `width` hours in `AROUND_HOURS`; NaN = buckets are no time, 0."""
    return int(AROUND_HOURS / width) if np.isfinite(width) else 0


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
    early: float  # share of the first bucket that lies before the event
    late: float  # share of the last bucket that lies after it
    rows: Array


def _spans(
    panel: Panel, horizon: int, events: pd.DataFrame, products: pd.DataFrame | None
) -> list[_Span]:
    if not isinstance(panel.ds, pd.DatetimeIndex) or panel.width is None or events.empty:
        return []
    length = len(panel.ds) + max(horizon, 1)
    begin = position(panel, events["starts_at"], "events")
    end = position(panel, events["ends_at"], "events")
    first, last = np.floor(begin).astype(int), np.ceil(end).astype(int)
    row_of = {str(i): k for k, i in enumerate(panel.ids)}
    groups = _groups(panel, products)
    everyone = np.arange(len(panel.ids))
    spans = []
    for i, event in enumerate(events.to_dict("records")):
        rows = _concerned(event, row_of, groups, everyone)
        if len(rows) and last[i] > 0 and first[i] < length:
            name = event.get("name")
            told = "" if _blank(name) else str(name)
            spans.append(
                _Span(
                    kind=str(event["kind"]),
                    name=told,
                    start=int(first[i]),
                    stop=int(last[i]),
                    early=float(begin[i] - first[i]),
                    late=float(last[i] - end[i]),
                    rows=rows,
                )
            )
    return spans


def position(panel: Panel, column: pd.Series, what: str) -> Array:
    """float [E] buckets from the panel's start to each instant, NaN = no instant.

    A part of a bucket is one of its own length, be it a day of 23 hours or a month. Before the
    panel and far ahead of it buckets are as long as the nearest one.

    Raises
    ------
    ValueError
        When only one of panel and column has a time zone; `what` names the column.
    """
    ds = cast("pd.DatetimeIndex", panel.ds)
    stamps = _stamps(column, ds, what)
    ahead = np.clip((stamps.max() - ds[-1]) / cast("pd.Timedelta", panel.width), 0, _AHEAD)
    ds = cast("pd.DatetimeIndex", ds.append(panel.future(int(np.nan_to_num(ahead)) + 2)))
    edges, at = ds.as_unit("us").asi8, stamps.as_unit("us").asi8
    bucket = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(edges) - 2)
    width = np.diff(edges)[bucket]
    found = (bucket * width + at - edges[bucket]) / width
    return np.where(stamps.isna(), np.nan, found)


def _stamps(column: pd.Series, ds: pd.DatetimeIndex, what: str) -> pd.DatetimeIndex:
    stamps = pd.DatetimeIndex(column)
    if (stamps.tz is None) != (ds.tz is None):
        raise ValueError(
            f"{what} and panel must both have a time zone, or neither: {what} have "
            f"{stamps.tz or 'none'}, the panel {ds.tz or 'none'}; localize or convert the former"
        )
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
