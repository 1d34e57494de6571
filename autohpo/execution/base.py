"""The contract of every executor: submit tasks to slots, poll for events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from autohpo.objective import Objective
from autohpo.trial import Outcome, Task, TrialState

EventKind = Literal["started", "report", "done", "failed", "died", "killed"]


@dataclass(frozen=True)
class Event:
    """Something that happened to an attempt.

    An attempt has at most one *started*, any number of *report*, and exactly one of the four that end it:
    *done* (the objective returned), *failed* (it raised, or returned no finite number), *died* (its process ended
    by itself), *killed* (a limit, or the driver, ended its process).

    Attributes:
        kind: One of the six.
        number: Of the trial.
        attempt: Of the trial.
        slot: Where.
        outcome: Of an event that ends the attempt.
        fidelity: Of a report.
        perf: Of a report: the user's own value.
    """

    kind: EventKind
    number: int
    attempt: int
    slot: int
    outcome: Outcome | None = None
    fidelity: float | None = None
    perf: float | None = None


OnReport = Callable[[Event], bool]
"""Takes each report as it comes; False asks that trial to end at this report, or the next one."""


class Executor(ABC):
    """Runs tasks in slots, one task a slot at a time. Slots may come and go.

    A paused training lives in the slot that ran it, so its next task must go to that slot to be continued there;
    in another slot it is started again. A slot that goes ends its task as LOST, with an event that says so. An end may
    come late, or twice: the driver takes the first one of the attempt that counts, and ignores the others.
    """

    is_inline: ClassVar[bool] = False
    """Whether the objective runs in the thread that polls, so that a signal can interrupt it there."""

    @abstractmethod
    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Gets ready to run tasks of one objective; called once, before everything else."""

    @abstractmethod
    def slots(self) -> Sequence[int]:
        """Return the numbers of the slots there are now; they change only while :meth:`poll` runs."""

    def capacity(self) -> int:
        """Return how many tasks may run at once now."""
        return len(self.slots())

    @abstractmethod
    def submit(self, slot: int, task: Task) -> None:
        """Starts a task in a slot that is free, and returns at once."""

    @abstractmethod
    def poll(self, timeout_seconds: float) -> list[Event]:
        """The events since the last call but for reports, which go to `on_report` while this runs.

        Returns as soon as there is one, and after `timeout_seconds` at the latest, but for an executor that runs
        its task inside this call.
        """

    @abstractmethod
    def stop(self, number: int) -> None:
        """Asks a running trial to end at its next report; no effect on one that is not running."""

    @abstractmethod
    def kill(self, number: int, state: TrialState, reason: str) -> None:
        """Ends a running trial at once; no effect on one that is not running.

        A *killed* event with this state and reason follows, or the end it came to just before.
        """

    @abstractmethod
    def holds(self, slot: int, root: int) -> bool:
        """Whether a slot still has the paused training of a chain."""

    @abstractmethod
    def drop(self, root: int) -> None:
        """Lets go of the paused training of a chain that will not be continued."""

    @abstractmethod
    def close(self) -> None:
        """Ends every slot and whatever runs there. May be called twice."""
