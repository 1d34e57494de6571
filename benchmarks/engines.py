"""What a search costs on a cluster engine, how soon a stop is heard there, and what is lost when its workers die.

    python benchmarks/engines.py --engine dask               # cost of a trial beside the engine's own task, and latency
    python benchmarks/engines.py --engine dask --kill        # one of 4 workers killed every 2 s, for 60 s
    python benchmarks/engines.py --engine dask --many 200    # as many workers on one driver
    python benchmarks/engines.py --engine dask --large 50    # an objective of 50 MB for 8 workers

CPU times are those of the driver's process, in which the scheduler of the engine runs, too, and of all processes
together; what a run costs to begin is left out. Exit status 1: a state is wrong after workers were killed.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import contextlib
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from autohpo import RangeHP, build_hpo_from_name
from autohpo.execution.hosts.executor import HostedExecutor
from autohpo.objective import Objective
from autohpo.testing import wrong_states
from autohpo.trial import Task, TrialState

SPACE = [RangeHP(f"x{i}", 0.0, 1.0) for i in range(10)]


class Dask:
    """A cluster of dask on this machine, which the benchmark may kill parts of.

    Attributes:
        name: As printed.
    """

    name = "dask"

    @contextlib.contextmanager
    def cluster(self, n_workers: int, n_threads: int = 1) -> Iterator[Any]:
        """A cluster of worker processes."""
        import dask
        from distributed import LocalCluster

        dask.config.set({"distributed.deploy.lost-worker-timeout": "5m"})  # on a busy machine a start takes its time
        with LocalCluster(
            n_workers=n_workers,
            threads_per_worker=n_threads,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=60,
        ) as cluster:
            yield cluster

    def executor(self, cluster: Any, n_slots: int, kind: type[HostedExecutor] | None = None) -> HostedExecutor:
        """Our executor on a cluster."""
        from autohpo.execution.dask.executor import DaskExecutor

        recorded = type("Recorded", (Recorded, DaskExecutor), {})
        return recorded(cluster, n_slots=n_slots)

    def bare(self, cluster: Any, n: int, at_once: int) -> None:
        """Run tasks of the engine that do nothing, as many at once."""
        from distributed import Client, as_completed

        with Client(cluster, set_as_default=False) as client:
            done = as_completed([client.submit(abs, -i, pure=False) for i in range(at_once)], loop=client.loop)
            for i, future in enumerate(done):
                future.result()
                if i + at_once < n:
                    done.add(client.submit(abs, -i, pure=False))

    def call(self, cluster: Any, function: Callable[..., Any], *given: Any) -> None:
        """Call a function in each worker process."""
        from distributed import Client

        with Client(cluster, set_as_default=False) as client:
            client.run(function, *given)

    def pids(self, cluster: Any) -> list[int]:
        """The processes of the workers that run now; a nanny whose worker is killed while it starts gives up."""
        there = set(cluster.scheduler.workers)
        return [nanny.pid for nanny in list(cluster.workers.values()) if nanny.pid and nanny.worker_address in there]


ENGINES = {"dask": Dask}


class Recorded:
    """Notes what an executor delivers."""

    def open(self, objective: Objective, on_report: Callable[[Any], bool]) -> None:
        """Open it, and note its reports."""
        self.delivered: list[Any] = []

        def take(event: Any) -> bool:
            self.delivered.append(event)
            return on_report(event)

        super().open(objective, take)  # type: ignore[misc]

    def poll(self, timeout_seconds: float) -> list[Any]:
        """Poll it, and note its events."""
        events = super().poll(timeout_seconds)  # type: ignore[misc]
        self.delivered += events
        return events


def cpu() -> tuple[float, float]:
    """CPU seconds of this process, and of it with all that it has started and that runs."""
    own = sum(psutil.Process().cpu_times()[:2])
    rest = 0.0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            rest += sum(child.cpu_times()[:2])
    return own, own + rest


def nothing() -> Callable[[dict[str, Any]], float]:
    """An objective that is pickled by value, so that workers do not import this file."""
    return lambda hps: hps["x0"]


def ready(executor: Any, n: int) -> None:
    """Wait for slots."""
    while len(executor.slots()) < n:
        executor.poll(0.1)


def cost(engine: Any, n: int, at_once: int = 2) -> None:
    """CPU of a trial and of a bare task, in turns on one cluster; medians of three."""
    found: dict[str, list[tuple[float, float, float]]] = {"bare": [], "trial": []}
    with engine.cluster(at_once) as cluster:
        engine.bare(cluster, 100, at_once)
        for _ in range(3):
            before, began = cpu(), time.perf_counter()
            engine.bare(cluster, n, at_once)
            found["bare"].append(per(n, before, began))
            executor = engine.executor(cluster, at_once)
            executor.open(Objective.of(nothing()), lambda _: True)
            try:
                ready(executor, at_once)
                run(executor, 20)
                before, began = cpu(), time.perf_counter()
                run(executor, n)
                found["trial"].append(per(n, before, began))
            finally:
                executor.close()
    rows = {kind: [median(column) for column in zip(*rows, strict=True)] for kind, rows in found.items()}
    for kind, (driver, every, wall) in rows.items():
        print(f"{kind:8s} driver {driver:6.2f} ms CPU, all {every:6.2f} ms CPU, {wall:6.2f} ms on the clock")
    beyond = [ours - bare for ours, bare in zip(rows["trial"], rows["bare"], strict=True)]
    print(f"beyond   driver {beyond[0]:6.2f} ms CPU, all {beyond[1]:6.2f} ms CPU")


def per(n: int, before: tuple[float, float], began: float) -> tuple[float, float, float]:
    """Milliseconds of one of n: CPU of this process and of all, and on the clock."""
    wall, after = time.perf_counter() - began, cpu()
    return (after[0] - before[0]) / n * 1e3, (after[1] - before[1]) / n * 1e3, wall / n * 1e3


def run(executor: Any, n: int) -> None:
    """Run trials in all slots, each as soon as one is free."""
    free, begun, ended = [*executor.slots()], 0, 0
    while ended < n:
        while free and begun < n:
            executor.submit(free.pop(), Task(begun, 1, {"x0": 0.5}, root=begun))
            begun += 1
        for event in executor.poll(1.0):
            if event.outcome is not None:
                ended += 1
                free.append(event.slot)


def stops(engine: Any, n: int = 40) -> None:
    """Time from ``stop`` to the end of a trial that reports every 5 ms, and to that of one that is killed."""

    def reports(_: dict[str, Any], trial: Any) -> float:
        import time as clock

        while trial.report(1.0):
            clock.sleep(0.005)
        return 1.0

    taken: dict[str, list[float]] = {"stop": [], "kill": []}
    with engine.cluster(1) as cluster:
        executor = engine.executor(cluster, 1)
        executor.open(Objective.of(reports), lambda _: True)
        ready(executor, 1)
        for i in range(n):
            kind = "stop" if i % 2 else "kill"
            executor.submit(executor.slots()[0], Task(i, 1, {}, root=i))
            n_before = len(executor.delivered)
            while not any(event.kind == "report" for event in executor.delivered[n_before:]):
                executor.poll(0.05)
            began = time.perf_counter()
            executor.stop(i) if kind == "stop" else executor.kill(i, TrialState.CANCELLED, "benchmark")
            while not any(event.outcome is not None for event in executor.poll(1.0)):
                pass
            taken[kind].append(time.perf_counter() - began)
        executor.close()
    for kind, seconds in taken.items():
        print(f"{kind:8s} {median(seconds) * 1e3:.0f} ms until the trial ended (median), {max(seconds) * 1e3:.0f} most")


def kill(engine: Any, seconds: float, n: int) -> bool:
    """A search of n trials on 4 workers, of which one is killed every 2 s; whether all was right."""

    def naps(hps: dict[str, Any]) -> float:
        import time as clock

        clock.sleep(0.3)
        return hps["x0"]

    over, n_killed, rng = threading.Event(), [0], random.Random(0)
    with engine.cluster(4) as cluster, tempfile.TemporaryDirectory() as folder:

        def killing() -> None:
            until = time.monotonic() + seconds
            while not over.wait(2) and time.monotonic() < until:
                pids = engine.pids(cluster)
                if pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(rng.choice(pids), signal.SIGKILL)
                        n_killed[0] += 1

        hpo = build_hpo_from_name("random", SPACE, naps, max_evals=n, seed=0)
        executor = engine.executor(cluster, 4)
        began = time.monotonic()
        threading.Thread(target=killing, daemon=True).start()
        hpo.optimize(executor=executor, store=Path(folder) / "run.db", progress=False)
        took = time.monotonic() - began
        over.set()
        wrong = wrong_states(hpo, executor.delivered)
    outcomes = [event.outcome for event in executor.delivered if event.outcome is not None]
    ends = Counter(trial.outcome.state.value for trial in hpo.trials)
    print(
        json.dumps(
            {
                "engine": engine.name,
                "seconds": round(took),
                "killed": n_killed[0],
                "trials": len(hpo.trials),
                "ended": dict(ends),
                "attempts lost": sum(outcome.state.value == "LOST" for outcome in outcomes),
                "wrong": wrong[:5],
            }
        )
    )
    return not wrong


def simulated(setup: Any, number: int, link: Any) -> str:  # noqa: ARG001 - the number
    """A host as its driver sees it, whose trials take 1 s and no CPU: it starts no process."""
    import time as clock

    from autohpo.execution.base import Event as Said
    from autohpo.execution.hosts import messages
    from autohpo.trial import Outcome as End
    from autohpo.trial import TrialState as State

    link.send(messages.Message(messages.HELLO, {"where": "here"}).pack())
    said = clock.monotonic()
    while link.is_wanted():
        if clock.monotonic() - said > setup.lease_seconds / 4:
            said = clock.monotonic()
            link.send(messages.Message(messages.ALIVE).pack())
        for data in link.receive(0.5):
            message = messages.Message.unpack(data)
            if message.kind == messages.END:
                link.send(messages.Message(messages.BYE, {"why": "told"}).pack())
                return "told"
            if message.kind == messages.TASK:
                which = message.fields["number"], message.fields["attempt"], 0
                link.send(messages.events_message([Said("started", *which)], ()).pack())
                link.receive(1.0)
                end = End(State.COMPLETE, perfs=(1.0,), cost=1.0)
                link.send(messages.events_message([Said("done", *which, end)], ()).pack())
    return "not wanted"


def simulate(host: Callable[..., str]) -> None:
    """Let this worker of an engine simulate its hosts."""
    from autohpo.execution.dask import link

    link.serve = host


def many(engine: Any, n_workers: int, n_threads: int = 25) -> None:
    """Simulated workers, threads of a few processes of the engine; how busy trials of 1 s keep them."""
    with engine.cluster(-(-n_workers // n_threads), n_threads) as cluster:
        engine.call(cluster, simulate, simulated)
        executor = engine.executor(cluster, n_workers)
        executor.open(Objective.of(nothing()), lambda _: True)
        began = time.monotonic()
        ready(executor, n_workers)
        came = time.monotonic() - began
        before, began = cpu(), time.perf_counter()
        n = 10 * n_workers
        run(executor, n)
        driver, every, wall = per(n, before, began)
        executor.close()
    busy = n / (n_workers * wall * n / 1e3)
    print(f"{n_workers} workers came in {came:.0f} s; {n} trials of 1 s: busy {busy:.1%}, a trial costs the driver")
    print(f"{driver:.2f} ms CPU, all processes {every:.2f} ms")


def large(engine: Any, megabytes: int, n_workers: int = 8) -> None:
    """The memory of this process, in which the scheduler is, while workers get a large objective."""
    blob = os.urandom(megabytes * 2**20)
    with engine.cluster(2, n_workers // 2) as cluster:
        before, began = cpu(), time.monotonic()
        rss, most, over = psutil.Process().memory_info().rss, [0], threading.Event()

        def look() -> None:
            while not over.wait(0.02):
                most[0] = max(most[0], psutil.Process().memory_info().rss)

        threading.Thread(target=look, daemon=True).start()
        executor = engine.executor(cluster, n_workers)
        executor.open(Objective.of(lambda hps: float(len(blob)) * hps["x0"]), lambda _: True)
        ready(executor, n_workers)
        took, after = time.monotonic() - began, cpu()
        run(executor, n_workers)
        settled = psutil.Process().memory_info().rss
        over.set()
        executor.close()
    peak, settled = ((rss_then - rss) / 2**20 for rss_then in (most[0], settled))
    print(f"{megabytes} MB to {n_workers} workers in 2 processes: {took:.1f} s, {after[0] - before[0]:.1f} s CPU here;")
    print(f"this process grows by {peak:.0f} MB at most, and by {settled:.0f} MB in the end")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=sorted(ENGINES), required=True)
    parser.add_argument("--trials", type=int, default=400, help="trials of each of three runs (default: 400)")
    parser.add_argument("--kill", action="store_true", help="kill workers")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long workers are killed (default: 60)")
    parser.add_argument("--many", type=int, metavar="N", help="simulate so many workers")
    parser.add_argument("--large", type=int, metavar="MB", help="send a large objective")
    options = parser.parse_args()
    engine = ENGINES[options.engine]()
    if options.kill:
        sys.exit(0 if kill(engine, options.seconds, options.trials) else 1)
    if options.many:
        many(engine, options.many)
    elif options.large:
        large(engine, options.large)
    else:
        cost(engine, options.trials)
        stops(engine)


if __name__ == "__main__":  # workers of an engine may import this file
    main()
