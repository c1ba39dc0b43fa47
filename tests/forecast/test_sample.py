import os

import pytest

from forecast.models.sample import workers


@pytest.mark.parametrize(("cores", "wanted"), [(1, 1), (3, 3), (64, 4), (None, 1)])
def test_threads_are_counted_where_a_process_is_bound_to_no_cores(monkeypatch, cores, wanted):
    """As on macOS."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert workers() == wanted
