"""Coordination files: what the plan says, as text stays text, and nothing of the clock."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from planning.exports import (
    ANSWERS,
    COLUMNS,
    HEADINGS,
    HOW_TO,
    NAMES,
    TITLES,
    csv_text,
    write_exports,
)
from tests.planning.workspaces import call, contents

TZ = "Asia/Shanghai"
AS_OF = pd.Timestamp("2026-03-30 09:00", tz=TZ)
AT = pd.Timestamp("2026-04-03 20:00", tz=TZ)
PRODUCTS = pd.DataFrame({"product_id": ["=P1", "00123", "NA"], "name": ["=1+1", "卡", "+x@y"]})
SUPPLIERS = pd.DataFrame({"supplier_id": ["S1", "=S2", "S3"], "name": ["-A", "=B()", "C"]})
LINES = pd.DataFrame(
    {
        "line_id": ["L000001", "L000002", "L000003"],
        "supplier_id": ["=S2", "S1", "=S2"],
        "product_id": ["=P1", "00123", "NA"],
        "order_by": [AT - pd.Timedelta("1h")] * 3,
        "available_from": [AT] * 3,
        "available_to": [AT + pd.Timedelta("1h")] * 3,
        "units": [10, 3, 7],
        "unit_cost": [0.1, 1 / 3, 9.5],
        "reason": ["=HYPERLINK(1)", "https://host/x", "{=1}"],
    }
)


def exported(folder, *, lines=LINES, formats=("xlsx", "csv", "json"), language="en"):
    folder.mkdir()
    write_exports(
        folder,
        lines,
        products=PRODUCTS,
        suppliers=SUPPLIERS,
        as_of=AS_OF,
        formats=formats,
        language=language,
    )
    return folder


def sheet_of(path):
    book = openpyxl.load_workbook(path)
    return book, book.worksheets[0]


def test_each_supplier_with_lines_gets_its_own_and_no_other_gets_a_folder(tmp_path):
    folder = exported(tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == {"S1", "=S2"}
    rows = pd.read_csv(folder / "=S2" / "request.csv", dtype=str, keep_default_na=False)
    assert tuple(rows.columns) == COLUMNS
    assert rows["line_id"].tolist() == ["L000001", "L000003"]
    assert rows["product_id"].tolist() == ["=P1", "NA"]
    assert rows["available_from"].tolist() == ["2026-04-03T20:00:00+08:00"] * 2


def test_the_three_formats_say_the_same(tmp_path):
    folder = exported(tmp_path / "out") / "=S2"
    rows = pd.read_csv(folder / "request.csv", dtype={"product_id": str}, keep_default_na=False)
    told = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    assert set(rows.pop("request")) == {told["request"]}
    rows["product_name"] = rows["product_name"].str.removeprefix("'")
    blank = dict.fromkeys(ANSWERS)
    assert told["lines"] == [line | blank for line in rows.to_dict("records")]
    assert (rows[list(ANSWERS)] == "").all(axis=None)
    assert (told["supplier_id"], told["name"]) == ("=S2", "=B()")
    assert told["units"] == 17
    assert told["amount"] == pytest.approx(67.5)
    assert told["as_of"] == "2026-03-30T09:00:00+08:00"
    _, sheet = sheet_of(folder / "request.xlsx")
    cells = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=5)]
    for row, line in zip(cells, told["lines"], strict=True):
        for value, name in zip(row, COLUMNS, strict=True):
            if name == "request":
                assert value == told["request"]
                continue
            want = line[name]
            if name in ("order_by", "available_from", "available_to"):
                want = want.replace("T", " ").replace(":00+", "+")
            assert value == (pytest.approx(want) if isinstance(want, float) else want)


@pytest.mark.parametrize(
    "twice",
    [
        "2026-04-05T01:30:00+10:30[Australia/Lord_Howe]",
        "2026-10-25T02:00:00+02:00[Europe/Berlin]",
        "2026-10-25T02:00:00+01:00[Europe/Berlin]",
        "2026-11-01T01:00:07-05:00[America/New_York]",
    ],
)
def test_an_hour_that_comes_twice_is_written_with_its_offset(tmp_path, twice):
    stamp, zone = twice.removesuffix("]").split("[")
    rows = LINES.assign(available_from=pd.Timestamp(stamp).tz_convert(zone))
    _, sheet = sheet_of(exported(tmp_path / "out", lines=rows) / "=S2" / "request.xlsx")
    letter = openpyxl.utils.get_column_letter(COLUMNS.index("available_from") + 1)
    written = [cell.value for cell in sheet[letter] if str(cell.value).startswith("2026-")]
    assert [pd.Timestamp(each) for each in written] == [pd.Timestamp(stamp)] * 2


def test_text_that_looks_like_a_formula_or_a_link_stays_text(tmp_path):
    book, sheet = sheet_of(exported(tmp_path / "out") / "=S2" / "request.xlsx")
    for row in sheet.iter_rows():
        for cell in row:
            assert cell.data_type in ("s", "n"), cell.coordinate
            assert cell.hyperlink is None
            if isinstance(cell.value, str) and cell.row > 3:
                assert cell.data_type == "s"
    assert {cell.value for cell in sheet["B"]} >= {"=P1", "NA"}
    names = openpyxl.utils.get_column_letter(COLUMNS.index("product_name") + 1)
    assert {cell.value for cell in sheet[names]} >= {"=1+1", "+x@y"}
    assert "=B()" in sheet["A1"].value
    book.close()


def test_a_name_in_the_csv_is_no_formula_and_an_id_stays_exact(tmp_path):
    folder = exported(tmp_path / "out")
    rows = pd.read_csv(folder / "=S2" / "request.csv", dtype=str, keep_default_na=False)
    assert rows["product_name"].tolist() == ["'=1+1", "'+x@y"]
    assert rows["product_id"].tolist() == ["=P1", "NA"]
    other = pd.read_csv(folder / "S1" / "request.csv", dtype=str)
    assert other["product_name"].tolist() == ["卡"]


@pytest.mark.parametrize("language", HEADINGS)
def test_a_workbook_tells_its_sums_and_what_an_answer_commits_to(tmp_path, language):
    _, sheet = sheet_of(exported(tmp_path / "out", language=language) / "=S2" / "request.xlsx")
    about, how_to = sheet["A2"].value, sheet["A3"].value
    assert "17" in about
    assert "67.50" in about
    assert sheet.cell(5, len(COLUMNS)).value in about
    assert how_to.startswith(HOW_TO[language])
    assert "2026-04-03 19:00+08:00" in how_to
    amounts = COLUMNS.index("amount") + 1
    assert sheet.cell(5, amounts).number_format == "#,##0.00"


def test_a_chinese_workbook_holds_no_english(tmp_path):
    lines = LINES.assign(supplier_id="S3", product_id="00123", line_id=["1", "2", "3"])
    _, sheet = sheet_of(exported(tmp_path / "out", lines=lines, language="zh") / "S3/request.xlsx")
    told = [cell.value for row in sheet.iter_rows(max_row=4) for cell in row if cell.value]
    told += [sheet.title]
    for rule in sheet.data_validations.dataValidation:
        told += [rule.promptTitle, rule.prompt, rule.errorTitle, rule.error]
    words = re.findall(r"[A-Za-z]{2,}", " ".join(told))
    assert all(re.fullmatch("[a-f]+", word) for word in words), words  # of the request's hash


def test_yellow_cells_take_a_count_up_to_what_is_asked_and_a_time_from_as_of_on(tmp_path):
    _, sheet = sheet_of(exported(tmp_path / "out") / "=S2" / "request.xlsx")
    rules = {str(rule.sqref)[0]: rule for rule in sheet.data_validations.dataValidation}
    letters = [
        openpyxl.utils.get_column_letter(COLUMNS.index(name) + 1) for name in ("units", *ANSWERS)
    ]
    units, few, since = letters
    assert set(rules) == {few, since}
    assert str(rules[few].sqref) == f"{few}5:{few}6"
    assert (rules[few].type, rules[few].formula1) == ("whole", "0")
    assert rules[few].formula2 == f"${units}5"  # each row's own
    assert rules[since].type == "date"
    earliest = openpyxl.utils.datetime.from_excel(float(rules[since].formula1))
    assert earliest == datetime(2026, 3, 30, 9, 0)


@pytest.mark.parametrize("language", HEADINGS)
def test_a_workbook_filled_in_is_acknowledged_in_either_language(finished, tmp_path, language):
    root = Path(shutil.copytree(finished.root, tmp_path / "market"))
    lines = pd.read_csv(finished.run_dir / "plan.csv", dtype={"supplier_id": str}).astype(
        dict.fromkeys(("order_by", "available_from", "available_to"), f"datetime64[us, {TZ}]")
    )
    names, suppliers = (
        pd.read_csv(root / f"{table}.csv", dtype=str, keep_default_na=False)
        for table in ("products", "suppliers")
    )
    folder = tmp_path / "out"
    write_exports(
        folder,
        lines,
        products=names,
        suppliers=suppliers,
        as_of=pd.Timestamp("2026-03-30", tz=TZ),
        formats=("xlsx",),
        language=language,
    )
    path = next(folder.iterdir()) / "request.xlsx"
    book, sheet = sheet_of(path)
    few, since = (COLUMNS.index(name) + 1 for name in ANSWERS)
    asked = lines[lines["supplier_id"] == path.parent.name]
    for row, units in enumerate(asked["units"], start=5):
        sheet.cell(row, few).value = units
    later = asked["available_from"].iloc[0] + pd.Timedelta("5min")
    sheet.cell(5, since).value = later.tz_localize(None).to_pydatetime()
    sheet.append(["合计", *[None] * 5, int(asked["units"].sum()), int(asked["units"].sum())])
    book.save(tmp_path / "back.xlsx")
    said = call("ack", "-w", root, tmp_path / "back.xlsx")
    assert said.code == 0, said.err
    assert said.said["confirmed_units"] == asked["units"].sum()
    assert said.said["lines"]["late"] == 1


def test_headings_of_earlier_requests_are_understood():
    former = {"最迟下单", "可用起始", "可用截止", "确认可用起始"}
    assert {NAMES[name] for name in former} == {
        "order_by",
        "available_from",
        "available_to",
        "confirmed_from",
    }
    assert not former & {name for told in HEADINGS.values() for name in told}


def test_the_dates_of_a_workbook_are_those_of_the_run(tmp_path):
    book, _ = sheet_of(exported(tmp_path / "out") / "S1" / "request.xlsx")
    assert book.properties.created == datetime(2026, 3, 30, 1, 0)  # in UTC
    assert book.properties.modified == datetime(2026, 3, 30, 1, 0)


@pytest.mark.parametrize("language", HEADINGS)
def test_headings_are_in_the_language_asked_for(tmp_path, language):
    _, sheet = sheet_of(exported(tmp_path / "out", language=language) / "S1" / "request.xlsx")
    assert tuple(cell.value for cell in sheet[4]) == HEADINGS[language]
    assert sheet.title == TITLES[language]
    assert len(HEADINGS[language]) == len(COLUMNS)


def test_a_supplier_is_not_told_why(tmp_path):
    told = b"".join(contents(exported(tmp_path / "out", formats=("csv", "json"))).values())
    told += str(
        list(sheet_of(exported(tmp_path / "x") / "=S2" / "request.xlsx")[1].values)
    ).encode()
    assert not any(reason.encode() in told for reason in LINES["reason"])


def test_amounts_are_rounded_and_prices_are_not(tmp_path):
    folder = exported(tmp_path / "out", lines=LINES.assign(units=3, unit_cost=33.3161)) / "S1"
    assert "33.3161,99.9483," in (folder / "request.csv").read_text("utf-8")
    assert 3 * 33.3161 != 99.9483
    told = json.loads((folder / "request.json").read_text("utf-8"))
    assert told["amount"] == told["lines"][0]["amount"] == 99.9483
    thirds = exported(tmp_path / "thirds") / "S1" / "request.csv"
    assert f",{1 / 3!r},1.0," in thirds.read_text("utf-8")


def test_excel_takes_the_csv_for_utf_8_and_its_first_column_keeps_its_name(tmp_path):
    path = exported(tmp_path / "out") / "=S2" / "request.csv"
    assert path.read_bytes().startswith(b"\xef\xbb\xbfline_id,")
    for engine in ("c", "python", "pyarrow"):
        assert tuple(pd.read_csv(path, engine=engine).columns) == COLUMNS


@pytest.mark.parametrize("language", HEADINGS)
def test_a_workbook_prints_on_a4_as_wide_as_the_page_without_the_hash(tmp_path, language):
    _, sheet = sheet_of(exported(tmp_path / "out", language=language) / "=S2" / "request.xlsx")
    page = sheet.page_setup
    assert (page.paperSize, page.orientation) == (9, "landscape")
    assert (page.fitToWidth or 1, page.fitToHeight) == (1, 0)
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.print_title_rows == "$4:$4"
    last = openpyxl.utils.get_column_letter(len(COLUMNS) - 1)
    assert sheet.print_area.endswith(f"!$A$1:${last}$6")
    assert sheet.cell(5, len(COLUMNS)).value in sheet["A2"].value


def test_only_the_formats_asked_for_are_written(tmp_path):
    folder = exported(tmp_path / "out", formats=("csv",))
    assert [path.name for path in (folder / "S1").iterdir()] == ["request.csv"]


def test_a_plan_without_a_line_asks_nobody(tmp_path):
    assert contents(exported(tmp_path / "out", lines=LINES.head(0))) == {}


def test_equal_plans_give_equal_bytes(tmp_path):
    assert contents(exported(tmp_path / "a")) == contents(exported(tmp_path / "b"))


def test_csv_keeps_figures_and_instants_exactly():
    back = pd.read_csv(pd.io.common.StringIO(csv_text(LINES)), keep_default_na=False)
    assert back["unit_cost"].tolist() == LINES["unit_cost"].tolist()
    assert pd.to_datetime(back["order_by"]).tolist() == LINES["order_by"].tolist()
