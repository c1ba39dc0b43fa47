"""Coordination files: what each supplier is asked to hold ready, and by when."""

from __future__ import annotations

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
    "reason",
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
        "Why",
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
        "原因",
        "请求号",
    ),
}
TITLES = {"en": "Pre-allocation request", "zh": "预配货请求"}
HOW_TO = {
    "en": "Please fill in the yellow cells and send the file back: the units that you confirm (0 = "
    "none), and from when if that is not Ready from.",
    "zh": "请填写黄色单元格并回传：确认数量（0 表示无货）；"
    "若可用起始时间有变，请填写确认可用起始。",
}
WIDTHS = (10, 16, 34, 26, 26, 26, 10, 16, 26, 12, 12, 70, 36)


def with_text_stamps(rows: pd.DataFrame) -> pd.DataFrame:
    """Aware timestamp columns as ISO 8601 text with their offset."""
    stamps = rows.select_dtypes("datetimetz")
    return rows.assign(**{str(name): [at.isoformat() for at in stamps[name]] for name in stamps})


def csv_text(rows: pd.DataFrame) -> str:
    """Rows as CSV, stamps in ISO 8601 with their offset, figures unrounded."""
    return with_text_stamps(rows).to_csv(index=False, lineterminator="\n")


def _write_csv(path: Path, lines: pd.DataFrame, _: dict[str, str], **__: Any) -> None:
    path.write_text(csv_text(lines), encoding="utf-8")


def _write_json(
    path: Path, lines: pd.DataFrame, supplier: dict[str, str], as_of: pd.Timestamp, **_: Any
) -> None:
    open_lines = with_text_stamps(lines.drop(columns="request")).to_dict("records")
    content = {
        **supplier,
        "request": str(lines["request"].iloc[0]),
        "as_of": as_of.isoformat(),
        "units": int(lines["units"].sum()),
        "amount": float(lines["amount"].sum()),
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
    bold, head = book.add_format({"bold": True, "font_size": 14}), book.add_format({"bold": True})
    money = book.add_format({"num_format": "#,##0.00##"})
    wanted = book.add_format({"bg_color": "#FFF2CC", "border": 1, "border_color": "#BFBFBF"})
    sheet = book.add_worksheet(TITLES[language][:31])
    sheet.write_string(0, 0, f"{TITLES[language]} · {supplier['name']}", bold)
    sheet.write_string(1, 0, f"{supplier['supplier_id']} · {as_of.isoformat()}")
    sheet.write_string(2, 0, HOW_TO[language])
    for column, heading in enumerate(HEADINGS[language]):
        sheet.write_string(3, column, heading, head)
        sheet.set_column(column, column, WIDTHS[column])
    for column, name in enumerate(COLUMNS):
        if name == "units":
            sheet.write_column(4, column, lines[name])
        elif name in ("unit_cost", "amount"):
            sheet.write_column(4, column, lines[name], money)
        elif name in ANSWERS:
            sheet.write_column(4, column, [""] * len(lines), wanted)
        else:
            for row, value in enumerate(lines[name], start=4):
                sheet.write_string(row, column, _text(value))
    sheet.freeze_panes(4, 0)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.autofilter(3, 0, 3 + len(lines), len(COLUMNS) - 1)
    book.close()


def _text(value: object) -> str:
    return value.isoformat(sep=" ") if isinstance(value, pd.Timestamp) else str(value)


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
        amount=lines["units"] * lines["unit_cost"],
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
