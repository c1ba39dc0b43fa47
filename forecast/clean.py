"""History made fit to learn from: what was not observed, fake orders, demand cut short."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecast.calendars import Clock, clock_of, days_of, outages_of, position
from forecast.censor import RARELY_SILENT, Censored, censored
from forecast.demand import Array, Panel
from forecast.runs import runs
from forecast.silences import silences

GAP_ORDERS = 30.0  # a silence that swallows this many usual orders is no chance
_SHIFT_NOTE = "mean units a day of up to 14 days before and after; the level before is past"
_PAUSE = pd.Timedelta(days=14)
COLUMNS = ("product_id", "starts_at", "ends_at", "kind", "units_before", "units_after", "note")
_LATE_START = 12.0  # orders that a product should have had before its first one
_BRIDGE_DAYS = 4  # before and after a holiday that may be closed too
_CLOSED_DAYS = 14  # a silence around a holiday that lasts longer is a gap all the same


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A panel to learn from, and what was changed to get it."""

    panel: Panel  # NaN where demand was not observed, without fake orders
    changes: pd.DataFrame  # a row each, `COLUMNS`; product_id "" = every product


def observed(
    panel: Panel,
    *,
    products: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    country: str | None = None,
    raised: bool = True,
) -> Panel:
    """The panel of `clean`."""
    return clean(panel, products=products, events=events, country=country, raised=raised).panel


def clean(
    panel: Panel,
    *,
    products: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    country: str | None = None,
    raised: bool = True,
) -> Cleaned:
    """Leave out what is no demand, and tell of it.

    NaN, not zero, during outage events, in gaps of the whole log, in the silence before a product's
    relaunch, before it was on sale, and where it was silent against all odds. Fake orders are taken
    away from units and orders; units of a jam that turned customers away are `raised` to what they
    should have been, or else not observed either.
    """
    y = panel.y.copy()
    orders = None if panel.orders is None else panel.orders.copy()
    done = replace(panel, y=y, orders=orders, marks=None)
    told = _fakes_removed(panel, done)
    for start, stop, rows in outages_of(panel, events, products):
        where = rows, slice(max(start, 0), min(stop, y.shape[1]))
        told.append(_unseen(done, "outage", where, len(rows) == len(y)))
        y[rows, where[1]] = np.nan
    if panel.orders is not None:
        holiday = days_of(panel, 1, country=country, events=events).holiday > 0
        silent = gaps(done, holiday)
        for _, start, stop in zip(*runs(silent[None]), strict=True):
            told.append(_unseen(done, "gap", (slice(None), slice(start, stop)), True))
        y[:, silent] = np.nan
        told.append(_relaunched(done, products))
        before = launches(done, products)
        y[np.arange(y.shape[1]) < before[:, None]] = np.nan
        told.append(_uncensored(replace(done, marks=panel.marks), y, holiday, raised))
    return Cleaned(panel=done, changes=by_time([_changes(panel, {}), *told]))


def by_time(changes: list[pd.DataFrame]) -> pd.DataFrame:
    """Several lists of changes as one; the first is kept even if all are empty."""
    joined = pd.concat([frame for frame in changes if len(frame)] or changes[:1])
    order = ["starts_at", "product_id", "kind"]
    return joined.sort_values(order, kind="stable", ignore_index=True)


def _changes(panel: Panel, columns: dict[str, Array]) -> pd.DataFrame:
    """Rows of `COLUMNS` from arrays; `start` and `stop` are buckets."""
    ends = panel.ds.append(panel.future(1))
    n = len(columns.get("start", ()))
    bucket = {name: np.asarray(columns.get(name, ()), dtype=int) for name in ("start", "stop")}
    return pd.DataFrame(
        {
            "product_id": np.asarray(columns.get("product_id", ()), dtype=object),
            "starts_at": ends[bucket["start"]],
            "ends_at": ends[bucket["stop"]],
            "kind": np.asarray(columns.get("kind", ()), dtype=object),
            "units_before": np.asarray(columns.get("before", np.zeros(n)), dtype=float),
            "units_after": np.asarray(columns.get("after", np.zeros(n)), dtype=float),
            "note": np.asarray(columns.get("note", ()), dtype=object),
        },
        columns=list(COLUMNS),
    )


def _unseen(
    panel: Panel, kind: str, where: tuple[Array | slice, slice], everyone: bool
) -> pd.DataFrame:
    """Rows for [start, stop) buckets of some products that were not observed."""
    start, stop = where[1].start, where[1].stop
    if start >= stop:
        return _changes(panel, {})
    units = np.asarray(np.nansum(panel.y[where], axis=1, dtype=np.float64))
    ids = panel.ids[where[0]]
    if everyone:
        ids, units = np.array([""], dtype=object), np.array([units.sum()])
    note = "announced" if kind == "outage" else "no order of any product"
    n = len(ids)
    return _changes(
        panel,
        {
            "product_id": ids,
            "start": np.full(n, start),
            "stop": np.full(n, stop),
            "kind": np.full(n, kind, dtype=object),
            "before": units,
            "after": np.full(n, np.nan),
            "note": np.full(n, f"{note}; not observed", dtype=object),
        },
    )


def _fakes_removed(panel: Panel, done: Panel) -> list[pd.DataFrame]:
    """Take the fake orders from `done`'s arrays; a row for each burst."""
    if panel.marks is None:
        return []
    marks = panel.marks[panel.marks["kind"] == "fake_orders"]
    row = pd.Index(panel.ids).get_indexer(pd.Index(marks["product_id"]))
    bucket = panel.ds.get_indexer(pd.Index(marks["ds"]))
    inside = (row >= 0) & (bucket >= 0)
    marks, row, bucket = marks[inside], row[inside], bucket[inside]
    if marks.empty:
        return []
    before = panel.y[row, bucket].astype(np.float64)
    after = np.maximum(before - marks["units"].to_numpy(), 0.0)
    done.y[row, bucket] = after
    if done.orders is not None:
        counts = done.orders[row, bucket] - marks["orders"].to_numpy()
        done.orders[row, bucket] = np.maximum(counts, 0.0)
    frame = pd.DataFrame({"row": row, "bucket": bucket, "before": before, "after": after})
    frame["note"] = marks["note"].to_numpy()
    bursts = frame.groupby([row, marks["burst"].to_numpy()], sort=True).agg(
        row=("row", "first"),
        start=("bucket", "min"),
        stop=("bucket", "max"),
        before=("before", "sum"),
        after=("after", "sum"),
        note=("note", "first"),
    )
    columns = {name: bursts[name].to_numpy() for name in ("start", "before", "after", "note")}
    columns |= {"product_id": panel.ids[bursts["row"]], "stop": bursts["stop"].to_numpy() + 1}
    columns["kind"] = np.full(len(bursts), "fake_orders", dtype=object)
    return [_changes(panel, columns)]


def _relaunched(done: Panel, products: pd.DataFrame | None) -> pd.DataFrame:
    """Forget in `done` the silences before relaunches, told or seen; a row for each."""
    silent, bucket = silences(done), np.arange(done.y.shape[1])
    row, start, stop = pauses(done, products)
    silent[row] |= (bucket >= start[:, None]) & (bucket < stop[:, None])
    done.y[silent] = np.nan
    row, start, stop = runs(silent)
    return _changes(
        done,
        {
            "product_id": done.ids[row],
            "start": start,
            "stop": stop,
            "kind": np.full(len(row), "relaunch", dtype=object),
            "after": np.full(len(row), np.nan),
            "note": np.full(
                len(row), "silent before it was sold again; not observed", dtype=object
            ),
        },
    )


def _uncensored(panel: Panel, y: Array, holiday: Array, raised: bool) -> pd.DataFrame:
    """Raise or forget in `y` what was cut short; a row for each run."""
    clock = clock_of(panel, 1, season=None)
    found = censored(panel, clock, holiday=holiday if holiday.any() else None)
    if not len(found.row):
        return _changes(panel, {})
    if not raised:
        found = replace(found, share=np.full_like(found.share, np.nan))
    before = y[found.row, found.bucket].astype(np.float64)
    y[found.row, found.bucket] = before * found.share
    return _changes(panel, _cut_short(panel, found, before))


def _cut_short(panel: Panel, found: Censored, before: Array) -> dict[str, Array]:
    after = before * found.share
    frame = pd.DataFrame({"run": found.run, "bucket": found.bucket, "row": found.row})
    frame = frame.assign(before=before, after=after, due=found.due)
    spans = frame.groupby("run", sort=True).agg(
        row=("row", "first"),
        start=("bucket", "min"),
        stop=("bucket", "max"),
        before=("before", "sum"),
        after=("after", "sum"),
        unseen=("after", lambda x: bool(x.isna().all())),
        due=("due", "sum"),
    )
    note = [
        f"{due:.0f} orders were due; " + ("not observed" if unseen else "raised to what is likely")
        for due, unseen in zip(spans["due"], spans["unseen"], strict=True)
    ]
    return {
        "product_id": panel.ids[spans["row"]],
        "start": spans["start"].to_numpy(),
        "stop": spans["stop"].to_numpy() + 1,
        "kind": np.full(len(spans), "censored", dtype=object),
        "before": spans["before"].to_numpy(),
        "after": spans["after"].where(~spans["unseen"]).to_numpy(),
        "note": np.array(note, dtype=object),
    }


def shifted(panel: Panel, y: Array, first: Array, *, days: int = 14) -> pd.DataFrame:
    """Rows for level shifts at the buckets `first` [N] (0 = none): mean units a day on both sides.

    `days` are looked at on either side at most.
    """
    rows = np.flatnonzero((first > 0) & (first < y.shape[1]))
    if not len(rows) or panel.width is None:
        return _changes(panel, {})
    day = pd.Timedelta("1D") / panel.width
    reach, bucket = round(days * day), np.arange(y.shape[1])
    away = bucket - first[rows, None]
    seen = np.isfinite(y[rows])
    means = []
    for side in ((away < 0) & (away >= -reach), (away >= 0) & (away < reach)):
        total = np.where(side & seen, y[rows], 0).sum(axis=1, dtype=np.float64)
        means.append(total / np.maximum((side & seen).sum(axis=1), 1) * day)
    return _changes(
        panel,
        {
            "product_id": panel.ids[rows],
            "start": first[rows],
            "stop": np.full(len(rows), y.shape[1]),
            "kind": np.full(len(rows), "level_shift", dtype=object),
            "before": means[0],
            "after": means[1],
            "note": np.full(len(rows), _SHIFT_NOTE, dtype=object),
        },
    )


def gaps(panel: Panel, holiday: Array | None = None) -> Array:
    """bool [T]: buckets in a silence of the whole log that its usual rate rules out.

    The usual number of orders of a bucket is the median over the weeks at that time of week. A run
    of silent buckets is a gap when it should have had many and some of it falls on a time of week
    that is hardly ever silent; so nights, closed weekends and slow evenings are no gaps. A silence
    of a week or more says nothing of the weeks around it.
    """
    if panel.orders is None:
        return np.zeros(len(panel.ds), dtype=bool)
    orders = np.where(np.isfinite(panel.y), panel.orders, np.nan)
    seen = np.isfinite(orders).any(axis=0)
    total = np.where(seen, np.nansum(orders, axis=0), np.nan)
    clock = clock_of(panel, 1, season=None)
    place = (clock.weekday * clock.day + clock.slot)[: len(total)]
    silent = (total == 0) | ~seen
    run = pd.Series(np.cumsum(np.diff(silent, prepend=False) != 0))
    shut = _shut(silent, run, clock, holiday)
    length = run.groupby(run).transform("size").to_numpy()
    long = silent & (length >= 7 * clock.day)
    total[shut | long] = np.nan  # says nothing of other weeks
    usual = pd.Series(total).groupby(place).transform("median").fillna(0).to_numpy()
    zero = pd.Series(total == 0).groupby(place).transform("sum")
    weeks = pd.Series(np.isfinite(total)).groupby(place).transform("sum")
    own = np.where(long, 0, 1)
    others: Array = np.asarray((zero - own) / np.maximum(weeks - own, 1))
    mine = silent & seen & ~shut
    rare = mine & (usual > 0) & (others <= RARELY_SILENT)
    missed = pd.Series(np.where(mine, usual, 0.0)).groupby(run).transform("sum").to_numpy()
    odd = pd.Series(rare).groupby(run).transform("any").to_numpy()
    return np.asarray(mine & odd & (missed >= GAP_ORDERS))


def _shut(silent: Array, run: pd.Series, clock: Clock, holiday: Array | None) -> Array:
    """bool [T]: silences of the whole log that are closed days around a wholly silent holiday.

    They last 14 days at most, with no whole day farther than four from a holiday among them.
    """
    if holiday is None or not holiday.any():
        return np.zeros(len(silent), dtype=bool)
    date = clock.date[: len(silent)]
    idle = np.bincount(date, weights=~silent, minlength=len(holiday)) == 0
    whole = holiday & idle
    reach = np.convolve(whole, np.ones(2 * _BRIDGE_DAYS + 1))  # "same" is no shorter than the ones
    near = reach[_BRIDGE_DAYS : _BRIDGE_DAYS + len(whole)] > 0
    around = pd.Series((near | ~idle)[date]).groupby(run).transform("all")
    touched = pd.Series(whole[date] & silent).groupby(run).transform("any")
    brief = run.groupby(run).transform("size") <= _CLOSED_DAYS * clock.day
    return np.asarray(silent & touched & around & brief)


def launches(panel: Panel, products: pd.DataFrame | None) -> Array:
    """int [N]: first bucket in which each product can have sold, T or later if not launched yet.

    `launched_at` if it is told and nothing sold before; otherwise the first order, if the product's
    later share of all orders makes the silence before it no chance.
    """
    orders = panel.orders if panel.orders is not None else panel.y
    n_buckets = orders.shape[1]
    sold = np.nan_to_num(orders) > 0
    first = np.where(sold.any(axis=1), sold.argmax(axis=1), n_buckets)
    before = np.append(0.0, np.cumsum(np.nansum(orders, axis=0, dtype=np.float64)))
    share = np.maximum(np.nansum(orders, axis=1, dtype=np.float64) - 1, 0)  # the first order is why
    share = share / np.maximum(before[-1] - before[first], 1.0)
    start = np.where((share * before[first] > _LATE_START) & (first < n_buckets), first, 0)
    told = _told_launch(panel, products)
    bucket = np.clip(np.floor(np.nan_to_num(told)), 0, 10**7).astype(int)
    bucket = np.where(first < n_buckets, np.minimum(bucket, first), bucket)
    return np.where(np.isnan(told), start, bucket)


def pauses(panel: Panel, products: pd.DataFrame | None) -> tuple[Array, Array, Array]:
    """Products told to be launched though they sold before: row, start and end of their pause.

    The pause lies between the last order before `launched_at` and that; its end is T or later for
    one that is yet to come. A pause of less than two weeks may be demand's own and doesn't count.
    """
    told = _told_launch(panel, products)
    rows = np.flatnonzero(told > 0)
    if not len(rows):
        return rows, rows, rows
    orders = panel.orders if panel.orders is not None else panel.y
    stop = np.clip(np.floor(told[rows]), 0, 10**7).astype(int)
    before = np.arange(orders.shape[1]) < stop[:, None]
    sold = (np.nan_to_num(orders[rows]) > 0) & before
    start = orders.shape[1] - np.argmax(sold[:, ::-1], axis=1)
    silent = np.minimum(stop, orders.shape[1]) - start
    real = sold.any(axis=1) & (silent * panel.width >= _PAUSE)
    return rows[real], start[real], stop[real]


def _told_launch(panel: Panel, products: pd.DataFrame | None) -> Array:
    """float [N] buckets from the panel's start to `launched_at`, NaN where none is told."""
    none = np.full(len(panel.ids), np.nan)
    if products is None or "launched_at" not in products:
        return none
    ids = [str(i) for i in panel.ids]
    told = products.set_index(products["product_id"].astype(str))["launched_at"].reindex(ids)
    if not isinstance(panel.ds, pd.DatetimeIndex) or told.isna().all():
        return none
    return position(panel, told, "launched_at")
