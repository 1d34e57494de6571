"""What the files of ``/proc`` tell of processes: who is below whom, and whose a process is (Linux)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from autohpo.execution.platform.base import RUN
from autohpo.execution.platform.posix import end_processes

_N_SCANS = 5  # a process may start another one while they are looked for


def read_proc(path: str) -> bytes:
    """Return the bytes of a file of /proc; none where its process is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(fd)


def walk(pid: int) -> list[int]:
    """Return a process and its descendants."""
    tree = [pid]
    for parent in tree:  # grows while it is walked
        try:
            threads = os.listdir(f"/proc/{parent}/task")  # noqa: PTH208 - many times a second
        except OSError:
            continue
        for thread in threads:
            tree += map(int, read_proc(f"/proc/{parent}/task/{thread}/children").split())
    return tree


class ProcFinder:
    """Finds the processes of a run by the variable that they have inherited, or by the session of their worker.

    So it finds those, too, whose parent is gone. Each process of the system is looked at once.

    Args:
        run: The name of the run.
    """

    def __init__(self, run: str) -> None:
        self._mark = f"{RUN}{run}=".encode()
        self._slots: dict[int, int | None] = {}  # by process; None for those of others

    def find(self, workers: Mapping[int, int]) -> dict[int, list[int]]:
        """Return the processes of each slot that has some.

        Args:
            workers: The slot of each worker, by its number as a process.
        """
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - many times a second
        self._slots = {pid: slot for pid, slot in self._slots.items() if pid in pids}
        for pid in pids - self._slots.keys():
            self._slots[pid] = self._slot_of(pid, workers)
        found: dict[int, list[int]] = {}
        for pid, slot in self._slots.items():
            if slot is not None:
                found.setdefault(slot, []).append(pid)
        return found

    def _slot_of(self, pid: int, workers: Mapping[int, int]) -> int | None:
        for pair in read_proc(f"/proc/{pid}/environ").split(b"\0"):
            if pair.startswith(self._mark):
                return int(pair[len(self._mark) :])
        fields = read_proc(f"/proc/{pid}/stat").rpartition(b")")[2].split()  # behind the name, which may be anything
        return workers.get(int(fields[3])) if len(fields) > 3 else None


def kill_marked(run: str, slot: int) -> None:
    """End every process that the worker of a slot has left behind, wherever it has gone.

    Args:
        run: The name of the run.
        slot: The number of the slot.
    """
    mark = f"{RUN}{run}={slot}".encode()
    for _ in range(_N_SCANS):
        found = _marked(mark)
        if not found:
            return
        end_processes(found)


def _marked(mark: bytes) -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - thousands of entries
    return [pid for pid in pids if mark in read_proc(f"/proc/{pid}/environ").split(b"\0")]
