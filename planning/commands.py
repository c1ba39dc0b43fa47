"""What each command does: arguments in, a JSON-ready answer out, its words for people in `text`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from forecast import forecast as forecast_panel
from planning import (
    acks,
    comparison,
    entries,
    job,
    ledger,
    logbook,
    scoreboard,
    series,
    standings,
    target,
)
from planning.advice import on_time
from planning.audit import audit
from planning.console import log, progress
from planning.decide import Forecaster, expect_demand, models_used
from planning.evaluate import evaluate as roll_policies
from planning.exports import csv_text
from planning.kept import KeptModel
from planning.market import make_market
from planning.notes import forecast_notes
from planning.ownership import open_book
from planning.plots import KEPT
from planning.problem import Array
from planning.scorecard import card_words, remarks, scorecard
from planning.tables import Inputs, read_workspace
from planning.workspace import ConfigError, Workspace, load_workspace, parse_as_of

Said = dict[str, Any]


def _now() -> pd.Timestamp:
    return pd.Timestamp.now(tz="UTC").floor("s")


def _as_of(arguments: argparse.Namespace, tz: str) -> pd.Timestamp:
    return parse_as_of(arguments.as_of, tz, _now())


def _warnings(counts: dict[str, dict[str, int]]) -> list[str]:
    return [
        f"{table}: {count['quarantined']:,} of {count['read']:,} rows quarantined"
        for table, count in counts.items()
        if count["quarantined"]
    ]


def _tell(arguments: argparse.Namespace, notes: list[str], warnings: list[str]) -> None:
    if arguments.quiet:
        return
    for note in notes:
        log("note", message=note)
    for warning in warnings:
        log("warning", message=warning)


def _read(arguments: argparse.Namespace) -> tuple[Workspace, pd.Timestamp, Inputs]:
    """The workspace, and its tables as they were known at the as-of asked for; tells of them."""
    workspace = load_workspace(arguments.workspace)
    as_of = _as_of(arguments, workspace.timezone)
    inputs = read_workspace(workspace, as_of)
    _tell(arguments, inputs.notes, _warnings(job.counts(inputs)))
    return workspace, as_of, inputs


def init(arguments: argparse.Namespace) -> Said:
    """Make a sample market."""
    with progress(quiet=arguments.quiet) as report:
        try:
            made = make_market(
                arguments.dir,
                days=arguments.days,
                products=arguments.products,
                seed=arguments.seed,
                capital_days=arguments.capital_days,
                price_spread=arguments.price_spread,
                progress=report,
            )
        except ValueError as error:
            raise ConfigError(f"init: {error}") from error
    as_of = made.as_of.isoformat()
    return {
        "root": str(made.root.resolve()),
        "as_of": as_of,
        "counts": made.counts,
        "working_capital": made.working_capital,
        "reactive_mean_minutes": made.reactive_mean_minutes,
        "text": f"Made a sample market in {made.root}: {made.counts['history']:,} orders up to "
        f"{as_of}, {made.counts['future']:,} in the three days after.\n"
        f"Buying on demand would take {made.reactive_mean_minutes:.1f} minutes an order.\n"
        f"Next: peakahead run -w {arguments.dir} --as-of {as_of}",
    }


def run(arguments: argparse.Namespace) -> Said:
    """Do the scheduled job."""
    workspace = load_workspace(arguments.workspace)
    request = job.Request(
        workspace=workspace,
        as_of=_as_of(arguments, workspace.timezone),
        seed=arguments.seed,
        dry_run=arguments.dry_run,
        previous=_previous(arguments),
        freeze_minutes=arguments.freeze,
    )
    with progress(quiet=arguments.quiet) as report:
        outcome = job.run(request, report, _now)
    said = outcome.as_json()
    warnings = [*outcome.warnings, *_warnings(said["counts"])]
    _tell(arguments, outcome.notes, warnings)
    text = _run_text(outcome, warnings, workspace.target_share)
    return {**said, "warnings": warnings, "text": text}


def _previous(arguments: argparse.Namespace) -> Path | None:
    path: Path | None = arguments.previous
    if path is not None and not path.is_file():
        raise ConfigError(f"--previous {path}: there is no such file; name a run's plan.csv")
    if arguments.freeze and path is None:
        raise ConfigError("--freeze keeps lines of an earlier plan: name it with --previous")
    return path


def _expected_text(plan: Mapping[str, Any], reactive: Mapping[str, Any], target: float) -> str:
    committed = f"{plan['prealloc_value']:,.0f} committed."
    if plan["mean_minutes"] is None or reactive["mean_minutes"] is None:
        return f"No order that anybody can serve is expected; {committed}"
    return (
        f"An order is expected to take {plan['mean_minutes']:.1f} minutes instead of "
        f"{reactive['mean_minutes']:.1f}; {on_time(plan['on_time_share'], target)} on time instead "
        f"of {on_time(reactive['on_time_share'], target)}; {committed}"
    )


def _run_text(outcome: job.Outcome, warnings: list[str], target: float) -> str:
    plan, reactive = outcome.kpis["predicted"], outcome.kpis["reactive"]
    words = {
        "done": "Done.",
        "already_done": "Already done: the same inputs and as-of were planned before.",
        "dry_run": "Dry run: nothing was written.",
    }
    lines = [
        words[outcome.status],
        _expected_text(plan, reactive, target),
        *([f"{outcome.kpis['solver']['status'].capitalize()}."] if outcome.advice else []),
        *outcome.advice,
        *(f"Warning: {warning}" for warning in warnings),
    ]
    if outcome.run_dir is not None:
        lines.append(f"Open {outcome.run_dir / 'report.html'}")
    return "\n".join(lines)


def forecast(arguments: argparse.Namespace) -> Said:
    """Forecast a workspace or a long frame."""
    if arguments.out.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"--out {arguments.out}: write to a .parquet or a .csv file")
    target.check(arguments.out)
    kept = _kept(arguments.model)
    forecaster = forecast_panel if kept is None else kept.forecast
    of = _forecast_workspace if arguments.series is None else _forecast_series
    frame, models, peaks = of(arguments, forecaster)
    _save(frame, arguments.out)
    if kept is not None:
        _tell(arguments, [kept.words()], [])
    used = models_used(models)
    text = f"Wrote {len(frame):,} rows to {arguments.out}.\n" + "\n".join(
        f"  {count:,} series by {name}" for name, count in used.items()
    )
    if peaks is not None:
        text += f"\n{peaks:,} peaks expected."
    return {
        "out": str(arguments.out.resolve()),
        "rows": len(frame),
        "models": used,
        **({} if peaks is None else {"peaks": peaks}),
        **({} if kept is None else {"model": kept.as_json()}),
        "text": text,
    }


def _forecast_series(
    arguments: argparse.Namespace, forecaster: Forecaster
) -> tuple[pd.DataFrame, Array, None]:
    """Quantiles of a long frame, who forecast each series, and no peaks."""
    series.require_options(vars(arguments))
    with progress(quiet=arguments.quiet) as report:
        frame, models, notes = series.forecast_series(
            arguments.series,
            freq=arguments.freq,
            horizon=arguments.horizon,
            season=arguments.season,
            seed=arguments.seed,
            progress=report,
            forecaster=forecaster,
        )
    _tell(arguments, notes, [])
    return frame, models, None


def _forecast_workspace(
    arguments: argparse.Namespace, forecaster: Forecaster
) -> tuple[pd.DataFrame, Array, int]:
    """Quantiles of a workspace's demand, who forecast each product, and the number of peaks."""
    series.refuse_options(vars(arguments))
    workspace, as_of, inputs = _read(arguments)
    with progress(quiet=arguments.quiet) as report:
        demand = expect_demand(
            workspace,
            inputs,
            as_of,
            seed=arguments.seed,
            progress=report,
            forecaster=forecaster,
        )
    _tell(arguments, forecast_notes(workspace, demand.forecast), [])
    return demand.forecast.frame(), demand.forecast.model, len(demand.peaks)


def _kept(path: Path | None) -> KeptModel | None:
    if path is None:
        return None
    if not path.parent.is_dir():
        raise ConfigError(f"--model {path}: there is no folder {path.parent}; make it first")
    return KeptModel(path)


def _save(frame: pd.DataFrame, path: Path) -> None:
    with target.aside(path) as unfinished:
        if path.suffix == ".parquet":
            frame.to_parquet(unfinished, index=False)
        else:
            unfinished.write_text(csv_text(frame), encoding="utf-8")


def backtest(arguments: argparse.Namespace) -> Said:
    """Score every model on the past of a workspace or of a long frame."""
    asked = scoreboard.Asked(
        windows=arguments.windows, members=arguments.members, seed=arguments.seed
    )
    scoreboard.check(asked, arguments.out)
    target.check_place(arguments.out)
    if arguments.series is not None:
        series.require_options(vars(arguments))
        with progress(quiet=arguments.quiet) as report:
            panel = series.read_panel(
                arguments.series, freq=arguments.freq, season=arguments.season
            )
            scores = scoreboard.of_series(
                panel, arguments.horizon, asked, season=arguments.season, progress=report
            )
        _tell(arguments, series.gap_notes(panel), [])
    else:
        series.refuse_options(vars(arguments))
        workspace, as_of, inputs = _read(arguments)
        with progress(quiet=arguments.quiet) as report:
            scores = scoreboard.of_workspace(workspace, inputs, as_of, asked, progress=report)
    written = [] if arguments.out is None else scoreboard.save(scores, arguments.out)
    text = "\n".join([scoreboard.words(scores.board()), *(f"Wrote {path}" for path in written)])
    return {
        **scoreboard.as_json(scores),
        "out": [str(path.resolve()) for path in written],
        "text": text,
    }


def replay(arguments: argparse.Namespace) -> Said:
    """Serve orders under one or several plans."""
    workspace = load_workspace(arguments.workspace)
    asked = None if arguments.as_of is None else _as_of(arguments, workspace.timezone)
    result = comparison.compare(
        workspace,
        arguments.orders,
        arguments.plan,
        as_of=asked,
        now=_now(),
        seeds=range(arguments.seed, arguments.seed + arguments.seeds),
    )
    _tell(arguments, result.notes, _warnings({"orders to replay": result.counts}))
    plans = {name: figures.as_json() for name, figures in result.figures.items()}
    said = next(iter(plans.values())) if len(plans) == 1 else {"plans": plans}
    return {**said, "text": comparison.words(result, workspace)}


def evaluate(arguments: argparse.Namespace) -> Said:
    """Roll policies over past days."""
    standings.check(arguments.out)
    target.check_place(arguments.out)
    workspace = load_workspace(arguments.workspace)
    as_of = _as_of(arguments, workspace.timezone)
    with progress(quiet=arguments.quiet) as report:
        found = roll_policies(
            workspace,
            partial(read_workspace, workspace),
            as_of,
            days=arguments.days,
            seed=arguments.seed,
            progress=report,
        )
    _tell(arguments, found.notes, _warnings(job.counts(found.inputs)))
    text = standings.words(found, workspace.target_minutes)
    written = [] if arguments.out is None else standings.save(found, arguments.out, text)
    return {
        **standings.as_json(found),
        "out": [str(path.resolve()) for path in written],
        "text": "\n".join([text, *(f"Wrote {path}" for path in written)]),
    }


def ack(arguments: argparse.Namespace) -> Said:
    """Take in a supplier's answer."""
    workspace = load_workspace(arguments.workspace)
    known_at = None if arguments.as_of is None else _as_of(arguments, workspace.timezone)
    receipt = acks.acknowledge(workspace, arguments.file, known_at=known_at, now=_now)
    _tell(arguments, receipt.notes, [])
    return {**receipt.as_json(), "text": receipt.words()}


def runs(arguments: argparse.Namespace) -> Said:
    """List the ledger."""
    workspace = load_workspace(arguments.workspace)
    with open_book(workspace) as book:
        found = book.all()
    text = logbook.runs_words(found, workspace.timezone) if found else "No run yet: peakahead run"
    return {"runs": [vars(entry) for entry in found], "text": text}


def status(arguments: argparse.Namespace) -> Said:
    """Tell the last success and how old it is."""
    workspace = load_workspace(arguments.workspace)
    with open_book(workspace) as book:
        found = book.all()
        last = book.last_done()
        waiting = [] if last is None else book.unanswered(last.run_id)
        warnings = entries.missing(book, workspace.root / "runs")
    _tell(arguments, [], warnings)
    failed = found[0] if found and found[0].state != ledger.DONE else None
    age = None if last is None else (_now() - pd.Timestamp(last.finished_at)).total_seconds()
    return {
        "last_run": None if last is None else vars(last),
        "age_seconds": age,
        "last_failure": None if failed is None else vars(failed),
        "runs": len(found),
        "unanswered": waiting,
        "warnings": warnings,
        "text": logbook.status_words(last, age, failed, waiting),
    }


def suppliers(arguments: argparse.Namespace) -> Said:
    """Tell how each supplier has served of late."""
    workspace, as_of, inputs = _read(arguments)
    card = scorecard(
        inputs.orders,
        inputs.tables["suppliers"],
        job.answered(workspace, as_of),
        as_of=as_of,
        days=arguments.days,
        target_minutes=workspace.target_minutes,
    )
    rows = card.astype(object).where(card.notna(), None).to_dict("records")
    told = remarks(card, horizon=workspace.horizon)
    return {
        "as_of": as_of.isoformat(),
        "days": arguments.days,
        "suppliers": rows,
        "remarks": told,
        "text": "\n".join([card_words(card), *told]),
    }


def verify(arguments: argparse.Namespace) -> Said:
    """Check what runs have stored."""
    workspace = load_workspace(arguments.workspace)
    with progress(quiet=arguments.quiet) as report:
        found = audit(workspace, report)
    some = "1 run" if found.runs == 1 else f"{found.runs:,} runs"
    looked = f"{some}, {found.files:,} files and the ledger"
    told = [f"Checked {looked}: all is as it was stored."]
    if found.problems:
        told = [f"Checked {looked}; not as it was stored:", *(f"- {p}" for p in found.problems)]
    return {**vars(found), "text": "\n".join(told)}


def lab(arguments: argparse.Namespace) -> Said:
    """Open JupyterLab on the notebooks."""
    workspace = load_workspace(arguments.workspace)
    folder = Path(__file__).resolve().parent.parent / "notebooks"
    if importlib.util.find_spec("jupyterlab") is None or not folder.is_dir():
        raise ConfigError(
            "lab needs JupyterLab and the notebooks: get the source tree and install its 'lab' "
            "extra there (`make setup` does)"
        )
    environment = {"PLOTLY_RENDERER": KEPT, **os.environ}
    environment["PEAKAHEAD_WORKSPACE"] = str(workspace.root.resolve())
    command = [sys.executable, "-m", "jupyterlab", "--notebook-dir", str(folder)]
    code = subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
    if code:
        raise OSError(f"JupyterLab ended with exit code {code}; its own messages say why")
    return {"text": "JupyterLab has closed."}
