import os
import time

import pytest

from forecast.models.chunks import in_chunks, workers


@pytest.mark.parametrize(("cores", "wanted"), [(1, 1), (3, 3), (64, 4), (None, 1)])
def test_threads_are_counted_where_a_process_is_bound_to_no_cores(monkeypatch, cores, wanted):
    """As on macOS."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert workers() == wanted


def test_chunks_come_back_in_their_order_whoever_is_done_first():
    def work(chunk):
        time.sleep(0.02 if chunk.start == 0 else 0)
        return chunk.start, chunk.stop

    assert in_chunks(work, 7, 3) == [(0, 3), (3, 6), (6, 7)]
    assert in_chunks(work, 0, 3) == []


def test_what_fails_in_a_chunk_fails():
    with pytest.raises(ZeroDivisionError):
        in_chunks(lambda chunk: 1 // (chunk.start - 3), 6, 3)
