"""The engine that a pool makes: it starts hosts, and files in a folder carry what they say."""

from __future__ import annotations

import time
from abc import abstractmethod
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Protocol

from autohpo.errors import AutoHPOError, OptionError
from autohpo.execution.hosts.engine import Engine, Heard
from autohpo.execution.hosts.setup import HostSetup
from autohpo.execution.pools.driver_mark import DriverMark
from autohpo.execution.pools.host import INBOX, LONGEST_SECONDS, OUTBOX, SHORTEST_SECONDS
from autohpo.execution.pools.mailbox import MailboxReader, MailboxWriter
from autohpo.folders import PREFIX, remove_folder, temporary_folder

__all__ = ["Job", "PoolEngine"]

LOOK_SECONDS = 0.1  # between two looks at which jobs have ended


class Job(Protocol):
    """What a pool returns for something that it was given to run: futures are such, and jobs of submitit."""

    def done(self) -> bool:
        """Return whether it has ended, or was cancelled."""
        ...

    def cancel(self) -> Any:
        """Do not start it, if that can still be avoided."""
        ...

    def result(self) -> Any:
        """Return what it returned, or raise what it raised; only called once it has ended."""
        ...


class PoolEngine(Engine):
    """An engine over a pool; subclasses say how a host is submitted.

    Args:
        folder: A folder that driver and workers share, for the channel; None is a temporary one of this machine.

    Raises:
        OptionError: It is no folder, or nothing can be written there.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self._shared = None if folder is None else Path(folder).resolve()
        if self._shared is not None:
            try:
                self._shared.mkdir(parents=True, exist_ok=True)
            except OSError as fault:
                raise OptionError(f"folder: must be a folder that workers share, got {folder}: {fault}") from fault
        self._folder: Path | None = None
        self._mark: DriverMark | None = None
        self._setup: HostSetup | None = None
        self._jobs: dict[int, Job] = {}
        self._outboxes: dict[int, MailboxReader] = {}
        self._inboxes: dict[int, MailboxWriter] = {}
        self._failure = ""
        self._looked = 0.0

    @abstractmethod
    def _submit(self, setup: HostSetup, host: int, folder: str) -> Job:
        """Have the pool run :func:`autohpo.execution.pools.host.run_host`, and return at once.

        Raises:
            Exception: The pool takes nothing any more.
        """

    def open(self, setup: HostSetup) -> None:
        """Make the channel."""
        self._setup = setup
        if self._shared is None:
            self._folder = temporary_folder()
        else:
            try:
                self._folder = Path(mkdtemp(prefix=PREFIX, dir=self._shared))
            except OSError as fault:
                raise OptionError(
                    f"folder: must be a folder that can be written, got {self._shared}: {fault}"
                ) from fault
        self._mark = DriverMark(self._folder, setup.lease_seconds)

    def start(self, host: int) -> None:
        """Submit a host to the pool."""
        assert self._setup is not None  # it is open
        assert self._folder is not None
        self._inboxes[host] = MailboxWriter(self._folder / INBOX.format(host))
        self._outboxes[host] = MailboxReader(self._folder / OUTBOX.format(host))
        try:
            self._jobs[host] = self._submit(self._setup, host, str(self._folder))
        except Exception as fault:  # whatever pools raise when they are broken or shut down
            self._failure = self._failure or f"{self.name} takes no work any more: {type(fault).__name__}: {fault}"

    def send(self, host: int, message: bytes) -> None:
        """Put a message into the inbox of a host."""
        if host in self._inboxes:
            self._inboxes[host].put(message)

    def take(self, timeout_seconds: float) -> list[Heard]:
        """Return what was heard; files are looked at less and less often while nothing comes."""
        until, pause = time.monotonic() + timeout_seconds, SHORTEST_SECONDS
        while True:
            found = [Heard(host, message) for host, box in self._outboxes.items() for message in box.take()]
            found += self._ended()
            left = until - time.monotonic()
            if found or left <= 0 or self._failure:
                return found
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_SECONDS)

    def _ended(self) -> list[Heard]:
        """Return which jobs have ended; the last words of their hosts come first."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return []
        self._looked = now
        found: list[Heard] = []
        for host in [host for host, job in self._jobs.items() if job.done()]:
            found += [Heard(host, message) for message in self._outboxes[host].take()]
            found.append(Heard(host, None, _why(self._jobs.pop(host))))
            self._forget(host)
        return found

    def _forget(self, host: int) -> None:
        del self._outboxes[host], self._inboxes[host]
        if self._folder is not None:
            for name in (INBOX, OUTBOX):
                with suppress(OSError):
                    (self._folder / name.format(host)).unlink()

    def cancel(self, host: int) -> None:
        """Have the pool not start a host; one that runs was told to end."""
        job = self._jobs.get(host)
        if job is not None:
            with suppress(Exception):  # a pool that is broken
                job.cancel()

    def close(self) -> None:
        """Remove the channel, which ends all hosts; the pool is its owner's."""
        for host in [*self._jobs]:
            self.cancel(host)
        if self._mark is not None:
            self._mark.close()
        if self._folder is not None:
            remove_folder(self._folder)
            self._folder = None

    @property
    def failure(self) -> str:
        """Why the pool takes no hosts any more."""
        return self._failure


def _why(job: Job) -> str:
    """How a job ended, as a clause."""
    try:
        return str(job.result()) or "its job ended"
    except AutoHPOError as fault:
        return str(fault)
    except BaseException as fault:  # what came over from another process; a cancelled future raises, too
        return f"its job ended with {type(fault).__name__}: {fault}"[:2000]
