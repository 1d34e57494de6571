"""What may happen to a search, and what must hold afterwards. Each scenario returns counts.

Tests run them small and ``benchmarks/faults.py`` runs them large. Counts named in :data:`MUST_BE_ZERO` are faults.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import program
from oracles import canonical, root_of, saved_values, trials_of, verdicts
from program import value

from autohpo import StoreError, Trial, TrialState
from autohpo.store import LogEvent, SQLiteStore

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MARK = "AUTOHPO_CHAOS"  # in the environment of every process of a search
HANG_SECONDS = 60.0
GONE_SECONDS = 2.0  # that the processes of a killed driver may take to end

Counts = dict[str, Any]
MUST_BE_ZERO = (
    "lost",  # results that were acknowledged and are not there, or not the same
    "twice",  # trials with more than one ask or end
    "wrong",  # trials with another value than theirs
    "missing",  # trials that the finished search does not have
    "running",  # trials that a finished or interrupted search left without an end
    "different",  # runs whose log is not that of a run that nobody disturbed
    "orphans",  # processes that outlived their driver
    "bystanders",  # trials that ended badly though their worker was not touched
    "unnamed",  # killed workers whose trial does not say so
    "unreached",  # points that the search never came to
    "late",  # drivers that took too long to end
    "exits",  # drivers that ended with another code than they should
    "admitted",  # second drivers that were let in
    "unruly",  # trials that ended otherwise than the stopping rule says
)


def faults(counts: Counts) -> Counts:
    """The counts that should be zero and are not."""
    return {name: counts[name] for name in MUST_BE_ZERO if counts.get(name)}


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
    tag: str = field(default_factory=lambda: f"{os.getpid()}-{uuid.uuid4().hex}")

    @property
    def store(self) -> Path:
        """Its log."""
        return self.folder / "run.db"

    def options(self, failpoint: str = "") -> dict[str, Any]:
        """What the program is called with."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files = {"folder": self.folder, "store": self.store, "acknowledged": self.folder / "acknowledged"}
        return dataclasses.asdict(self) | {name: str(path) for name, path in files.items()} | {"failpoint": failpoint}

    def undisturbed(self) -> list[tuple[str, int, dict[str, Any]]]:
        """The canonical log of the same search in one go, in this very process."""
        reference = dataclasses.replace(self, folder=self.folder / "reference", pause=0.0)
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
        """How many processes are there though no driver is; they get a moment to go, then are killed."""
        until = time.monotonic() + GONE_SECONDS
        while processes(self.tag) and time.monotonic() < until:
            time.sleep(0.02)
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
        }

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


def processes(tag: str) -> list[int]:
    """Numbers of the processes that live and whose tag begins like this."""
    mark, found = f"{MARK}={tag}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(entry.startswith(mark) for entry in (folder / "environ").read_bytes().split(b"\0")):
                found.append(int(folder.name))
    return found


def kill_all(tag: str) -> int:
    """Kills those processes, and returns how many there were."""
    found = processes(tag)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def copy_of(search: Search, name: str) -> Search:
    """The same search in another folder below its own."""
    tag = f"{os.getpid()}-{uuid.uuid4().hex}"
    return dataclasses.replace(search, folder=search.folder / name, tag=tag)


def rounds(search: Search, n: int) -> Iterator[tuple[Search, random.Random]]:
    """The same search anew, as long as the caller asks: one may be finished before it was killed n times."""
    draw = random.Random(n)
    for i in range(10 * n):
        yield copy_of(search, f"round-{i}"), draw


def kill_driver(search: Search, n_kills: int, most_seconds: float = 0.3) -> Counts:
    """Kills the driver at random moments and starts it again until the search is finished, n times in all.

    Args:
        search: With one worker it is compared with a run that nobody disturbed, event for event.
        n_kills: SIGKILLs.
        most_seconds: From the start of a search to the kill; drawn uniformly from 0.
    """
    expected = search.undisturbed() if search.is_repeatable else []
    counts: Counts = {"kills": 0, "rounds": 0, "lost": 0, "orphans": 0, "different": 0}
    for one, draw in rounds(search, n_kills):
        is_over = False
        while not is_over:
            driver = one.start()
            try:
                if counts["kills"] < n_kills:
                    driver.wait(draw.uniform(0, most_seconds))
                is_over = driver.wait(HANG_SECONDS) == 0
                if not is_over:
                    raise AssertionError(f"the driver ended with {driver.returncode}: {one.errors()}")
            except subprocess.TimeoutExpired:
                driver.kill()
                driver.wait()
                counts["kills"] += 1
                counts["orphans"] += one.orphans()
                counts["lost"] += one.n_lost()
        counts["rounds"] += 1
        for name, n in one.check().items():
            counts[name] = counts.get(name, 0) + n
        if one.is_repeatable:
            counts["different"] += one.repeatable() != expected
        if counts["kills"] >= n_kills:
            break
    return counts


def fail_at(search: Search, points: Iterable[str], times: Iterable[int] = (3,)) -> Counts:
    """Kills the driver at each named point of its loop, the k-th time it comes there; then finishes the search."""
    expected = search.undisturbed()
    counts: Counts = {"kills": 0, "unreached": 0, "different": 0, "lost": 0}
    for point in points:
        for k in times:
            one = copy_of(search, f"{point}-{k}")
            code = one.start(f"{point}:{k}").wait(HANG_SECONDS)
            counts["kills"] += code == -signal.SIGKILL
            counts["unreached"] += code == 0
            if code not in (0, -signal.SIGKILL):
                raise AssertionError(f"the driver ended with {code}: {one.errors()}")
            counts["lost"] += one.n_lost()
            one.finish()
            for name, n in one.check().items():
                counts[name] = counts.get(name, 0) + n
            counts["different"] += one.repeatable() != expected
    return counts


def kill_workers(search: Search, n_kills: int) -> Counts:
    """Kills workers in the middle of a trial: that trial is CRASHED, and no other one notices.

    A worker is stopped first, so that what it says of the trial that it runs is true when it is killed.
    """
    driver, draw = search.start(), random.Random(n_kills)
    killed: dict[int, float] = {}
    while len(killed) < n_kills and driver.poll() is None:
        time.sleep(draw.uniform(0, 2 * search.pause))
        marks = list(search.folder.glob("runs-*"))
        if not marks:
            continue
        mark = draw.choice(marks)
        pid = int(mark.name.removeprefix("runs-"))
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(pid, signal.SIGSTOP)
            while _state_of(pid) not in "TZ":
                time.sleep(0.0005)
            number = mark.read_text() if mark.exists() else ""
            os.kill(pid, signal.SIGKILL if number else signal.SIGCONT)
            if number:
                killed[int(number)] = time.time()
                mark.unlink()
    driver.wait(HANG_SECONDS)
    trials = {t.number: t for t in trials_of(search.events())}
    hit = [trials[number] for number in killed]
    others = [t for t in trials.values() if t.number not in killed]
    named = [t for t in hit if t.state is TrialState.CRASHED and "SIGKILL" in t.error]
    seconds = sorted(t.ended - killed[t.number] for t in named if t.ended is not None)
    return {
        "kills": len(killed),
        "unnamed": len(hit) - len(named),
        "bystanders": sum(t.state is not TrialState.COMPLETE for t in others),
        "exits": int(driver.returncode != 0),
        "orphans": search.orphans(),
        "detected_p50_ms": round(1000 * seconds[len(seconds) // 2], 1) if seconds else None,
        "detected_max_ms": round(1000 * seconds[-1], 1) if seconds else None,
        **search.check(),
    }


def _state_of(pid: int) -> str:
    """The letter that Linux has for the state of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def send_signals(search: Search, signals: list[int], most_seconds: float, gap_seconds: float = 0.3) -> Counts:
    """Sends signals to the driver's process group in the middle of the search; then lets the same command finish it.

    Args:
        search: With one worker it is compared with a run that nobody disturbed.
        signals: The first ends it in order, a second one at once.
        most_seconds: From the last signal to its end.
        gap_seconds: Between two signals.
    """
    one = copy_of(search, "interrupted")
    driver = one.start()
    one.wait_for("start", min(4, search.workers) if search.shape == "stubborn" else 4, driver)
    for i, number in enumerate(signals):
        time.sleep(gap_seconds if i else min(search.pause / 2, gap_seconds))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.pid, number)
    began = time.monotonic()
    code = driver.wait(HANG_SECONDS)
    late = time.monotonic() - began
    codes = {signal.SIGINT: (-signal.SIGINT, 130), signal.SIGTERM: (143,)}[signal.Signals(signals[0])]
    trials = trials_of(one.events())
    counts: Counts = {
        "seconds": round(late, 2),
        "late": int(late > most_seconds),
        "exits": int(code not in codes),
        "left_running": sum(t.state is TrialState.RUNNING for t in trials),
        "orphans": one.orphans(),
        "interrupted": sum(t.state is TrialState.CANCELLED for t in trials),
    }
    one.release()
    dataclasses.replace(one, pause=0.0).finish()
    checked = one.check()
    checked["running"] += counts.pop("left_running")
    is_equal = search.workers > 1 or canonical(one.events()) == search.undisturbed()
    return {**counts, **checked, "different": int(not is_equal)}


def start_twice(search: Search) -> Counts:
    """Starts a second driver while the first one runs: it is refused by name, and the first one does not notice."""
    one = dataclasses.replace(search, folder=search.folder / "one", shape="held")
    first = one.start()
    one.wait_for("start", 4, first)
    second = one.start()
    one.wait_for("start", 5, second)  # a trial that it would start only if it were let in
    one.release()
    code = second.wait(HANG_SECONDS)
    is_refused = code != 0 and "RunBusyError" in one.errors() and f"in use by process {first.pid} on" in one.errors()
    exits = int(first.wait(HANG_SECONDS) != 0)
    return {
        "admitted": int(not is_refused),
        "exits": exits,
        "different": int(canonical(one.events()) != search.undisturbed()),
        **one.check(),
    }
