"""Memory meters: the contract of the ways to hold a worker to its memory limit, and the usual way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar

from autohpo.execution.limits import require_memory_limits, tree_memory
from autohpo.trial import Outcome


class MemoryMeter(ABC):
    """How the memory of workers is measured, and who ends a trial that takes too much.

    The driver opens and closes it; a worker makes its own from what :meth:`described` says.

    Args:
        limit: The bytes that a worker may hold.

    Attributes:
        limit: The argument of that name.
    """

    name: ClassVar[str]
    """The value of ``memory_by``."""

    is_enforced: ClassVar[bool] = False
    """Whether the system holds the limit; else the driver's watchdog ends what passes it."""

    needs_strays: ClassVar[bool] = False
    """Whether it must be told of processes whose parent is gone."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    @abstractmethod
    def check(self) -> None:
        """Check that this way is there; nothing is changed.

        Raises:
            OptionError: It is not; the text says why, and what to do.
            MissingExtraError: A package is not installed.
        """

    def open(self, n_slots: int) -> None:  # noqa: B027 - most need nothing
        """Get ready for some slots.

        Raises:
            OptionError: The system does not let it.
        """

    def close(self) -> None:  # noqa: B027
        """Give back what :meth:`open` took, once all workers have ended."""

    def described(self) -> dict[str, Any]:
        """Return what a worker makes its own meter from, in JSON types."""
        return {"by": self.name, "limit": self.limit}

    def enter(self, slot: int) -> None:  # noqa: B027
        """Put this very process, a worker, under the limit.

        Args:
            slot: The number of its slot.
        """

    @abstractmethod
    def held(self, slot: int, pid: int, strays: Collection[int] = ()) -> int:
        """Return the bytes that a worker holds, with what it has started; 0 where it is gone.

        Args:
            slot: The number of its slot.
            pid: The number of its process.
            strays: Processes of it whose parent is gone.
        """

    def judged(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a trial: MEMORY where the limit made it fail."""
        return outcome

    def why_died(self, slot: int, tail: str) -> str:
        """Return the error of a trial whose worker died by the limit; the empty string where it died of something else.

        Args:
            slot: The number of the slot.
            tail: The last lines that it printed.
        """
        return ""


class TreeMeter(MemoryMeter):
    """The resident memory of a worker and all processes below it, looked at every 50 ms; the driver ends the trial."""

    name = "rss"
    needs_strays = True

    def check(self) -> None:
        """Check that the system tells it."""
        require_memory_limits()

    def held(self, slot: int, pid: int, strays: Collection[int] = ()) -> int:
        """Return the bytes that the tree of a worker holds."""
        return tree_memory(pid, self.limit, strays)
