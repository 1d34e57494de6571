"""The event log of a run: in memory, or in one SQLite file that survives a kill at any moment."""

from autohpo.store.base import LogEvent, Store
from autohpo.store.memory import MemoryStore
from autohpo.store.sqlite import SQLiteStore

__all__ = ["LogEvent", "MemoryStore", "SQLiteStore", "Store"]
