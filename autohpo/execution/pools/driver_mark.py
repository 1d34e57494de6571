"""The mark by which hosts see whether their driver lives: a file that it writes anew every now and then."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["DriverMark", "DriverWatch"]

NAME = "driver.json"
LOOK_SECONDS = 0.5
MISSING_LOOKS = 3  # a network file system may show a file late


class DriverMark:
    """Writes the mark from a thread of its own, so that a driver that is busy with a model counts as alive.

    Args:
        folder: The folder of the channel.
        lease_seconds: How long hosts wait for a sign of life.
    """

    def __init__(self, folder: Path, lease_seconds: float) -> None:
        self._path = folder / NAME
        self._pause = lease_seconds / 8
        self._closing = threading.Event()
        self._n = 0
        self._write()
        self._thread = threading.Thread(target=self._run, name="autohpo-driver-mark", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(self._pause):
            with suppress(OSError):  # a full disk: hosts wait for the time of a lease
                self._write()

    def _write(self) -> None:
        self._n += 1
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps({"n": self._n, **_process_of(os.getpid())}), encoding="utf-8")
        fresh.replace(self._path)

    def close(self) -> None:
        """Stop; the mark is removed, which ends all hosts."""
        self._closing.set()
        self._thread.join()
        with suppress(OSError):
            self._path.unlink()


class DriverWatch:
    """Looks at the mark from a host.

    Args:
        folder: The folder of the channel.
        lease_seconds: How long the mark may stay as it is, by this host's own clock.
    """

    def __init__(self, folder: Path, lease_seconds: float) -> None:
        self._path, self._lease = folder / NAME, lease_seconds
        self._looked = self._changed = time.monotonic()
        self._last: Any = None
        self._n_missing = 0
        self._is_alive = True

    def is_alive(self) -> bool:
        """Return whether the driver lives, as far as it can be seen from here."""
        now = time.monotonic()
        if not self._is_alive or now - self._looked < LOOK_SECONDS:
            return self._is_alive
        if now - self._looked > self._lease:  # this host itself was stopped, and could not see the mark change
            self._changed = now
        self._looked = now
        try:
            mark = json.loads(self._path.read_text(encoding="utf-8"))
            self._n_missing = 0
        except (OSError, ValueError):
            self._n_missing += 1
            self._is_alive = self._n_missing < MISSING_LOOKS
            return self._is_alive
        if mark != self._last:
            self._last, self._changed = mark, now
        self._is_alive = now - self._changed < self._lease and not _is_dead(mark)
        return self._is_alive


def _process_of(pid: int) -> dict[str, Any]:
    """What names a process of this machine; without /proc nothing does, and the mark alone has to tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return {"pid": pid, "boot": f"{boot} {Path('/proc/self/ns/pid').readlink()}", "start": _start_of(pid)}
    except OSError:
        return {}


def _start_of(pid: int) -> str:
    """When a process began, in ticks of its machine: its number may be another one's later."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]


def _is_dead(mark: dict[str, Any]) -> bool:
    """Whether the driver ran on this machine, and does no more."""
    here = _process_of(os.getpid())
    if not here or mark.get("boot") != here["boot"]:
        return False
    try:
        return _start_of(int(mark["pid"])) != str(mark["start"])
    except (FileNotFoundError, ProcessLookupError):
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
