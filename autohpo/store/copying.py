"""A run copied from one store into another, of any kind, whole and checked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, zip_longest

from autohpo.errors import NoRunError, SpaceError, StoreCorruptError, StoreMismatchError
from autohpo.objectives import Objectives
from autohpo.store.base import LogEvent, Store
from autohpo.store.described import mode_of, space_of
from autohpo.store.run_state import RunState

BATCH = 2_000  # events that are written together


def copy_run(source: Store, target: Store) -> int:
    """Copy a run into a store that is new, and return how many events it has.

    Every event is checked when it is read, and compared once it is written. Files, such as checkpoints, stay.

    Args:
        source: The store with the run, open to read.
        target: The new store, opened to write.

    Raises:
        NoRunError: There is no run in the source.
        StoreMismatchError: There is one in the target already.
        StoreCorruptError: The source is damaged, or the target does not give back what was written.
    """
    where = getattr(source, "path", "the log")
    header = source.header
    if header is None:
        raise NoRunError(f"store: {where} holds no run yet")
    if target.header is not None or next(target.events(), None) is not None:
        raise StoreMismatchError(f"store: {getattr(target, 'path', 'the target')} must be new, but holds a run already")
    target.begin(header)
    events, n = _sensible(source), 0
    while batch := list(islice(events, BATCH)):
        target.append(batch, sync=False)
        n += len(batch)
    target.append([])
    _compare(source, target, n)
    return n


def _sensible(source: Store) -> Iterator[LogEvent]:
    """Yield the events of a run, each once it is known to fit those before it."""
    where, header = str(getattr(source, "path", "the log")), source.header or {}
    try:
        state = RunState(space_of(header, where), Objectives.of(mode_of(header, where)), where)
    except SpaceError:  # values that only the program that made it knows
        yield from source.events()
        return
    for event in state.checked(source.events()):
        state.apply(event)
        yield event


def _compare(source: Store, target: Store, n: int) -> None:
    """Raise StoreCorruptError unless both stores have the same first events."""
    pairs = zip_longest(islice(source.events(), n), target.events())
    n_same = sum(1 for a, b in pairs if a == b)
    if n_same != n or target.header != source.header:
        raise StoreCorruptError(
            f"store: {getattr(target, 'path', 'the target')} does not give back what was written: {n_same} of {n} "
            "events are the same"
        )
