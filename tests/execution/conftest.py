"""What the tests of this room share: a box in time, executors that are always closed, and a loop that drives them."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autohpo.execution.base import Event, Executor, OnReport
from autohpo.execution.local import LocalExecutor
from autohpo.objective import Objective
from autohpo.trial import Task

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

ENDS = ("done", "failed", "died", "killed")


@pytest.fixture(autouse=True)
def _time_box() -> Iterator[None]:
    """Ends a test that hangs."""

    def give_up(*_: object) -> None:
        raise TimeoutError("the test hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Driver:
    """An open executor, with what its reports and events were."""

    def __init__(self, executor: Executor, f: Callable[..., Any], on_report: OnReport | None = None) -> None:
        self.executor = executor
        self.reports: list[Event] = []
        self.events: list[Event] = []
        self._on_report = on_report
        executor.open(Objective.of(f), self._take)

    def _take(self, event: Event) -> bool:
        self.reports.append(event)
        return self._on_report is None or self._on_report(event)

    def submit(self, number: int, slot: int = 0, **fields: Any) -> None:
        """Submits a task that is the root of its chain, if not told otherwise."""
        fields = {"attempt": 1, "hp": {"x": float(number)}, "root": number, **fields}
        self.executor.submit(slot, Task(number, **fields))

    def end_of(self, number: int, seconds: float = 20.0) -> Event:
        """Polls until a trial has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for event in self.events:
                if event.number == number and event.kind in ENDS:
                    return event
            self.events += self.executor.poll(0.1)
        raise AssertionError(f"no end of trial {number} in {seconds} s, only {self.events}")

    def run(self, number: int, slot: int = 0, **fields: Any) -> Event:
        """Submits a task, and polls until it has ended."""
        self.submit(number, slot, **fields)
        return self.end_of(number)

    def kinds(self, number: int) -> list[str]:
        """The kinds of a trial's events so far."""
        return [event.kind for event in self.events if event.number == number]


Drive = Callable[..., Driver]


@pytest.fixture
def drive_local() -> Iterator[Drive]:
    """Opens a local executor: ``drive_local(f, on_report, n_slots=2)``."""
    executors: list[Executor] = []

    def drive(f: Callable[..., Any], on_report: OnReport | None = None, **options: Any) -> Driver:
        executors.append(LocalExecutor(**options))
        return Driver(executors[-1], f, on_report)

    yield drive
    for executor in executors:
        executor.close()
