"""A ledger belongs to one workspace, wherever that is moved or copied to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from planning.cli import USAGE
from planning.ledger import open_ledger
from planning.ownership import FILE
from planning.records import about, metadata
from tests.planning.test_acks import confirmed, sent
from tests.planning.workspaces import AS_OF, call, contents, set_config

READING = ("runs", "status", "suppliers", "verify")


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request, tmp_path):
    """Address of an empty store outside of any workspace."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shared.db"
        return
    url = request.getfixturevalue("postgres")
    yield url
    engine = sa.create_engine(url)
    metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def market(fresh, shared, without_thinking):
    """A workspace whose run stands in the shared store."""
    set_config(fresh, ("^url = .*", f'url = "{shared}"'))
    assert call("run", "-w", fresh, "--as-of", AS_OF).code == 0
    return fresh


def other(market: Path) -> Path:
    """Another workspace that names the same store: the tables, and nothing that ran."""
    left = shutil.ignore_patterns("runs", ".*")
    return Path(shutil.copytree(market, market.with_name("other"), ignore=left))


def forget(shared: str) -> None:
    """Make the ledger one of before ledgers knew whose they are."""
    engine = sa.create_engine(shared)
    about.drop(engine)
    engine.dispose()


@pytest.mark.parametrize("command", [("run", "--as-of", AS_OF), *((name,) for name in READING)])
def test_another_workspace_in_the_same_store_is_refused_and_writes_nothing(market, command):
    second = other(market)
    before = contents(second)
    said = call(*command, "-w", second)
    assert said.code == USAGE
    assert "belongs to another workspace" in said.said["error"]
    assert "a schema of its own" in said.said["error"]
    left = contents(second)
    left.pop(".peakahead.lock", None)
    assert left == before
    assert call("status", "-w", market).said["runs"] == 1


def test_an_answer_for_another_workspaces_ledger_is_refused(market, tmp_path):
    second = other(market)
    said = call("ack", "-w", second, confirmed(sent(market), tmp_path / "back.csv"))
    assert (said.code, "another workspace" in said.said["error"]) == (USAGE, True)


def test_two_ids_that_differ_are_refused_until_the_right_one_is_written(market):
    own = (market / FILE).read_text()
    (market / FILE).write_text("0" * 32 + "\n")
    said = call("status", "-w", market)
    assert own.strip() in said.said["error"]
    assert str(market / FILE) in said.said["error"]
    (market / FILE).write_text(own)
    assert call("status", "-w", market).code == 0


def test_a_workspace_that_was_moved_keeps_its_ledger(market):
    moved = market.rename(market.with_name("moved"))
    assert call("run", "-w", moved, "--as-of", AS_OF).said["status"] == "already_done"


def test_a_workspace_without_its_file_is_known_by_its_runs(market):
    own = (market / FILE).read_text()
    (market / FILE).unlink()
    assert call("status", "-w", market).said["runs"] == 1
    assert not (market / FILE).exists()
    assert call("run", "-w", market, "--as-of", AS_OF).said["status"] == "already_done"
    assert (market / FILE).read_text() == own


def test_a_ledger_made_before_is_bound_by_the_first_that_writes(market, shared):
    forget(shared)
    (market / FILE).unlink()
    assert call("status", "-w", market).said["runs"] == 1
    assert not (market / FILE).exists()
    assert call("run", "-w", market, "--as-of", AS_OF).code == 0
    assert call("run", "-w", other(market), "--as-of", AS_OF).code == USAGE


def test_a_store_made_anew_is_bound_to_the_workspace_that_was(market, shared):
    own = (market / FILE).read_text().strip()
    forget(shared)
    assert call("run", "-w", market, "--as-of", AS_OF).code == 0
    with open_ledger(shared) as book:
        assert book.owner() == own


def test_a_ledger_within_the_workspace_is_its_own(fresh, without_thinking):
    assert call("run", "-w", fresh, "--as-of", AS_OF).code == 0
    shutil.rmtree(fresh / "runs")
    (fresh / FILE).unlink()
    assert call("run", "-w", fresh, "--as-of", AS_OF).said["status"] == "done"


def test_only_one_of_two_binds_a_ledger(shared):
    with open_ledger(shared, write=True) as book:
        assert [book.bind(own) for own in ("a", "b", "a")] == [True, False, True]
        assert book.owner() == "a"


def test_each_schema_of_a_database_holds_a_ledger(fresh, without_thinking, postgres):
    engine = sa.create_engine(postgres)
    with engine.begin() as opened:
        opened.execute(sa.text("create schema shop"))
    url = sa.make_url(postgres).update_query_dict({"options": "-csearch_path=shop"})
    shown = url.render_as_string(hide_password=False)
    set_config(fresh, ("^url = .*", f'url = "{shown}"'))
    assert call("run", "-w", fresh, "--as-of", AS_OF).code == 0
    assert "runs" in sa.inspect(engine).get_table_names("shop")
    assert sa.inspect(engine).get_table_names() == []
    with engine.begin() as opened:
        opened.execute(sa.text("drop schema shop cascade"))
    engine.dispose()
