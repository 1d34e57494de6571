"""The host's end: a task of dask, which hears its driver through its worker and the scheduler."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from autohpo.execution.hosts.engine import Link
from autohpo.execution.hosts.host import serve
from autohpo.execution.hosts.setup import HostSetup

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DELIVER", "JOIN", "NO", "RUN_HOST", "YES", "DaskLink", "deliver", "run_host"]

RUN_HOST = "__import__('autohpo.execution.dask.link', fromlist=['run_host']).run_host(topic, number)"
"""The task that dask places, as an expression: a worker that cannot import a function of ours would close itself."""

DELIVER = "autohpo-deliver"
"""The name of :func:`deliver` among the handlers of a worker."""

JOIN = "join"
"""The key of what a host says first; what it says later stands under ``data``."""

YES, NO = b"yes", b"no"
"""The first bytes of the answer: a setup follows YES where the worker has none; after NO the host ends."""

JOIN_SECONDS = 0.25
"""How often a host that waits for the answer looks whether it is still wanted."""

_inboxes: dict[str, SimpleQueue[bytes]] = {}
"""Of the hosts in this process, by the keys of their tasks."""


def deliver(mail: Iterable[tuple[str, bytes]]) -> None:
    """Hand messages to hosts of this process; those of hosts that have ended are dropped.

    Args:
        mail: The key of the task of a host, and the message.
    """
    for key, message in mail:
        inbox = _inboxes.get(key)
        if inbox is not None:
            inbox.put(message)


class _Search:
    """What the hosts of one search share in a process: the setup, which is brought there once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_hosts = 0
        self.setup: HostSetup | None = None


_searches: dict[str, _Search] = {}
_searches_lock = threading.Lock()


@contextmanager
def _search_of(topic: str) -> Iterator[_Search]:
    """Share what a search has in this process, as long as it has hosts here."""
    with _searches_lock:
        search = _searches.setdefault(topic, _Search())
        search.n_hosts += 1
    try:
        yield search
    finally:
        with _searches_lock:
            search.n_hosts -= 1
            if not search.n_hosts:
                del _searches[topic]


def run_host(topic: str, number: int) -> str:
    """Run a host in a task of dask, and return why it ended.

    Args:
        topic: The name under which the driver of the search listens.
        number: The number of the host.
    """
    from distributed import get_worker

    with _search_of(topic) as search:
        link = DaskLink(get_worker(), topic, number)
        try:
            setup = link.join(search)
            return "its driver has no need of it" if setup is None else serve(setup, number, link)
        finally:
            link.close()


class DaskLink(Link):
    """A host's end of the way: events that its worker logs, and an inbox that :func:`deliver` fills.

    Args:
        worker: The worker of dask that runs the host.
        topic: The name under which the driver of the search listens.
        number: The number of the host.
    """

    def __init__(self, worker: Any, topic: str, number: int) -> None:
        self._worker, self._topic, self._number = worker, topic, number
        self._key = worker.get_current_task()
        self._inbox = _inboxes[self._key] = SimpleQueue()
        worker.handlers[DELIVER] = deliver  # that of any other host in this process is the same
        self._is_leaving = False

    def join(self, search: _Search) -> HostSetup | None:
        """Ask the driver for the setup; None where it does not want this host.

        Dask runs a task again where its worker has died: the driver knows each host by the token of its first run, and
        wants no other one.
        """
        with search.lock:
            about = {"token": uuid.uuid4().hex, "worker": self._worker.address, "has_setup": search.setup is not None}
            self._log({"host": self._number, JOIN: about})
            answer = self._first_message()
            if not answer.startswith(YES):
                return None
            if answer != YES:
                search.setup = HostSetup.unpack(answer[len(YES) :])
            return search.setup

    def _first_message(self) -> bytes:
        while self.is_wanted():
            found = self.receive(JOIN_SECONDS)
            if found:
                return found[0]
        return NO

    def close(self) -> None:
        """Take no more messages."""
        _inboxes.pop(self._key, None)

    def receive(self, timeout_seconds: float) -> list[bytes]:
        """Return the messages that came; wait for one, but no longer than that."""
        found: list[bytes] = []
        try:
            found.append(self._inbox.get(timeout=timeout_seconds) if timeout_seconds > 0 else self._inbox.get_nowait())
            while True:
                found.append(self._inbox.get_nowait())
        except Empty:
            return found

    def send(self, message: bytes) -> None:
        """Send a message to the driver, through the scheduler."""
        self._log({"host": self._number, "data": message})

    def _log(self, fields: dict[str, Any]) -> None:
        self._worker.log_event(self._topic, fields)

    def is_wanted(self) -> bool:
        """Return whether the scheduler still wants the task, which it does not when the driver is gone."""
        self._is_leaving = self._worker.status.name not in ("running", "paused")
        task = self._worker.state.tasks.get(self._key)
        return not self._is_leaving and task is not None and task.state in ("executing", "long-running")

    @property
    def why_unwanted(self) -> str:
        """Why the host is no longer wanted, as a clause."""
        return "its dask worker is closing" if self._is_leaving else super().why_unwanted
