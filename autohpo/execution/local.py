"""The local executor: slots that are processes of this machine, with limits, safe from crashes, without orphans."""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from autohpo.errors import OptionError, shown
from autohpo.execution.base import Event, Executor, OnReport
from autohpo.execution.gpu_memory import GpuMeter
from autohpo.execution.limits import Watchdog, check_limits
from autohpo.execution.mains import dump_objective
from autohpo.execution.memory_ways import check_way, meter_of
from autohpo.execution.meters import MemoryMeter
from autohpo.execution.platform import current
from autohpo.execution.platform.base import Child, Guard
from autohpo.execution.process import Launch
from autohpo.execution.slot import CROWDED, Slot
from autohpo.folders import remove_folder, temporary_folder
from autohpo.objective import Objective
from autohpo.outputs import Outputs
from autohpo.trial import Outcome, Task, TrialState

CHECK_SECONDS = 0.2  # between looks at what no pipe tells
GRACE_SECONDS = 1.0  # for idle workers to exit in order
KILL_SECONDS = 5.0  # for the system to end what was killed


@dataclass(eq=False)
class LocalExecutor(Executor):
    """An executor that runs each task in one of `n_slots` worker processes of this machine.

    A worker serves task after task; where it dies, the slot gets a new one, and no other slot notices. The objective
    is pickled by value where the workers cannot import it (scripts, lambdas, notebooks), so a script needs no
    ``if __name__ == "__main__"``. When the driver dies, the workers and what they started die with it.

    Attributes:
        n_slots: How many tasks run at a time.
        trial_time_limit: The seconds that an attempt may take, from when a ready worker has it. The process is killed
            then, together with the trainings paused in it.
        memory_limit: The bytes that a worker and its child processes may hold together, while a trial runs.
        log_folder: The folder where ``slot-0.log`` and so on keep what the workers print (the last 1 MB of it or
            more), and ``trials`` has the output of each trial; a private folder that ends with the executor by default.
        devices: What ``CUDA_VISIBLE_DEVICES`` says in each slot; empty leaves it as it is.
        memory_by: How that is measured and held: "rss" looks at the resident memory of all its processes every 50 ms,
            "cgroup" has the system hold it (Linux, where control groups may be made), "address-space" limits what each
            process may reserve (``RLIMIT_AS``; Linux).
        gpu_memory_limit: The bytes of GPU memory that a worker and its child processes may hold together.
        n_threads: How many threads OpenMP and the libraries of linear algebra may start in each worker, whatever the
            environment says; None is the share of the cores, where the environment does not say it.
    """

    runs_here = True

    is_guardian_apart: ClassVar[bool] = False
    """Whether what ends the workers of a driver that dies is no child of its process."""

    n_slots: int = 1
    trial_time_limit: float | None = None
    memory_limit: int | None = None
    log_folder: str | Path | None = None
    devices: tuple[str, ...] = ()
    n_threads: int | None = None
    memory_by: str = "rss"
    gpu_memory_limit: int | None = None

    def __post_init__(self) -> None:
        if self.n_slots < 1:
            raise OptionError(f"n_slots: must be at least 1, got {self.n_slots}")
        if self.devices and len(self.devices) < self.n_slots:
            raise OptionError(f"devices: must have one for each of {self.n_slots} slots, got {len(self.devices)}")
        limits = ("trial_time_limit", "memory_limit", "gpu_memory_limit")
        check_limits(**{name: getattr(self, name) for name in limits})
        n = self.n_threads
        if n is not None and (not isinstance(n, int) or isinstance(n, bool) or n < 1):
            raise OptionError(f"n_threads: must be an integer of at least 1, or None, got {shown(n)}")
        check_way(self.memory_by)
        self._meter = None if self.memory_limit is None else meter_of(self.memory_by, self.memory_limit)
        self._gpu = None if self.gpu_memory_limit is None else GpuMeter(self.gpu_memory_limit)
        for meter in (self._meter, self._gpu):
            if meter is not None:
                meter.check()
        self._platform = current()
        self._slots: list[Slot] = []
        self._inbox: deque[Event] = deque()
        self._events: list[Event] = []
        self._crowded: set[int] = set()  # trials that a worker had no room for: they need one of their own
        self._next_check = 0.0
        self._finalizer: weakref.finalize[..., Any] | None = None

    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Pickle the objective and start the workers, without waiting for them.

        Raises:
            OptionError: The objective cannot be pickled; the text says why. Or this was called before.
            AutoHPOError: The system lets no process start.
        """
        if self._finalizer is not None:
            raise OptionError("open: an executor is opened once")
        self._on_report = on_report
        private = temporary_folder()
        try:
            self._write_objective(objective, private / "objective.pickle")
            guardian = self._platform.guard(private, is_apart=self.is_guardian_apart)
        except BaseException:
            remove_folder(private)
            raise
        self._guardian = guardian
        watchdogs: list[Watchdog] = []
        meters = [meter for meter in (self._meter, self._gpu) if meter is not None]
        resources = (private, guardian, self._slots, (watchdogs, meters), os.getpid())
        self._finalizer = weakref.finalize(self, _release, *resources)  # runs at exit, too
        logs = private
        if self.log_folder is not None:
            logs = Path(self.log_folder).resolve()
            logs.mkdir(parents=True, exist_ok=True)
        if self._meter is not None:
            self._meter.open(self.n_slots)
        if self._gpu is not None:
            self._gpu.open()
        launch = replace(self._launch(private / "objective.pickle", logs), meter=self._meter, gpu=self._gpu)
        launch = replace(launch, outputs=None if self.log_folder is None else Outputs(logs))
        launch.write()
        self._slots += (Slot(n, launch, guardian, self.trial_time_limit) for n in range(self.n_slots))
        for slot in self._slots:
            slot.start()
        if self.trial_time_limit is not None or meters:
            watchdogs.append(Watchdog(self._slots, launch.run, self._meter, self._gpu))

    def _write_objective(self, objective: Objective, path: Path) -> None:
        dump_objective(objective, path)

    def _launch(self, objective: Path, logs: Path) -> Launch:
        """Return what the workers are started with."""
        return Launch(objective, logs, self.n_slots, self.devices, self.memory_limit, self.n_threads)

    def slots(self) -> Sequence[int]:
        """Return the numbers of the slots, which never change."""
        return range(self.n_slots)

    def submit(self, slot: int, task: Task) -> None:
        """Start a task in a slot that is free, and return at once.

        Raises:
            OptionError: There is no such slot, it is not free, or the configuration cannot be pickled.
            AutoHPOError: The system lets no process start.
        """
        if not 0 <= slot < len(self._open_slots()):
            raise OptionError(f"slot: must be from 0 to {self.n_slots - 1}, got {slot}")
        self._slots[slot].submit(task, is_alone=task.number in self._crowded)
        self._crowded.discard(task.number)

    def _open_slots(self) -> list[Slot]:
        if self._finalizer is None or not self._finalizer.alive:
            raise OptionError("executor: must be open")
        return self._slots

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return the events since the last call. What `on_report` raises comes out of here, and loses no event."""
        self._open_slots()
        until = time.monotonic() + timeout_seconds
        while True:
            self._listen(0.0 if self._inbox else until - time.monotonic())
            while self._inbox:
                self._handle(self._inbox.popleft())
            if self._events or time.monotonic() >= until:
                events, self._events = self._events, []
                return events

    def _listen(self, timeout_seconds: float) -> None:
        """Wait for workers, move bytes both ways, and put what happened into the inbox."""
        until_check = self._next_check - time.monotonic()
        readers: dict[Child, Slot] = {}
        writers: list[Child] = []
        for slot in self._slots:
            if slot.process is not None and not slot.process.is_eof:
                readers[slot.process.child] = slot
                if slot.process.unsent:
                    writers.append(slot.process.child)
        timeout = max(0.0, min(timeout_seconds, until_check))
        for child in self._platform.wait(readers, writers, timeout):
            self._inbox += readers[child].read()
        for slot in self._slots:
            if slot.process is not None and slot.process.unsent:
                slot.process.flush()
        if time.monotonic() >= self._next_check:
            self._guardian.check()
            for slot in self._slots:
                self._inbox += slot.check()
            self._next_check = time.monotonic() + CHECK_SECONDS

    def _handle(self, event: Event) -> None:
        if event.kind != "report":
            if event.outcome is not None and event.outcome.error == CROWDED:
                self._crowded.add(event.number)
            self._events.append(event)
        elif not self._on_report(event):
            self.stop(event.number)

    def _running(self, number: int) -> Slot | None:
        for slot in self._open_slots():
            if slot.attempt is not None and slot.attempt.task.number == number:
                return slot
        return None

    def stop(self, number: int) -> None:
        """Ask a running trial to end at its next report; no effect on one that is not running."""
        slot = self._running(number)
        if slot is not None:
            slot.stop()

    def kill(self, number: int, state: TrialState, reason: str) -> None:
        """End a running trial at once. Where it ended by itself just before, that is the event that follows."""
        slot = self._running(number)
        if slot is not None and slot.attempt is not None and slot.process is not None:
            slot.kill(slot.attempt, slot.process, "killed", Outcome(state, error=reason))

    def holds(self, slot: int, root: int) -> bool:
        """Return whether a slot still has the paused training of a chain."""
        return root in self._open_slots()[slot].memory.paused

    def rank(self, roots: Sequence[int]) -> None:
        """Say which paused trainings are let go first where memory is short."""
        for slot in self._open_slots():
            slot.memory.ranking = roots

    def drop(self, root: int) -> None:
        """Let go of the paused training of a chain that will not be continued."""
        for slot in self._open_slots():
            slot.drop(root)

    def close(self) -> None:
        """End the workers: idle ones exit in order, within a second; busy ones are killed with all they started."""
        if self._finalizer is not None:
            self._finalizer()


def can_be_sent(objective: Objective) -> bool:
    """Return whether a worker could be given an objective."""
    try:
        dump_objective(objective, Path(os.devnull))
    except OptionError:
        return False
    return True


def _release(
    private: Path,
    guardian: Guard,
    slots: Sequence[Slot],
    held: tuple[Sequence[Watchdog], Sequence[MemoryMeter | GpuMeter]],
    owner: int,
) -> None:
    """End and remove all that an executor has; not in a process that was forked from its owner's."""
    if os.getpid() != owner:
        return
    watchdogs, meters = held
    for watchdog in watchdogs:
        watchdog.close()
    try:
        for slot in slots:
            slot.ask_exit()
        until = time.monotonic() + GRACE_SECONDS
        for slot in slots:
            if slot.process is not None:
                slot.process.flush()
                slot.process.has_exited_within(until - time.monotonic())
    finally:  # also when a second Ctrl-C comes now
        until = time.monotonic() + KILL_SECONDS
        for slot in slots:
            if slot.process is not None:
                slot.process.kill()
        for slot in slots:
            slot.close(until)
        for meter in meters:
            meter.close()
        guardian.close()
        remove_folder(private)
