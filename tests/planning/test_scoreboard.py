"""`peakahead backtest`: every model scored, told in words, JSON, tables and figures."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pandas as pd
import pytest

from forecast import GROUPS, MEASURES, MODELS, Scores
from planning import scoreboard
from planning.cli import main
from tests.planning.workspaces import AS_OF, call, contents

FAST = ("--members", "seasonal_naive,seasonal")


def series(path, freq="1h", n=24 * 20):
    ds = pd.date_range("2026-01-01", periods=n, freq=freq)
    y = 10 + 5 * np.sin(np.arange(n) * np.pi / 12) + np.random.default_rng(0).normal(0, 1, n)
    parts = [
        pd.DataFrame({"unique_id": name, "ds": ds, "y": y * k}) for k, name in ((1, "a"), (9, "b"))
    ]
    pd.concat(parts).to_csv(path, index=False)
    return path


def made(**changes) -> Scores:
    """A board of two members and a failed one."""
    rows = [
        {"member": name, "starts_at": pd.Timestamp("2026-03-01"), "seconds": 1.0, "error": error}
        | dict.fromkeys(MEASURES, value)
        for name, value, error in (("a_b", 0.5, ""), ("c", 0.25, ""), ("d", math.nan, "no <luck>"))
    ]
    rows[1] |= changes
    bins = {"low": 0.0, "high": 0.1, "told": 0.05, "seen": 0.1, "count": 7}
    return Scores(
        windows=pd.DataFrame(rows)[["member", "starts_at", *MEASURES, "seconds", "error"]],
        reliability=pd.DataFrame([{"member": "a_b", "kind": "bucket", **bins}]),
        levels=pd.DataFrame([{"member": "a_b", "level": 0.5, "share": 0.4, "count": 7}]),
    )


def test_a_workspace_is_scored_and_everything_told(finished, tmp_path):
    before = contents(finished.root)
    out = tmp_path / "board"
    answer = call(
        *("backtest", "-w", finished.root, "--as-of", AS_OF, "--windows", 1, "--out", out), *FAST
    )
    assert answer.code == 0, answer.err
    board = answer.said["leaderboard"]
    assert {row["member"] for row in board} == {"seasonal_naive", "seasonal", "blend"}
    assert set(board[0]) == {"member", *MEASURES, "seconds", "error"}
    assert [row["SQL"] for row in board] == sorted(row["SQL"] for row in board)
    assert {row["error"] for row in board} == {None}
    assert {row["starts_at"] for row in answer.said["windows"]} == {"2026-03-27T00:00:00+08:00"}
    assert {row["kind"] for row in answer.said["reliability"]} <= {"bucket", "window"}
    assert answer.said["out"] == [str(out / name) for name in scoreboard.FILES]
    table = pd.read_csv(out / "leaderboard.csv")
    assert table["SQL"].tolist() == pytest.approx([row["SQL"] for row in board])
    assert len(pd.read_csv(out / "windows.csv")) == 3
    assert contents(finished.root) == before


@pytest.mark.parametrize("freq", ["15min", "1h", "1D"])
def test_series_need_no_workspace(tmp_path, freq):
    path = series(tmp_path / "s.csv", freq)
    answer = call(
        *("backtest", "--series", path, "--freq", freq, "--horizon", 24, "--windows", 2), *FAST
    )
    assert answer.code == 0, answer.err
    assert len(answer.said["windows"]) == 6
    assert all(row["error"] is None for row in answer.said["leaderboard"])


def test_more_windows_than_history_are_a_wrong_option(tmp_path):
    path = series(tmp_path / "s.csv")
    answer = call("backtest", "--series", path, "--freq", "1h", "--horizon", 24, "--windows", 99)
    assert answer.code == 2
    for part in ("--windows", "99", "480 buckets", "lower", "--horizon"):
        assert part in answer.said["error"]


def test_of_a_workspace_the_key_that_sets_the_horizon_is_named(finished):
    answer = call("backtest", "-w", finished.root, "--as-of", AS_OF, "--windows", 99)
    assert answer.code == 2
    assert "forecast.horizon" in answer.said["error"]
    assert "--horizon" not in answer.said["error"]


def test_the_words_mark_the_best_and_name_every_measure():
    told = scoreboard.words(made().board())
    lines = {line.split()[0]: line for line in told.splitlines() if line}
    for group in GROUPS:
        assert group.upper() in told
    for name, measure in MEASURES.items():
        assert measure.label in lines[name]
        assert lines[name].count("*") == (1 if measure.rival else 0)
    assert "0.2500*" in lines["MASE"]
    assert "50.0%*" in lines["peak_f1"]
    assert "d failed: no <luck>" in told


def test_a_score_that_is_no_number_is_null_in_json_and_a_dash_in_words():
    scores = made(MASE=math.inf)
    said = scoreboard.as_json(scores)
    assert [row["MASE"] for row in said["leaderboard"]] == [None, 0.5, None]
    assert [row["error"] for row in said["leaderboard"]] == [None, None, "no <luck>"]
    mase = next(line for line in scoreboard.words(scores.board()).splitlines() if "MASE" in line)
    assert mase.split()[1:4] == ["–", "0.5000*", "–"]


def test_a_board_of_which_every_member_failed_is_told_all_the_same(tmp_path, monkeypatch):
    class Broken:
        def fit(self, task):
            raise ArithmeticError("it overflowed")

    monkeypatch.setitem(MODELS, "seasonal", Broken)
    argv = ("backtest", "--freq", "1h", "--horizon", 24, "--windows", 1, "--members", "seasonal")
    answer = call(*argv, "--series", series(tmp_path / "s.csv"), "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert [row["error"] for row in answer.said["leaderboard"]] == [
        "ArithmeticError: it overflowed"
    ] * 2
    assert answer.said["reliability"] == answer.said["levels"] == []
    assert "it overflowed" in (tmp_path / "out" / "leaderboard.html").read_text()


@pytest.mark.parametrize("name", ["board.csv", "board.html", "folder"])
def test_out_is_a_table_a_page_or_a_folder_of_both(tmp_path, name):
    written = scoreboard.save(made(), tmp_path / name)
    assert all(path.is_file() for path in written)
    page = next((path for path in written if path.suffix == ".html"), None)
    if page is not None:
        text = page.read_text(encoding="utf-8")
        assert text.count("plotly.js v") == 1  # the library once, in the page
        assert 'src="http' not in text
        assert "no &lt;luck&gt;" in text
        for group in GROUPS:
            assert f"<h2>{group.capitalize()}</h2>" in text


def test_people_get_tables_and_logs_stay_on_stderr(tmp_path):
    path = series(tmp_path / "s.csv")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        argv = ["backtest", "--series", str(path), "--freq", "1h", "--horizon", "24", *FAST]
        assert main(argv) == 0
    assert "ACCURACY" in out.getvalue()
    assert "window 2 of 2" in err.getvalue()
