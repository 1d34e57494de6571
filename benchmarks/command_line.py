"""What the command line costs: CPU time and memory of single commands, and of a look of `autohpo top`.

    python benchmarks/command_line.py               # 100,000 trials
    python benchmarks/command_line.py --trials 1000

Each command is a process of its own, whose CPU time (user and system) the operating system tells; it says itself how
much memory it had at most. The median of five is printed (of three where it has many trials), and the worst beside it.
The stores are made in bulk of the events that a driver writes: random search over ten mixed parameters
(`benchmarks/resume.py`), and a scheduler that promotes a third of its trials twice.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from resume import BATCH, SPACE, make_log, value

from autohpo import Search, Suggestion, build_hpo_from_name
from autohpo.store import LogEvent, SQLiteStore
from autohpo.store.run_state import suggestion_data

ROOT = Path(__file__).parents[1]
REPEATS = 5
N_STORES = 100
N_ASKED = 1000
FIDELITIES = (1.0, 3.0, 9.0)


def chains(first: int, n: int) -> Iterator[LogEvent]:
    """The events of n trials of a scheduler: of nine configurations three are trained on, and one of them again."""
    rng = np.random.default_rng(first)
    number, parents, hps = first, {}, {}
    while number < first + n:
        for rung, width in enumerate((9, 3, 1)):
            row = []
            for k in range(min(width, first + n - number)):
                hp = SPACE.sample(rng, 1)[0] if rung == 0 else hps[parents[k]]
                resume = None if rung == 0 else parents[k]
                fidelity, time_ = FIDELITIES[rung], 1.7e9 + number * 0.123456
                hps[number] = hp
                made = Suggestion(hp, number=number, pid=number % 2, seed=1, fidelity=fidelity, resume=resume)
                yield LogEvent("ask", number, 0, suggestion_data(made, SPACE), time_)
                yield LogEvent("start", number, 1, {"slot": number % 2}, time_ + 1e-4)
                end = {
                    "state": "COMPLETE",
                    "perf": value(hp) / fidelity,
                    "fidelity": fidelity,
                    "error": "",
                    "cost": 0.1,
                }
                yield LogEvent("end", number, 1, end, time_ + 0.1)
                row.append(number)
                number += 1
            parents = dict(enumerate(row))
            if len(row) < width:
                break


def make_chains(path: Path, n: int) -> None:
    """Make a store with n trials of several fidelities."""
    hpo = build_hpo_from_name("asha", SPACE, max_evals=n, seed=0, max_fidelity=9)
    with Search(hpo, str(path)):
        pass
    store = SQLiteStore(path)
    store.open()
    for first in range(0, n, BATCH):
        store.append(list(chains(first, min(BATCH, n - first))))
    store.close()


PEAK = """
import sys
from autohpo.cli.main import main
main(sys.argv[1:])
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0], file=sys.stderr)
"""
"""A command that tells its own peak of memory: what a parent learns of a child includes what the parent had."""


def measured(words: list[str], folder: Path, *, repeats: int = REPEATS) -> tuple[list[float], float]:
    """Run a command several times; the CPU ms of each, and the MB that it had at most."""
    took, most = [], 0.0
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    for _ in range(repeats):
        child = subprocess.Popen(
            [sys.executable, "-m", "autohpo", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, words
        took.append(1e3 * (used.ru_utime + used.ru_stime))
    if words[0] not in ("ask", "tell"):  # they change something
        run = [sys.executable, "-c", PEAK, *words]
        done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=True)
        most = int(done.stderr.split()[-1]) / 1024
    return took, most


def say(what: str, took: list[float], most: float | None = None) -> None:
    """Print a row."""
    memory = "" if most is None else f"{most:.0f}"
    print(f"| {what} | {median(took):,.0f} | {max(took):,.0f} | {memory} |", flush=True)


def looks(path: Path) -> tuple[float, list[float]]:
    """The CPU ms that `autohpo top` needs to read a run, and those of each look after that, with a picture each."""
    from rich.console import Console

    from autohpo.cli.look.screen import screen
    from autohpo.cli.look.watch import Watch

    console = Console(file=open(os.devnull, "w"), width=100, height=40, force_terminal=True)  # noqa: SIM115
    watch = Watch(str(path))
    began = time.process_time()
    watch.update(float("inf"))
    console.print(screen(watch, 100, 40))
    read, took = 1e3 * (time.process_time() - began), []
    for _ in range(20):
        began = time.process_time()
        watch.update()
        console.print(screen(watch, 100, 40))
        took.append(1e3 * (time.process_time() - began))
    watch.close()
    console.file.close()
    return read, took


def ask_and_tell(folder: Path) -> tuple[list[float], list[float]]:
    """The CPU ms of `ask` and of `tell` on a search of many trials."""
    with Search(build_hpo_from_name("tpe", SPACE, max_evals=N_ASKED + 50, seed=0), str(folder / "asked.db")) as search:
        for _ in range(N_ASKED):
            suggestion = search.ask()
            search.tell(suggestion, value(dict(suggestion)))
    asks, tells = [], []
    for k in range(REPEATS):
        asks += measured(["ask", "asked.db", "--client-id", "me"], folder, repeats=1)[0]
        tells += measured(["tell", "asked.db", "--client-id", "me", "--perf", str(-k)], folder, repeats=1)[0]
    return asks, tells


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    n = parser.parse_args().trials
    print("| | CPU ms | worst | MB |\n|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        say("`autohpo --help`", *measured(["--help"], folder))
        say("`autohpo run --help`", *measured(["run", "--help"], folder))
        make_log(folder / "flat.db", n)
        make_chains(folder / "mf.db", n)
        for name, text in (("flat", "one fidelity"), ("mf", "three fidelities")):
            for words in (["best"], ["best", "--top", "5"], ["show"], ["trials", "--limit", "10"], ["top", "--once"]):
                command = [words[0], f"{name}.db", *words[1:]]
                say(f"`{' '.join(words)}`, {n:,} trials, {text}", *measured(command, folder, repeats=3))
            read, took = looks(folder / f"{name}.db")
            say(f"`top` to read {n:,} trials, {text}", [read])
            say("... and each look after that", took)
        asks, tells = ask_and_tell(folder)
        say(f"`ask`, {N_ASKED:,} trials of `tpe`", asks)
        say(f"`tell`, {N_ASKED:,} trials of `tpe`", tells)
        say("both", [a + t for a, t in zip(asks, tells, strict=True)])
        many = folder / "many"
        many.mkdir()
        make_log(many / "run0.db", 100)
        for k in range(1, N_STORES):
            shutil.copy(many / "run0.db", many / f"run{k}.db")
        say(f"`ls`, {N_STORES} stores of 100 trials", *measured(["ls", "many"], folder, repeats=3))
    print(json.dumps({"python": sys.version.split()[0], "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
