"""Watch: an executor that tells a controller what happens in another one."""

from __future__ import annotations

from pathlib import Path

from autohpo.controller.following import Following
from autohpo.execution.around import Around
from autohpo.execution.base import Event, Executor, OnReport
from autohpo.objective import Objective
from autohpo.trial import Task


class Watch(Around):
    """An executor whose events a controller listens to.

    Args:
        inner: The executor that does the work.
        listener: What hears of it.
        files: The folder of the run's checkpoints.
    """

    def __init__(self, inner: Executor, listener: Following, files: Path | None) -> None:
        super().__init__(inner)
        self._listener, self._files = listener, files

    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Get ready to run tasks of one objective.

        Raises:
            OptionError: The objective cannot be carried to where it would run.
        """
        self.inner.open(objective, on_report)
        self._listener.opened(self, self._files)

    def capacity(self) -> int:
        """Return how many tasks may run at once now: none once the search was asked to end."""
        return 0 if self._listener.is_stopping else self.inner.capacity()

    def submit(self, slot: int, task: Task) -> None:
        """Start a task in a slot that is free.

        Raises:
            OptionError: The slot is not free, or the task cannot be carried there.
        """
        self.inner.submit(slot, task)
        self._listener.started(task)

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return the events since the last call."""
        events = self.inner.poll(timeout_seconds)
        for event in events:
            if event.outcome is not None:
                self._listener.ended(event)
        self._listener.looked()
        return events
