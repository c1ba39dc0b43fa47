"""The scheduled job: what it leaves, that it is repeatable, and what faults do to it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from planning import job, ledger, store
from planning.cli import LOCKED, REFUSED, STOPPED, USAGE, main
from planning.decide import country_of
from planning.marginals import WORDS
from planning.notes import forecast_notes
from planning.problem import LINE_COLUMNS
from planning.records import metadata
from planning.workspace import load_workspace
from tests.planning.workspaces import AS_OF, call, contents, results, set_config, strict

LEVELS = ["q0.01", "q0.05", *[f"q0.{k}" for k in range(1, 10)], "q0.95", "q0.99"]
FILES = {"forecast.parquet", "peaks.csv", "plan.csv", "kpis.json", "report.html", "manifest.json"}
FILES |= {"committed.csv", "cleaning.csv", "plan_reasons.csv", "shadow_prices.csv", "frontier.csv"}
OFFSET = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?[+-]\d{2}:\d{2}"


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def only_run(root: Path) -> Path:
    """The one run folder of a workspace that holds nothing unfinished."""
    folders = list((root / "runs").iterdir())
    assert len(folders) == 1, folders
    assert not folders[0].name.startswith(".")
    return folders[0]


# What a run leaves


def test_a_clock_under_its_other_name_has_its_countrys_holidays():
    known = {"Asia/Shanghai": "CN", "PRC": "CN", "Asia/Calcutta": "IN", "Europe/Copenhagen": "DK"}
    assert {name: country_of(name) for name in known} == known
    assert country_of("UTC") is None


def test_a_clock_of_no_country_is_told(sample):
    workspace = load_workspace(sample)
    ahead = SimpleNamespace(provisional=(), cleaning=None)
    assert forecast_notes(workspace, ahead) == []
    (note,) = forecast_notes(replace(workspace, timezone="UTC"), ahead)
    assert note.startswith("UTC is the clock of no country")


@pytest.mark.parametrize(("ends_at", "told"), [("15:00", 1), ("14:00", 1), ("13:00", 0)])
def test_a_log_that_ended_is_told(sample, ends_at, told):
    since = pd.Timestamp("2026-03-28T00:00", tz="Asia/Shanghai")
    gap = {"kind": "gap", "starts_at": since, "ends_at": since.replace(hour=int(ends_at[:2]))}
    ds = pd.date_range("2026-03-28T15:00", periods=3, freq="1h", tz="Asia/Shanghai")
    ahead = SimpleNamespace(provisional=(), cleaning=pd.DataFrame([gap]), ds=ds)
    notes = forecast_notes(load_workspace(sample), ahead)
    assert len(notes) == told
    assert all(note.startswith("no order of any product since 2026-03-28T00:00") for note in notes)


def test_a_provisional_calendar_is_told_wherever_people_look(fresh, decided, monkeypatch):
    decision = decided[1]
    ahead = replace(decision.demand.forecast, provisional=(2027,))
    provisional = replace(decision, demand=replace(decision.demand, forecast=ahead))
    monkeypatch.setattr(job, "decide", lambda *_, **__: provisional)
    answer = call("run", "-w", fresh, "--as-of", AS_OF)
    folder = Path(answer.said["run_dir"])
    manifest = strict((folder / "manifest.json").read_text())
    assert manifest["provisional_years"] == [2027]
    told = [note for note in answer.said["notes"] if "2027 is provisional" in note]
    assert len(told) == 1
    for place in ((folder / "report.html").read_text(), " ".join(manifest["notes"]), answer.err):
        assert told[0] in place


def test_an_official_calendar_is_not_worth_a_word(finished):
    manifest = strict((finished.run_dir / "manifest.json").read_text())
    assert manifest["provisional_years"] == []
    assert "provisional" not in (finished.run_dir / "report.html").read_text()


def test_a_run_leaves_exactly_the_files_of_the_contract(finished):
    assert {path.name for path in finished.run_dir.iterdir()} == FILES | {"exports", "quarantine"}
    assert finished.answer.said["status"] == "done"
    assert finished.run_dir.is_absolute()
    assert finished.run_dir.name == finished.answer.said["run_id"]
    assert only_run(finished.root) == finished.run_dir


def test_the_answer_holds_what_the_files_hold(finished):
    said = finished.answer.said
    assert {"run_id", "run_dir", "status", "kpis", "timings"} <= set(said)
    assert said["kpis"] == strict((finished.run_dir / "kpis.json").read_text())
    assert said["warnings"] == ["orders: 2 of 17,506 rows quarantined"]
    (told,) = [note for note in said["notes"] if "quarantine" in note]
    assert told.startswith("orders: 2 rows are in quarantine: ")
    assert ".parquet, line " in told or ".csv, line " in told


def test_the_forecast_covers_every_product_and_bucket(finished):
    frame = pd.read_parquet(finished.run_dir / "forecast.parquet")
    assert list(frame.columns) == ["product_id", "ds", "mean", *LEVELS]
    products = table(finished.root / "products.csv")["product_id"]
    buckets = pd.date_range(AS_OF, periods=72, freq="1h", tz="Asia/Shanghai")
    assert len(frame) == len(products) * len(buckets)
    every = pd.MultiIndex.from_product([products, buckets])
    assert pd.MultiIndex.from_frame(frame[["product_id", "ds"]]).symmetric_difference(every).empty
    quantiles = frame[LEVELS].to_numpy()
    assert (quantiles >= 0).all()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert (frame["mean"] >= 0).all()


def test_the_plan_is_whole_and_its_times_carry_their_offset(finished):
    plan = table(finished.run_dir / "plan.csv")
    assert tuple(plan.columns) == LINE_COLUMNS
    assert len(plan) > 0
    assert plan["line_id"].is_unique
    for name in ("order_by", "available_from", "available_to"):
        assert plan[name].str.fullmatch(OFFSET).all()
    assert not (plan == "").any(axis=None)
    assert plan["units"].str.fullmatch(r"[1-9]\d*").all()


def test_every_line_is_explained(finished):
    plan, told = (table(finished.run_dir / name) for name in ("plan.csv", "plan_reasons.csv"))
    assert list(told["line_id"]) == list(plan["line_id"])
    words = told["binding_rule"].map(WORDS)
    assert words.notna().all()
    endings = [reason.endswith(end) for reason, end in zip(plan["reason"], words, strict=True)]
    assert all(endings)
    suppliers = set(table(finished.root / "suppliers.csv")["supplier_id"])
    assert set(told["next_supplier_id"]) <= suppliers | {""}
    assert not (told["next_supplier_id"] == plan["supplier_id"]).any()


def test_what_would_help_is_told_wherever_people_look(finished):
    prices = table(finished.run_dir / "shadow_prices.csv")
    assert {"capital", "channel"} <= set(prices["what"])
    frontier = pd.read_csv(finished.run_dir / "frontier.csv")
    kpis = finished.answer.said["kpis"]
    assert frontier["mean_minutes"].iloc[0] == pytest.approx(kpis["reactive"]["mean_minutes"])
    missed = kpis["solver"]["status"].startswith("target missed")
    manifest = strict((finished.run_dir / "manifest.json").read_text())
    assert finished.answer.said["advice"] == manifest["advice"]
    assert bool(manifest["advice"]) == missed


def test_peaks_are_told_with_their_offset(finished):
    peaks = table(finished.run_dir / "peaks.csv")
    assert list(peaks.columns) == [
        *("product_id", "starts_at", "ends_at", "peak_at", "expected_units", "upper_units"),
        *("probability", "cause"),
    ]
    for name in ("starts_at", "ends_at", "peak_at"):
        assert peaks[name].str.fullmatch(OFFSET).all()
    assert peaks["probability"].astype(float).between(0, 1).all()


def test_the_kpis_have_the_structure_of_the_contract(finished):
    kpis = strict((finished.run_dir / "kpis.json").read_text())
    figures = {"mean_minutes", "on_time_share", "spend", "prealloc_value", "lost_value"}
    assert set(kpis) == {"predicted", "reactive", "solver"}
    assert set(kpis["predicted"]) == set(kpis["reactive"]) == figures
    assert set(kpis["solver"]) == {"status", "objective", "bound", "gap", "seconds"}
    plan = pd.read_csv(finished.run_dir / "plan.csv")
    value = (plan["units"] * plan["unit_cost"]).sum()
    assert kpis["predicted"]["prealloc_value"] == pytest.approx(value)
    assert kpis["reactive"]["prealloc_value"] == 0
    assert 0 <= kpis["solver"]["gap"] <= 1
    assert kpis["predicted"]["mean_minutes"] < kpis["reactive"]["mean_minutes"]


def test_the_manifest_accounts_for_every_file(finished):
    manifest = strict((finished.run_dir / "manifest.json").read_text())
    assert manifest["run_id"] == finished.run_dir.name
    assert manifest["as_of"] == "2026-03-30T00:00:00+08:00"
    assert manifest["seed"] == 0
    assert {"python", "peakahead", "numpy"} <= set(manifest["versions"])
    files = contents(finished.run_dir)
    del files["manifest.json"]
    assert set(manifest["outputs"]) == set(files)
    for name, data in files.items():
        assert manifest["outputs"][name]["sha256"] == hashlib.sha256(data).hexdigest()
    rows = {name: told["rows"] for name, told in manifest["outputs"].items()}
    assert rows["plan.csv"] == len(table(finished.run_dir / "plan.csv"))
    assert rows["forecast.parquet"] == 4 * 72
    assert rows["quarantine/orders.csv"] == 2
    assert rows["report.html"] is None


def test_the_manifest_accounts_for_every_row_read(finished):
    manifest = strict((finished.run_dir / "manifest.json").read_text())
    for name, told in manifest["inputs"].items():
        data = (finished.root / name).read_bytes()
        assert told["sha256"] == hashlib.sha256(data).hexdigest()
    assert manifest["inputs"]["orders.csv"]["rows"] == 5
    parquet = pq.read_metadata(finished.root / "orders.parquet").num_rows
    assert manifest["inputs"]["orders.parquet"]["rows"] == parquet
    tables = {"orders", "products", "suppliers", "offers", "price_tiers", "stock", "events"}
    assert set(manifest["counts"]) == tables
    for count in manifest["counts"].values():
        assert count["read"] == sum(count.values()) - count["read"]
    orders = manifest["counts"]["orders"]
    told = (orders["duplicates"], orders["quarantined"], orders["after_as_of"])
    assert told == (1, 2, 1)
    assert orders["read"] == parquet + 5


def test_quarantine_names_file_line_column_value_rule_and_remedy(finished):
    rows = table(finished.run_dir / "quarantine" / "orders.csv")
    assert list(rows.columns) == ["file", "line", "column", "value", "rule", "fix"]
    where = rows[["file", "line", "column", "value"]].to_numpy().tolist()
    assert where == [
        ["orders.csv", "4", "quantity", "-2"],
        ["orders.csv", "5", "product_id", "no such"],
    ]
    assert (rows[["rule", "fix"]] != "").all(axis=None)


def test_exports_go_to_the_suppliers_with_lines_and_to_no_other(finished):
    plan = table(finished.run_dir / "plan.csv")
    folders = {path.name for path in (finished.run_dir / "exports").iterdir()}
    assert folders == set(plan["supplier_id"])
    for name in folders:
        files = {path.name for path in (finished.run_dir / "exports" / name).iterdir()}
        assert files == {"request.csv", "request.json", "request.xlsx"}
        lines = table(finished.run_dir / "exports" / name / "request.csv")
        own = plan[plan["supplier_id"] == name].reset_index(drop=True)
        shared = [column for column in LINE_COLUMNS if column in lines]
        assert lines[shared].equals(own[shared])


def test_no_run_id_and_no_path_in_forecast_plan_or_exports(finished):
    for data in results(finished.run_dir).values():
        assert finished.run_dir.name.encode() not in data
        assert str(finished.root).encode() not in data


# Again


def test_equal_inputs_in_another_folder_give_equal_bytes(fresh, finished):
    again = call("run", "-w", fresh, "--as-of", "2026-03-29T16:00:00Z")
    assert again.said["status"] == "done"
    assert again.said["run_id"] == finished.run_dir.name
    assert results(Path(again.said["run_dir"])) == results(finished.run_dir)


def test_a_run_that_was_changed_since_is_done_again(finished, decided, tmp_path, monkeypatch):
    root = shutil.copytree(finished.root, tmp_path / "copy")
    here = root / "runs" / finished.run_dir.name
    before = results(here)
    (here / "peaks.csv").unlink()
    (here / "plan.csv").write_text("line_id\n")
    (here / "notes.txt").write_text("called them at ten")
    changed = contents(here)
    monkeypatch.setattr(job, "decide", lambda *_, **__: decided[1])
    again = call("run", "-w", root, "--as-of", AS_OF)
    assert (again.code, again.said["status"]) == (0, "done")
    assert results(here) == before
    old = f".replaced-{here.name}-1"
    assert contents(here.with_name(old)) == changed
    (told,) = (told for told in again.said["warnings"] if old in told)
    assert "peaks.csv: is missing" in told
    assert call("verify", "-w", root).said["runs"] == 1
    assert call("verify", "-w", root).code == 0
    (root / "peakahead.db").unlink()
    assert call("run", "-w", root, "--as-of", AS_OF).said["status"] == "already_done"
    assert call("runs", "-w", root).said["runs"][0]["run_id"] == here.name


def test_a_fault_of_our_own_is_entered_in_the_ledger(fresh, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(job, "decide", broken)
    assert main(["run", "-w", str(fresh), "--as-of", AS_OF, "--quiet"]) == REFUSED
    failed = call("status", "-w", fresh).said["last_failure"]
    assert failed["error"] == "ZeroDivisionError: by nothing"


def test_a_second_run_finds_the_first_and_writes_nothing(finished):
    def written() -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in (finished.root / "runs").rglob("*")}

    before, started = written(), time.monotonic()
    again = call("run", "-w", finished.root, "--as-of", AS_OF)
    assert time.monotonic() - started < 10
    assert (again.code, again.said["status"]) == (0, "already_done")
    assert written() == before
    for key in ("run_id", "run_dir", "kpis", "counts", "timings", "warnings"):
        assert again.said[key] == finished.answer.said[key]
    found = call("runs", "-w", finished.root).said["runs"]
    assert len([run for run in found if run["state"] == "done"]) == 1


def test_other_inputs_make_another_run(fresh, without_thinking):
    def run_id(*options: str) -> str:
        answer = call("run", "-w", fresh, "--dry-run", *options)
        assert answer.said["run_dir"] is None
        return answer.said["run_id"]

    first = run_id("--as-of", AS_OF)
    assert run_id("--as-of", AS_OF) == first
    assert run_id("--as-of", AS_OF, "--seed", "1") != first
    assert run_id("--as-of", "2026-03-29T23:00") != first
    with (fresh / "orders.csv").open("a") as orders:
        orders.write("X5,no such,2026-03-20T08:00:00,2,delivered\n")
    changed = run_id("--as-of", AS_OF)
    assert changed != first
    set_config(fresh, ("target_share.*", "target_share = 0.9"))
    assert run_id("--as-of", AS_OF) != changed


def test_an_earlier_plan_is_an_input_of_the_run_that_stays_near_to_it(
    fresh, finished, without_thinking
):
    plan = finished.run_dir / "plan.csv"
    near = ("run", "-w", fresh, "--dry-run", "--as-of", AS_OF, "--previous", plan)
    ids = {call(*near).said["run_id"], call(*near, "--freeze", "90").said["run_id"]}
    assert len(ids | {finished.run_dir.name}) == 3
    assert call(*near[:-1], fresh / "none.csv").code == USAGE
    assert call(*near[:5], "--freeze", "90").code == USAGE


def test_a_run_near_its_own_plan_repeats_it(fresh, finished):
    plan = finished.run_dir / "plan.csv"
    again = call("run", "-w", fresh, "--as-of", AS_OF, "--previous", plan)
    place = ["supplier_id", "product_id", "available_from"]
    old, new = (
        table(path).astype({"units": int}).groupby(place)["units"].sum()
        for path in (plan, Path(again.said["run_dir"]) / "plan.csv")
    )
    same = np.minimum(old, new.reindex(old.index, fill_value=0))
    assert same.sum() >= 0.85 * old.sum()


def test_a_dry_run_writes_nothing_at_all(fresh, without_thinking):
    before = contents(fresh)
    answer = call("run", "-w", fresh, "--as-of", AS_OF, "--dry-run")
    assert (answer.code, answer.said["status"]) == (0, "dry_run")
    assert contents(fresh) == before
    assert set(answer.said["kpis"]) == {"predicted", "reactive", "solver"}


def test_a_run_that_went_missing_is_done_again(fresh, finished, without_thinking):
    first = call("run", "-w", fresh, "--as-of", AS_OF)
    shutil.rmtree(first.said["run_dir"])
    again = call("run", "-w", fresh, "--as-of", AS_OF)
    assert again.said["status"] == "done"
    assert results(only_run(fresh)) == results(finished.run_dir)
    assert call("status", "-w", fresh).said["runs"] == 1


def test_a_plan_without_a_line_is_a_plan(fresh):
    set_config(fresh, ("^working_capital.*", "working_capital = 0.01"))
    answer = call("run", "-w", fresh, "--as-of", AS_OF)
    assert answer.code == 0, answer.err
    folder = only_run(fresh)
    assert (folder / "plan.csv").read_text() == ",".join(LINE_COLUMNS) + "\n"
    assert list((folder / "exports").iterdir()) == []
    kpis = answer.said["kpis"]
    assert kpis["predicted"]["prealloc_value"] == 0
    assert kpis["predicted"]["mean_minutes"] == kpis["reactive"]["mean_minutes"]
    assert "0 lines at 0 suppliers" in (folder / "report.html").read_text().replace("</b>", " ")
    served = call("replay", "-w", fresh, "--orders", fresh / "future.parquet", "--plan", "latest")
    assert served.said["prealloc_spend"] == 0


# Faults

STEPS = {
    "after reading": (job, "decide"),
    "before the exports": (job, "write_exports"),
    "before the report": (job, "report_page"),
    "before the manifest": (job, "_manifest"),
    "while files are made durable": (os, "fsync"),
    "before the rename": (Path, "rename"),
    "before the ledger": (ledger.Ledger, "record"),
}


FULL, STOP = OSError(28, "No space left on device"), KeyboardInterrupt()
FAULTS = [*((step, FULL) for step in STEPS), ("before the report", STOP)]


@pytest.mark.parametrize(("step", "fault"), FAULTS)
def test_a_fault_leaves_a_whole_run_or_none(fresh, finished, without_thinking, step, fault):
    def strike(*_: object, **__: object) -> None:
        raise fault

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*STEPS[step], strike)
        broken = call("run", "-w", fresh, "--as-of", AS_OF)
    assert broken.code == (STOPPED if isinstance(fault, KeyboardInterrupt) else 1)
    assert broken.said["exit_code"] == broken.code
    left = list((fresh / "runs").iterdir())
    assert len(left) == (1 if step == "before the ledger" else 0)
    again = call("run", "-w", fresh, "--as-of", AS_OF)
    assert again.said["status"] == ("already_done" if left else "done")
    assert results(only_run(fresh)) == results(finished.run_dir)
    assert call("status", "-w", fresh).said["last_run"]["run_id"] == finished.run_dir.name


@pytest.mark.parametrize("lost", ["row", "database"])
def test_a_crash_between_rename_and_ledger_is_made_good(fresh, without_thinking, lost):
    first = call("run", "-w", fresh, "--as-of", AS_OF)
    before = contents(fresh / "runs")
    book = fresh / "peakahead.db"
    if lost == "database":
        book.unlink()
    else:
        with (
            ledger.open_ledger(f"sqlite:///{book}", write=True) as opened,
            opened._engine.begin() as open_book,
        ):
            for table in reversed(metadata.sorted_tables):
                open_book.execute(table.delete())
    again = call("run", "-w", fresh, "--as-of", AS_OF)
    assert again.said["status"] == "already_done"
    assert contents(fresh / "runs") == before
    told = call("status", "-w", fresh).said["last_run"]
    assert told["run_id"] == first.said["run_id"]
    manifest = Path(first.said["run_dir"]) / "manifest.json"
    assert told["manifest_sha256"] == hashlib.sha256(manifest.read_bytes()).hexdigest()


def start(root: Path) -> subprocess.Popen[str]:
    """The job as a process of its own, its log lines to be read."""
    code = "from planning.cli import script; script()"
    command = [sys.executable, "-c", code, "run", "-w", str(root), "--as-of", AS_OF]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def wait_for(process: subprocess.Popen[str], step: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line).get("step") == step:
            return
    raise AssertionError(f"the job ended before {step!r}")


def test_kill_9_while_computing_and_while_writing(fresh, finished):
    process = start(fresh)
    wait_for(process, "read")
    process.kill()
    process.communicate()
    assert list((fresh / "runs").iterdir()) == []
    process = start(fresh)
    while not list((fresh / "runs").glob(f"{store.ASIDE}*/forecast.parquet")):
        assert process.poll() is None, "the job ended before it was killed"
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert [path.name[: len(store.ASIDE)] for path in (fresh / "runs").iterdir()] == [store.ASIDE]
    assert call("status", "-w", fresh).said["runs"] == 0
    assert (fresh / store.LOCK).exists()  # a dead process holds no lock
    again = call("run", "-w", fresh, "--as-of", AS_OF)
    assert again.said["status"] == "done"
    assert results(only_run(fresh)) == results(finished.run_dir)
    assert call("status", "-w", fresh).said["runs"] == 1


def test_sigterm_stops_cleanly_in_time(fresh):
    with start(fresh) as process:
        wait_for(process, "lightgbm")
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        told = process.stderr.read()
        assert process.wait(timeout=10) == STOPPED
    assert "stopped" in told
    assert "Traceback" not in told
    assert list((fresh / "runs").iterdir()) == []
    assert call("status", "-w", fresh).said["runs"] == 0


@pytest.mark.soak
def test_kill_9_at_200_random_moments(fresh, finished):
    rng = np.random.default_rng(0)
    for _ in range(200):
        process = start(fresh)
        time.sleep(rng.uniform(0, 8))
        process.kill()
        process.communicate()
        folders = [p for p in (fresh / "runs").glob("*") if not p.name.startswith(store.ASIDE)]
        for folder in folders:
            assert results(folder) == results(finished.run_dir)
            if rng.random() < 0.8:
                shutil.rmtree(folder)
    call("run", "-w", fresh, "--as-of", AS_OF)
    assert results(only_run(fresh)) == results(finished.run_dir)


def test_one_of_two_jobs_runs_and_the_other_comes_back_later(fresh, without_thinking):
    with store.lock(fresh):
        refused = call("run", "-w", fresh, "--as-of", AS_OF)
    assert refused.code == LOCKED
    assert "another run" in refused.said["error"]
    assert not (fresh / "runs").exists()
    assert call("run", "-w", fresh, "--as-of", AS_OF).code == 0


def test_the_lock_of_a_dead_process_holds_nothing(fresh):
    hold = "import sys, time, planning.store as s, pathlib\n"
    hold += "with s.lock(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(fresh)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(store.LockHeld), store.lock(fresh):
        pass
    process.kill()
    process.communicate()
    with store.lock(fresh), (fresh / store.LOCK).open() as again, pytest.raises(BlockingIOError):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _runs_is_a_file(root: Path) -> str:
    (root / "runs").write_text("")
    return str(root / "runs")


def _store_in_no_folder(root: Path) -> str:
    set_config(root, ("^url = .*", 'url = "sqlite:///nowhere/ledger.db"'))
    return "nowhere/ledger.db"


def _store_is_no_database(root: Path) -> str:
    (root / "peakahead.db").write_text("no database at all, " * 99)
    return "peakahead.db"


def _lock_is_a_folder(root: Path) -> str:
    (root / store.LOCK).mkdir()
    return store.LOCK


@pytest.mark.parametrize(
    "spoil", [_runs_is_a_file, _store_in_no_folder, _store_is_no_database, _lock_is_a_folder]
)
def test_an_output_that_cannot_be_written_is_told_before_the_work(fresh, monkeypatch, spoil):
    def too_late(*_: object, **__: object) -> None:
        raise AssertionError("the job computed a plan that it can't keep")

    monkeypatch.setattr(job, "decide", too_late)
    named = spoil(fresh)
    answer = call("run", "-w", fresh, "--as-of", AS_OF)
    assert answer.code == 1
    assert named in answer.said["error"]


def test_a_market_without_a_licensed_supplier_has_no_plan_and_the_ledger_says_so(fresh):
    suppliers = fresh / "suppliers.csv"
    rows = pd.read_csv(suppliers, dtype=str)
    rows.assign(licence_valid_until="2020-01-01").to_csv(suppliers, index=False)
    refused = call("run", "-w", fresh, "--as-of", AS_OF)
    assert refused.code == REFUSED
    assert "no supplier with an offer" in refused.said["error"]
    (entry,) = call("runs", "-w", fresh).said["runs"]
    assert entry["state"] == "failed"
    assert entry["error"] == refused.said["error"]
    assert call("status", "-w", fresh).said["last_run"] is None
