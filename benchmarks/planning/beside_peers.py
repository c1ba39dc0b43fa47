"""Our queue beside Ciw and SimPy, our newsvendors beside stockpyl: the same tasks, one core."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from known_queues import waits
from results import CACHE, HERE

from planning.problem import Array
from planning.spot import service_noise

QUEUES = ("ciw", "simpy")
SIZES = ((20_000, 1), (20_000, 8), (20_000, 64))  # orders, channels
LOAD, MINUTES = 0.9, 3.0
REPEATS = 5


def environment() -> Path:
    """Python of the peers' own environment, made from peers.lock where it is missing or older."""
    home = CACHE / "planning-peers"
    python, done = home / "bin" / "python", home / ".ready"
    lock = HERE / "peers.lock"
    if not done.exists() or done.read_text() != lock.read_text():
        print("Installing the peers into an environment of their own; it takes a minute.")
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", home], check=True)
        base = getattr(sys, "_base_executable", None) or sys.executable  # ours may have no pip
        pip = [base, "-m", "pip", "--python", python, "install", "--quiet"]
        subprocess.run([*pip, "--require-hashes", "-r", lock], check=True)
        done.write_text(lock.read_text())
    return python


def ask(peer: str, **task: object) -> dict[str, Array]:
    """What a peer answers."""
    place = CACHE / "planning.npz"
    place.parent.mkdir(parents=True, exist_ok=True)
    np.savez(place, **task)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([environment(), HERE / "peers.py", place, peer], check=True, env=clean)
    with np.load(place.with_suffix(f".{peer}.npz")) as found:
        return {name: found[name] for name in found.files}


def task_of(orders: int, channels: int) -> tuple[Array, Array]:
    """Minutes of arrival and service-time factors [M]."""
    rng = np.random.default_rng([orders, channels])
    at = np.cumsum(rng.exponential(MINUTES / (channels * LOAD), orders))
    return at, service_noise(rng, orders)


def ours(at: Array, noise: Array, channels: int) -> tuple[Array, float]:
    """Waits [M] and the best seconds of several passes, compilation left out."""
    seconds = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        wait = waits(at * 60, MINUTES, channels, noise)
        seconds.append(time.perf_counter() - started)
    return wait, min(seconds[1:])


def queues(peers: tuple[str, ...] = QUEUES) -> pd.DataFrame:
    """Orders a second of everybody, and how far the peers' waits are from ours."""
    rows = []
    for orders, channels in SIZES:
        at, noise = task_of(orders, channels)
        wait, seconds = ours(at, noise, channels)
        task = {"orders": orders, "channels": channels}
        rows.append({**task, "simulator": "peakahead", "seconds": seconds, "farthest_wait": 0.0})
        for peer in peers:
            found = ask(peer, at=at, service=MINUTES * noise, channels=channels)
            apart = float(np.abs(found["wait"] - wait).max())
            told = {"simulator": peer, "seconds": float(found["seconds"]), "farthest_wait": apart}
            rows.append({**task, **told})
    frame = pd.DataFrame(rows)
    return frame.assign(orders_per_second=(frame["orders"] / frame["seconds"]).round())


def newsvendors() -> dict[str, float]:
    """What stockpyl orders, by instance."""
    return {name: float(units) for name, units in ask("stockpyl").items()}
