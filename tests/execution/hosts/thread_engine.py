"""The smallest engine: every host is a thread of this process, and messages go through queues."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue

from autohpo.execution.hosts.engine import Engine, Heard, Link
from autohpo.execution.hosts.host import serve
from autohpo.execution.hosts.setup import HostSetup


class ThreadLink(Link):
    """A host's end: a queue, and the engine's own."""

    def __init__(self, engine: ThreadEngine, host: int) -> None:
        self.engine, self.host = engine, host
        self.queue: SimpleQueue[bytes] = SimpleQueue()
        self.is_up = True

    def receive(self, timeout_seconds):
        try:
            first = self.queue.get(timeout=timeout_seconds) if timeout_seconds else self.queue.get_nowait()
        except Empty:
            return []
        found = [first]
        while not self.queue.empty():
            found.append(self.queue.get_nowait())
        return found

    def send(self, message):
        self.engine.heard.put(Heard(self.host, message))

    def is_wanted(self):
        return self.is_up


class ThreadEngine(Engine):
    """Runs hosts in threads.

    Args:
        most: How many run at a time; others wait until there is room.
    """

    name = "threads"

    def __init__(self, most: int = 1000) -> None:
        self.heard: SimpleQueue[Heard] = SimpleQueue()
        self.links: dict[int, ThreadLink] = {}
        self.room = threading.Semaphore(most)
        self.threads: list[threading.Thread] = []
        self.is_closed = False
        self.fault = ""

    def open(self, setup: HostSetup) -> None:
        self.setup = setup

    def start(self, host: int) -> None:
        link = self.links[host] = ThreadLink(self, host)
        thread = threading.Thread(target=self._run, args=(host, link), daemon=True)
        self.threads.append(thread)
        thread.start()

    def _run(self, host: int, link: ThreadLink) -> None:
        with self.room:
            why = "was not wanted"
            if link.is_up and not self.is_closed:
                why = serve(self.setup, host, link)
        self.heard.put(Heard(host, None, why))

    def send(self, host: int, message: bytes) -> None:
        if host in self.links:
            self.links[host].queue.put(message)

    def take(self, timeout_seconds: float) -> list[Heard]:
        found: list[Heard] = []
        try:
            found.append(self.heard.get(timeout=timeout_seconds) if timeout_seconds > 0 else self.heard.get_nowait())
            while True:
                found.append(self.heard.get_nowait())
        except Empty:
            return found

    def cancel(self, host: int) -> None:
        if host in self.links:
            self.links[host].is_up = False

    def close(self) -> None:
        self.is_closed = True
        for host in self.links:
            self.cancel(host)
        for thread in self.threads:
            thread.join(10)

    @property
    def failure(self) -> str:
        return self.fault
