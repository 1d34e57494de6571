"""Windows: workers in job objects, which the system ends with their driver, and sockets in place of pipes.

No part of this was ever run on Windows. The functions of the system are behind :class:`System`, of which tests have
another one; all else runs on Linux as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from autohpo.execution.platform.base import Channels, Child, Guard, Platform, Start
from autohpo.execution.platform.descendants import descendants
from autohpo.execution.platform.jobs import JobObject, Kernel, Kernel32
from autohpo.execution.platform.sockets import DriverSocket, connect, read_address, wait_for_sockets
from autohpo.execution.starting import start_process

if TYPE_CHECKING:
    from autohpo.execution.logs import SlotLog

NEW_GROUP, NO_WINDOW, BREAKAWAY = 0x200, 0x08000000, 0x01000000
"""Flags of CreateProcess: Ctrl-C of the driver's console reaches no worker, no console appears; out of the job."""

APPEND, SHARE_ALL, OPEN_ALWAYS = 0x100004, 7, 4
"""Arguments of CreateFileW: FILE_APPEND_DATA and SYNCHRONIZE; others may read, write and remove; make it if needed."""

INVALID_HANDLE = ctypes.c_void_p(-1).value

LAUNCHER = "__PYVENV_LAUNCHER__"
"""The variable that gives the interpreter of a virtual environment its place; see :meth:`System.interpreter`."""

STATUS = {
    0xC0000005: "access violation",
    0xC00000FD: "stack overflow",
    0xC0000017: "no memory",
    0xC0000374: "damaged heap",
    0xC0000409: "abort",
    0xC000013A: "Ctrl-C",
    0xC0000142: "a library could not be loaded",
}
"""What exit codes mean that the system itself gives."""


class System:
    """What Windows itself does; a test has another one."""

    @cached_property
    def kernel(self) -> Kernel:
        """The functions of kernel32.dll."""
        return Kernel32()

    def start(self, command: Sequence[str], flags: int, **options: Any) -> subprocess.Popen[bytes]:
        """Start a process.

        Raises:
            OSError: It cannot be started.
        """
        return start_process(command, creationflags=flags, **options)

    def handle(self, process: subprocess.Popen[bytes]) -> int:
        """Return the handle of a process."""
        return int(process._handle)  # type: ignore[attr-defined]

    def open_appending(self, path: str) -> int:
        """Return a descriptor that appends to a file, whatever process writes and whoever shortens the file.

        The C library's own way to append does not reach a child process, which would go on at an old place.

        Raises:
            OSError: The file cannot be opened.
        """
        import msvcrt

        handle = self.kernel.CreateFileW(path, APPEND, SHARE_ALL, None, OPEN_ALWAYS, 0, None)
        if handle in (None, INVALID_HANDLE):
            raise OSError(f"{path} cannot be opened: Windows error {self.kernel.last_error()}")
        return int(msvcrt.open_osfhandle(handle, os.O_APPEND))  # type: ignore[attr-defined]

    def interpreter(self) -> tuple[str, Mapping[str, str]]:
        """Return the Python to start, and the variables that it needs.

        The one of a virtual environment only starts another one, which may be there before it is in a job: that other
        one is started instead, and told where it belongs, as the standard library does it.
        """
        base = str(getattr(sys, "_base_executable", sys.executable))
        return (sys.executable, {}) if base == sys.executable else (base, {LAUNCHER: sys.executable})


class WindowsChild(Child):
    """A worker in a job of its own, with a socket.

    Args:
        start: What it is started with.
        system: What Windows does.

    Raises:
        OSError: It cannot be started, or not be put into a job.
    """

    def __init__(self, start: Start, system: System) -> None:
        self._ending = threading.Lock()
        self.socket = DriverSocket()
        try:
            self._job, self._popen = _start_in_job(start, system)
        except BaseException:
            self.socket.close()
            raise
        self.pid = self._popen.pid
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError), self._popen.stdin as pipe:  # it may be dead already, as will be seen
            pipe.write(self.socket.address)  # which it waits for: until now it has started nothing

    @property
    def processes(self) -> list[int]:
        """The numbers of all processes of its job."""
        with self._ending:
            return self._job.processes()

    def read(self) -> bytes:
        """Return what has come; no bytes at the end."""
        return self.socket.read()

    def write(self, data: memoryview) -> int:
        """Send what there is room for, and return how many bytes that was."""
        return self.socket.write(data)

    def has_exited(self) -> bool:
        """Return whether the worker itself ended."""
        return self._popen.poll() is not None

    def kill(self) -> None:
        """End the whole job."""
        with self._ending:
            self._job.end()

    def reap(self) -> str:
        """Return how an exited worker ended, and close its job."""
        code = self._popen.wait() & 0xFFFFFFFF
        with self._ending:
            self._job.close()
        meaning = f" (0x{code:08X}{', ' + STATUS[code] if code in STATUS else ''})" if code >= 0x80000000 else ""
        return f"exited with code {code}{meaning}"

    def close(self) -> None:
        """Close the socket, and the job."""
        self.socket.close()
        with self._ending:
            self._job.close()


def _start_in_job(start: Start, system: System) -> tuple[JobObject, subprocess.Popen[bytes]]:
    """Start a process and put it into a job of its own.

    Where the driver itself is in a job that lets no other one be inside, the process is started outside of that.

    Raises:
        OSError: It cannot be started, or not be put into a job: then nothing would end what it starts.
    """
    job = JobObject(system.kernel)
    denied: PermissionError | None = None
    try:
        for flags in (NEW_GROUP | NO_WINDOW, NEW_GROUP | NO_WINDOW | BREAKAWAY):
            process = _popen(start, system, flags)
            try:
                job.assign(system.handle(process))
            except PermissionError as error:
                _abandon(process)
                denied = denied or error
            except OSError:
                _abandon(process)
                raise
            else:
                return job, process
    except OSError:
        if denied is None:
            job.close()
            raise
    job.close()
    why = "it cannot be put into a job object, so nothing would end what it starts; executor='serial' needs none"
    raise PermissionError(f"{why} ({denied})") from denied


def _popen(start: Start, system: System, flags: int) -> subprocess.Popen[bytes]:
    python, variables = system.interpreter()
    command = [python, *start.command(())[1:]]
    return system.start(
        command,
        flags,
        stdin=subprocess.PIPE,
        stdout=start.log,
        stderr=start.log,
        cwd=start.folder,
        env={**start.environment, **variables},
    )


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """End a process that has not begun."""
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


class _Jobs:
    """The guard that Windows is itself: a job ends when its driver does."""

    def watch(self, group: int) -> None:
        pass

    def forget(self, group: int) -> None:
        pass

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


class WindowsPlatform(Platform):
    """Windows, with job objects and sockets.

    Args:
        system: What Windows does.
    """

    name: ClassVar[str] = "windows"
    has_groups: ClassVar[bool] = False

    def __init__(self, system: System | None = None) -> None:
        self._system = System() if system is None else system
        self._children: dict[int, WindowsChild] = {}

    def start(self, start: Start) -> Child:
        """Start a worker."""
        for pid, child in list(self._children.items()):
            if child.has_exited():
                self._children.pop(pid, None)
        started = WindowsChild(start, self._system)
        self._children[started.pid] = started
        return started

    def log_writer(self, log: SlotLog) -> int:
        """Return a descriptor that appends to a log, for a worker; the caller closes it."""
        return self._system.open_appending(str(log.path))

    def wait(self, readers: Collection[Child], writers: Collection[Child], timeout_seconds: float) -> list[Child]:
        """Wait until there is something to read, or room to write; return those that something has come from."""
        children = {_socket(child): child for child in readers}
        ready = wait_for_sockets([*children], [_socket(child) for child in writers], timeout_seconds)
        return [children[socket] for socket in ready]

    def guard(self, folder: Path, *, is_apart: bool = False) -> Guard:
        """Return a guard that has nothing to do; what a killed driver leaves in the folder stays."""
        return _Jobs()

    def tree_of(self, pid: int) -> list[int]:
        """Return the processes of a worker's job; of any other process, what psutil knows below it."""
        child = self._children.get(pid)
        found = [] if child is None else child.processes
        return [pid, *sorted({*found} - {pid})] if found else [pid, *descendants(pid)]

    def open_channels(self, words: Sequence[str]) -> Channels:
        """Return the two directions of a socket, whose address the driver writes to standard input."""
        os.environ.pop(LAUNCHER, None)  # it is for this process alone
        return connect(read_address())

    def ignore_interrupts(self) -> None:
        """Leave Ctrl-C and Ctrl-Break to the driver."""
        for name in ("SIGINT", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)

    def end_worker(self) -> None:
        """End this process; the driver, or the end of the driver, ends what it has started, with its job."""
        os._exit(1)


def _socket(child: Child) -> DriverSocket:
    assert isinstance(child, WindowsChild)
    return child.socket
