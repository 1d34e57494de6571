"""Rows: an event and a header as a store's file holds them, each with a checksum, and the tables they stand in."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from autohpo.errors import StoreError
from autohpo.store.base import LogEvent
from autohpo.store.checked import KINDS, BadValueError, check_row, parse_json

FORMAT = 2
"""What a file says in ``user_version``.

===  ================  ==================================================================================
1    autohpo 0.1       events *ask, start, report, end, interrupt*
2    autohpo 0.2       also *late*; an *end* may say cost and why, an *ask* fork; a header name and version
===  ================  ==================================================================================

The rule: a release reads every format up to its own, and a file is marked with its own when a driver first writes to
it, in that very transaction. A newer one is refused: what it says is not known here.
"""
APPLICATION_ID = 0x6175746F  # "auto": tells our files from other SQLite files

SCHEMA = f"""
CREATE TABLE header (data TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    trial INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    data TEXT NOT NULL,
    crc INTEGER NOT NULL
);
CREATE UNIQUE INDEX one_ask ON events (trial) WHERE kind = 'ask';
CREATE UNIQUE INDEX one_end ON events (trial) WHERE kind = 'end';
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""
_JSON = json.JSONEncoder(allow_nan=False)


def row_of(place: int, event: LogEvent) -> tuple[Any, ...]:
    """Return the row of an event at a place in the log."""
    kind, trial, attempt, data, time, _ = event
    time, text = float(time), json_of(data)
    return place, time, kind, trial, attempt, text, crc_of(place, time, kind, trial, attempt, text)


def is_whole(row: Sequence[Any]) -> bool:
    """Return whether a row is what was written."""
    seq, time, kind, trial, attempt, text, crc = row
    plain = f"({seq!r}, {time!r}, '{kind}', {trial!r}, {attempt!r}, '{text}')"  # without anything to escape
    return crc == zlib.crc32(plain.encode(errors="backslashreplace")) or bool(crc == crc_of(*row[:-1]))


def data_of(rows: Sequence[Sequence[Any]], after: int | None) -> list[dict[str, Any]]:
    """Return the data of rows that follow each other, once each is known to be what was written, and to make sense.

    Args:
        rows: The rows.
        after: The place in the log that they come after; None where others may lie between them.

    Raises:
        BadValueError: A row is not what was written, or no row that autohpo writes; the text names it.
    """
    due = check_written(rows, after)
    found = _parsed(rows, due)
    if set(map(type, found)) != {dict}:
        place, kind = next((i, type(d)) for i, d in zip(due, found, strict=True) if type(d) is not dict)
        raise BadValueError(f"event {place} is no event that autohpo writes: data must be a dict, got {kind.__name__}")
    return found


def check_written(rows: Sequence[Sequence[Any]], after: int | None) -> Sequence[int]:
    """Check that rows are what was written, whatever their data say, and return their places in the log.

    Args:
        rows: The rows.
        after: The place in the log that they come after; None where others may lie between them.

    Raises:
        BadValueError: One is not; the text names it.
    """
    due: Sequence[int] = [row[0] for row in rows] if after is None else range(after + 1, after + 1 + len(rows))
    if not _are_written(rows, due):
        _check_each(rows, due)
    return due


def _are_written(rows: Sequence[Sequence[Any]], due: Sequence[int]) -> bool:
    """Whether rows are what was written; False also where that takes a closer look."""
    places, times, kinds, trials, attempts, _, crcs = zip(*rows, strict=True)
    crc32 = zlib.crc32
    try:
        found = [
            crc32(f"({seq!r}, {time!r}, '{kind}', {trial!r}, {attempt!r}, '{text}')".encode())  # as in is_whole
            for seq, time, kind, trial, attempt, text, _ in rows
        ]
    except UnicodeEncodeError:
        return False
    if found != list(crcs):  # perhaps of texts with something to escape, such as the error of a failed trial
        differing = [row for row, crc in zip(rows, found, strict=True) if row[6] != crc]
        if not all(map(is_whole, differing)):
            return False
    return (
        places == tuple(due)
        and KINDS.issuperset(kinds)
        and set(map(type, times)) == {float}
        and set(map(type, trials)) == set(map(type, attempts)) == {int}
        and min(attempts) >= 0
    )


def _check_each(rows: Sequence[Sequence[Any]], due: Sequence[int]) -> None:
    for place, row in zip(due, rows, strict=True):
        seq, time, kind, trial, attempt, text, crc = row
        plain = f"({seq!r}, {time!r}, '{kind}', {trial!r}, {attempt!r}, '{text}')"  # as in is_whole
        is_written = crc == zlib.crc32(plain.encode(errors="backslashreplace")) or is_whole(row)
        if seq != place or not is_written:
            raise BadValueError(f"event {place} is not what was written")
        if not (type(trial) is type(attempt) is int and attempt >= 0 and kind in KINDS and type(time) is float):
            raise BadValueError(f"event {place} is no event that autohpo writes: {check_row(row)}")


def _parsed(rows: Sequence[Sequence[Any]], due: Sequence[int]) -> list[dict[str, Any]]:
    """Return the JSON of rows, read in one go where that can be done: keys are shared then."""
    try:
        found = parse_json(f"[{','.join([row[5] for row in rows])}]")
        if len(found) == len(rows):
            return found  # type: ignore[no-any-return]
    except (BadValueError, TypeError):
        pass  # which one it is shows below
    return [_parsed_alone(row, place) for place, row in zip(due, rows, strict=True)]


def _parsed_alone(row: Sequence[Any], place: int) -> Any:
    try:
        return parse_json(row[5])
    except BadValueError as error:
        raise BadValueError(f"event {place} is no event that autohpo writes: {error}") from None


def json_of(data: Mapping[str, Any]) -> str:
    """Return the JSON of an event's data or a header.

    Raises:
        StoreError: A value is of no JSON type, or not finite.
    """
    try:
        return _JSON.encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"store: events and headers must be of JSON types: {error}") from error


def crc_of(*values: object) -> int:
    """Return the checksum of the values of a row."""
    return zlib.crc32(repr(values).encode(errors="backslashreplace"))
