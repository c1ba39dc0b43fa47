"""`peakahead verify` names whatever was changed after it was stored."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from planning import entries, store
from planning.cli import REFUSED
from planning.ledger import open_ledger
from tests.planning.test_acks import confirmed, sent
from tests.planning.test_ledger import LINES, RUN, url
from tests.planning.workspaces import call

__all__ = ["url"]  # a fixture


@pytest.fixture
def stored(finished, tmp_path):
    """A workspace with a run and a supplier's answer."""
    root = Path(shutil.copytree(finished.root, tmp_path / "stored"))
    path = confirmed(sent(root), tmp_path / "back.csv")
    assert call("ack", "-w", root, path).code == 0
    return root


def problems(root: Path) -> list[str]:
    said = call("verify", "-w", root)
    assert said.code == (REFUSED if said.said["problems"] else 0)
    return said.said["problems"]


def run_of(root: Path) -> Path:
    (folder,) = (root / "runs").iterdir()
    return folder


def sql(root: Path, *statements: str) -> None:
    with closing(sqlite3.connect(root / "peakahead.db")) as db, db:
        for statement in statements:
            assert db.execute(statement).rowcount > 0, statement


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place // 8] ^= 1 << place % 8
    path.write_bytes(bytes(data))


def test_what_was_left_alone_is_as_it_was(stored):
    said = call("verify", "-w", stored).said
    assert said == {"runs": 1, "files": len(store.files_in(run_of(stored))), "problems": []}


def test_a_workspace_without_runs_has_nothing_wrong(fresh):
    before = sorted(fresh.iterdir())
    assert call("verify", "-w", fresh).said == {"runs": 0, "files": 0, "problems": []}
    assert sorted(fresh.iterdir()) == before


def test_one_flipped_bit_in_any_file_is_named(stored):
    for number, path in enumerate(store.files_in(run_of(stored))):
        whole = path.read_bytes()
        flip(path, (7919 * (number + 1)) % (8 * len(whole)))
        told = problems(stored)
        name = path.relative_to(stored).as_posix()
        assert [line.split(":")[0] for line in told] == [name] or name.endswith("manifest.json")
        assert told[0].startswith(name)
        path.write_bytes(whole)
    assert problems(stored) == []


def test_files_that_come_and_go_are_named(stored):
    folder = run_of(stored)
    (folder / "plan.csv").rename(folder / "plan.old.csv")
    assert problems(stored) == [
        f"runs/{folder.name}/plan.csv: is missing",
        f"runs/{folder.name}/plan.old.csv: was not written by the run",
    ]
    (folder / "manifest.json").unlink()
    assert "manifest.json: is missing" in problems(stored)[0]
    shutil.rmtree(folder)
    assert problems(stored) == [f"runs/{folder.name}: the ledger has this run, its folder is gone"]


def test_one_flipped_bit_anywhere_in_the_ledger_is_named(stored):
    path = stored / "peakahead.db"
    whole = path.read_bytes()
    unused = next(
        at for at in range(len(whole) // 2, len(whole)) if not any(whole[at - 8 : at + 8])
    )
    for place in [8 * unused, *range(0, 8 * len(whole), len(whole) // 2 + 1)]:
        flip(path, place)
        assert all(line.startswith("peakahead.db: ") for line in problems(stored))
        assert problems(stored)
        path.write_bytes(whole)
    assert problems(stored) == []


def test_one_flipped_bit_in_the_seal_is_named(stored):
    path = stored / ".peakahead.db.seal"
    whole = path.read_bytes()
    for place in range(3, 8 * len(whole.rstrip()), 131):
        flip(path, place)
        assert problems(stored) == [f"peakahead.db: its seal {path.name} is not as it was written"]
        path.write_bytes(whole)


def test_an_older_ledger_put_back_is_told_of(stored, tmp_path):
    older = (stored / "peakahead.db").read_bytes()
    path = confirmed(sent(stored), tmp_path / "again.csv")
    path.write_bytes(path.read_bytes() + b"\nthe same again\n")
    assert call("ack", "-w", stored, path).code == 0
    (stored / "peakahead.db").write_bytes(older)
    (told,) = problems(stored)
    assert "holds 2 of the 3 entries that it had: an older copy was put back" in told
    with open_ledger(f"sqlite:///{stored}/peakahead.db") as book:
        assert entries.missing(book, stored / "runs") == [told.removeprefix("peakahead.db: ")]


def test_a_writer_that_died_leaves_no_seal_and_nothing_to_tell(stored):
    (stored / ".peakahead.db.seal").unlink()
    assert problems(stored) == []
    with open_ledger(f"sqlite:///{stored}/peakahead.db", write=True):
        pass
    assert (stored / ".peakahead.db.seal").is_file()
    assert problems(stored) == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("update runs set mean_minutes = 1", "run {run} is not as it was written"),
        ("update plan_lines set units = units + 1 where line_id = 'L000001'", "run {run} is not"),
        ("delete from plan_lines where line_id = 'L000001'", "run {run} is not as it was"),
        ("update requests set request = 'x'", "run {run} is not as it was written"),
        ("update answers set units = 0", "is not as it was written"),
        ("update acks set known_at = '2020-01-01'", "is not as it was written"),
        ("delete from acks", "was taken out"),
        ("delete from chain where number = 1", "entry 2"),
        ("delete from chain where number = 2", "has no entry in the chain"),
        ("update chain set content = 'x' where number = 1", "entry 1"),
        ("update chain set link = 'x' where number = 1", "entry 2"),
        (
            "insert into runs (run_id, as_of, finished_at, seed, state) "
            "values ('made up', '2026', '2026', 0, 'failed')",
            "run made up has no entry in the chain",
        ),
    ],
)
def test_a_changed_record_is_named(stored, statement, told):
    sql(stored, statement)
    wanted = told.format(run=run_of(stored).name)
    assert any(wanted in line for line in problems(stored))


def test_a_run_taken_out_with_its_entries_is_missed_by_its_folder(stored):
    sql(stored, "delete from chain", "delete from plan_lines", "delete from requests")
    sql(stored, "delete from answers", "delete from acks", "delete from runs")
    emptied, missed = problems(stored)
    assert "holds 0 of the 2 entries that it had" in emptied
    assert missed == f"runs/{run_of(stored).name}/manifest.json: the ledger has no such run"


@pytest.mark.parametrize("file", ["peakahead.db", "../book.db"])
def test_what_was_changed_in_the_ledger_is_told_with_its_file(stored, file):
    toml = stored / "peakahead.toml"
    kept = toml.read_text().partition("[store]")[0]
    toml.write_text(f'{kept}[store]\nurl = "sqlite:///{file}"\n')
    (stored / "peakahead.db").rename(stored / file)
    with closing(sqlite3.connect(stored / file)) as db, db:
        db.execute("update plan_lines set reason = 'else'")
    (told,) = problems(stored)
    assert told == f"{file}: the ledger: run {run_of(stored).name} is not as it was written"


def test_damage_of_the_database_file_is_told_not_thrown(stored):
    path = stored / "peakahead.db"
    whole = path.read_bytes()
    for place in range(100, len(whole), len(whole) // 40):  # behind the header
        path.write_bytes(whole[:place] + bytes(64) + whole[place + 64 :])
        said = call("verify", "-w", stored)
        assert said.code in (0, REFUSED)  # bytes that no table uses may change unseen
    path.write_bytes(b"SQLite format 3\0" + bytes(4096))
    assert call("verify", "-w", stored).code == REFUSED


def test_the_chain_holds_in_either_store_and_when_a_run_is_recorded_again(url):
    with open_ledger(url, write=True) as book:
        book.record(RUN, LINES)
        book.record(RUN, LINES)
        assert book.broken() == []
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("update plan_lines set reason = 'else'"))
    engine.dispose()
    with open_ledger(url, write=True) as book:
        assert book.broken() == [f"the ledger: run {RUN.run_id} is not as it was written"]
