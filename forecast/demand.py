"""Demand history: an order log or a long frame becomes units by product and bucket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.bursts import fake_orders
from forecast.jams import jammed
from forecast.order_log import WRONG, aware, readable, refuse_wrong

Array = npt.NDArray[Any]

MAX_HISTORY = pd.Timedelta(days=400)
MAX_CELLS = 100_000_000  # products × buckets: 400 MB an array
MAX_UNITS = 1e18  # of a bucket, on either side of 0: squares of more are beyond float32
_EMPTY_LOG = pd.Timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What was asked for, by product [N] and regular bucket [T].

    Buckets of hours or minutes are equally long in elapsed time, so that local days of 23 and 25
    hours have 23 and 25 hourly buckets. Those of days and more are as long as the calendar has it.
    Each ends where the next begins, the last one where the first to forecast does.
    """

    ids: Array  # [N] str
    ds: pd.Index[Any]  # [T] bucket starts: aware or naive timestamps, or whole numbers
    y: Array  # float32 [N, T] units; NaN = not observed, 0 = no demand
    orders: Array | None = None  # float32 [N, T] number of orders, where `y` counts units of orders
    freq: str = "1h"  # a pandas offset; the whole-number step of an integer index as text
    season: int | None = None  # buckets in the short season; None = a day, or found in the data
    shift: Array | None = None  # [N] buckets that a series was moved later to end with the others
    # What the order log shows of single buckets: kind (`fake_orders` or `jam`), product_id, ds,
    # burst, units, orders (those that are fake), note. Rows of other buckets than `ds` are ignored.
    # All are judged by the whole log up to `as_of`: early ones know what came later.
    marks: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that don't fit each other, ids that come twice and buckets off a grid."""
        shape = len(self.ids), len(self.ds)
        for name, array in (("y", self.y), ("orders", self.orders)):
            if array is not None and array.shape != shape:
                raise ValueError(f"{name} is {array.shape}; {shape[0]} ids × {shape[1]} ds need it")
        if pd.Index(self.ids).has_duplicates:
            twice = self.ids[pd.Index(self.ids).duplicated()][0]
            raise ValueError(f"the id {twice!r} comes twice; a panel has one row for each")
        if len(self.ds) and not self.ds.equals(_grid(self.ds[0], len(self.ds), self.freq)):
            raise ValueError(
                f"ds is no unbroken grid of {self.freq}; make the panel with panel_of_series, or "
                "give every bucket, not observed ones with y = NaN"
            )

    def __repr__(self) -> str:
        """What it is of, in a line."""
        span = f"{self.ds[0]} … {self.ds[-1]}" if len(self.ds) else "no time"
        return f"<Panel of {len(self.ids)} series, {len(self.ds)} buckets of {self.freq}, {span}>"

    @property
    def whole(self) -> bool:
        """Whether all that was observed are whole numbers."""
        return not bool((self.y % 1 > 0).any())

    @property
    def width(self) -> pd.Timedelta | None:
        """Usual length of a bucket; None where the index is no time.

        A local day on which clocks change has 23 or 25 hours and is not usual.
        """
        if not isinstance(self.ds, pd.DatetimeIndex):
            return None
        starts = cast("pd.DatetimeIndex", self.future(8))
        return pd.Timedelta(int(np.median(np.diff(starts.asi8))), unit="us")

    @property
    def per_day(self) -> int | None:
        """Buckets of a full day; None where they don't part it evenly."""
        day, width = pd.Timedelta("1D"), self.width
        return day // width if width is not None and day % width == pd.Timedelta(0) else None

    def counted(self) -> Panel:
        """The same panel with orders instead of units as what is asked for.

        Raises
        ------
        ValueError
            When the panel counts no orders.
        """
        if self.orders is None:
            raise ValueError("the panel holds no order counts; make it with panel_of_orders")
        marks = self.marks
        if marks is not None:
            marks = marks.assign(units=marks["orders"])
        return replace(self, y=self.orders, marks=marks)

    def future(self, horizon: int) -> pd.Index[Any]:
        """[horizon] starts of the buckets after the last."""
        ahead = _grid(self.ds[-1], horizon + 1, self.freq)[1:]
        if isinstance(ahead, pd.DatetimeIndex):
            return cast("pd.Index[Any]", ahead.as_unit("us"))
        return ahead


def _grid(first: Any, length: int, freq: str) -> pd.Index[Any]:
    """[length] buckets from the first on, in time or, with a whole-number step, in numbers."""
    if isinstance(first, pd.Timestamp):
        return cast("pd.Index[Any]", pd.date_range(first, periods=length, freq=freq))
    return pd.Index(int(first) + int(freq) * np.arange(length))


def panel_of_orders(
    orders: Any,
    product_ids: Sequence[str] | Array,
    *,
    freq: str,
    tz: str,
    as_of: pd.Timestamp | str,
    history: pd.Timedelta | None = None,
) -> Panel:
    """Units and orders of each product in each bucket of the local clock before `as_of`.

    Parameters
    ----------
    orders
        pandas frame, Arrow table, record batch reader or DuckDB relation with product_id (text),
        ordered_at (timestamp, aware or UTC), quantity and status. Cancelled orders and unlisted
        products don't count.
        account_id, segment and delivered_at, where there are any, tell fake orders and jams.
        Refused: an empty status or instant, one of the five words (`cancelled` …) in other letters,
        a quantity that is no whole number from 1 on.
    product_ids
        One row each, in this order, with or without an order.
    freq
        Length of a bucket; must divide an hour or be one.
    as_of
        What `pd.Timestamp` takes, naive = local in `tz`. The panel ends where the first bucket
        that starts at or after it begins; a bucket that `as_of` cuts in two is not observed.
    history
        How far back to look; None = as far as the log goes, at most 400 days.
    """
    step = pd.Timedelta(freq)
    if step <= pd.Timedelta(0) or pd.Timedelta("1h") % step != pd.Timedelta(0):
        raise ValueError(f"freq {freq!r} does not divide an hour; use 15min, 30min or 1h")
    orders, as_of = readable(orders), aware(as_of, tz)
    ids = np.asarray(product_ids, dtype=object)
    width = step // pd.Timedelta("1us")
    end, cut = _grid_start(as_of, tz, step)
    span = history if history is not None else MAX_HISTORY
    most = max(int(span / step), 1)
    if history is None:
        most = max(min(most, MAX_CELLS // max(len(ids), 1)), 1)
    cells, fake = _aggregate(orders, ids, end - most * width, cut, width)
    first = _first_bucket(cells["bucket"], cells["orders"], most, step, history)
    n_buckets = most - first
    y = np.zeros((len(ids), n_buckets), dtype=np.float32)
    counts = np.zeros_like(y)
    inside = cells["bucket"] >= first
    where = cells["code"][inside], cells["bucket"][inside] - first
    y[where] = cells["units"][inside]
    counts[where] = cells["orders"][inside]
    if cut < end or not len(cells["bucket"]):
        unseen = slice(-1, None) if len(cells["bucket"]) else slice(None)
        y[:, unseen] = np.nan
        counts[:, unseen] = np.nan
    starts = end - width * np.arange(n_buckets, 0, -1)
    ds = pd.DatetimeIndex(starts.astype("M8[us]"), tz="UTC").tz_convert(tz)
    panel = Panel(ids=ids, ds=ds, y=y, orders=counts, freq=freq)
    return replace(panel, marks=_marks(cells, fake, panel, most))


def panel_of_series(frame: pd.DataFrame, *, freq: str, season: int | None = None) -> Panel:
    """Long frame unique_id, ds, y -> panel; a missing bucket or value is not observed.

    Ids keep the order in which they first appear. A series that ends more than one season (a day,
    for timestamps) before the latest is forecast from its own end: it is moved later by `shift`
    buckets, so that all series end together. A shorter lag is missing data.

    Raises
    ------
    ValueError
        When a value is infinite or beyond `MAX_UNITS`, a series has a bucket twice, or `ds` is off
        the grid, no time and no whole number, or whole numbers that read as dates (20260101).
    """
    missing = {"unique_id", "ds", "y"} - set(frame.columns)
    if missing:
        raise ValueError(f"the frame lacks {sorted(missing)}; it needs unique_id, ds, y")
    if frame.empty:
        raise ValueError("the frame has no rows; there is nothing to forecast from")
    _refuse(frame, frame["unique_id"].isna().to_numpy(), "has no unique_id; fill it in")
    _refuse(frame, frame["ds"].isna().to_numpy(), "has no ds; fill it in or remove the row")
    codes, ids = pd.factorize(frame["unique_id"].astype(str))
    index, step = _regular_index(frame["ds"], freq)
    position = index.get_indexer(pd.Index(frame["ds"]))
    grid = (
        f"is not on the {freq} grid that starts at {index[0]}; move it there or give another freq"
    )
    _refuse(frame, position < 0, grid)
    flat = codes.astype(np.int64) * len(index) + position
    _refuse(frame, pd.Series(flat).duplicated().to_numpy(), "comes twice; keep one row for each")
    units = frame["y"].to_numpy(dtype=np.float64, na_value=np.nan)
    _refuse(frame, np.isinf(units), "has an infinite y; correct or remove it", y=units)
    most = f"is too large; at most {MAX_UNITS:g} either side of 0, so use a larger unit"
    _refuse(frame, np.abs(units) > MAX_UNITS, most, y=units)
    y = np.full((len(ids), len(index)), np.nan, dtype=np.float32)
    panel = Panel(ids=np.asarray(ids, dtype=object), ds=index, y=y, freq=step, season=season)
    shift = _shifts(panel, codes, position)
    y[codes, position + shift[codes]] = units
    return replace(panel, shift=shift if shift.any() else None)


def _refuse(frame: pd.DataFrame, bad: Array, why: str, *, y: Array | None = None) -> None:
    """Raise if any of the rows is `bad`; tells the first and how many there are."""
    if not bad.any():
        return
    first, count = int(np.argmax(bad)), int(bad.sum())
    ds, series = frame["ds"].iloc[first], frame["unique_id"].iloc[first]
    value = "" if y is None else f", y {y[first]:g},"
    more = f" ({count:,} such rows)" if count > 1 else ""
    raise ValueError(f"unique_id {series}, ds {ds}{value} {why}{more}")


def _shifts(panel: Panel, codes: Array, position: Array) -> Array:
    """[N] buckets from a series' last row to the panel's end; 0 where that is missing data."""
    last = np.full(len(panel.ids), -1)
    np.maximum.at(last, codes, position)
    lag = len(panel.ds) - 1 - last
    day = 1 if panel.width is None else max(pd.Timedelta("1D") // panel.width, 1)
    return np.where(lag >= (panel.season or day), lag, 0)


def _regular_index(ds: pd.Series, freq: str) -> tuple[pd.Index[Any], str]:
    """Every bucket from the first to the last ds, and the step as text."""
    if pd.api.types.is_integer_dtype(ds.dtype):
        if _are_dates(ds):
            raise ValueError(
                f"ds {ds.iloc[0]} is a whole number that reads as a date; write it and the others "
                f"as dates: {pd.Timestamp(str(ds.iloc[0])).date()}"
            )
        if not (freq.isdigit() and int(freq)):
            raise ValueError(f'freq is {freq!r} and ds whole numbers: give their step, such as "1"')
        _refuse_wide((int(ds.max()) - int(ds.min())) // int(freq), freq)
        return pd.Index(np.arange(int(ds.min()), int(ds.max()) + 1, int(freq))), freq
    if not pd.api.types.is_datetime64_any_dtype(ds.dtype):
        raise ValueError(
            f"ds is {ds.dtype}; it must hold timestamps of one time zone or of none, or whole "
            "numbers: pd.to_datetime(ds) makes timestamps of text, with utc=True of mixed zones"
        )
    if freq.isdigit():
        raise ValueError(f'freq is {freq!r} and ds timestamps: give a length of time, such as "1h"')
    offset = pd.tseries.frequencies.to_offset(freq)
    if offset.n < 1:
        raise ValueError(f'freq is {freq!r}: give a length of time above 0, such as "1h"')
    if isinstance(offset, pd.tseries.offsets.Tick):
        _refuse_wide((ds.max() - ds.min()) // pd.Timedelta(offset), freq)
    index = pd.date_range(ds.min(), ds.max(), freq=freq)
    if index.empty:
        raise ValueError(
            f"every ds, such as {ds.min()}, lies between the starts of {freq} buckets; move each "
            f"to the start of its bucket, such as {offset.rollback(ds.min())}, or give another freq"
        )
    return cast("pd.Index[Any]", index.as_unit(ds.dt.unit)), freq


def _refuse_wide(buckets: int, freq: str) -> None:
    if buckets > MAX_CELLS:
        raise ValueError(
            f"ds spans {buckets:,} buckets of {freq}; correct the ds that lie far from the others, "
            "or give a longer freq"
        )


def _are_dates(ds: pd.Series) -> bool:
    """Whether all of some whole numbers read as YYYYMMDD, of the years 1900 to 2100."""
    if ds.min() < 1900_01_01 or ds.max() > 2100_12_31:
        return False
    dates = pd.to_datetime(pd.Series(ds.unique()).astype(str), format="%Y%m%d", errors="coerce")
    return bool(dates.notna().all())


@contextmanager
def _database() -> Iterator[Any]:
    """A private DuckDB in memory that spills to the system's temporary folder."""
    import duckdb

    with (
        tempfile.TemporaryDirectory(prefix="peakahead-") as spill,
        duckdb.connect(config={"temp_directory": spill}) as connection,
    ):
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def _grid_start(as_of: pd.Timestamp, tz: str, step: pd.Timedelta) -> tuple[int, int]:
    """(end of the panel, end of what is known), microseconds since the epoch.

    The second is the start of the bucket that `as_of` cuts in two, or the first if it cuts none.
    """
    width = step // pd.Timedelta("1us")
    instant = int(as_of.tz_convert("UTC").as_unit("us").asm8.astype(np.int64))
    offset = pd.Timedelta(as_of.tz_convert(tz).utcoffset() or 0)
    late = (instant + offset // pd.Timedelta("1us")) % width
    return (instant, instant) if late == 0 else (instant - late + width, instant - late)


def _aggregate(
    orders: Any, ids: Array, start: int, stop: int, width: int
) -> tuple[dict[str, Array], pd.DataFrame]:
    """Sums per product code and bucket number since `start`, and the fake orders among them.

    The log is copied once, numbers only, into an in-memory DuckDB: a reader can be read but once.
    Logarithms are summed as whole millionths, so that the sum doesn't depend on threads.
    """
    import duckdb

    relation = isinstance(orders, duckdb.DuckDBPyRelation)
    has = set(orders.columns if relation else orders.schema.names)
    wanted = ["product_id", "ordered_at", "quantity", "status"]
    wanted += [name for name in ("account_id", "segment", "delivered_at") if name in has]
    if relation:
        orders = orders.select(*wanted).to_arrow_reader(1_000_000)
    codes = pd.DataFrame({"product_id": ids.astype(str), "code": np.arange(len(ids))})
    account = "null"
    if "account_id" in has:  # 52 bits: whole numbers that a float holds exactly
        text = "nullif(account_id::varchar, '')"
        account = f"case when {text} is not null then hash({text}) & 4503599627370495 end"
    trade = "coalesce(segment <> 'individual', false)" if "segment" in has else "false"
    at = "epoch_us(ordered_at::timestamptz)"  # of nanoseconds, too; naive = UTC
    took = f"epoch_us(delivered_at::timestamptz) - {at}" if "delivered_at" in has else "null"
    with _database() as connection:
        connection.register("log", orders)
        connection.register("listed", codes)
        connection.execute(
            f"""
            create temp table placed as
            select code, (({at} - $start) // $width)::bigint as bucket, {at} as instant,
                   try_cast(quantity as bigint) as quantity, status = 'failed' as failed,
                   ({account})::bigint as account, {trade} as trade,
                   round(1e6 * ln(greatest({took}, 1e6)::double))::bigint as wait, {WRONG} as wrong
            from log join listed using (product_id)
            where status is distinct from 'cancelled'
              and coalesce({at} >= $start and {at} < $stop, true)
            """,
            {"start": start, "stop": stop, "width": width},
        )
        refuse_wrong(connection)
        fetched = connection.execute(
            """
            select code, bucket, sum(quantity)::double as units, count(*)::double as orders,
                   count(*) filter (failed)::double as failed, avg(wait) as wait
            from placed group by code, bucket order by code, bucket
            """
        ).fetchnumpy()
        cells = {name: np.asarray(fetched[name]) for name in fetched if name != "wait"}
        wait = np.ma.asarray(fetched["wait"], dtype=np.float64)
        cells["wait"] = np.asarray(wait.filled(np.nan)) / 1e6
        return cells, fake_orders(connection, cells, 3_600_000_000 // width)


def _marks(
    cells: dict[str, Array], fake: pd.DataFrame, panel: Panel, most: int
) -> pd.DataFrame | None:
    """Fake orders and jammed cells as one frame; None when there are none.

    Buckets count from `most` before the panel's end.
    """
    where = jammed(cells, panel.per_day or 24)
    jam = pd.DataFrame({name: cells[name][where] for name in ("code", "bucket")})
    jam = jam.assign(kind="jam", burst=0, units=0.0, orders=0.0, note="")
    marks = pd.concat([fake.assign(kind="fake_orders"), jam], ignore_index=True)
    first = most - len(panel.ds)
    marks = marks[marks["bucket"] >= first]
    if marks.empty:
        return None
    return pd.DataFrame(
        {
            "kind": marks["kind"].to_numpy(dtype=object),
            "product_id": panel.ids[marks["code"].to_numpy(dtype=int)],
            "ds": panel.ds[marks["bucket"].to_numpy(dtype=int) - first],
            "burst": marks["burst"].to_numpy(dtype=int),
            "units": marks["units"].to_numpy(dtype=float),
            "orders": marks["orders"].to_numpy(dtype=float),
            "note": marks["note"].to_numpy(dtype=object),
        }
    )


def _first_bucket(
    bucket: Array, orders: Array, most: int, step: pd.Timedelta, history: pd.Timedelta | None
) -> int:
    """Bucket at which the log begins; a few stray orders long before the rest are no beginning."""
    if history is not None:
        return 0
    if not len(bucket):
        return most - min(most, int(_EMPTY_LOG / step))
    per_day = max(int(pd.Timedelta("1D") / step), 1)
    count = np.bincount(bucket, weights=orders, minlength=most)
    busy = np.flatnonzero(count)
    before = np.cumsum(count)[busy] - count[busy]
    quiet = np.diff(busy, prepend=busy[0]) >= 7 * per_day
    stray = quiet & (before <= 0.001 * count.sum())
    return int(busy[np.flatnonzero(stray)[-1]] if stray.any() else busy[0])


def mean_units(y: Array, dtype: npt.DTypeLike | None = None) -> Array:
    """[N] mean of what was observed of [N, T], summed as `dtype`; 0 where nothing was."""
    seen = np.isfinite(y)
    total = np.where(seen, y, 0).sum(axis=1, dtype=dtype)
    return np.asarray(total / np.maximum(seen.sum(axis=1), 1))
