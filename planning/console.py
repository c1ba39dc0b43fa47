"""What a person or a log sees while a command works: progress bars or JSON lines, on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from planning.decide import Progress as Report


@contextmanager
def progress(*, quiet: bool) -> Iterator[Report]:
    """A function (step, share done) that shows itself as bars on a terminal, as log lines else."""
    if quiet:
        yield lambda *_: None
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _LogLines()


@contextmanager
def _bars() -> Iterator[Report]:
    columns = (TextColumn("{task.description:<16}"), BarColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def report(step: str, share: float) -> None:
            for name, task in tasks.items():
                if name != step:
                    bars.update(task, completed=1.0)
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=1.0)
            bars.update(tasks[step], completed=share)

        yield report
        for task in tasks.values():
            bars.update(task, completed=1.0)


class _LogLines:
    """One JSON line when a step begins."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._step = ""

    def __call__(self, step: str, _: float) -> None:
        if step != self._step:
            self._step = step
            log("info", step=step, seconds=round(time.perf_counter() - self._started, 2))


def log(level: str, **fields: object) -> None:
    """One JSON line on stderr; for a person at a terminal its words alone."""
    if sys.stderr.isatty() and "message" in fields:
        print(f"{level}: {fields['message']}", file=sys.stderr)  # noqa: T201
        return
    print(json.dumps({"level": level, **fields}, ensure_ascii=False), file=sys.stderr)  # noqa: T201
