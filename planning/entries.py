"""Run folders entered in the ledger: at the end of a run, or later where the ledger misses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from planning import ledger, store
from planning.digest import sha256

READ = ("plan.csv", "kpis.json")  # what the ledger takes from a folder, beside the manifest
SHOWN = 3  # folders that a note names


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a file of a run holds."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def enter(book: ledger.Ledger, folder: Path, finished: pd.Timestamp) -> None:
    """Enter the run that lies in a folder, with its lines and its requests."""
    manifest = read_json(folder / "manifest.json")
    predicted = read_json(folder / "kpis.json")["predicted"]
    entry = ledger.Run(
        run_id=manifest["run_id"],
        as_of=manifest["as_of"],
        finished_at=finished.isoformat(),
        seed=manifest["seed"],
        state=ledger.DONE,
        manifest_sha256=sha256(folder / "manifest.json"),
        mean_minutes=predicted["mean_minutes"],
        on_time_share=predicted["on_time_share"],
        prealloc_value=predicted["prealloc_value"],
    )
    text = pd.read_csv(folder / "plan.csv", dtype=str, keep_default_na=False)
    book.record(entry, text.astype({"units": "int64", "unit_cost": "float64"}))


def enter_unknown(book: ledger.Ledger, runs: Path, now: pd.Timestamp) -> list[str]:
    """Enter the folders of `runs` that the ledger misses, and tell of it; hold the lock.

    It misses one after a crash or a fault between the rename of the folder and its entry, and all
    of them when its database was lost or another one is named.
    """
    unknown = _unknown(book, runs)
    whole = [folder for folder in unknown if store.as_written(folder, READ)]
    for folder in whole:
        written = (folder / "manifest.json").stat().st_mtime
        finished = pd.Timestamp(written, unit="s", tz="UTC").floor("s")
        enter(book, folder, min(finished, now))
    changed = [each for each in unknown if each not in whole]
    return [*(_told_entered(whole) or _told_lost(book)), *_told_changed(changed)]


def missing(book: ledger.Ledger, runs: Path) -> list[str]:
    """What `enter_unknown` would have to tell, nothing written."""
    found = _unknown(book, runs)
    if not found:
        return _told_lost(book)
    return [
        f"the ledger does not know all runs in runs/ ({_listed(found)}), nor answers to them: "
        "`peakahead run` enters them, then run `peakahead ack` again for the files of answers"
    ]


def _unknown(book: ledger.Ledger, runs: Path) -> list[Path]:
    """Folders of runs that the ledger misses; a copy under another name is none."""
    done = {run.run_id for run in book.all() if run.state == ledger.DONE}
    here = [path.parent for path in sorted(runs.glob("[!.]*/manifest.json"))]
    return [folder for folder in here if folder.name not in done and _is_run(folder)]


def _is_run(folder: Path) -> bool:
    try:
        return bool(read_json(folder / "manifest.json").get("run_id") == folder.name)
    except (ValueError, AttributeError):
        return True  # one whose manifest was changed


def _told_lost(book: ledger.Ledger) -> list[str]:
    lost = book.lost()
    return [] if lost is None else [lost]


def _told_entered(folders: list[Path]) -> list[str]:
    if not folders:
        return []
    some = (
        "1 run whose folder lies"
        if len(folders) == 1
        else f"{len(folders):,} runs whose folders lie"
    )
    return [
        f"the ledger did not know {some} in runs/ ({_listed(folders)}): entered now; answers that "
        "suppliers gave to them before are not known, run `peakahead ack` again for their files"
    ]


def _told_changed(folders: list[Path]) -> list[str]:
    if not folders:
        return []
    some = "1 folder" if len(folders) == 1 else f"{len(folders):,} folders"
    return [
        f"{some} of runs that the ledger does not know were changed since they were written, and "
        f"are not entered ({_listed(folders)}): `peakahead verify` names what was changed"
    ]


def _listed(folders: list[Path]) -> str:
    names = ", ".join(folder.name for folder in folders[:SHOWN])
    return names + (" …" if len(folders) > SHOWN else "")
