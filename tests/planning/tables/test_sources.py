"""One order log through every door: CSV, gzip, Parquet, glob, SQLite, PostgreSQL."""

from __future__ import annotations

import gzip
import sqlite3
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planning.tables import InputRefused, fingerprint, read_orders, read_plan, source
from planning.tables.files import Text
from planning.tables.lines import blocks, header
from planning.tables.source import masked
from planning.tables.stretches import in_order

ROWS = 6
NAIVE = [datetime(2026, 5, 1, 8, minute, 0, 250_000) for minute in range(ROWS)]
FRAME = {
    "order_id": [f"{n:03d}" for n in range(ROWS)],
    "product_id": ["P1", "P2", "NA", "P1", "P1", "P1"],
    "ordered_at": NAIVE,
    "quantity": [1, 2, 3, 4, 5, 0],
    "status": ["delivered"] * ROWS,
    "account_id": [13085, None, 7, 7, 7, 7],
    "unit_price": [1.5, None, 0.0, 2.0, 2.0, 2.0],
}
KINDS = {
    "plain": {},
    "milliseconds": {"ordered_at": pa.timestamp("ms")},
    "nanoseconds": {"ordered_at": pa.timestamp("ns")},
    "small": {"quantity": pa.int8(), "account_id": pa.int32()},
    "unsigned": {"quantity": pa.uint32()},
    "float": {"quantity": pa.float64(), "account_id": pa.float64()},
    "decimal": {"quantity": pa.decimal128(25, 2), "unit_price": pa.decimal128(25, 2)},
    "dictionary": {"status": pa.dictionary(pa.int32(), pa.string())},
    "large": {"order_id": pa.large_string(), "product_id": pa.string_view()},
    "binary": {"order_id": pa.binary()},
}


def parquet(desk, changes=None, frame=FRAME, name="orders.parquet"):
    arrays = {column: pa.array(values) for column, values in frame.items()}
    for column, kind in (changes or {}).items():
        arrays[column] = pa.array(frame[column]).cast(kind)
    pq.write_table(pa.table(arrays), desk.root / name)
    desk.orders_source = name


@pytest.mark.parametrize("kind", KINDS)
def test_parquet_of_any_types_reads_the_same(desk, kind):
    desk.share = 0.5
    parquet(desk, KINDS[kind])
    inputs = desk.read()
    orders = inputs.orders.to_pydict()
    assert orders["order_id"] == FRAME["order_id"][:5]
    assert orders["account_id"] == ["13085", None, "7", "7", "7"]
    assert orders["quantity"] == [1, 2, 3, 4, 5]
    assert orders["unit_price"] == [1.5, None, 0.0, 2.0, 2.0]
    assert orders["ordered_at"][0].isoformat() == "2026-05-01T00:00:00.250000+00:00"
    assert inputs.orders.schema.field("ordered_at").type == pa.timestamp("us", "UTC")
    told = inputs.quarantine["orders"]
    assert list(told["line"]) == [6]
    assert fingerprint(desk.workspace()) == inputs.hashes


def test_parquet_instants_keep_their_zone(desk):
    aware = pa.array(NAIVE).cast(pa.timestamp("us")).cast(pa.timestamp("us", "America/New_York"))
    desk.share = 0.5
    arrays = {c: aware if c == "ordered_at" else pa.array(v) for c, v in FRAME.items()}
    pq.write_table(pa.table(arrays), desk.root / "orders.parquet")
    desk.orders_source = "orders.parquet"
    first = desk.read().orders.column("ordered_at")[0].as_py()
    assert first.isoformat() == "2026-05-01T08:00:00.250000+00:00"


def test_parquet_floats_that_are_no_numbers_or_units(desk):
    frame = FRAME | {"quantity": [1.0, 2.5, np.nan, np.inf, None, 5.0]}
    desk.share = 0.9
    parquet(desk, frame=frame)
    told = desk.read().quarantine["orders"]
    assert list(told["line"]) == [2, 3, 4, 5]
    assert list(told["value"]) == ["2.5", "nan", "inf", ""]


@pytest.mark.parametrize(("kind", "bound"), [(pa.float64(), 2**53), (pa.float32(), 2**24)])
def test_ids_in_a_float_column_keep_their_digits_or_are_quarantined(desk, kind, bound):
    ids = [1.0, bound - 1, -(bound - 1), bound, np.inf, -np.inf]
    accounts = [bound - 1, bound, None, 7, 7, np.inf]
    desk.share = 0.9
    frame = FRAME | {"order_id": ids, "account_id": accounts, "quantity": [1] * ROWS}
    parquet(desk, {"order_id": kind, "account_id": kind}, frame)
    inputs = desk.read()
    assert inputs.orders.column("order_id").to_pylist() == ["1", str(bound - 1), f"-{bound - 1}"]
    assert inputs.orders.column("account_id").to_pylist() == [str(bound - 1), str(bound), None]
    told = inputs.quarantine["orders"]
    assert list(zip(told["line"], told["column"], told["value"], strict=True)) == [
        (4, "order_id", str(bound)),
        (5, "order_id", "inf"),
        (6, "order_id", "-inf"),
        (6, "account_id", "inf"),
    ]
    assert set(told["rule"].str.partition(" ")[2]) == {"is a float that holds no text"}


def test_parquet_stamps_that_are_numbers_are_quarantined(desk):
    desk.share = 1.0
    parquet(desk, frame=FRAME | {"ordered_at": [45_000] * ROWS})
    with pytest.raises(InputRefused, match="none can be used"):
        desk.read()


def test_parquet_that_is_damaged_nested_or_empty_is_refused(desk):
    parquet(desk, frame=FRAME | {"status": [["delivered"]] * ROWS})
    with pytest.raises(InputRefused, match="lists"):
        desk.read()
    parquet(desk)
    whole = (desk.root / "orders.parquet").read_bytes()
    desk.put("orders.parquet", whole[:-100])
    with pytest.raises(InputRefused, match="damaged"):
        desk.read()
    desk.put("orders.parquet", whole[:4] + b"\xff" * 300 + whole[304:])
    with pytest.raises(InputRefused, match="read"):
        desk.read()
    parquet(desk, frame={column: values[:0] for column, values in FRAME.items()})
    with pytest.raises(InputRefused, match="no rows"):
        desk.read()


def test_columns_that_differ_in_case_alone_are_told_apart(desk):
    parquet(desk, frame={"ORDER_ID": ["x"] * ROWS} | FRAME)
    desk.share = 0.5
    inputs = desk.read()
    assert inputs.orders.column("order_id").to_pylist() == FRAME["order_id"][:5]


def test_a_glob_reads_its_files_by_name_and_keeps_their_lines(desk):
    text = "order_id,product_id,ordered_at,quantity,status\n"
    desk.put("log/b [1].csv", text + "B,P1,2026-05-02,1,failed\nB2,P1,2026-05-02,x,failed\n")
    desk.put("log/a.csv.gz", gzip.compress((text + "A,P1,2026-05-03,1,failed\n").encode()))
    pq.write_table(
        pa.table({c: pa.array(v[:5]) for c, v in FRAME.items()}), desk.root / "log/c[2].parquet"
    )
    desk.orders_source = "log/*"
    desk.share = 0.5
    inputs = desk.read()
    assert inputs.orders.column("order_id").to_pylist() == ["A", "B", *FRAME["order_id"][:5]]
    told = inputs.quarantine["orders"].iloc[0]
    assert (told["file"], told["line"]) == ("log/b [1].csv", 3)
    assert sorted(name for name in inputs.hashes if name.startswith("log")) == [
        "log/a.csv.gz",
        "log/b [1].csv",
        "log/c[2].parquet",
    ]
    desk.orders_source = "log/b [1].csv"
    assert desk.read().counts["orders"].read == 2
    desk.orders_source = "log/*.txt"
    with pytest.raises(InputRefused, match="no file matches"):
        desk.read()


def test_brackets_in_the_name_of_the_workspace_are_no_pattern(desk):
    desk.root = desk.root / "shop [1]*"
    desk.sound()
    desk.orders_source = "o*.csv"
    desk.put("o2.csv", "order_id,product_id,ordered_at,quantity,status\nX,P1,2026-05-01,1,failed\n")
    (desk.root / "offers.csv").rename(desk.root / "terms.csv")
    desk.put("offers.csv", "x\n")
    with pytest.raises(InputRefused, match=r"offers\.csv line 1"):
        desk.read()
    desk.orders_source = "o[!f]*.csv"
    (desk.root / "terms.csv").rename(desk.root / "offers.csv")
    assert desk.read().counts["orders"].read == 41


def test_renamed_columns_and_a_decoy_of_our_name(desk):
    desk.put(
        "orders.csv",
        "order_id,SKU,created,quantity,status,ordered_at\nA,P1,2026-05-01,1,failed,rubbish\n",
    )
    desk.data = '[data.columns.orders]\nproduct_id = "SKU"\nordered_at = "created"\n'
    inputs = desk.read()
    assert inputs.counts["orders"].accepted == 1
    assert "orders: unused columns 'ordered_at'" in inputs.notes


WORDS = """
[data.values.orders.status]
delivered = ["ok", "it's done", "3"]
refunded = "已退款"
failed = "delivered"
[data.values.orders.segment]
individual = "c"
"""


def test_words_of_the_shop_mean_what_the_configuration_says(desk):
    rows = ["ok", "it's done", "3", "已退款", "delivered", "pending", "OK"]
    lines = [f"{n},P1,2026-05-01,1,{word},c" for n, word in enumerate(rows)]
    lines.append("0,P1,2026-05-01,1,3,individual")  # another word for the same: a duplicate
    desk.put(
        "orders.csv",
        "\n".join(["order_id,product_id,ordered_at,quantity,status,segment", *lines]) + "\n",
    )
    desk.data, desk.share = WORDS, 0.5
    inputs = desk.read()
    assert inputs.orders.column("status").to_pylist() == [
        *["delivered"] * 3,
        *("refunded", "failed", "pending"),
    ]
    assert set(inputs.orders.column("segment").to_pylist()) == {"individual"}
    assert inputs.counts["orders"].duplicates == 1
    (wrong,) = inputs.quarantine["orders"].to_dict("records")
    assert (wrong["line"], wrong["value"]) == (8, "OK")
    assert "[data.values.orders.status]" in wrong["fix"]


def test_the_index_of_pandas_is_no_unused_column(desk):
    frame = pd.DataFrame({**FRAME, "channel": "web"})
    frame[frame["quantity"] > 0].sample(frac=1, random_state=0).to_parquet(desk.root / "o.parquet")
    desk.orders_source = "o.parquet"
    assert "__index_level_0__" in pq.read_schema(desk.root / "o.parquet").names
    assert [note for note in desk.read().notes if "unused" in note] == [
        "orders: unused columns 'channel'"
    ]
    indexed = frame[frame["quantity"] > 0].set_index("order_id")
    indexed.to_parquet(desk.root / "o.parquet")
    assert desk.read().counts["orders"].accepted == 5
    odd = pa.Table.from_pandas(indexed).replace_schema_metadata({"pandas": "{"})
    pq.write_table(odd, desk.root / "o.parquet")
    assert desk.read().counts["orders"].accepted == 5


def test_codes_for_words(desk):
    orders = pd.DataFrame({"order_id": ["A", "B"], "product_id": "P1", "quantity": 1})
    orders = orders.assign(ordered_at="2026-05-01", status=[1, 4])
    orders.to_parquet(desk.root / "o.parquet")
    desk.orders_source = "o.parquet"
    desk.data = '[data.values.orders.status]\ndelivered = "1"\ncancelled = "4"\n'
    assert desk.read().orders.column("status").to_pylist() == ["delivered", "cancelled"]


QUERY = (
    "SELECT id AS order_id, sku AS product_id, at AS ordered_at, n AS quantity, "
    "':x' || 'delivered' AS raw, 'delivered' AS status, price AS unit_price FROM log "
    "WHERE sku LIKE 'P%' ORDER BY id"
)


def test_orders_from_sqlite(desk):
    con = sqlite3.connect(desk.root / "shop.db")
    con.execute("CREATE TABLE log (id TEXT, sku TEXT, at TEXT, n, price REAL)")
    con.executemany(
        "INSERT INTO log VALUES (?, ?, ?, ?, ?)",
        [
            ("001", "P1", "2026-05-01 08:00:00", 1, 1.5),
            ("002", "P1", "2026-05-01 08:01:00", "many", None),
            ("003", "P2", "2026-05-01T08:02:00Z", 3, 0.5),
        ],
    )
    con.commit()
    con.close()
    desk.orders_source = "sqlite:///shop.db"
    desk.data = f'orders_query = "{QUERY}"'
    desk.share = 0.5
    inputs = desk.read()
    assert inputs.orders.column("order_id").to_pylist() == ["001", "003"]
    told = inputs.quarantine["orders"].iloc[0]
    assert (told["file"], told["line"], told["value"]) == ("sqlite:///shop.db", 2, "many")
    assert fingerprint(desk.workspace()) == inputs.hashes
    desk.orders_source = "sqlite:///nowhere.db"
    with pytest.raises(InputRefused, match="no such SQLite database"):
        desk.read()
    assert not (desk.root / "nowhere.db").exists()


@pytest.fixture
def shop(desk, postgres):
    """A desk whose orders lie in PostgreSQL, and a connection to change them."""
    url = sa.make_url(postgres)
    _fill(url)
    desk.orders_source, desk.share = postgres, 0.5
    desk.data = f'orders_query = "{QUERY}"'
    engine = sa.create_engine(url)
    with engine.connect() as con:
        yield desk, con
        con.rollback()
        con.exec_driver_sql("DROP TABLE log")
        con.commit()
    engine.dispose()


def test_orders_from_postgresql(shop):
    desk, _ = shop
    inputs = desk.read()
    assert inputs.orders.column("unit_price").to_pylist() == [1.25, None]
    stamps = [stamp.isoformat() for stamp in inputs.orders.column("ordered_at").to_pylist()]
    assert stamps == ["2026-05-01T00:00:00+00:00", "2026-05-01T01:00:00+00:00"]
    assert list(inputs.quarantine["orders"]["line"]) == [3]
    assert fingerprint(desk.workspace()) == inputs.hashes
    desk.data = 'orders_query = "SELECT * FROM nowhere"'
    with pytest.raises(InputRefused, match="nowhere"):
        desk.read()


def test_a_lock_and_a_query_without_end_are_given_up(shop, monkeypatch):
    desk, con = shop
    monkeypatch.setitem(source.LIMITS, "lock_timeout", "100ms")
    con.exec_driver_sql("LOCK TABLE log IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(InputRefused, match="another session holds a lock"):
        desk.read()
    con.rollback()
    assert desk.read().counts["orders"].accepted == 2
    desk.data = 'orders_query = "SELECT pg_sleep(60)"'
    monkeypatch.setitem(source.LIMITS, "statement_timeout", "100ms")
    with pytest.raises(InputRefused, match="make the query faster"):
        desk.read()


def test_limits_that_the_url_sets_stay(postgres):
    options = {"options": "-c lock_timeout=7s -c statement_timeout=123min"}
    url = sa.make_url(postgres).update_query_dict(options)
    columns = ", ".join(f"current_setting('{name}') AS {name}" for name in source.LIMITS)
    names, blocks, _ = source._fetch(url, f"SELECT {columns}")
    assert dict(zip(names, blocks[0].to_pylist()[0].values(), strict=True)) == {
        "lock_timeout": "7s",
        "statement_timeout": "123min",
    }


@pytest.mark.parametrize("stamp", ["infinity", "-infinity", "12000-01-01 00:00+00"])
def test_a_stamp_beyond_pythons_is_one_bad_row(shop, stamp):
    desk, con = shop
    con.exec_driver_sql(f"UPDATE log SET at = '{stamp}' WHERE id = '001'")
    con.commit()
    desk.share = 0.9
    inputs = desk.read()
    assert inputs.orders.column("order_id").to_pylist() == ["002"]
    told = inputs.quarantine["orders"].iloc[0]
    assert (told["line"], told["rule"]) == (1, "ordered_at is no ISO 8601 date or time")
    assert told["value"].startswith(stamp[:10])
    assert inputs.orders.column("ordered_at").to_pylist()[0].isoformat() == (
        "2026-05-01T01:00:00+00:00"
    )
    assert fingerprint(desk.workspace()) == inputs.hashes


def _fill(url):
    engine = sa.create_engine(url)
    with engine.begin() as con:
        con.exec_driver_sql(
            "CREATE TABLE log (id text, sku text, at timestamptz, n bigint, price numeric)"
        )
        insert = sa.text("INSERT INTO log VALUES (:id, 'P1', :at, :n, :price)")
        for id_, at, n, price in (
            ("001", "2026-05-01 08:00+08", 1, Decimal("1.25")),
            ("002", "2026-05-01 01:00+00", 2, None),
            ("003", "2026-05-01 01:00+00", 0, None),
        ):
            con.execute(insert, {"id": id_, "at": at, "n": n, "price": price})
    engine.dispose()


def test_passwords_are_masked():
    assert masked("postgresql://u:secret@h/d?password=secret2") == (
        "postgresql://u:***@h/d?password=%2A%2A%2A"
    )


def test_a_refusal_tells_no_password():
    refused = InputRefused(["postgresql:/u:secret@h: cannot be read", "host=h password='secret'"])
    assert "secret" not in str(refused)
    assert refused.problems == ("postgresql:/u:***@h: cannot be read", "host=h password=***")


def test_replay_orders_under_our_own_names_at_any_time(desk):
    workspace = desk.workspace()
    products = desk.read().tables["products"]
    path = desk.put(
        "future.csv",
        "order_id,product_id,ordered_at,quantity,status,delivered_at\n"
        "A,P1,2030-01-01,1,delivered,2030-01-02\nB,P9,2030-01-01,1,delivered,\n",
    )
    log = read_orders(path, replace(workspace, max_quarantine_share=0.5), products)
    assert log.counts.accepted == 1
    assert log.orders.column("delivered_at").to_pylist()[0] is not None
    assert list(log.quarantine["value"]) == ["P9"]
    with pytest.raises(InputRefused, match="P9"):
        read_orders(path, workspace, products)


PLAN = (
    "line_id,supplier_id,product_id,order_by,available_from,available_to,units,unit_cost,reason\n"
)
LINE = "L1,S1,P1,2026-06-01T00:00:00+08:00,2026-06-01T02:00:00+08:00,{to},{units},9.5,a peak\n"


def test_a_plan_is_read_whole_or_not_at_all(desk):
    good = LINE.format(to="2026-06-01T03:00:00+08:00", units=10)
    plan = read_plan(desk.put("plan.csv", PLAN + good), desk.workspace())
    assert plan["units"].tolist() == [10]
    assert str(plan["available_from"].dtype) == "datetime64[us, Asia/Shanghai]"
    assert len(read_plan(desk.put("plan.csv", PLAN), desk.workspace())) == 0
    for bad, told in (
        (LINE.format(to="2026-06-01T03:00:00", units=10), "no offset from UTC"),
        (LINE.format(to="2026-06-01T01:00:00+08:00", units=10), "available_to is not after"),
        (LINE.format(to="2026-06-01T03:00:00+08:00", units="inf"), "units is no number"),
        (good + good.replace(",10,", ",20,"), "came before and differs"),
    ):
        with pytest.raises(InputRefused, match=told):
            read_plan(desk.put("plan.csv", PLAN + bad), desk.workspace())


ANY_FIELD = st.text(st.sampled_from('P1O23,"\n\r\0é -.T:x'), max_size=8)
ROW = st.one_of(
    st.lists(ANY_FIELD, min_size=1, max_size=7).map(",".join),
    st.tuples(
        st.sampled_from(["A", "B", "C"]),
        st.sampled_from(["P1", "P2", "P9"]),
        st.sampled_from(["2026-05-01", "2026-07-01", "x"]),
        st.sampled_from(["1", "2", "-1"]),
        st.sampled_from(["delivered", "done"]),
    ).map(",".join),
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.lists(ROW, max_size=12))
def test_no_row_is_lost(desk, rows):
    sound = [f"S{n},P1,2026-05-01,1,delivered" for n in range(3)]
    text = "\n".join(["order_id,product_id,ordered_at,quantity,status", *sound, *rows])
    desk.share = 1.0
    products = pd.DataFrame({"product_id": ["P1", "P2"]})
    log = read_orders(desk.put("orders.csv", text), desk.workspace(), products)
    physical = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[1:]
    assert log.counts.read == sum(1 for line in physical if line)
    assert log.counts.read == (log.counts.accepted + log.counts.duplicates + log.counts.quarantined)
    assert log.counts.accepted == log.orders.num_rows
    assert log.counts.quarantined == log.quarantine["line"].nunique()
    assert all(physical[line - 2] for line in log.quarantine["line"])


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.text(st.sampled_from('ab,"\0é'), max_size=5), min_size=3, max_size=3),
        min_size=1,
        max_size=20,
    )
)
def test_quoted_rows_keep_their_cells_and_lines(rows):
    def line(row):
        return ",".join('"' + cell.replace('"', '""') + '"' for cell in row)

    data = "\n".join(["x,y,z", *(line(row) for row in rows)]).encode()
    text = Text(data=data, invalid=np.empty(0, dtype=np.int64), notes=(), sha256="")
    names, number, start = header(text, "f")
    (block,) = blocks(text, names, number + 1, start)
    kept = [(n, row) for n, row in enumerate(rows, start=2) if "\0" not in "".join(row)]
    assert list(block.lines) == [n for n, _ in kept]
    cells = [column.to_pylist() for column in block.columns]
    assert [list(row) for row in zip(*cells, strict=True)] == [row for _, row in kept]
    assert [one.line for one in block.broken] == [
        n for n, row in enumerate(rows, start=2) if "\0" in "".join(row)
    ]


def test_blocks_join_without_a_seam(monkeypatch):
    monkeypatch.setattr("planning.tables.lines.BLOCK", 64)
    rows = [f"{n},{'v' * (n % 37)}" for n in range(200)]
    rows[50] = "only"
    rows[77] = ""
    text = Text(
        data="\n".join(["a,b", *rows]).encode(),
        invalid=np.empty(0, dtype=np.int64),
        notes=(),
        sha256="",
    )
    names, number, start = header(text, "f")
    parts = list(blocks(text, names, number + 1, start))
    found = np.concatenate([part.lines for part in parts])
    cells = [cell for part in parts for cell in part.columns[0].to_pylist()]
    wanted = [n for n in range(200) if n not in (50, 77)]
    assert found.tolist() == [n + 2 for n in wanted]
    assert cells == [str(n) for n in wanted]
    assert [one.line for part in parts for one in part.broken] == [52]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), unique=True), st.data())
def test_rows_are_put_in_order_or_it_is_said_that_it_takes_a_sort(places, data):
    places.sort()
    cut = data.draw(st.integers(0, len(places)))
    turned = data.draw(st.sampled_from([places, places[cut:] + places[:cut], places[::-1]]))
    file, line = ([place[part] for place in turned] for part in (0, 1))
    table = pa.table({"file": pa.array(file, pa.int32()), "line": pa.array(line, pa.int64())})
    found = in_order(table)
    assert found is not None
    assert [tuple(row.values()) for row in found.to_pylist()] == places
    mixed = pa.table({"file": [0, 0, 0, 0], "line": [1, 3, 2, 4]})
    assert in_order(mixed) is None


def test_orders_stay_in_the_order_of_their_file(desk):
    rng = np.random.default_rng(0)
    count = 600_000
    frame = pd.DataFrame(
        {
            "order_id": rng.permutation(count).astype(str),
            "product_id": rng.choice(["P1", "P2", "P9"], count, p=[0.5, 0.49, 0.01]),
            "ordered_at": pd.Timestamp("2026-05-01"),
            "quantity": rng.integers(1, 9, count),
            "status": "delivered",
        }
    )
    frame.loc[count - 1] = frame.loc[0]
    frame.to_parquet(desk.root / "orders.parquet")
    desk.orders_source = "orders.parquet"
    inputs = desk.read()
    kept = frame[frame["product_id"] != "P9"].drop_duplicates("order_id")
    assert inputs.orders.column("order_id").to_pylist() == kept["order_id"].tolist()
