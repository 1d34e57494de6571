"""The host: one slot of ours in a task of an engine, which does what its driver says until it is no longer wanted."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from autohpo.errors import AutoHPOError
from autohpo.execution.base import Event
from autohpo.execution.hosts.devices import Devices
from autohpo.execution.hosts.engine import Link
from autohpo.execution.hosts.messages import (
    ALIVE,
    BYE,
    DROP,
    END,
    HELLO,
    KILL,
    RANK,
    STOP,
    TASK,
    Message,
    MessageError,
    events_message,
)
from autohpo.execution.hosts.setup import HostSetup
from autohpo.execution.local import LocalExecutor
from autohpo.execution.mains import PickledTask
from autohpo.execution.process import Launch
from autohpo.objective import Objective
from autohpo.trial import TrialState

__all__ = ["serve"]

BUSY_SECONDS = 0.05
"""How late a host that runs a task hears its driver; what the task says is passed on at once, or after this time."""

IDLE_SECONDS = 0.5
"""How often an idle host looks whether it is still wanted; a task wakes it at once."""

_SLOT = 0  # the only one of its executor


def serve(setup: HostSetup, number: int, link: Link) -> str:
    """Run tasks for a driver until it says so, or is gone; return why it ended.

    The objective is unpickled in a worker process only, never here.

    Args:
        setup: What every host is started with.
        number: The number of this host, which is that of its slot for the driver.
        link: The way to the driver.
    """
    try:
        setup.check()
        with Devices.taken(setup.n_gpus) as devices:
            host = _Host(setup, number, link, devices)
            try:
                why = host.run()
            finally:
                host.close()
    except AutoHPOError as fault:
        why = str(fault)
        link.send(Message(BYE, {"why": why, "is_fault": True}).pack())
        return why
    link.send(Message(BYE, {"why": why}).pack())
    return why


class _HostedSlot(LocalExecutor):
    """A slot that gets its objective pickled."""

    is_guardian_apart = True  # engines such as Ray kill the children of a task that they end, and no others

    def __init__(self, setup: HostSetup, number: int, devices: tuple[str, ...]) -> None:
        super().__init__(
            1,
            trial_time_limit=setup.trial_time_limit,
            memory_limit=setup.memory_limit,
            log_folder=_log_folder(setup, number),
            devices=devices,
            n_threads=setup.n_threads,
            memory_by=setup.memory_by,
            gpu_memory_limit=setup.gpu_memory_limit,
        )
        self._setup = setup

    def open_pickled(self, take_report: object) -> None:
        """Start the worker."""
        self.open(None, take_report)  # type: ignore[arg-type] # the next method has it

    def _write_objective(self, objective: Objective, path: Path) -> None:
        path.write_bytes(self._setup.objective)

    def _launch(self, objective: Path, logs: Path) -> Launch:
        setup = self._setup
        return Launch(
            objective,
            logs,
            1,
            self.devices,
            self.memory_limit,
            self.n_threads,
            folder=setup.where(),
            import_path=setup.imports(),
            arguments=setup.arguments,
            log_level=setup.log_level,
        )


def _log_folder(setup: HostSetup, number: int) -> Path | None:
    """Return the folder for the output of this host's workers; None where the driver's is not to be seen here."""
    folder = Path(setup.log_folder) if setup.log_folder else None
    if folder is None or not folder.parent.is_dir() or not os.access(folder.parent, os.W_OK):
        return None
    return folder / f"host-{number}"


class _Host:
    """What :func:`serve` runs."""

    def __init__(self, setup: HostSetup, number: int, link: Link, devices: tuple[str, ...]) -> None:
        self._setup, self._link = setup, link
        self._slot = _HostedSlot(setup, number, devices)
        self._reports: list[Event] = []
        self._held: frozenset[int] = frozenset()
        self._roots: set[int] = set()  # of all chains that ran here
        self._running: int | None = None
        self._said = 0.0  # when the driver was last told anything
        self._why = ""
        self._slot.open_pickled(self._take_report)
        facts = {"where": socket.gethostname(), "process": os.getpid(), "device": ",".join(devices)}
        self._say(Message(HELLO, facts))

    def run(self) -> str:
        """Serve until there is a reason to end, and return it."""
        beat = self._setup.lease_seconds / 4
        while not self._why:
            is_busy = self._running is not None
            for data in self._link.receive(0.0 if is_busy else IDLE_SECONDS):
                self._obey(data)
            events = self._slot.poll(BUSY_SECONDS if self._running is not None else 0.0)
            self._pass_on(events)
            if not self._link.is_wanted():
                self._why = self._why or self._link.why_unwanted
            if time.monotonic() - self._said > beat:
                self._say(Message(ALIVE))
        return self._why

    def close(self) -> None:
        """End the worker: an idle one in order."""
        self._slot.close()

    def _say(self, message: Message) -> None:
        self._said = time.monotonic()
        self._link.send(message.pack())

    def _take_report(self, event: Event) -> bool:
        self._reports.append(event)
        return True

    def _pass_on(self, events: list[Event]) -> None:
        """Tell the driver what happened, reports first: an end comes after them."""
        held = self._held
        if events:
            self._held = frozenset(root for root in self._roots if self._slot.holds(_SLOT, root))
        if events or self._reports or held != self._held:
            ended = [event for event in events if event.outcome is not None]
            starts = [event for event in events if event.outcome is None]
            self._say(events_message([*starts, *self._reports, *ended], self._held))
            self._reports.clear()
            if ended:
                self._running = None
                self._roots = set(self._held)

    def _run(self, task: PickledTask) -> None:
        self._running = task.number
        self._roots.add(task.root)
        self._slot.submit(_SLOT, task)

    def _obey(self, data: bytes) -> None:
        """Do what the driver says."""
        message = Message.unpack(data)
        fields = message.fields
        try:
            if message.kind == TASK:
                self._run(PickledTask(fields["number"], fields["attempt"], {}, root=fields["root"], data=message.blob))
            elif message.kind == STOP:
                self._slot.stop(fields["number"])
            elif message.kind == KILL:
                self._slot.kill(fields["number"], TrialState(fields["state"]), fields["reason"])
            elif message.kind == DROP:
                self._slot.drop(fields["root"])
                self._roots.discard(fields["root"])
                self._held -= {fields["root"]}
            elif message.kind == RANK:
                self._slot.rank(fields["roots"])
            elif message.kind == END:
                self._why = self._why or "its driver has ended it"
        except (KeyError, TypeError, ValueError) as fault:
            raise MessageError(f"a message that breaks a rule: {message.kind} {dict(fields)}") from fault
