"""A small sound workspace that a test spoils in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from planning.tables import Inputs, read_workspace
from planning.workspace import Workspace, load_workspace, parse_as_of

TOML = """\
[data]
timezone = "{tz}"
orders = "{orders}"
products = "products.csv"
suppliers = "suppliers.csv"
offers = "offers.csv"
max_quarantine_share = {share}
{data}
[planning]
working_capital = 1000
"""
SOUND = {
    "products": (
        "product_id,name,category,fulfilment\n"
        "P1,Top-up 50,top-up,direct\nP2,Game card,game,code\nNA,Membership,video,code\n"
    ),
    "suppliers": (
        "supplier_id,name,licence_no,licence_valid_until,spot_channels\n"
        "S1,First,B2-1,2027-12-31,4\nS2,Second,,,2\n"
    ),
    "offers": (
        "supplier_id,product_id,unit_cost,spot_unit_cost,min_order_qty,pack_size,"
        "lead_time_minutes,max_units,max_units_per_hour,fill_rate,spot_minutes,"
        "loss_rate_if_unused\n"
        "S1,P1,9.5,10,10,5,60,,,0.95,4,0.1\nS2,P2,8,9,1,1,30,100,50,1,3,0\n"
    ),
}
HEADER = "order_id,product_id,ordered_at,quantity,status"
SOUND_ORDERS = [f"O{n},P1,2026-05-01T08:{n:02d}:00,2,delivered" for n in range(1, 41)]


@dataclass
class Desk:
    """Writes a workspace file by file and reads it."""

    root: Path
    tz: str = "Asia/Shanghai"
    orders_source: str = "orders.csv"
    share: float = 0.1
    data: str = ""

    def sound(self) -> None:
        """Write every required table without a fault."""
        self.root.mkdir(exist_ok=True)
        for table, content in SOUND.items():
            self.put(f"{table}.csv", content)
        self.orders()

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def orders(self, *rows: str, header: str = HEADER) -> int:
        """Write sound orders, then `rows`; returns the physical line of the first of `rows`."""
        self.put("orders.csv", "\n".join([header, *SOUND_ORDERS, *rows]) + "\n")
        return len(SOUND_ORDERS) + 2

    def add(self, table: str, *rows: str) -> int:
        """Append rows to a sound table; returns the physical line of the first."""
        self.put(f"{table}.csv", SOUND[table] + "".join(f"{row}\n" for row in rows))
        return SOUND[table].count("\n") + 1

    def workspace(self) -> Workspace:
        text = TOML.format(tz=self.tz, orders=self.orders_source, share=self.share, data=self.data)
        self.put("peakahead.toml", text)
        return load_workspace(self.root)

    def read(self, as_of: str = "2026-06-01") -> Inputs:
        workspace = self.workspace()
        now = pd.Timestamp("2026-01-01", tz="UTC")
        inputs = read_workspace(workspace, parse_as_of(as_of, self.tz, now))
        for counts in inputs.counts.values():
            parts = (counts.accepted, counts.duplicates, counts.quarantined, counts.after_as_of)
            assert counts.read == sum(parts)
        return inputs


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(root=tmp_path)
    desk.sound()
    return desk
