"""The `peakahead` command: arguments in, exit code out."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from planning.arguments import Misspelt, parser
from planning.masking import masked
from planning.surroundings import (
    place_for_compiled_code,
    same_arithmetic,
    steady_streams,
    utf8_names,
)

DONE, REFUSED, USAGE, LOCKED, STOPPED = 0, 1, 2, 75, 143
GRACE_SECONDS = 8  # from a request to stop until the process ends whatever it does


class _Ended(Exception):
    """The command has come to its end without a result; `code` is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def _fail(message: str, code: int, *, as_json: bool) -> int:
    message = masked(message)
    if as_json:
        _say(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False))
    print(f"peakahead: {message}", file=sys.stderr)  # noqa: T201
    return code


def _say(text: str) -> str:
    """Print on stdout; returns why that was not possible, empty where all is well."""
    told = ""
    try:
        print(text)  # noqa: T201
        sys.stdout.flush()
    except OSError as error:
        # Whoever closed a pipe has read enough, such as `head`.
        told = "" if isinstance(error, BrokenPipeError) else error.strerror or str(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return told


def _words(error: Exception) -> str:
    """An error's own message; for one of the system, what it concerns and what to do."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    if error.filename:
        told = "see that it can be written and that the disk has room"
        return f"{error.filename}: {error.strerror}; {told}"
    return f"{error.strerror}; see that the workspace can be written and that its disk has room"


def _dispatch(arguments: argparse.Namespace) -> dict[str, Any]:
    """Do the command; what it says, with the words for people under `text`.

    Raises
    ------
    _Ended
        For what whoever called can mend.
    """
    try:
        import duckdb

        from planning import commands
        from planning.decide import NoPlanPossible
        from planning.ledger import StoreUnavailable
        from planning.rules import RuleBroken
        from planning.store import LockHeld
        from planning.tables import InputRefused
        from planning.workspace import ConfigError
    except (ImportError, OSError) as error:  # a shared library that is missing is either
        raise _Ended(f"the installation is not whole: {error}; install it anew", REFUSED) from error
    verb: Callable[[argparse.Namespace], dict[str, Any]] = getattr(commands, arguments.command)
    try:
        return verb(arguments)
    except ConfigError as error:
        raise _Ended(str(error), USAGE) from error
    except LockHeld as error:
        raise _Ended(str(error), LOCKED) from error
    except (InputRefused, NoPlanPossible, RuleBroken, StoreUnavailable, OSError) as error:
        raise _Ended(_words(error), REFUSED) from error
    except (MemoryError, duckdb.OutOfMemoryException) as error:
        raise _Ended(_out_of_memory(error), REFUSED) from error


def _out_of_memory(error: Exception) -> str:
    told = f" ({first})" if (first := str(error).partition("\n")[0]) else ""
    return f"memory ran out{told}; free some, or run it on a machine that has more"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if argv is None else argv
    as_json = "--json" in given
    try:
        arguments = parser().parse_args(given)
        for name, value in (("workspace", Path()), ("json", False), ("quiet", False)):
            if name not in arguments:
                setattr(arguments, name, value)
        as_json = arguments.json
        said = _dispatch(arguments)
    except Misspelt as error:
        return _fail(str(error), USAGE, as_json=as_json)
    except _Ended as ended:
        return _fail(str(ended), ended.code, as_json=as_json)
    except Exception as error:  # nobody who calls us reads a traceback alone
        print(masked(traceback.format_exc()), file=sys.stderr, end="")  # noqa: T201
        told = (
            f"{type(error).__name__}: {error}\nThis is a fault of peakahead, not of your input: "
            "report it with the lines above"
        )
        return _fail(told, REFUSED, as_json=as_json)
    except KeyboardInterrupt:
        told = "stopped; nothing unfinished was kept, run it again"
        return _fail(told, STOPPED, as_json=as_json)
    text = said.pop("text")
    why = _say(json.dumps(said, ensure_ascii=False, allow_nan=False) if as_json else text)
    if why:
        return _fail(f"the work is done, but not printed: {why}", REFUSED, as_json=False)
    return REFUSED if said.get("problems") else DONE


def _stop(*_: object) -> None:
    """Unwind, so that what is half written is swept away; leave in time whatever hangs."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    last = threading.Timer(GRACE_SECONDS, os._exit, [STOPPED])
    last.daemon = True
    last.start()
    raise KeyboardInterrupt


def script() -> NoReturn:
    """Entry point of the installed command."""
    utf8_names()
    steady_streams()
    same_arithmetic()
    place_for_compiled_code()
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
