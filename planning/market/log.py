"""The order log: who ordered, what became of it; written to Parquet day by day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from planning.market.demand import MILLIS_PER_HOUR, Arrivals, Demand, arrivals
from planning.market.reference import stream
from planning.problem import SEGMENTS, Array
from planning.spot import service_noise

STATUSES = ("delivered", "failed", "cancelled", "refunded", "pending")
DELIVERED, FAILED, CANCELLED, REFUNDED, PENDING = range(len(STATUSES))
CANCELLED_SHARE, REFUNDED_SHARE = 0.012, 0.006
CUSTOMER_PRICE = (1.0, 0.985, 0.98)  # of the list price, by segment
LONGEST_JAM = 4.0  # hours; past customers went elsewhere before it got worse
ROW_GROUP = 500_000
DAY_MILLIS = 24 * MILLIS_PER_HOUR


@dataclass(frozen=True, kw_only=True)
class Spot:
    """The spot side that the log remembers: offers [O] by product, suppliers [S]."""

    product: Array  # [O] int, non-decreasing
    supplier: Array  # [O] int
    spot_minutes: Array  # [O]
    last_day: Array  # [S] last day of the licence, counted from the first day; -1 = none
    failure_rate: Array  # [S]
    channels: Array  # [S]

    def hourly_capacity(self) -> float:
        """Orders an hour that the licensed channels serve."""
        speed = np.bincount(self.supplier, weights=60 / self.spot_minutes)
        offers = np.maximum(np.bincount(self.supplier), 1)
        per_channel = np.zeros(len(self.channels))
        per_channel[: len(speed)] = speed / offers
        return float((self.channels * per_channel)[self.last_day >= 0].sum())


@dataclass(frozen=True, kw_only=True)
class Fakes:
    """Made-up orders [K] (刷单): bursts from a few accounts in odd quantities."""

    arrivals: Arrivals
    account: Array  # [K] int: counted down from the last individual account


def fakes(source: Demand) -> Fakes:
    """Three to five bursts in the history, each from two or three accounts, within the hour."""
    rng = stream(source.seed, "fakes")
    shop, hours = source.shop, source.days.history * 24
    old = np.flatnonzero(np.isinf(shop.launched))
    size = max(60, int(shop.orders_per_day.sum() * 0.015))
    parts = []
    for burst in range(int(rng.integers(3, 6))):
        count = int(size * rng.uniform(0.7, 1.5))
        start = int(rng.integers(0, max(hours - 3 * 24, 1))) * MILLIS_PER_HOUR
        millis = start + rng.integers(0, int(rng.uniform(0.5, 1.2) * MILLIS_PER_HOUR), count)
        product = np.full(count, rng.choice(old))
        quantity = rng.choice([7, 13, 17, 23], count)
        account = burst * 3 + rng.integers(0, rng.integers(2, 4), count)
        parts.append(np.stack([millis, product, quantity, account]))
    rows = np.concatenate(parts, axis=1)
    gap, length = source.gap
    hour = rows[0] // MILLIS_PER_HOUR
    rows = rows[:, ~((hour >= gap) & (hour < gap + length))]
    return Fakes(
        arrivals=Arrivals(
            millis=rows[0],
            product=rows[1].astype("int32"),
            segment=np.zeros(rows.shape[1], dtype="int8"),
            quantity=rows[2],
        ),
        account=rows[3],
    )


def cancelled(seed: int, day: int, orders: int) -> Array:
    """[M] which of a day's orders are cancelled: known before anything else about them."""
    return stream(seed, "orders", day).random(orders) < CANCELLED_SHARE


@dataclass(frozen=True, kw_only=True)
class Log:
    """Turns arrivals into order rows; holds the ids and the spot side."""

    source: Demand
    spot: Spot
    fakes: Fakes
    supplier_ids: list[str]
    tz: str

    def accounts(self) -> tuple[Array, Array]:
        """First account number and number of accounts of each segment."""
        size = float(self.source.shop.orders_per_day.sum())
        count = np.array([max(200, size * 10), max(20, size / 60), max(10, size / 80)]).astype(int)
        return np.r_[0, np.cumsum(count)[:-1]], count


def days(log: Log, first: int, last: int, as_of: int | None) -> Iterator[pa.Table]:
    """Order rows of the days [first, last), a table a day.

    With `as_of` (milliseconds since the first midnight), a delivery later than that is not yet
    known: the order is pending.
    """
    backlog = 0.0
    for day in range(first, last):
        rows, account = _with_fakes(log, day)
        wait, backlog = _jam(log.spot.hourly_capacity(), rows.millis - day * DAY_MILLIS, backlog)
        yield _rows(log, day, rows, account, wait, as_of)


def _with_fakes(log: Log, day: int) -> tuple[Arrivals, Array]:
    """A day's genuine and fake orders in order of time; -1 = draw an account."""
    real, fake = arrivals(log.source, day), log.fakes
    today = fake.arrivals.millis // DAY_MILLIS == day
    millis = np.r_[real.millis, fake.arrivals.millis[today]]
    order = np.argsort(millis, kind="stable")
    rows = Arrivals(
        millis=millis[order],
        product=np.r_[real.product, fake.arrivals.product[today]][order],
        segment=np.r_[real.segment, fake.arrivals.segment[today]][order],
        quantity=np.r_[real.quantity, fake.arrivals.quantity[today]][order],
    )
    return rows, np.r_[np.full(len(real), -1), fake.account[today]][order]


def _jam(capacity: float, millis: Array, backlog: float) -> tuple[Array, float]:
    """Minutes [M] that orders queued: a fluid backlog of the whole market, hour by hour."""
    hour = (millis // MILLIS_PER_HOUR).astype(int)
    waits = np.zeros(25)
    for number, orders in enumerate(np.bincount(hour, minlength=24)):
        waits[number] = backlog / capacity * 60
        backlog = min(max(backlog + orders - capacity, 0.0), LONGEST_JAM * capacity)
    waits[24] = backlog / capacity * 60
    return np.interp(millis / MILLIS_PER_HOUR, np.arange(25), waits), backlog


def _rows(
    log: Log, day: int, rows: Arrivals, account: Array, wait: Array, as_of: int | None
) -> pa.Table:
    rng = stream(log.source.seed, "orders", day)
    fate = rng.random(len(rows))  # the draw that `cancelled` repeats
    offer = _offer(rng, log.spot, rows.product, day)
    minutes = wait + log.spot.spot_minutes[offer] * service_noise(rng, len(rows))
    supplier = log.spot.supplier[offer]
    delivered = rows.millis + (minutes * 60_000).astype("int64")
    status = _status(fate, log.spot.failure_rate[supplier], delivered, as_of)
    arrived = (status == DELIVERED) | (status == REFUNDED)
    known = status != CANCELLED
    numbers = _accounts(rng, log, rows.segment, account)
    price = log.source.shop.price[rows.product] * np.array(CUSTOMER_PRICE)[rows.segment]
    return pa.table(
        {
            "order_id": _order_ids(log.source.days.date(day).strftime("%Y%m%d"), len(rows)),
            "product_id": _take(log.source.shop.table["product_id"], rows.product),
            "ordered_at": _stamps(log, rows.millis),
            "quantity": pa.array(rows.quantity.astype("int32")),
            "status": _take(STATUSES, status),
            "delivered_at": _stamps(log, delivered, arrived),
            "supplier_id": _take(log.supplier_ids, supplier, known),
            "segment": _take(SEGMENTS, rows.segment),
            "account_id": numbers,
            "unit_price": pa.array(price.round(2)),
        }
    )


def _offer(rng: np.random.Generator, spot: Spot, product: Array, day: int) -> Array:
    """[M] the offer each order was bought from: a faster one more often, licensed ones only."""
    pull = np.where(spot.last_day[spot.supplier] >= day, spot.spot_minutes**-2.0, 0)
    total = np.r_[0, np.cumsum(pull)]
    number = np.arange(product.max() + 1 if len(product) else 0)
    first = total[np.searchsorted(spot.product, number)]
    last = total[np.searchsorted(spot.product, number, side="right")]
    # strictly within the product's stretch, so that rounding never lands on a neighbour's offer
    mark = first[product] + (last - first)[product] * rng.uniform(1e-9, 1 - 1e-9, len(product))
    return np.asarray(np.searchsorted(total, mark, side="right") - 1)


def _status(fate: Array, failure_rate: Array, delivered: Array, as_of: int | None) -> Array:
    status = np.full(len(fate), DELIVERED)
    fails = CANCELLED_SHARE + REFUNDED_SHARE + failure_rate
    status[fate < fails] = FAILED
    status[fate < CANCELLED_SHARE + REFUNDED_SHARE] = REFUNDED
    if as_of is not None:
        status[delivered > as_of] = PENDING
    status[fate < CANCELLED_SHARE] = CANCELLED
    return status


def _accounts(rng: np.random.Generator, log: Log, segment: Array, fake: Array) -> pa.Array:
    """[M] account ids; some customers order much more often than others."""
    first, count = log.accounts()
    mine = first[segment] + (count[segment] * rng.random(len(segment)) ** 2).astype("int64")
    mine = np.where(fake >= 0, first[1] - 1 - fake, mine)
    return _join("A", pc.utf8_lpad(pa.array(mine).cast(pa.string()), 8, "0"))


def _order_ids(date: str, orders: int) -> pa.Array:
    numbers = pa.array(np.arange(1, orders + 1)).cast(pa.string())
    return _join(f"O{date}", pc.utf8_lpad(numbers, 7, "0"))


def _join(prefix: str, text: pa.Array) -> pa.Array:
    joined: pa.Array = pc.binary_join_element_wise(prefix, text, "")
    return joined


def _take(
    words: pd.Series | tuple[str, ...] | list[str], rows: Array, known: Array | None = None
) -> pa.Array:
    index = pa.array(rows) if known is None else pa.array(rows, mask=~known)
    return pa.array(list(words), type=pa.string()).take(index)


def _stamps(log: Log, millis: Array, known: Array | None = None) -> pa.Array:
    midnight = pd.Timestamp(log.source.days.first, tz=log.tz)
    start = round(midnight.timestamp() * 1000)
    mask = None if known is None else ~known
    return pa.array(millis + start, mask=mask).cast(pa.timestamp("ms", tz=log.tz))


ENCODINGS = {
    "order_id": "DELTA_BYTE_ARRAY",
    "ordered_at": "DELTA_BINARY_PACKED",
    "delivered_at": "DELTA_BINARY_PACKED",
}
WORDS = ["product_id", "quantity", "status", "supplier_id", "segment", "account_id", "unit_price"]


def write(path: Path, tables: Iterator[pa.Table]) -> int:
    """Writes the tables as one Parquet file, in row groups; returns the rows."""
    rows, waiting, size = 0, [], 0
    writer: pq.ParquetWriter | None = None
    for table in tables:
        if writer is None:
            writer = pq.ParquetWriter(
                path,
                table.schema,
                compression="zstd",
                use_dictionary=WORDS,
                column_encoding=ENCODINGS,
            )
        waiting.append(table)
        size += table.num_rows
        rows += table.num_rows
        if size >= ROW_GROUP:
            writer.write_table(pa.concat_tables(waiting).combine_chunks(), row_group_size=size)
            waiting, size = [], 0
    if writer is None:
        raise ValueError("a log without a single day can't be written")
    if size:
        writer.write_table(pa.concat_tables(waiting).combine_chunks(), row_group_size=size)
    writer.close()
    return rows
