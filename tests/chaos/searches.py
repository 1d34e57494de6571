"""A search in processes of its own, which can be started, watched, and checked when it is finished."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import program
from counts import Counts
from oracles import canonical, root_of, saved_values, trials_of, verdicts
from program import value

from autohpo import StoreError, Trial, TrialState
from autohpo.store import LogEvent, SQLiteStore

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MARK = "AUTOHPO_CHAOS"  # in the environment of every process of a search
HANG_SECONDS = 60.0
GONE_SECONDS = 2.0  # that the processes of a killed driver may take to end


@dataclass(frozen=True)
class Search:
    """One search, which can be started again and again until it is finished.

    Attributes:
        folder: Where its files are.
        algorithm: A registered name, or one of :data:`program.OWN`.
        shape: Of the objective, see :data:`program.SHAPES`.
        max_evals: Trials.
        workers: At once.
        pause: Seconds that an evaluation or an epoch takes.
        plant: A fault to break it with, see :func:`program.plant`.
        max_lost: How often a trial is started again whose driver died; one that is killed on purpose gives up on none.
        confirm: How many of the best are trained anew in the end, with four seeds.
        schedule: When results are told; of a deterministic one with many workers the asks and ends are compared.
        wait_seconds: How long its store waits where it cannot be written, if another time than usual.
        quiet_seconds: How long it waits for a lock before it says so, if another time than usual.
        disk: Where its store is, if elsewhere.
        tag: Tells its processes from all others; begins with the number of this process.
    """

    folder: Path
    algorithm: str = "random"
    shape: str = "plain"
    max_evals: int = 40
    workers: int = 1
    pause: float = 0.005
    plant: str = ""
    max_lost: int = 1000
    confirm: int = 0
    schedule: str = "asynchronous"
    wait_seconds: float | None = None
    quiet_seconds: float | None = None
    disk: Path | None = None
    tag: str = field(default_factory=lambda: f"{os.getpid()}-{uuid.uuid4().hex}")

    @property
    def store(self) -> Path:
        """Its log."""
        return (self.disk or self.folder) / "run.db"

    def options(self, failpoint: str = "") -> dict[str, Any]:
        """What the program is called with."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files = {"folder": self.folder, "store": self.store, "acknowledged": self.folder / "acknowledged"}
        files |= {"disk": self.disk or self.folder}
        return dataclasses.asdict(self) | {name: str(path) for name, path in files.items()} | {"failpoint": failpoint}

    def undisturbed(self) -> list[tuple[str, int, dict[str, Any]]]:
        """The canonical log of the same search in one go, in this very process."""
        reference = dataclasses.replace(self, folder=self.folder / "reference", pause=0.0, disk=None)
        options = reference.options()
        reference.release()
        program.run(options)
        return reference.repeatable()

    @property
    def is_repeatable(self) -> bool:
        """Whether two runs of it have equal logs."""
        return self.workers == 1 or self.schedule == "deterministic"

    def repeatable(self) -> list[tuple[str, int, dict[str, Any]]]:
        """The part of its log that another run shares: reports of several workers come as they come."""
        return [entry for entry in canonical(self.events()) if self.workers == 1 or entry[0] != "report"]

    def start(self, failpoint: str = "") -> subprocess.Popen[str]:
        """A driver, from where it says that the search begins; `failpoint` is ``name:k``."""
        options = self.options(failpoint)
        environment = {**os.environ, MARK: self.tag, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (self.folder / "stderr").open("a") as errors:
            driver = subprocess.Popen(
                [sys.executable, str(HERE / "program.py"), json.dumps(options)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                start_new_session=True,  # a process group of its own, as a job of a terminal has
            )
        assert driver.stdout is not None
        with driver.stdout:
            if driver.stdout.readline() != "go\n":
                raise AssertionError(f"the driver did not begin: {self.errors()}")
        return driver

    def finish(self) -> float:
        """Runs it to its end, and returns the seconds that took."""
        began = time.monotonic()
        code = self.start().wait(HANG_SECONDS)
        if code:
            raise AssertionError(f"the driver ended with {code}: {self.errors()}")
        return time.monotonic() - began

    def errors(self) -> str:
        """The end of what its drivers printed."""
        return (self.folder / "stderr").read_text()[-3000:]

    def events(self) -> list[LogEvent]:
        """Its log as anybody may read it."""
        try:
            store = SQLiteStore(self.store, read_only=True)
        except StoreError as error:
            if "does not exist" in str(error) or "no run yet" in str(error):  # the driver died that early
                return []
            raise
        with contextlib.closing(store):
            return list(store.events())

    def acknowledged(self) -> dict[int, str]:
        """The results whose commit returned, by trial; a line that was cut off is none."""
        path = self.folder / "acknowledged"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return {int(number): perf for number, perf in (line.split() for line in lines)}

    def release(self) -> None:
        """Lets the objective "held" end."""
        (self.folder / "release").touch()

    def wait_for(self, kind: str, n: int, driver: subprocess.Popen[str]) -> None:
        """Returns when the log has n events of a kind, or its driver has ended."""
        until = time.monotonic() + HANG_SECONDS
        while driver.poll() is None and sum(event.kind == kind for event in self.events()) < n:
            if time.monotonic() > until:
                raise AssertionError(f"no {n} events of kind {kind}: {self.errors()}")
            time.sleep(0.01)

    def orphans(self) -> int:
        """How many processes are there though no driver is; they get a moment to go, then are killed.

        Time in which they wait for a processor does not count: on a busy machine that may be seconds.
        """
        began, first, last = time.monotonic(), dict[int, float](), dict[int, float]()
        while alive := processes(self.tag):
            for pid in alive:
                last[pid] = waited(pid)
                first.setdefault(pid, last[pid])
            if time.monotonic() - began > GONE_SECONDS + sum(last.values()) - sum(first.values()):
                break
            time.sleep(0.02)
        for pid in alive:
            with contextlib.suppress(OSError):
                said = [Path(f"/proc/{pid}/{name}").read_text() for name in ("cmdline", "stat", "wchan")]
                print(f"orphan {pid} of {self.folder}:", *said, file=sys.stderr)
        return kill_all(self.tag)

    @property
    def acknowledged_kinds(self) -> tuple[str, ...]:
        """The kinds of events that are results which must not get lost."""
        return ("end", "late") if self.schedule == "deterministic" else ("end",)

    def n_lost(self) -> int:
        """Acknowledged results that the log does not have as they were."""
        kept = {e.trial: repr(e.data["perf"]) for e in self.events() if e.kind in self.acknowledged_kinds}
        return sum(kept.get(number) != perf for number, perf in self.acknowledged().items())

    def check(self) -> Counts:
        """What must hold of a finished search."""
        events = self.events()
        once = [(e.kind, e.trial) for e in events if e.kind in ("ask", "end")]
        trials = trials_of(events)
        done = [t for t in trials if t.state.has_perf]
        ruled = verdicts(events, is_exact=self.workers == 1) if self.algorithm == "median_rule" else {}
        return {
            **ruled,
            "lost": self.n_lost(),
            "twice": len(once) - len(set(once)),
            "missing": self.max_evals - len(trials),
            "running": sum(not t.state.is_final for t in trials),
            "wrong": sum(t.perf != self.right_perf(t, events) for t in done),
            "attempts": misnumbered(events),
            "misfolded": int(self.result() != [[*_facts(t)] for t in trials]),
        }

    def result(self) -> Any:
        """The trials as the driver that finished the search had them; None where none has."""
        path = self.folder / "result"
        return json.loads(path.read_text()) if path.exists() else None

    def right_perf(self, trial: Trial, events: list[LogEvent]) -> float:
        """What a trial must have given, computed anew; a resumed training has the seed of its first trial."""
        if self.shape not in ("epochs", "saved"):
            return value(dict(trial.hp))
        asks = {event.trial: event.data for event in events if event.kind == "ask"}
        if self.shape == "saved":
            perfs = saved_values(asks, trial.number)
        else:
            perfs = list(program.epochs(dict(trial.hp), asks[root_of(asks, trial.number)]["seed"], pause=0.0))
        given = trial.reached if trial.state is TrialState.STOPPED else trial.fidelity or program.EPOCHS
        return perfs[math.ceil(given) - 1]  # an epoch is given whole or not at all


def _facts(trial: Trial) -> tuple[Any, ...]:
    return trial.number, trial.attempt, trial.state.value, trial.perf if trial.state.has_perf else None


def misnumbered(events: Iterable[LogEvent]) -> int:
    """How many trials have attempts that are not numbered 1, 2, ..., or one that began before the last one ended."""
    attempts: dict[int, int] = {}
    running: set[int] = set()
    wrong: set[int] = set()
    for event in events:
        if event.kind == "start":
            if event.trial in running or event.attempt != attempts.get(event.trial, 0) + 1:
                wrong.add(event.trial)
            attempts[event.trial] = event.attempt
            running.add(event.trial)
        elif event.kind in ("end", "interrupt"):
            running.discard(event.trial)
    return len(wrong)


def processes(tag: str) -> list[int]:
    """Numbers of the processes that live and whose tag begins like this."""
    mark, found = f"{MARK}={tag}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(entry.startswith(mark) for entry in (folder / "environ").read_bytes().split(b"\0")):
                found.append(int(folder.name))
    return found


def waited(pid: int) -> float:
    """How many seconds a process has waited for a processor so far; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def kill_all(tag: str) -> int:
    """Kills those processes, and returns how many there were."""
    found = processes(tag)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)
