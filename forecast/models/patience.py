"""Slow fits one after the other in a process of their own, so that one that hangs can be ended."""

from __future__ import annotations

import atexit
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
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # small sums: more are slower


@dataclass(frozen=True)
class Failure:
    """A fit without a result."""

    reason: str  # in words


@dataclass(frozen=True)
class _Worker:
    """A process that fits, and the pipe to it."""

    process: subprocess.Popen[bytes]
    pipe: Connection

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pipe.close()


_idle: list[_Worker] = []  # has loaded its libraries, waits for the next fits


def each(fit: Fit, jobs: Sequence[Any], *, seconds: float) -> list[Any]:
    """Results of `fit(job)`; a `Failure` where it failed, or had not ended after `seconds`.

    `fit` must be a function at the top of a module. The limit is for hangs: set it so far above the
    usual time that it never decides between fits that work.
    """
    found: list[Any] = []
    while len(found) < len(jobs):
        worker, well = _ready(), False
        try:
            well = _feed(worker.pipe, fit, jobs, found, seconds)
        finally:
            if well:
                _idle.append(worker)
            else:
                worker.end()
    return found


@atexit.register
def _end_all() -> None:
    while _idle:
        _idle.pop().end()


def _ready() -> _Worker:
    """A worker that waits for jobs: an idle one, else a new one."""
    while _idle:
        worker = _idle.pop()
        if worker.process.poll() is None:
            return worker
        worker.end()
    mine, theirs = multiprocessing.Pipe()
    paths = os.pathsep.join(path for path in sys.path if path)
    worker = _Worker(
        process=subprocess.Popen(  # noqa: S603 our own interpreter, our own code
            [sys.executable, "-P", "-c", _WORKER, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ | _ONE_THREAD | {"PYTHONPATH": paths},
        ),
        pipe=mine,
    )
    theirs.close()
    why = f"did not start within {_START:g} s"
    try:
        if mine.poll(_START):
            mine.recv()
            return worker
    except (EOFError, ConnectionResetError):
        why = "ended as it began; see stderr"
    worker.end()
    raise RuntimeError(f"the worker for slow models {why}")


def _feed(
    pipe: Connection, fit: Fit, jobs: Sequence[Any], found: list[Any], seconds: float
) -> bool:
    """Send jobs until all are done, True, or one hangs or kills the worker."""
    while len(found) < len(jobs):
        try:
            pipe.send((fit, jobs[len(found)]))
            done = pipe.poll(seconds)
            hung = Failure(f"hung for more than {seconds:g} s")
            found.append(pipe.recv() if done else hung)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            found.append(Failure("its process died"))
            return False
        if not done:
            return False
    return True


def work(descriptor: int) -> None:
    """What the worker's process does: jobs in, results out, until the pipe is closed."""
    pipe = Connection(descriptor)
    pipe.send("ready")
    while True:
        try:
            fit, job = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(fit(job))
        except Exception as failure:  # whatever a library throws, its series falls back
            pipe.send(Failure(f"failed with {type(failure).__name__}"))
