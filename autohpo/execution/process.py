"""A worker process as its driver sees it: frames each way, a log, and how it ended."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autohpo.errors import AutoHPOError
from autohpo.execution.descriptors import above_standard
from autohpo.execution.frames import FrameReader
from autohpo.execution.gpu_memory import GpuMeter
from autohpo.execution.logs import SlotLog
from autohpo.execution.meters import MemoryMeter
from autohpo.execution.platform import current
from autohpo.execution.platform.base import RUN, Child, Guard, Platform, Start
from autohpo.execution.threads import thread_variables
from autohpo.outputs import Outputs

# The path of imports is the driver's before anything is imported. `-m` would put the working directory first, where
# any file may have the name of a module of the standard library. What may be long comes in files: the system limits
# the length of an argument.
BOOT = (
    "import sys; file = open(sys.argv[1], encoding='utf-8', errors='surrogateescape', newline=''); "
    "sys.path[:] = file.read().split(chr(0)); from autohpo.execution.worker import main; main(*sys.argv[2:])"
)

DEVICE = "AUTOHPO_DEVICE"
"""The variable that names the GPU of a slot."""


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return ""


@dataclass(frozen=True)
class Launch:
    """What all workers of an executor are started with.

    What is not given is the driver's own, as it was when the executor was opened.

    Attributes:
        objective: The file of the pickled objective.
        logs: The folder of the slots' logs.
        n_slots: The number of slots, which share the cores.
        devices: The GPU of each slot, as ``CUDA_VISIBLE_DEVICES`` names it; empty where nothing is said of them.
        memory_limit: The bytes of memory that a worker may hold, if limited.
        n_threads: The threads that a library may start in a worker; None is its share of the cores.
        meter: What measures it.
        gpu: What measures the memory of GPUs, if that is limited.
        outputs: Where the outputs of trials are kept.
        folder: The working directory; the empty string where it was removed.
        import_path: The list ``sys.path``.
        arguments: The list ``sys.argv``.
        log_level: The level of the logger ``autohpo``.
        platform: The operating system.
    """

    objective: Path
    logs: Path
    n_slots: int
    devices: tuple[str, ...] = ()
    memory_limit: int | None = None
    n_threads: int | None = None
    meter: MemoryMeter | None = None
    gpu: GpuMeter | None = None
    outputs: Outputs | None = None
    folder: str = field(default_factory=_working_directory)
    import_path: tuple[str, ...] = field(default_factory=lambda: tuple(p for p in sys.path if isinstance(p, str)))
    arguments: tuple[str, ...] = field(default_factory=lambda: tuple(map(str, sys.argv)))
    log_level: int = field(default_factory=lambda: logging.getLogger("autohpo").level)
    platform: Platform = field(default_factory=current)

    @property
    def _path_file(self) -> Path:
        return self.objective.with_name("path")

    @property
    def _setting_file(self) -> Path:
        return self.objective.with_name("setting.json")

    def write(self) -> None:
        """Write the files that every worker reads first, beside that of the objective.

        Raises:
            AutoHPOError: There is no room for them.
        """
        setting = {
            "objective": str(self.objective),
            "argv": self.arguments,
            "level": self.log_level,
            "memory": None if self.meter is None else self.meter.described(),
            "run": self.run,
            "platform": self.platform.name,
        }
        path = "\0".join(self.import_path)
        try:
            self._setting_file.write_text(json.dumps(setting), encoding="utf-8")
            self._path_file.write_text(path, encoding="utf-8", errors="surrogateescape", newline="")
        except OSError as fault:
            text = f"what workers need cannot be written to {self.objective.parent}: {fault}"
            raise AutoHPOError(text) from fault

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command line of a worker that finds its channels by some words."""
        files = str(self._path_file), str(self._setting_file)
        return [sys.executable, "-c", BOOT, *files, *words]

    def where(self) -> str | None:
        """Return the working directory; None where it was removed: the driver itself may still be in it."""
        return self.folder if self.folder and Path(self.folder).is_dir() else None

    @property
    def run(self) -> str:
        """The name of the run in the environment of its processes: that of the driver's private folder."""
        return "".join(c for c in self.objective.parent.name if c.isalnum() or c == "_")

    def environment(self, slot: int) -> dict[str, str]:
        """Return the driver's environment with the slot's number, its GPU, and its share of the cores as threads."""
        environment = {f"{RUN}{self.run}": str(slot), "AUTOHPO_SLOT": str(slot)}  # first: see tree.read_proc
        environment = {**environment, **os.environ, **environment}
        environment.pop(DEVICE, None)
        if self.devices:
            environment |= dict.fromkeys(("CUDA_VISIBLE_DEVICES", DEVICE), self.devices[slot])
        return environment | thread_variables(environment, self.n_slots, self.n_threads)

    def log(self, slot: int) -> Path:
        """Return the log of a slot."""
        return self.logs / f"slot-{slot}.log"


class WorkerProcess:
    """A worker process, with whatever it starts.

    Args:
        launch: What it is started with.
        slot: The number of its slot.
        guardian: What ends it if the driver dies.

    Attributes:
        pid: The number of the worker.
        child: The process as the operating system has it.
        log: What it prints.
        started: When it was started, in seconds of the monotonic clock.
        log_start: The byte of the log where its output begins.
        is_ready: Whether it has loaded the objective; set by the slot.
        is_eof: Whether its channel has ended.
        n_tasks: How many tasks were sent to it.
        unsent: Frames, or the rest of one, that the channel to it had no room for.
    """

    def __init__(self, launch: Launch, slot: int, guardian: Guard) -> None:
        self.log = SlotLog(launch.log(slot), launch.objective.parent / f"slot-{slot}.log")
        self.started = time.monotonic()
        self.is_ready = self.is_eof = False
        self.n_tasks = 0
        self._sending = threading.RLock()  # the watchdog sends, too
        self.unsent: deque[memoryview] = deque()
        self._frames = FrameReader()
        self._guardian = guardian
        try:
            self.child = self._start(launch, slot)
        except OSError as fault:
            self.log.close()
            raise AutoHPOError(f"a worker process cannot be started: {fault}") from fault
        self.pid = self.child.pid
        guardian.watch(self.pid)

    def _start(self, launch: Launch, slot: int) -> Child:
        log = above_standard(launch.platform.log_writer(self.log))
        try:
            self.log_start = self.log.begin_trial()
            where, environment = launch.where(), launch.environment(slot)
            return launch.platform.start(Start(launch.command, log, where, environment, launch.run, slot))
        finally:
            os.close(log)

    def send(self, frame: bytes) -> None:
        """Send a frame, at once as far as the channel has room; :meth:`flush` sends the rest."""
        with self._sending:
            self.unsent.append(memoryview(frame))
        self.flush()

    def flush(self) -> None:
        """Send what there is room for; never waits, whatever the worker does."""
        with self._sending:
            try:
                while self.unsent:
                    rest = self.unsent[0][self.child.write(self.unsent[0]) :]
                    if rest:
                        self.unsent[0] = rest
                    else:
                        self.unsent.popleft()
            except BlockingIOError:
                pass
            except BrokenPipeError:  # it is dead, as its other channel will tell
                self.unsent.clear()

    def receive(self) -> Iterator[bytes]:
        """Return the frames that have come, without waiting.

        Raises:
            FrameError: What came is no frame.
        """
        try:
            data = self.child.read()
        except BlockingIOError:
            data = b""
        else:
            self.is_eof = not data
        return self._frames.feed(data)

    def has_exited(self) -> bool:
        """Return whether the worker itself ended."""
        return self.child.has_exited()

    def has_exited_within(self, seconds: float) -> bool:
        """Return whether the worker ends within some seconds."""
        until = time.monotonic() + seconds
        while not self.has_exited():
            if time.monotonic() > until:
                return False
            time.sleep(0.0005)
        return True

    def kill(self) -> None:
        """End the worker and all that it started at once; only before :meth:`bury`."""
        self.child.kill()

    def bury(self) -> str:
        """Return how an exited worker ended; end what it left behind, and free its number and channels."""
        self.kill()
        self._guardian.forget(self.pid)
        end = self.child.reap()
        self.close_channels()
        return end

    def close_channels(self) -> None:
        """Close the driver's ends of the channels, and the log."""
        self.child.close()
        self.log.close()
