"""Job objects of Windows: processes that end together, also when the last handle of their job is closed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

KILL_ON_JOB_CLOSE = 0x2000
EXTENDED_LIMITS, PROCESS_IDS = 9, 3  # the classes of information
ACCESS_DENIED, MORE_DATA = 5, 234
MAX_PROCESSES = 4096
KILLED = 1  # the exit code of what is ended


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", ctypes.c_uint32),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", ctypes.c_uint32),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", ctypes.c_uint32),
        ("SchedulingClass", ctypes.c_uint32),
    )


class ExtendedLimits(ctypes.Structure):
    """The structure JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("BasicLimitInformation", _BasicLimits),
        ("IoInfo", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


class ProcessIds(ctypes.Structure):
    """The structure JOBOBJECT_BASIC_PROCESS_ID_LIST, with room for many processes."""

    _fields_ = (
        ("NumberOfAssignedProcesses", ctypes.c_uint32),
        ("NumberOfProcessIdsInList", ctypes.c_uint32),
        ("ProcessIdList", ctypes.c_size_t * MAX_PROCESSES),
    )


class Kernel(Protocol):
    """The functions of kernel32.dll that are used here, with the names and arguments of the system's manual."""

    CreateJobObjectW: Callable[..., int | None]
    SetInformationJobObject: Callable[..., int]
    QueryInformationJobObject: Callable[..., int]
    AssignProcessToJobObject: Callable[..., int]
    TerminateJobObject: Callable[..., int]
    CreateFileW: Callable[..., int | None]
    CloseHandle: Callable[..., int]

    def last_error(self) -> int:
        """Return the number of the last error in this thread."""


class Kernel32:
    """The functions of kernel32.dll (Windows only)."""

    CreateJobObjectW: Callable[..., int | None]
    SetInformationJobObject: Callable[..., int]
    QueryInformationJobObject: Callable[..., int]
    AssignProcessToJobObject: Callable[..., int]
    TerminateJobObject: Callable[..., int]
    CreateFileW: Callable[..., int | None]
    CloseHandle: Callable[..., int]

    def __init__(self) -> None:
        library: Any = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
        handle, number, pointer = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p
        for name, result, arguments in (  # without the types, a handle would be cut to 32 bits
            ("CreateJobObjectW", handle, (pointer, ctypes.c_wchar_p)),
            ("SetInformationJobObject", ctypes.c_int, (handle, ctypes.c_int, pointer, number)),
            ("QueryInformationJobObject", ctypes.c_int, (handle, ctypes.c_int, pointer, number, pointer)),
            ("AssignProcessToJobObject", ctypes.c_int, (handle, handle)),
            ("TerminateJobObject", ctypes.c_int, (handle, number)),
            ("CreateFileW", handle, (ctypes.c_wchar_p, number, number, pointer, number, number, handle)),
            ("CloseHandle", ctypes.c_int, (handle,)),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def last_error(self) -> int:
        """Return the number of the last error in this thread."""
        return int(ctypes.get_last_error())  # type: ignore[attr-defined]


class JobObject:
    """A job: whatever its processes start is in it, and all of them end when it is closed, or its driver ends.

    Args:
        kernel: The functions of the system.

    Raises:
        OSError: The system makes none.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._handle: int | None = kernel.CreateJobObjectW(None, None) or None  # no name, and no child inherits it
        if self._handle is None:
            raise self._error("CreateJobObjectW")
        limits = ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = KILL_ON_JOB_CLOSE
        size = ctypes.sizeof(limits)
        if not kernel.SetInformationJobObject(self._handle, EXTENDED_LIMITS, ctypes.byref(limits), size):
            fault = self._error("SetInformationJobObject")
            self.close()
            raise fault

    def _error(self, function: str) -> OSError:
        number = self._kernel.last_error()
        kind = PermissionError if number == ACCESS_DENIED else OSError
        return kind(f"{function} failed with Windows error {number}")

    def assign(self, process: int) -> None:
        """Put a process into the job, by its handle; what it starts from now on is in it as well.

        Raises:
            PermissionError: The process is in a job that lets no other one be put around it.
            OSError: The process is gone, or something else is wrong.
        """
        if self._handle is not None and not self._kernel.AssignProcessToJobObject(self._handle, process):
            raise self._error("AssignProcessToJobObject")

    def processes(self) -> list[int]:
        """Return the numbers of its processes; none where the system does not say."""
        if self._handle is None:
            return []
        found = ProcessIds()
        size, kernel = ctypes.sizeof(found), self._kernel
        is_told = kernel.QueryInformationJobObject(self._handle, PROCESS_IDS, ctypes.byref(found), size, None)
        if not is_told and kernel.last_error() != MORE_DATA:  # of more processes than there is room for, the first ones
            return []
        return list(found.ProcessIdList[: found.NumberOfProcessIdsInList])

    def end(self) -> None:
        """End all its processes at once; no effect where none is left."""
        if self._handle is not None:
            self._kernel.TerminateJobObject(self._handle, KILLED)

    def close(self) -> None:
        """Close it, which ends what is left. May be called twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._kernel.CloseHandle(handle)
