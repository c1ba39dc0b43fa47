"""The cases of bad tables, each as a file: who is quarantined, where, why, and what to do."""

from __future__ import annotations

import gzip
import os
import pickle
import zlib

import pytest

from planning.tables import InputRefused
from tests.planning.tables.conftest import HEADER, SOUND_ORDERS

GOOD = "2026-05-01T09:00:00"

# Bad order rows: the row, the column at fault, the cell, a part of the rule, a part of the remedy.
BAD_ORDERS = {
    "31 negative": (f"X,P1,{GOOD},-3,delivered", "quantity", "-3", "below 1", "from 1 to"),
    "zero": (f"X,P1,{GOOD},0,delivered", "quantity", "0", "below 1", "from 1 to"),
    "32 NaN": (f"X,P1,{GOOD},NaN,delivered", "quantity", "NaN", "no number", "plain digits"),
    "32 inf": (f"X,P1,{GOOD},inf,delivered", "quantity", "inf", "no number", "plain digits"),
    "33 1e308": (f"X,P1,{GOOD},1e308,delivered", "quantity", "1e308", "above 1000000000", "to"),
    "33 1e999": (f"X,P1,{GOOD},1e999,delivered", "quantity", "1e999", "no number", "plain"),
    "34 thousands": (f'X,P1,{GOOD},"1,200",delivered', "quantity", "1,200", "no number", "plain"),
    "35 full width": (f"X,P1,{GOOD},１２３,delivered", "quantity", "１２３", "no number", "plain"),
    "36 underscore": (f"X,P1,{GOOD},1_000,delivered", "quantity", "1_000", "no number", "plain"),
    "37 fraction": (f"X,P1,{GOOD},1.5,delivered", "quantity", "1.5", "no whole", "whole number"),
    "hex": (f"X,P1,{GOOD},0x10,delivered", "quantity", "0x10", "no number", "plain"),
    "formula": (f"X,P1,{GOOD},=1+1,delivered", "quantity", "=1+1", "no number", "plain"),
    "empty quantity": (f"X,P1,{GOOD},,delivered", "quantity", "", "empty", "fill it in"),
    "empty id": (f",P1,{GOOD},1,delivered", "order_id", "", "empty", "fill it in"),
    "blank id": (f"  ,P1,{GOOD},1,delivered", "order_id", "", "empty", "fill it in"),
    "41 30 February": ("X,P1,2026-02-30,1,delivered", "ordered_at", "2026-02-30", "ISO", "write"),
    "41 time": ("X,P1,2026-02-30 10:00,1,delivered", "ordered_at", "2026-02-30 10:00", "ISO", ""),
    "42 slashes": ("X,P1,01/02/2026,1,delivered", "ordered_at", "01/02/2026", "ISO", "write it"),
    "43 serial": ("X,P1,45292.5,1,delivered", "ordered_at", "45292.5", "ISO", "write it"),
    "24 o'clock": (
        "X,P1,2026-05-01T24:00,1,delivered",
        "ordered_at",
        "2026-05-01T24:00",
        "ISO",
        "",
    ),
    "61st second": ("X,P1,2026-05-01T10:00:60,1,failed", "ordered_at", None, "ISO", "write"),
    "no time zone": ("X,P1,2026-05-01T10:00 CST,1,failed", "ordered_at", None, "ISO", "write"),
    "45 1970": ("X,P1,1970-01-01,1,delivered", "ordered_at", "1970-01-01", "1990", "clock"),
    "45 9999": ("X,P1,9999-12-31,1,delivered", "ordered_at", "9999-12-31", "after 2199", "end"),
    "47 product": (f"X,P9,{GOOD},1,delivered", "product_id", "P9", "not listed", "add it"),
    "48 case": (f"X,p1,{GOOD},1,delivered", "product_id", "p1", "not listed", "exactly"),
    "48 space": (f"X,P1 ,{GOOD},1,delivered", "product_id", "P1 ", "not listed", "exactly"),
    "48 NFKC": (f"X,Ｐ１,{GOOD},1,delivered", "product_id", "Ｐ１", "not listed", "exactly"),
    "47 status": (f"X,P1,{GOOD},1,done", "status", "done", "none of delivered", "write one of"),
    "23 short": (f"X,P1,{GOOD},1", "", None, "number of fields", "quote a field"),
    "24 long": (f"X,P1,{GOOD},1,delivered,y", "", None, "number of fields", "quote a field"),
    "26 unclosed": (f'X,"P1,{GOOD},1,delivered', "", None, "quote", '""'),
    "26 stray": (f'X,5"P1","{GOOD},1,delivered', "", None, "quote", '""'),
    "28 total": ("Total,,,82,", "product_id", "", "empty", "fill it in"),
    "7 NUL": (f"X\0,P1,{GOOD},1,delivered", "", None, "NUL", "plain text"),
    "52 conflict": (f"O1,P2,{GOOD},1,delivered", "order_id", "O1", "came before", "keep one"),
}


@pytest.mark.parametrize("case", BAD_ORDERS)
def test_a_bad_order_is_told_with_its_place_and_remedy(desk, case):
    row, column, value, rule, fix = BAD_ORDERS[case]
    line = desk.orders(row, f"Y,P2,{GOOD},3.0,pending")
    inputs = desk.read()
    told = inputs.quarantine["orders"]
    first = told.iloc[0]
    assert (first["file"], first["line"], first["column"]) == ("orders.csv", line, column)
    assert value is None or first["value"] == value
    assert rule in first["rule"]
    assert fix in first["fix"]
    assert set(told["line"]) == {line}
    assert inputs.counts["orders"].quarantined == 1
    assert inputs.counts["orders"].accepted == 41
    assert inputs.orders.column("order_id").to_pylist()[-1] == "Y"


def test_all_faults_of_a_row_are_told_at_once(desk):
    line = desk.orders("X,P9,01/02/2026,-1,done")
    told = desk.read().quarantine["orders"]
    assert set(told["column"]) == {"product_id", "ordered_at", "quantity", "status"}
    assert set(told["line"]) == {line}


GOOD_CELLS = {
    "3.0": (f"X,P1,{GOOD},3.0,delivered", "quantity", 3),
    "spaces": (f"X,P1, {GOOD} , 4\t,delivered", "quantity", 4),
    "1e3": (f"X,P1,{GOOD},1e3,delivered", "quantity", 1000),
    "38 NA": (f"X,NA,{GOOD},1,delivered", "product_id", "NA"),
    "38 null": (f"null,P1,{GOOD},1,delivered", "order_id", "null"),
    "39 zeros": (f"00123,P1,{GOOD},1,delivered", "order_id", "00123"),
    "40 digits": (
        f"12345678901234567890,P1,{GOOD},1,delivered",
        "order_id",
        "12345678901234567890",
    ),
    "50 equals": (f"=1+1,P1,{GOOD},1,delivered", "order_id", "=1+1"),
    "49 emoji": (f"🎮\u202e<b>,P1,{GOOD},1,delivered", "order_id", "🎮\u202e<b>"),
    "quoted": (f'"a,""b""",P1,{GOOD},1,delivered', "order_id", 'a,"b"'),
    "11 dots": (f"../../x,P1,{GOOD},1,delivered", "order_id", "../../x"),
}


@pytest.mark.parametrize("case", GOOD_CELLS)
def test_a_sound_cell_stays_what_it_is(desk, case):
    row, column, value = GOOD_CELLS[case]
    desk.orders(row)
    inputs = desk.read()
    assert inputs.counts["orders"].quarantined == 0
    assert inputs.orders.column(column).to_pylist()[-1] == value


def test_44_naive_utc_and_offset_stamps_mix(desk):
    desk.orders(
        f"A,P1,{GOOD},1,delivered",
        "B,P1,2026-05-01T01:00:00Z,1,delivered",
        "C,P1,2026-05-01 01:00+00:00,1,delivered",
        "D,P1,2026-05-01 10:00:00.000 +09,1,delivered",
        "E,P1,2026-04-30T19:30:00-0530,1,delivered",
    )
    stamps = desk.read().orders.column("ordered_at").to_pylist()[-5:]
    assert {stamp.isoformat() for stamp in stamps} == {"2026-05-01T01:00:00+00:00"}


def test_46_orders_from_as_of_on_are_counted_and_unknown(desk):
    desk.orders(
        "A,P1,2026-05-31T23:59:59.999999,1,delivered",
        "B,P1,2026-06-01T00:00:00,1,delivered",
        "C,P1,2099-01-01,1,delivered",
        "D,P1,2099-01-01,-1,delivered",
        "B,P1,2026-06-01T00:00:00,1,delivered",
    )
    inputs = desk.read(as_of="2026-06-01")
    counts = inputs.counts["orders"]
    assert (counts.after_as_of, counts.quarantined, counts.duplicates) == (4, 0, 0)
    assert inputs.orders.column("order_id").to_pylist()[-1] == "A"


@pytest.mark.parametrize(
    "row",
    [
        "A,P9,2026-06-01,1,delivered",
        "A,P1,2026-06-01,-1,delivered",
        "A,P1,2026-06-01,1,shipped",
        f"{SOUND_ORDERS[0].split(',')[0]},P1,2026-06-01,9,delivered",
    ],
)
def test_46_later_orders_speak_against_nothing_whatever_they_hold(desk, row):
    desk.put("orders.csv", "\n".join([HEADER, *[row] * 20, *SOUND_ORDERS]) + "\n")
    inputs = desk.read(as_of="2026-06-01")
    assert inputs.counts["orders"].after_as_of == 20
    assert inputs.counts["orders"].accepted == len(SOUND_ORDERS)
    assert inputs.quarantine["orders"].empty
    assert not [note for note in inputs.notes if "orders" in note]


def test_46_later_orders_do_not_dilute_the_share_of_bad_ones(desk):
    bad = [f"X{n},P1,{GOOD},-1,delivered" for n in range(len(SOUND_ORDERS))]
    desk.orders(*bad, *(f"Y{n},P1,2026-06-01,1,delivered" for n in range(100 * len(bad))))
    with pytest.raises(InputRefused, match=f"{len(bad)} of {2 * len(bad)} rows"):
        desk.read(as_of="2026-06-01")


def test_a_later_stamp_that_is_none_is_quarantined(desk):
    desk.orders("A,P1,2999-01-01,1,delivered")
    assert desk.read(as_of="2026-06-01").counts["orders"].quarantined == 1


def test_what_became_of_an_order_after_as_of_is_unknown(desk):
    desk.put(
        "orders.csv",
        "order_id,product_id,ordered_at,quantity,status,delivered_at\n"
        "A,P1,2026-05-31,1,delivered,2026-05-31T10:00\n"
        "B,P1,2026-05-31,1,delivered,2026-06-01T00:00:01\n"
        "C,P1,2026-05-31,1,failed,\n",
    )
    orders = desk.read(as_of="2026-06-01").orders
    assert orders.column("status").to_pylist() == ["delivered", "pending", "failed"]
    assert [stamp is None for stamp in orders.column("delivered_at").to_pylist()] == [
        False,
        True,
        True,
    ]


def test_51_52_the_first_row_of_an_id_is_kept(desk):
    line = desk.orders(
        f"A,P1,{GOOD},1,delivered",
        f"A,P1,{GOOD}+08:00,1.0,delivered",
        f"A,P1,{GOOD},2,delivered",
        f"A,P1,{GOOD},1,delivered",
    )
    inputs = desk.read()
    counts = inputs.counts["orders"]
    assert (counts.duplicates, counts.quarantined) == (2, 1)
    assert list(inputs.quarantine["orders"]["line"]) == [line + 2]
    assert inputs.orders.column("quantity").to_pylist()[-1] == 1


@pytest.mark.parametrize(("twice", "told"), [(1, False), (30, True)])
def test_many_duplicates_are_told(desk, twice, told):
    rows = [f"A{n},P1,{GOOD},1,delivered" for n in range(200)]
    desk.orders(*rows, *rows[:twice])
    inputs = desk.read()
    count = inputs.counts["orders"]
    note = f"orders: {twice} of {count.read} rows ({twice / count.read:.0%}) repeat an earlier row"
    assert any(one.startswith(note) for one in inputs.notes) == told


def test_a_broken_row_does_not_count_as_the_first(desk):
    desk.orders(f"A,P9,{GOOD},1,delivered", f"A,P1,{GOOD},1,delivered")
    inputs = desk.read()
    assert inputs.orders.column("order_id").to_pylist()[-1] == "A"
    assert inputs.counts["orders"].quarantined == 1


def test_53_delivered_before_ordered(desk):
    line = desk.orders()
    rows = [f"A,P1,{GOOD},1,delivered,2026-05-01T08:59:59", f"B,P1,{GOOD},1,delivered,{GOOD}"]
    text = (desk.root / "orders.csv").read_text().splitlines()
    text = [text[0] + ",delivered_at", *(row + "," for row in text[1:]), *rows]
    desk.put("orders.csv", "\n".join(text))
    told = desk.read().quarantine["orders"]
    assert list(told["line"]) == [line]
    assert "delivered_at is before ordered_at" in told["rule"].iloc[0]


OTHER_TABLES = {
    "11 id up": ("suppliers", "../S3,Third,,,1", "supplier_id", "cannot name a folder"),
    "11 backslash": ("suppliers", "a\\b,Third,,,1", "supplier_id", "cannot name a folder"),
    "11 dot": ("suppliers", "..,Third,,,1", "supplier_id", "cannot name a folder"),
    "tab in id": ("suppliers", "S\t3,Third,,,1", "supplier_id", "control character"),
    "no channel": ("suppliers", "S3,Third,,,0", "spot_channels", "below 1"),
    "licence": ("suppliers", "S3,Third,B2,31.12.2027,1", "licence_valid_until", "ISO 8601 date"),
    "fulfilment": ("products", "P4,x,y,Code", "fulfilment", "none of code, direct"),
    "no name": ("products", "P4,,y,code", "name", "empty"),
    "price": ("offers", "S1,P2,-1,9,1,1,30,,,1,3,0", "unit_cost", "below 0"),
    "money": ("offers", "S1,P2,1e13,9,1,1,30,,,1,3,0", "unit_cost", "above 1000000000000"),
    "fill 0": ("offers", "S1,P2,1,9,1,1,30,,,0,3,0", "fill_rate", "not above 0"),
    "fill 95": ("offers", "S1,P2,1,9,1,1,30,,,95,3,0", "fill_rate", "above 1"),
    "minutes 0": ("offers", "S1,P2,1,9,1,1,30,,,1,0,0", "spot_minutes", "not above 0"),
    "pack 0": ("offers", "S1,P2,1,9,1,0,30,,,1,3,0", "pack_size", "below 1"),
    "minimum 0": ("offers", "S1,P2,1,9,0,1,30,,,1,3,0", "min_order_qty", "below 1"),
    "lead": ("offers", "S1,P2,1,9,1,1,-5,,,1,3,0", "lead_time_minutes", "below 0"),
    "loss": ("offers", "S1,P2,1,9,1,1,30,,,1,3,1.1", "loss_rate_if_unused", "above 1"),
    "47 supplier": ("offers", "S9,P2,1,9,1,1,30,,,1,3,0", "supplier_id", "not listed in suppliers"),
    "47 product": ("offers", "S1,P9,1,9,1,1,30,,,1,3,0", "product_id", "not listed in products"),
    "again": ("offers", "S1,P1,1,9,1,1,30,,,1,3,0", "supplier_id", "came before"),
}


@pytest.mark.parametrize("case", OTHER_TABLES)
def test_bad_rows_of_the_other_tables(desk, case):
    table, row, column, rule = OTHER_TABLES[case]
    desk.share = 0.5
    line = desk.add(table, row)
    inputs = desk.read()
    told = inputs.quarantine[table]
    assert list(told["line"]) == [line]
    assert list(told["column"]) == [column]
    assert rule in told["rule"].iloc[0]
    assert told["fix"].iloc[0]
    assert inputs.counts[table].quarantined == 1


def test_optional_tables_are_linked_and_checked(desk):
    desk.share = 0.9
    desk.put(
        "price_tiers.csv",
        "supplier_id,product_id,min_qty,unit_cost\nS1,P1,100,9\nS1,P2,100,9\nS1,P1,100,9\n",
    )
    desk.put(
        "stock.csv",
        "product_id,supplier_id,units,expires_at\nP1,gone,5,\nP9,S1,5,\nP1,S1,5,\nP1,S1,5,\n",
    )
    desk.put(
        "events.csv",
        "name,kind,starts_at,ends_at,product_id,category\n"
        "Night,release,2026-07-01T20:00,2026-07-01T23:00,P2,\n"
        "Back,release,2026-07-01T20:00,2026-07-01T20:00,,\n"
        "Odd,party,2026-07-01T20:00,2026-07-01T23:00,P9,\n"
        "Night,release,2026-07-01T20:00,2026-07-01T23:00,P2,\n",
    )
    inputs = desk.read()
    tiers, stock, events = (inputs.quarantine[name] for name in ("price_tiers", "stock", "events"))
    assert list(tiers["line"]) == [3]
    assert "not listed in offers" in tiers["rule"].iloc[0]
    assert "or take the row out" in tiers["fix"].iloc[0]
    assert inputs.counts["price_tiers"].duplicates == 1
    assert list(stock["line"]) == [3]
    assert len(inputs.tables["stock"]) == 3
    assert set(events["line"]) == {3, 4}
    assert inputs.counts["events"].duplicates == 1
    assert any("stock: 1 rows repeat" in note for note in inputs.notes)
    assert any("'gone'" in note for note in inputs.notes)


def test_missing_optional_columns_and_tables_are_typed(desk):
    inputs = desk.read()
    assert set(inputs.tables) == {
        "products",
        "suppliers",
        "offers",
        "price_tiers",
        "stock",
        "events",
    }
    assert inputs.tables["products"]["shelf_life_days"].isna().all()
    assert str(inputs.tables["products"]["launched_at"].dtype) == "datetime64[us, Asia/Shanghai]"
    assert str(inputs.tables["suppliers"]["licence_valid_until"].dtype) == "datetime64[us]"
    assert str(inputs.tables["offers"]["max_units"].dtype) == "Int64"
    assert str(inputs.tables["offers"]["pack_size"].dtype) == "int64"
    assert list(inputs.tables["products"]["product_id"]) == ["P1", "P2", "NA"]
    assert inputs.tables["suppliers"]["licence_no"].isna().tolist() == [False, True]
    assert len(inputs.tables["stock"]) == 0


REFUSED = {
    "1 empty": (b"", "is empty"),
    "1 blank lines": (b"\n\r\n", "is empty"),
    "2 header only": (b"order_id,product_id,ordered_at,quantity,status\n", "no rows"),
    "9 truncated": (gzip.compress(b"order_id,product_id\n" * 999)[:-20], "truncated"),
    "12 13 14 xlsx": (b"PK\x03\x04xxxx", "Excel"),
    "17 pickle": (pickle.dumps({"a": 1}), "pickle"),
    "18 YAML": (b"!!python/object/apply:os.system ['true']\n", "YAML"),
    "19 missing": (b"order_id,quantity\n1,2\n", "lacks the columns"),
    "20 twice": (b"order_id,order_id,product_id,ordered_at,quantity,status\n", "more than once"),
    "26 header": (b'order_id,"product_id\n1,2\n', "header cannot be read"),
    "27 semicolons": (b"order_id;product_id;ordered_at;quantity;status\n", "semicolons"),
    "27 tabs": (b"order_id\tproduct_id\tordered_at\tquantity\tstatus\n", "tabs"),
    "4 half UTF-16": (b"\xff\xfeo\x00\xd8", "UTF-16"),
    "6 header bytes": (b"\xfforder_id,x\xfe\n", "header"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_trusted_is_refused(desk, case):
    content, told = REFUSED[case]
    if case.startswith("9"):
        desk.orders_source = "orders.csv.gz"
    desk.put(desk.orders_source, content)
    with pytest.raises(InputRefused, match=told) as refused:
        desk.read()
    assert desk.orders_source in str(refused.value)


def test_19_all_missing_columns_are_named_with_what_resembles_them(desk):
    desk.put("orders.csv", "Order_ID,product_id,when\n1,2,3\n")
    with pytest.raises(InputRefused) as refused:
        desk.read()
    for part in ("'order_id' (there is 'Order_ID')", "'ordered_at'", "'quantity'", "'when'"):
        assert part in str(refused.value)


def test_the_problems_of_all_tables_are_told_at_once(desk):
    desk.put("orders.csv", "order_id\n1\n")
    desk.put("products.csv", "")
    desk.put("suppliers.csv", "supplier_id;name;spot_channels\n")
    desk.put("offers.csv", "supplier_id,product_id\n")
    with pytest.raises(InputRefused) as refused:
        desk.read()
    assert len(refused.value.problems) == 4
    for name in ("orders.csv", "products.csv", "suppliers.csv", "offers.csv"):
        assert name in str(refused.value)


def test_25_every_row_long(desk):
    desk.put("orders.csv", "order_id,product_id,ordered_at,quantity,status\n" + "a,b,c,d,e,f\n" * 9)
    with pytest.raises(InputRefused, match="9 of 9 rows") as refused:
        desk.read()
    assert "orders.csv line 2: 'a,b,c,d,e,f'" in str(refused.value)
    assert "… and 6 more" in str(refused.value)


@pytest.mark.parametrize(("bad", "refused"), [(4, False), (5, True)])
def test_more_bad_rows_than_allowed_stop_the_run(desk, bad, refused):
    desk.orders(*[f"X{n},P1,{GOOD},-1,delivered" for n in range(bad)])
    desk.share = 0.1
    if refused:
        with pytest.raises(InputRefused, match="max_quarantine_share"):
            desk.read()
    else:
        assert desk.read().counts["orders"].quarantined == bad


def test_10_a_zip_bomb_is_refused_before_it_unpacks(desk):
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"0" * (1 << 20)) for _ in range(80)) + packer.flush()
    desk.orders_source = "orders.csv.gz"
    desk.put("orders.csv.gz", bomb)
    with pytest.raises(InputRefused, match="unpacks to more than"):
        desk.read()


def test_15_a_huge_field_is_one_bad_row(desk):
    line = desk.orders(f"{'x' * (50 << 20)},P1,{GOOD},1,delivered", f"Y,P1,{GOOD},1,delivered")
    inputs = desk.read()
    told = inputs.quarantine["orders"].iloc[0]
    assert told["line"] == line
    assert "more than 1048576 bytes" in told["rule"]
    assert len(told["value"]) <= 200
    assert inputs.orders.column("order_id").to_pylist()[-1] == "Y"


def test_16_a_pipe_or_folder_is_refused_and_a_link_followed(desk):
    (desk.root / "orders.csv").rename(desk.root / "elsewhere.csv")
    (desk.root / "orders.csv").symlink_to("elsewhere.csv")
    assert desk.read().counts["orders"].accepted == 40
    (desk.root / "orders.csv").unlink()
    os.mkfifo(desk.root / "orders.csv")
    with pytest.raises(InputRefused, match="a pipe"):
        desk.read()
    (desk.root / "orders.csv").unlink()
    (desk.root / "orders.csv").mkdir()
    with pytest.raises(InputRefused, match="is a folder"):
        desk.read()
    (desk.root / "orders.csv").rmdir()
    (desk.root / "orders.csv").symlink_to("nowhere.csv")
    with pytest.raises(InputRefused, match="cannot be read"):
        desk.read()


@pytest.mark.parametrize("name", ["orders.xlsx", "orders.pkl", "orders.joblib", "orders.yaml", "o"])
def test_17_other_kinds_of_file_are_refused_by_name(desk, name):
    desk.orders_source = name
    desk.put(name, "order_id\n1\n")
    with pytest.raises(InputRefused, match="is not read by its name"):
        desk.read()


CHINESE = (
    "product_id,name,category,fulfilment\n"
    "P1,话费充值,充值,direct\nP2,游戏点卡,游戏,code\nNA,会员,视频,code\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gbk", "gb18030"])
def test_3_4_5_encodings(desk, encoding):
    desk.put("products.csv", CHINESE.encode(encoding))
    inputs = desk.read()
    assert list(inputs.tables["products"]["name"]) == ["话费充值", "游戏点卡", "会员"]
    noted = any("products.csv" in note for note in inputs.notes)
    assert noted == (encoding not in ("utf-8", "utf-8-sig"))


def test_6_only_the_rows_with_invalid_bytes_are_quarantined(desk):
    desk.share = 0.5
    text = CHINESE.encode().replace(b"\n", b"\r\n").replace("游戏点卡".encode(), b"\xff\xfe\x80")
    desk.put("products.csv", text)
    inputs = desk.read()
    told = inputs.quarantine["products"]
    assert list(told["line"]) == [3]
    assert "not UTF-8" in told["rule"].iloc[0]
    assert "\\xff" in told["value"].iloc[0]


def test_8_21_22_line_ends_order_and_extra_columns(desk):
    desk.put(
        "orders.csv",
        "status,quantity,extra,ordered_at,product_id,order_id\r\n"
        f"delivered,1,x,{GOOD},P1,A\r"
        f"delivered,2,x,{GOOD},P1,B\n"
        "\n"
        f"delivered,-2,x,{GOOD},P1,C\r\n"
        f"delivered,3,x,{GOOD},P1,D",
    )
    desk.share = 0.5
    inputs = desk.read()
    assert inputs.orders.column("order_id").to_pylist() == ["A", "B", "D"]
    assert list(inputs.quarantine["orders"]["line"]) == [5]
    assert "orders: unused columns 'extra'" in inputs.notes


def test_48_near_variants_are_kept_apart_and_noted(desk):
    desk.add("products", "p1,x,y,code", "P 1,x,y,code")
    inputs = desk.read()
    assert inputs.counts["products"].accepted == 5
    assert any("'P1', 'p1', 'P 1'" in note for note in inputs.notes)


def test_55_a_minimum_above_capacity_is_noted(desk):
    desk.add("offers", "S1,P2,1,9,100,1,30,50,,1,3,0")
    assert any("S1 / P2" in note for note in desk.read().notes)


def test_a_promised_column_must_be_there(desk):
    desk.data = '[data.columns.orders]\naccount_id = "CustomerID"\n'
    with pytest.raises(InputRefused, match="CustomerID"):
        desk.read()


def test_rows_in_quarantine_are_counted_as_rows_whatever_their_faults(desk):
    desk.orders("X,P9,yesterday,-1,done")
    (told,) = [note for note in desk.read().notes if "quarantine" in note]
    assert told.startswith("orders: 1 row is in quarantine with 4 faults: ")
    desk.orders("X,P9,2026-05-01,1,done", "Y,P9,2026-05-01,1,failed")
    (told,) = [note for note in desk.read().notes if "quarantine" in note]
    assert told.startswith("orders: 2 rows are in quarantine with 3 faults: ")
