"""Many series a chunk at a time, to bound memory, and chunks side by side, to use all cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_chunks(work: Callable[[slice], T], n: int, size: int) -> list[T]:
    """What `work` makes of each chunk of `size` among n rows, in their order.

    Chunks are worked on in threads (numpy lets go of the interpreter), each as it would be alone.
    """
    with ThreadPoolExecutor(workers()) as pool:
        chunks = [slice(start, min(start + size, n)) for start in range(0, n, size)]
        return list(pool.map(work, chunks))


def workers() -> int:
    """Threads to use: one for each core that this process may use, four at most."""
    if hasattr(os, "sched_getaffinity"):  # macOS and Windows lack it
        return min(len(os.sched_getaffinity(0)), 4)
    return min(os.cpu_count() or 1, 4)
