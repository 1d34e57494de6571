"""What Linux and macOS share: workers in sessions of their own, pipes, and a guardian beside the driver."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import cast

from autohpo.execution.descriptors import make_pipe
from autohpo.execution.platform.base import Channels, Child, Guard, Platform, Start
from autohpo.execution.starting import start_process

# A pipe holds no more than this (pipe(7)), so one read takes all there is.
PIPE_BYTES = 1 << 16


class PosixChild(Child):
    """A worker that leads a session, and so a group of processes, with two pipes.

    Args:
        start: What it is started with.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, start: Start) -> None:
        fds: list[int] = []
        try:
            fds += make_pipe()
            fds += make_pipe()
            their_read, self.write_fd, self.read_fd, their_write = fds
            self._popen = start_process(
                start.command((str(their_read), str(their_write))),
                stdin=subprocess.DEVNULL,
                stdout=start.log,
                stderr=start.log,
                pass_fds=(their_read, their_write),
                start_new_session=True,
                cwd=start.folder,
                env=start.environment,
            )
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        for fd in (their_read, their_write):
            os.close(fd)
        self.pid = self._popen.pid
        for fd in (self.read_fd, self.write_fd):
            os.set_blocking(fd, False)

    def read(self) -> bytes:
        """Return what has come; no bytes at the end."""
        return os.read(self.read_fd, PIPE_BYTES)

    def write(self, data: memoryview) -> int:
        """Send what there is room for, and return how many bytes that was."""
        return os.write(self.write_fd, data)

    def reap(self) -> str:
        """Return how an exited worker ended, and free its number."""
        code = self._popen.wait()
        if code >= 0:
            return f"exited with code {code}"
        hint = ", perhaps by the system for lack of memory" if code == -signal.SIGKILL else ""
        return f"was killed by {_signal_name(-code)}{hint}"

    def close(self) -> None:
        """Close the pipes."""
        for fd in (self.read_fd, self.write_fd):
            with contextlib.suppress(OSError):
                os.close(fd)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # the real-time signals have no names
        return f"signal {number}"


class PosixPlatform(Platform):
    """A system with groups of processes, and pipes that can be polled."""

    def wait(self, readers: Collection[Child], writers: Collection[Child], timeout_seconds: float) -> list[Child]:
        """Wait until there is something to read, or room to write; return those that something has come from."""
        poller = select.poll()  # made anew: it has no state that could miss a new or a dead process
        by_fd: dict[int, Child] = {}
        for child in cast("Collection[PosixChild]", readers):
            by_fd[child.read_fd] = child
            poller.register(child.read_fd, select.POLLIN)
        for child in cast("Collection[PosixChild]", writers):
            poller.register(child.write_fd, select.POLLOUT)
        return [by_fd[fd] for fd, _ in poller.poll(timeout_seconds * 1000) if fd in by_fd]

    def guard(self, folder: Path, *, is_apart: bool = False) -> Guard:
        """Start the guardian."""
        from autohpo.execution.guardian_client import Guardian  # a worker needs none of it

        return Guardian(folder, is_apart=is_apart)

    def open_channels(self, words: Sequence[str]) -> Channels:
        """Return the two pipes, whose descriptors the last words are."""
        read_fd, write_fd = map(int, words)
        for fd in (read_fd, write_fd):  # whoever inherits them would keep the pipe open after this process ended
            os.set_inheritable(fd, False)  # noqa: FBT003

        def send(data: bytes) -> None:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(write_fd, rest) :]

        return Channels(open(read_fd, "rb"), send)

    def ignore_interrupts(self) -> None:
        """Leave Ctrl-C to the driver, which then decides."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_worker(self) -> None:
        """End this process, and all of its group."""
        os.killpg(0, signal.SIGKILL)


def end_group(group: int, others: Sequence[int] = ()) -> None:
    """End a group of processes, and further processes.

    Args:
        group: The number of the group, whose leader must not be reaped yet.
        others: The further processes.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the second: macOS, where all are zombies
        os.killpg(group, signal.SIGKILL)
    end_processes(others)


def end_processes(pids: Sequence[int]) -> None:
    """End processes, where they still are there."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
