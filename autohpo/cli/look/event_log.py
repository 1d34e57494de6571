"""An event log as a file of JSON lines, without loss: the header, every event with its checksum, and an end.

=========  ==============================================================================
line       what it holds
=========  ==============================================================================
first      ``{"autohpo": "event log", "format": 1, "version": ..., "header": {...}, "crc": ...}``
others     ``{"seq": 1, "time": ..., "kind": "ask", "trial": 0, "attempt": 0, "data": {...}, "crc": ...}``
last       ``{"n_events": ...}``
=========  ==============================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

from autohpo.cli.arguments import UsageError
from autohpo.errors import SpaceError, StoreCorruptError, StoreError
from autohpo.objectives import Objectives
from autohpo.store import LogEvent, RunState
from autohpo.store.checked import BadValueError, check_data, check_kept_header, check_row, parse_json
from autohpo.store.described import mode_of, space_of
from autohpo.store.rows import crc_of, json_of, row_of
from autohpo.version import __version__

KIND = "event log"
FORMAT = 1


class BadFileError(UsageError):
    """A file to be imported is damaged or has another form; the text names the line."""


def write_log(file: TextIO, header: Mapping[str, Any], events: Iterable[LogEvent]) -> int:
    """Write a log, and return how many events it has.

    Args:
        file: A text file that is open.
        header: The header of the run.
        events: The events of the run, in their order.
    """
    head = {"autohpo": KIND, "format": FORMAT, "version": __version__, "header": header}
    file.write(json.dumps(head | {"crc": crc_of(json_of(dict(header)))}) + "\n")
    n = 0
    for n, event in enumerate(events, start=1):
        row = row_of(n, event)
        said = {"seq": n, "time": row[1], "kind": event.kind, "trial": event.trial, "attempt": event.attempt}
        file.write(json.dumps(said | {"data": event.data, "crc": row[6]}) + "\n")
    file.write(json.dumps({"n_events": n}) + "\n")
    return n


def read_log(file: Iterable[str], where: str) -> tuple[dict[str, Any], list[LogEvent]]:
    """Return the header and the events of a log, once it is known to be whole and to make sense.

    Args:
        file: The lines of the file.
        where: The name of the file, for errors.

    Raises:
        BadFileError: It is damaged, cut, or no log; the text names the line.
    """
    lines = iter(file)
    header = _header_of(_parsed(next(lines, ""), where, 1), where)
    events: list[LogEvent] = []
    end: int | None = None
    place = 1
    for place, line in enumerate(lines, start=2):
        if end is not None:
            raise BadFileError(f"{where}: line {place} stands behind the end of the log")
        said = _parsed(line, where, place)
        if "n_events" in said:
            end = said["n_events"]
        else:
            events.append(_event_of(said, where, place, len(events) + 1))
    if end is None:
        raise BadFileError(f"{where}: the file is cut: its end is missing behind line {place}")
    if end != len(events):
        raise BadFileError(f"{where}: line {place} says that there are {end} events, but there are {len(events)}")
    _check_sense(header, events, where)
    return header, events


def _parsed(line: str, where: str, place: int) -> dict[str, Any]:
    try:
        said = parse_json(line.rstrip("\r\n"))
    except BadValueError as error:
        what = "is cut" if not line.endswith("\n") else "is damaged"
        raise BadFileError(f"{where}: line {place} {what}: {error}") from None
    if not isinstance(said, dict):
        raise BadFileError(f"{where}: line {place} must be an object, got {type(said).__name__}")
    return said


def _header_of(said: dict[str, Any], where: str) -> dict[str, Any]:
    if said.get("autohpo") != KIND:
        raise BadFileError(f"{where}: line 1 must begin a log that `autohpo export` wrote")
    if said.get("format") != FORMAT:
        raise BadFileError(f"{where}: line 1 names format {said.get('format')}; this release reads format {FORMAT}")
    header = said.get("header")
    wrong = check_kept_header(header)
    if wrong or not isinstance(header, dict) or said.get("crc") != crc_of(json_of(header)):
        raise BadFileError(f"{where}: line 1: the header is not what was written" + f" ({wrong})" * bool(wrong))
    return header


def _event_of(said: dict[str, Any], where: str, place: int, seq: int) -> LogEvent:
    try:
        row = (said["seq"], said["time"], said["kind"], said["trial"], said["attempt"], "", said["crc"])
        data = said["data"]
    except KeyError as error:
        raise BadFileError(f"{where}: line {place} has no {error}") from None
    if row[0] != seq:
        raise BadFileError(f"{where}: line {place} must have the event {seq}, got {row[0]!r:.40}")
    wrong = check_row(row) or check_data(row[2], data)
    if wrong:
        raise BadFileError(f"{where}: line {place} is no event that autohpo writes: {wrong}")
    event = LogEvent(row[2], row[3], row[4], data, row[1], seq)
    if row_of(seq, event)[6] != row[6]:
        raise BadFileError(f"{where}: line {place} is not what was written: its checksum differs")
    return event


def _check_sense(header: dict[str, Any], events: list[LogEvent], where: str) -> None:
    """Raise BadFileError where the events contradict each other; not of a space that only a program can make."""
    try:
        space, objectives = space_of(header, where), Objectives.of(mode_of(header, where))
    except SpaceError:
        return
    except StoreCorruptError as error:
        raise BadFileError(f"{where}: line 1: {error}") from None
    state = RunState(space, objectives, where)
    for place, event in enumerate(state.checked(_each(events)), start=2):
        try:
            state.apply(event)
        except StoreError as error:  # noqa: PERF203 - the error names the line
            raise BadFileError(f"{where}: line {place} contradicts the lines before it: {error}") from None


def _each(events: list[LogEvent]) -> Iterator[LogEvent]:
    yield from events
