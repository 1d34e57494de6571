"""The event log of a run: in memory, in one SQLite file that survives a kill at any moment, or in PostgreSQL."""

from __future__ import annotations

import os
import re
from pathlib import Path

from autohpo.errors import OptionError, short, shown
from autohpo.store.base import LogEvent, Store
from autohpo.store.copying import copy_run
from autohpo.store.memory import MemoryStore
from autohpo.store.postgres import PostgresStore
from autohpo.store.postgres_url import is_postgres, redacted
from autohpo.store.run_state import RunState
from autohpo.store.salvage import Checked, Repaired, check, repair
from autohpo.store.sqlite import SQLiteStore

__all__ = [
    "Checked",
    "LogEvent",
    "MemoryStore",
    "PostgresStore",
    "Repaired",
    "RunState",
    "SQLiteStore",
    "Store",
    "check",
    "copy_run",
    "open_store",
    "redacted",
    "repair",
]


def open_store(url: str | os.PathLike[str], *, read_only: bool = False) -> Store:
    """Return the store that a URL or a path names; it is not open for writing yet.

    ============================================  =================================================
    URL                                           store
    ============================================  =================================================
    ``run.db``, a path                            one SQLite file
    ``sqlite:///run.db``                          the same; ``sqlite:////data/run.db`` is absolute
    ``postgresql://user@host/database/study``     a study in a PostgreSQL database
    ``memory:``                                   this process alone
    ============================================  =================================================

    Args:
        url: The URL or path.
        read_only: Whether it is only looked at: that needs no lock, and a driver may write to it meanwhile.

    Raises:
        OptionError: It is neither a path nor a URL of these kinds.
        StoreError: It names a folder, or lies in one that does not exist; with `read_only` there is no such store.
        StoreOfflineError: With `read_only`: the server of a PostgreSQL store cannot be reached.
    """
    if not isinstance(url, (str, os.PathLike)):
        raise OptionError(f"store: must be a path or a URL, got {short(url)}")
    text = str(os.fsdecode(url))  # of a subclass, too
    if "\0" in text:
        raise OptionError(f"store: must be a path or a URL, got {shown(redacted(text))}, which has a NUL character")
    if text == "memory:":
        return MemoryStore()
    if isinstance(url, str) and is_postgres(text):
        return PostgresStore(text, read_only=read_only)
    return SQLiteStore(_path_of(text) if isinstance(url, str) else text, read_only=read_only)


def _path_of(text: str) -> str:
    """Return the path that a string names.

    Raises:
        OptionError: It is a URL of another kind.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", scheme) or _exists(text):
        return text  # a drive of Windows has one letter
    path = rest.removeprefix("///")
    if scheme != "sqlite" or path == rest or not path or "?" in path:
        raise OptionError(
            "store: must be a path, 'sqlite:///path', 'postgresql://host/database/study' or 'memory:', got "
            f"{shown(redacted(text))}{_advice(scheme, rest)}"
        )
    return path


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long a name, or one with characters that no file has
        return False


def _advice(scheme: str, rest: str) -> str:
    """Return what was probably meant, as the end of a sentence; empty where nobody knows."""
    kind, path = scheme.lower().partition("+")[0], rest.partition("?")[0].lstrip("/")
    if kind in ("sqlite", "file") and path and "@" not in path:
        return f"; for the file {path} write 'sqlite:///{path}' or {path!r}"
    if kind in ("memory", "sqlite"):
        return "; for a search that is not kept write 'memory:', or leave `store` out"
    if kind in ("postgres", "postgresql"):
        return "; for a study in PostgreSQL write 'postgresql://user@host/database/study'"
    if kind in ("mysql", "mariadb", "redis", "journal", "http", "https", "grpc") or "@" in rest:
        return "; a store is one file on a local disk, such as 'run.db', or a study in PostgreSQL"
    return f"; for a file of that name write './{scheme}:{rest}'"
