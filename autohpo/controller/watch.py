"""Watch: an executor that tells a controller what happens in another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from autohpo.controller.following import Following
from autohpo.execution.base import Event, Executor, OnReport
from autohpo.objective import Objective
from autohpo.store.base import LogEvent
from autohpo.trial import Task, TrialState


class Watch(Executor):
    """An executor whose events a controller listens to.

    Args:
        inner: The executor that does the work.
        listener: What hears of it.
        files: The folder of the run's checkpoints.
    """

    def __init__(self, inner: Executor, listener: Following, files: Path | None) -> None:
        self._inner, self._listener, self._files = inner, listener, files
        self.is_inline = inner.is_inline  # type: ignore[misc] # it is as the one inside is

    @property
    def closing(self) -> str:
        """Why nothing more starts; empty while something may."""
        return self._inner.closing

    def recall(self, log: Iterable[LogEvent], files: Path | None) -> None:
        """Take what earlier drivers of the same store have logged."""
        self._inner.recall(log, files)

    def trained(self, number: int, attempt: int) -> float | None:
        """Return what an attempt without an end has trained."""
        return self._inner.trained(number, attempt)

    def logged(self, events: Sequence[LogEvent]) -> None:
        """Take note of what is in the log now."""
        self._inner.logged(events)

    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Get ready to run tasks of one objective.

        Raises:
            OptionError: The objective cannot be carried to where it would run.
        """
        self._inner.open(objective, on_report)
        self._listener.opened(self, self._files)

    def slots(self) -> Sequence[int]:
        """Return the numbers of the slots."""
        return self._inner.slots()

    def capacity(self) -> int:
        """Return how many tasks may run at once now: none once the search was asked to end."""
        return 0 if self._listener.is_stopping else self._inner.capacity()

    def submit(self, slot: int, task: Task) -> None:
        """Start a task in a slot that is free.

        Raises:
            OptionError: The slot is not free, or the task cannot be carried there.
        """
        self._inner.submit(slot, task)
        self._listener.started(task)

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return the events since the last call."""
        events = self._inner.poll(timeout_seconds)
        for event in events:
            if event.outcome is not None:
                self._listener.ended(event)
        self._listener.looked()
        return events

    def stop(self, number: int) -> None:
        """Ask a running trial to end at its next report."""
        self._inner.stop(number)

    def kill(self, number: int, state: TrialState, reason: str) -> None:
        """End a running trial at once."""
        self._inner.kill(number, state, reason)

    def holds(self, slot: int, root: int) -> bool:
        """Return whether a slot still has the paused training of a chain."""
        return self._inner.holds(slot, root)

    def drop(self, root: int) -> None:
        """Let go of the paused training of a chain."""
        self._inner.drop(root)

    def rank(self, roots: Sequence[int]) -> None:
        """Say which paused trainings to let go first."""
        self._inner.rank(roots)

    def close(self) -> None:
        """End every slot and whatever runs there."""
        self._inner.close()
