"""What is lost when drivers and workers are killed: the scenarios of tests/chaos, in full.

    python benchmarks/faults.py              # about a quarter of an hour on two cores
    python benchmarks/faults.py --quick      # a few kills each
    python benchmarks/faults.py --only worker

Prints a JSON line with the counts of each row as it is done, and a table at the end. A row is broken where a count that
must be zero is not, or where fewer kills came about than were asked for; then the exit status is 1. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "chaos"))

from program import POINTS, training_of
from scenarios import Counts, Search, fail_at, faults, kill_driver, kill_workers, send_signals, start_twice

from autohpo import available_hpos

ONCE = ("before_open", "after_open", "after_header", "before_close", "after_close")
"""Points that a search comes to only once; to all others it comes again and again."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What happens to which search.
        n_kills: How many kills it must have had.
        run: Does it, in an empty folder.
    """

    name: str
    n_kills: int
    run: Callable[[Path], Counts]


def total(every: list[Counts]) -> Counts:
    """The sums of some counts; what is no whole number is left out."""
    names = {name for counts in every for name, value in counts.items() if isinstance(value, int)}
    return {name: sum(counts.get(name, 0) for counts in every) for name in sorted(names)}


def points(folder: Path, algorithm: str) -> Counts:
    """A kill at every point, the first time the driver comes there, and in the midst of the search."""
    shape = "saved" if training_of(algorithm) == "saved" else "epochs"
    search = Search(folder, algorithm, shape, max_evals=15, pause=0.0)
    often = [point for point in POINTS if point not in ONCE]
    return total([fail_at(search, POINTS, [1]), fail_at(search, often, [11])])


def repeated(folder: Path, n: int, scenario: Callable[[Path], Counts]) -> Counts:
    """A scenario n times."""
    return total([scenario(folder / str(i)) for i in range(n)])


def rows(is_quick: bool) -> Iterator[Row]:
    """All of them."""
    n_kills, n_points, n_times = (4, len(POINTS), 1) if is_quick else (50, len(POINTS), 5)
    for name in [*available_hpos(), "asha_stopping"]:
        training = training_of(name)
        shapes = [(training, 0.001)] if training == "saved" else [("plain", 0.004), ("epochs", 0.001)]
        for shape, pause in shapes:
            yield Row(
                f"driver killed, 1 worker, {name}, {shape}",
                n_kills,
                lambda folder, name=name, shape=shape, pause=pause: kill_driver(
                    Search(folder, name, shape, max_evals=70, pause=pause), n_kills
                ),
            )
        yield Row(
            f"driver killed, 4 workers, {name}, {'saved' if training == 'saved' else 'epochs'}",
            n_kills // 2,
            lambda folder, name=name, shape=shapes[-1][0]: kill_driver(
                Search(folder, name, shape, max_evals=70, workers=4, pause=0.01), n_kills // 2, 1.5
            ),
        )
        yield Row(
            f"driver killed at each point, {name}",
            2 * n_points - len(ONCE),
            lambda folder, name=name: points(folder, name),
        )
    yield Row(
        "driver killed, 4 workers with children",
        n_kills,
        lambda folder: kill_driver(
            Search(folder, "random", "stubborn", max_evals=200, workers=4, pause=0.03), n_kills, 1.5
        ),
    )
    for workers, most_seconds in ((1, 0.6), (4, 1.5)):
        yield Row(
            f"driver killed, {workers} worker{'s' * (workers > 1)}, a stopping rule",
            n_kills,
            lambda folder, workers=workers, most_seconds=most_seconds: kill_driver(
                Search(folder, "median_rule", "epochs", max_evals=70, workers=workers, pause=0.004),
                n_kills,
                most_seconds,
            ),
        )
    n_workers = 8 if is_quick else 100
    yield Row(
        "worker killed, 4 workers",
        n_workers,
        lambda folder: kill_workers(
            Search(folder, "random", "marked", max_evals=5 * n_workers, workers=4, pause=0.1), n_workers
        ),
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        for workers, algorithm, shape, pause in ((1, "random", "held", 0.01), (1, "hyperband", "epochs", 0.01)):
            search = Search(Path(), algorithm, shape, max_evals=12, workers=workers, pause=pause)
            yield signal_row(search, [number], n_times, 2.0)
        yield signal_row(Search(Path(), max_evals=16, workers=4, pause=0.2), [number], n_times, 3.0)
        yield signal_row(Search(Path(), "random", "stubborn", 8, 4, 600.0), [number, number], n_times, 2.0)
    yield Row(
        "second driver on the same run",
        0,
        lambda folder: repeated(folder, 2 * n_times, lambda place: start_twice(Search(place, max_evals=10))),
    )


def signal_row(search: Search, signals: list[int], n: int, most_seconds: float) -> Row:
    """A row of signals to a search, n times."""
    names = " and ".join(signal.Signals(number).name for number in signals)

    def once(folder: Path) -> Counts:
        own = Search(folder, search.algorithm, search.shape, search.max_evals, search.workers, search.pause)
        return send_signals(own, signals, most_seconds)

    name = f"{names}, {search.workers} worker{'s' * (search.workers > 1)}, {search.algorithm}, {search.shape}"
    return Row(name, 0, lambda folder: repeated(folder, n, once))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few kills each")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name has this text")
    options = parser.parse_args()
    logging.getLogger("autohpo").setLevel(logging.ERROR)
    table, n_broken = [], 0
    for row in rows(options.quick):
        if options.only not in row.name:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            counts = row.run(Path(folder))
        wrong = faults(counts)
        if counts.get("kills", 0) < row.n_kills:
            wrong["kills"] = counts.get("kills", 0)
        n_broken += bool(wrong)
        verdict = "BROKEN: " + ", ".join(f"{name} {n}" for name, n in wrong.items()) if wrong else "ok"
        table.append(f"{row.name:48s}{counts.get('kills', ''):>6}{time.monotonic() - began:8.0f} s  {verdict}")
        print(json.dumps({"row": row.name, "broken": wrong, **counts}), flush=True)
    print(f"\n{'':48s}{'kills':>6}", *table, sep="\n")
    return 1 if n_broken else 0


if __name__ == "__main__":
    sys.exit(main())
