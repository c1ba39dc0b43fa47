"""Run folders that the ledger misses are entered by the next run, or by the answer to them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from planning import entries, job, ledger, store
from planning.cli import REFUSED
from planning.workspace import load_workspace
from tests.planning.test_acks import confirmed, known, sent
from tests.planning.workspaces import AS_OF, call, contents, results

LATER = "2026-03-30T01:00"


@pytest.fixture
def forgotten(finished, tmp_path):
    """A workspace with a run whose ledger was lost."""
    root = Path(shutil.copytree(finished.root, tmp_path / "forgotten"))
    (root / "peakahead.db").unlink()
    return root


def run_ids(root: Path) -> set[str]:
    return {entry["run_id"] for entry in call("runs", "-w", root).said["runs"]}


def test_another_run_enters_what_a_lost_ledger_knew_and_says_so(
    forgotten, finished, without_thinking
):
    said = call("run", "-w", forgotten, "--as-of", LATER)
    assert (said.code, said.said["status"]) == (0, "done")
    (told,) = (told for told in said.said["warnings"] if "ledger" in told)
    assert f"1 run whose folder lies in runs/ ({finished.run_dir.name}): entered now" in told
    assert "run `peakahead ack` again" in told
    assert told in said.err
    assert run_ids(forgotten) == {finished.run_dir.name, said.said["run_id"]}
    assert call("status", "-w", forgotten).said["last_run"]["run_id"] == said.said["run_id"]
    assert call("verify", "-w", forgotten).code == 0
    again = call("run", "-w", forgotten, "--as-of", LATER)
    assert not any("ledger" in told for told in again.said["warnings"])


def test_a_dry_run_tells_what_the_ledger_does_not_know_and_writes_nothing(
    forgotten, finished, without_thinking
):
    before = contents(forgotten)
    said = call("run", "-w", forgotten, "--as-of", LATER, "--dry-run")
    assert said.said["warnings"][0].startswith("the ledger does not know all runs in runs/")
    assert finished.run_dir.name in said.said["warnings"][0]
    assert contents(forgotten) == before


def test_what_the_ledger_had_lost_changes_no_result(forgotten, fresh, without_thinking):
    folders = [
        Path(call("run", "-w", root, "--as-of", LATER).said["run_dir"])
        for root in (forgotten, fresh)
    ]
    assert results(folders[0]) == results(folders[1])
    assert "entered now" not in (folders[0] / "manifest.json").read_text()


def test_what_the_ledger_had_lost_can_be_answered(forgotten, without_thinking, tmp_path):
    path = confirmed(sent(forgotten), tmp_path / "back.csv")
    call("run", "-w", forgotten, "--as-of", LATER)
    assert call("ack", "-w", forgotten, path).said["status"] == "accepted"
    assert not known(forgotten, LATER).empty


def test_an_answer_enters_the_run_that_it_answers(forgotten, finished, tmp_path):
    said = call("ack", "-w", forgotten, confirmed(sent(forgotten), tmp_path / "back.csv"))
    assert said.said["status"] == "accepted"
    assert "1 run whose folder lies in runs/" in said.said["notes"][0]
    assert run_ids(forgotten) == {finished.run_dir.name}
    assert call("verify", "-w", forgotten).code == 0


def test_an_answer_waits_for_a_run_that_may_enter_what_it_answers(forgotten, tmp_path):
    path = confirmed(sent(forgotten), tmp_path / "back.csv")
    with store.lock(forgotten):
        assert "try again later" in call("ack", "-w", forgotten, path).said["error"]
    assert call("ack", "-w", forgotten, path).code == 0


@pytest.mark.parametrize("name", ["plan.csv", "kpis.json", "manifest.json"])
def test_a_folder_that_was_changed_is_told_and_not_entered(
    forgotten, finished, without_thinking, tmp_path, name
):
    path = confirmed(sent(forgotten), tmp_path / "back.csv")
    with (forgotten / "runs" / finished.run_dir.name / name).open("a") as file:
        file.write("L0,else")
    refused = call("ack", "-w", forgotten, path)
    assert refused.code == REFUSED
    said = call("run", "-w", forgotten, "--as-of", LATER).said
    for told in (refused.said["error"], said["warnings"][0]):
        assert f"are not entered ({finished.run_dir.name}): `peakahead verify` names" in told
    assert run_ids(forgotten) == {said["run_id"]}


def test_what_people_put_beside_a_plan_and_copies_of_it_keep_no_run_out(
    forgotten, finished, without_thinking
):
    folder = forgotten / "runs" / finished.run_dir.name
    shutil.copytree(folder, folder.with_name("copy of it"))
    (folder / "notes.txt").write_text("called them at ten")
    said = call("run", "-w", forgotten, "--as-of", LATER).said
    assert run_ids(forgotten) == {finished.run_dir.name, said["run_id"]}


def test_runs_are_entered_with_the_time_at_which_they_were_written(forgotten):
    now = pd.Timestamp("2100-01-01", tz="UTC")
    with ledger.open_ledger(load_workspace(forgotten).store_url, write=True) as book:
        assert len(entries.enter_unknown(book, forgotten / "runs", now)) == 1
        (entry,) = book.all()
    manifest = forgotten / "runs" / entry.run_id / "manifest.json"
    assert pd.Timestamp(entry.finished_at).timestamp() == int(manifest.stat().st_mtime)


def unreachable(*_: object) -> None:
    raise sa.exc.OperationalError("insert", {}, OSError("server closed the connection"))


def test_a_run_that_the_ledger_refused_says_where_it_lies(fresh, without_thinking):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.Ledger, "record", unreachable)
        broken = call("run", "-w", fresh, "--as-of", AS_OF)
    (folder,) = (fresh / "runs").iterdir()
    assert broken.code == REFUSED
    assert f"is whole, in {folder}: the next `peakahead run` enters it" in broken.said["error"]
    before = contents(folder)
    said = call("run", "-w", fresh, "--as-of", AS_OF).said
    assert said["status"] == "already_done"
    assert any("entered now" in told for told in said["warnings"])
    assert contents(folder) == before


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_fault_while_writing_is_entered_in_the_ledger(fresh, without_thinking, monkeypatch):
    monkeypatch.setattr(job, "write_exports", full)
    told = call("run", "-w", fresh, "--as-of", AS_OF).said["error"]
    assert "No space left" in told
    assert "No space left" in call("status", "-w", fresh).said["last_failure"]["error"]


def test_a_fault_that_the_ledger_cannot_take_either_is_told(fresh, without_thinking, monkeypatch):
    monkeypatch.setattr(job, "write_exports", full)
    monkeypatch.setattr(ledger.Ledger, "fail", unreachable)
    assert "No space left" in call("run", "-w", fresh, "--as-of", AS_OF).said["error"]


def test_a_run_that_fails_when_done_again_can_still_be_answered(finished, tmp_path, monkeypatch):
    root = Path(shutil.copytree(finished.root, tmp_path / "again"))
    path = confirmed(sent(root), tmp_path / "back.csv")
    (root / "runs" / finished.run_dir.name / "peaks.csv").unlink()
    monkeypatch.setattr(job, "decide", full)
    assert call("run", "-w", root, "--as-of", AS_OF).code == REFUSED
    assert call("status", "-w", root).said["last_failure"]["run_id"] == finished.run_dir.name
    assert call("ack", "-w", root, path).said["status"] == "accepted"
    told = call("verify", "-w", root).said["problems"]
    assert [line.partition("/manifest.json: ")[2] for line in told] == [
        "the ledger has this run as failed only",
        "",
    ]
    assert told[1].endswith("peaks.csv: is missing")
