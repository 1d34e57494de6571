"""A store that lives and dies with the process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autohpo.errors import StoreError
from autohpo.store.base import LogEvent, Store, check_header


class MemoryStore(Store):
    """Keeps the events in a list.

    Attributes:
        folder: Whatever holds the checkpoints that belong to this history; it lives as long.
    """

    def __init__(self) -> None:
        self.folder: Any = None
        self._events: list[LogEvent] = []
        self._header: dict[str, Any] | None = None
        self._once: set[tuple[str, int]] = set()  # asks and ends: at most one of each for a trial

    def open(self) -> None:
        """Nothing to claim: nobody else can reach it."""

    def begin(self, header: Mapping[str, Any]) -> None:
        """Takes or compares the header."""
        if self._header is None:
            self._header = dict(header)
        check_header(self._header, header, "this optimizer's own history")

    @property
    def header(self) -> Mapping[str, Any] | None:
        """What the run began with."""
        return self._header

    def append(self, events: Sequence[LogEvent]) -> None:
        """Adds the events."""
        keys = [(event.kind, event.trial) for event in events if event.kind in ("ask", "end")]
        if len({*keys} - self._once) < len(keys):
            raise StoreError(f"store: a second ask or end of a trial among {keys}")
        self._once.update(keys)
        for event in events:
            seq = len(self._events) + 1
            self._events.append(LogEvent(event.kind, event.trial, event.attempt, event.data, event.time, seq))

    def events(self, after: int = 0) -> Iterator[LogEvent]:
        """The events behind a place in the log."""
        return iter(self._events[after:])

    def close(self) -> None:
        """Nothing to give free."""
