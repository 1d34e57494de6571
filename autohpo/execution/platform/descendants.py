"""The processes below another one, where the system itself has no cheap way to tell: psutil knows them."""

from __future__ import annotations


def descendants(pid: int) -> list[int]:
    """Return the processes below another one; none where psutil is not installed, or that one is gone."""
    try:
        import psutil

        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except Exception:  # it is not installed, or the process is gone
        return []
