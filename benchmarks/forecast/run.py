"""Our forecaster and its peers, side by side: python benchmarks/forecast/run.py BENCH.

BENCH is the folder of the public data sets; without one of them, that set is skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pandas as pd
from exchange import folder_of, write
from oracle import NAME as ORACLE
from ours import NAME
from packaged import system_python
from score import COLUMNS, FALLBACK, row
from sets import CACHE
from sources import SETS, load
from speed import DAYS, HORIZON, SIZES
from table import update

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results.csv"
SPEED = HERE / "speed.csv"
SPEED_COLUMNS = ["products", "days", "horizon", "seconds", "peak_rss_mb", "cores", "commit"]
PEERS = (
    FALLBACK,  # first: the others fall back to it
    "seasonal_naive_week",
    "flaircast",
    "mlforecast",
    "lightgbm",
    "mstl",
    "prophet",
    "auto_ets",
)
LIMIT = 300  # seconds a peer has for a set, shared by its origins
CALM = {"OMP_WAIT_POLICY": "PASSIVE"}  # threads that wait by spinning cost others their cores
SINGLE = CALM | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # peers name their threads


def commit() -> str:
    """Short commit of the working tree, with a + when a tracked file of it was changed."""
    try:
        head = subprocess.check_output(
            ["git", "rev-parse", "--short=12", "HEAD"], text=True, cwd=ROOT
        )
        changed = subprocess.check_output(
            ["git", "status", "--porcelain", "-uno", "--", "forecast", "benchmarks/forecast/*.py"],
            text=True,
            cwd=ROOT,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.strip() + ("+" if changed.strip() else "")


def environment() -> Path:
    """Python of the peers' own environment, made from peers.lock where it is missing or older."""
    home = CACHE / "peers"
    python, done = home / "bin" / "python", home / ".ready"
    lock = HERE / "peers.lock"
    if not done.exists() or done.read_text() != lock.read_text():
        print("Installing the peers into an environment of their own; it takes a minute.")
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", home], check=True)
        pip = [system_python(), "-m", "pip", "--python", python, "install", "--quiet"]
        subprocess.run([*pip, "--require-hashes", "-r", lock], check=True)
        done.write_text(lock.read_text())
    return python


def run_peer(peer: str, folder: Path, limit: float, version: str) -> None:
    """One peer on one set, ended when it takes much longer than it may."""
    facts = folder / f"{peer}.json"
    facts.unlink(missing_ok=True)
    command = [environment(), HERE / "peers.py", folder, peer, str(limit)]
    with (folder / f"{peer}.log").open("w") as log:
        try:
            subprocess.run(
                command,
                env=_clean() | SINGLE,
                stdout=log,
                stderr=log,
                check=True,
                timeout=3 * limit + 60,
            )
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            print(f"  {peer}: no result, see {log.name} ({type(error).__name__})")
            return
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"commit": version}))


def run_here(script: str, model: str, name: str, bench: Path, version: str) -> None:
    """A script of our own environment on one set: ours with its default settings, or the oracle."""
    print(f"{name}: {model}", flush=True)
    subprocess.run(
        [sys.executable, HERE / script, name, bench], env=_with_root() | CALM, check=True
    )
    facts = CACHE / "sets" / name / f"{model}.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"commit": version}))


def _clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}


def _with_root() -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": str(ROOT)}


def measure(name: str, options: argparse.Namespace, version: str) -> None:
    """One set: frames, forecasts, scores, CSV."""
    data = load(name, options.bench)
    if data is None:
        return
    folder = folder_of(data)
    if not (options.reuse and (folder / "task.json").exists()):
        write(data)
    for peer in [p for p in PEERS if p in options.peer]:
        if not (options.reuse and (folder / f"{peer}.json").exists()):
            print(f"{name}: {peer}", flush=True)
            run_peer(peer, folder, options.limit, version)
    if not options.peers_only:
        run_here("ours.py", NAME, name, options.bench, version)
        if name == "market":
            run_here("oracle.py", ORACLE, name, options.bench, version)
    there = [model for model in (NAME, ORACLE, *PEERS) if (folder / f"{model}.json").exists()]
    made = {"commit": version}  # of forecasts that don't say
    rows = pd.DataFrame([made | row(data, folder, model) for model in there])
    rows = rows.reindex(columns=COLUMNS)
    print(rows.drop(columns=["set", "commit"]).round(4).to_string(index=False), flush=True)
    keep(RESULTS, rows, ["set", "model"])


def keep(path: Path, rows: pd.DataFrame, key: list[str]) -> None:
    """Rows into the CSV, in the place of older ones with the same key."""
    if path.exists():
        old = pd.read_csv(path)
        known = pd.MultiIndex.from_frame(rows[key])
        rows = pd.concat([old[~pd.MultiIndex.from_frame(old[key]).isin(known)], rows])
    rows = rows.sort_values(key, kind="stable")
    rows.to_csv(path, index=False, float_format="%.5g", lineterminator="\n")


def measure_speed(version: str) -> None:
    """Ours on ever more products."""
    rows = []
    for products in SIZES:
        command = [sys.executable, HERE / "speed.py", str(products)]
        out = subprocess.run(
            command, env=_with_root() | CALM, check=True, stdout=subprocess.PIPE, text=True
        )
        facts = json.loads(out.stdout.splitlines()[-1])
        print(f"speed: {products:,} products, {facts['seconds']:.0f} s", flush=True)
        told = {"products": products, "days": DAYS, "horizon": HORIZON, "cores": os.cpu_count()}
        rows.append({**told, **facts, "commit": version})
    frame = pd.DataFrame(rows).reindex(columns=SPEED_COLUMNS)
    ratio = frame["seconds"].iloc[-1] / frame["seconds"].iloc[0]
    print(f"speed: {SIZES[-1] / SIZES[0]:g} times the products took {ratio:.2f} times as long")
    keep(SPEED, frame, ["products"])


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", type=Path, help="folder of the public data sets")
    parser.add_argument("--set", action="append", choices=[*SETS, "speed"], help="default: all")
    parser.add_argument("--peer", action="append", choices=[*PEERS, "none"], help="default: all")
    parser.add_argument("--reuse", action="store_true", help="keep peers' forecasts in .cache")
    parser.add_argument("--peers-only", action="store_true", help="leave ours as it is")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds a peer has for a set")
    options = parser.parse_args(words)
    options.peer = options.peer or list(PEERS)
    options.set = options.set or [*SETS, "speed"]
    return options


def main() -> None:
    options = options_of()
    options.bench = options.bench.resolve()
    version = commit()
    print(f"{version}, Python {platform.python_version()}, {os.cpu_count()} cores")
    for name in options.set:
        if name == "speed":
            measure_speed(version)
        else:
            measure(name, options, version)
    update()


if __name__ == "__main__":
    main()
