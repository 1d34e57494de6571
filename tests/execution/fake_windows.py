"""Windows as far as it can be had here: functions of kernel32 that record their calls, over groups of processes."""

from __future__ import annotations

import contextlib
import os
import posix  # `os` may have lost what Windows lacks
import subprocess
import sys
from pathlib import Path

from autohpo.execution.platform import jobs
from autohpo.execution.platform.windows import System, WindowsPlatform
from autohpo.execution.starting import start_process

KILL = 9


class FakeKernel:
    """The functions of kernel32 that jobs need. Each call is recorded; some can be told to fail.

    Attributes:
        calls: The name of each function that was called, with its arguments.
        errors: The numbers of errors that the next calls of a function fail with, by its name.
        jobs: The processes of each job that is open, by its handle.
        limits: The flags of each job.
    """

    def __init__(self) -> None:
        self.calls, self.errors, self.jobs, self.limits = [], {}, {}, {}
        self._next, self._last = 100, 0

    def _called(self, name, *arguments):
        self.calls.append((name, *arguments))
        waiting = self.errors.get(name)
        self._last = waiting.pop(0) if waiting else 0
        return int(not self._last)

    def names(self):
        """The names of the functions that were called."""
        return [name for name, *_ in self.calls]

    def CreateJobObjectW(self, attributes, name):
        if not self._called("CreateJobObjectW", attributes, name):
            return None
        self._next += 4
        self.jobs[self._next] = []
        return self._next

    def SetInformationJobObject(self, job, kind, data, size):
        assert (kind, size) == (9, 144)  # so long is the structure on 64-bit Windows
        if self._called("SetInformationJobObject", job):
            self.limits[job] = data._obj.BasicLimitInformation.LimitFlags
        return int(not self._last)

    def AssignProcessToJobObject(self, job, process):
        if self._called("AssignProcessToJobObject", job, process):
            self.jobs[job].append(process)
        return int(not self._last)

    def QueryInformationJobObject(self, job, kind, data, size, written):
        assert (kind, written) == (3, None)
        if self._called("QueryInformationJobObject", job):
            found = [pid for leader in self.jobs[job] for pid in group_of(leader)]
            data._obj.NumberOfAssignedProcesses = data._obj.NumberOfProcessIdsInList = len(found)
            data._obj.ProcessIdList[: len(found)] = found
        return int(not self._last)

    def TerminateJobObject(self, job, code):
        if self._called("TerminateJobObject", job, code):
            self._end(job)
        return int(not self._last)

    def CloseHandle(self, handle):
        if self._called("CloseHandle", handle):
            assert self.limits.get(handle, jobs.KILL_ON_JOB_CLOSE) == jobs.KILL_ON_JOB_CLOSE
            self._end(handle)
            del self.jobs[handle]
        return int(not self._last)

    def _end(self, job):
        for leader in self.jobs[job]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                posix.killpg(leader, KILL)

    def last_error(self):
        return self._last


def group_of(leader):
    """The processes of a group."""
    found = []
    for path in Path("/proc").glob("[1-9]*"):
        with contextlib.suppress(OSError):
            if posix.getpgid(int(path.name)) == leader:
                found.append(int(path.name))
    return found


class FakeSystem(System):
    """What Windows does, done with what POSIX has: a job is a group of processes.

    Attributes:
        kernel: The functions of kernel32.
        starts: The flags of each process that was started.
        refused: Flags that no process may be started with.
    """

    kernel = None

    def __init__(self, kernel=None):
        self.kernel = kernel or FakeKernel()
        self.starts, self.refused = [], 0

    def start(self, command, flags, **options) -> subprocess.Popen:
        self.starts.append(flags)
        if flags & self.refused:
            raise PermissionError(13, "Access is denied")
        return start_process(command, start_new_session=True, **options)

    def handle(self, process):
        return process.pid

    def open_appending(self, path):
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def interpreter(self):
        return sys.executable, {"__PYVENV_LAUNCHER__": sys.executable}


def fake_windows():
    """A platform for Windows that runs here."""
    return WindowsPlatform(FakeSystem())
