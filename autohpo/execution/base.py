"""The contract of every executor: submit tasks to slots, poll for events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from autohpo.objective import Objective
from autohpo.store.base import LogEvent
from autohpo.trial import Outcome, Perf, Task, TrialState

EventKind = Literal["started", "report", "done", "failed", "died", "killed"]


@dataclass(frozen=True)
class Event:
    """Something that happened to an attempt.

    An attempt has at most one *started*, any number of *report*, and exactly one of the four that end it:
    *done* (the objective returned), *failed* (it raised, or returned no finite number), *died* (its process ended
    by itself, or its slot went), *killed* (a limit, or the driver, ended its process).

    Attributes:
        kind: What happened.
        number: The number of the trial.
        attempt: Which start of the trial it is, as submitted.
        slot: The slot that it was submitted to.
        outcome: How the attempt ended, where this is its end.
        fidelity: How far the training came, in a report.
        perf: How good it is, in a report: the user's own value, a tuple of several objectives.
        metrics: Further numbers by name, in a report that has some.
    """

    kind: EventKind
    number: int
    attempt: int
    slot: int
    outcome: Outcome | None = None
    fidelity: float | None = None
    perf: Perf | None = None
    metrics: Mapping[str, float] | None = None


OnReport = Callable[[Event], bool]
"""Takes each report as it comes; False asks that attempt to end at this report, or the next one."""


class Executor(ABC):
    """Runs tasks in slots, one task a slot at a time. Slots may come and go.

    A paused training lives in the slot that ran it, so its next task must go to that slot to be continued there;
    in another slot it is started again. A slot that goes ends its task as LOST, with an event that says so, sooner or
    later; its number may be used again. An end may come late, or twice: the driver takes the first one of the attempt
    that counts, and ignores the others.

    All methods are called from one thread. ``autohpo.testing.check_executor`` checks this contract.
    """

    is_inline: ClassVar[bool] = False
    """Whether the objective runs in the thread that polls, so that a signal can interrupt it there."""

    runs_here: ClassVar[bool] = False
    """Whether all tasks run on this machine, in processes that see the files of the driver and end with it."""

    @property
    def closing(self) -> str:
        """Why nothing more may start, and what runs has to end; empty while the search may go on, as by default."""
        return ""

    def recall(self, log: Iterable[LogEvent], files: Path | None) -> None:  # noqa: B027 - most have no use for it
        """Take the log of the search so far; called once, before :meth:`open`. By default it is not read.

        Args:
            log: The events.
            files: The folder of the run's files; None where it goes with this process.
        """

    def trained(self, number: int, attempt: int) -> float | None:
        """Return what an attempt has trained that has no end: one of an earlier driver's, or one that was closed.

        The log gets it with the end that the driver writes. By default None: nobody knows.
        """
        return None

    def logged(self, events: Sequence[LogEvent]) -> None:  # noqa: B027 - most have no use for it
        """Take note of what is in the log now, whatever happens to this process; by default that is ignored."""

    @abstractmethod
    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Get ready to run tasks of one objective; called once, before everything else but the slots.

        Args:
            objective: What the tasks run.
            on_report: What reports are handed to, while :meth:`poll` runs. What it raises comes out of there.

        Raises:
            OptionError: This was called before, or the objective cannot be carried to where it would run.
        """

    @abstractmethod
    def slots(self) -> Sequence[int]:
        """Return the numbers of the slots there are now; they change only while :meth:`poll` runs.

        There may be none for a while: the search waits.
        """

    def capacity(self) -> int:
        """Return how many tasks may run at once now, in whichever slots; never more than there are."""
        return len(self.slots())

    @abstractmethod
    def submit(self, slot: int, task: Task) -> None:
        """Start a task in a slot that is free, and return at once.

        Raises:
            OptionError: There is no such slot, it is not free, or the task cannot be carried there.
        """

    @abstractmethod
    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return the events since the last call, but for reports: those go to `on_report` while this runs.

        Reports of an attempt come in their order, and before its end. This returns as soon as there is an event, and
        after `timeout_seconds` at the latest, but for an executor that runs its task inside this call.
        """

    @abstractmethod
    def stop(self, number: int) -> None:
        """Ask a running trial to end at its next report; no effect on one that is not running."""

    @abstractmethod
    def kill(self, number: int, state: TrialState, reason: str) -> None:
        """End a running trial at once; no effect on one that is not running.

        A *killed* event with this state and reason follows, or the end it came to just before.
        """

    @abstractmethod
    def holds(self, slot: int, root: int) -> bool:
        """Return whether a slot still has the paused training of a chain."""

    @abstractmethod
    def drop(self, root: int) -> None:
        """Let go of the paused training of a chain that will not be continued."""

    def rank(self, roots: Sequence[int]) -> None:  # noqa: B027 - an executor need not do anything
        """Say which paused trainings to let go first where there is no room for all; by default none is.

        Args:
            roots: The roots of their chains, the one least likely to go on first.
        """

    @abstractmethod
    def close(self) -> None:
        """End every slot and whatever runs there. May be called twice."""
