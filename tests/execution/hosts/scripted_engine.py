"""An engine whose hosts say what a test has them say."""

from __future__ import annotations

from collections import defaultdict, deque

from autohpo.execution.base import Event
from autohpo.execution.hosts.engine import Engine, Heard
from autohpo.execution.hosts.messages import ALIVE, BYE, HELLO, Message, events_message
from autohpo.trial import Outcome, TrialState


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class ScriptedEngine(Engine):
    """Records what it is told; hosts say what is put into `heard`."""

    name = "the script"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self.told: dict[int, list[Message]] = defaultdict(list)
        self.heard: deque[Heard] = deque()
        self.is_closed = False
        self.fault = ""

    def open(self, setup):
        self.setup = setup

    def start(self, host):
        self.started.append(host)

    def send(self, host, message):
        self.told[host].append(Message.unpack(message))

    def take(self, timeout_seconds):
        if not self.heard:
            self.clock.now += timeout_seconds
        found = [*self.heard]
        self.heard.clear()
        return found

    def cancel(self, host):
        self.cancelled.append(host)

    def close(self):
        self.is_closed = True

    @property
    def failure(self):
        return self.fault

    # What hosts say.

    def hello(self, *hosts):
        for host in hosts:
            self.heard.append(Heard(host, Message(HELLO, {"where": "here"}).pack()))

    def alive(self, host):
        self.heard.append(Heard(host, Message(ALIVE).pack()))

    def bye(self, host, why, **more):
        self.heard.append(Heard(host, Message(BYE, {"why": why, **more}).pack()))

    def says(self, host, *events, held=()):
        self.heard.append(Heard(host, events_message(events, held).pack()))

    def loses(self, host, why="its machine is gone"):
        self.heard.append(Heard(host, None, why))

    def kinds_told(self, host):
        return [message.kind for message in self.told[host]]


def done(number, attempt=1, perf=0.5):
    """The end of an attempt with a result."""
    return Event("done", number, attempt, 0, Outcome(TrialState.COMPLETE, (perf,)))


def report(number, attempt=1, fidelity=1.0, perf=0.5):
    """A report of an attempt."""
    return Event("report", number, attempt, 0, fidelity=fidelity, perf=perf)
