"""Slow fits one after the other in a process of their own, so that one that hangs can be ended."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

Fit = Callable[[Any], Any]


@dataclass(frozen=True)
class Failure:
    """A fit without a result."""

    reason: str  # in words


def each(fit: Fit, jobs: Sequence[Any], *, seconds: float) -> list[Any]:
    """Results of `fit(job)`; a `Failure` where it failed, or had not ended after `seconds`.

    `fit` must be a function at the top of a module. The limit is for hangs: set it so far above the
    usual time that it never decides between fits that work.
    """
    context = multiprocessing.get_context("spawn")
    found: list[Any] = []
    while len(found) < len(jobs):
        mine, theirs = context.Pipe()
        worker = context.Process(target=_work, args=(theirs, fit), daemon=True)
        worker.start()
        theirs.close()
        try:
            _feed(mine, jobs, found, seconds)
        finally:
            worker.kill()
            worker.join()
            mine.close()
    return found


def _feed(pipe: Connection, jobs: Sequence[Any], found: list[Any], seconds: float) -> None:
    """Send jobs until all are done or one hangs or kills the worker."""
    if not pipe.poll(120.0):
        raise RuntimeError("the worker for slow models did not start within 120 s")
    pipe.recv()
    while len(found) < len(jobs):
        try:
            pipe.send(jobs[len(found)])
            done = pipe.poll(seconds)
            hung = Failure(f"hung for more than {seconds:g} s")
            found.append(pipe.recv() if done else hung)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            found.append(Failure("its process died"))
            return
        if not done:
            return


def _work(pipe: Connection, fit: Fit) -> None:
    pipe.send("ready")
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(fit(job))
        except Exception as failure:  # whatever a library throws, its series falls back
            pipe.send(Failure(f"failed with {type(failure).__name__}"))
