"""The contract of a platform: worker processes, their channels, their trees, and who ends them with their driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from autohpo.execution.logs import SlotLog

RUN = "AUTOHPO_RUN_"
"""The variable that each process of a worker inherits, with the name of the run behind it: its value is the slot.

It tells whose a process is where parent, group and session do not; a search inside a search has two of them.
"""


@dataclass(frozen=True)
class Start:
    """What a worker process is started with.

    Attributes:
        command: Returns the command line, given the last words: what the worker finds its channels by.
        log: The descriptor that its output and its errors go to.
        folder: The working directory; None is that of the driver.
        environment: All its variables.
        run: The name of the run.
        slot: The number of its slot.
    """

    command: Callable[[Sequence[str]], list[str]]
    log: int
    folder: str | None
    environment: Mapping[str, str]
    run: str
    slot: int


class Child(ABC):
    """A worker process as its driver sees it: a channel each way, everything that it starts, and how it ended."""

    pid: int

    @abstractmethod
    def read(self) -> bytes:
        """Return what has come; no bytes at the end.

        Raises:
            BlockingIOError: Nothing has come.
        """

    @abstractmethod
    def write(self, data: memoryview) -> int:
        """Send what there is room for, and return how many bytes that was.

        Raises:
            BlockingIOError: There is no room now.
            BrokenPipeError: The worker does not read any more.
        """

    @abstractmethod
    def has_exited(self) -> bool:
        """Return whether the worker itself ended."""

    @abstractmethod
    def kill(self) -> None:
        """End the worker and all that it has started at once, from any thread; only before :meth:`reap`."""

    @abstractmethod
    def reap(self) -> str:
        """Return how an exited worker ended, as a verb and what belongs to it, and free its number."""

    @abstractmethod
    def close(self) -> None:
        """Close the channels. May be called twice."""


class Guard(Protocol):
    """The contract of what ends workers when their driver is killed."""

    def watch(self, group: int) -> None:
        """End a worker, by the number of its process, if the driver dies."""

    def forget(self, group: int) -> None:
        """Leave a worker alone; to be called before its number is free."""

    def check(self) -> None:
        """Look whether the guard itself still lives; to be called every now and then."""

    def close(self) -> None:
        """End the guard itself, and no worker."""


class Finder(Protocol):
    """The contract of what finds processes of a run that are not below their workers any more."""

    def find(self, workers: Mapping[int, int]) -> dict[int, list[int]]:
        """Return the processes of each slot that has some.

        Args:
            workers: The slot of each worker, by its number as a process.
        """


class Pipe(Protocol):
    """The contract of the channel from the driver, in a worker."""

    def read(self, n_bytes: int, /) -> bytes:
        """Return so many bytes, once they have come; fewer at the end."""


@dataclass(frozen=True)
class Channels:
    """The channels of a worker, in its own process.

    Attributes:
        pipe: What comes from the driver.
        send: Sends bytes to the driver, all of them.
    """

    pipe: Pipe
    send: Callable[[bytes], None]


class Platform(ABC):
    """What the local executor asks of an operating system, in the driver and in its workers.

    Attributes:
        name: The name of the system.
        reads_proc: Whether the files of ``/proc`` tell of processes.
        has_groups: Whether processes are in groups that can be signalled.
    """

    name: ClassVar[str]
    reads_proc: ClassVar[bool] = False
    has_groups: ClassVar[bool] = True

    # In the driver.

    @abstractmethod
    def start(self, start: Start) -> Child:
        """Start a worker, without waiting for it.

        Raises:
            OSError: It cannot be started.
        """

    def log_writer(self, log: SlotLog) -> int:
        """Return a descriptor that appends to a log, for a worker; the caller closes it.

        Raises:
            OSError: The log cannot be written.
        """
        return log.writer()

    @abstractmethod
    def wait(self, readers: Collection[Child], writers: Collection[Child], timeout_seconds: float) -> list[Child]:
        """Wait until there is something to read, or room to write; return those that something has come from.

        Args:
            readers: The workers to read from.
            writers: The workers to write to.
            timeout_seconds: How long to wait at most.
        """

    @abstractmethod
    def guard(self, folder: Path, *, is_apart: bool = False) -> Guard:
        """Start what ends the workers if this process is killed, and then removes a folder, if it can.

        Args:
            folder: The folder.
            is_apart: Whether it is to be no child of this process, so that who kills its children spares it.

        Raises:
            AutoHPOError: It cannot be started.
        """

    # In both.

    @abstractmethod
    def tree_of(self, pid: int) -> list[int]:
        """Return a process and its descendants, as far as they are known."""

    def finder(self, run: str) -> Finder:
        """Return what finds the processes of a run that are not below their workers any more."""
        return _NoFinder()

    # In a worker.

    @abstractmethod
    def open_channels(self, words: Sequence[str]) -> Channels:
        """Return the channels of this worker.

        Args:
            words: The last words of its command line.
        """

    def end_with_driver(self) -> None:  # noqa: B027 - not every system can
        """Have the system itself end this process with its driver, where it can."""

    def expose_to_oom_killer(self) -> None:  # noqa: B027 - nor that
        """Have the system take this process rather than its driver, where memory runs out."""

    @abstractmethod
    def ignore_interrupts(self) -> None:
        """Leave Ctrl-C to the driver."""

    @abstractmethod
    def end_worker(self) -> None:
        """End this process at once, with all that it has started where the system lets it."""


class _NoFinder:
    def find(self, workers: Mapping[int, int]) -> dict[int, list[int]]:
        return {}
