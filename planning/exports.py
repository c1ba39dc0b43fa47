"""Coordination files: what each supplier is asked to hold ready, and by when."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xlsxwriter

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
        "最迟下单",
        "可用起始",
        "可用截止",
        "数量",
        "确认数量",
        "确认可用起始",
        "单价",
        "金额",
        "请求号",
    ),
}
NAMES = {  # what a column is called in some language -> what we call it
    shown: name for told in HEADINGS.values() for shown, name in zip(told, COLUMNS, strict=True)
}
TITLES = {"en": "Pre-allocation request", "zh": "预配货请求"}
HOW_TO = {
    "en": "Please fill in the yellow cells and send the file back: the units that you confirm (0 = "
    "none), and from when if that is not Ready from.",
    "zh": "请填写黄色单元格并回传：确认数量（0 表示无货）；"
    "若可用起始时间有变，请填写确认可用起始。",
}
ROW_HEIGHT = 15  # points
WIDTHS = (10, 14, 36, 23, 23, 23, 8, 12, 23, 11, 13, 10)
PLACES = 6  # decimals of amounts
PRINTED = len(COLUMNS) - 1  # the request stands in the second row, too
HEAD = 3  # row of the headings, from 0


def with_text_stamps(rows: pd.DataFrame) -> pd.DataFrame:
    """Aware timestamp columns as ISO 8601 text with their offset."""
    stamps = rows.select_dtypes("datetimetz")
    return rows.assign(**{str(name): [at.isoformat() for at in stamps[name]] for name in stamps})


def csv_text(rows: pd.DataFrame) -> str:
    """Rows as CSV, stamps in ISO 8601 with their offset, figures unrounded."""
    return with_text_stamps(rows).to_csv(index=False, lineterminator="\n")


def _write_csv(path: Path, lines: pd.DataFrame, _: dict[str, str], **__: Any) -> None:
    path.write_text(csv_text(lines), encoding="utf-8-sig")  # Excel takes it for GBK without


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
    asked = (supplier["supplier_id"], as_of.isoformat(), str(lines["request"].iloc[0]))
    sheet.write_string(1, 0, " · ".join(asked))
    sheet.write_string(2, 0, HOW_TO[language])
    _fill_in(book, sheet, lines, HEADINGS[language])
    sheet.freeze_panes(HEAD + 1, 0)
    sheet.autofilter(HEAD, 0, HEAD + len(lines), len(COLUMNS) - 1)
    _for_paper(sheet, HEAD + len(lines))
    book.close()


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
    money = book.add_format(cell | {"num_format": "#,##0.00####"})
    wanted = book.add_format(cell | {"bg_color": "#FFF2CC"})
    faint = book.add_format({"font_size": 8, "font_color": "#808080", "valign": "top"})
    for column, name in enumerate(COLUMNS):
        sheet.write_string(HEAD, column, headings[column], head)
        sheet.set_column(column, column, WIDTHS[column])
        if name == "units":
            sheet.write_column(HEAD + 1, column, lines[name], plain)
        elif name in ("unit_cost", "amount"):
            sheet.write_column(HEAD + 1, column, lines[name], money)
        elif name in ANSWERS:
            sheet.write_column(HEAD + 1, column, [""] * len(lines), wanted)
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
