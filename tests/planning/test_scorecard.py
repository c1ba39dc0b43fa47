"""The scorecard says what a slow count over the same orders says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.cli import USAGE
from planning.committed import NOBODY
from planning.scorecard import RECENT_SHARE, remarks, scorecard
from tests.planning.workspaces import AS_OF, call

TZ = "Asia/Shanghai"
NOW = pd.Timestamp("2026-03-30", tz=TZ)
DAYS = 8
SUPPLIERS = pd.DataFrame(
    {
        "supplier_id": ["S1", "S2", "S3", "none"],
        "name": ["A", "B", "C", "D"],
        "licence_no": ["L", "L", None, "L"],
        "licence_valid_until": pd.to_datetime(["2026-03-30", "2026-03-20", "2027-01-01", None]),
    }
)

orders = st.lists(
    st.tuples(
        st.sampled_from(["S1", "S2", "S3", None]),
        st.sampled_from(["P1", "P2"]),
        st.integers(0, 12 * 24),  # hours before as-of
        st.one_of(st.none(), st.floats(0, 60)),  # minutes until delivery
        st.sampled_from(["delivered", "failed", "cancelled", "refunded", "pending"]),
        st.integers(1, 5),
        st.one_of(st.none(), st.floats(0.5, 50)),
    ),
    max_size=60,
)


def log_of(rows) -> pa.Table:
    at = [NOW - pd.Timedelta(hours=hours + 0.5) for _, _, hours, *_ in rows]
    done = [
        None if row[3] is None else when + pd.Timedelta(minutes=row[3])
        for row, when in zip(rows, at, strict=True)
    ]
    stamp = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "supplier_id": pa.array([row[0] for row in rows], pa.string()),
            "product_id": pa.array([row[1] for row in rows], pa.string()),
            "ordered_at": pa.array(at, stamp),
            "delivered_at": pa.array(done, stamp),
            "status": pa.array([row[4] for row in rows], pa.string()),
            "quantity": pa.array([row[5] for row in rows], pa.int64()),
            "unit_price": pa.array([row[6] for row in rows], pa.float64()),
        }
    )


def card_of(rows, answered=NOBODY) -> pd.DataFrame:
    card = scorecard(log_of(rows), SUPPLIERS, answered, as_of=NOW, days=DAYS, target_minutes=5.0)
    return card.set_index("supplier_id")


def ratio(above, below):
    return above / below if below else None


def drift(mine) -> float | None:
    now = old = 0.0
    for product in ("P1", "P2"):
        priced = [row for row in mine if row[1] == product and row[6] is not None]
        late = [row for row in priced if row[2] + 0.5 <= DAYS * RECENT_SHARE * 24]
        early = [row for row in priced if row not in late]
        if late and early:
            price = sum(r[5] * r[6] for r in early) / sum(r[5] for r in early)
            now += sum(r[5] * r[6] for r in late)
            old += price * sum(r[5] for r in late)
    return now / old - 1 if old else None


@settings(deadline=None, max_examples=60)
@given(rows=orders)
def test_every_figure_is_a_count_over_the_orders(rows):
    card = card_of(rows)
    assert list(card.index) == list(SUPPLIERS["supplier_id"])
    for supplier, told in card.iterrows():
        mine = [
            row
            for row in rows
            if row[0] == supplier and row[4] != "cancelled" and row[2] + 0.5 <= DAYS * 24
        ]
        failed = [row for row in mine if row[4] == "failed"]
        minutes = [
            round(row[3] * 6e7) / 6e7 for row in mine if row[4] != "failed" and row[3] is not None
        ]
        ended = [row for row in mine if row[4] != "pending"]
        on_time = sum(took <= 5 for took in minutes)
        wanted = {
            "orders": len(mine),
            "on_time_share": ratio(on_time, len(minutes) + len(failed)),
            "p50_minutes": np.quantile(minutes, 0.5) if minutes else None,
            "p95_minutes": np.quantile(minutes, 0.95) if minutes else None,
            "failure_rate": ratio(len(failed), len(ended)),
            "price_drift": drift(mine),
        }
        for name, value in wanted.items():
            if value is None:
                assert pd.isna(told[name])
            else:
                assert told[name] == pytest.approx(value, abs=1e-6)


def test_licences_are_counted_in_days_left_and_told_of():
    card = card_of([])
    assert list(card["licence_days_left"].fillna(-99)) == [0, -10, -99, -99]
    told = remarks(card.reset_index(), horizon=pd.Timedelta("72h"))
    assert [line.split()[0] for line in told] == ["no", "S1's", "S2's", "S3", "none"]
    assert "lapsed 10 days ago" in told[2]
    for left, words in ((1, "valid for 1 more day"), (2, "for 2 more days"), (-1, "1 day ago:")):
        near = card.assign(licence_days_left=left).reset_index()
        assert words in remarks(near, horizon=pd.Timedelta("72h"))[1] + ":"


def test_what_was_confirmed_of_what_was_asked_counts():
    answered = NOBODY.copy()
    answered["supplier_id"], answered["asked_units"], answered["units"] = (
        ["S1", "S1"],
        [30, 10],
        [30, 0],
    )
    answered["asked_from"] = answered["available_from"] = "2026-03-30T19:00:00+08:00"
    card = card_of([], answered)
    assert card["asked_units"]["S1"] == 40
    assert card["confirmed_share"]["S1"] == 0.75
    assert card["asked_units"]["S2"] == 0
    assert pd.isna(card["confirmed_share"]["S2"])


def test_units_that_come_early_or_late_count():
    answered = NOBODY.reindex(range(4)).assign(
        supplier_id=["S1", "S1", "S1", "S2"],
        asked_from="2026-03-30T19:00:00+08:00",
        available_from=[
            "2026-03-30T19:00:00+08:00",
            "2026-03-30T17:00:00+08:00",
            "2026-03-30T12:00:00Z",
            "2026-03-30T20:00:00+08:00",
        ],
        asked_units=10,
        units=[5, 4, 1, 0],
    )
    card = card_of([], answered)
    assert list(card.loc["S1", ["late_share", "early_share"]]) == [0.1, 0.4]
    assert card.loc[["S2", "S3"], ["late_share", "early_share"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ((None, "P1", 5, 3.0, "delivered", 1, None), "supplier_id"),
        (("S1", "P1", 5, None, "delivered", 1, None), "delivered_at"),
        (("S1", "P1", 5, 3.0, "delivered", 1, None), ""),
    ],
)
def test_what_the_orders_lack_is_told(row, told):
    found = remarks(card_of([row]).reset_index(), horizon=pd.Timedelta("72h"))
    lacking = [sentence for sentence in found if sentence.startswith("no order")]
    assert [told in sentence for sentence in lacking] == ([True] if told else [])


def test_the_command_tells_every_supplier_and_leaves_nothing_behind(sample):
    before = sorted(path.name for path in sample.iterdir())
    said = call("suppliers", "-w", sample, "--as-of", AS_OF, "--days", "7")
    assert said.code == 0, said.err
    assert said.said["days"] == 7
    ids = pd.read_csv(sample / "suppliers.csv", dtype=str)["supplier_id"]
    assert [row["supplier_id"] for row in said.said["suppliers"]] == list(ids)
    busy = max(said.said["suppliers"], key=lambda row: row["orders"])
    assert busy["orders"] > 100
    assert 0 < busy["on_time_share"] <= 1
    assert busy["p50_minutes"] <= busy["p95_minutes"]
    assert sorted(path.name for path in sample.iterdir()) == before


def test_days_must_be_days(sample):
    assert call("suppliers", "-w", sample, "--days", "0").code == USAGE
