"""The tree of processes of a worker: those it started, those they started, and those whose parent is gone."""

from __future__ import annotations

from autohpo.execution.platform import current
from autohpo.execution.platform.base import RUN, Finder
from autohpo.execution.platform.proc import read_proc

__all__ = ["RUN", "finder_of", "read_proc", "tree_of"]


def tree_of(pid: int) -> list[int]:
    """Return a process and its descendants; without psutil, only Linux knows the latter."""
    return current().tree_of(pid)


def finder_of(run: str) -> Finder:
    """Return what finds the processes of a run that are not below their workers any more (Linux).

    Args:
        run: The name of the run.
    """
    return current().finder(run)
