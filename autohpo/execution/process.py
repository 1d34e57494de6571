"""One worker process as its driver sees it: a process group, two pipes, a log, and how it ended; and the guardian."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autohpo.errors import AutoHPOError
from autohpo.execution import guardian as guardian_script
from autohpo.execution.frames import FrameReader

# The path of imports is the driver's before anything is imported. `-m` would put the working directory first, where
# any file may have the name of a module of the standard library.
BOOT = "import sys; sys.path[:] = sys.argv[2:]; from autohpo.execution.worker import main; main(sys.argv[1])"

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

# A pipe holds no more than this (pipe(7)), so one read takes all there is.
PIPE_BYTES = 1 << 16

LOG_TAIL_BYTES = 2048
MAX_LOG_BYTES = 1 << 20  # at the start of a trial
MAX_TRIAL_LOG_BYTES = 16 << 20  # while it runs


@dataclass(frozen=True)
class Launch:
    """What all workers of an executor are started with.

    Attributes:
        objective: The pickled objective.
        logs: Folder of the slots' logs.
        n_slots: They share the cores.
        folder: Working directory of the driver when the executor was opened; so are the following.
        import_path: ``sys.path``.
        arguments: ``sys.argv``.
        log_level: Of the logger ``autohpo``.
    """

    objective: Path
    logs: Path
    n_slots: int
    folder: str = field(default_factory=os.getcwd)
    import_path: tuple[str, ...] = field(default_factory=lambda: tuple(p for p in sys.path if isinstance(p, str)))
    arguments: tuple[str, ...] = field(default_factory=lambda: tuple(map(str, sys.argv)))
    log_level: int = field(default_factory=lambda: logging.getLogger("autohpo").level)

    def command(self, read_fd: int, write_fd: int) -> list[str]:
        """The command line of a worker that has these two ends of its pipes."""
        setting = {
            "fds": [read_fd, write_fd],
            "objective": str(self.objective),
            "argv": self.arguments,
            "level": self.log_level,
        }
        return [sys.executable, "-c", BOOT, json.dumps(setting), *self.import_path]

    def environment(self, slot: int) -> dict[str, str]:
        """The driver's environment with the slot's number and its share of the cores as numbers of threads."""
        environment = dict(os.environ, AUTOHPO_SLOT=str(slot))
        if THREADS[0] not in environment:  # where the user set it, the other libraries take it from there
            n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            for name in THREADS:
                environment.setdefault(name, str(max(1, n_cores // self.n_slots)))
        return environment

    def log(self, slot: int) -> Path:
        """The log of a slot."""
        return self.logs / f"slot-{slot}.log"


class WorkerProcess:
    """A worker process, with whatever it starts, as one process group.

    Attributes:
        pid: Of the worker; also the number of its group.
        read_fd: Frames of the worker; does not block.
        write_fd: Frames for the worker; does not block.
        log: What it prints.
        started: Seconds of the monotonic clock.
        log_start: Byte of the log where its output begins.
        is_ready: Whether it has loaded the objective; set by the slot.
        is_eof: Whether its pipe has ended.
        unsent: Frames, or the rest of one, that the pipe to it had no room for.
    """

    def __init__(self, launch: Launch, slot: int, guardian: Guardian) -> None:
        self.log = launch.log(slot)
        self.started = time.monotonic()
        self.is_ready = self.is_eof = False
        self.unsent: deque[memoryview] = deque()
        self._frames = FrameReader()
        self._guardian = guardian
        fds: list[int] = []
        try:
            fds += os.pipe()
            fds += os.pipe()
            fds.append(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            their_read, self.write_fd, self.read_fd, their_write, log = fds
            self.cut_log(MAX_LOG_BYTES)
            self.log_start = self.log_size()
            self._popen = subprocess.Popen(
                launch.command(their_read, their_write),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(their_read, their_write),
                start_new_session=True,
                cwd=launch.folder,
                env=launch.environment(slot),
            )
        except OSError as fault:
            for fd in fds:
                os.close(fd)
            raise AutoHPOError(f"a worker process cannot be started: {fault}") from fault
        for fd in (their_read, their_write, log):
            os.close(fd)
        self.pid = self._popen.pid
        guardian.watch(self.pid)
        for fd in (self.read_fd, self.write_fd):
            os.set_blocking(fd, False)

    def send(self, frame: bytes) -> None:
        """Sends a frame, at once as far as the pipe has room; :meth:`flush` sends the rest."""
        self.unsent.append(memoryview(frame))
        self.flush()

    def flush(self) -> None:
        """Sends what there is room for; never waits, whatever the worker does."""
        try:
            while self.unsent:
                rest = self.unsent[0][os.write(self.write_fd, self.unsent[0]) :]
                if rest:
                    self.unsent[0] = rest
                else:
                    self.unsent.popleft()
        except BlockingIOError:
            pass
        except BrokenPipeError:  # it is dead, as its other pipe will tell
            self.unsent.clear()

    def receive(self) -> Iterator[bytes]:
        """The frames that have come, without waiting.

        Raises:
            FrameError: What came is no frame.
        """
        try:
            data = os.read(self.read_fd, PIPE_BYTES)
        except BlockingIOError:
            data = b""
        else:
            self.is_eof = not data
        return self._frames.feed(data)

    def has_exited(self) -> bool:
        """Whether the worker itself ended. It is not reaped, so its number still belongs to its group."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self._popen.poll() is not None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else in the driver reaped it
            return True

    def has_exited_within(self, seconds: float) -> bool:
        """As :meth:`has_exited`, with a wait of at most `seconds`."""
        until = time.monotonic() + seconds
        while not self.has_exited():
            if time.monotonic() > until:
                return False
            time.sleep(0.0005)
        return True

    def kill(self) -> None:
        """Ends the group at once; only before :meth:`bury`."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the second: macOS, where all are zombies
            os.killpg(self.pid, signal.SIGKILL)

    def bury(self) -> str:
        """How an exited worker ended; ends what it left behind, and frees its number and pipes."""
        self.kill()
        self._guardian.forget(self.pid)
        code = self._popen.wait()
        self.close_pipes()
        if code >= 0:
            return f"exited with code {code}"
        hint = ", perhaps by the system for lack of memory" if code == -signal.SIGKILL else ""
        return f"was killed by {_signal_name(-code)}{hint}"

    def close_pipes(self) -> None:
        """Closes the driver's ends."""
        for fd in (self.read_fd, self.write_fd):
            with contextlib.suppress(OSError):
                os.close(fd)

    def cut_log(self, max_bytes: int) -> bool:
        """Empties a log that is longer than `max_bytes`; whether it did."""
        is_long = self.log_size() > max_bytes
        if is_long:
            os.truncate(self.log, 0)  # the worker writes in append mode: its next line is the first one
        return is_long

    def log_size(self) -> int:
        """Bytes in the log; 0 where somebody removed it."""
        try:
            return self.log.stat().st_size
        except OSError:
            return 0

    def log_tail(self, start: int) -> str:
        """The last lines of the log from the byte `start` on."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(start, self.log_size() - LOG_TAIL_BYTES))
                return file.read(LOG_TAIL_BYTES).decode(errors="replace").strip()
        except OSError:
            return ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # the real-time signals have no names
        return f"signal {number}"


class Guardian:
    """The driver's side of the guardian: a process that knows which groups to end when the driver is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._groups: set[int] = set()
        self._start()

    def _start(self) -> None:
        read_fd, self._write_fd = os.pipe()
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian_script.__file__, str(os.getpid()), str(self._folder)],
                stdin=read_fd,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        except OSError as fault:
            os.close(self._write_fd)
            raise AutoHPOError(f"a guardian process cannot be started: {fault}") from fault
        finally:
            os.close(read_fd)
        os.set_blocking(self._write_fd, False)

    def watch(self, group: int) -> None:
        """Ends `group` if the driver dies."""
        self._groups.add(group)
        self._say(f"+{group}\n")

    def forget(self, group: int) -> None:
        """Lets `group` be; to be called before its leader is reaped."""
        self._groups.discard(group)
        self._say(f"-{group}\n")

    def _say(self, line: str) -> None:
        try:
            os.write(self._write_fd, line.encode())
        except (BrokenPipeError, BlockingIOError):  # it was killed, or stopped for long
            self.close()
            self._start()
            os.write(self._write_fd, "".join(f"+{group}\n" for group in self._groups).encode())

    def close(self) -> None:
        """Ends the guardian itself, and no group."""
        self._popen.kill()  # first: at the end of the pipe it would do its work
        self._popen.wait()
        os.close(self._write_fd)
