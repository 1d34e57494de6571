"""An executor that tells a listener what happens in another one, and starts nothing more once the listener says so."""

from __future__ import annotations

from autohpo.execution.around import Around
from autohpo.execution.base import Event, Executor, OnReport
from autohpo.objective import Objective
from autohpo.trial import Task

__all__ = ["AttemptListener", "Watch"]


class AttemptListener:
    """What hears of the attempts of a search, in its thread; by default nothing happens.

    Attributes:
        is_closing: Whether nothing more may start.
    """

    is_closing: bool = False

    def opened(self, executor: Executor) -> None:
        """Take the executor, once it is ready; it can stop and kill what runs."""

    def started(self, task: Task) -> None:
        """Take the start of an attempt."""

    def reported(self, event: Event, goes_on: bool) -> None:
        """Take a report, and what was answered."""

    def ended(self, event: Event) -> None:
        """Take the end of an attempt."""

    def looked(self) -> None:
        """Called each time that the search has looked for events."""


class Watch(Around):
    """An executor whose events somebody listens to.

    Args:
        inner: The executor that does the work.
        listener: What hears of it.

    Example:
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> from autohpo.execution.serial import SerialExecutor
        >>> class Ended(AttemptListener):
        ...     def ended(self, event):
        ...         print(event.number, event.outcome.state)
        >>> hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=2, seed=0)
        >>> best = hpo.optimize(executor=Watch(SerialExecutor(), Ended()), progress=False)
        0 COMPLETE
        1 COMPLETE
    """

    def __init__(self, inner: Executor, listener: AttemptListener) -> None:
        super().__init__(inner)
        self._listener = listener

    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Get ready to run tasks of one objective.

        Raises:
            OptionError: The objective cannot be carried to where it would run.
        """

        def heard(event: Event) -> bool:
            goes_on = on_report(event)
            self._listener.reported(event, goes_on)
            return goes_on

        self.inner.open(objective, heard)
        self._listener.opened(self)

    def capacity(self) -> int:
        """Return how many tasks may run at once now: none once the listener closes."""
        return 0 if self._listener.is_closing else self.inner.capacity()

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
