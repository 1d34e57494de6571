"""Faults that are planted on purpose, so that each check shows that it can fail. Nothing in autohpo knows of them.

Three ways in: ``with planted("harms"):`` in this process; ``python planted.py harms -m autohpo run ...`` or
``python planted.py harms program.py ...`` for a program; and ``AUTOHPO_BREAK=harms pytest -p planted ...`` for a suite.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from autohpo import BaseHPOptimizer, TrialState
from autohpo.algorithms.session import Session
from autohpo.ending import Ending
from autohpo.execution.local import LocalExecutor
from autohpo.execution.logs import SlotLog
from autohpo.execution.slot import Slot
from autohpo.failures import Failures
from autohpo.search import Search
from autohpo.store import LogEvent, SQLiteStore
from autohpo.store.waiting import Waiting

VARIABLE = "AUTOHPO_BREAK"
Patch = Callable[[Any, str, Any], None]
"""Puts another value in place of an attribute."""


def forgets(patch: Patch) -> None:
    """Every tenth result is acknowledged but not written."""
    append = SQLiteStore.append

    def forget(store: SQLiteStore, events: list[LogEvent], *, sync: bool = True) -> None:
        append(store, [e for e in events if not (e.kind == "end" and e.trial % 10 == 5)], sync=sync)

    patch(SQLiteStore, "append", forget)


def unseeded(patch: Patch) -> None:
    """Suggestions do not follow from the history."""
    patch(BaseHPOptimizer, "rng", property(lambda self: np.random.default_rng()))


def unlocked(patch: Patch) -> None:
    """The lock of a run excludes nobody."""
    from autohpo.store import lock

    patch(lock, "_lock", lambda handle: None)


def orphan(_: Patch) -> None:
    """A process that nobody ends."""
    subprocess.Popen(["sleep", "30"], start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def harms(patch: Patch) -> None:
    """Where one worker dies, its neighbour is ended too."""
    original = LocalExecutor._handle

    def handle(executor: LocalExecutor, event: Any) -> None:
        original(executor, event)
        if event.kind == "died":
            others = (slot for slot in executor._slots if slot.process is not None and slot.attempt is not None)
            for slot in [slot for slot in others if slot.attempt.is_started][:1]:
                slot.process.kill()

    patch(LocalExecutor, "_handle", handle)


def unruled(patch: Patch) -> None:
    """What a stopping rule says is asked for, and forgotten."""
    reported = Session.reported
    patch(Session, "reported", lambda *args: reported(*args) or True)


def deaf(patch: Patch) -> None:
    """Signals end the driver at once, with nothing saved."""
    patch(Ending, "signals", lambda self: contextlib.nullcontext())
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def untyped(patch: Patch) -> None:
    """The death of a worker is told as a result that is no number, without a word."""
    original = LocalExecutor._handle

    def handle(executor: LocalExecutor, event: Any) -> None:
        if event.kind == "died":
            event = dataclasses.replace(event, outcome=dataclasses.replace(event.outcome, state=TrialState.INVALID))
        original(executor, event)

    patch(LocalExecutor, "_handle", handle)


def _never_for(state: TrialState) -> Callable[[Patch], None]:
    def plant(patch: Patch) -> None:
        kill = Slot.kill

        def never(slot: Slot, *args: Any) -> None:
            if all(getattr(arg, "state", None) is not state for arg in args):
                kill(slot, *args)

        patch(Slot, "kill", never)

    return plant


def impatient(patch: Patch) -> None:
    """A store does not wait for anything."""
    original = Waiting.__init__

    def init(self: Waiting, path: Path, wait_seconds: float) -> None:
        original(self, path, 0.0 * wait_seconds)

    patch(Waiting, "__init__", init)


def journaled(patch: Patch) -> None:
    """There is no write-ahead log, so readers and the writer are in each other's way."""
    original = SQLiteStore.open

    def opened(store: SQLiteStore) -> None:
        original(store)
        store._db.execute("PRAGMA journal_mode = DELETE")

    patch(SQLiteStore, "open", opened)


def accepts(patch: Patch) -> None:
    """A result may be infinite."""
    from autohpo import objectives

    strict = objectives.as_perf
    patch(objectives, "as_perf", lambda value: value if value == float("inf") else strict(value))


def tireless(patch: Patch) -> None:
    """Failures end no search."""
    patch(Failures, "ended", lambda *args, **options: None)


def same_seed(patch: Patch) -> None:
    """All trials have one seed."""
    from autohpo import dispatch

    task = dispatch.Task
    patch(dispatch, "Task", lambda **fields: task(**{**fields, "seed": 7}))


def credulous(patch: Patch) -> None:
    """The end of any attempt counts."""
    patch(Search, "is_current", lambda *args: True)


def wall_clock(patch: Patch) -> None:
    """Limits follow the clock on the wall."""
    patch(time, "monotonic", lambda: time.time())  # noqa: PLW0108 - whatever that is by then


def leaks(patch: Patch) -> None:
    """Every hundredth task leaves a file open."""
    submit, n = LocalExecutor.submit, [0]

    def leak(executor: LocalExecutor, slot: int, task: Any) -> None:
        submit(executor, slot, task)
        n[0] += 1
        if not n[0] % 100:
            os.open(os.devnull, os.O_RDONLY)

    patch(LocalExecutor, "submit", leak)


def unnamed(patch: Patch) -> None:
    """What an algorithm raises comes out as it is."""
    from autohpo.algorithms.parts.fallback import Fallback

    patch(Fallback, "suggested", lambda self, pid, seed, number: self._hpo._get_suggestion(pid))


def by_reference(patch: Patch) -> None:
    """An objective is pickled by its name, as if a module could be imported that has it."""
    from autohpo.execution import mains

    class ByName(pickle.Pickler):
        def dump_definitions(self) -> None:
            self.dump(None)

    patch(mains, "_Pickler", ByName)


def endless_log(patch: Patch) -> None:
    """Logs are not shortened while a trial runs."""
    patch(SlotLog, "shorten", lambda *args: None)


def tells_all(patch: Patch) -> None:
    """The header of a store has the environment."""
    from autohpo import runner

    made_with = runner.made_with
    patch(runner, "made_with", lambda *args: {**made_with(*args), "environment": dict(os.environ)})


def evaluates(patch: Patch) -> None:
    """Texts of a store that look like expressions are evaluated."""
    from autohpo.store import rows, salvage, sqlite

    original = sqlite.parse_json

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: walk(item) for name, item in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        if isinstance(value, str) and value.startswith("__import__"):
            eval(value)
        return value

    for module in (sqlite, rows, salvage):
        patch(module, "parse_json", lambda text: walk(original(text)))


def unchecked(patch: Patch) -> None:
    """Rows are taken as they are, whatever their checksums say."""
    from autohpo.store import rows

    patch(rows, "check_written", lambda found, after: [row[0] for row in found])


PLANTS: dict[str, Callable[[Patch], None]] = {
    f.__name__: f
    for f in (
        *(forgets, unseeded, unlocked, orphan, harms, unruled, deaf, untyped, impatient, journaled, accepts, tireless),
        *(same_seed, credulous, wall_clock, leaks, unnamed, by_reference, endless_log, tells_all, evaluates, unchecked),
    )
} | {"unlimited": _never_for(TrialState.MEMORY), "untimed": _never_for(TrialState.TIMEOUT)}
"""All faults by name; "unlimited" is a limit of memory that nobody enforces, "untimed" one of time."""


ELSEWHERE = {"orphan", "deaf"}
"""Faults that concern the processes that a row starts, and would disturb this one."""


def plant(name: str) -> None:
    """Plant a fault in this process, for good; the empty string plants none.

    Raises:
        ValueError: There is no such fault.
    """
    if name and name not in PLANTS:
        raise ValueError(f"plant: must be one of {', '.join(PLANTS)}, got {name!r}")
    if name:
        PLANTS[name](setattr)


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Plant a fault in this process for a while."""
    undo: list[tuple[Any, str, Any]] = []

    def patch(owner: Any, attribute: str, value: Any) -> None:
        undo.append((owner, attribute, getattr(owner, attribute)))
        setattr(owner, attribute, value)

    if name and name not in ELSEWHERE:
        PLANTS[name](patch)
    try:
        yield
    finally:
        for owner, attribute, value in reversed(undo):
            setattr(owner, attribute, value)


def pytest_configure() -> None:
    """Plant the fault that the environment names, in a run of pytest that has this module as a plug-in."""
    plant(os.environ.get(VARIABLE, ""))


def main() -> None:
    """Run a program with a fault in it."""
    plant(sys.argv[1])
    if sys.argv[2] == "-m":
        sys.argv = sys.argv[3:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = sys.argv[2:]
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
