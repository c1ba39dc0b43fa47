"""The peers, each given the same task; runs in their environment and knows nothing of ours.

`python peers.py TASK.npz PEER` writes TASK.PEER.npz. Queues: minutes in the queue of each order
at one supplier, and the seconds that serving them took. Newsvendors: the best order.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

FAR = 1e9  # minutes: past every order


def ciw(at: np.ndarray, service: np.ndarray, channels: int) -> tuple[np.ndarray, float]:
    """Orders [M] at minutes `at` with the given service times; first come, first served."""
    import ciw as library

    class Given(library.dists.Distribution):
        def sample(self, t=None, ind=None):  # noqa: ARG002
            return minutes[ind.id_number - 1]

    class Gaps(library.dists.Distribution):
        """Each once; Ciw's own copies an iterator, which Python 3.12 warns of."""

        taken = 0

        def sample(self, t=None, ind=None):  # noqa: ARG002
            self.taken += 1
            return gaps[self.taken - 1]

    minutes = service.tolist()
    gaps = np.append(np.diff(at, prepend=0.0), FAR).tolist()
    started = time.perf_counter()
    network = library.create_network(
        arrival_distributions=[Gaps()],
        service_distributions=[Given()],
        number_of_servers=[channels],
    )
    simulation = library.Simulation(network)
    simulation.simulate_until_max_time(FAR / 2)
    seconds = time.perf_counter() - started
    wait = np.full(len(at), np.nan)
    for record in simulation.get_all_records():
        wait[record.id_number - 1] = record.waiting_time
    return wait, seconds


def simpy(at: np.ndarray, service: np.ndarray, channels: int) -> tuple[np.ndarray, float]:
    """The same with processes and a resource."""
    import simpy as library

    wait = [0.0] * len(at)
    arrivals, minutes = at.tolist(), service.tolist()
    world = library.Environment()
    desk = library.Resource(world, capacity=channels)

    def order(number: int):
        since = world.now
        with desk.request() as turn:
            yield turn
            wait[number] = world.now - since
            yield world.timeout(minutes[number])

    def source():
        for number, instant in enumerate(arrivals):
            yield world.timeout(instant - world.now)
            world.process(order(number))

    started = time.perf_counter()
    world.process(source())
    world.run()
    return np.array(wait), time.perf_counter() - started


def stockpyl() -> dict[str, float]:
    """Best orders of the newsvendors of known_inventory.py."""
    from stockpyl.newsvendor import newsvendor_discrete, newsvendor_normal, newsvendor_poisson

    pmf = dict(zip(range(1, 7), [0.2, 0.1, 0.1, 0.2, 0.3, 0.1], strict=True))
    return {
        "newsvendor N(50, 8)": newsvendor_normal(0.18, 0.70, 50, 8)[0],
        "newsvendor Poisson(50)": newsvendor_poisson(0.18, 0.70, 50)[0],
        "newsvendor Poisson(6)": newsvendor_poisson(1, 4, 6)[0],
        "newsvendor 1 to 6": newsvendor_discrete(5, 10, demand_pmf=pmf)[0],
    }


QUEUES = {"ciw": ciw, "simpy": simpy}


def main(task: Path, peer: str) -> None:
    answer = task.with_suffix(f".{peer}.npz")
    if peer == "stockpyl":
        np.savez(answer, **stockpyl())
        return
    given = np.load(task)
    wait, seconds = QUEUES[peer](given["at"], given["service"], int(given["channels"]))
    np.savez(answer, wait=wait, seconds=seconds)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
