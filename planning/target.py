"""A file that a command is asked to write: looked at before the work, replaced as a whole after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from planning.workspace import ConfigError


def check(path: Path) -> None:
    """Raise ConfigError unless the file of `--out` can be written, before hours go into it."""
    folder = path.resolve().parent
    if path.is_dir():
        raise ConfigError(f"--out {path}: is a folder; name a file in it")
    if not folder.is_dir():
        raise ConfigError(f"--out {path}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {path}: the folder {folder} can't be written; name another")


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it takes the place of `path` once all is written."""
    final = path.resolve()
    unfinished = final.with_name(f".{final.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        unfinished.replace(final)
    finally:
        unfinished.unlink(missing_ok=True)


def check_place(out: Path | None) -> None:
    """Look at the file of `--out` before the work; a folder will be made."""
    if out is not None and out.suffix and not out.is_dir():
        check(out)
