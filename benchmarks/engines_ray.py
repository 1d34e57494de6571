"""What a search costs in actors of Ray, how soon a stop is heard there, and what is lost when actors are killed.

    python benchmarks/engines_ray.py            # cost of a trial beside a task of Ray that does nothing, and latency
    python benchmarks/engines_ray.py --start    # from nothing to the first result of two slots
    python benchmarks/engines_ray.py --kill     # one of 4 actors killed every 2 s, for 60 s

The same measurements as engines.py makes of other engines. CPU times are those of the driver's process, and of all
processes together; Ray itself runs in processes of its own. Exit status 1: a state is wrong after actors were killed.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from engines import Recorded, cost, cpu, kill, nothing, ready, run, stops

from autohpo.execution.hosts.executor import HostedExecutor
from autohpo.objective import Objective


class Ray:
    """A Ray on this machine, which the benchmark may kill parts of.

    Attributes:
        name: As printed.
    """

    name = "ray"

    @contextlib.contextmanager
    def cluster(self, n_workers: int, n_threads: int = 1) -> Iterator[Any]:
        """A Ray with room for some actors, beside a task of its own for each."""
        from autohpo.execution.ray.cluster import Cluster

        cluster = Cluster("local", 2 * n_workers * n_threads, 0)
        try:
            yield cluster.ray
        finally:
            cluster.close()

    def executor(self, cluster: Any, n_slots: int, kind: type[HostedExecutor] | None = None) -> HostedExecutor:
        """Our executor in the Ray that this process is in."""
        from autohpo.execution.ray.executor import RayExecutor

        recorded = type("Recorded", (Recorded, RayExecutor), {})
        return recorded(n_slots=n_slots)

    def bare(self, cluster: Any, n: int, at_once: int) -> None:
        """Run tasks of Ray that do nothing, as many at once."""
        task = cluster.remote(max_retries=0)(lambda value: value)
        running = [task.remote(i) for i in range(at_once)]
        for i in range(n):
            done, running = cluster.wait(running)
            cluster.get(done)
            if i + at_once < n:
                running.append(task.remote(i))

    def pids(self, cluster: Any) -> list[int]:
        """The processes of the actors that run now; what they fork has their name for a moment."""
        found = []
        for daemon in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                for child in daemon.children() if daemon.name() == "raylet" else ():
                    with contextlib.suppress(psutil.Error, IndexError):
                        if child.cmdline()[0].startswith("ray::HostActor"):
                            found.append(child.pid)
        return found


def start() -> None:
    """From nothing to the first result in a Ray of our own, and to the end of it."""
    from autohpo.execution.ray.executor import RayExecutor

    before, began = cpu(), time.monotonic()
    executor = RayExecutor("local", n_slots=2)
    executor.open(Objective.of(nothing()), lambda _: True)
    try:
        started = time.monotonic()
        ready(executor, 2)
        came = time.monotonic()
        run(executor, 2)
        ended, after = time.monotonic(), cpu()
    finally:
        executor.close()
    steps = {"Ray": started - began, "two slots": came - started, "two trials": ended - came}
    steps["the end"] = time.monotonic() - ended
    print(", ".join(f"{step} {seconds:.1f} s" for step, seconds in steps.items()))
    print(f"until the last result {after[0] - before[0]:.2f} s CPU here, {after[1] - before[1]:.2f} s in all processes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400, help="trials of each of three runs (default: 400)")
    parser.add_argument("--start", action="store_true", help="how long a search takes to begin")
    parser.add_argument("--kill", action="store_true", help="kill actors")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long actors are killed (default: 60)")
    options = parser.parse_args()
    engine: Any = Ray()
    if options.kill:
        sys.exit(0 if kill(engine, options.seconds, options.trials) else 1)
    if options.start:
        start()
    else:
        cost(engine, options.trials)
        stops(engine)


if __name__ == "__main__":
    main()
