"""A supplier's answer: taken in whole or not at all, and planned around by the next run."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import sqlalchemy as sa

from planning import acks, job
from planning.cli import REFUSED
from planning.committed import NOBODY, answered_short, bearing, committed, on_order
from planning.exports import ANSWERS, HEADINGS
from planning.ledger import open_ledger
from planning.problem import DAY, HOUR, clock_hours, epoch, market
from planning.records import metadata
from planning.requests import request_id
from planning.tables import read_workspace
from planning.workspace import load_workspace
from tests.planning.workspaces import AS_OF, call, contents, set_config

TZ = "Asia/Shanghai"
FORMATS = ("csv", "xlsx", "json")


def sent(root: Path, name: str = "request.csv") -> Path:
    """The request with most lines of the one run of a workspace."""
    found = sorted(root.glob(f"runs/*/exports/*/{name}"))
    return max(found, key=lambda path: path.stat().st_size)


def rows_of(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def write(path: Path, rows: pd.DataFrame) -> Path:
    rows.to_csv(path, index=False)
    return path


def answer_in(form: str, request: Path, target: Path, units: list[str], at: list[str]) -> Path:
    """The request as it was sent in one of the formats, its two columns filled in."""
    source = request.with_suffix(f".{form}")
    path = target.with_suffix(f".{form}")
    if form == "csv":
        return write(path, rows_of(source).assign(confirmed_units=units, confirmed_from=at))
    if form == "json":
        told = json.loads(source.read_text(encoding="utf-8"))
        for line, few, when in zip(told["lines"], units, at, strict=True):
            line |= {"confirmed_units": int(few) if few else None, "confirmed_from": when or None}
        path.write_text(json.dumps(told), encoding="utf-8")
        return path
    book = openpyxl.load_workbook(source)
    sheet = book.worksheets[0]
    column = {cell.value: cell.column for cell in sheet[4]}
    for row, (few, when) in enumerate(zip(units, at, strict=True), start=5):
        sheet.cell(row, column["Confirmed units"]).value = int(few) if few else None
        sheet.cell(row, column["Confirmed from"]).value = when or None
    book.save(path)
    return path


@pytest.fixture
def asked(finished, tmp_path):
    """A workspace whose run has asked its suppliers, and the largest request."""
    root = Path(shutil.copytree(finished.root, tmp_path / "asked"))
    return root, sent(root)


def confirmed(request: Path, target: Path) -> Path:
    rows = rows_of(request)
    return write(target, rows.assign(confirmed_units=rows["units"]))


def known(root: Path, as_of: str = AS_OF) -> pd.DataFrame:
    at = pd.Timestamp(as_of, tz=TZ)
    with open_ledger(load_workspace(root).store_url) as book:
        return on_order(book.answered(at), at)


# What is sent


def test_a_request_names_itself_in_every_format(asked):
    _, request = asked
    rows = rows_of(request)
    told = json.loads(request.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(set(rows["request"])) == 1
    assert told["request"] == rows["request"][0] == request_id(request.parent.name, rows)
    assert (rows[list(ANSWERS)] == "").all(axis=None)
    sheet = openpyxl.load_workbook(request.with_suffix(".xlsx")).worksheets[0]
    assert {row[-1] for row in sheet.iter_rows(min_row=5, values_only=True)} == {told["request"]}


@pytest.mark.parametrize("change", ["line_id", "product_id", "order_by", "units", "unit_cost"])
def test_another_line_is_another_request(asked, change):
    rows = rows_of(asked[1])
    changed = rows.copy()
    changed.loc[0, change] = "7" if change in ("units", "unit_cost") else "else"
    assert request_id("S", changed) != request_id("S", rows) != request_id("T", rows)


# What is taken in


@pytest.mark.parametrize("form", FORMATS)
def test_an_answer_means_the_same_in_every_format(asked, tmp_path, form):
    root, request = asked
    rows = rows_of(request)
    n = len(rows)
    short = int(rows["units"].astype(int).argmax())
    whole, slow, no = [line for line in range(4) if line != short][:3]
    late = (pd.Timestamp(rows["available_from"][slow]) + pd.Timedelta("90min")).isoformat()
    units, at = [""] * n, [""] * n
    for line, few in zip((whole, short, slow, no), (None, "1", None, "0"), strict=True):
        units[line] = few or rows["units"][line]
    at[slow] = late
    said = call("ack", "-w", root, answer_in(form, request, tmp_path / "back", units, at))
    assert said.code == 0, said.err
    assert said.said["status"] == "accepted"
    assert said.said["supplier_id"] == request.parent.name
    kinds = {"confirmed": 1, "short": 1, "late": 1, "early": 0, "rejected": 1, "open": n - 4}
    assert said.said["lines"] == kinds
    assert said.said["notes"] == []
    lines = known(root).set_index("line_id")
    assert list(lines.index) == sorted(rows["line_id"][[whole, short, slow]])
    assert lines["units"][rows["line_id"][short]] == 1
    assert pd.Timestamp(lines["available_from"][rows["line_id"][slow]]) == pd.Timestamp(late)


def test_status_tells_who_has_not_answered(asked, tmp_path):
    root, request = asked
    suppliers = sorted(path.name for path in request.parents[1].iterdir())
    assert call("status", "-w", root).said["unanswered"] == suppliers
    assert call("ack", "-w", root, confirmed(request, tmp_path / "back.csv")).code == 0
    suppliers.remove(request.parent.name)
    assert call("status", "-w", root).said["unanswered"] == suppliers


def test_headings_are_understood_in_chinese(finished, tmp_path):
    root = Path(shutil.copytree(finished.root, tmp_path / "zh"))
    request = sent(root)
    book = openpyxl.load_workbook(request.with_suffix(".xlsx"))
    sheet = book.worksheets[0]
    for cell, heading in zip(sheet[4], HEADINGS["zh"], strict=True):
        cell.value = heading
    sheet.cell(5, HEADINGS["zh"].index("确认数量") + 1).value = 1
    book.save(tmp_path / "回.xlsx")
    said = call("ack", "-w", root, tmp_path / "回.xlsx")
    assert said.code == 0, said.err
    assert said.said["confirmed_units"] == 1


def test_the_same_file_twice_is_taken_in_once(asked, tmp_path):
    root, request = asked
    path = confirmed(request, tmp_path / "back.csv")
    first, second = (call("ack", "-w", root, path) for _ in range(2))
    assert (first.said["status"], second.said["status"]) == ("accepted", "already_done")
    assert second.code == 0
    assert len(known(root)) == len(rows_of(request))


def test_a_later_answer_to_a_line_counts_and_an_old_one_sent_again_does_not(asked, tmp_path):
    root, request = asked
    rows = rows_of(request)
    old = confirmed(request, tmp_path / "old.csv")
    new = write(tmp_path / "new.csv", rows.assign(confirmed_units=["0", *rows["units"][1:]]))
    for path in (old, new, old):
        assert call("ack", "-w", root, path).code == 0
    assert rows["line_id"][0] not in set(known(root)["line_id"])
    assert len(known(root)) == len(rows) - 1


def test_a_half_copied_file_is_refused_and_the_whole_one_taken_in(asked, tmp_path):
    root, request = asked
    whole = confirmed(request, tmp_path / "whole.csv")
    data = whole.read_bytes()
    for cut in (len(data) * 2 // 3, data.rindex(b"\n", 0, len(data) - 1) + 1):
        (tmp_path / "half.csv").write_bytes(data[:cut])
        said = call("ack", "-w", root, tmp_path / "half.csv")
        assert said.code == REFUSED
        assert known(root).empty
    assert call("ack", "-w", root, whole).code == 0
    assert len(known(root)) == len(rows_of(request))


def changed(rows: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    rows = rows.copy()
    rows.loc[1, column] = value
    return rows


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("line_id", "L999999", "the request has no such line"),
        ("product_id", "another", "was asked for; leave product_id as it was"),
        ("units", "123456", "were asked for; answer in confirmed_units"),
        ("confirmed_units", "123456", "that were asked for; confirm no more"),
        ("confirmed_units", "-1", "confirmed_units is below 0"),
        ("confirmed_units", "1.5", "confirmed_units is no whole number"),
        ("confirmed_units", "1,5", "confirmed_units is no"),
        ("confirmed_units", "１", "confirmed_units is no"),
        (
            "confirmed_units",
            "无",
            "digits such as 1200: no thousands separators, units, full-width",
        ),
        ("confirmed_units", "none", "; 0 says that there is none to be had, an empty cell leaves"),
        ("confirmed_from", "30/02/2026", "confirmed_from is no"),
        ("confirmed_from", "2026-03-29T10:00:00", "when it was asked for"),
        ("request", "0" * 32, "another request than in the rows before"),
        ("unit_cost", "1234.5", "a price can't be answered"),
        ("unit_cost", "ask us", "a price can't be answered"),
        ("amount", "12345.6", "a price can't be answered"),
        ("available_from", "today", "say in confirmed_from from when"),
        ("available_from", "2026-03-30T03:00:00+08:00", "say in confirmed_from from when"),
        ("order_by", "2026/03/29", "only confirmed_units and confirmed_from can be answered"),
        ("available_to", "2027-03-30T03:00:00+08:00", "only confirmed_units and confirmed_from"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_nothing_is_taken_in(
    asked, tmp_path, column, value, told
):
    root, request = asked
    rows = rows_of(request)
    rows = changed(rows.assign(confirmed_units=rows["units"]), column, value)
    said = call("ack", "-w", root, write(tmp_path / "back.csv", rows))
    assert said.code == REFUSED
    assert told in said.said["error"]
    assert "line 3" in said.said["error"]
    assert value in said.said["error"]
    assert known(root).empty


def at_minute(text: str) -> str:
    return pd.Timestamp(text).tz_convert(TZ).strftime("%Y/%m/%d %H:%M")


@pytest.mark.parametrize(
    ("column", "form"),
    [
        ("unit_cost", lambda cell: f"{float(cell):,.2f}"),
        ("unit_cost", lambda cell: f"¥{float(cell):.6f}"),
        ("unit_cost", lambda cell: repr(float(cell) + 1e-12)),
        ("amount", lambda cell: f"{float(cell):,.2f}"),
        ("amount", lambda _: ""),
        *((name, at_minute) for name in ("order_by", "available_from", "available_to")),
        ("available_from", lambda cell: pd.Timestamp(cell).tz_convert("UTC").isoformat()),
        ("available_to", lambda cell: cell[:10]),
        ("product_name", lambda _: "garbled"),
    ],
)
def test_what_was_only_sent_along_may_be_written_otherwise(asked, tmp_path, column, form):
    root, request = asked
    rows = rows_of(request)
    rows = rows.assign(confirmed_units=rows["units"])
    said = call(
        "ack",
        "-w",
        root,
        write(tmp_path / "back.csv", rows.assign(**{column: rows[column].map(form)})),
    )
    assert said.code == 0, said.err
    assert said.said["confirmed_money"] == pytest.approx(
        (rows["units"].astype(int) * rows["unit_cost"].astype(float)).sum()
    )


def test_a_sheet_may_count_the_amount_anew(asked, tmp_path):
    root, request = asked
    rows = rows_of(request)
    few = (rows["units"].astype(int) - 1).astype(str)
    amount = (few.astype(int) * rows["unit_cost"].astype(float)).round(2)
    path = write(tmp_path / "back.csv", rows.assign(confirmed_units=few, amount=amount))
    assert call("ack", "-w", root, path).code == 0


@pytest.mark.parametrize("shift", ["-2h", "105min"])
def test_a_slot_in_another_hour_is_told(finished, tmp_path, shift):
    root = Path(shutil.copytree(finished.root, tmp_path / "slots"))
    for request in root.glob("runs/*/exports/*/request.csv"):
        rows = rows_of(request)
        since, until = (pd.to_datetime(rows[at]) for at in ("available_from", "available_to"))
        if (until - since <= pd.Timedelta("1h")).all():
            break
    else:
        raise ValueError("the sample asks for no slot")
    moved = [at.isoformat() for at in since + pd.Timedelta(shift)]
    path = write(tmp_path / "back.csv", rows.assign(confirmed_units="1", confirmed_from=moved))
    said = call("ack", "-w", root, path)
    assert said.code == 0, said.err
    kind = "early" if shift.startswith("-") else "late"
    short = (rows["units"] != "1").sum()
    assert said.said["lines"]["short"] == short
    assert said.said["lines"][kind] == len(rows) - short
    assert "in another clock hour than the one asked for" in said.said["notes"][0]
    assert (
        f"{rows['line_id'][0]} from {moved[0]} instead of {rows['available_from'][0]}"
        in (said.said["notes"][0])
    )


@pytest.mark.parametrize("name", ["back.ods", "back.xls", "back.pdf", "back.numbers"])
def test_another_programs_file_is_told_what_to_save_it_as(asked, tmp_path, name):
    (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0")
    said = call("ack", "-w", asked[0], tmp_path / name)
    assert said.code == REFUSED
    assert (
        f"{name}: an answer is an .xlsx, .csv or .json file; open this one and save"
        in (said.said["error"])
    )
    assert "pickle" not in said.said["error"]


def test_an_answer_to_nobody_is_refused(asked, tmp_path):
    root, request = asked
    rows = rows_of(request)
    rows = rows.assign(confirmed_units=rows["units"], request="0" * 32)
    said = call("ack", "-w", root, write(tmp_path / "back.csv", rows))
    assert said.code == REFUSED
    assert "no run of this workspace has asked for that" in said.said["error"]


def test_a_request_sent_back_as_it_was_is_no_answer(asked):
    root, request = asked
    for form in FORMATS:
        said = call("ack", "-w", root, request.with_suffix(f".{form}"))
        assert said.code == REFUSED
        assert "no line is answered" in said.said["error"]


def test_answers_under_a_heading_that_is_none_of_ours_are_told_where_they_are(asked, tmp_path):
    root, request = asked
    rows = rows_of(request)
    rows = rows.assign(confirmed_units=rows["units"]).rename(columns={"confirmed_units": "ok?"})
    said = call("ack", "-w", root, write(tmp_path / "back.csv", rows))
    assert said.code == REFUSED
    assert "no line is answered" in said.said["error"]
    assert "unused columns 'ok?'" in said.said["error"]


def test_when_without_how_many_is_refused(asked, tmp_path):
    root, request = asked
    rows = rows_of(request)
    rows = rows.assign(confirmed_units=["1", *[""] * (len(rows) - 1)])
    rows = changed(rows, "confirmed_from", rows["available_from"][1])
    said = call("ack", "-w", root, write(tmp_path / "back.csv", rows))
    assert said.code == REFUSED
    assert "doesn't say how many" in said.said["error"]


@pytest.mark.parametrize(
    ("mark", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (";", "gb18030")]
)
def test_a_csv_is_read_as_any_spreadsheet_saves_it(asked, tmp_path, mark, encoding):
    root, request = asked
    rows = rows_of(request)
    rows = rows.assign(confirmed_units=rows["units"], reason="a; b\tc, d")
    rows["unit_cost"] = [f"{float(cost):.2f}".replace(".", ",") for cost in rows["unit_cost"]]
    path = tmp_path / "back.csv"
    path.write_text("Request\n\n" + rows.to_csv(index=False, sep=mark), encoding=encoding)
    said = call("ack", "-w", root, path)
    assert said.code == 0, said.err
    assert said.said["confirmed_units"] == rows["units"].astype(int).sum()


@pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
def test_a_day_without_a_time_is_asked_for_its_time(asked, tmp_path, form):
    root, request = asked
    rows = rows_of(request)
    n = len(rows)
    day = rows["available_from"][0][:10]
    path = answer_in(form, request, tmp_path / "back", ["1"] * n, [day, *[""] * (n - 1)])
    if form == "xlsx":  # as a spreadsheet keeps a date
        book = openpyxl.load_workbook(path)
        cell = book.worksheets[0].cell(5, HEADINGS["en"].index("Confirmed from") + 1)
        cell.value, cell.number_format = pd.Timestamp(day).to_pydatetime(), "yyyy-mm-dd"
        book.save(path)
    said = call("ack", "-w", root, path)
    assert said.code == REFUSED
    assert f"confirmed_from = '{day}': at what time of that day?" in said.said["error"]


def test_midnight_is_a_time(asked, tmp_path):
    root, request = asked
    n = len(rows_of(request))
    path = answer_in("xlsx", request, tmp_path / "back", ["1"] * n, [""] * n)
    book = openpyxl.load_workbook(path)
    cell = book.worksheets[0].cell(5, HEADINGS["en"].index("Confirmed from") + 1)
    late = pd.Timestamp(AS_OF).normalize() + pd.Timedelta("2D")
    cell.value, cell.number_format = late.to_pydatetime(), "yyyy-mm-dd hh:mm"
    book.save(path)
    assert call("ack", "-w", root, path).code == 0
    assert late.isoformat() in [at[:19] for at in known(root)["available_from"]]


def test_a_total_that_was_never_computed_is_a_remark(asked, tmp_path):
    root, request = asked
    n = len(rows_of(request))
    path = answer_in("xlsx", request, tmp_path / "back", ["1"] * n, [""] * n)
    book = openpyxl.load_workbook(path)
    book.worksheets[0].cell(6 + n, HEADINGS["en"].index("Confirmed units") + 1).value = "=SUM(A1)"
    book.save(path)
    assert call("ack", "-w", root, path).said["confirmed_units"] == n


# Workbooks and documents that cannot be trusted


def bomb(path: Path) -> None:
    """A workbook whose first sheet expands an entity a billion times."""
    entities = "".join(
        f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' if k else '<!ENTITY e0 "ha">' for k in range(10)
    )
    shutil.copy(path, path.with_suffix(".tmp"))
    with zipfile.ZipFile(path.with_suffix(".tmp")) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            data = old.read(member)
            if member.filename == "xl/worksheets/sheet1.xml":
                head, body = data.split(b"?>", 1)
                body = body.replace(b"<sheetData>", b"<sheetData><!-- &e9; -->", 1)
                data = head + b"?><!DOCTYPE x [" + entities.encode() + b"]>" + body
            new.writestr(member, data)


def huge(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/zeros.bin", bytes(300 << 20))


def formula(path: Path) -> None:
    book = openpyxl.load_workbook(path)
    book.worksheets[0].cell(5, HEADINGS["en"].index("Confirmed units") + 1).value = "=1+1"
    book.save(path)


def hidden(path: Path) -> None:
    book = openpyxl.load_workbook(path)
    book.create_sheet("front")
    book.worksheets[0].sheet_state = "hidden"
    book.save(path)


def twice(path: Path) -> None:
    book = openpyxl.load_workbook(path)
    book.copy_worksheet(book.worksheets[0])
    book.save(path)


def encrypted(path: Path) -> None:
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4096))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (bomb, "cannot be read as a workbook"),
        (huge, "unpacks to more than 256 MiB"),
        (formula, "has no value; type the value instead"),
        (hidden, "hidden and not read"),
        (twice, "all have a column line_id"),
        (encrypted, "encrypted or old Office document"),
        (truncated, "is no .xlsx workbook, or its end is missing"),
        (lambda path: path.write_text("line_id,units\n"), "if it is a CSV file name it .csv"),
        (lambda path: path.write_bytes(b""), "is empty"),
    ],
)
def test_a_workbook_that_cannot_be_trusted_is_refused(asked, tmp_path, harm, told):
    root, request = asked
    path = Path(shutil.copy(request.with_suffix(".xlsx"), tmp_path / "back.xlsx"))
    harm(path)
    said = call("ack", "-w", root, path)
    assert said.code == REFUSED
    assert "back.xlsx" in said.said["error"]
    assert told in said.said["error"]


@pytest.mark.parametrize("text", ["", "[]", '{"lines": 1}', '{"lines": [1]}', "{", '{"a": 1}'])
def test_a_document_of_another_shape_is_refused(asked, tmp_path, text):
    path = tmp_path / "back.json"
    path.write_text(text, encoding="utf-8")
    said = call("ack", "-w", asked[0], path)
    assert said.code == REFUSED
    assert "back.json" in said.said["error"]


@pytest.mark.parametrize("name", ["back.pkl", "back.yaml", "back.parquet", "folder.csv"])
def test_other_files_are_refused_by_their_name(asked, tmp_path, name):
    path = tmp_path / name
    path.mkdir() if name.startswith("folder") else path.write_bytes(b"\x80\x04x")
    said = call("ack", "-w", asked[0], path)
    assert said.code == REFUSED
    assert name in said.said["error"]


# What the next run makes of it


@pytest.fixture(scope="module")
def replanned(finished, tmp_path_factory):
    """The run before a supplier's answer, the answered lines, and the run after it."""
    root = Path(shutil.copytree(finished.root, tmp_path_factory.mktemp("again") / "market"))
    request = sent(root)
    rows = rows_of(request)
    units = rows["units"].astype(int)
    few = units.where(rows.index != units.idxmax(), 1)
    path = write(root / "back.csv", rows.assign(confirmed_units=few))
    assert call("ack", "-w", root, path).code == 0
    answer = call("run", "-w", root, "--as-of", AS_OF)
    assert answer.code == 0, answer.err
    return root, rows.assign(units=few), answer


def test_confirmed_lines_stay_out_of_the_next_plan_and_count_against_its_money(replanned, finished):
    root, rows, answer = replanned
    assert answer.said["status"] == "done"
    assert answer.said["run_id"] != finished.answer.said["run_id"]
    folder = Path(answer.said["run_dir"])
    bound, plan = rows_of(folder / "committed.csv"), rows_of(folder / "plan.csv")
    assert list(bound["units"].astype(int)) == list(rows["units"])
    assert list(bound["available_from"]) == list(rows["available_from"])
    assert not set(bound["line_id"]) & set(plan["line_id"])
    asked = rows_of(sent(finished.root))["units"].astype(int)
    where = ["supplier_id", "product_id", "available_from"]
    short = bound.loc[
        rows["units"] < asked, where
    ]  # it has no more in that hour: it isn't asked again
    assert len(short) == 1
    assert len(plan.merge(short, on=where)) == 0
    money = sum(
        (f["units"].astype(int) * f["unit_cost"].astype(float)).sum() for f in (bound, plan)
    )
    assert money <= load_workspace(root).working_capital * (1 + 1e-9)
    assert any("committed.csv" in note for note in answer.said["notes"])
    assert "committed.csv" in (folder / "report.html").read_text(encoding="utf-8")


def test_equal_answers_give_equal_plans_and_a_dry_run_writes_nothing(replanned, finished, tmp_path):
    root, _, answer = replanned
    other = Path(shutil.copytree(finished.root, tmp_path / "other"))
    assert call("ack", "-w", other, root / "back.csv").code == 0
    before = contents(other / "runs")
    dry = call("run", "-w", other, "--as-of", AS_OF, "--dry-run")
    assert dry.said["run_id"] == answer.said["run_id"]
    assert dry.said["kpis"]["predicted"] == answer.said["kpis"]["predicted"]
    assert contents(other / "runs") == before


def test_a_run_s_plan_is_replayed_with_what_it_was_made_around(replanned, tmp_path):
    root, _, answer = replanned
    plan = Path(answer.said["run_dir"]) / "plan.csv"

    def spent(plan: object) -> float:
        orders = root / "future.parquet"
        asked = ("replay", "-w", root, "--orders", orders, "--plan", plan, "--as-of", AS_OF)
        return call(*asked).said["prealloc_spend"]

    bare = shutil.copy(plan, tmp_path / "plan.csv")
    assert spent("latest") == spent(plan) > spent(bare) >= 0


def test_a_line_that_was_answered_is_not_asked_for_again_because_the_plan_before_has_it(
    replanned, finished
):
    root, rows, _ = replanned
    plan = finished.run_dir / "plan.csv"
    near = ("--previous", plan, "--freeze", "5000")
    again = call("run", "-w", root, "--as-of", AS_OF, *near)
    assert again.code == 0, again.err
    folder = Path(again.said["run_dir"])
    bound, kept = rows_of(folder / "committed.csv"), rows_of(folder / "plan.csv")
    assert len(bound) == len(rows)
    where = ["supplier_id", "product_id", "available_from"]
    open_lines = rows_of(plan).merge(bound[where], on=where, how="left", indicator=True)
    open_lines = open_lines[open_lines["_merge"] == "left_only"]
    both = open_lines.merge(kept, on=where)
    assert len(both) == len(open_lines), "what nobody has answered is frozen"
    more = bound.merge(kept, on=where)  # what the forecast asks for beside what is confirmed
    assert len(more) < len(bound) / 2


def test_an_answer_that_comes_while_a_run_is_at_work_is_told(asked, decided, tmp_path, monkeypatch):
    root, request = asked
    monkeypatch.setattr(job, "decide", lambda *_, **__: decided[1])
    path = confirmed(request, tmp_path / "back.csv")
    compute = job._computed

    def slowly(*told):
        outcome = compute(*told)
        assert call("ack", "-w", root, path).code == 0
        return outcome

    monkeypatch.setattr(job, "_computed", slowly)
    later = pd.Timestamp(AS_OF) + pd.Timedelta("30min")
    said = call("run", "-w", root, "--as-of", later.isoformat())
    assert said.code == 0
    assert any("while this run was at work" in told for told in said.said["warnings"])
    monkeypatch.setattr(job, "_computed", compute)
    again = call("run", "-w", root, "--as-of", later.isoformat())
    assert again.said["run_id"] != said.said["run_id"]
    assert not any("at work" in told for told in again.said["warnings"])


def test_a_run_as_of_before_the_answer_was_known_does_not_know_it(asked, tmp_path):
    root, request = asked
    path = confirmed(request, tmp_path / "back.csv")
    assert call("ack", "-w", root, path, "--as-of", "2026-03-30T06:00").code == 0
    assert known(root, "2026-03-30T05:59").empty
    assert not known(root, "2026-03-30T06:00").empty
    assert call("run", "-w", root, "--as-of", AS_OF).said["status"] == "already_done"


def test_what_was_ready_before_as_of_is_stock_and_no_more_on_order(asked, tmp_path):
    root, request = asked
    assert call("ack", "-w", root, confirmed(request, tmp_path / "back.csv")).code == 0
    ready = pd.to_datetime(rows_of(request)["available_from"], utc=True)
    at = ready.sort_values().iloc[len(ready) // 2].tz_convert(TZ)
    left = known(root, at.tz_localize(None).isoformat())
    assert len(left) == (ready >= at).sum() < len(ready)


ASKED = pd.Timestamp("2026-03-30T10:00:00", tz=TZ)


@pytest.fixture(scope="module")
def sellers(sample):
    tables = read_workspace(load_workspace(sample), pd.Timestamp(AS_OF, tz=TZ)).tables
    return market(tables, TZ)


def answers(sellers, ready: pd.Timestamp, units: int = 5, asked: pd.Timestamp = ASKED):
    """A line of an hour that was asked of every offer and answered alike."""
    return pd.DataFrame(
        {
            "request": "a" * 32,
            "supplier_id": sellers.supplier_ids[sellers.offer_supplier],
            "line_id": [f"L{k}" for k in range(len(sellers.offer_supplier))],
            "product_id": sellers.product_ids[sellers.offer_product],
            "order_by": (asked - pd.Timedelta("1h")).isoformat(),
            "asked_from": asked.isoformat(),
            "available_from": ready.isoformat(),
            "available_to": (asked + pd.Timedelta("1h")).isoformat(),
            "asked_units": 9,
            "units": units,
            "unit_cost": 1.5,
        },
        columns=list(NOBODY.columns),
    )


def test_late_codes_keep_their_life_and_late_slots_the_hour_they_come_in(sellers):
    rows = answers(sellers, ASKED + pd.Timedelta("90min"))
    found = committed(rows, sellers)
    plan, direct = found.plan, sellers.direct[sellers.offer_product]
    assert direct.any()
    assert not direct.all()
    starts = epoch(pd.DatetimeIndex([ASKED]))[0] + 1.5 * HOUR
    assert (plan.available_from == starts).all()
    assert (plan.available_to[direct] == starts + HOUR / 2).all()
    assert (plan.available_to[~direct] == starts + HOUR).all()
    assert (plan.available_to - plan.available_from <= DAY).all()
    assert found.money == pytest.approx(7.5 * len(rows))
    assert found.lines["reason"].str.contains("5 of 9 asked for, 90 minutes late").all()
    assert found.lines["available_to"].dt.tz is not None


def test_what_comes_before_it_had_to_be_ordered_is_ordered_then(sellers):
    found = committed(answers(sellers, ASKED - pd.Timedelta("2h")), sellers)
    lines, plan = found.lines, found.plan
    assert (lines["order_by"] == lines["available_from"]).all()
    assert (plan.order_by == plan.available_from).all()
    direct = sellers.direct[sellers.offer_product]
    assert (plan.available_to - plan.available_from == HOUR).all()
    assert (clock_hours(plan.available_from, TZ)[direct] == plan.available_from[direct]).all()
    assert lines["reason"].str.contains("120 minutes early").all()


@pytest.mark.parametrize(
    ("minutes", "units", "closed"),
    [
        (0, 9, "none"),
        (30, 9, "none"),  # later in the same hour
        (0, 8, "all"),
        (0, 0, "all"),
        (75, 9, "all"),
        (-120, 9, "direct"),  # codes that come early serve the hour, too
    ],
)
def test_an_hour_for_which_a_supplier_has_no_more_is_closed(sellers, minutes, units, closed):
    rows = answers(sellers, ASKED + pd.Timedelta(minutes=minutes), units)
    gone = rows.head(1).assign(supplier_id="gone", units=0)
    offers, hours = answered_short(pd.concat([rows, gone, rows], ignore_index=True), sellers)
    direct = sellers.direct[sellers.offer_product]
    wanted = {"none": [], "all": np.arange(len(rows)), "direct": np.flatnonzero(direct)}[closed]
    assert list(offers) == list(wanted)
    assert (hours == epoch(pd.DatetimeIndex([ASKED]))[0]).all()


def test_a_slot_within_its_hour_closes_that_hour(sellers):
    late = ASKED + pd.Timedelta("15min")
    rows = answers(sellers, late, 0, late)
    _, hours = answered_short(rows, sellers)
    assert (hours == epoch(pd.DatetimeIndex([ASKED]))[0]).all()
    assert len(hours) == len(rows)


def test_an_answer_bears_on_a_plan_until_its_hour_is_over_and_its_units_have_come(sellers):
    one = answers(sellers, ASKED).head(1)
    when = pd.Timedelta(minutes=90)
    rows = pd.concat(
        [
            one.assign(units=9),
            one.assign(units=0),
            one.assign(units=9, available_from=(ASKED + when).isoformat()),
            one.assign(units=9, available_from=(ASKED - when).isoformat()),
        ]
    )

    def kept(minutes: int) -> list[int]:
        found = bearing(rows.assign(line_id=range(4)), ASKED + pd.Timedelta(minutes=minutes))
        return list(found["line_id"])

    assert kept(0) == [0, 1, 2, 3]
    assert kept(1) == kept(59) == [1, 2, 3]
    assert kept(60) == kept(90) == [2]
    assert kept(91) == []
    assert on_order(rows, ASKED)["units"].tolist() == [9, 9]
    assert bearing(NOBODY, ASKED).empty
    assert [len(part) for part in answered_short(NOBODY, sellers)] == [0, 0]


def test_a_line_whose_offer_is_gone_is_told_and_left_out_but_its_money(sample):
    tables = read_workspace(load_workspace(sample), pd.Timestamp(AS_OF, tz=TZ)).tables
    at = AS_OF + "T10:00:00+08:00"
    row = ["a" * 32, "gone", "L1", "P1", at, at, at, AS_OF + "T11:00:00+08:00", 2, 2, 1.0]
    listed = ["a" * 32, tables["suppliers"]["supplier_id"].iloc[1], *row[2:-3], 5, 5, 1.0]
    listed[3] = "gone"
    sellers = market(tables, TZ)
    found = committed(pd.DataFrame([row, listed], columns=NOBODY.columns), sellers)
    assert len(found.plan) == 0
    assert found.lines.empty
    assert found.unlisted.tolist() == [0, 5, *[0] * (len(sellers.supplier_ids) - 2)]
    assert found.stray == 2.0
    assert found.money == 7.0
    assert "names an offer that is not listed any more" in found.notes[0]


def test_a_line_that_its_suppliers_licence_does_not_outlast_is_told(sample):
    tables = read_workspace(load_workspace(sample), pd.Timestamp(AS_OF, tz=TZ)).tables
    offer = tables["offers"].iloc[0]
    suppliers = tables["suppliers"].assign(licence_valid_until=pd.Timestamp(AS_OF))
    at = (pd.Timestamp(AS_OF, tz=TZ) + pd.Timedelta("1D")).isoformat()
    row = ["a" * 32, offer["supplier_id"], "L1", offer["product_id"], at, at, at, at, 2, 2, 1.0]
    answered = pd.DataFrame([row], columns=NOBODY.columns)
    [_, told] = committed(answered, market(tables | {"suppliers": suppliers}, TZ)).notes
    assert "nothing of it will arrive" in told
    assert len(committed(answered, market(tables, TZ)).notes) == 1


def test_the_ledger_in_postgresql_takes_answers_too(fresh, without_thinking, postgres, tmp_path):
    config = (fresh / "peakahead.toml").read_text(encoding="utf-8")
    if "[store]" in config:
        set_config(fresh, (r"^url = .*$", f'url = "{postgres}"'))
    else:
        (fresh / "peakahead.toml").write_text(f'{config}\n[store]\nurl = "{postgres}"\n')
    assert call("run", "-w", fresh, "--as-of", AS_OF).code == 0
    path = confirmed(sent(fresh), tmp_path / "back.csv")
    assert call("ack", "-w", fresh, path).said["status"] == acks.ACCEPTED
    assert call("ack", "-w", fresh, path).said["status"] == acks.ALREADY
    assert len(known(fresh)) == len(rows_of(path))
    engine = sa.create_engine(postgres)
    metadata.drop_all(engine)
    engine.dispose()
