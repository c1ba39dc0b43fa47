"""Workspaces as a user sees them: commands called, files compared, settings changed."""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planning.cli import main

AS_OF = "2026-03-30"
NAME = "=1+1 <b>卡</b> & $figures"
SUPPLIER = "<script>alert(1)</script>"


@dataclass(frozen=True)
class Answer:
    """What a command with --json left behind."""

    code: int
    said: dict[str, Any]
    err: str


@dataclass(frozen=True)
class Finished:
    """A workspace whose job has run."""

    root: Path
    run_dir: Path
    answer: Answer


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def strict(text: str) -> Any:
    """JSON without NaN or infinity."""
    return json.loads(text, parse_constant=_no_constant)


def call(*argv: object) -> Answer:
    """Run a command with --json in this process; stdout must hold one JSON object, no more."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in argv] + ["--json"])
    assert out.getvalue().count("\n") == 1, out.getvalue()
    assert "Traceback" not in err.getvalue()
    return Answer(code, strict(out.getvalue()), err.getvalue())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def results(run_dir: Path) -> dict[str, bytes]:
    """The files that equal inputs, as-of and seed must give byte for byte."""
    kept = ("forecast.parquet", "peaks.csv", "cleaning.csv", "plan", "exports/", "quarantine/")
    kept += ("shadow_prices.csv", "frontier.csv")
    return {name: data for name, data in contents(run_dir).items() if name.startswith(kept)}


def set_config(root: Path, *changes: tuple[str, str]) -> None:
    """Replace lines of peakahead.toml: (pattern, replacement)."""
    path = root / "peakahead.toml"
    text = path.read_text(encoding="utf-8")
    for pattern, replacement in changes:
        text, count = re.subn(pattern, lambda _, to=replacement: to, text, flags=re.MULTILINE)
        assert count == 1, pattern
    path.write_text(text, encoding="utf-8")
