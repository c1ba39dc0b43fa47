"""The page on formats says what the schema does, and its worked mapping works."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from planning.schema import TABLES
from planning.tables import read_workspace
from planning.tables.check import cell_rules
from planning.tables.lines import FAULTS
from planning.workspace import load_workspace, parse_as_of

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_described_as_it_is(table):
    section = PAGE.split(f"**{table}**")[1].split("\n**")[0]
    for column in TABLES[table].columns:
        mark = "" if column.required else r"\?"
        assert re.search(rf"`{column.name}`{mark}[ ,].*\|", section), column.name
        for choice in column.choices:
            assert f"`{choice}`" in section


def test_every_rule_is_listed():
    rules = PAGE.split("| rule | of |")[1].split("**Notes**")[0]
    for text, _ in FAULTS.values():
        assert text in rules
    for table in TABLES.values():
        for rule in cell_rules(table, "UTC"):
            said = rule.text.replace(f"{rule.column} ", "", 1)
            start = " ".join(
                re.sub(r" (below|above|none of|not above|UTC)\b.*", "", said).split()[:4]
            )
            assert start in rules, rule.text


def test_the_worked_mapping_reads_the_worked_export(desk):
    export, config = re.findall(r"```(?:toml)?\n(.*?)```", PAGE, flags=re.DOTALL)[:2]
    desk.put("export/2026-09.csv.gz", gzip.compress(export.encode()))
    desk.put("products.csv", "product_id,name,category,fulfilment\nTOPUP-50,x,y,direct\n")
    desk.put("offers.csv", (desk.root / "offers.csv").read_text().replace("P1", "TOPUP-50"))
    desk.put("peakahead.toml", config.replace("[data]", "[data]\nmax_quarantine_share = 0.5"))
    workspace = load_workspace(desk.root)
    inputs = read_workspace(workspace, parse_as_of("2026-10-01", workspace.timezone, None))
    order, other = inputs.orders.to_pylist()
    assert (order["status"], other["status"]) == ("delivered", "refunded")
    assert (order["order_id"], order["product_id"], order["unit_price"]) == (
        "1000317",
        "TOPUP-50",
        49.8,
    )
    assert order["delivered_at"].isoformat() == "2026-09-30T15:59:20+00:00"
    assert "orders: unused columns 'channel'" in inputs.notes
