"""Whether what runs have stored is still as they stored it: files, manifests, the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from planning import ledger, store
from planning.connection import file_of
from planning.digest import sha256
from planning.ownership import open_book
from planning.workspace import Workspace

Progress = Callable[[str, float], None]
Entries = dict[str, str | None]  # run_id -> hash of its manifest, None of a failed run


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was looked at, and what is not as it was."""

    runs: int
    files: int
    problems: list[str]  # in words, each with the file or the record


def audit(workspace: Workspace, progress: Progress) -> Audit:
    """Hash every file of every run, and hold it against its manifest, that against the ledger.

    Raises
    ------
    planning.ledger.StoreUnavailable
        When the ledger's server can't be reached.
    """
    entries, problems = _ledger(workspace)
    home = workspace.root / "runs"
    folders = sorted(
        path for path in home.glob("*") if not path.name.startswith((store.ASIDE, store.REPLACED))
    )
    files = 0
    for number, folder in enumerate(folders):
        progress("verify", number / len(folders))
        name = folder.relative_to(workspace.root).as_posix()
        files += len(store.files_in(folder))
        problems += [f"{name}/{told}" for told in _folder(folder, entries)]
    missing = [run for run, sha in (entries or {}).items() if sha and not (home / run).is_dir()]
    problems += [f"runs/{run}: the ledger has this run, its folder is gone" for run in missing]
    progress("verify", 1.0)
    return Audit(runs=len(folders), files=files, problems=problems)


def _ledger(workspace: Workspace) -> tuple[Entries | None, list[str]]:
    """Runs with the hash of their manifest, and what is wrong with the ledger itself.

    None where it can't be read.
    """
    file = _ledger_file(workspace)
    try:
        with open_book(workspace) as book:
            entries = {run.run_id: run.manifest_sha256 for run in book.all()}
            return entries, [f"{file}: {told}" if file else told for told in book.broken()]
    except ledger.StoreUnavailable as error:
        if file is None:
            raise
        return None, [f"{file}: the ledger can't be read to its end: {error}"]


def _ledger_file(workspace: Workspace) -> str | None:
    """The file that the ledger is, seen from the workspace; None: it is no file."""
    path = file_of(workspace.store_url)
    if path is None:
        return None
    inside = path.is_relative_to(workspace.root)
    return (path.relative_to(workspace.root) if inside else path).as_posix()


def _folder(folder: Path, entries: Entries | None) -> list[str]:
    """What is wrong with a run's folder; begins with the file's name."""
    path, problems = folder / "manifest.json", store.differences(folder)
    if entries is None or not path.is_file():
        return problems
    if folder.name not in entries:
        return ["manifest.json: the ledger has no such run", *problems]
    if entries[folder.name] is None:
        return ["manifest.json: the ledger has this run as failed only", *problems]
    if entries[folder.name] != sha256(path):
        return ["manifest.json: is not as it was written", *problems]
    return problems
