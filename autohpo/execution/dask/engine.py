"""The driver's end: hosts are tasks, and what is heard of them comes from their tasks, their workers and themselves."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from autohpo.execution.dask.link import JOIN, NO, RUN_HOST, YES
from autohpo.execution.dask.mail import Mail
from autohpo.execution.dask.place import Place, connect
from autohpo.execution.dask.workers import resources_of
from autohpo.execution.hosts.engine import Engine, Heard
from autohpo.execution.hosts.messages import BYE, Message
from autohpo.execution.hosts.needs import Needs
from autohpo.execution.hosts.setup import HostSetup

__all__ = ["DaskEngine"]

CHECK_SECONDS = 0.5
"""How often the connection to the scheduler is looked at."""

GROUP = "autohpo-host"
"""What dask calls the tasks of all searches, on its dashboard for one."""


class _Said(NamedTuple):
    """A host has said something."""

    fields: dict[str, Any]


class _Left(NamedTuple):
    """A worker has left the cluster."""

    worker: str


class _Ended(NamedTuple):
    """The task of a host has come to its end, or nothing can be said to it any more."""

    key: str
    why: str
    is_fault: bool = False


@dataclass(eq=False)
class _Place:
    """Where a host is.

    Attributes:
        key: The key of its task.
        future: The task, as long as the host is wanted.
        token: What tells the first run of the task from a further one.
        worker: The address of the worker that runs it.
    """

    key: str
    future: Any
    token: str = ""
    worker: str = ""


class DaskEngine(Engine):
    """Runs hosts as tasks of a dask cluster.

    What happens in dask's own threads becomes a notice in a queue; everything else is done in the driver's thread.

    Args:
        cluster: A client, a cluster, the address of a scheduler; None is a cluster of our own on this machine.
        n_slots: How many hosts a cluster of our own has room for.
        needs: What each host needs.
        security: The ``Security`` of dask, for an address.
    """

    name = "dask"

    def __init__(self, cluster: Any, n_slots: int, needs: Needs, security: Any = None) -> None:
        self._given = cluster, n_slots, needs, security
        self._needs = needs
        self._id = uuid.uuid4().hex
        self._place: Place | None = None
        self._hosts: dict[int, _Place] = {}  # also those that were given up: they may come back
        self._notices: SimpleQueue[_Said | _Left | _Ended] = SimpleQueue()
        self._unasked: set[int] = set()  # hosts to be submitted as soon as there is a scheduler again
        self._failure = ""
        self._was_running = True

    @property
    def _topic(self) -> str:
        return str(self._client.id)  # the scheduler clears the log of a client that is gone

    def open(self, setup: HostSetup) -> None:
        """Connect to the scheduler, and listen.

        Raises:
            OptionError: There is no such scheduler, or none of its workers has what a trial needs.
            MissingExtraError: Dask is not installed.
        """
        self._setup = YES + setup.pack()
        place = connect(*self._given)
        try:
            if place.workers is None:
                place.check(self._needs)
        except BaseException:
            place.close()
            raise
        self._place, self._client = place, place.client
        self._mail = Mail(self._client, self._on_unsent)
        self._listen()

    def _listen(self) -> None:
        self._client.subscribe_topic(self._topic, self._on_message)
        self._client.subscribe_topic("all", self._on_event)  # where the scheduler logs what comes and goes

    # In dask's threads.

    def _on_message(self, event: tuple[float, Any]) -> None:
        fields = event[1]
        if isinstance(fields, dict) and "host" in fields:  # the scheduler writes there, too
            self._notices.put(_Said(fields))

    def _on_event(self, event: tuple[float, Any]) -> None:
        fields = event[1]
        if isinstance(fields, dict) and fields.get("action") == "remove-worker":
            self._notices.put(_Left(fields.get("worker", "")))

    def _on_unsent(self, keys: list[str], why: str) -> None:
        for key in keys:
            self._notices.put(_Ended(key, why))

    def _on_done(self, future: Any) -> None:
        fault = future.exception() if future.status == "error" else None
        if fault is None:
            why = "its task was cancelled" if future.cancelled() else "its task has ended"
            self._notices.put(_Ended(future.key, why))
        elif isinstance(fault, ImportError) and (fault.name or "").partition(".")[0] == "autohpo":
            why = f"autohpo is not installed where dask's workers run, or it is another version ({fault})"
            self._notices.put(_Ended(future.key, why, is_fault=True))
        else:
            self._notices.put(_Ended(future.key, f"its task failed: {fault!r}"))

    # In the driver's thread.

    def start(self, host: int) -> None:
        """Submit the task of a host: it waits until a worker has room for it."""
        self._unasked.discard(host)
        key = f"{GROUP}-{host}-{self._id}"
        options: dict[str, Any] = {"key": key, "pure": False, "retries": 0}
        resources = resources_of(self._needs)
        if resources:
            options["resources"] = resources
        try:
            future = self._client.submit(eval, RUN_HOST, {"topic": self._topic, "number": host}, **options)
        except Exception as fault:  # of a client that has just lost its scheduler
            self._hosts[host] = _Place(key, None)
            self._notices.put(_Ended(key, f"it could not be submitted: {fault!r}"))
            return
        self._hosts[host] = _Place(key, future)
        future.add_done_callback(self._on_done)

    def send(self, host: int, message: bytes) -> None:
        """Send a message to a host through the scheduler and its worker."""
        place = self._hosts.get(host)
        if place is not None and place.worker:
            self._mail.send(place.worker, place.key, message)

    def take(self, timeout_seconds: float) -> list[Heard]:
        """Return what was heard since the last call; wait for something."""
        until = time.monotonic() + timeout_seconds
        found: list[Heard] = []
        while True:
            wait = 0.0 if found else min(until - time.monotonic(), CHECK_SECONDS)
            try:
                notice = self._notices.get(timeout=wait) if wait > 0 else self._notices.get_nowait()
            except Empty:
                self._look_at_scheduler()
                if found or self._failure or time.monotonic() >= until:
                    return found
                continue
            found += self._hear(notice)

    def _hear(self, notice: _Said | _Left | _Ended) -> list[Heard]:
        if isinstance(notice, _Left):
            there = [number for number, place in self._hosts.items() if place.worker == notice.worker]
            return [heard for number in there for heard in self._lose(number, f"dask worker {notice.worker} is gone")]
        if isinstance(notice, _Ended):
            number = _number_of(notice.key)
            place = self._hosts.get(number)
            if place is not None and not place.token and self._client.status == "connecting":
                place.future = None  # the scheduler has forgotten it, and it had not begun
                self._unasked.add(number)
                return []
            if notice.is_fault and place is not None and place.future is not None:
                return [Heard(number, Message(BYE, {"why": notice.why, "is_fault": True}).pack())]
            return self._lose(number, notice.why)
        number = notice.fields.get("host", -1)
        if JOIN in notice.fields:
            return self._answer(number, notice.fields[JOIN])
        return [Heard(number, notice.fields["data"])] if number in self._hosts else []

    def _answer(self, number: int, about: dict[str, Any]) -> list[Heard]:
        """Give a host its setup, if this is the first run of a task that is still wanted."""
        place = self._hosts.get(number)
        worker, key = about["worker"], f"{GROUP}-{number}-{self._id}"
        if place is None or place.future is None or place.token:
            self._mail.send(worker, key, NO)
            return [] if place is None else self._lose(number, "dask ran its task again")
        place.token, place.worker = about["token"], worker
        self._mail.send(worker, key, YES if about["has_setup"] else self._setup)
        return []

    def _lose(self, number: int, why: str) -> list[Heard]:
        """Take note that a host is no more; once only."""
        place = self._hosts.get(number)
        if place is None or place.future is None:
            return []
        self._release(place)
        return [Heard(number, None, why)]

    def _release(self, place: _Place) -> None:
        """Let dask forget a task; a worker that runs it sees that."""
        future, place.future = place.future, None
        if future is not None:
            future.release()

    def _look_at_scheduler(self) -> None:
        place = self._place
        if place is None or self._failure:
            return
        status = self._client.status
        is_running = status == "running"
        if is_running and not self._was_running:
            self._listen()  # a scheduler that was started again knows nobody who listens
            for number in [*self._unasked]:
                self.start(number)
        self._was_running = is_running
        if status in ("closing", "closed"):
            self._failure = f"the dask scheduler at {place.address} is gone; run the same command with one to go on"
        elif place.workers is not None:
            self._failure = place.workers.failure

    def cancel(self, host: int) -> None:
        """Give a host up: its task is no longer wanted."""
        self._unasked.discard(host)
        place = self._hosts.get(host)
        if place is not None:
            self._release(place)

    def close(self) -> None:
        """Give up all hosts, and close what is not the user's."""
        place, self._place = self._place, None
        if place is None:
            return
        try:
            for one in self._hosts.values():
                self._release(one)
            if self._client.status == "running":
                for topic in (self._topic, "all"):
                    self._client.unsubscribe_topic(topic)  # else the scheduler goes on to write to it
        finally:
            place.close()

    @property
    def failure(self) -> str:
        """Why no host can ever be had again: the scheduler is gone."""
        return self._failure

    @property
    def waits_for(self) -> str:
        """What to start workers with."""
        if self._place is None or self._place.workers is not None:
            return "the workers of dask on this machine"
        return f"workers of the dask scheduler at {self._place.address}, as of: {self._place.command(self._needs)}"


def _number_of(key: str) -> int:
    return int(key.removeprefix(f"{GROUP}-").partition("-")[0])
