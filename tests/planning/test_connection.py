"""The ledger's file: where it lies, read without being written, damaged, of another version."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from planning import job
from planning.cli import REFUSED
from planning.ledger import open_ledger
from planning.workspace import load_workspace
from tests.planning.test_ledger import LINES, RUN
from tests.planning.workspaces import AS_OF, call, contents

NOBODY = 65534
READING = (
    ("runs",),
    ("status",),
    ("suppliers",),
    ("verify",),
    ("replay", "--orders", "{root}/future.parquet", "--plan", "latest"),
    ("run", "--as-of", "2026-03-30T01:00", "--dry-run"),
)


@pytest.mark.parametrize("name", ["50% off?", "a%41b", "卡 & #1", "x?mode=memory"])
def test_the_ledger_lies_in_the_workspace_whatever_its_path_holds(sample, tmp_path, name):
    root = Path(shutil.copytree(sample, tmp_path / name))
    with open_ledger(load_workspace(root).store_url, write=True) as book:
        book.record(RUN, LINES)
    assert (root / "peakahead.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert call("status", "-w", root).said["runs"] == 1


@pytest.fixture
def read_only(finished):
    """A workspace with a run, none of it to be written by this process."""
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        root = Path(shutil.copytree(finished.root, Path(home) / "market"))
        for path in (*root.rglob("*"), root):
            path.chmod(0o555 if path.is_dir() else 0o444)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        yield root
        os.seteuid(user)
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)


@pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
def test_what_only_reads_reads_what_cannot_be_written(without_thinking, read_only, command):
    before = contents(read_only)
    said = call(*(word.format(root=read_only) for word in command), "-w", read_only)
    assert said.code == 0, said.said
    if command == ("status",):
        assert said.said["last_run"] is not None
    assert contents(read_only) == before


@pytest.mark.parametrize("command", READING[:4], ids=lambda command: command[0])
def test_what_only_reads_leaves_nothing_behind(finished, tmp_path, command):
    root = Path(shutil.copytree(finished.root, tmp_path / "copy"))
    before = contents(root)
    assert call(*command, "-w", root).code == 0
    assert contents(root) == before


def test_what_a_writer_has_not_folded_in_is_read(finished, tmp_path):
    root = Path(shutil.copytree(finished.root, tmp_path / "copy"))
    with closing(sqlite3.connect(root / "peakahead.db")) as db:
        db.execute(
            "insert into runs (run_id, as_of, finished_at, seed, state) select "
            "'more', as_of, finished_at, seed, state from runs limit 1"
        )
        db.commit()
        (runs,) = db.execute("select count(*) from runs").fetchone()
        assert call("status", "-w", root).said["runs"] == runs


def test_a_ledger_made_before_it_named_its_version_is_read(finished, tmp_path):
    root = Path(shutil.copytree(finished.root, tmp_path / "copy"))
    with closing(sqlite3.connect(root / "peakahead.db")) as db, db:
        db.execute("drop table about")
    before = contents(root)
    assert call("status", "-w", root).said["runs"] >= 1
    assert contents(root) == before


def test_a_ledger_of_a_newer_version_is_refused_before_the_work(finished, tmp_path, monkeypatch):
    root = Path(shutil.copytree(finished.root, tmp_path / "copy"))
    with closing(sqlite3.connect(root / "peakahead.db")) as db, db:
        db.execute("update about set value = '2' where key = 'schema'")
    monkeypatch.setattr(job, "decide", lambda *_, **__: pytest.fail("computed for nothing"))
    for command in ("run", "status"):
        said = call(command, "-w", root)
        assert said.code == REFUSED
        assert "are of version 2, and this peakahead knows version 1" in said.said["error"]


def test_a_ledger_that_lacks_tables_is_told_to_readers_and_mended_by_a_run(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    with open_ledger(url, write=True) as book:
        book.record(RUN, LINES)
    engine = sa.create_engine(url)
    with engine.begin() as opened:
        opened.execute(sa.text("drop table answers"))
    engine.dispose()
    with pytest.raises(RuntimeError, match=r"lacks tables \(answers\)"), open_ledger(url):
        pass
    with open_ledger(url, write=True) as book:
        assert book.all() == [RUN]


def header(path: Path) -> None:
    path.write_bytes(b"no database at all, " * 999)


def middle(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))


@pytest.mark.parametrize("harm", [header, middle])
def test_a_damaged_ledger_says_what_to_do_and_that_helps(
    finished, without_thinking, tmp_path, harm
):
    root = Path(shutil.copytree(finished.root, tmp_path / "copy"))
    harm(root / "peakahead.db")
    broken = call("run", "-w", root, "--as-of", AS_OF)
    assert broken.code == REFUSED
    assert "restore a backup of it, or move it away" in broken.said["error"]
    told = call("verify", "-w", root).said["problems"]
    assert "the ledger can't be read to its end" in told[0]
    assert not any("no such run" in line for line in told)
    (root / "peakahead.db").rename(root / "damaged")
    said = call("run", "-w", root, "--as-of", AS_OF).said
    assert said["status"] == "already_done"
    assert call("verify", "-w", root).code == 0
