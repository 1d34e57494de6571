"""What a store costs: CPU time a trial, the time of an append, and 24 drivers at once, SQLite beside PostgreSQL.

    python benchmarks/stores.py                                   # a server of its own, on loopback
    python benchmarks/stores.py --url postgresql://user@host/lab  # one of yours; the studies are removed in the end
    python benchmarks/stores.py --trials 200 --drivers 8

The searches are random ones of 10 parameters with an objective that does nothing. Stores take turns, so that what else
the machine does falls on all of them. An append is one that is synced: a suggestion and its start. CPU is that of the
driver's own process: the server's, which may be another machine, is told by itself where it is ours.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from autohpo import ChoiceHP, RangeHP, Result, build_hpo_from_name
from autohpo.errors import AutoHPOError
from autohpo.store import Store, open_store, redacted
from autohpo.store.postgres_studies import remove_study

ROOT = Path(__file__).parents[1]
SPACE = [*(RangeHP(f"x{i}", 0.0, 1.0) for i in range(7)), *(ChoiceHP(f"c{i}", ["a", "b", "c"]) for i in range(3))]
ROUNDS = 3
CLOCK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def value(hps: dict[str, Any]) -> float:
    """The objective."""
    return float(hps["x0"])


def timed(store: Store, seconds: list[float]) -> None:
    """Let a store note how long each append takes that is synced."""
    append = store.append

    def noted(events: Sequence[Any], *, sync: bool = True) -> None:
        began = time.perf_counter()
        append(events, sync=sync)
        if sync and events:
            seconds.append(time.perf_counter() - began)

    store.append = noted  # type: ignore[method-assign]


def search(url: str | None, n: int, seed: int = 0) -> tuple[float, list[float]]:
    """Run a search, and return the CPU seconds of a trial, and the seconds of each append."""
    seconds: list[float] = []
    store = open_store(url or "memory:")
    timed(store, seconds)
    hpo = build_hpo_from_name("random", SPACE, value, max_evals=n, seed=seed)
    began = time.process_time()
    hpo.optimize(store=store, executor="serial", progress=False)
    return (time.process_time() - began) / n, seconds


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a share of the values is not above."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def server_seconds(folder: Path | None) -> float:
    """The CPU seconds of the processes of our own server, those that have ended among them; 0 where it is another."""
    if folder is None or not (folder / "data" / "postmaster.pid").is_file():
        return 0.0
    root = (folder / "data" / "postmaster.pid").read_text().split()[0]
    ticks = 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = place.read_text().rpartition(")")[2].split()
            if place.parent.name == root:
                ticks += sum(map(int, fields[11:15]))
            elif fields[1] == root:
                ticks += sum(map(int, fields[11:13]))
    return ticks / CLOCK


def alone(kinds: dict[str, str], n: int, folder: Path | None) -> None:
    """Print what one driver costs on each kind of store."""
    cpu: dict[str, list[float]] = {name: [] for name in kinds}
    appends: dict[str, list[float]] = {name: [] for name in kinds}
    of_server = 0.0
    for round_ in range(ROUNDS):
        for name, url in kinds.items():
            before = server_seconds(folder) if name == "PostgreSQL" else 0.0
            spent, seconds = search(url and f"{url}-{round_}", n, seed=round_)
            cpu[name].append(spent)
            appends[name] += seconds
            of_server += server_seconds(folder) - before if name == "PostgreSQL" else 0.0
    print(f"\none driver, {ROUNDS} x {n} trials\n{'store':14}{'CPU ms/trial':>14}{'append p50 ms':>15}{'p99 ms':>9}")
    for name, url in kinds.items():
        line = f"{name:14}{1e3 * percentile(cpu[name], 0.5):14.2f}"
        if url:
            line += f"{1e3 * percentile(appends[name], 0.5):15.2f}{1e3 * percentile(appends[name], 0.99):9.2f}"
        print(line)
    if of_server:
        print(f"{'its server':14}{1e3 * of_server / (ROUNDS * n):14.2f}")


def together(name: str, urls: Sequence[str], n: int) -> None:
    """Print how many drivers at once, each on its own run, come to their end."""
    began = time.perf_counter()
    command = [sys.executable, __file__, "--trials", str(n), "--driver"]
    running = [
        subprocess.Popen([*command, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for url in urls
    ]
    said = [process.communicate()[0] for process in running]
    seconds = time.perf_counter() - began
    worst = [float(text.split()[-1]) for text, process in zip(said, running, strict=True) if not process.returncode]
    n_done = 0
    for url in urls:
        with contextlib.suppress(AutoHPOError):
            n_done += Result.load(url).counts().get("COMPLETE", 0)
    n_failed = sum(process.returncode != 0 for process in running)
    print(
        f"{name:14}{len(urls) - n_failed:5} of {len(urls)} drivers, {n_done:6} of {n * len(urls)} trials complete, "
        f"{seconds:6.1f} s with the starts, worst append of the median driver "
        f"{1e3 * percentile(worst, 0.5) if worst else float('nan'):.0f} ms"
    )
    for text in sorted({text.strip().splitlines()[-1] for text, p in zip(said, running, strict=True) if p.returncode}):
        print(f"    {text[:200]}")


def drive(url: str, n: int) -> None:
    """Run the search of one driver among many, and print its slowest append in seconds."""
    _, seconds = search(url, n)
    print(max(seconds))


@contextlib.contextmanager
def served(url: str | None) -> Iterator[tuple[str, Path | None]]:
    """The URL of a database: the one that is given, or of a server of our own."""
    if url is not None:
        yield url.removesuffix("/"), None
        return
    sys.path.insert(0, str(ROOT / "tests" / "store"))
    from postgres_server import Server, why_not

    if why_not():
        raise SystemExit(why_not())
    server = Server()
    try:
        yield server.url(), server.folder
    finally:
        server.close()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", help="the URL of a database; by default that of a server of its own")
    parser.add_argument("--trials", type=int, default=1000, help="trials of a search")
    parser.add_argument("--drivers", type=int, default=24, help="drivers at once, of a 40th of the trials each")
    parser.add_argument("--driver", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.driver:
        drive(args.driver, args.trials)
        return
    folder = Path(tempfile.mkdtemp(prefix="autohpo-stores-"))
    os.chdir(folder)
    tag = f"bench-{os.getpid()}"
    try:
        with served(args.url) as (url, own):
            print(f"PostgreSQL: {redacted(url)}")
            kinds = {"memory": "", "SQLite FULL": str(folder / tag), "PostgreSQL": f"{url}/{tag}"}
            alone(kinds, args.trials, own)
            print(f"\n{args.drivers} drivers at once")
            for name in ("SQLite FULL", "PostgreSQL"):
                together(name, [f"{kinds[name]}-{k}-many" for k in range(args.drivers)], max(args.trials // 40, 1))
            if args.url:
                for k in (*range(ROUNDS), *(f"{k}-many" for k in range(args.drivers))):
                    with contextlib.suppress(AutoHPOError):
                        remove_study(f"{kinds['PostgreSQL']}-{k}")
    finally:
        os.chdir(ROOT)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
