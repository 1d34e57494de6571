"""Linux: ``/proc`` tells of every process, a signal of the driver's death, and of an end before it is reaped."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import ClassVar

from autohpo.execution.platform.base import Child, Finder, Start
from autohpo.execution.platform.posix import PosixChild, PosixPlatform, end_group
from autohpo.execution.platform.proc import ProcFinder, kill_marked, walk

# The system's out-of-memory killer takes the process with the highest score: a worker rather than its driver.
OOM_SCORE_STEP = 500

PR_SET_PDEATHSIG = 1  # of prctl(2)


class LinuxChild(PosixChild):
    """A worker whose end is seen before it is reaped, so that its number still belongs to its group."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self._run, self._slot = start.run, start.slot

    def has_exited(self) -> bool:
        """Return whether the worker itself ended. It is not reaped, so its number still belongs to its group."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else in the driver reaped it
            return True

    def kill(self) -> None:
        """End the worker, its group, all below it and all that has its mark."""
        end_group(self.pid, walk(self.pid)[1:])
        kill_marked(self._run, self._slot)


class LinuxPlatform(PosixPlatform):
    """Linux, where the system tells of every process and of every end."""

    name: ClassVar[str] = "linux"
    reads_proc: ClassVar[bool] = True

    def start(self, start: Start) -> Child:
        """Start a worker."""
        return LinuxChild(start)

    def tree_of(self, pid: int) -> list[int]:
        """Return a process and its descendants."""
        return walk(pid)

    def finder(self, run: str) -> Finder:
        """Return what finds processes by the variable that they have inherited."""
        return ProcFinder(run)

    def end_with_driver(self) -> None:
        """Have the system end this process with its driver, also while a C loop holds the interpreter lock.

        The guardian does that too, but it may have been killed first. The death of the driver sends SIGHUP, whose
        handler is the C function ``alarm``: called with the number of that signal, 1, it ends this process a second
        later. Until then the lifeline ends it with what it started, if it can.
        """
        with contextlib.suppress(ImportError, AttributeError, OSError):
            import ctypes

            libc = ctypes.CDLL(None)
            libc.signal(int(signal.SIGHUP), ctypes.cast(libc.alarm, ctypes.c_void_p))
            libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGHUP), 0, 0, 0)

    def expose_to_oom_killer(self) -> None:
        """Raise the score of this process for the system's out-of-memory killer."""
        with contextlib.suppress(OSError, ValueError), open("/proc/self/oom_score_adj", "r+") as file:
            score = int(file.read())
            file.seek(0)
            file.write(str(min(1000, score + OOM_SCORE_STEP)))
