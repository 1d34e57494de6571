"""Control groups, version 2: the system itself holds a worker and all that it starts to its memory limit (Linux)."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from autohpo.errors import OptionError
from autohpo.execution.meters import MemoryMeter
from autohpo.execution.platform import current
from autohpo.execution.tree import tree_of

ROOT = Path("/sys/fs/cgroup")
"""Where the hierarchy is mounted."""

SELF = Path("/proc/self/cgroup")
"""What says in which group this process is."""

REMOVE_SECONDS = 1.0  # for the processes of a group to be gone

INSTEAD = "or use memory_by='rss'"
_DELEGATE = f"start the program with `systemd-run --user --scope -p Delegate=yes`, {INSTEAD}"
_OURS = re.compile(r"autohpo-(\d+)-")


class CgroupMeter(MemoryMeter):
    """A control group for each slot, with ``memory.max``: at the limit the system ends all processes in it at once.

    Page caches are given back before that, and memory that processes share counts once. The groups are children of the
    group that this process is in. Where that holds this process and what it started alone, they are moved into a child
    of it meanwhile: a group with processes of its own may not limit its children.

    Args:
        limit: The bytes that a worker may hold.
        folder: The group that has a child for each slot; in a worker, as the driver found it.
        owner: The process whose groups they are.
    """

    name = "cgroup"
    is_enforced = True

    def __init__(self, limit: int, folder: str = "", owner: int = 0) -> None:
        super().__init__(limit)
        self._folder, self._owner = Path(folder), owner or os.getpid()
        self._n_slots = 0
        self._n_kills: dict[int, int] = {}  # that the system had counted when it was looked at last
        self._own: Path | None = None  # the child that this process was moved to

    def described(self) -> dict[str, Any]:
        """Return what a worker makes its own meter from."""
        return {**super().described(), "folder": str(self._folder), "owner": self._owner}

    def _group(self, slot: int) -> Path:
        return self._folder / f"autohpo-{self._owner}-slot-{slot}"

    def check(self) -> None:
        """Check that this process is in a group that can limit memory.

        Raises:
            OptionError: It is not.
        """
        own_group()

    def open(self, n_slots: int) -> None:
        """Make a group for each slot.

        Raises:
            OptionError: The system does not let it.
        """
        self._folder, self._n_slots = own_group(), n_slots
        self._remove_old()
        try:
            self._delegate()
            for slot in range(n_slots):
                group = self._group(slot)
                group.mkdir(exist_ok=True)
                _write(group / "memory.max", self.limit)
                _write(group / "memory.oom.group", 1)
                with contextlib.suppress(OSError):  # there is none where swapping is not counted
                    _write(group / "memory.swap.max", 0)
                self._n_kills[slot] = _count(group / "memory.events", "oom_kill")
        except OSError as fault:
            self.close()
            where = getattr(fault, "filename", None) or self._folder
            raise OptionError(
                f"memory_by: 'cgroup' needs a control group whose children this program may limit, and {where} says: "
                f"{fault.strerror or fault}; {_DELEGATE}"
            ) from fault

    def _delegate(self) -> None:
        """Let children of the group have memory limits."""
        control = self._folder / "cgroup.subtree_control"
        if "memory" in control.read_text(encoding="ascii").split():
            return
        try:
            _write(control, "+memory")
        except OSError as fault:
            if fault.errno != errno.EBUSY:
                raise
            self._move_down()
            _write(control, "+memory")

    def _move_down(self) -> None:
        """Move this process and its children into a child of their group, if nobody else is in it.

        Raises:
            OSError: Somebody is.
        """
        procs = self._folder / "cgroup.procs"
        ours = set(tree_of(os.getpid()))
        there = {int(pid) for pid in procs.read_text(encoding="ascii").split()}
        if there - ours:
            others = f"other processes are in the same group ({len(there - ours)})"
            raise OSError(errno.EBUSY, others, str(procs))
        own = self._folder / f"autohpo-{self._owner}-driver"
        own.mkdir(exist_ok=True)
        self._own = own
        for pid in there:
            _write(own / "cgroup.procs", pid)

    def enter(self, slot: int) -> None:
        """Move this process, a worker, into the group of its slot; what it starts is born there."""
        _write(self._group(slot) / "cgroup.procs", os.getpid())

    def held(self, slot: int, pid: int, strays: Collection[int] = ()) -> int:
        """Return the bytes that a slot's group holds, without the caches of files that the system can take back."""
        group = self._group(slot)
        held = _number(group / "memory.current")
        return max(0, held - sum(_count(group / "memory.stat", f"{kind}_file") for kind in ("inactive", "active")))

    def why_died(self, slot: int, tail: str) -> str:
        """Return why a worker died, where the system counts one more process that it ended for its memory."""
        group = self._group(slot)
        n = _count(group / "memory.events", "oom_kill")
        before, self._n_kills[slot] = self._n_kills.get(slot, 0), n
        if n <= before:
            return ""
        peak = _number(group / "memory.peak")
        text = f"killed at its memory limit of {self.limit / 1e6:.0f} MB by the system"
        return f"{text}: its control group held {peak / 1e6:.0f} MB" if peak else text

    def close(self) -> None:
        """Remove the groups, and move this process back."""
        for slot in range(self._n_slots):
            _remove(self._group(slot))
        if self._own is not None:
            with contextlib.suppress(OSError):
                _write(self._folder / "cgroup.subtree_control", "-memory")
                for pid in (self._own / "cgroup.procs").read_text(encoding="ascii").split():
                    _write(self._folder / "cgroup.procs", pid)
            _remove(self._own)
            self._own = None

    def _remove_old(self) -> None:
        """Remove the groups that drivers have left behind which were killed; those with processes in them stay."""
        for group in self._folder.glob("autohpo-*"):
            owner = _OURS.match(group.name)
            if owner is not None and not Path(f"/proc/{owner[1]}").exists():
                with contextlib.suppress(OSError):
                    remove_group(group)


def own_group() -> Path:
    """Return the folder of the group that this process is in.

    Raises:
        OptionError: There is none that can limit memory.
    """
    if current().name != "linux":
        raise OptionError("memory_by: 'cgroup' needs Linux; use 'rss' here")
    wanted = "memory_by: 'cgroup' needs control groups of version 2 with the controller of memory"
    try:
        lines = SELF.read_text(encoding="utf-8").splitlines()
        own = next(line[3:] for line in lines if line.startswith("0::"))
        group = ROOT / own.lstrip("/")
        controllers = (group / "cgroup.controllers").read_text(encoding="ascii").split()
    except (OSError, StopIteration):
        raise OptionError(f"{wanted}, and {ROOT} has none; use memory_by='rss' here") from None
    if "memory" not in controllers:
        has = " and ".join(controllers) or "none"
        raise OptionError(f"{wanted}, and {group} has {has}; {_DELEGATE}")
    return group


def _write(path: Path, value: object) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


def _number(path: Path) -> int:
    """The number that a file has; 0 where it has none."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _count(path: Path, name: str) -> int:
    """The number behind a name in a file of such lines; 0 where it is not there."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)


def _remove(group: Path) -> None:
    """Remove a group, once its processes are gone."""
    until = time.monotonic() + REMOVE_SECONDS
    while group.exists() and time.monotonic() < until:
        with contextlib.suppress(OSError):
            remove_group(group)
            return
        time.sleep(0.01)


def remove_group(group: Path) -> None:
    """Remove the folder of a group; what is in it is the system's.

    Raises:
        OSError: Processes are in it.
    """
    group.rmdir()
