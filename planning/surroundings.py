"""What the process finds around it, set right before anything heavy is imported."""

from __future__ import annotations

import atexit
import io
import os
import platform
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).resolve().parent.parent
COMPILED = (PACKAGES / "planning", PACKAGES / "forecast" / "models")  # hold numba's functions
OURS_ALONE = 0o700


def utf8_names() -> None:
    """Start anew in Python's UTF-8 mode where the locale leaves only ASCII for names of files.

    Names in Chinese would come as what can't be written to any file or database.
    """
    if sys.getfilesystemencoding() == "ascii":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


class _Lossy(io.FileIO):
    """A log: what it can't take, being full or read by nobody any more, is dropped."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)


def steady_streams() -> None:
    """Write UTF-8 whatever the locale says, bear closed streams, and let no log end a run."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file to be opened would be taken for stdout or stderr
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    log = io.BufferedWriter(_Lossy(2, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(
        log, encoding="utf-8", errors="backslashreplace", line_buffering=True
    )


def same_arithmetic() -> None:
    """Have numpy, not imported yet, round alike on every x86-64 processor.

    Its exponentials and logarithms differ in the last bit where they use AVX-512. Whoever has set
    the variable keeps what was set.
    """
    if platform.machine().lower() in {"x86_64", "amd64"}:
        os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", "X86_V4 AVX512_ICL AVX512_SPR")


def place_for_compiled_code() -> None:
    """Have numba, not imported yet, find a folder for what it compiles, or it won't be imported.

    A service's user often has none: the package folder read-only, the home folder out of reach.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given and _writable(Path(given)):
        return
    if all(_writable(folder / "__pycache__") for folder in COMPILED) or _writable(_users_cache()):
        return
    os.environ["NUMBA_CACHE_DIR"] = str(_private_folder())


def _users_cache() -> Path:
    """Where numba keeps what it compiled for a user."""
    if sys.platform == "darwin":
        return Path(os.path.expanduser("~/Library/Caches/numba"))
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "numba"


def _writable(folder: Path) -> bool:
    """Whether files can be made in the folder, which is made where it is missing."""
    if not folder.is_absolute():  # "~/.cache" of a user without a home
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _private_folder() -> Path:
    """A temporary folder that nobody else can write to: what is cached there is run as code."""
    folder = Path(tempfile.gettempdir()) / f"peakahead-compiled-{os.getuid()}"
    try:
        folder.mkdir(mode=OURS_ALONE)
    except FileExistsError:
        found = folder.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        if ours and stat.S_IMODE(found.st_mode) == OURS_ALONE:
            return folder
        fresh = tempfile.mkdtemp(prefix="peakahead-compiled-")
        atexit.register(shutil.rmtree, fresh, ignore_errors=True)
        return Path(fresh)
    return folder
