"""What the pages of docs/ say is so: examples run, tables name what the code has."""

import argparse
import contextlib
import dataclasses
import io
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from forecast import LEVELS, MEASURES, MODELS
from forecast.clean import COLUMNS as CLEANING_COLUMNS
from forecast.drivers import DRIVERS
from forecast.peaks import COLUMNS as PEAK_COLUMNS
from planning import (
    cli,
    commands,
    exports,
    job,
    ledger,
    marginals,
    problem,
    sensitivity,
    standings,
)
from planning.evaluate import Book, Evaluation
from planning.expectation import Aims
from planning.limits import Limits
from planning.optimise import solve
from planning.policies import POLICIES
from planning.problem import DAY, HOUR
from planning.records import metadata
from planning.replay import Chances, replay, serve
from planning.rules import RULES, STAMPS, violations
from planning.tables import Counts
from tests.planning.strategies import AS_OF, a_market, a_plan, some_orders

DOCS = Path(__file__).resolve().parents[1] / "docs"
EXPLAIN, FORECASTING, FULFILMENT, LEADERBOARD, OUTPUTS, PLANNING = (
    (DOCS / f"{name}.md").read_text(encoding="utf-8")
    for name in ("explain", "forecasting", "fulfilment", "leaderboard", "outputs", "planning")
)
EXAMPLE = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
EXAMPLES = sorted(path for path in DOCS.rglob("*.md") if "```python" in path.read_text("utf-8"))
TARGET = Limits(as_of=AS_OF, horizon=24 * HOUR, working_capital=2000.0)


def section(page: str, heading: str) -> str:
    """The text under a heading, up to the next one of the same or a higher level."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", page, re.MULTILINE)
    assert found, f"no heading {heading!r}"
    rest = page[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def keys(text: str, head: str) -> list[str]:
    """Names in the first column of the tables whose header begins with `head`."""
    names = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        header, _, *rows = table.splitlines()
        if header.split("|")[1].strip() == head:
            names += [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    return names


def subcommands() -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def options(command: argparse.ArgumentParser) -> set[str]:
    found = {name for action in command._actions for name in action.option_strings}
    return {name for name in found if name.startswith("--")} - {"--help"}


def heading_of(name: str) -> str:
    argument = {"init": " DIR", "ack": " FILE"}.get(name, "")
    return f"`peakahead {name}{argument}`"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_pages_examples_print_what_it_shows(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an example may write files
    namespace: dict[str, object] = {}
    for code, shown in EXAMPLE.findall(path.read_text(encoding="utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, path.name, "exec"), namespace)
        assert printed.getvalue() == shown


def test_every_member_is_described_and_no_other():
    assert keys(section(FORECASTING, "Members"), "member") == list(MODELS)


def test_every_measure_is_described_and_no_other():
    described = set(keys(LEADERBOARD, "measure"))
    assert described == {name for name, measure in MEASURES.items() if measure.rival}


def test_every_driver_is_described_in_its_order():
    assert keys(EXPLAIN, "driver") == list(DRIVERS)


def test_every_plan_rule_is_described_and_no_other():
    told = keys(section(FULFILMENT, "What a plan may not do"), "rule")
    unreadable = {"offer", "whole_units", "no_empty_value", "value of …", "offset of …"}
    unreadable |= {"no_empty_text", "line_id"}
    assert sorted(told) == sorted([*RULES, *unreadable])


def test_the_rules_of_unreadable_lines_are_those_of_the_checker():
    market = a_market()
    plan = a_plan(market, (0, 2.0, 5.0, 4), (0, 3.0, 5.0, 4))
    rows = problem.lines(plan, market, ["so", ""]).assign(
        line_id="same", supplier_id="x", units=0.5, unit_cost=np.nan
    )
    naive = rows.assign(**{name: rows[name].dt.tz_localize(None) for name in STAMPS})
    empty = rows.assign(**{name: rows[name].where(np.zeros(len(rows), bool)) for name in STAMPS})
    names = {found.rule for frame in (naive, empty) for found in violations(frame, market, TARGET)}
    told = keys(section(FULFILMENT, "What a plan may not do"), "rule")
    assert {re.sub(r" of .*", " of …", name) for name in names} == set(told) - set(RULES)


def test_every_command_is_described_and_no_other():
    told = re.findall(r"^### (`peakahead .*`)$", OUTPUTS, re.MULTILINE)
    assert sorted(told) == sorted(heading_of(name) for name in subcommands())


@pytest.mark.parametrize("name", sorted(subcommands()))
def test_every_option_is_described_and_no_other(name):
    everywhere = set(
        re.findall(r"--[a-z-]+", " ".join(keys(section(OUTPUTS, "Commands"), "option")))
    )
    own = set(
        re.findall(r"--[a-z-]+", " ".join(keys(section(OUTPUTS, heading_of(name)), "option")))
    )
    common = {"--workspace", "--json", "--quiet"}
    assert own | common == options(subcommands()[name])
    assert common <= everywhere


@pytest.mark.parametrize("name", sorted(subcommands()))
def test_every_commands_help_has_an_example(name):
    assert f"example:\n  peakahead {name}" in subcommands()[name].format_help()


def test_every_exit_code_is_described():
    codes = (cli.DONE, cli.REFUSED, cli.USAGE, cli.LOCKED, cli.STOPPED)
    told = re.findall(r"^\| (\d+) \|", section(OUTPUTS, "Commands"), re.MULTILINE)
    assert [int(code) for code in told] == sorted(codes)


@pytest.fixture(scope="module")
def solution():
    rng = np.random.default_rng(0)
    streams = [some_orders(np.sort(rng.uniform(600, 720, 200))) for _ in range(2)]
    aims = Aims(
        target_minutes=5, target_share=0.95, delay_cost=0.05, capital_cost=0.08, segment_weight={}
    )
    return solve(a_market(channels=np.array([3])), streams, TARGET, aims, seed=0)


def test_the_keys_of_kpis_json_are_the_real_ones(solution):
    kpis = job.kpis(SimpleNamespace(solution=solution, sensitivity=SimpleNamespace(seconds=1.0)))
    page = section(OUTPUTS, "kpis.json")
    assert list(kpis) == ["predicted", "reactive", "solver"]
    told = keys(page, "key")
    assert told == [*kpis["predicted"], *kpis["solver"]]
    assert list(kpis["reactive"]) == list(kpis["predicted"])
    page, status = (re.sub(r"\d+", "n", text) for text in (PLANNING.lower(), solution.status))
    assert f"*{status}*" in re.sub(r"\s+", " ", page)


def test_the_keys_of_replay_are_the_real_ones(solution):
    served = replay(
        a_market(),
        some_orders([700]),
        solution.plan,
        as_of=TARGET.as_of,
        horizon=TARGET.horizon,
        target_minutes=5,
        rng=np.random.default_rng(0),
    )
    told = keys(section(OUTPUTS, "`peakahead replay`"), "JSON key")
    assert told == [*served.kpis(), "by_segment", "spread"]


def test_the_keys_of_evaluate_are_the_real_ones():
    market = a_market()
    nothing = Book(plan=problem.Plan.empty(), arrived=np.empty(0), day=np.empty(0, int))
    chances = Chances(noise=np.ones(1), arrived=np.empty(0, int))
    served = serve(
        market, some_orders([700]), nothing.plan, chances, end=AS_OF + DAY, target_minutes=5
    )
    days = pd.DatetimeIndex(["2026-03-30", "2026-03-31"], tz="Asia/Shanghai")
    found = Evaluation(
        market=market,
        midnights=days,
        books=dict.fromkeys(POLICIES, nothing),
        served=dict.fromkeys(POLICIES, served),
        inputs=SimpleNamespace(notes=[], tables={"stock": []}),
    )
    page = section(OUTPUTS, "`peakahead evaluate`")
    said = standings.as_json(found)
    assert keys(page, "JSON key")[:4] == list(said)[:4]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)[-9:] == [*said, "out"]
    assert all(f"`{name}`" in page for name in (*POLICIES, *standings.FILES))
    assert keys((DOCS / "evaluate.md").read_text("utf-8"), "policy") == list(POLICIES)


def test_the_keys_of_run_are_the_real_ones():
    told = keys(section(OUTPUTS, "`peakahead run`"), "JSON key")
    fields = [field.name for field in dataclasses.fields(job.Outcome)]
    statuses = ["done", "already_done", "dry_run"]
    page = section(OUTPUTS, "`peakahead run`")
    assert told == fields
    assert all(f"`{status}`" in page for status in statuses)


def test_the_keys_of_runs_and_status_are_the_real_ones(tmp_path):
    market = "timezone='UTC'\norders='o.csv'\nproducts='p.csv'\nsuppliers='s.csv'\noffers='f.csv'"
    text = f"[data]\n{market}\n[planning]\nworking_capital=1\n"
    (tmp_path / "peakahead.toml").write_text(text, encoding="utf-8")
    arguments = argparse.Namespace(workspace=tmp_path, quiet=True)
    entry = {column.name: None for column in ledger.runs.columns} | {
        "run_id": "r",
        "as_of": "2026-03-30T00:00:00+00:00",
        "finished_at": "2026-03-30T00:00:09+00:00",
        "seed": 0,
        "state": "done",
        "manifest_sha256": "0",
    }
    for filled in (False, True):
        if filled:
            with ledger.open_ledger(f"sqlite:///{tmp_path}/peakahead.db", write=True) as book:
                book.record(ledger.Run(**entry), pd.DataFrame())
        for name, command in (("runs", commands.runs), ("status", commands.status)):
            said = command(arguments)
            del said["text"]
            assert keys(section(OUTPUTS, heading_of(name)), "JSON key") == list(said)


def test_the_ledgers_columns_are_the_real_ones():
    told = keys(section(OUTPUTS, "The ledger"), "column")
    tables = ("about", "runs", "plan_lines", "requests", "acks", "answers", "chain")
    known = metadata.tables
    assert set(tables) == set(known)
    assert told == [column.name for name in tables for column in known[name].c]


@pytest.mark.parametrize(
    ("heading", "columns"),
    [
        ("plan.csv", problem.LINE_COLUMNS),
        ("peaks.csv", PEAK_COLUMNS),
        ("cleaning.csv", CLEANING_COLUMNS),
        ("plan_reasons.csv", marginals.COLUMNS),
        ("shadow_prices.csv", sensitivity.PRICE_COLUMNS),
        ("frontier.csv", sensitivity.FRONTIER_COLUMNS),
        ("exports/<supplier_id>/", exports.COLUMNS),
        ("quarantine/<table>.csv", ("file", "line", "column", "value", "rule", "fix")),
        ("forecast.parquet", ("product_id", "ds", "mean", "q0.01", "q0.99")),
    ],
)
def test_a_files_columns_are_the_real_ones(heading, columns):
    assert keys(section(OUTPUTS, heading), "column") == list(columns)


def test_the_quantiles_are_the_real_ones():
    told = ", ".join(f"{level:g}" for level in LEVELS)
    assert told in section(OUTPUTS, "forecast.parquet")


def test_the_counts_are_the_real_ones():
    told = ", ".join(f"`{field.name}`" for field in dataclasses.fields(Counts))
    assert told in section(OUTPUTS, "manifest.json")
