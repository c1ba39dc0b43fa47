"""A service's user has little: no home, a read-only package, closed streams."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from planning import surroundings
from tests.planning.workspaces import call


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Nothing but the temporary folder can be written."""
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/proc/no home")
    monkeypatch.setattr(surroundings, "COMPILED", (Path("/proc/package"),))
    monkeypatch.setattr(surroundings.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(surroundings.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def chosen() -> Path:
    surroundings.place_for_compiled_code()
    return Path(os.environ["NUMBA_CACHE_DIR"])


def test_compiled_code_goes_to_a_private_folder_where_nothing_else_is_writable(temporary):
    folder = chosen()
    assert folder == temporary / f"peakahead-compiled-{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert chosen() == folder


def test_a_folder_that_others_can_write_to_is_never_used(temporary, monkeypatch):
    taken = temporary / f"peakahead-compiled-{os.getuid()}"
    taken.mkdir()
    taken.chmod(0o777)
    folder = chosen()
    assert folder != taken
    assert folder.parent == temporary
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    taken.rmdir()
    taken.symlink_to(folder)
    assert chosen() not in (taken, folder)


def test_what_numba_finds_by_itself_is_left_alone(temporary, monkeypatch):
    monkeypatch.setattr(surroundings, "COMPILED", (temporary / "package",))
    surroundings.place_for_compiled_code()
    assert "NUMBA_CACHE_DIR" not in os.environ
    monkeypatch.setattr(surroundings, "COMPILED", (Path("/proc/package"),))
    monkeypatch.setenv("XDG_CACHE_HOME", str(temporary / "cache"))
    surroundings.place_for_compiled_code()
    assert "NUMBA_CACHE_DIR" not in os.environ
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(temporary / "own"))
    assert chosen() == temporary / "own"


@pytest.mark.parametrize(
    "error", [ImportError("no lib"), OSError("libgomp.so.1"), RuntimeError("no locator available")]
)
def test_what_cannot_be_imported_is_told_as_one_json_object(error, monkeypatch, capsys):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "planning.commands":
                raise error
            return

    monkeypatch.delitem(sys.modules, "planning.commands", raising=False)
    monkeypatch.delattr(sys.modules["planning"], "commands", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    monkeypatch.setattr("traceback.format_exc", str)
    answer = call("status")
    assert answer.code == 1
    assert str(error) in answer.said["error"]


PRINT = """
import sys
from planning.cli import _say
from planning.surroundings import steady_streams
steady_streams()
print("log \\u4e2d\\u6587 \\udcff", file=sys.stderr)
sys.exit(7 if _say("said \\u4e2d\\u6587 \\udcff") else 0)
"""
FOREIGN = [
    *({"PYTHONIOENCODING": name} for name in ("ascii", "latin-1", "cp1252", "gbk")),
    {"LC_ALL": "C", "PYTHONUTF8": "0"},
]


def shell(redirected: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    given = {**os.environ, "PYTHONPATH": str(surroundings.PACKAGES), **environment}
    command = ["bash", "-c", f'exec "$0" -c "$1" {redirected}', sys.executable, PRINT]
    return subprocess.run(command, env=given, capture_output=True, check=False)


@pytest.mark.parametrize("environment", FOREIGN, ids=str)
def test_streams_are_utf8_whatever_the_locale(environment):
    told = shell("", **environment)
    assert told.returncode == 0, told.stderr
    assert told.stdout.decode() == "said 中文 \\udcff\n"
    assert told.stderr.decode() == "log 中文 \\udcff\n"


@pytest.mark.parametrize(
    ("redirected", "code"),
    [
        (">&-", 0),
        ("2>&-", 0),
        ("<&- >&- 2>&-", 0),
        ("2>/dev/full", 0),
        ("2> >(true)", 0),
        (">/dev/full", 7),
        (">/dev/full 2>/dev/full", 7),
    ],
)
def test_a_stream_that_takes_nothing_ends_no_run(redirected, code):
    told = shell(redirected)
    assert told.returncode == code
    assert b"Traceback" not in told.stderr
    assert b"Exception ignored" not in told.stderr


def test_a_result_that_cannot_be_printed_is_told(finished):
    script = Path(sys.executable).parent / "peakahead"
    with open("/dev/full", "w") as full:
        told = subprocess.run(
            [script, "status", "-w", finished.root, "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(surroundings.PACKAGES)},
            check=False,
        )
    assert told.returncode == 1
    assert told.stderr.startswith(b"peakahead: the work is done, but not printed: No space left")
    assert told.stderr.count(b"\n") == 1


def test_names_of_files_are_utf8_in_a_locale_of_ascii(tmp_path):
    script = Path(sys.executable).parent / "peakahead"
    path = {"PYTHONPATH": str(surroundings.PACKAGES), "LC_ALL": "C", "PYTHONUTF8": "0"}
    told = subprocess.run(
        [script, "runs", "-w", tmp_path / "市场", "--json"],
        env={**os.environ, **path},
        capture_output=True,
        check=False,
    )
    assert told.returncode == 2
    assert str(tmp_path / "市场") in json.loads(told.stdout)["error"]
