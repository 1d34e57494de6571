"""The base of executors that stand around another one, and hand on what they do not change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from autohpo.execution.base import Event, Executor, OnReport
from autohpo.objective import Objective
from autohpo.store.base import LogEvent
from autohpo.trial import Task, TrialState

__all__ = ["Around"]


class Around(Executor):
    """An executor that hands everything on to another one; subclasses change a part.

    Args:
        inner: The executor that does the work.

    Attributes:
        inner: The executor that does the work.

    Example:
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> from autohpo.execution.serial import SerialExecutor
        >>> class Counting(Around):
        ...     n = 0
        ...
        ...     def submit(self, slot, task):
        ...         self.n += 1
        ...         super().submit(slot, task)
        >>> executor = Counting(SerialExecutor())
        >>> hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=4, seed=0)
        >>> best = hpo.optimize(executor=executor, progress=False)
        >>> executor.n
        4
    """

    def __init__(self, inner: Executor) -> None:
        self.inner = inner
        self.is_inline = inner.is_inline  # type: ignore[misc] # it is as the one inside is
        self.runs_here = inner.runs_here  # type: ignore[misc] # likewise

    @property
    def closing(self) -> str:
        """Why nothing more may start, and what runs has to end; empty while the search may go on."""
        return self.inner.closing

    def recall(self, log: Iterable[LogEvent], files: Path | None) -> None:
        """Take the log of the search so far, before the slots open.

        Args:
            log: The events.
            files: The folder of the run's files; None where it goes with this process.
        """
        self.inner.recall(log, files)

    def trained(self, number: int, attempt: int) -> float | None:
        """Return what an attempt has trained that has no end; None where nobody knows."""
        return self.inner.trained(number, attempt)

    def logged(self, events: Sequence[LogEvent]) -> None:
        """Take note of what is in the log now, whatever happens to this process."""
        self.inner.logged(events)

    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Get ready to run tasks of one objective.

        Raises:
            OptionError: The objective cannot be carried to where it would run.
        """
        self.inner.open(objective, on_report)

    def slots(self) -> Sequence[int]:
        """Return the numbers of the slots there are now."""
        return self.inner.slots()

    def capacity(self) -> int:
        """Return how many tasks may run at once now."""
        return self.inner.capacity()

    def submit(self, slot: int, task: Task) -> None:
        """Start a task in a slot that is free.

        Raises:
            OptionError: The slot is not free, or the task cannot be carried there.
        """
        self.inner.submit(slot, task)

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return the events since the last call."""
        return self.inner.poll(timeout_seconds)

    def stop(self, number: int) -> None:
        """Ask a running trial to end at its next report."""
        self.inner.stop(number)

    def kill(self, number: int, state: TrialState, reason: str) -> None:
        """End a running trial at once."""
        self.inner.kill(number, state, reason)

    def holds(self, slot: int, root: int) -> bool:
        """Return whether a slot still has the paused training of a chain."""
        return self.inner.holds(slot, root)

    def drop(self, root: int) -> None:
        """Let go of the paused training of a chain that will not be continued."""
        self.inner.drop(root)

    def rank(self, roots: Sequence[int]) -> None:
        """Say which paused trainings to let go first."""
        self.inner.rank(roots)

    def close(self) -> None:
        """End every slot and whatever runs there."""
        self.inner.close()
