"""What is whole of a damaged study in PostgreSQL, in a new file."""

from __future__ import annotations

import os

from autohpo.errors import NoRunError, RunBusyError, StoreCorruptError, StoreError
from autohpo.store import postgres_schema as sql
from autohpo.store.checked import BadValueError, check_kept_header, parse_json
from autohpo.store.opening import checked_path, size_of
from autohpo.store.postgres_link import Link
from autohpo.store.postgres_studies import find_study, linked
from autohpo.store.rows import crc_of, is_whole
from autohpo.store.salvage import BATCH, Repaired, _gaps, _Log
from autohpo.store.sqlite import SQLiteStore

READ_BATCH = 2_000  # rows that are read together


def repair_study(url: str, to: str | os.PathLike[str]) -> Repaired:
    """Take every event whose checksum holds out of a damaged study, and write them into a new file.

    The study is left as it is. What :func:`autohpo.store.repair` says of the new log is true here.

    Args:
        url: The URL of the study.
        to: The path of the new store.

    Raises:
        NoRunError: There is no such study.
        RunBusyError: A driver has it.
        StoreError: The new store exists already.
        StoreCorruptError: Nothing in it can be read.
    """
    target = checked_path(to, "to")
    if size_of(target):
        raise StoreError(f"to: {target} exists already; name a new file")
    with linked(url, is_reader=True) as (parsed, link):
        study = find_study(link, parsed)
        if study is None:
            raise NoRunError(f"store: {parsed.place} does not exist")
        if study.holder is not None:
            raise RunBusyError(f"store: {parsed.place} is in use by {study.holder}")
        n_events = link.rows(sql.STANDING, [study.number])[0][1]
        rows = _whole_rows(link, study.number)
        header = _header(link, study.number)
    if not rows and header is None:
        raise StoreCorruptError(f"store: no event of a run can be read in {parsed.place}; nothing was written")
    log = _Log()
    for row in rows.values():
        log.take(row)
    store = SQLiteStore(target)
    store.open()
    try:
        if header is not None:
            store.begin(header)
        for start in range(0, len(log.events), BATCH):
            store.append(log.events[start : start + BATCH], sync=False)
        store.append([])
    finally:
        store.close()
    lost = _gaps(rows, n_events)
    n_lost = sum(b - a + 1 for a, b in lost)
    counts = len(rows), n_lost, lost, len(log.events), dict(log.dropped)
    return Repaired(parsed.place, target, *counts, header is not None, log.is_renumbered)


def _whole_rows(link: Link, number: int) -> dict[int, tuple[object, ...]]:
    """Return the rows that are what was written, by their place in the log."""
    found: dict[int, tuple[object, ...]] = {}
    after = 0
    while rows := link.rows(sql.EVENTS, [number, after, READ_BATCH]):
        found.update((row[0], row) for row in rows if is_whole(row))
        after = rows[-1][0]
    return found


def _header(link: Link, number: int) -> dict[str, object] | None:
    text, crc = link.rows(sql.HEADER, [number])[0]
    try:
        header = parse_json(text)
    except BadValueError:
        return None
    return header if crc == crc_of(text) and not check_kept_header(header) else None
