import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from forecast.runs import runs


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9)))
def test_runs_hold_every_true_once_and_never_touch(where):
    row, start, stop = runs(where)
    held = np.zeros(where.shape, dtype=int)
    for r, a, b in zip(row, start, stop, strict=True):
        held[r, a:b] += 1
        assert a < b
        assert a == 0 or not where[r, a - 1]
        assert b == where.shape[1] or not where[r, b]
    np.testing.assert_array_equal(held, where)
    assert sorted(zip(row, start, strict=True)) == list(zip(row, start, strict=True))
