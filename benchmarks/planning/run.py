"""The planner's benchmarks: python benchmarks/planning/run.py [--part known] [--part small] ..."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import beside_peers
import known_inventory
import known_queues
import markets
import others
import pandas as pd
import readme
import replay_speed
import small_exact
from results import HERE, ROOT, commit, keep
from scale import MEMORY

PATHS = 200
SIZES = (1_000, 10_000, 50_000)  # products
SECONDS = 600  # a size has; issue 4 asks for 60 with 10,000 products


def known(options: argparse.Namespace) -> None:
    """(a) Queues and newsvendors with known answers."""
    rows = [*known_queues.peaks(), *known_queues.stationary(), *known_inventory.classics()]
    rows += [*known_inventory.order_statistics(), *known_inventory.four_items()]
    frame = pd.DataFrame(rows)
    theirs = beside_peers.newsvendors() if options.peers else {}
    frame["stockpyl"] = frame["instance"].map(theirs)
    print(frame.to_string(index=False))
    keep(HERE / "known.csv", frame, ["instance", "measure"])


def small(options: argparse.Namespace) -> None:
    """(b) Small instances beside a monolithic mixed-integer program."""
    frame = small_exact.measure(range(options.seeds))
    keep(HERE / "small.csv", frame, ["kind", "seed"])


def scale(options: argparse.Namespace) -> None:
    """(c) Ever more products."""
    for products in options.products:
        facts = plan_of(products, PATHS)
        print(f"{products:,} products, {PATHS} paths: {facts}", flush=True)
        frame = pd.DataFrame([{"products": products, "paths": PATHS} | facts])
        keep(HERE / "scale.csv", frame.reindex(columns=SCALE_COLUMNS), ["products", "paths"])


SCALE_COLUMNS = [
    "products",
    "paths",
    "orders_a_path",
    "seconds",
    "peak_rss_mb",
    "input_rss_mb",
    "gap",
    "lines",
    "reactive_minutes",
    "plan_minutes",
    "status",
]


def plan_of(products: int, paths: int, *, limit: float = SECONDS) -> dict[str, object]:
    """Figures of one size; where it takes too long or too much, `status` says so."""
    command = [sys.executable, HERE / "scale.py", str(products), str(paths)]
    try:
        done = subprocess.run(
            command,
            env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return {"status": f"did not finish in {limit:g} s"}
    except subprocess.CalledProcessError as error:
        return {"status": f"ended with {error.returncode}, allowed {MEMORY / 2**30:g} GiB"}
    return json.loads(done.stdout.splitlines()[-1])


def speed(options: argparse.Namespace) -> None:
    """(d) Orders a second of the replay, by itself and beside simulators."""
    replay_speed.main()
    frame = beside_peers.queues(beside_peers.QUEUES if options.peers else ())
    print(frame.to_string(index=False))
    keep(HERE / "queue_peers.csv", frame, ["orders", "channels", "simulator"])


def sample(options: argparse.Namespace) -> None:
    """(e) Whole markets: forecast, plan and the days that followed."""
    whole(markets.sample_markets(range(options.markets)))
    if options.bench:
        whole([("online_retail", options.bench / "online_retail")])


def other(options: argparse.Namespace) -> None:
    """(f) Whole markets by another generator."""
    whole(others.other_markets(range(options.others)))


def whole(folders: Iterable[tuple[str, Path]]) -> None:
    """Rows of the markets in these folders."""
    for name, root in folders:
        frame = markets.measure(name, root)
        print(frame.to_string(index=False), flush=True)
        keep(HERE / "markets.csv", frame, ["market", "policy"])


PARTS = {
    "known": known,
    "small": small,
    "scale": scale,
    "speed": speed,
    "markets": sample,
    "others": other,
}


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--seeds", type=int, default=4, help="small instances of each kind")
    parser.add_argument("--products", type=int, action="append", help="sizes of part scale")
    parser.add_argument("--markets", type=int, default=5, help="seeds of part markets")
    parser.add_argument("--others", type=int, default=1, help="seeds of each kind of part others")
    parser.add_argument("--bench", type=Path, help="folder of the public sets, for online_retail")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="ours alone")
    options = parser.parse_args(words)
    options.part = options.part or list(PARTS)
    options.products = options.products or list(SIZES)
    return options


def main() -> None:
    options = options_of()
    print(f"{commit()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    for part in options.part:
        PARTS[part](options)
        readme.update()


if __name__ == "__main__":
    main()
