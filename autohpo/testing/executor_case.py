"""What executors are checked with: a factory, and a session that drives one open executor and records what it says."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autohpo.execution.base import Event, Executor, OnReport
from autohpo.objective import Objective
from autohpo.testing.checks import CheckFailed
from autohpo.trial import Task, TrialState

POLL_SECONDS = 0.1


@dataclass
class ExecutorSession:
    """An open executor, and everything that it said.

    Attributes:
        executor: The executor.
        folder: A folder that lasts as long as the session.
        timeout_seconds: How long an end may be waited for.
        on_report: What to answer to a report; it is wanted by default.
        events: Every event but the reports, in order.
        reports: Every report, in order.
        journal: Events and reports, in the order in which they came.
    """

    executor: Executor
    folder: Path
    timeout_seconds: float
    on_report: OnReport | None = None
    events: list[Event] = field(default_factory=list)
    reports: list[Event] = field(default_factory=list)
    journal: list[Event] = field(default_factory=list)

    def take_report(self, event: Event) -> bool:
        """Record a report, and answer it."""
        self.reports.append(event)
        self.journal.append(event)
        return self.on_report is None or self.on_report(event)

    def poll(self, timeout_seconds: float = POLL_SECONDS) -> None:
        """Poll once."""
        events = self.executor.poll(timeout_seconds)
        self.events += events
        self.journal += events

    def slots(self, n: int = 1) -> list[int]:
        """Return the slots, once there are at least `n`.

        Raises:
            CheckFailed: They do not come in time.
        """
        self._wait(lambda: len(self.executor.slots()) >= n, f"{n} slots")
        return list(self.executor.slots())

    def submit(self, number: int, slot: int | None = None, **parts: Any) -> int:
        """Submit a task, the first attempt at the root of a chain if not told otherwise; return its slot."""
        where = self.slots()[0] if slot is None else slot
        chain = str(self.folder / f"trial-{parts.get('root', number)}")
        parts = {"attempt": 1, "hp": {"x": float(number)}, "root": number, "checkpoint_dir": chain, **parts}
        self.executor.submit(where, Task(number, **parts))
        return where

    def ends(self, number: int, attempt: int = 1) -> list[Event]:
        """Return the events that ended an attempt; there should be one at most."""
        return [e for e in self.events if (e.number, e.attempt) == (number, attempt) and e.kind != "started"]

    def kinds(self, number: int) -> list[str]:
        """Return the kinds of a trial's events so far, reports left out."""
        return [event.kind for event in self.events if event.number == number]

    def end_of(self, number: int, attempt: int = 1) -> Event:
        """Poll until an attempt has ended, and return its end.

        Raises:
            CheckFailed: It does not end in time, or its end has no outcome.
        """
        self._wait(lambda: bool(self.ends(number, attempt)), f"the end of trial {number}")
        end = self.ends(number, attempt)[0]
        if end.outcome is None:
            raise CheckFailed(f"wanted an end of trial {number} with an outcome, got {end}")
        return end

    def run(self, number: int, slot: int | None = None, **parts: Any) -> Event:
        """Submit a task, and return its end."""
        self.submit(number, slot, **parts)
        return self.end_of(number, parts.get("attempt", 1))

    def perf_of(self, number: int, slot: int | None = None, **parts: Any) -> float | None:
        """Run a task, and return what it measured."""
        outcome = self.run(number, slot, **parts).outcome
        return None if outcome is None else outcome.perf

    def _wait(self, is_there: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + self.timeout_seconds
        while not is_there():
            if time.monotonic() > until:
                raise CheckFailed(f"wanted {what} within {self.timeout_seconds:g} s, got {self.journal}")
            self.poll()


@dataclass(frozen=True)
class ExecutorCase:
    """A kind of executor under check.

    Attributes:
        make: Makes a new executor, not open yet.
        timeout_seconds: How long each end may be waited for.
    """

    make: Callable[[], Executor]
    timeout_seconds: float = 30.0

    @contextmanager
    def session(
        self, f: Callable[..., Any], on_report: OnReport | None = None, mode: object = "max"
    ) -> Iterator[ExecutorSession]:
        """Open a new executor with an objective, and close it in the end.

        Args:
            f: The objective.
            on_report: What to answer to each report.
            mode: Which way each objective is better.
        """
        with tempfile.TemporaryDirectory(prefix="autohpo-check-") as folder:
            session = ExecutorSession(self.make(), Path(folder), self.timeout_seconds, on_report)
            try:
                session.executor.open(Objective.of(f, mode=mode), session.take_report)
                yield session
            finally:
                session.executor.close()


def ended_well(event: Event) -> bool:
    """Whether an attempt came to its own end with a result."""
    return event.kind == "done" and event.outcome is not None and event.outcome.state is TrialState.COMPLETE
