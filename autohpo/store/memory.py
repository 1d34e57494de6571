"""MemoryStore: a store that lives and dies with the process."""

from __future__ import annotations

import json
import weakref
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autohpo.errors import StoreError
from autohpo.folders import remove_folder, temporary_folder
from autohpo.store.base import LogEvent, Store, check_header, check_json

BLOCK = 256  # events that are packed together
_ONCE = {"ask": 1, "end": 2}
_FAR = 4_096  # how much further a number may be than those before it, to get a byte of its own


class MemoryStore(Store):
    """A store in a list, with checkpoints in a temporary folder that goes with it.

    All but the newest events are packed: they are only read again where a search goes on with another optimizer.
    """

    def __init__(self) -> None:
        # Packed blocks of as many events each, and the newest: swapped as one, so that any thread may read.
        self._parts: tuple[list[bytes | list[LogEvent]], list[LogEvent]] = ([], [])
        self._header: dict[str, Any] | None = None
        self._once = _Once()
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
        for event in events:
            check_json(event.data)
        self._once.add([(event.kind, event.trial) for event in events if event.kind in _ONCE])
        blocks, newest = self._parts
        n = len(blocks) * BLOCK + len(newest)
        newest += [LogEvent(*event[:5], seq) for seq, event in enumerate(events, start=n + 1)]
        while len(newest) >= 2 * BLOCK:
            blocks, newest = [*blocks, _packed(newest[:BLOCK])], newest[BLOCK:]
            self._parts = blocks, newest

    def events(self, after: int = 0) -> Iterator[LogEvent]:
        """Return the events behind a place in the log."""
        blocks, newest = self._parts
        first = min(after // BLOCK, len(blocks))
        return _rest(blocks[first:], newest.copy(), after - first * BLOCK)

    def close(self) -> None:
        """Give nothing free."""


class _Once:
    """Sees to it that a trial is asked and ends at most once; a byte for each trial."""

    def __init__(self) -> None:
        self._seen = bytearray()  # by number
        self._others: set[tuple[str, int]] = set()  # of trials below 0, or far beyond those before them

    def add(self, keys: Sequence[tuple[str, int]]) -> None:
        """Take asks and ends, all or none.

        Raises:
            StoreError: One of them has come before.
        """
        if len(set(keys)) < len(keys) or any(map(self._has, keys)):
            raise StoreError(f"store: a second ask or end of a trial among {list(keys)}")
        for kind, trial in keys:
            if not 0 <= trial < len(self._seen) + _FAR:
                self._others.add((kind, trial))
                continue
            if trial >= len(self._seen):
                self._seen.extend(bytes(trial + 1 - len(self._seen)))
            self._seen[trial] |= _ONCE[kind]

    def _has(self, key: tuple[str, int]) -> bool:
        kind, trial = key
        is_seen = 0 <= trial < len(self._seen) and bool(self._seen[trial] & _ONCE[kind])
        return is_seen or key in self._others


def _packed(events: list[LogEvent]) -> bytes | list[LogEvent]:
    """Return events as compressed JSON; as they are where others would be read back, such as lists for tuples."""
    rows = list(map(list, events))
    try:
        text = json.dumps(rows)
    except TypeError:  # a number of numpy's, where no data are
        return events
    return zlib.compress(text.encode(), 1) if json.loads(text) == rows else events


def _rest(blocks: list[bytes | list[LogEvent]], newest: list[LogEvent], skip: int) -> Iterator[LogEvent]:
    """Yield the events of blocks and the newest, without the first ones."""
    for block in [*blocks, newest]:
        events = [LogEvent(*row) for row in json.loads(zlib.decompress(block))] if isinstance(block, bytes) else block
        yield from events[skip:]
        skip = 0
