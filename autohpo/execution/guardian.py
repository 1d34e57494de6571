"""The guardian: a small process that outlives its driver by a moment, to end what the driver left behind.

A worker ends itself when its driver is gone, but not while a C loop holds its interpreter lock; and the system's own
means (PR_SET_PDEATHSIG) ends the worker without the processes that it started. This file is run as a script by its
path, without site and package, so that it costs little: it imports nothing of ours.

Lines on standard input: ``+123`` a process group to end, ``-123`` no more, ``.`` to leave and end nothing. The driver
says ``-`` before it reaps the leader of a group, so no number in the list can belong to anybody else.
"""

import contextlib
import os
import select
import signal
import sys


def main(driver: int, folder: str, is_apart: bool) -> None:
    """Wait for the end of the driver; then end the groups and remove a folder, which holds files only.

    Args:
        driver: The number of the driver's process.
        folder: The folder.
        is_apart: Whether to be no child of the driver: engines that end a task kill the child processes that it has.
    """
    if is_apart and os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # it ends with its driver, not before
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(0, False)
    sources = [0]
    with contextlib.suppress(AttributeError, OSError):  # without it, the end of the pipe must do
        sources.append(os.pidfd_open(driver))  # needed where a process that the driver forked still holds the pipe
    groups: set[int] = set()
    rest, is_over = b"", False
    while not is_over:
        is_over = (not is_apart and os.getppid() != driver) or select.select(sources, [], [])[0] != [0]
        data, is_closed = _read()
        is_over = is_over or is_closed
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line == b".":
                return
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    _kill_marked(folder)
    with contextlib.suppress(OSError):  # without pathlib, which takes longer to import than all else here
        for entry in os.scandir(folder):
            os.unlink(entry.path)  # noqa: PTH108
        os.rmdir(folder)  # noqa: PTH106


def _kill_marked(folder: str) -> None:
    """End what left its group: each process of a worker has the folder's name in a variable (Linux)."""
    name = "".join(c for c in folder.rpartition("/")[2] if c.isalnum() or c == "_")
    mark = f"AUTOHPO_RUN_{name}=".encode()
    for _ in range(5):  # a process may start another one meanwhile
        found = [pid for pid in _processes() if any(pair.startswith(mark) for pair in _environment(pid))]
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except OSError:  # not Linux
        return []


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def _read() -> tuple[bytes, bool]:
    """Return what there is on standard input, and whether nothing more can come."""
    data = b""
    while True:
        try:
            piece = os.read(0, 1 << 16)
        except BlockingIOError:
            return data, False
        if not piece:
            return data, True
        data += piece


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:] == ["apart"])
