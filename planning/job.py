"""The scheduled job: read, validate, forecast, find peaks, plan, check, store, export, report."""

from __future__ import annotations

import csv
import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from planning import entries, ledger, store
from planning.committed import NOBODY, answers_sha256, bearing
from planning.decide import (
    Before,
    Decision,
    NoPlanPossible,
    Progress,
    decide,
    models_used,
)
from planning.digest import sha256
from planning.exports import csv_text, write_exports
from planning.masking import masked
from planning.notes import notes_of
from planning.ownership import open_book
from planning.report import report_page
from planning.rules import RuleBroken
from planning.tables import InputRefused, Inputs, fingerprint, read_plan, read_workspace
from planning.workspace import Workspace

FAILURES = (InputRefused, NoPlanPossible, RuleBroken)  # that say themselves what to do
PACKAGES = ("peakahead", "lightgbm", "numpy", "pandas", "pyarrow")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One run that somebody asks for."""

    workspace: Workspace
    as_of: pd.Timestamp
    seed: int = 0
    dry_run: bool = False
    previous: Path | None = None  # a plan.csv that the new plan should stay near to
    freeze_minutes: float = 0.0  # its lines to be ordered within this are kept
    answered: pd.DataFrame = field(default_factory=NOBODY.copy)  # of `committed.bearing`


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What `peakahead run` says of itself."""

    run_id: str
    run_dir: Path | None  # None after a dry run
    status: str  # done, already_done or dry_run
    kpis: Mapping[str, Any]
    timings: Mapping[str, float]
    counts: Mapping[str, Mapping[str, int]]
    notes: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # what was wrong in the workspace before

    def as_json(self) -> dict[str, Any]:
        """JSON-ready, paths as text."""
        return {**asdict(self), "run_dir": str(self.run_dir) if self.run_dir else None}


class Stopwatch:
    """Seconds spent in each step of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a block under `name`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - started, 3)


def run_id_of(request: Request, hashes: Mapping[str, str]) -> str:
    """Equal inputs, configuration, as-of, seed and version have one id."""
    what = {
        "version": metadata.version("peakahead"),
        "config": request.workspace.config_sha256,
        "inputs": dict(sorted(hashes.items())),
        "as_of": request.as_of.isoformat(),
        "seed": request.seed,
    }
    if request.previous is not None:
        what["previous"] = sha256(request.previous)
        what["freeze"] = request.freeze_minutes
    if len(request.answered):
        what["answered"] = answers_sha256(request.answered)
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    return f"{request.as_of.tz_convert('UTC'):%Y%m%dT%H%M%SZ}-{digest[:12]}"


def run(request: Request, progress: Progress, now: Callable[[], pd.Timestamp]) -> Outcome:
    """Do the whole job once; a second time with the same inputs finds it done.

    Raises
    ------
    planning.store.LockHeld
        When another run is at work in the workspace.
    planning.tables.InputRefused
        When a table can't be trusted as a whole; nothing was written.
    planning.ledger.StoreUnavailable
        When the ledger can't be reached; a run folder already in place is entered next time.
    OSError
        When the workspace can't be written.
    """
    if request.dry_run:
        return _dry_run(request, progress)
    workspace = request.workspace
    runs = workspace.root / "runs"
    with store.lock(workspace.root):
        with open_book(workspace, write=True) as book:
            request = _around(request, book.answered(request.as_of))
            store.prepare(runs)
            told = entries.enter_unknown(book, runs, now())
            expected = _expected_id(request)
            outcome = _already_done(book, runs / expected)
        if outcome is None:
            with _failures_recorded(request, expected, now):
                outcome = _computed(request, progress)
            told += _enter(request, runs / outcome.run_id, now())
    return replace(outcome, warnings=[*told, *outcome.warnings])


def _computed(request: Request, progress: Progress) -> Outcome:
    """Compute the run and put its folder in place."""
    runs, watch = request.workspace.root / "runs", Stopwatch()
    inputs, decision = _work(request, progress, watch)
    run_id = run_id_of(request, inputs.hashes)  # of what was read, should a file have changed
    warnings = _replaced(runs, run_id)
    with store.staged(runs, run_id) as aside:
        with watch.step("write"):
            _write(aside, request, inputs, decision)
        manifest = _manifest(aside, request, inputs, decision, run_id, watch)
        store.write_json(aside / "manifest.json", manifest)
    return replace(_outcome("done", runs / run_id, manifest), warnings=warnings)


def _replaced(runs: Path, run_id: str) -> list[str]:
    """What to tell of a folder that the run takes the place of."""
    old = store.spare(runs, run_id)
    if old is None:
        return []
    why = next(iter(store.differences(runs / run_id)), "manifest.json: is not as it was written")
    return [
        f"runs/{run_id} was changed since it was written ({why}), so it is written anew; what was "
        f"there lies in runs/{old.name}: delete that when nothing in it is needed"
    ]


@contextmanager
def _failures_recorded(
    request: Request, run_id: str, now: Callable[[], pd.Timestamp]
) -> Iterator[None]:
    """Enter in the ledger why a run failed, be it while computing or while writing."""
    try:
        yield
    except Exception as error:
        told = "" if isinstance(error, FAILURES) else f"{type(error).__name__}: "
        entry = ledger.Run(
            run_id=run_id,
            as_of=request.as_of.isoformat(),
            finished_at=now().isoformat(),
            seed=request.seed,
            state=ledger.FAILED,
            error=masked(f"{told}{error}"),
        )
        # What broke the run, a full disk for one, may break this as well; it is what must be told.
        with (
            suppress(ledger.StoreUnavailable, OSError),
            open_book(request.workspace, write=True) as book,
        ):
            book.fail(entry)
        raise


def _enter(request: Request, folder: Path, finished: pd.Timestamp) -> list[str]:
    """Enter a run; what to tell of answers that came while it was at work."""
    try:
        with open_book(request.workspace, write=True) as book:
            entries.enter(book, folder, finished)
            now = _around(request, book.answered(request.as_of)).answered
    except ledger.StoreUnavailable as error:
        raise ledger.StoreUnavailable(
            f"{error}\nThe run itself is whole, in {folder}: the next `peakahead run` enters it in "
            "the ledger"
        ) from error
    if answers_sha256(now) == answers_sha256(request.answered):
        return []
    return [
        "a supplier's answer was taken in while this run was at work, and it is planned without "
        "it: run again before its exports are sent, or goods may be asked for twice"
    ]


def _around(request: Request, answered: pd.DataFrame) -> Request:
    """The request with what suppliers have answered that matters at its as-of."""
    return replace(request, answered=bearing(answered, request.as_of))


def answered(workspace: Workspace, as_of: pd.Timestamp) -> pd.DataFrame:
    """Lines that suppliers have answered by as-of (`requests.ANSWERED`); writes nothing."""
    with open_book(workspace) as book:
        return book.answered(as_of)


def _work(request: Request, progress: Progress, watch: Stopwatch) -> tuple[Inputs, Decision]:
    progress("read", 0.0)
    with watch.step("read"):
        inputs = read_workspace(request.workspace, request.as_of)
    progress("read", 1.0)
    with watch.step("decide"):
        decision = decide(
            request.workspace,
            inputs,
            request.as_of,
            seed=request.seed,
            progress=progress,
            before=_before(request),
            answered=request.answered,
        )
    return inputs, decision


def _before(request: Request) -> Before | None:
    if request.previous is None:
        return None
    return Before(
        lines=read_plan(request.previous, request.workspace),
        freeze=pd.Timedelta(minutes=request.freeze_minutes),
    )


def _dry_run(request: Request, progress: Progress) -> Outcome:
    watch = Stopwatch()
    with open_book(request.workspace) as book:
        warnings = entries.missing(book, request.workspace.root / "runs")
        request = _around(request, book.answered(request.as_of))
    inputs, decision = _work(request, progress, watch)
    return Outcome(
        run_id=run_id_of(request, inputs.hashes),
        run_dir=None,
        status="dry_run",
        kpis=kpis(decision),
        timings=watch.seconds,
        counts=counts(inputs),
        notes=notes_of(request.workspace, inputs, decision),
        advice=decision.sensitivity.advice,
        warnings=warnings,
    )


def kpis(decision: Decision) -> dict[str, Any]:
    """The content of kpis.json."""
    solution = decision.solution
    seconds = solution.seconds + decision.sensitivity.seconds
    return {
        "predicted": solution.predicted.kpis(),
        "reactive": solution.reactive.kpis(),
        "solver": {
            "status": solution.status,
            "objective": solution.objective,
            "bound": solution.bound,
            "gap": solution.gap,
            "seconds": round(seconds, 3),
        },
    }


def counts(inputs: Inputs) -> dict[str, dict[str, int]]:
    """What became of every row read, table by table."""
    return {name: asdict(count) for name, count in inputs.counts.items()}


def _write(folder: Path, request: Request, inputs: Inputs, decision: Decision) -> None:
    """Every file of a run but its manifest."""
    workspace = request.workspace
    decision.demand.forecast.frame().to_parquet(folder / "forecast.parquet", index=False)
    (folder / "peaks.csv").write_text(csv_text(decision.demand.peaks), encoding="utf-8")
    (folder / "plan.csv").write_text(csv_text(decision.lines), encoding="utf-8")
    bound = decision.committed.lines
    (folder / "committed.csv").write_text(csv_text(bound), encoding="utf-8")
    (folder / "plan_reasons.csv").write_text(csv_text(decision.details), encoding="utf-8")
    helps = decision.sensitivity
    (folder / "shadow_prices.csv").write_text(csv_text(helps.prices), encoding="utf-8")
    (folder / "frontier.csv").write_text(csv_text(helps.frontier), encoding="utf-8")
    cleaning = decision.demand.forecast.cleaning
    if cleaning is not None:
        (folder / "cleaning.csv").write_text(csv_text(cleaning), encoding="utf-8")
    store.write_json(folder / "kpis.json", kpis(decision))
    (folder / "exports").mkdir()
    write_exports(
        folder / "exports",
        decision.lines,
        products=inputs.tables["products"],
        suppliers=inputs.tables["suppliers"],
        as_of=request.as_of,
        formats=workspace.export_formats,
        language=workspace.language,
    )
    (folder / "quarantine").mkdir()
    for table, rows in inputs.quarantine.items():
        rows.to_csv(folder / "quarantine" / f"{table}.csv", index=False, lineterminator="\n")
    page = report_page(decision, inputs, request.as_of, workspace)
    (folder / "report.html").write_text(page, encoding="utf-8")


def _rows(path: Path) -> int | None:
    """Rows of a table file; None for files that are no tables."""
    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as handle:
            return sum(1 for _ in csv.reader(handle)) - 1
    return None


def _manifest(
    folder: Path,
    request: Request,
    inputs: Inputs,
    decision: Decision,
    run_id: str,
    watch: Stopwatch,
) -> dict[str, Any]:
    """What went in, what came out, and how long it took."""
    return {
        "run_id": run_id,
        "as_of": request.as_of.isoformat(),
        "seed": request.seed,
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "config_sha256": request.workspace.config_sha256,
        "inputs": {
            name: {"sha256": digest, "rows": inputs.rows[name]}
            for name, digest in inputs.hashes.items()
        },
        "outputs": {
            path.relative_to(folder).as_posix(): {"sha256": sha256(path), "rows": _rows(path)}
            for path in store.files_in(folder)
        },
        "counts": counts(inputs),
        "models": models_used(decision.demand.forecast.model),
        "provisional_years": list(decision.demand.forecast.provisional),
        "notes": notes_of(request.workspace, inputs, decision),
        "advice": decision.sensitivity.advice,
        "timings": watch.seconds,
    }


def _outcome(status: str, folder: Path, manifest: Mapping[str, Any]) -> Outcome:
    return Outcome(
        run_id=manifest["run_id"],
        run_dir=folder,
        status=status,
        kpis=entries.read_json(folder / "kpis.json"),
        timings=manifest["timings"],
        counts=manifest["counts"],
        notes=manifest["notes"],
        advice=manifest.get("advice", []),
    )


def _already_done(book: ledger.Ledger, folder: Path) -> Outcome | None:
    """The finished run in this folder; None where there is none, or somebody has changed it since.

    A folder is renamed into place only when it is whole, so its presence means that the run was
    finished.
    """
    if store.differences(folder):
        return None
    entry = book.find(folder.name)
    if entry is None or entry.manifest_sha256 != sha256(folder / "manifest.json"):
        return None
    return _outcome("already_done", folder, entries.read_json(folder / "manifest.json"))


def _expected_id(request: Request) -> str:
    """The id that a run will have; of the request alone when an input can't even be hashed."""
    try:
        return run_id_of(request, fingerprint(request.workspace))
    except InputRefused:  # reading will name what is wrong with every table, not with the first
        return run_id_of(request, {})
