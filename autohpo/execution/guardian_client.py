"""The driver's side of the guardian: which process groups it is to end when the driver dies."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from pathlib import Path

from autohpo.errors import AutoHPOError
from autohpo.execution import guardian as guardian_script
from autohpo.execution.descriptors import make_pipe
from autohpo.execution.starting import start_process


class Guardian:
    """A process beside the driver that knows which groups to end when the driver is killed.

    Args:
        folder: The driver's private folder, which it removes then.
        is_apart: Whether it is to be no child of the driver, so that who kills the driver's children spares it.
    """

    def __init__(self, folder: Path, *, is_apart: bool = False) -> None:
        self._folder, self._is_apart = folder, is_apart
        self._groups: set[int] = set()
        self._start()

    def _start(self) -> None:
        read_fd, self._write_fd = make_pipe()
        command = [sys.executable, "-I", "-S", guardian_script.__file__, str(os.getpid()), str(self._folder)]
        try:
            self._popen = start_process(
                [*command, "apart"] if self._is_apart else command,
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
        if self._is_apart:
            self._popen.wait()  # this was only its parent

    def watch(self, group: int) -> None:
        """End a process group if the driver dies."""
        self._groups.add(group)
        self._say(f"+{group}\n")

    def forget(self, group: int) -> None:
        """Leave a process group alone; to be called before its leader is reaped."""
        self._groups.discard(group)
        self._say(f"-{group}\n")

    def check(self) -> None:
        """Replace the guardian where it was killed; to be called every now and then."""
        if self._popen.poll() is not None and not (self._is_apart and self._is_read()):
            self._replace()

    def _is_read(self) -> bool:
        """Whether somebody has the other end of the pipe."""
        poller = select.poll()
        poller.register(self._write_fd, 0)
        return not poller.poll(0)

    def _say(self, line: str) -> None:
        try:
            os.write(self._write_fd, line.encode())
        except (BrokenPipeError, BlockingIOError):  # it was killed, or stopped for long
            self._replace()

    def _replace(self) -> None:
        self.close()
        self._start()
        os.write(self._write_fd, "".join(f"+{group}\n" for group in self._groups).encode())

    def close(self) -> None:
        """End the guardian itself, and no group."""
        with contextlib.suppress(OSError):
            os.write(self._write_fd, b".\n")  # first: at the end of the pipe it would do its work
        if not self._is_apart:
            self._popen.kill()
            self._popen.wait()
        os.close(self._write_fd)
