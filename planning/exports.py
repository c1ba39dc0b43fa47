"""Coordination files: what each supplier is asked to hold ready, and by when."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xlsxwriter
from xlsxwriter.utility import xl_rowcol_to_cell

from planning.requests import request_id
from planning.store import write_json

COLUMNS = (
    "line_id",
    "product_id",
    "product_name",
    "order_by",
    "available_from",
    "available_to",
    "units",
    "confirmed_units",
    "confirmed_from",
    "unit_cost",
    "amount",
    "request",
)
ANSWERS = ("confirmed_units", "confirmed_from")  # columns that the supplier fills in
HEADINGS = {
    "en": (
        "Line",
        "Product",
        "Name",
        "Order by",
        "Ready from",
        "Ready until",
        "Units",
        "Confirmed units",
        "Confirmed from",
        "Unit cost",
        "Amount",
        "Request",
    ),
    "zh": (
        "行号",
        "商品编号",
        "商品名称",
        "最晚下单时间",
        "可用开始时间",
        "可用结束时间",
        "数量",
        "确认数量",
        "实际可用时间",
        "单价",
        "金额",
        "请求号",
    ),
}
NAMES = {  # what a column is called in some language -> what we call it
    shown: name for told in HEADINGS.values() for shown, name in zip(told, COLUMNS, strict=True)
} | {  # as requests sent out by earlier versions have it
    "最迟下单": "order_by",
    "可用起始": "available_from",
    "可用截止": "available_to",
    "确认可用起始": "confirmed_from",
}
TITLES = {"en": "Pre-allocation request", "zh": "备货确认单"}
HOW_TO = {
    "en": "Please fill in the yellow cells and send the file back: the units that you confirm (0 = "
    "none), and from when if that is not Ready from.",
    "zh": "请填写黄色单元格并回传：确认数量（0 表示无货）；"
    "若可用开始时间有变，请填写实际可用时间。",
}
BINDING = {
    "en": "What you confirm binds both sides: you hold these units ready, we buy them at the unit "
    "cost shown. Please answer each line before its Order by; the first is due by {first}.",
    "zh": "一经确认，对双方均有约束：贵方按确认数量备货，我方按所列单价采购。"
    "请在各行的最晚下单时间之前回复，最早一行为 {first}。",
}
ABOUT = {
    "en": "Supplier {supplier_id} · as of {as_of} · {lines:,} lines, {units:,} units, amount "
    "{amount:,.2f} · request id {request} (your answer is known by it; please leave it as it is)",
    "zh": "供应商编号 {supplier_id} · 截至 {as_of} · 共 {lines:,} 行，数量合计 {units:,}，"
    "金额合计 {amount:,.2f} · 请求号 {request}（用于识别贵方的回复，请勿改动）",
}
ASKED_UNITS = {  # what a cell says when it is chosen, and when it is filled in wrongly
    "en": ("Confirmed units", "A whole number from 0 (none) to the units asked for."),
    "zh": ("确认数量", "请填写 0（无货）至所需数量之间的整数。"),
}
ASKED_FROM = {
    "en": ("Confirmed from", "Only if not Ready from: day and time, such as {example}."),
    "zh": ("实际可用时间", "仅当与可用开始时间不同时填写日期和时间，例如 {example}。"),
}
ROW_HEIGHT = 15  # points
WIDTHS = (10, 14, 36, 23, 23, 23, 8, 12, 23, 11, 13, 10)
PLACES = 6  # decimals of amounts
PRINTED = len(COLUMNS) - 1  # the request stands in the second row, too
HEAD = 3  # row of the headings, from 0
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell of a CSV that begins so is run by Excel


def with_text_stamps(rows: pd.DataFrame) -> pd.DataFrame:
    """Aware timestamp columns as ISO 8601 text with their offset."""
    stamps = rows.select_dtypes("datetimetz")
    return rows.assign(**{str(name): [at.isoformat() for at in stamps[name]] for name in stamps})


def csv_text(rows: pd.DataFrame) -> str:
    """Rows as CSV, stamps in ISO 8601 with their offset, figures unrounded."""
    return with_text_stamps(rows).to_csv(index=False, lineterminator="\n")


def _write_csv(path: Path, lines: pd.DataFrame, _: dict[str, str], **__: Any) -> None:
    names = lines["product_name"]
    risky = names.str.startswith(FORMULA)
    safe = lines.assign(product_name=names.where(~risky, "'" + names))  # ids stay exact
    path.write_text(csv_text(safe), encoding="utf-8-sig")  # Excel takes it for GBK without


def _write_json(
    path: Path, lines: pd.DataFrame, supplier: dict[str, str], as_of: pd.Timestamp, **_: Any
) -> None:
    open_lines = with_text_stamps(lines.drop(columns="request")).to_dict("records")
    content = {
        **supplier,
        "request": str(lines["request"].iloc[0]),
        "as_of": as_of.isoformat(),
        "units": int(lines["units"].sum()),
        "amount": round(float(lines["amount"].sum()), PLACES),
        "lines": [line | dict.fromkeys(ANSWERS) for line in open_lines],
    }
    write_json(path, content)


def _write_xlsx(
    path: Path, lines: pd.DataFrame, supplier: dict[str, str], as_of: pd.Timestamp, language: str
) -> None:
    book = xlsxwriter.Workbook(
        path, {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    book.set_properties({"created": as_of.tz_convert("UTC").tz_localize(None).to_pydatetime()})
    sheet = book.add_worksheet(TITLES[language][:31])
    bold = book.add_format({"bold": True, "font_size": 14})
    sheet.write_string(0, 0, f"{TITLES[language]} · {supplier['name']}", bold)
    sheet.write_string(1, 0, _about(lines, supplier["supplier_id"], as_of, language))
    _how_to(book, sheet, lines, language)
    _fill_in(book, sheet, lines, HEADINGS[language])
    _check_answers(sheet, lines, as_of, language)
    sheet.freeze_panes(HEAD + 1, 0)
    sheet.autofilter(HEAD, 0, HEAD + len(lines), len(COLUMNS) - 1)
    _for_paper(sheet, HEAD + len(lines))
    book.close()


def _about(lines: pd.DataFrame, supplier_id: str, as_of: pd.Timestamp, language: str) -> str:
    """Who is asked, when, for how much in all, and what the request is known by."""
    return ABOUT[language].format(
        supplier_id=supplier_id,
        as_of=_text(as_of),
        request=lines["request"].iloc[0],
        lines=len(lines),
        units=int(lines["units"].sum()),
        amount=float(lines["amount"].sum()),
    )


def _how_to(
    book: xlsxwriter.Workbook,
    sheet: xlsxwriter.worksheet.Worksheet,
    lines: pd.DataFrame,
    language: str,
) -> None:
    """What to fill in, what that commits to and by when, across the columns that are printed."""
    first = _text(lines["order_by"].min())
    told = " ".join([HOW_TO[language], BINDING[language].format(first=first)])
    form = book.add_format({"text_wrap": True, "valign": "top"})
    sheet.merge_range(HEAD - 1, 0, HEAD - 1, PRINTED - 1, told, form)
    sheet.set_row(HEAD - 1, ROW_HEIGHT * _rows_of(told, sum(WIDTHS[:PRINTED])))


def _check_answers(
    sheet: xlsxwriter.worksheet.Worksheet,
    lines: pd.DataFrame,
    as_of: pd.Timestamp,
    language: str,
) -> None:
    """Have the yellow cells take 0 to the units asked for, and a day and time from as-of on."""
    top, bottom = HEAD + 1, HEAD + len(lines)
    units, few, since = (COLUMNS.index(name) for name in ("units", *ANSWERS))
    title, told = ASKED_UNITS[language]
    whole = {"validate": "integer", "criteria": "between", "minimum": 0}
    whole |= {"maximum": f"={xl_rowcol_to_cell(top, units, col_abs=True)}"}
    sheet.data_validation(top, few, bottom, few, whole | _spoken(title, told))
    title, told = ASKED_FROM[language]
    told = told.format(example=f"{lines['available_from'].min():%Y-%m-%d %H:%M}")
    naive = as_of.tz_localize(None).to_pydatetime()
    stamp = {"validate": "date", "criteria": ">=", "value": naive}
    stamp |= {"error_type": "warning"}  # a time as text, with its offset, is understood, too
    sheet.data_validation(top, since, bottom, since, stamp | _spoken(title, told))


def _spoken(title: str, told: str) -> dict[str, str]:
    return {
        "input_title": title,
        "input_message": told,
        "error_title": title,
        "error_message": told,
    }


def _fill_in(
    book: xlsxwriter.Workbook,
    sheet: xlsxwriter.worksheet.Worksheet,
    lines: pd.DataFrame,
    headings: Sequence[str],
) -> None:
    """Headings and lines, each column as its name asks."""
    cell = {"border": 1, "border_color": "#BFBFBF", "valign": "top"}
    plain = book.add_format(cell)
    wrapped = book.add_format(cell | {"text_wrap": True})
    head = book.add_format(cell | {"text_wrap": True, "bold": True, "bg_color": "#EDEDED"})
    money = {
        "unit_cost": book.add_format(cell | {"num_format": "#,##0.00####"}),
        "amount": book.add_format(cell | {"num_format": "#,##0.00"}),
    }
    yellow = cell | {"bg_color": "#FFF2CC"}
    wanted = {
        "confirmed_units": book.add_format(yellow | {"num_format": "0"}),
        "confirmed_from": book.add_format(yellow | {"num_format": "yyyy-mm-dd hh:mm"}),
    }
    faint = book.add_format({"font_size": 8, "font_color": "#808080", "valign": "top"})
    for column, name in enumerate(COLUMNS):
        sheet.write_string(HEAD, column, headings[column], head)
        sheet.set_column(column, column, WIDTHS[column])
        if name == "units":
            sheet.write_column(HEAD + 1, column, lines[name], plain)
        elif name in money:
            sheet.write_column(HEAD + 1, column, lines[name], money[name])
        elif name in wanted:
            sheet.write_column(HEAD + 1, column, [""] * len(lines), wanted[name])
        else:
            form = {"product_name": wrapped, "request": faint}.get(name, plain)
            for row, value in enumerate(lines[name], start=HEAD + 1):
                sheet.write_string(row, column, _text(value), form)
    sheet.set_row(HEAD, 2 * ROW_HEIGHT)
    for row, name in enumerate(lines["product_name"], start=HEAD + 1):
        # Not every program makes room by itself for a text that is wrapped.
        sheet.set_row(row, ROW_HEIGHT * _rows_of(name, WIDTHS[COLUMNS.index("product_name")]))


def _rows_of(text: str, width: int) -> int:
    """Lines that a text takes in a cell so wide; an ideograph is as wide as two letters."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return -(-(len(text) + wide) // width) if text else 1


def _for_paper(sheet: xlsxwriter.worksheet.Worksheet, last_row: int) -> None:
    """A4, as wide as the page, headings on each; the last column is for the way back only."""
    sheet.set_paper(9)
    sheet.set_landscape()
    sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
    sheet.fit_to_pages(1, 0)
    sheet.print_area(0, 0, last_row, PRINTED - 1)
    sheet.repeat_rows(HEAD)
    sheet.set_footer("&C&P / &N")


def _text(value: object) -> str:
    if not isinstance(value, pd.Timestamp):
        return str(value)
    whole = not (value.second or value.microsecond)
    return value.isoformat(sep=" ", timespec="minutes" if whole else "auto")


WRITERS: dict[str, Callable[..., None]] = {
    "xlsx": _write_xlsx,
    "csv": _write_csv,
    "json": _write_json,
}


def write_exports(
    folder: Path,
    lines: pd.DataFrame,
    *,
    products: pd.DataFrame,
    suppliers: pd.DataFrame,
    as_of: pd.Timestamp,
    formats: Sequence[str],
    language: str,
) -> None:
    """One folder a supplier with lines, one file a format: exports/<supplier_id>/request.*."""
    names = products.set_index("product_id")["name"]
    known = suppliers.set_index("supplier_id")["name"]
    rows = lines.assign(
        product_name=names.reindex(lines["product_id"]).fillna("").to_numpy(),
        amount=(lines["units"] * lines["unit_cost"]).round(PLACES),
        **dict.fromkeys(ANSWERS, ""),
    )
    for supplier_id, own in rows.groupby("supplier_id", sort=True):
        own = own.assign(request=request_id(str(supplier_id), with_text_stamps(own)))
        target = folder / str(supplier_id)
        target.mkdir(parents=True)
        supplier = {"supplier_id": str(supplier_id), "name": str(known[supplier_id])}
        for name in formats:
            WRITERS[name](
                target / f"request.{name}",
                own[list(COLUMNS)],
                supplier,
                as_of=as_of,
                language=language,
            )
