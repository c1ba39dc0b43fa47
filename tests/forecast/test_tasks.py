import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forecast.demand import Panel
from forecast.tasks import _lump, _positive, prepare
from tests.forecast import market

UNITS = st.sampled_from([np.nan, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 7.0, 2.5])
COUNTS = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=UNITS)
FLOATS = st.one_of(st.just(np.nan), st.floats(-100, 100, width=32))
SIGNED = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=FLOATS)


@pytest.mark.filterwarnings("error")
@given(COUNTS)
def test_a_usual_order_is_the_median_sale_of_what_is_often_silent_and_whole(y):
    panel = Panel(ids=np.arange(len(y)).astype(object), ds=market.hours(y.shape[1]), y=y)
    found = _lump(panel, y)
    for row, lump in zip(y, found, strict=True):
        seen, sold = row[np.isfinite(row)], row[row > 0]
        rare = (seen == 0).sum() > 0.3 * len(seen)
        size = np.median(sold) if len(sold) else 1.0
        assert lump == (size if rare and (seen % 1 == 0).all() else 0.0)


@pytest.mark.filterwarnings("error")
@given(SIGNED)
def test_series_below_zero_are_moved_above_it_and_no_other(y):
    moved, offset = _positive(y)
    for row, up, by in zip(y, moved, offset, strict=True):
        seen = row[np.isfinite(row)]
        if not len(seen) or seen.min() >= 0:
            assert by == 0
            np.testing.assert_array_equal(up, row)
        else:
            assert by == pytest.approx(seen.min() - 2 * seen.std(), rel=1e-5, abs=1e-4)
            np.testing.assert_allclose(up, row - by, atol=1e-4)
            assert up[np.isfinite(up)].min() >= -1e-4


def test_a_series_without_any_value_changes_no_other():
    rng = np.random.default_rng(0)
    y = np.stack([rng.normal(-1, 3, 24 * 20), rng.poisson(0.3, 24 * 20)]).astype(np.float32)
    empty = np.full((1, y.shape[1]), np.nan, dtype=np.float32)
    alone, beside = (
        prepare(Panel(ids=np.arange(len(z)).astype(object), ds=market.hours(z.shape[1]), y=z), 24)
        for z in (y, np.concatenate([y, empty]))
    )
    for name in ("y", "lump"):
        one, two = (getattr(each.task, name) for each in (alone, beside))
        assert one.tobytes() == two[:2].tobytes()
    assert alone.offset.tobytes() == beside.offset[:2].tobytes()
