"""Every line is told once: soon ones by their time, later ones in their supplier's sums."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from planning.agenda import IN_FULL, agenda, named

AS_OF = pd.Timestamp("2026-03-30", tz="Asia/Shanghai")
NAMES = pd.Series({"S1": "Anda", "P1": "Card", "P2": ""})
line = st.tuples(st.integers(0, 72 * 60), st.sampled_from(["S1", "S2"]), st.integers(1, 9))


@given(st.lists(line, min_size=1, max_size=30))
def test_soon_and_later_together_are_the_plan(drawn):
    minutes, suppliers, units = zip(*drawn, strict=True)
    lines = pd.DataFrame(
        {
            "order_by": AS_OF + pd.to_timedelta(minutes, unit="min"),
            "supplier_id": suppliers,
            "product_id": "P1",
            "units": units,
            "unit_cost": 2.5,
        }
    )
    told = agenda(lines, AS_OF, products=NAMES, suppliers=NAMES)
    assert (told.soon["order_by"] < AS_OF + IN_FULL).all()
    assert (told.later["order_first"] >= AS_OF + IN_FULL).all()
    keys = list(zip(told.soon["order_by"], told.soon["supplier"], strict=True))
    assert keys == sorted(keys)
    assert len(told.soon) + told.later["lines"].sum() == len(lines)
    for column, want in (("units", sum(units)), ("amount", 2.5 * sum(units))):
        assert told.soon[column].sum() + told.later[column].sum() == want


def test_an_id_has_its_name_beside_it_where_one_is_known():
    ids = pd.Series(["P1", "P2", "P3", ""])
    assert named(ids, NAMES).tolist() == ["P1 · Card", "P2", "P3", ""]
