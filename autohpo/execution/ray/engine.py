"""Ray behind the contract of engines: an actor for each host."""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from autohpo.execution.hosts.engine import Engine, Heard
from autohpo.execution.hosts.needs import Needs
from autohpo.execution.hosts.setup import HostSetup
from autohpo.execution.ray.cluster import Cluster
from autohpo.execution.ray.link import Said, Unheard

__all__ = ["RayEngine"]

AGAIN_SECONDS = 0.5
"""How long after a broken connection to an actor it is tried again."""

LAST_WORDS_SECONDS = 10.0
"""How long an actor that was given up may still say how its attempt ended, before its process is killed."""

MOST_WHY = 400

LARGE_BYTES = 50_000
"""The size from which the objective is kept in Ray's object store, once for all actors; else it goes with each."""

OWNER_DIED = "owner has died"
"""What Ray says of an actor whose driver it takes for dead: the daemon of Ray beside the driver has crashed."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class _Remote:
    """An actor, as its driver sees it.

    Args:
        handle: Ray's.

    Attributes:
        handle: The argument of that name.
        unheard: What was sent to it.
        n_heard: How many messages of it were heard.
        is_up: Whether it has said anything.
        doomed: When it is to be killed, by the monotonic clock, if it was given up.
    """

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.unheard = Unheard()
        self.n_heard = 0
        self.is_up = False
        self.doomed: float | None = None
        self._deliver, self._collect = handle.deliver, handle.collect

    def send(self, message: bytes) -> None:
        """Send a message."""
        self._deliver.remote(self.unheard.add(message), [message])

    def beat(self) -> None:
        """Give a sign of life, and send again what may be lost."""
        self._deliver.remote(*self.unheard.rest())

    def listen(self, then: Callable[[Future[Any]], None]) -> None:
        """Call a function, from a thread of Ray, once there is something to hear."""
        self._collect.remote(self.n_heard).future().add_done_callback(then)


class RayEngine(Engine):
    """Runs each host in an actor of Ray.

    Args:
        address: Which Ray; see :class:`~autohpo.execution.ray.cluster.Cluster`.
        n_slots: How many hosts there are to be at a time.
        needs: What each of them needs.
        options: Further options of the actors, for Ray.
    """

    name = "Ray"

    def __init__(self, address: str | None, n_slots: int, needs: Needs, options: Mapping[str, Any]) -> None:
        self._address, self._n_slots, self._needs = address, n_slots, needs
        self._options = options
        self._remotes: dict[int, _Remote] = {}
        self._heard: SimpleQueue[tuple[int, Future[Any]]] = SimpleQueue()
        self._again: dict[int, float] = {}  # hosts to listen to again, and when
        self._gone: list[Heard] = []
        self._failure = ""
        self._cluster: Cluster | None = None
        self._is_over = threading.Event()

    def open(self, setup: HostSetup) -> None:
        """Connect to Ray, or start it."""
        from autohpo.execution.ray.actor import GROUPS, HostActor, mark_methods

        n_cpus = self._n_slots * (self._needs.cpus or 1)
        self._cluster = cluster = Cluster(self._address, n_cpus, len(setup.objective))
        ray = cluster.ray
        self._unavailable = ray.exceptions.ActorUnavailableError
        mark_methods(ray)
        fixed = {"max_restarts": 0, "max_task_retries": 0, "concurrency_groups": GROUPS}
        self._actor = ray.remote(**{**self._wanted(), **self._options, **fixed})(HostActor)
        setup = dataclasses.replace(setup, n_gpus=0)  # Ray itself says which GPUs an actor may use
        self._setup = setup if len(setup.objective) < LARGE_BYTES else ray.put(setup)
        beat = threading.Thread(target=self._beat, args=(setup.lease_seconds / 4,), name="autohpo-ray", daemon=True)
        beat.start()
        self._thread = beat

    def start(self, host: int) -> None:
        """Ask Ray for an actor."""
        try:
            remote = self._remotes[host] = _Remote(self._actor.remote(self._setup, host))
            self._listen(host, remote)
        except Exception as fault:  # Ray itself is gone, or refuses what the user wants of it
            self._remotes.pop(host, None)
            self._lose(host, _clause(fault))

    def send(self, host: int, message: bytes) -> None:
        """Send a message to an actor."""
        remote = self._remotes.get(host)
        if remote is not None:
            self._try(lambda: remote.send(message))

    def take(self, timeout_seconds: float) -> list[Heard]:
        """Return what was heard."""
        self._look_after()
        found, self._gone = self._gone, []
        wait = 0.0 if found else max(0.0, timeout_seconds)
        if self._again or any(remote.doomed for remote in self._remotes.values()):
            wait = min(wait, AGAIN_SECONDS)
        try:
            one = self._heard.get(timeout=wait) if wait else self._heard.get_nowait()
            while True:
                found += self._hear(*one)
                one = self._heard.get_nowait()
        except Empty:
            return found

    def cancel(self, host: int) -> None:
        """End an actor: at once where it has not started, else it has some seconds for its last words."""
        remote = self._remotes.get(host)
        if remote is not None and not remote.is_up:
            self._end(host)
        elif remote is not None and remote.doomed is None:
            remote.doomed = time.monotonic() + LAST_WORDS_SECONDS

    def close(self) -> None:
        """End all actors, and the Ray of our own."""
        self._is_over.set()
        if self._cluster is None:
            return
        self._thread.join()
        for host in [*self._remotes]:
            self._end(host)
        self._cluster.close()

    @property
    def failure(self) -> str:
        """Why there will be no more actors: this process has no Ray any more, or Ray takes it for dead."""
        if not self._failure and self._cluster is not None and not self._cluster.ray.is_initialized():
            self._failure = "Ray was shut down"
        return self._failure

    @property
    def waits_for(self) -> str:
        """What each actor needs, and what the cluster has."""
        wanted = {**self._wanted(), **self._options}
        memory = wanted.get("memory")
        needs = [f"{wanted.get('num_cpus', 1):g} CPU", f"{wanted.get('num_gpus', 0):g} GPU"]
        needs += [f"{memory / 2**30:.1f} GiB memory"] if memory else []
        needs += [f"{value:g} {name}" for name, value in dict(wanted.get("resources") or {}).items()]
        has = "" if self._cluster is None else f"; {self._cluster.resources()}"
        return f"an actor of Ray with {', '.join(needs)}{has}"

    def _wanted(self) -> dict[str, Any]:
        needs = self._needs
        wanted: dict[str, Any] = {"num_cpus": needs.cpus or 1}
        if needs.gpus:
            wanted["num_gpus"] = needs.gpus
        if needs.memory is not None:
            wanted["memory"] = needs.memory
        return wanted

    def _listen(self, host: int, remote: _Remote) -> None:
        remote.listen(lambda future: self._heard.put((host, future)))

    def _try(self, call: Callable[[], None]) -> None:
        """Make a call of Ray, whose failure is heard of in another way."""
        try:
            call()
        except Exception as fault:
            if self._cluster is not None and not self._cluster.ray.is_initialized():
                self._failure = f"Ray was shut down ({_clause(fault)})"

    def _beat(self, every_seconds: float) -> None:
        """Tell the actors that this driver lives, also while it is busy; in a thread of its own."""
        while not self._is_over.wait(every_seconds):
            for remote in [*self._remotes.values()]:
                if remote.is_up:
                    self._try(remote.beat)

    def _hear(self, host: int, future: Future[Any]) -> list[Heard]:
        remote = self._remotes.get(host)
        if remote is None:
            return []
        try:
            said = Said(*future.result())
        except self._unavailable:
            self._again[host] = time.monotonic() + AGAIN_SECONDS
            return []
        except Exception as fault:
            self._end(host)
            why = _clause(fault)
            if OWNER_DIED in why:
                self._failure = f"Ray on this machine has crashed: {why}"
            return [Heard(host, None, why)]
        remote.is_up = True
        remote.unheard.heard(said.n_heard)
        remote.n_heard = said.first + len(said.messages)
        found = [Heard(host, message) for message in said.messages]
        if said.why_ended is None:
            self._try(lambda: self._listen(host, remote))
            return found
        self._end(host)
        return [*found, Heard(host, None, said.why_ended)]

    def _look_after(self) -> None:
        """Listen again where the connection broke, and end those whose time for last words is over."""
        now = time.monotonic()
        for host in [host for host, due in self._again.items() if now >= due]:
            del self._again[host]
            remote = self._remotes.get(host)
            if remote is not None:
                self._try(lambda remote=remote, host=host: self._listen(host, remote))  # type: ignore[misc]
                self._try(remote.beat)
        for host, remote in [*self._remotes.items()]:
            if remote.doomed is not None and now >= remote.doomed:
                self._end(host)

    def _lose(self, host: int, why: str) -> None:
        self._gone.append(Heard(host, None, why))

    def _end(self, host: int) -> None:
        """Kill an actor, in whatever state it is."""
        remote = self._remotes.pop(host, None)
        self._again.pop(host, None)
        cluster = self._cluster
        if remote is not None and cluster is not None:
            self._try(lambda: cluster.ray.kill(remote.handle, no_restart=True))


def _clause(fault: BaseException) -> str:
    """What an error of Ray says, short and in one line."""
    lines = [line.strip() for line in _COLOURS.sub("", str(fault)).splitlines() if line.strip()]
    text = " ".join(lines) or type(fault).__name__
    _, is_there, cause = text.partition("The actor is dead because ")
    if is_there:
        text = cause
    elif "creation task" in text:  # the last line of a traceback says what it was
        text = lines[-1]
        if "'autohpo" in text and "No module" in text:
            text += "; install autohpo where the processes of Ray run, or name it in runtime_env"
    return text if len(text) <= MOST_WHY else f"{text[:MOST_WHY]}..."
