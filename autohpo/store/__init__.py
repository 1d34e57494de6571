"""The event log of a run: in memory, or in one SQLite file that survives a kill at any moment."""

from __future__ import annotations

import os
from pathlib import Path

from autohpo.errors import OptionError
from autohpo.store.base import LogEvent, Store
from autohpo.store.memory import MemoryStore
from autohpo.store.run_state import RunState
from autohpo.store.sqlite import SQLiteStore

__all__ = ["LogEvent", "MemoryStore", "RunState", "SQLiteStore", "Store", "open_store"]


def open_store(url: str | os.PathLike[str], *, read_only: bool = False) -> Store:
    """Return the store that a URL or a path names; it is not open for writing yet.

    ==========================  ==========================
    URL                         store
    ==========================  ==========================
    ``run.db``, a path          one SQLite file
    ``sqlite:///run.db``        the same
    ``memory:``                 this process alone
    ==========================  ==========================

    Args:
        url: The URL or path.
        read_only: Whether it is only looked at: that needs no lock, and a driver may write to it meanwhile.

    Raises:
        OptionError: The URL has another scheme.
        StoreError: There is no such folder; with `read_only` no such store.
    """
    text = os.fspath(url)
    scheme, colon, rest = text.partition("://")
    if text == "memory:":
        return MemoryStore()
    if colon and scheme != "sqlite":
        raise OptionError(f"store: must be a path, 'sqlite:///path' or 'memory:', got {text!r}")
    path = rest.removeprefix("/") if colon else text
    return SQLiteStore(Path(path), read_only=read_only)
