"""A sheet that comes back says the same however it was saved, and remarks in it answer nothing."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from itertools import pairwise, product

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planning.exports import COLUMNS, HEADINGS, HOW_TO, NAMES, TITLES
from planning.tables.problems import InputRefused
from planning.tables.source import sheet_of_text
from planning.tables.workbook import open_text, open_workbook, tidied

LINE = {
    "line_id": "L000001",
    "product_id": "00123",
    "product_name": "卡 – “50元”, ½",
    "order_by": "2026-03-31 10:00+08:00",
    "available_from": "2026-03-31 11:00+08:00",
    "available_to": "2026-03-31 12:00+08:00",
    "units": "5",
    "confirmed_units": "3",
    "confirmed_from": "",
    "unit_cost": "48",
    "amount": "240",
    "request": "f" * 32,
}


def saved(path, rows, language="en", encoding="utf-8"):
    """The sheet as a spreadsheet program saves it: the titles, the headings, the rows."""
    blank = [""] * (len(COLUMNS) - 1)
    titles = [[TITLES[language] + " · Anda", *blank], ["S · 2026-03-30", *blank]]
    table = [*titles, [HOW_TO[language], *blank], HEADINGS[language], *map(dict.values, rows)]
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in table:
            book.active.append(list(row))
        book.save(path)
    else:
        with path.open("w", encoding=encoding, errors="replace", newline="") as file:
            csv.writer(file).writerows(table)
    return path


def read(path):
    opener = open_workbook if path.suffix == ".xlsx" else open_text
    return opener(path, path.parent, NAMES, "line_id")


def rows_of(sheet):
    """(line, cells by column) of every row, and the lines that could be no row."""
    told, broken = [], []
    for piece in sheet.pieces:
        *cells, numbers = [column.to_pylist() for column in piece.block.columns]
        told += [
            (at, dict(zip(sheet.columns, row, strict=True)))
            for at, row in zip(numbers, zip(*cells, strict=True), strict=True)
        ]
        broken += [each.line for each in piece.broken]
    return told, broken


def sheet_with(*rows):
    return sheet_of_text(
        "back.csv", COLUMNS, [(at, list(row.values())) for at, row in enumerate(rows, 2)], sha256=""
    )


CODES = ("utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk")


@pytest.mark.parametrize(
    ("language", "encoding"), [*product(HEADINGS, CODES), ("en", "cp1252"), ("en", "latin-1")]
)
def test_a_sheet_saved_as_csv_says_what_the_workbook_says(tmp_path, language, encoding):
    rows = [LINE, LINE | {"line_id": "L000002", "confirmed_from": "2026-03-31 11:30"}]
    told, _ = rows_of(read(saved(tmp_path / "back.xlsx", rows, language)))
    text, broken = rows_of(read(saved(tmp_path / "back.csv", rows, language, encoding)))
    assert broken == []
    for ours in (told, text):
        for _, cells in ours:
            del cells["product_name"]  # the one cell in which a character may be lost
    assert text == told
    assert [at for at, _ in text] == [5, 6]


def test_a_text_without_the_key_is_none(tmp_path):
    (tmp_path / "back.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert read(tmp_path / "back.csv") is None


def test_lines_that_are_no_rows_keep_their_numbers(tmp_path):
    path = saved(tmp_path / "back.csv", [LINE, LINE])
    path.write_text(path.read_text("utf-8") + "\nL000003,x\nthank you\n", encoding="utf-8")
    assert rows_of(read(path))[1] == [8, 9]
    clean = tidied(read(path))
    assert "line 9" in clean.notes[-1]
    assert rows_of(clean)[1] == [8]


blanks = dict.fromkeys(COLUMNS, "")


@pytest.mark.parametrize(
    ("row", "ignored"),
    [
        (blanks | {"units": "10", "confirmed_units": "6", "amount": "480"}, True),
        (blanks | {"line_id": "Total", "units": "10"}, True),
        (blanks | {"line_id": "谢谢"}, True),
        (blanks | {"product_name": "best regards"}, True),
        (blanks | {"confirmed_units": "7"}, False),
        (blanks | {"confirmed_from": "2026-03-31 11:30"}, False),
        (blanks | {"line_id": "L000009", "product_id": "00123"}, False),
        (blanks | {"request": "f" * 32}, False),
    ],
)
def test_a_total_and_a_remark_are_set_aside_and_nothing_that_answers(row, ignored):
    clean = tidied(sheet_with(LINE, LINE, row))
    assert len(rows_of(clean)[0]) == (2 if ignored else 3)
    assert any("line 4" in note for note in clean.notes) == ignored


def test_an_empty_row_is_not_worth_a_word():
    assert tidied(sheet_with(LINE, blanks)).notes == ()


def test_a_column_that_comes_twice_stays_twice():
    columns = [*COLUMNS, "confirmed_units"]
    rows = [(2, [*LINE.values(), "9"])]
    assert tidied(sheet_of_text("f", columns, rows, sha256="")).columns == tuple(columns)


instants = st.datetimes(datetime(1990, 1, 1), datetime(2199, 1, 1)).map(
    lambda at: at.replace(microsecond=0)
)
zones = st.sampled_from(["", "Z", "+08:00", "-0330"])


@given(at=instants, zone=zones, form=st.integers(0, 5), seconds=st.booleans())
def test_an_instant_written_year_first_is_that_instant(at, zone, form, seconds):
    at = at if seconds else at.replace(second=0)
    clock = f"{at.hour}:{at:%M}" + (f":{at:%S}" if seconds else "")
    day = [
        f"{at.year}/{at.month}/{at.day}",
        f"{at.year}-{at.month:02}-{at.day:02}",
        f"{at.year}.{at.month}.{at.day}",
        f"{at.year}年{at.month}月{at.day}日",
        f"{at.year}/{at.month:02}/{at.day}",
        f"{at.year}-{at.month}-{at.day}",
    ][form]
    text = f"{day} {clock}{zone}".replace(":", "：" if form == 3 and not zone else ":")
    ((_, cells),) = rows_of(tidied(sheet_with(LINE | {"confirmed_from": text})))[0]
    assert cells["confirmed_from"] == at.isoformat() + zone


@pytest.mark.parametrize(
    "text", ["31/3/2026 11:30", "3/31/2026 11:30", "26/3/31 11:30", "11.30", "noon"]
)
def test_what_could_be_another_instant_stays_as_it_came(text):
    ((_, cells),) = rows_of(tidied(sheet_with(LINE | {"confirmed_from": text})))[0]
    assert cells["confirmed_from"] == text


@pytest.mark.parametrize("text", ["11:30", "11:30:00", "11：30"])
def test_a_time_is_one_of_the_day_asked_for(text):
    ((_, cells),) = rows_of(tidied(sheet_with(LINE | {"confirmed_from": text})))[0]
    assert cells["confirmed_from"] == "2026-03-31T11:30:00+08:00"


@pytest.mark.parametrize("line", [{}, {"available_from": ""}, {"available_from": "soon"}])
def test_a_time_before_the_one_asked_for_needs_its_day(line):
    text = "0:15" if not line else "11:30"
    with pytest.raises(InputRefused, match="of which day") as refused:
        tidied(sheet_with(LINE, LINE | line | {"confirmed_from": text}))
    assert "line 3" in str(refused.value)


def test_every_minute_of_a_day_is_later_or_refused():
    day = datetime(2026, 3, 31)
    found = []
    for minute in range(0, 1440, 7):
        at = day + timedelta(minutes=minute)
        try:
            ((_, cells),) = rows_of(tidied(sheet_with(LINE | {"confirmed_from": f"{at:%H:%M}"})))[0]
        except InputRefused:
            assert at.hour < 11
        else:
            found.append(datetime.fromisoformat(cells["confirmed_from"]))
    assert all(before < after for before, after in pairwise(found))
