"""Tables handed over in code: what a reader would have refused is refused here, not rounded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from planning.expectation import Aims
from planning.problem import market, orders, plan_of

TZ = "Asia/Shanghai"
NOW = pd.Timestamp("2026-05-01", tz=TZ)
TABLES = {
    "products": {
        "product_id": "p",
        "fulfilment": "code",
        "shelf_life_days": np.nan,
    },
    "suppliers": {
        "supplier_id": "s",
        "licence_no": "L1",
        "licence_valid_until": NOW.tz_localize(None),
        "max_share": np.nan,
        "credit_limit": np.nan,
        "spot_channels": 2,
    },
    "offers": {
        "supplier_id": "s",
        "product_id": "p",
        "unit_cost": 9.0,
        "spot_unit_cost": 10.0,
        "min_order_qty": 1,
        "pack_size": 1,
        "lead_time_minutes": 30.0,
        "max_units": np.nan,
        "max_units_per_hour": np.nan,
        "fill_rate": 0.9,
        "spot_minutes": 3.0,
        "loss_rate_if_unused": 0.1,
    },
    "price_tiers": {"supplier_id": "s", "product_id": "p", "min_qty": 10, "unit_cost": 8.0},
    "stock": {"supplier_id": "s", "product_id": "p", "units": 5, "expires_at": NOW},
}
ORDER = {"product_id": "p", "ordered_at": NOW, "quantity": 1, "status": "failed", "segment": None}
LINE = {
    "supplier_id": "s",
    "product_id": "p",
    "order_by": NOW,
    "available_from": NOW,
    "available_to": NOW,
    "units": 2,
    "unit_cost": 9.0,
}


def made(table="offers", **changes):
    rows = {name: dict(row) for name, row in TABLES.items()}
    rows[table] |= changes
    return market({name: pd.DataFrame([row]) for name, row in rows.items()}, TZ)


WRONG = {
    ("products", "fulfilment"): ("Direct", "fulfilment is 'Direct'; it is code or direct"),
    ("suppliers", "spot_channels"): (1.9, "spot_channels is 1.9; it must be whole, 1 or more"),
    ("offers", "pack_size"): (2.7, "pack_size is 2.7"),
    ("offers", "min_order_qty"): (0, "min_order_qty is 0"),
    ("offers", "unit_cost"): (-1.0, "unit_cost is -1; it must be 0 or more"),
    ("offers", "spot_unit_cost"): (np.inf, "spot_unit_cost is inf"),
    ("offers", "fill_rate"): (1.5, "fill_rate is 1.5; it must be from 1e-09 to 1"),
    ("offers", "spot_minutes"): (np.nan, "spot_minutes is nan"),
    ("offers", "loss_rate_if_unused"): (2.0, "loss_rate_if_unused is 2"),
    ("price_tiers", "unit_cost"): (np.nan, "unit_cost is nan"),
    ("price_tiers", "min_qty"): (np.inf, "min_qty is inf"),
    ("stock", "units"): (np.nan, "units is nan; it must be whole, 0 or more"),
}


@pytest.mark.parametrize("where", WRONG)
def test_a_market_is_not_made_of_what_cannot_be_meant(where):
    value, message = WRONG[where]
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        made(where[0], **{where[1]: value})


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, row in TABLES.items() for column in row]
)
def test_a_column_that_is_not_there_is_named(table, column):
    frames = {name: pd.DataFrame([row]) for name, row in TABLES.items()}
    with pytest.raises(ValueError, match=f"{table} lacks {column}; "):
        market(frames | {table: frames[table].drop(columns=column)}, TZ)


def test_a_table_that_is_not_there_is_named_and_so_are_columns_of_orders_and_lines():
    frames = {name: pd.DataFrame([row]) for name, row in TABLES.items() if name != "stock"}
    with pytest.raises(ValueError, match="stock lacks product_id, supplier_id, units, expires_at"):
        market(frames, TZ)
    with pytest.raises(ValueError, match="orders lacks segment"):
        orders(pd.DataFrame([ORDER]).drop(columns="segment"), made().product_ids)
    with pytest.raises(ValueError, match="plan lacks order_by, units"):
        plan_of(pd.DataFrame([LINE]).drop(columns=["order_by", "units"]), made())


@pytest.mark.parametrize("number", ["", "  ", None, pd.NA])
def test_a_blank_licence_number_is_none(number):
    assert made("suppliers", licence_no=number).qualified_until[0] == -np.inf
    assert made().qualified_until[0] == (NOW + pd.Timedelta("1D")).timestamp()


@pytest.mark.parametrize("units", [2.0**53, 2.0**63, np.inf])
def test_units_that_a_float_cannot_count_are_refused(units):
    with pytest.raises(ValueError, match="it must be whole, 0 or more, and below"):
        made("stock", units=units)


def test_orders_and_lines_are_whole():
    assert orders(pd.DataFrame([ORDER]), made().product_ids).quantity.tolist() == [1]
    for changes, message in (
        ({"quantity": 1.9}, r"quantity is 1\.9"),
        ({"quantity": -1}, "quantity is -1"),
        ({"ordered_at": pd.NaT}, "no ordered_at"),
    ):
        frame = pd.DataFrame([ORDER, ORDER | changes])
        with pytest.raises(ValueError, match=message):
            orders(frame, made().product_ids)
    with pytest.raises(ValueError, match=r"units is 2\.7"):
        plan_of(pd.DataFrame([LINE | {"units": 2.7}]), made())


@pytest.mark.parametrize(
    "wrong", [{"target_share": 95}, {"worst_share": 0}, {"segment_weight": {"vip": 2.0}}]
)
def test_aims_are_shares_and_segments_that_there_are(wrong):
    aims = {
        "target_minutes": 5,
        "target_share": 0.95,
        "delay_cost": 0.05,
        "capital_cost": 0.08,
        "segment_weight": {},
    }
    with pytest.raises(ValueError, match=r"share|segment"):
        Aims(**(aims | wrong))
