"""The command line: options anywhere, one JSON object, the right exit code, no traceback."""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from planning import commands, target
from planning.cli import main, parser
from planning.workspace import ConfigError
from tests.planning.workspaces import AS_OF, call, contents, set_config, strict

SUBPARSERS = next(
    action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
)
COMMANDS = tuple(SUBPARSERS.choices)
READERS = (
    "run",
    "forecast",
    "backtest",
    "replay",
    "evaluate",
    "runs",
    "status",
    "lab",
)  # of a workspace
NEEDED = {"replay": ["--orders", "o.csv", "--plan", "none"], "init": ["somewhere"]}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """What a command writes to the current directory must not land in the checkout."""
    monkeypatch.chdir(tmp_path)


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_with_an_example_that_parses(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    example = told.split("example:\n")[1].strip()
    assert example.startswith(f"peakahead {command}")
    assert parser().parse_args(shlex.split(example)[1:]).command == command
    for option in ("--workspace", "--json", "--quiet"):
        assert option in told


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_does_something(command):
    assert callable(getattr(commands, command))


def test_commands_that_compute_take_a_seed():
    for command in ("init", "run", "forecast", "backtest", "replay", "evaluate"):
        arguments = parser().parse_args([command, *NEEDED.get(command, []), "--seed", "7"])
        assert arguments.seed == 7
        assert parser().parse_args([command, *NEEDED.get(command, [])]).seed == 0


def test_the_installed_command_answers():
    script = Path(sys.executable).parent / "peakahead"
    told = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout.strip()
    helped = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    for word in (*COMMANDS, "exit codes", "peakahead init market"):
        assert word in helped.stdout


# Options before and after


def test_options_work_before_and_after_the_command(finished, capsys):
    orders = ["replay", "--orders", str(finished.root / "future.parquet"), "--plan", "none"]
    for command in (["status"], ["runs"], orders):
        answers = []
        for before in (["--json", "-w", str(finished.root), "--quiet"], ["--json"], []):
            rest = ["--workspace", str(finished.root), "--json", "--quiet"][len(before) :]
            after = rest if before != ["--json"] else ["-w", str(finished.root), "--quiet"]
            assert main([*before, *command, *after]) == 0
            said = strict(capsys.readouterr().out)
            said.pop("age_seconds", None)
            answers.append(said)
        assert answers[0] == answers[1] == answers[2]


def test_without_json_stdout_is_for_people(finished, capsys):
    assert main(["status", "-w", str(finished.root)]) == 0
    assert "Last success" in capsys.readouterr().out
    assert main(["runs", "-w", str(finished.root)]) == 0
    assert finished.run_dir.name in capsys.readouterr().out
    assert main(["run", "-w", str(finished.root), "--as-of", AS_OF]) == 0
    told = capsys.readouterr()
    assert "Already done" in told.out
    assert "Warning: orders: 2 of" in told.out
    assert str(finished.run_dir / "report.html") in told.out


def test_the_workspace_is_the_current_directory_unless_named(finished, monkeypatch):
    monkeypatch.chdir(finished.root)
    assert call("status").said["runs"] == 1


def test_logs_go_to_stderr_as_json_lines_and_quiet_stops_them(finished):
    told = call("run", "-w", finished.root, "--as-of", AS_OF, "--dry-run")
    assert told.said["status"] == "dry_run"
    levels = {json.loads(line)["level"] for line in told.err.splitlines()}
    assert levels == {"info", "note", "warning"}
    quiet = call("run", "-w", finished.root, "--as-of", AS_OF, "--quiet")
    assert quiet.err == ""


# Exit codes


@pytest.mark.parametrize("command", READERS)
def test_a_folder_that_is_no_workspace_is_told(command, tmp_path):
    answer = call(command, "-w", tmp_path / "none", *NEEDED.get(command, []))
    assert answer.code == answer.said["exit_code"] == 2
    assert "peakahead init" in answer.said["error"]
    assert answer.said["error"] in answer.err


@pytest.mark.parametrize("command", READERS)
def test_a_broken_configuration_names_every_key(command, fresh):
    set_config(fresh, ("^target_minutes.*", "target_minuts = 5"), ("^freq.*", 'freq = "2h"'))
    answer = call(command, "-w", fresh, *NEEDED.get(command, []))
    assert answer.code == 2
    for part in ("target_minuts", "forecast.freq", '"15min", "30min", "1h"'):
        assert part in answer.said["error"]


REFUSING = {
    "run": ["--as-of", AS_OF],
    "forecast": ["--as-of", AS_OF],
    "backtest": ["--as-of", AS_OF],
    "replay": ["--orders", "o.csv", "--plan", "none", "--as-of", AS_OF],
    "evaluate": ["--as-of", AS_OF],
}


@pytest.mark.parametrize("command", REFUSING)
def test_an_input_that_cannot_be_trusted_is_refused_in_full(command, fresh):
    (fresh / "offers.csv").write_text("supplier_id,product_id\n")
    (fresh / "suppliers.csv").write_text("")
    before = contents(fresh)
    answer = call(command, "-w", fresh, *REFUSING[command])
    assert answer.code == 1
    for part in ("offers.csv", "unit_cost", "suppliers.csv", "empty"):
        assert part in answer.said["error"]
    lasting = {
        ".peakahead.lock",
        ".peakahead.id",
        "peakahead.db",
        ".peakahead.db.seal",
    }  # of `run`, which had begun
    assert {k: v for k, v in contents(fresh).items() if k not in lasting} == before


WRONG = {
    "no command": [],
    "an unknown command": ["nope"],
    "an unknown option": ["run", "--fast"],
    "an abbreviated negative seed": ["run", "--seed=-1"],
    "a seed too large": ["run", "--seed", str(2**31)],
    "a seed in words": ["run", "--seed", "one"],
    "no orders": ["replay", "--plan", "none"],
    "no plan": ["replay", "--orders", "o.csv"],
    "windows": ["backtest", "--windows", "0"],
    "members": ["backtest", "--members", "seasonal,,lightgbm"],
    "a member that doesn't exist": ["backtest", "--members", "oracle"],
    "where the board goes": ["backtest", "--out", "board.xlsx"],
    "where an evaluation goes": ["evaluate", "--out", "standings.xlsx"],
    "no days": ["evaluate", "--days", "0"],
    "no seeds": ["replay", "--orders", "o.csv", "--plan", "none", "--seeds", "0"],
    "series without a horizon": ["backtest", "--series", "s.csv", "--freq", "1h"],
    "as-of of series": [
        *("forecast", "--series", "s.csv", "--freq", "1h", "--horizon", "3"),
        *("--as-of", "2026-03-30"),
    ],
    "as-of of scored series": [
        *("backtest", "--series", "s.csv", "--freq", "1h", "--horizon", "3"),
        *("--as-of", "2026-03-30"),
    ],
    "horizon": ["forecast", "--series", "s.csv", "--freq", "1h", "--horizon", "none"],
    "out": ["forecast", "--out", "forecast.xlsx"],
    "model": ["forecast", "--model", "nowhere/kept.model"],
    "a market of no days": ["init", "here", "--days", "0"],
    "a market too short": ["init", "here", "--days", "3"],
    "a market without money": ["init", "here", "--capital-days", "0"],
    "a market of one price": ["init", "here", "--price-spread", "1"],
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_command_line_is_told_and_nothing_is_written(case, tmp_path):
    answer = call(*WRONG[case])
    assert answer.code == 2
    assert answer.said["exit_code"] == 2
    assert answer.said["error"]
    assert contents(tmp_path) == {}


def test_a_wrong_command_line_without_json_leaves_stdout_empty(capsys):
    assert main(["nope"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "usage: peakahead" in told.err


BEYOND = {  # what is told of an option that no work can come of, before any is done
    "days of a scorecard": (["suppliers", "--days", "99999999"], "from 1 to 36500"),
    "days of an evaluation": (["evaluate", "--days", "99999999"], "from 1 to 36500"),
    "minutes": (["run", "--previous", "p.csv", "--freeze", "1e300"], "no number of minutes"),
    "forecast": (["forecast", "--out", "nowhere/ahead.parquet"], "there is no folder"),
    "board": (["backtest", "--out", "nowhere/board.csv"], "there is no folder"),
    "standings": (["evaluate", "--out", "nowhere/standings.html"], "there is no folder"),
    "as-of": (["run", "--as-of", "2500-01-01"], "1990 to 2199"),
}


@pytest.mark.parametrize("case", BEYOND)
def test_an_option_beyond_reason_is_told_before_the_work(case, finished):
    command, told = BEYOND[case]
    answer = call(*command, "-w", finished.root)
    assert answer.code == 2
    assert told in answer.said["error"]


def test_a_seed_that_is_no_number_is_told_in_words(finished):
    answer = call("run", "-w", finished.root, "--seed", "x")
    assert answer.code == 2
    assert "'x' is no whole number from 0 to 2147483647" in answer.said["error"]


def test_a_fault_of_our_own_is_one_json_object_and_a_traceback(finished, monkeypatch, capsys):
    def broken(_: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("planning.commands.status", broken)
    assert main(["status", "-w", str(finished.root), "--json"]) == 1
    told = capsys.readouterr()
    said = strict(told.out)
    assert said["error"].startswith("ZeroDivisionError: by nothing")
    assert "a fault of peakahead" in said["error"]
    assert "Traceback" in told.err


@pytest.mark.parametrize("as_of", ["2026-02-30", "now", "30/03/2026", "20260330", ""])
def test_an_as_of_that_is_no_instant_is_told(finished, as_of):
    answer = call("run", "-w", finished.root, "--as-of", as_of)
    assert answer.code == 2
    assert "--as-of" in answer.said["error"]


@pytest.mark.parametrize(
    "as_of",
    ["2026-03-30", "2026-03-30T00:00", "2026-03-29T16:00Z", "2026-03-30 00:00:00+08:00"],
)
def test_one_instant_is_one_run_however_it_is_written(finished, as_of):
    answer = call("run", "-w", finished.root, "--as-of", as_of)
    assert answer.said["status"] == "already_done"
    assert answer.said["run_id"] == finished.run_dir.name


def test_an_as_of_before_every_order_is_refused(fresh):
    answer = call("run", "-w", fresh, "--as-of", "2020-01-01")
    assert answer.code == 1
    assert "after as-of; give a later --as-of" in answer.said["error"]


# Single commands


def test_init_makes_a_workspace_and_never_writes_over_one(tmp_path):
    made = call("init", tmp_path / "new", "--days", "7", "--products", "2", "--seed", "3")
    assert made.code == 0
    about = strict((tmp_path / "new" / "market.json").read_text())
    assert made.said["as_of"] == about["as_of"]
    assert made.said["counts"]["products"] == 2
    assert call("status", "-w", tmp_path / "new").code == 0
    before = contents(tmp_path / "new")
    again = call("init", tmp_path / "new")
    assert again.code == 1
    assert "already holds a workspace" in again.said["error"]
    assert contents(tmp_path / "new") == before


def test_the_ledger_is_told(fresh, finished):
    assert call("runs", "-w", fresh).said == {"runs": []}
    empty = call("status", "-w", fresh).said
    nothing = dict.fromkeys(("last_run", "age_seconds", "last_failure"))
    assert empty == {**nothing, "runs": 0, "unanswered": [], "warnings": []}
    assert not (fresh / "peakahead.db").exists()
    found = call("runs", "-w", finished.root).said["runs"]
    (run,) = [run for run in found if run["state"] == "done"]  # other tests' runs failed there
    assert run["run_id"] == finished.run_dir.name
    assert run["as_of"] == "2026-03-30T00:00:00+08:00"
    assert run["mean_minutes"] == finished.answer.said["kpis"]["predicted"]["mean_minutes"]
    status = call("status", "-w", finished.root).said
    assert status["last_run"] == run
    assert 0 <= status["age_seconds"] < 3600


@pytest.mark.parametrize("name", ["own.parquet", "own.csv", None])
def test_forecast_writes_what_the_run_writes(finished, tmp_path, name):
    out = [] if name is None else ["--out", name]
    answer = call("forecast", "-w", finished.root, "--as-of", AS_OF, *out)
    assert answer.code == 0
    path = tmp_path / (name or "forecast.parquet")  # beside the user, not in the workspace
    assert answer.said["out"] == str(path)
    ran = pd.read_parquet(finished.run_dir / "forecast.parquet")
    assert answer.said["rows"] == len(ran)
    if path.suffix == ".parquet":
        assert path.read_bytes() == (finished.run_dir / "forecast.parquet").read_bytes()
    else:
        told = pd.read_csv(path, dtype={"product_id": str})
        assert list(told.columns) == list(ran.columns)
        assert pd.to_datetime(told["ds"]).tolist() == ran["ds"].tolist()


def test_a_forecast_that_cannot_be_written_whole_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "ahead.csv"
    path.write_text("before")
    linked = tmp_path / "link.csv"
    linked.symlink_to(path)
    frame = pd.DataFrame({"mean": [1.0]})

    def full(_: object) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(commands, "csv_text", full)
        with pytest.raises(OSError, match="No space"):
            commands._save(frame, path)
    assert contents(tmp_path) == {"ahead.csv": b"before", "link.csv": b"before"}
    commands._save(frame, linked)
    assert contents(tmp_path) == {"ahead.csv": b"mean\n1.0\n", "link.csv": b"mean\n1.0\n"}
    with pytest.raises(ConfigError, match="is a folder"):
        target.check(tmp_path)


def test_lab_opens_the_notebooks_on_the_workspace(finished, monkeypatch):
    seen = {}

    def opened(command, *, env, check):
        seen.update(command=command, env=env)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(commands.subprocess, "run", opened)
    monkeypatch.delenv("PLOTLY_RENDERER", raising=False)
    assert call("lab", "-w", finished.root).code == 0
    assert seen["env"]["PEAKAHEAD_WORKSPACE"] == str(finished.root)
    assert seen["env"]["PLOTLY_RENDERER"] == commands.KEPT
    monkeypatch.setenv("PLOTLY_RENDERER", "png")
    assert call("lab", "-w", finished.root).code == 0
    assert seen["env"]["PLOTLY_RENDERER"] == "png"
    assert list(Path(seen["command"][-1]).glob("*.ipynb"))
    monkeypatch.setattr(commands.importlib.util, "find_spec", lambda _: None)
    answer = call("lab", "-w", finished.root)
    assert answer.code == 2
    assert "make setup" in answer.said["error"]


def test_progress_on_a_terminal_is_bars(finished, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    from planning.console import progress

    with progress(quiet=False) as report:
        report("read", 0.5)
        report("plan", 1.0)
    shown = sys.stderr.getvalue()
    assert "read" in shown
    assert "plan" in shown
    assert not shown.lstrip().startswith("{")


def test_a_fault_of_our_own_tells_no_password(finished, monkeypatch, capsys):
    def broken(_: object) -> None:
        raise ValueError("postgresql://shop:S3cr3t@h/d?password=S3cr3t")

    monkeypatch.setattr("planning.commands.status", broken)
    assert main(["status", "-w", str(finished.root), "--json"]) == 1
    told = capsys.readouterr()
    assert "postgresql://shop:***@h/d?password=***" in told.out
    assert "S3cr3t" not in told.out + told.err


def test_a_store_with_a_password_never_shows_it(fresh):
    url = "postgresql+psycopg://user:s3cret@127.0.0.1:1/book"
    set_config(fresh, ("^url = .*", f'url = "{url}"'))
    for command in (["run", "--as-of", AS_OF], ["status"], ["runs"]):
        answer = call(*command, "-w", fresh)
        assert answer.code == 1
        assert "127.0.0.1" in answer.said["error"]
        assert "s3cret" not in answer.said["error"] + answer.err
    assert not (fresh / "runs").exists()
    assert os.listdir(fresh)


@pytest.mark.parametrize(
    "error", [MemoryError(), duckdb.OutOfMemoryException("could not allocate 1 GiB")]
)
def test_memory_that_ran_out_is_no_fault_of_ours(error, finished, monkeypatch):
    def hungry(_: object) -> None:
        raise error

    monkeypatch.setattr("planning.commands.status", hungry)
    answer = call("status", "-w", finished.root)
    assert answer.code == 1
    assert "memory ran out" in answer.said["error"]
    assert "fault of peakahead" not in answer.said["error"]


def test_a_share_that_misses_the_target_is_not_rounded_to_it():
    plan = {"prealloc_value": 10.0, "mean_minutes": 2.0, "on_time_share": 0.9496}
    told = commands._expected_text(plan, plan | {"on_time_share": 0.5}, 0.95)
    assert "94.96% on time instead of 50%" in told
    assert "95% on time" not in told
