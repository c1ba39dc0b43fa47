"""The run folder: written aside, made durable, then renamed, so that it is complete or absent."""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from planning.digest import sha256

LOCK = ".peakahead.lock"
ASIDE = ".unfinished-"  # prefix of a folder that is still being written
REPLACED = ".replaced-"  # of one that was changed since, and written anew under its name


class LockHeld(RuntimeError):
    """Another run holds the workspace's lock."""


@contextmanager
def lock(root: Path) -> Iterator[None]:
    """Hold the workspace for one run; the system frees it when the process ends, however it ends.

    Raises
    ------
    LockHeld
        When another process holds it.
    """
    with (root / LOCK).open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeld(f"another run is at work in {root}; try again later") from error
        yield


def write_json(path: Path, content: Any) -> None:
    """Indented JSON in the given key order, UTF-8; NaN and infinity are refused."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def files_in(folder: Path) -> list[Path]:
    """Every file below a folder, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def differences(folder: Path) -> list[str]:
    """What of a run's folder is not as its manifest says; each begins with the file's name."""
    path = folder / "manifest.json"
    if not path.is_file():
        return ["manifest.json: is missing, so nothing says what the run has stored"]
    wanted = _outputs(path)
    if wanted is None:
        return ["manifest.json: can't be read, so nothing says what the run has stored"]
    here = {file.relative_to(folder).as_posix(): file for file in files_in(folder) if file != path}
    missing = [f"{name}: is missing" for name in wanted if name not in here]
    both = [name for name in wanted if name in here]
    other = [f"{n}: is not as it was written" for n in both if sha256(here[n]) != wanted[n]]
    foreign = [f"{name}: was not written by the run" for name in sorted(set(here) - set(wanted))]
    return [*missing, *other, *foreign]


def as_written(folder: Path, names: Iterable[str]) -> bool:
    """Whether these files of a run's folder are as its manifest says."""
    wanted = _outputs(folder / "manifest.json")
    return wanted is not None and all(
        (folder / name).is_file() and sha256(folder / name) == wanted.get(name) for name in names
    )


def _outputs(manifest: Path) -> dict[str, str] | None:
    """Hash of each file that a manifest lists; None where it can't be read."""
    try:
        outputs = json.loads(manifest.read_text(encoding="utf-8"))["outputs"]
        return {str(name): str(told["sha256"]) for name, told in outputs.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def prepare(runs: Path) -> None:
    """Make the folder of runs and sweep away what an interrupted run left; hold the lock.

    Raises
    ------
    OSError
        When a run could not be written there: better told now than after its computation.
    """
    if runs.exists() and not runs.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is in the way of the folder of runs", str(runs))
    runs.mkdir(exist_ok=True)
    for left in runs.glob(f"{ASIDE}*"):
        shutil.rmtree(left)
    if not os.access(runs, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(runs))


def spare(runs: Path, run_id: str) -> Path | None:
    """Where a folder goes that is in the way of a run, since people may have put files into it."""
    if not (runs / run_id).exists():
        return None
    names = (runs / f"{REPLACED}{run_id}-{number}" for number in itertools.count(1))
    return next(name for name in names if not name.exists())


@contextmanager
def staged(runs: Path, run_id: str) -> Iterator[Path]:
    """A folder aside to write a run into; renamed to runs/run_id when the block ends well.

    What is there under that name is kept, as `spare` says.
    """
    aside = runs / f"{ASIDE}{run_id}"
    aside.mkdir()
    try:
        yield aside
        for path in [*files_in(aside), *(p for p in aside.rglob("*") if p.is_dir()), aside]:
            _sync(path)
        final, old = runs / run_id, spare(runs, run_id)
        if old is not None:
            final.rename(old)
        aside.rename(final)
        _sync(runs)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
