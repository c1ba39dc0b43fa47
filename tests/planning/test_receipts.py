"""What `peakahead ack` says of an answer is what counts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from planning.cli import USAGE
from planning.ledger import Ack, open_ledger
from planning.workspace import load_workspace
from tests.planning.test_acks import confirmed, known, rows_of, sent, write
from tests.planning.test_ledger import url
from tests.planning.workspaces import call

__all__ = ["url"]  # a fixture
ASKED = "2026-03-30T00:00:00+08:00"


@pytest.fixture
def asked(finished, tmp_path):
    """A workspace whose run has asked its suppliers, and the largest request."""
    root = Path(shutil.copytree(finished.root, tmp_path / "asked"))
    return root, sent(root)


def test_a_file_that_was_replaced_since_says_so_and_how_to_have_it_count(asked, tmp_path):
    root, request = asked
    rows = rows_of(request)
    first = confirmed(request, tmp_path / "first.csv")
    none = write(
        tmp_path / "none.csv", rows.assign(confirmed_units=["0", "0", *[""] * (len(rows) - 2)])
    )
    for path in (first, none):
        said = call("ack", "-w", root, path).said
        assert (said["status"], said["replaced_lines"]) == ("accepted", 0)
    again = call("ack", "-w", root, first)
    assert (again.said["status"], again.said["replaced_lines"]) == ("already_done", 2)
    (told,) = again.said["notes"]
    assert told.startswith("2 of its lines do not count any more: a later answer, taken in ")
    assert told in again.err
    assert len(known(root)) == len(rows) - 2
    with first.open("a") as file:
        file.write("please count this again\n")
    assert call("ack", "-w", root, first).said["status"] == "accepted"
    assert len(known(root)) == len(rows)


def test_a_file_that_still_counts_is_no_cause_for_a_note(asked, tmp_path):
    root, request = asked
    path = confirmed(request, tmp_path / "back.csv")
    call("ack", "-w", root, path)
    said = call("ack", "-w", root, path).said
    assert (said["notes"], said["replaced_lines"]) == ([], 0)


def test_a_file_that_came_before_stays_known_from_then(asked, tmp_path):
    root, request = asked
    path = confirmed(request, tmp_path / "back.csv")
    since = "2026-03-30T06:00:00+08:00"
    assert call("ack", "-w", root, path, "--as-of", since).said["known_at"] == since
    said = call("ack", "-w", root, path, "--as-of", "2026-03-30T09:00:00+08:00").said
    assert said["known_at"] == since
    assert f"stays known from {since}" in said["notes"][0]
    assert call("ack", "-w", root, path).said["known_at"] == since


def test_an_answer_from_before_the_question_is_refused(asked, tmp_path):
    root, request = asked
    path = confirmed(request, tmp_path / "back.csv")
    said = call("ack", "-w", root, path, "--as-of", "2026-03-29T23:59")
    assert said.code == USAGE
    assert f"lies before {ASKED}, when a run asked" in said.said["error"]
    assert known(root).empty
    assert call("ack", "-w", root, path, "--as-of", "2026-03-30").code == 0


def test_the_first_of_the_runs_that_asked_alike_is_when_it_was_asked(asked, tmp_path):
    root, request = asked
    with open_ledger(load_workspace(root).store_url, write=True) as book:
        (run,) = book.all()
        lines = rows_of(root / "runs" / run.run_id / "plan.csv")
        lines = lines.astype({"units": int, "unit_cost": float})
        later = {"run_id": "later", "as_of": "2026-03-30T01:00:00+08:00"}
        book.record(type(run)(**vars(run) | later), lines)
    path = confirmed(request, tmp_path / "back.csv")
    assert call("ack", "-w", root, path, "--as-of", "2026-03-30T00:30").code == 0


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("2030-03-30T10:00:00+08:00", True),
        ("2026-04-02T00:00:00+08:00", True),
        ("2026-04-01T23:59:00+08:00", False),
    ],
)
def test_a_line_confirmed_for_after_the_horizon_is_told(asked, tmp_path, at, told):
    root, request = asked
    rows = rows_of(request)
    few, when = [["x", *[""] * (len(rows) - 1)] for _ in range(2)]
    few[0], when[0] = rows["units"][0], at
    path = write(tmp_path / "back.csv", rows.assign(confirmed_units=few, confirmed_from=when))
    said = call("ack", "-w", root, path)
    assert said.code == 0, said.err
    notes = [note for note in said.said["notes"] if "after the horizon" in note]
    assert len(notes) == told
    for note in notes:
        assert "1 line is confirmed for 2026-04-02T00:00:00+08:00 or later" in note
        assert f"{rows['line_id'][0]} from {pd.Timestamp(at).isoformat()}" in note


def test_lines_answered_anew_are_counted_once_and_only_of_the_same_request(url):
    def answer(name: str, request: str, lines: list[str]) -> None:
        ack = Ack(sha256=name, request=request, supplier_id="S", known_at=ASKED, recorded_at=name)
        rows = pd.DataFrame({"line_id": lines, "product_id": "P", "asked_units": 2, "units": 1})
        times = dict.fromkeys(["order_by", "asked_from", "available_from", "available_to"], ASKED)
        assert book.acknowledge(ack, rows.assign(unit_cost=1.0, **times))

    with open_ledger(url, write=True) as book:
        answer("a", "R", ["L1", "L2", "L3"])
        answer("b", "R", ["L1"])
        answer("c", "R", ["L1", "L2", "L4"])
        answer("d", "Q", ["L3"])
        found = [book.replaced(name) for name in "abcd"]
    assert found == [(2, "c"), (1, "c"), (0, None), (0, None)]
