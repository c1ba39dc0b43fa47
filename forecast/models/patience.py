"""Slow fits one after the other in a process of their own, so that one that hangs can be ended."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

Fit = Callable[[Any], Any]
_START = 120.0  # seconds that a worker has to begin
# Not `multiprocessing.Process`: its workers first run the user's script again.
_WORKER = "import sys; from forecast.models.patience import work; work(int(sys.argv[1]))"


@dataclass(frozen=True)
class Failure:
    """A fit without a result."""

    reason: str  # in words


def each(fit: Fit, jobs: Sequence[Any], *, seconds: float) -> list[Any]:
    """Results of `fit(job)`; a `Failure` where it failed, or had not ended after `seconds`.

    `fit` must be a function at the top of a module. The limit is for hangs: set it so far above the
    usual time that it never decides between fits that work.
    """
    found: list[Any] = []
    while len(found) < len(jobs):
        mine, theirs = multiprocessing.Pipe()
        worker = subprocess.Popen(  # noqa: S603 our own interpreter, our own code
            [sys.executable, "-P", "-c", _WORKER, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        theirs.close()
        try:
            _begin(mine, fit)
            _feed(mine, jobs, found, seconds)
        finally:
            worker.kill()
            worker.wait()
            mine.close()
    return found


def _begin(pipe: Connection, fit: Fit) -> None:
    """Tell the worker what to do, and wait until it is ready."""
    try:
        pipe.send(fit)
        if not pipe.poll(_START):
            raise RuntimeError(f"the worker for slow models did not start within {_START:g} s")
        pipe.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError) as error:
        raise RuntimeError("the worker for slow models ended as it began; see stderr") from error


def _feed(pipe: Connection, jobs: Sequence[Any], found: list[Any], seconds: float) -> None:
    """Send jobs until all are done or one hangs or kills the worker."""
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


def work(descriptor: int) -> None:
    """What the worker's process does: jobs in, results out, until the pipe is closed."""
    pipe = Connection(descriptor)
    fit = pipe.recv()
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
