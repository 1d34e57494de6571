"""macOS, with what every POSIX system has: groups of processes and pipes, and psutil for what is below a process.

Weaker than on Linux: what leaves both its group and its parents is not found; no signal tells a worker of the death of
its driver, so that the guardian and the pipe have to; and an end is seen only by reaping it. It runs on Linux as well,
which is how it is tested.
"""

from __future__ import annotations

from typing import ClassVar

from autohpo.execution.platform.base import Child, Start
from autohpo.execution.platform.descendants import descendants
from autohpo.execution.platform.posix import PosixChild, PosixPlatform, end_group


class MacChild(PosixChild):
    """A worker whose end is seen by reaping it: ``os.waitid`` came to macOS with Python 3.13 only."""

    def has_exited(self) -> bool:
        """Return whether the worker itself ended; its group is ended then, before its number may be used again."""
        if self._popen.returncode is None and self._popen.poll() is not None:
            end_group(self.pid)
        return self._popen.returncode is not None

    def kill(self) -> None:
        """End the worker, its group and all below it; nothing where it was reaped: its number may be another's."""
        if self._popen.returncode is None:
            end_group(self.pid, descendants(self.pid))


class MacPlatform(PosixPlatform):
    """macOS, with what every POSIX system has."""

    name: ClassVar[str] = "macos"

    def start(self, start: Start) -> Child:
        """Start a worker."""
        return MacChild(start)

    def tree_of(self, pid: int) -> list[int]:
        """Return a process and its descendants; without psutil, the process alone."""
        return [pid, *descendants(pid)]
