"""Malformed input at random, everywhere: only errors of ours or a result, no hang, nothing left behind.

    python tests/chaos/fuzz.py --n 100000 --seed 0               # over all kinds, in two processes
    python tests/chaos/fuzz.py --n 2000 --kinds options tells
    python tests/chaos/fuzz.py --only spaces:1234                # one case again, with its traceback

A case is a function of its kind, number and seed alone. What must hold of each: what is raised is an ``AutoHPOError``
that says something; it ends within a minute; it leaves no temporary file, process, thread or open file, and the working
directory and the environment as they were. Prints a JSON line of counts for each kind, and for each fault the fewest
and smallest choices that give it, with the calls they stand for. The exit code is 1 where there is a fault.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import fuzz_files
import fuzz_runs
import fuzz_spaces
from fuzz_draws import Draws, shrunk

from autohpo import RangeHP, available_hpos, build_hpo_from_name
from autohpo.errors import AutoHPOError

Case = Callable[[Draws, Path], None]

KINDS: dict[str, tuple[int, Case]] = {
    "spaces": (20, fuzz_spaces.spaces),
    "formulas": (10, fuzz_spaces.formulas),
    "described": (6, fuzz_spaces.described),
    "autogl": (6, fuzz_spaces.autogl),
    "documents": (8, fuzz_spaces.documents),
    "configurations": (10, fuzz_spaces.configurations),
    "results": (4, fuzz_runs.results),
    "tells": (8, fuzz_runs.tells),
    "options": (10, fuzz_runs.options),
    "arguments": (6, fuzz_runs.arguments),
    "warm": (4, fuzz_runs.warm),
    "plug_ins": (6, fuzz_runs.plug_ins),
    "commands": (8, fuzz_runs.commands),
    "urls": (4, fuzz_runs.urls),
    "store_bytes": (6, fuzz_files.store_bytes),
    "store_rows": (6, fuzz_files.store_rows),
    "store_headers": (4, fuzz_files.store_headers),
    "logs": (8, fuzz_files.logs),
    "config_files": (6, fuzz_files.config_files),
    "tables": (2, fuzz_files.tables),
}
"""The kinds of cases: how many of each there are in a round, and what makes one."""

LIMIT_SECONDS = 60.0
MEMORY_BYTES = 6 * 2**30


class Hang(BaseException):
    """A case takes too long."""


class Fault(NamedTuple):
    """What went wrong in a case.

    Attributes:
        kind: The kind of the case.
        where: The error and the place it comes from: equal faults have equal ones.
        text: The traceback, or what was left behind.
    """

    kind: str
    where: str
    text: str


class Bench:
    """A place where cases run: with its own folder of temporary files, a limit of time, and a look at what they leave.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._rooms, self._temporary = folder / "rooms", folder / "temporary"
        for made in (self._rooms, self._temporary):
            made.mkdir()
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.slowest: dict[str, float] = defaultdict(float)

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Take the alarm, the streams, and the folder for temporary files."""
        kept = (tempfile.tempdir, sys.stdout, sys.stderr, os.environ.get("TMPDIR"))
        tempfile.tempdir = os.environ["TMPDIR"] = str(self._temporary)
        level = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            with Path(os.devnull).open("w") as sink:
                sys.stdout = sys.stderr = sink
                yield
        finally:
            logging.disable(level)
            tempfile.tempdir, sys.stdout, sys.stderr = kept[:3]
            os.environ.pop("TMPDIR")
            if kept[3] is not None:
                os.environ["TMPDIR"] = kept[3]

    def judge(self, kind: str, d: Draws) -> Fault | None:
        """Run a case, and return what was wrong with it."""
        room = Path(tempfile.mkdtemp(dir=self._rooms))
        before, began = _traces(), time.monotonic()
        fault = None
        handler = signal.signal(signal.SIGALRM, _ring)
        signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                KINDS[kind][1](d, room)
        except AutoHPOError as error:  # of a step that has to work
            fault = Fault(kind, f"unexpected {_place(error)}", _text(error))
        except BaseException as error:
            fault = Fault(kind, _place(error), _text(error))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
        seconds = time.monotonic() - began
        self.slowest[kind] = max(self.slowest[kind], seconds)
        fault = fault or self._left(kind, before)
        shutil.rmtree(room, ignore_errors=True)
        counts = self.counts[kind]
        counts["cases"] += 1
        counts["calls"] += len(d.said)
        counts["typed"] += d.typed
        counts["faults"] += fault is not None
        counts["hangs"] += fault is not None and fault.where.startswith("Hang")
        return fault

    def _left(self, kind: str, before: dict[str, Any]) -> Fault | None:
        if any(self._temporary.iterdir()):
            gc.collect()  # a log in memory goes with the optimizer that has it
        files = [path.name for path in self._temporary.iterdir()]
        for path in self._temporary.iterdir():
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
        if files:
            return Fault(kind, "temporary files left", f"{files[:3]}")
        changed = _differences(before, _traces())
        until = time.monotonic() + 5.0
        while changed and time.monotonic() < until:  # a thread that has been told to end may need a moment
            gc.collect()
            time.sleep(0.01)
            changed = _differences(before, _traces())
        return Fault(kind, f"left changed: {', '.join(changed)}", "see above") if changed else None


def _ring(*_: object) -> None:
    raise Hang(f"more than {LIMIT_SECONDS:g} s")


def _traces() -> dict[str, Any]:
    """What a case must leave as it is."""
    here = os.getpid()
    try:
        children = Path(f"/proc/{here}/task/{here}/children").read_text().split()
        n_files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        children, n_files = [], 0
    numbers = {"child processes": len(children), "threads": threading.active_count(), "open files": n_files}
    return {"working directory": str(Path.cwd()), "environment": dict(os.environ), **numbers}


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what is not as it was, or more."""
    return [name for name, a in before.items() if (after[name] > a if isinstance(a, int) else after[name] != a)]


def _place(error: BaseException) -> str:
    """The class of an error, and the places that it comes from: in autohpo, and the last one."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/autohpo/" in frame.filename] or frames
    places = dict.fromkeys(f"{Path(f.filename).name}:{f.lineno}" for f in (ours[-1], frames[-1]))
    return f"{type(error).__name__} at {' in '.join(places)}"


def _text(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))[-6000:]
    except Exception:
        return "".join(traceback.format_tb(error.__traceback__))[-6000:]


def numbered(seed: int, n: int, kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The kind and the seed of each case, in rounds over all kinds by their weights."""
    round_of = [kind for kind in kinds for _ in range(KINDS[kind][0])]
    for i in range(n):
        kind = round_of[i % len(round_of)]
        yield kind, f"{seed}-{kind}-{i}"


def smallest(bench: Bench, fault: Fault, made: Sequence[int]) -> Draws:
    """The smallest choices that give a fault, made once more so that the calls are known."""

    def gives(choices: Sequence[int]) -> bool:
        found = bench.judge(fault.kind, Draws(None, choices))
        return found is not None and found.where == fault.where

    best = list(made) if fault.where.startswith("Hang") else shrunk(made, gives)
    again = Draws(None, best)
    bench.judge(fault.kind, again)
    return again


def warm_up() -> None:
    """Load what is loaded when it is needed first, and may open files, start threads, or set variables."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in [one for one in available_hpos() if ":" not in one]:
            build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0)], seed=0, max_evals=3).ask()


def work(first: int, step: int, arguments: argparse.Namespace, found: Any) -> None:
    """Run every step-th case, and send faults as they come, and counts in the end."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    known: set[tuple[str, str]] = set()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        bench = Bench(Path(folder))
        with bench.ready():
            warm_up()
            for i, (kind, seed) in enumerate(numbered(arguments.seed, arguments.n, arguments.kinds)):
                if i % step != first:
                    continue
                d = Draws.of(seed)
                fault = bench.judge(kind, d)
                if fault is not None and (kind, fault.where) not in known:
                    known.add((kind, fault.where))
                    found.put(("fault", fault, seed, _small_said(bench, fault, d)))
    found.put(("counts", dict(bench.counts), dict(bench.slowest)))


def _small_said(bench: Bench, fault: Fault, d: Draws) -> tuple[list[int], list[str]]:
    kept = {kind: counter.copy() for kind, counter in bench.counts.items()}
    again = smallest(bench, fault, d.made)
    bench.counts.update(kept)
    return again.made, again.said or d.said


def main() -> int:
    """Run cases in some processes, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", help="KIND:SEED of one case to run here")
    arguments = parser.parse_args()
    if arguments.only:
        kind, _, seed = arguments.only.partition(":")
        return only(kind, seed)
    context = multiprocessing.get_context("spawn")
    queue: Any = context.Queue()
    n = arguments.processes
    workers = [context.Process(target=work, args=(i, n, arguments, queue)) for i in range(n)]
    for worker in workers:
        worker.start()
    counts, slowest, n_faults = _collected(queue, workers)
    for kind in arguments.kinds:
        line = {"row": "R19", "kind": kind, **counts[kind], "slowest_seconds": round(slowest[kind], 2)}
        print(json.dumps(line), flush=True)
    total: Counter[str] = sum(counts.values(), Counter())
    print(
        json.dumps(
            {"row": "R19", "kind": "all", **{name: total[name] for name in ("cases", "calls", "typed")}}
            | {"faults": total["faults"], "hangs": total["hangs"], "different": n_faults}
        )
    )
    return int(total["faults"] > 0)


def _collected(queue: Any, workers: Sequence[Any]) -> tuple[dict[str, Counter[str]], dict[str, float], int]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    slowest: dict[str, float] = defaultdict(float)
    known: set[tuple[str, str]] = set()
    n_left = len(workers)
    while n_left:
        if queue.empty() and not any(worker.is_alive() for worker in workers):
            raise SystemExit("a process of the fuzzer ended by itself")
        try:
            what, *said = queue.get(timeout=5)
        except Exception:
            continue
        if what == "counts":
            n_left -= 1
            for kind, counter in said[0].items():
                counts[kind] += counter
                slowest[kind] = max(slowest[kind], said[1][kind])
        elif (said[0].kind, said[0].where) not in known:
            known.add((said[0].kind, said[0].where))
            fault, seed, (made, calls) = said
            print(f"FAULT {fault.kind}: {fault.where}\n  --only {fault.kind}:{seed}\n  choices {made}")
            print("  " + "\n  ".join(calls[-6:]))
            print("  " + "\n  ".join(fault.text.strip().splitlines()[-7:]), flush=True)
    return counts, slowest, len(known)


def only(kind: str, seed: str) -> int:
    """Run one case, and print its calls and its traceback."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        bench = Bench(Path(folder))
        d = Draws(None, json.loads(seed)) if seed.startswith("[") else Draws.of(seed)
        with bench.ready():
            warm_up()
            fault = bench.judge(kind, d)
    print("\n".join(d.said))
    print(fault.text if fault is not None else "no fault")
    return int(fault is not None)


if __name__ == "__main__":
    sys.exit(main())
