"""The ledger gives back what it was given, in SQLite and in PostgreSQL alike."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys

import pandas as pd
import pytest
import sqlalchemy as sa

from planning import connection
from planning.ledger import DONE, Run, StoreUnavailable, open_ledger
from planning.problem import LINE_COLUMNS
from planning.records import metadata, plan_lines
from tests.planning.workspaces import AS_OF, call, results, set_config

RUN = Run(
    run_id="R1",
    as_of="2026-03-30T00:00:00+08:00",
    finished_at="2026-03-30T01:00:00+00:00",
    seed=2**31 - 1,
    state=DONE,
    manifest_sha256="0" * 64,
    mean_minutes=0.1 + 0.2,
    on_time_share=None,
    prealloc_value=1e15,
)
AT = ["2026-03-30T00:00:00+08:00"] * 3
LINES = pd.DataFrame(
    [
        ["L000001", "S'; drop table runs; --", "=1+1 卡", *AT, 2**40, 0.1, 'covers "Fri" 20:00'],
        ["L000002", "00123", "NA", *AT, 1, 1 / 3, ""],
    ],
    columns=list(LINE_COLUMNS),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Address of an empty ledger in each kind of store."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    server = request.getfixturevalue("postgres")
    yield server
    engine = sa.create_engine(server)
    metadata.drop_all(engine)
    engine.dispose()


def stored(url: str) -> pd.DataFrame:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(plan_lines).order_by(plan_lines.c.line_id)).mappings()
        frame = pd.DataFrame([dict(row) for row in rows])
    engine.dispose()
    return frame


def test_an_empty_ledger_knows_no_run(url):
    with open_ledger(url, write=True) as book:
        assert book.all() == []
        assert book.find("R1") is None


def test_reading_makes_nothing(url, tmp_path):
    with open_ledger(url) as book:
        assert book.all() == []
        assert book.answered(pd.Timestamp("2026-03-30", tz="UTC")).empty
    assert not list(tmp_path.iterdir())
    engine = sa.create_engine(url)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()


def test_what_is_recorded_comes_back_exactly(url):
    with open_ledger(url, write=True) as book:
        book.record(RUN, LINES)
    with open_ledger(url, write=True) as book:
        assert book.find("R1") == RUN
        assert book.all() == [RUN]
    back = stored(url)
    assert back[list(LINE_COLUMNS)].to_dict("records") == LINES.to_dict("records")
    assert set(back["run_id"]) == {"R1"}


def test_recording_again_replaces(url):
    later = dataclasses.replace(RUN, finished_at="2026-03-31T01:00:00+00:00")
    with open_ledger(url, write=True) as book:
        book.record(RUN, LINES)
        book.record(later, LINES.head(1))
        assert book.all() == [later]
    assert len(stored(url)) == 1


def test_a_plan_without_a_line_is_recorded(url):
    with open_ledger(url, write=True) as book:
        book.record(RUN, LINES.head(0))
        assert book.find("R1") == RUN


def test_the_run_that_finished_last_comes_first(url):
    early, late = (
        dataclasses.replace(RUN, run_id=name, finished_at=f"2026-03-{day}T00:00:00+00:00")
        for name, day in (("A", 30), ("B", 31))
    )
    with open_ledger(url, write=True) as book:
        for run in (late, early):
            book.record(run, LINES)
        assert book.all() == [late, early]


def test_a_record_is_written_whole_or_not_at_all(url):
    twice = pd.concat([LINES, LINES])
    with pytest.raises(StoreUnavailable), open_ledger(url, write=True) as book:
        book.record(RUN, twice)
    with open_ledger(url, write=True) as book:
        assert book.all() == []


def test_the_job_keeps_its_ledger_in_postgresql(fresh, finished, without_thinking, postgres):
    set_config(fresh, ("^url = .*", f'url = "{postgres}"'))
    first = call("run", "-w", fresh, "--as-of", AS_OF)
    again = call("run", "-w", fresh, "--as-of", AS_OF)
    assert (first.said["status"], again.said["status"]) == ("done", "already_done")
    assert results(fresh / "runs" / first.said["run_id"]) == results(finished.run_dir)
    status = call("status", "-w", fresh).said
    assert status["last_run"]["run_id"] == first.said["run_id"]
    assert not (fresh / "peakahead.db").exists()
    engine = sa.create_engine(postgres)
    metadata.drop_all(engine)
    engine.dispose()


def _closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("where", ["user:s3cret@{host}/book", "user@{host}/book?password=s3cret"])
def test_a_server_that_is_not_there_is_told_without_the_password(where):
    url = "postgresql+psycopg://" + where.format(host=f"127.0.0.1:{_closed_port()}")
    with (
        pytest.raises(StoreUnavailable, match=r"\[store\] url") as told,
        open_ledger(url, write=True),
    ):
        pass
    assert "s3cret" not in str(told.value)
    assert "127.0.0.1" in str(told.value)


def test_a_wrong_database_of_a_real_server_is_told(postgres):
    other = sa.make_url(postgres).set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(StoreUnavailable, match="nowhere"), open_ledger(other, write=True):
        pass


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "ledger.db").write_text("rubbish " * 999)
    with (
        pytest.raises(StoreUnavailable, match=r"ledger\.db"),
        open_ledger(f"sqlite:///{tmp_path}/ledger.db", write=True),
    ):
        pass


def test_a_full_disk_is_told_as_one(tmp_path):
    where = f"sqlite:///{tmp_path}/ledger.db"

    def fill() -> None:
        with open_ledger(where, write=True) as book, book._engine.connect() as opened:
            opened.exec_driver_sql("PRAGMA max_page_count = 1")
            opened.exec_driver_sql("CREATE TABLE more (x)")

    with pytest.raises(StoreUnavailable, match=r"full; .* the disk has room"):
        fill()


def test_a_ledger_that_another_program_holds_is_told_as_one(url, monkeypatch):
    monkeypatch.setattr(connection, "TIMEOUT_SECONDS", 1)
    lock = "BEGIN IMMEDIATE" if url.startswith("sqlite") else "LOCK TABLE runs"
    with open_ledger(url, write=True) as book, book._engine.connect() as holder:
        holder.exec_driver_sql(lock)
        told = "another program has held it for 1 seconds: .* try again later"
        with pytest.raises(StoreUnavailable, match=told), open_ledger(url, write=True) as other:
            other.record(RUN, LINES)


def test_another_kind_of_database_is_told():
    with pytest.raises(StoreUnavailable, match="use sqlite"), open_ledger("mssql://u:p@host/d"):
        pass


def test_a_missing_driver_is_told_with_the_remedy():
    code = (
        "import sys\nsys.modules['psycopg'] = None\nfrom planning import ledger\n"
        "try:\n    ledger.open_ledger('postgresql+psycopg://u:s3cret@h/d').__enter__()\n"
        "except ledger.StoreUnavailable as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'peakahead[postgres]'" in told.stdout
    assert "s3cret" not in told.stdout
