"""The limit of the address space (``RLIMIT_AS``): an allocation beyond it fails, in the process that asks for it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import replace

from autohpo.errors import OptionError
from autohpo.execution.meters import MemoryMeter
from autohpo.execution.platform import current
from autohpo.execution.tree import read_proc
from autohpo.trial import Outcome, TrialState

# What allocations that fail look like at the end of an error: Python's and numpy's, torch's on the CPU, and the
# system's for a new process or thread. Those for the memory of a GPU are called OutOfMemoryError.
_FAILED_ALLOCATION = re.compile(
    r"(?<!OutOf)(?<!OutOf_)MemoryError\b|can't allocate memory|Cannot allocate memory|can't start new thread"
)
_DIED_OF = re.compile(r"std::bad_alloc|Cannot allocate memory|can't allocate memory|MemoryError")


class AddressSpaceMeter(MemoryMeter):
    """What a process may reserve, held by the system for each process of a worker by itself.

    Python raises MemoryError at the limit, so the objective may free what it holds, or catch it. The address space is
    more than the memory: libraries reserve what they never use, and CUDA far more than there is.
    """

    name = "address-space"
    is_enforced = True

    def check(self) -> None:
        """Check that the system holds this limit, and that a worker could begin below it.

        Raises:
            OptionError: It does not.
        """
        if current().name != "linux":
            raise OptionError("memory_by: 'address-space' needs Linux; use 'rss' here")

    def enter(self, slot: int) -> None:
        """Limit this process, and what it starts; a lower limit that there is already stays."""
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = self.limit if hard == resource.RLIM_INFINITY else min(self.limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def held(self, slot: int, pid: int, strays: Collection[int] = ()) -> int:
        """Return the bytes that the process of a worker has reserved; what it started has a limit of its own."""
        fields = read_proc(f"/proc/{pid}/statm").split()
        return int(fields[0]) * os.sysconf("SC_PAGE_SIZE") if fields else 0

    def judged(self, outcome: Outcome) -> Outcome:
        """Return the outcome as MEMORY where an allocation failed: below this limit that is why."""
        last = outcome.error.rstrip().rpartition("\n")[2]
        if outcome.state is not TrialState.FAILED or not _FAILED_ALLOCATION.search(last):
            return outcome
        return replace(outcome, state=TrialState.MEMORY, error=f"{self._reached}: {last}\n{outcome.error}")

    def why_died(self, slot: int, tail: str) -> str:
        """Return why a worker died that could not allocate; that is said in what it printed last."""
        return f"{self._reached}, and its process died of it; its last output:\n{tail}" if _DIED_OF.search(tail) else ""

    @property
    def _reached(self) -> str:
        return f"it reached its memory limit of {self.limit / 1e6:.0f} MB of address space"
