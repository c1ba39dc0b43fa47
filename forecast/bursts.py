"""Bursts of fake orders (刷单): few accounts, odd quantities, a short time, one product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betainc

from forecast.usual import usual_at

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Array = npt.NDArray[Any]

CHANCE = 0.01  # expected number of runs flagged in a whole log without fakes
BURST_ORDERS = 10  # fewer do little harm
FEW = 8  # accounts of a burst at most: what the others do is what is usual just now
LONG_RUN = 15  # orders, from which quantities need not be odd
ODD = 0.01  # a quantity is odd when it has less than this share of the product's orders
BREAK = 3_600_000_000  # microseconds without an order that end a run
UNSIGNED_BREAK = 1_800_000_000  # the same where no account is known
UNSIGNED_LENGTH = 7_200_000_000  # longest burst without an account
_REGULAR_DAYS = 3  # days of other activity that make an account a known customer
_SURE_ODD = 1e-4  # chance of a known customer's quantities below which they speak against it
_OWN = 10.0  # orders that weigh as much as what is usual for everyone
_SAMPLE = 2_000_000  # orders that tell how often a customer comes again within the hour
_HABIT_HOURS = 2  # that a habit comes earlier or later in the day
_HABIT_WEEKS = 2  # other weeks in which it came, too
_CUSTOM_DAYS = 7  # other days on which other customers of the product ordered so
_CUSTOM_WEEKS = 3
_AGAIN = f"""select code, account, bucket, instant - lag(instant) over (
    partition by code, account order by instant) <= {BREAK} as again"""
_NOTHING = pd.DataFrame(
    {
        "code": np.zeros(0, dtype=np.int64),
        "bucket": np.zeros(0, dtype=np.int64),
        "burst": np.zeros(0, dtype=np.int64),
        "units": np.zeros(0),
        "orders": np.zeros(0),
        "note": np.zeros(0, dtype=object),
    }
)


def fake_orders(log: DuckDBPyConnection, cells: dict[str, Array], per_hour: int) -> pd.DataFrame:
    """Fake orders by product and bucket: code, bucket, burst, units, orders, note.

    A run is what one account orders of one product without an hour's pause. Its length is
    geometric: an order is followed by another with the probability that is usual for the product,
    for that account, and in that very hour among the other accounts. Its quantities are drawn as
    they usually are. A run is fake when both together would not be seen in `CHANCE` of logs as
    long, in an hour that is far above the product's past. So many accounts (a promotion), failed
    attempts and accounts that usually order so are never fake, nor is what comes again: see
    `_habits`.

    Parameters
    ----------
    log
        Holds the table `placed`: code, bucket, instant (microseconds), quantity, failed, account
        (number, null = unknown) and trade (no individual), cancelled orders left out.
    cells
        code, bucket, units, orders of each bucket with an order.
    per_hour
        Buckets of an hour.
    """
    tests = float(np.sum(cells["orders"]))
    busy = _busy_hours(cells, per_hour)
    if not len(busy):
        return _NOTHING
    near = pd.concat([busy.assign(hour=busy["hour"] + k) for k in (-1, 0, 1)])
    near = near.drop_duplicates(ignore_index=True)
    log.register("near", near)
    log.execute(
        f"create or replace temp table busy as select placed.* from placed join near "
        f"on placed.code = near.code and placed.bucket // {per_hour} = near.hour"
    )
    orders = log.execute("select * from busy order by code, instant, quantity, account").df()
    usual = _Usual(log, orders, per_hour)
    signed = orders[orders["account"].notna()].copy()
    unsigned = orders[orders["account"].isna()].copy()
    found = pd.concat(
        [_signed_fakes(signed, usual, tests), _unsigned_fakes(unsigned, usual, tests)]
    )
    return _told(found)


def _busy_hours(cells: dict[str, Array], per_hour: int) -> pd.DataFrame:
    """Product and hour of cells far above the same time of day in the weeks around."""
    frame = pd.DataFrame({name: cells[name] for name in ("code", "units", "orders")})
    frame["hour"] = cells["bucket"] // per_hour
    hourly = frame.groupby(["code", "hour"], sort=False, as_index=False).sum()
    if hourly.empty:
        return hourly[["code", "hour"]]
    value = hourly[["orders", "units"]].to_numpy(dtype=float).T
    usual = usual_at(hourly["code"].to_numpy(), hourly["hour"].to_numpy(), value)
    size = np.array([[1.0], [value[1].sum() / value[0].sum()]])  # of an order, in orders and units
    high = (value >= 1.5 * usual + 4 * np.sqrt(size * usual) + 4 * size).any(axis=0)
    return pd.DataFrame(hourly.loc[high & (value[0] >= 4), ["code", "hour"]])


class _Usual:
    """What orders outside the busy hours say of repeats and quantities."""

    def __init__(self, log: DuckDBPyConnection, orders: pd.DataFrame, per_hour: int) -> None:
        self.log = log
        self.outside = (
            f"placed anti join near on placed.code = near.code "
            f"and placed.bucket // {per_hour} = near.hour"
        )
        self.per_day = 24 * per_hour
        log.register("codes", pd.DataFrame({"code": orders["code"].unique()}))
        counts = log.execute(
            f"select code, quantity, count(*) as orders from {self.outside} group by all"
        ).df()
        everyone = counts.groupby("quantity")["orders"].sum()
        self.everyone = (everyone + 0.5) / (everyone.sum() + 1.0)
        self.floor = 0.5 / (float(everyone.sum()) + 1.0)
        self.sold = counts.groupby("code")["orders"].sum()
        self.counts = counts.set_index(["code", "quantity"])["orders"]
        self._learn_repeats(int(everyone.sum()))

    def _learn_repeats(self, orders: int) -> None:
        """Share of orders that the same account follows by another within the hour."""
        some = max(orders // _SAMPLE, 1)
        repeats = self.log.execute(
            f"""
            select code, count(*)::double as orders, count(*) filter (again)::double as again
            from ({_AGAIN} from {self.outside}
                  where account is not null and not failed and account % {some} = 0)
            group by code
            """
        ).df()
        total = float(repeats["again"].sum() + 1) / float(repeats["orders"].sum() + 10)
        table = repeats.set_index("code")
        self.repeat_all = total
        self.repeat = (table["again"] + _OWN * total) / (table["orders"] + _OWN)

    def repeats_of(self, code: Array) -> Array:
        """[R] probability that an order of the product is followed by another."""
        return self.repeat.reindex(code).fillna(self.repeat_all).to_numpy()

    def share(self, code: Array, quantity: Array) -> Array:
        """[R] share of a quantity in the product's orders, shrunk to everyone's."""
        everyone = self.everyone.reindex(quantity).fillna(self.floor).to_numpy()
        own = self.counts.reindex(pd.MultiIndex.from_arrays([code, quantity])).fillna(0)
        sold = self.sold.reindex(code).fillna(0).to_numpy()
        return np.asarray((own.to_numpy() + _OWN * everyone) / (sold + _OWN))

    def hours_of(self, code: pd.Series, who: str) -> pd.DataFrame:
        """Orders of each product in `code` by hour and `who` (account, quantity), three or more."""
        self.log.register("chosen", pd.DataFrame({"code": code.unique()}))
        other = "account is not null" if who == "account" else "account is null"
        return self.log.execute(
            f"select code, {who}, bucket // {self.per_day} as day, min(instant) as start, "
            f"count(*)::double as orders from placed where code in (select code from chosen) "
            f"and not failed and {other} "
            f"group by code, {who}, day, instant // {BREAK} having count(*) >= 3"
        ).df()

    def customers(self, accounts: Array) -> tuple[pd.DataFrame, pd.Series]:
        """What accounts do otherwise: orders, again, days; and their orders by quantity."""
        self.log.register("suspects", pd.DataFrame({"account": accounts}))
        rows = self.log.execute(
            f"""
            select account, count(*)::double as orders, count(*) filter (again)::double as again,
                   count(distinct bucket // {self.per_day}) as days
            from ({_AGAIN} from {self.outside} where account in (select account from suspects))
            group by account
            """
        ).df()
        sizes = self.log.execute(
            f"select account, quantity, count(*)::double as orders from {self.outside} "
            "where account in (select account from suspects) group by all"
        ).df()
        return rows.set_index("account"), sizes.set_index(["account", "quantity"])["orders"]


def _signed_fakes(orders: pd.DataFrame, usual: _Usual, tests: float) -> pd.DataFrame:
    """The orders of accounts' fake runs."""
    if orders.empty:
        return orders.assign(account=orders["account"])
    orders = orders.sort_values(["code", "account", "instant", "quantity"], kind="stable")
    orders["run"] = _runs(orders, ["code", "account"], BREAK)
    runs = orders.groupby("run", sort=True).agg(
        code=("code", "first"),
        account=("account", "first"),
        start=("instant", "first"),
        trade=("trade", "any"),
    )
    tried = orders[~orders["failed"]]
    runs["orders"] = tried.groupby("run").size().reindex(runs.index).fillna(0)
    here = _repeats_here(runs)
    runs["repeat"] = np.maximum(usual.repeats_of(runs["code"].to_numpy()), here)
    runs = runs[runs["orders"] >= 3]
    if runs.empty:
        return orders.iloc[:0]
    known, sizes = usual.customers(runs["account"].unique())
    known = known.reindex(runs["account"]).fillna(0)
    own = (known["again"].to_numpy() + _OWN * runs["repeat"]) / (known["orders"].to_numpy() + _OWN)
    length = np.maximum(runs["repeat"], own) ** (runs["orders"] - 1)
    alike, odd = _quantities(tried[tried["run"].isin(runs.index)], runs, usual, sizes)
    stranger = (known["days"].to_numpy() < _REGULAR_DAYS) & ~runs["trade"].to_numpy()
    strange = np.where(stranger, np.minimum(1.0, 2 * np.minimum(alike, odd)), odd)
    both = np.clip(length * strange, 1e-300, 1)
    rare = both * (1 - np.log(both)) * max(tests, 1.0) <= CHANCE  # of a product of two p-values
    long = stranger & (runs["orders"] >= LONG_RUN)
    odd_enough = long | (strange <= np.where(stranger, 0.01, _SURE_ODD))
    fake = runs[rare & odd_enough & (length <= 0.01)]
    fake = fake[~_habits(fake, usual.hours_of(fake["code"], "account"), "account")]
    return orders[orders["run"].isin(fake.index)].drop(columns="run")


def _habits(runs: pd.DataFrame, hours: pd.DataFrame, who: str) -> Array:
    """bool [R]: runs that come again and again, and so are demand.

    The same account (without accounts: the same quantity) ordered a quarter as often within an hour
    or more at that time of day in two other weeks; or other accounts half as often or more on seven
    other days in three weeks.
    """
    both = runs.reset_index().merge(hours, on="code", suffixes=("", "_then"))
    apart = (both["start_then"] - both["start"]) / BREAK  # hours
    clock = np.abs(apart - 24 * np.round(apart / 24))
    week = np.round(apart / 168).astype(int)
    mine = both[who] == both[f"{who}_then"]
    own = mine & (both["orders_then"] >= 0.25 * both["orders"]) & (clock <= _HABIT_HOURS)
    weeks = week[own & (week != 0)].groupby(both["run"]).nunique()
    habit = weeks.reindex(runs.index).fillna(0) >= _HABIT_WEEKS
    if who == "account":
        others = ~mine & (both["orders_then"] >= 0.5 * both["orders"]) & (np.abs(apart) > 12)
        seen = both.assign(week=week)[others].groupby("run")[["day", "week"]].nunique()
        seen = seen.reindex(runs.index).fillna(0)
        habit |= (seen["day"] >= _CUSTOM_DAYS) & (seen["week"] >= _CUSTOM_WEEKS)
    return np.asarray(habit)


def _runs(orders: pd.DataFrame, keys: list[str], pause: int) -> Array:
    """[R] number of the run of each order; the orders are sorted by keys, then time."""
    instant = orders["instant"].to_numpy()
    new = np.append(True, np.diff(instant) > pause)
    for key in keys:
        value = orders[key].to_numpy()
        new |= np.append(True, value[1:] != value[:-1])
    return np.cumsum(new)


def _repeats_here(runs: pd.DataFrame) -> Array:
    """[R] share of repeats in that product's hour among all accounts but the `FEW` busiest."""
    hour = runs["start"] // BREAK
    rank = runs.groupby([runs["code"], hour])["orders"].rank(method="first", ascending=False)
    rest = (rank > FEW) & (runs["orders"] > 0)
    count = runs["orders"].where(rest, 0.0)
    again = (runs["orders"] - 1).where(rest, 0.0)
    key = pd.MultiIndex.from_arrays([runs["code"], hour])
    table = pd.DataFrame({"orders": count.to_numpy(), "again": again.to_numpy()}, index=key)
    total = table.groupby(level=[0, 1]).sum().reindex(key)
    return np.asarray(total["again"] / (total["orders"] + _OWN))


def _quantities(
    orders: pd.DataFrame, runs: pd.DataFrame, usual: _Usual, sizes: pd.Series
) -> tuple[Array, Array]:
    """Chances [R] of a run's quantities: of one of them so often, of so many odd ones."""
    rows = orders.groupby(["run", "quantity"]).size().rename("count").reset_index()
    run = runs.loc[rows["run"]]
    share = usual.share(run["code"].to_numpy(), rows["quantity"].to_numpy())
    account = pd.MultiIndex.from_arrays([run["account"], rows["quantity"]])
    own = sizes.reindex(account).fillna(0).to_numpy()
    whole = sizes.groupby(level=0).sum().reindex(run["account"]).fillna(0).to_numpy()
    share = np.maximum(share, own / (whole + _OWN))
    n = run["orders"].to_numpy()
    rows["one"] = _at_least(rows["count"], n, np.minimum(share, 1.0))
    rows["odd"] = np.where(share < ODD, rows["count"], 0)
    each = rows.groupby("run").agg(one=("one", "min"), kinds=("one", "size"), odd=("odd", "sum"))
    each = each.reindex(runs.index)
    many = _at_least(each["odd"], runs["orders"], _odd_share(usual, runs["code"]))
    return np.minimum((each["one"] * each["kinds"]).to_numpy(), 1.0), many


def _at_least(count: pd.Series, n: Any, share: Any) -> Array:
    """[R] binomial chance of `count` or more of n (DLMF 8.17.5)."""
    k, n = count.to_numpy(dtype=np.float64), np.asarray(n, dtype=np.float64)
    return np.where(k > 0, betainc(np.maximum(k, 1.0), n - k + 1, np.asarray(share)), 1.0)


def _odd_share(usual: _Usual, code: pd.Series) -> Array:
    """[R] share of all odd quantities together in a product's usual orders."""
    counts = usual.counts.reset_index()
    counts = counts[counts["code"].isin(code.unique())]
    share = usual.share(counts["code"].to_numpy(), counts["quantity"].to_numpy())
    odd = counts["orders"].where(share < ODD, 0).groupby(counts["code"]).sum().reindex(code)
    sold = usual.sold.reindex(code).fillna(0).to_numpy()
    return np.asarray((odd.fillna(0).to_numpy() + _OWN * ODD) / (sold + _OWN))


def _unsigned_fakes(orders: pd.DataFrame, usual: _Usual, tests: float) -> pd.DataFrame:
    """Orders without an account: one odd quantity again and again, within two hours."""
    if len(orders) < BURST_ORDERS:
        return orders.iloc[:0]
    orders = orders.sort_values(["code", "quantity", "instant"], kind="stable")
    orders["run"] = _runs(orders, ["code", "quantity"], UNSIGNED_BREAK)
    runs = (
        orders[~orders["failed"]]
        .groupby("run")
        .agg(
            code=("code", "first"),
            quantity=("quantity", "first"),
            start=("instant", "first"),
            end=("instant", "last"),
            orders=("instant", "size"),
        )
    )
    brief = runs["end"] - runs["start"] <= UNSIGNED_LENGTH
    runs = runs[(runs["orders"] >= BURST_ORDERS) & brief]
    if runs.empty:
        return orders.iloc[:0]
    share = usual.share(runs["code"].to_numpy(), runs["quantity"].to_numpy())
    start = int(orders["instant"].min())
    width = int(orders["instant"].max()) - start + 1
    order = np.sort(orders["code"].to_numpy() * width + orders["instant"].to_numpy() - start)
    base = runs["code"].to_numpy() * width - start
    among = np.searchsorted(order, base + runs["end"].to_numpy(), "right")
    among -= np.searchsorted(order, base + runs["start"].to_numpy(), "left")
    chance = _at_least(runs["orders"], np.maximum(among, runs["orders"]), share)
    fake = runs[(chance * max(tests, 1.0) <= CHANCE) & (share < ODD)]
    fake = fake[~_habits(fake, usual.hours_of(fake["code"], "quantity"), "quantity")]
    return orders[orders["run"].isin(fake.index)].drop(columns="run")


def _told(orders: pd.DataFrame) -> pd.DataFrame:
    """Fake orders -> by product, burst and bucket; bursts of a few orders are left."""
    if orders.empty:
        return _NOTHING
    orders = orders.sort_values(["code", "instant", "quantity"], kind="stable", ignore_index=True)
    orders["burst"] = _runs(orders, ["code"], BREAK)
    bursts = orders.groupby("burst").agg(
        orders=("instant", "size"),
        accounts=("account", "nunique"),
        units=("quantity", "sum"),
        start=("instant", "first"),
        end=("instant", "last"),
    )
    bursts = bursts[bursts["orders"] >= BURST_ORDERS]
    orders = orders[orders["burst"].isin(bursts.index)]
    if orders.empty:
        return _NOTHING
    minutes = np.maximum((bursts["end"] - bursts["start"]).to_numpy() / 60e6, 1.0)
    told = zip(bursts["orders"], bursts["accounts"], minutes, strict=True)
    notes = pd.Series([_note(*each) for each in told], index=bursts.index)
    cells = orders.groupby(["code", "bucket", "burst"], as_index=False).agg(
        units=("quantity", "sum"), orders=("instant", "size")
    )
    return cells.assign(note=cells["burst"].map(notes))


def _note(orders: int, accounts: int, minutes: float) -> str:
    who = f"{accounts} account{'s' if accounts > 1 else ''}" if accounts else "nobody named"
    return f"{orders} orders from {who} within {minutes:.0f} minutes"
