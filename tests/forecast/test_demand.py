from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import forecast, panel_of_orders, panel_of_series

STATUS = ["delivered", "failed", "cancelled", "refunded", "pending"]


def log(rows):
    """[(product, UTC instant, quantity, status)] -> Arrow table."""
    frame = pd.DataFrame(rows, columns=["product_id", "ordered_at", "quantity", "status"])
    frame["ordered_at"] = pd.to_datetime(frame["ordered_at"], utc=True).astype(
        "datetime64[us, UTC]"
    )
    frame["quantity"] = frame["quantity"].astype("int64")
    return pa.Table.from_pandas(frame.astype({"product_id": str, "status": str}))


def oracle(table, ids, panel, step):
    frame = table.to_pandas()
    frame = frame[frame["status"] != "cancelled"]
    y = np.zeros(panel.y.shape)
    for row, product in enumerate(ids):
        for column, start in enumerate(panel.ds):
            inside = (frame["ordered_at"] >= start) & (frame["ordered_at"] < start + step)
            y[row, column] = frame.loc[inside & (frame["product_id"] == product), "quantity"].sum()
    return y


@settings(max_examples=15, deadline=None)
@given(
    zone=st.sampled_from(["Asia/Shanghai", "Asia/Kolkata", "Europe/London", "America/New_York"]),
    freq=st.sampled_from(["15min", "30min", "1h"]),
    seed=st.integers(0, 1000),
)
def test_buckets_hold_what_a_loop_over_the_orders_finds(zone, freq, seed):
    rng = np.random.default_rng(seed)
    end = pd.Timestamp("2026-03-30T00:00", tz=zone)
    minutes = rng.integers(0, 30 * 60, size=40)
    rows = [
        (rng.choice(["A", "NA", "x"]), end - pd.Timedelta(minutes=int(m)), q, rng.choice(STATUS))
        for m, q in zip(minutes, rng.integers(1, 9, size=40), strict=True)
    ]
    table = log(rows)
    panel = panel_of_orders(
        table, ["NA", "A", "B"], freq=freq, tz=zone, as_of=end, history=pd.Timedelta("30h")
    )
    step = pd.Timedelta(freq)
    assert panel.future(1)[0] == end
    assert (panel.ds.minute % (step / pd.Timedelta("1min")) == 0).all()
    assert panel.ds[0] + pd.Timedelta("30h") == end
    np.testing.assert_array_equal(panel.y, oracle(table, ["NA", "A", "B"], panel, step))
    assert not panel.y[2].any()


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_days_of_a_clock_change_have_23_and_25_buckets(day, hours):
    zone = "Europe/London"
    end = (pd.Timestamp(day) + pd.Timedelta("1D")).tz_localize(zone)
    panel = panel_of_orders(
        log([("A", end - pd.Timedelta("1h"), 2, "delivered")]),
        ["A"],
        freq="1h",
        tz=zone,
        as_of=end,
        history=pd.Timedelta("3D"),
    )
    assert (panel.ds.strftime("%Y-%m-%d") == day).sum() == hours


def test_a_bucket_that_as_of_cuts_is_not_observed():
    as_of = pd.Timestamp("2026-01-05T10:20", tz="Asia/Kolkata")
    table = log([("A", as_of - pd.Timedelta(t), 3, "delivered") for t in ("10min", "2h")])
    panel = panel_of_orders(
        table, ["A"], freq="1h", tz="Asia/Kolkata", as_of=as_of, history=pd.Timedelta("5h")
    )
    assert panel.future(1)[0] == pd.Timestamp("2026-01-05T11:00", tz="Asia/Kolkata")
    assert np.isnan(panel.y[0, -1])
    assert np.isfinite(panel.y[0, :-1]).all()


def test_a_stray_old_order_does_not_stretch_the_history():
    as_of = pd.Timestamp("2026-01-05", tz="UTC")
    recent = [("A", as_of - pd.Timedelta(hours=k), 1, "delivered") for k in range(1, 24 * 60)]
    table = log([("A", as_of - pd.Timedelta("300D"), 1, "delivered"), *recent])
    panel = panel_of_orders(table, ["A"], freq="1h", tz="UTC", as_of=as_of)
    assert len(panel.ds) == 24 * 60 - 1


def test_no_order_at_all_still_gives_every_product_a_row():
    as_of = pd.Timestamp("2026-01-05", tz="UTC")
    panel = panel_of_orders(log([]), ["A", "B"], freq="1h", tz="UTC", as_of=as_of)
    assert len(panel.y) == 2
    assert np.isnan(panel.y).all()


@pytest.mark.parametrize("as_of", ["2026-01-05", pd.Timestamp("2026-01-05"), "2026-01-04T16:00Z"])
def test_a_naive_as_of_is_local(as_of):
    panel = panel_of_orders(log([]), ["A"], freq="1h", tz="Asia/Shanghai", as_of=as_of)
    assert panel.future(1)[0] == pd.Timestamp("2026-01-05", tz="Asia/Shanghai")


def test_an_as_of_that_is_no_time_is_refused():
    for as_of, told in (("", "no time"), ("2026-03-29T02:30", "2026-03-29")):
        with pytest.raises(ValueError, match=told):
            panel_of_orders(log([]), ["A"], freq="1h", tz="Europe/Berlin", as_of=as_of)


def test_a_pandas_log_is_counted_like_the_same_arrow_table():
    rows = [("A", f"2026-01-04T{hour:02d}:30Z", hour + 1, "delivered") for hour in range(20)]
    table, known = log(rows), {"freq": "1h", "tz": "Asia/Shanghai", "as_of": "2026-01-05"}
    frame = table.to_pandas()
    frame["ordered_at"] = frame["ordered_at"].dt.tz_convert("America/New_York")
    expected = panel_of_orders(table, ["A"], **known)
    assert expected.y.sum() > 0
    np.testing.assert_array_equal(panel_of_orders(frame, ["A"], **known).y, expected.y)
    naive = frame.assign(ordered_at=frame["ordered_at"].dt.tz_localize(None))
    with pytest.raises(ValueError, match=r"ordered_at is datetime64.*tz_localize"):
        panel_of_orders(naive, ["A"], **known)


def test_a_log_that_lacks_a_column_is_refused():
    table = log([("A", "2026-01-04T00:30Z", 1, "delivered")])
    con = duckdb.connect()
    con.register("log", table)
    relation = con.table("log").project("product_id, ordered_at, quantity")
    without = table.drop_columns(["status"])
    for less in (without, without.to_pandas(), relation):
        with pytest.raises(ValueError, match=r"lack \['status'\]"):
            panel_of_orders(less, ["A"], freq="1h", tz="UTC", as_of="2026-01-05")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            {"status": "CANCELLED"},
            "1 orders have the status CANCELLED; it must be delivered, failed",
        ),
        ({"status": None}, "1 orders have the status none"),
        ({"quantity": -5}, r"1 orders have the quantity -5.*; it must be 1, 2, 3"),
        ({"quantity": 1.5}, "1 orders have the quantity 1.5"),
        ({"quantity": None}, "1 orders have the quantity none"),
        ({"ordered_at": pd.NaT}, "1 orders have the ordered_at none; it must be an instant"),
    ],
)
def test_orders_whose_meaning_would_be_guessed_are_refused(wrong, told):
    stamps = pd.date_range("2026-03-01", periods=9, freq="h", tz="UTC")
    log = pd.DataFrame({"product_id": "a", "ordered_at": stamps, "quantity": 2.0})
    log["status"] = ["delivered", "paid"] * 4 + ["refunded"]
    asked = {"freq": "1h", "tz": "UTC", "as_of": "2026-03-02"}
    assert panel_of_orders(log, ["a"], **asked).y.sum() == 18
    for name, value in wrong.items():
        log[name] = log[name].where(log.index != 4, value)
    with pytest.raises(ValueError, match=told):
        panel_of_orders(log, ["a"], **asked)


def test_a_missing_bucket_of_a_series_is_unobserved():
    frame = pd.DataFrame({"unique_id": ["a", "a", "b"], "ds": [1, 3, 3], "y": [1.0, 2.0, -5.0]})
    panel = panel_of_series(frame, freq="1")
    np.testing.assert_array_equal(panel.y, [[1, np.nan, 2], [np.nan, np.nan, -5]])
    assert list(panel.future(2)) == [4, 5]


def test_a_series_that_ends_long_before_the_others_is_forecast_from_its_own_end():
    frame = pd.concat(
        [
            pd.DataFrame({"unique_id": "short", "ds": np.arange(1, 101), "y": 1.0}),
            pd.DataFrame({"unique_id": "long", "ds": np.arange(1, 201), "y": 1.0}),
        ]
    )
    panel = panel_of_series(frame, freq="1", season=24)
    assert list(panel.shift) == [100, 0]
    assert np.isfinite(panel.y[:, -100:]).all()


def hourly(y, **columns):
    """One series a, or as told, an hour a row."""
    ds = pd.date_range("2026-01-01", periods=len(y), freq="h")
    return pd.DataFrame({"unique_id": "a", "ds": ds, "y": y} | columns)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (hourly([1.0, np.inf]), "unique_id a, ds 2026-01-01 01:00:00, y inf, has an infinite y"),
        (hourly([1.0, 2e18]), "ds 2026-01-01 01:00:00, y 2e[+]18, is too large; at most 1e[+]18"),
        (hourly([-1e300, 1.0, -1e19]), "ds 2026-01-01 00:00:00, y -1e[+]300, .*2 such rows"),
        (
            pd.concat([hourly([1.0] * 3), hourly([1.0] * 3, unique_id="b"), hourly([1.0] * 2)]),
            "unique_id a, ds 2026-01-01 00:00:00 comes twice; .*2 such rows",
        ),
        (
            pd.concat([hourly([1.0] * 3), hourly([1.0], ds=pd.Timestamp("2026-01-01 01:20"))]),
            "unique_id a, ds 2026-01-01 01:20:00 is not on the 1h grid .* 2026-01-01 00:00:00",
        ),
        (hourly([1.0] * 3, ds=[20260130, 20260131, 20260201]), "as dates: 2026-01-30"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_rows_that_can_not_be_forecast_from_are_named(frame, told):
    with pytest.raises(ValueError, match=told):
        panel_of_series(frame, freq="1h")


@pytest.mark.parametrize(("freq", "start"), [("MS", "2024-01-01"), ("W", "2024-01-14")])
def test_stamps_between_the_starts_of_all_buckets_are_told_where_to_go(freq, start):
    told = f"2024-01-15 00:00:00, lies between the starts of {freq} .* such as {start} 00:00:00"
    with pytest.raises(ValueError, match=told):
        panel_of_series(hourly([1.0], ds=pd.Timestamp("2024-01-15")), freq=freq)


def test_the_largest_values_are_forecast_from():
    y = np.random.default_rng(0).uniform(-1e18, 1e18, 24 * 21)
    found = forecast(panel_of_series(hourly(y), freq="1h"), 24, members=["seasonal", "ridge"])
    assert np.isfinite(found.quantiles).all()
    assert np.isfinite(found.paths).all()


@pytest.mark.parametrize("ds", [[20260130, 20260131, 20260132], [1, 2, 3], [2026, 2027, 2028]])
def test_whole_numbers_that_are_no_dates_are_an_index(ds):
    assert list(panel_of_series(hourly([1.0] * 3, ds=ds), freq="1").ds) == ds


def test_the_log_spills_to_a_folder_of_its_own_that_is_removed(monkeypatch):
    folders, connect = [], duckdb.connect

    def spied(*args, **kwargs):
        connection = connect(*args, **kwargs)
        setting = "select current_setting('temp_directory')"
        folders.append(Path(connection.execute(setting).fetchall()[0][0]))
        assert folders[-1].is_dir()
        return connection

    monkeypatch.setattr(duckdb, "connect", spied)
    as_of = pd.Timestamp("2026-01-05", tz="UTC")
    panel_of_orders(log([]), ["A"], freq="1h", tz="UTC", as_of=as_of)
    assert len(folders) == 1
    assert Path.cwd() not in folders[0].parents
    assert not folders[0].exists()


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
@pytest.mark.parametrize("kind", ["frame", "table"])
def test_stamps_of_any_unit_are_read(unit, kind):
    at = pd.date_range("2026-03-02", periods=500, freq="37min", tz="Asia/Shanghai").as_unit(unit)
    log = pd.DataFrame(
        {"product_id": "A", "ordered_at": at, "delivered_at": at, "quantity": 1, "status": "paid"}
    )
    orders = log if kind == "frame" else pa.Table.from_pandas(log)
    panel = panel_of_orders(orders, ["A"], freq="1h", tz="Asia/Shanghai", as_of="2026-03-14")
    assert panel.y.sum() == (at < pd.Timestamp("2026-03-14", tz="Asia/Shanghai")).sum()
