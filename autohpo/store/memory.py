"""MemoryStore: a store that lives and dies with the process."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autohpo.errors import StoreError
from autohpo.folders import remove_folder, temporary_folder
from autohpo.store.base import LogEvent, Store, check_header, check_json


class MemoryStore(Store):
    """A store in a list, with checkpoints in a temporary folder that goes with it."""

    def __init__(self) -> None:
        self._events: list[LogEvent] = []
        self._header: dict[str, Any] | None = None
        self._once: set[tuple[str, int]] = set()  # asks and ends: at most one of each for a trial
        self._files: Path | None = None

    def open(self) -> None:
        """Claim nothing: nobody else can reach it."""

    def begin(self, header: Mapping[str, Any]) -> None:
        """Take or compare the header."""
        if self._header is None:
            self._header = dict(header)
        check_header(self._header, header, "this optimizer's own history")

    @property
    def header(self) -> Mapping[str, Any] | None:
        """The header that the run began with."""
        return self._header

    @property
    def files(self) -> Path:
        """A temporary folder that is removed when nobody refers to this store any more."""
        if self._files is None:
            self._files = temporary_folder()
            weakref.finalize(self, remove_folder, self._files)
        return self._files

    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        """Add the events."""
        keys = [(event.kind, event.trial) for event in events if event.kind in ("ask", "end")]
        if len({*keys} - self._once) < len(keys):
            raise StoreError(f"store: a second ask or end of a trial among {keys}")
        for event in events:
            check_json(event.data)
        self._once.update(keys)
        for event in events:
            self._events.append(LogEvent(*event[:5], len(self._events) + 1))

    def events(self, after: int = 0) -> Iterator[LogEvent]:
        """Return the events behind a place in the log."""
        return iter(self._events[after:])

    def close(self) -> None:
        """Give nothing free."""
