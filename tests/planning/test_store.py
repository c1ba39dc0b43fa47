"""The run folder: whole or absent, whatever happens while it is written."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from planning import store
from planning.digest import sha256


def test_a_staged_folder_appears_only_when_its_block_ends(tmp_path):
    store.prepare(tmp_path / "runs")
    with store.staged(tmp_path / "runs", "R1") as aside:
        (aside / "deep").mkdir()
        (aside / "deep" / "file").write_text("whole")
        assert not (tmp_path / "runs" / "R1").exists()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["R1"]
    assert (tmp_path / "runs" / "R1" / "deep" / "file").read_text() == "whole"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_nothing(tmp_path, error):
    store.prepare(tmp_path)

    def write_half() -> None:
        with store.staged(tmp_path, "R1") as aside:
            (aside / "half").write_text("ha")
            raise error

    with pytest.raises(error):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_new_run_replaces_a_folder_of_its_name_whole_and_keeps_what_was_there(tmp_path):
    for name in ("first", "second", "third"):
        with store.staged(tmp_path, "R1") as aside:
            (aside / name).write_text(name)
    left = {path.relative_to(tmp_path).as_posix() for path in store.files_in(tmp_path)}
    assert left == {".replaced-R1-1/first", ".replaced-R1-2/second", "R1/third"}
    store.prepare(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in store.files_in(tmp_path)} == left


def test_what_a_killed_run_left_is_swept_and_finished_runs_are_kept(tmp_path):
    for name in (f"{store.ASIDE}R0", "R0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plan.csv").write_text("")
    store.prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["R0"]
    assert (tmp_path / "R0" / "plan.csv").exists()


def test_a_file_in_the_way_of_the_runs_is_told(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(NotADirectoryError, match="in the way"):
        store.prepare(tmp_path / "runs")


def test_the_lock_is_held_by_one_and_freed_in_the_end(tmp_path):
    for _ in range(2):
        with store.lock(tmp_path), pytest.raises(store.LockHeld, match="try again later"):
            store.lock(tmp_path).__enter__()
    with pytest.raises(ZeroDivisionError), store.lock(tmp_path):
        raise ZeroDivisionError
    with store.lock(tmp_path):
        pass


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_never_holds_what_is_no_number(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write_json(tmp_path / "x.json", {"a": [value]})
    assert not (tmp_path / "x.json").exists()


def test_json_is_utf_8_and_ends_its_last_line(tmp_path):
    store.write_json(tmp_path / "x.json", {"b": "卡密", "a": None})
    assert (tmp_path / "x.json").read_bytes() == '{\n  "b": "卡密",\n  "a": null\n}\n'.encode()


def test_files_are_listed_in_a_fixed_order(tmp_path):
    for name in ("b/x", "a/y", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    listed = [path.relative_to(tmp_path) for path in store.files_in(tmp_path)]
    assert listed == [Path("a/y"), Path("b/x"), Path("c")]
    known = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"
    (tmp_path / "x").write_text("x")
    assert sha256(tmp_path / "x") == known
