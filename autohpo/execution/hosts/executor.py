"""The executor whose slots are hosts of an engine: they come late, vanish and come back, and no result counts twice."""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from autohpo.errors import AutoHPOError, OptionError
from autohpo.execution.base import Event, Executor, OnReport
from autohpo.execution.hosts.engine import Engine, Heard
from autohpo.execution.hosts.messages import (
    ALIVE,
    BYE,
    DROP,
    END,
    EVENTS,
    HELLO,
    KILL,
    RANK,
    STOP,
    TASK,
    Message,
    MessageError,
    events_of,
)
from autohpo.execution.hosts.needs import Needs
from autohpo.execution.hosts.roster import Host, Roster
from autohpo.execution.hosts.setup import HostSetup
from autohpo.execution.mains import dump_objective, dump_task
from autohpo.execution.memory_ways import check_way
from autohpo.objective import Objective
from autohpo.store.base import LogEvent
from autohpo.trial import Outcome, Task, TrialState

__all__ = ["HostedExecutor"]

_log = logging.getLogger("autohpo")

LEASE_SECONDS = 30.0
KILL_SECONDS = 5.0  # for a host to do as it is told
CLOSE_SECONDS = 3.0  # for idle hosts to end in order
SUSPENDED_SECONDS = 5.0  # between two looks: what was not listened to cannot have been silent


class HostedExecutor(Executor):
    """An executor whose slots are hosts that an engine runs, wherever it has room.

    As many hosts are asked for as there are to be slots. Each is there from when it says hello until it is lost: its
    task says so, or it was silent for the time of a lease. Its attempt is LOST then, and another host is asked for.
    What a host that was given up still says of its attempt is passed on: the search keeps it in its log and ignores it.

    Args:
        engine: What runs the hosts.
        n_slots: How many hosts are asked for; fewer may come.
        trial_time_limit: The seconds that an attempt may take.
        memory_limit: The bytes that a worker and its child processes may hold together.
        needs: What each trial needs.
        log_folder: Where the output of workers is kept, on storage that hosts share; else it goes with them.
        lease_seconds: How long a host may be silent before its attempt is LOST, and a driver before hosts end.

    Raises:
        OptionError: An argument is wrong.
    """

    def __init__(
        self,
        engine: Engine,
        n_slots: int = 1,
        *,
        trial_time_limit: float | None = None,
        memory_limit: int | None = None,
        needs: Needs | None = None,
        log_folder: str | Path | None = None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        if not isinstance(n_slots, int) or isinstance(n_slots, bool) or n_slots < 1:
            raise OptionError(f"n_slots: must be an integer of at least 1, got {n_slots!r}")
        limits = {"trial_time_limit": trial_time_limit, "memory_limit": memory_limit, "lease_seconds": lease_seconds}
        for name, value in limits.items():
            if value is not None and not 0 < value < math.inf:
                raise OptionError(f"{name}: must be positive and finite, got {value!r}")
        self.n_slots, self.needs = n_slots, needs or Needs()
        self._engine, self._lease = engine, lease_seconds
        self._limits = trial_time_limit, memory_limit
        self._ways: tuple[str, int | None] = ("rss", None)
        self._log_folder = "" if log_folder is None else str(Path(log_folder).resolve())
        self._roster = Roster(engine, n_slots)
        self._hosts = self._roster.hosts
        self._said: deque[Event] = deque()
        self._events: list[Event] = []
        self._looked = 0.0
        self._has_changed = False
        self._failure = ""
        self._is_open = self._is_closed = False

    def measure(self, *, memory_by: str = "rss", gpu_memory_limit: int | None = None) -> None:
        """Say how the memory of trials is measured, and limit that of their GPUs; before :meth:`open`.

        Args:
            memory_by: "rss", "cgroup" or "address-space", as ``optimize`` takes it.
            gpu_memory_limit: The bytes of GPU memory that a trial may hold.

        Raises:
            OptionError: There is no such way.
        """
        check_way(memory_by)
        self._ways = memory_by, gpu_memory_limit

    # The contract.

    @property
    def closing(self) -> str:
        """Why nothing more may start: the engine is gone."""
        return self._failure

    def recall(self, log: Iterable[LogEvent], files: Path | None) -> None:
        """Take the folder of the run's files: workers that see it keep what they print there."""
        if files is not None and not self._log_folder:
            self._log_folder = str(files / "logs")

    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Connect to the engine and ask for hosts, without waiting for them.

        Raises:
            OptionError: The objective cannot be pickled, or there is no such engine. Or this was called before.
            MissingExtraError: The engine's package is not installed.
        """
        if self._is_open:
            raise OptionError("open: an executor is opened once")
        with tempfile.TemporaryDirectory(prefix="autohpo-") as folder:
            path = Path(folder) / "objective.pickle"
            dump_objective(objective, path)
            pickled = path.read_bytes()
        time_limit, memory_limit = self._limits
        if self._log_folder:
            Path(self._log_folder).mkdir(parents=True, exist_ok=True)
        setup = HostSetup(
            pickled,
            time_limit,
            memory_limit,
            *self._ways,
            n_threads=self.needs.cpus,
            n_gpus=self.needs.gpus,
            log_folder=self._log_folder,
            lease_seconds=self._lease,
        )
        self._is_open, self._on_report = True, on_report
        self._engine.open(setup)
        self._looked = time.monotonic()
        self._roster.ask(self._looked)

    def slots(self) -> Sequence[int]:
        """Return the numbers of the hosts that are there now; before :meth:`open`, as many as are wanted."""
        if not self._is_open:
            return range(self.n_slots)
        return [host.number for host in self._hosts.values() if host.is_ready]

    def submit(self, slot: int, task: Task) -> None:
        """Send a task to a host that is free.

        Raises:
            OptionError: There is no such host, it is not free, or the configuration cannot be pickled.
        """
        self._check_open()
        host = self._hosts.get(slot)
        if host is None or not host.is_ready:
            raise OptionError(f"slot: must be one of {list(self.slots())}, got {slot}")
        if host.attempt is not None:
            raise OptionError(f"slot: must be free, but {slot} runs trial {host.attempt[0]}")
        blob = dump_task(task)
        host.attempt, host.verdict = (task.number, task.attempt), None
        host.held.discard(task.root)
        fields = {"number": task.number, "attempt": task.attempt, "root": task.root}
        self._engine.send(slot, Message(TASK, fields, blob).pack())

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return the events since the last call, or nothing as soon as a host has come or gone.

        Raises:
            AutoHPOError: No host could be started, or none can load what the driver has pickled; the text says why.
        """
        self._check_open()
        until = time.monotonic() + timeout_seconds
        self._has_changed = False
        while True:
            self._hand_out()
            has_news = self._events or self._has_changed
            heard = self._engine.take(0.0 if has_news else max(0.0, until - time.monotonic()))
            for one in heard:
                self._hear(one)
            self._look_after_hosts()
            self._hand_out()
            if self._events or self._has_changed or time.monotonic() >= until:
                events, self._events = self._events, []
                return events

    def stop(self, number: int) -> None:
        """Ask a running trial to end at its next report; no effect on one that is not running."""
        host = self._running(number)
        if host is not None:
            self._engine.send(host.number, Message(STOP, {"number": number}).pack())

    def kill(self, number: int, state: TrialState, reason: str) -> None:
        """End a running trial at once. A host that does not do so within 5 s is given up."""
        host = self._running(number)
        if host is not None and host.verdict is None:
            host.verdict = time.monotonic() + KILL_SECONDS, Outcome(state, error=reason)
            fields = {"number": number, "state": state.value, "reason": reason}
            self._engine.send(host.number, Message(KILL, fields).pack())

    def holds(self, slot: int, root: int) -> bool:
        """Return whether a host still has the paused training of a chain."""
        return slot in self._hosts and root in self._hosts[slot].held

    def drop(self, root: int) -> None:
        """Let go of the paused training of a chain that will not be continued."""
        for host in self._hosts.values():
            if root in host.held:
                host.held.discard(root)
                self._engine.send(host.number, Message(DROP, {"root": root}).pack())

    def rank(self, roots: Sequence[int]) -> None:
        """Say which paused trainings are let go first where memory is short."""
        if self._limits[1] is None:
            return  # only a limit of memory makes a host let go of any
        for host in self._hosts.values():
            own = [root for root in roots if root in host.held]
            if own:
                self._engine.send(host.number, Message(RANK, {"roots": own}).pack())

    def close(self) -> None:
        """End every host: idle ones in order, within some seconds."""
        if not self._is_open or self._is_closed:
            return
        self._is_closed = True
        try:
            there = {host.number for host in self._hosts.values() if host.is_ready}
            for number in there:
                self._engine.send(number, Message(END).pack())
            for number in self._hosts.keys() - there:
                self._engine.cancel(number)
            until = time.monotonic() + CLOSE_SECONDS
            while there and not self._engine.failure and time.monotonic() < until:
                for one in self._engine.take(max(0.0, until - time.monotonic())):
                    if one.lost or (one.message is not None and _kind_of(one.message) == BYE):
                        there.discard(one.host)
        finally:
            self._hosts.clear()
            self._engine.close()

    def _check_open(self) -> None:
        if not self._is_open or self._is_closed:
            raise OptionError("executor: must be open")

    def _running(self, number: int) -> Host | None:
        found = (host for host in self._hosts.values() if host.attempt is not None and host.attempt[0] == number)
        return next(found, None)

    def _runs(self, event: Event) -> bool:
        """Whether the attempt of an event still runs: a report may be that of one that was given up."""
        host = self._hosts.get(event.slot)
        return host is not None and host.attempt == (event.number, event.attempt)

    # What hosts say.

    def _hear(self, one: Heard) -> None:
        host = self._hosts.get(one.host)
        if one.message is None:
            if host is not None:
                self._lose(host, one.lost)
            return
        try:
            message = Message.unpack(one.message)
            if message.kind == EVENTS:
                events, held = events_of(message, one.host)
                self._take_events(one.host, host, events, held)
            elif host is not None and message.kind == HELLO:
                self._welcome(host, str(message.fields.get("where", "")))
            elif host is not None and message.kind == BYE:
                self._part_from(host, message)
            elif host is None and message.kind == ALIVE:
                self._engine.send(one.host, Message(END).pack())  # it was given up, and has come back
        except MessageError as fault:
            if host is not None:
                self._engine.cancel(host.number)
                self._lose(host, f"it broke the protocol: {fault}")
            return
        if host is not None:
            host.heard = time.monotonic()

    def _welcome(self, host: Host, where: str) -> None:
        self._roster.welcome(host, where)
        self._has_changed = True
        _log.info("%s: worker %d is ready on %s", self._engine.name, host.number, where)

    def _take_events(self, number: int, host: Host | None, events: Iterable[Event], held: frozenset[int]) -> None:
        """Take what happened; of a host that was given up, too: what of it counts is not for an executor to say."""
        if host is not None:
            host.held = set(held)
        else:
            self._engine.send(number, Message(END).pack())
        for event in events:
            self._said.append(event)
            if host is not None and event.outcome is not None and host.attempt == (event.number, event.attempt):
                host.attempt = host.verdict = None

    def _hand_out(self) -> None:
        """Hand reports to the search, and keep the other events, in their order."""
        while self._said:
            event = self._said.popleft()  # first: what the search raises must not come again
            if event.kind != "report":
                self._events.append(event)
            elif not self._on_report(event) and self._runs(event):
                self.stop(event.number)

    def _part_from(self, host: Host, message: Message) -> None:
        """Take the last words of a host that ends by itself."""
        why = str(message.fields.get("why", ""))
        if not host.is_ready and message.fields.get("is_fault"):
            raise AutoHPOError(f"executor: a worker of {self._engine.name} could not start: {why}")
        self._lose(host, why)

    # What they do not say.

    def _look_after_hosts(self) -> None:
        now = time.monotonic()
        asleep = now - self._looked
        self._looked = now
        for host in [*self._hosts.values()]:
            if asleep > SUSPENDED_SECONDS:
                host.heard += asleep
            if host.verdict is not None and now > host.verdict[0]:
                self._give_up(host, "it did not end its trial when it was told to")
            elif host.is_ready and now - host.heard > self._lease:
                self._give_up(host, f"it was silent for {now - host.heard:.0f} s")
        if self._engine.failure and not self._failure:
            self._failure = self._engine.failure
            for host in [*self._hosts.values()]:
                self._lose(host, self._failure)
        if not self._failure:
            self._roster.ask(now)

    def _give_up(self, host: Host, why: str) -> None:
        self._engine.send(host.number, Message(END).pack())
        self._engine.cancel(host.number)
        self._lose(host, why)

    def _lose(self, host: Host, why: str) -> None:
        """Take away a slot, and end its attempt."""
        del self._hosts[host.number]
        self._has_changed = self._has_changed or host.is_ready
        if host.attempt is not None:
            lost = Outcome(TrialState.LOST, error=f"its worker on {host.where} was lost: {why}")
            kind, outcome = ("died", lost) if host.verdict is None else ("killed", host.verdict[1])
            self._said.append(Event(kind, *host.attempt, host.number, outcome))  # type: ignore[arg-type]
        _log.info("%s: worker %d is gone: %s", self._engine.name, host.number, why)
        if not host.is_ready:
            self._roster.start_failed(why)


def _kind_of(data: bytes) -> str:
    try:
        return Message.unpack(data).kind
    except MessageError:
        return ""
