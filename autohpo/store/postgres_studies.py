"""The studies of a PostgreSQL database, seen from outside: lists, drivers, requests to end, removal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from autohpo.errors import NoRunError, OptionError
from autohpo.store import postgres_schema as sql
from autohpo.store.checked import BadValueError, check_kept_header, parse_json
from autohpo.store.lock import Holder
from autohpo.store.postgres_claim import Claim, holder_in
from autohpo.store.postgres_link import Link
from autohpo.store.postgres_url import FORM, PostgresUrl, parse_url
from autohpo.store.rows import crc_of


class Study(NamedTuple):
    """A study in a list.

    Attributes:
        name: The name of the study.
        header: The header of its run; None where none has begun, or where it is damaged.
        is_damaged: Whether the header is not what was written.
        is_running: Whether a driver has it.
        n_asked: How many trials were suggested.
        changed: The time of its last event, in Unix seconds; None where it has none.
    """

    name: str
    header: Mapping[str, Any] | None
    is_damaged: bool
    is_running: bool
    n_asked: int
    changed: float | None


@contextmanager
def _linked(url: str, *, is_reader: bool) -> Iterator[tuple[PostgresUrl, Link]]:
    parsed = parse_url(url)
    link = Link(parsed, is_reader=is_reader)
    link.open()
    try:
        yield parsed, link
    finally:
        link.close()


def _number(link: Link, url: PostgresUrl) -> int:
    """Return the number of a study; 0 where there is none.

    Raises:
        OptionError: The URL names no study.
    """
    if not url.study:
        raise OptionError(f"store: must name a study, as in {FORM!r}, got {url.address}")
    found = link.rows(sql.STUDY, [url.study]) if sql.is_made(link) else []
    return int(found[0][0]) if found else 0


def studies_of(url: str) -> list[Study]:
    """Return the studies of a database, by name; an empty list where no study was ever kept there.

    Args:
        url: The URL of the database: ``postgresql://user@host/database``.

    Raises:
        StoreOfflineError: The server cannot be reached.
        StoreError: The user may not read them, or a newer release made them.
    """
    with _linked(url, is_reader=True) as (_, link):
        found = link.rows(sql.STUDIES, {"lock_class": sql.LOCK_CLASS}) if sql.is_made(link) else []
    return [_study_of(row) for row in found]


def _study_of(row: tuple[Any, ...]) -> Study:
    name, text, crc, _, session, n_asked, changed = row
    header, is_damaged = None, False
    if text is not None:
        try:
            header = parse_json(text)
            is_damaged = crc != crc_of(text) or bool(check_kept_header(header))
        except BadValueError:
            is_damaged = True
    return Study(name, None if is_damaged else header, is_damaged, session is not None, n_asked, changed)


def holder_of_study(url: str) -> Holder | None:
    """Return who has a study open as its driver; None where nobody has, or there is no such study.

    Raises:
        StoreOfflineError: The server cannot be reached.
    """
    with _linked(url, is_reader=True) as (parsed, link):
        number = _number(link, parsed)
        return holder_in(link.rows(sql.HOLDER, {"study": number, "lock_class": sql.LOCK_CLASS})) if number else None


def last_holder_of_study(url: str) -> Holder | None:
    """Return who had a study last, or has it; None where its row does not say."""
    with _linked(url, is_reader=True) as (parsed, link):
        number = _number(link, parsed)
        found = link.rows(sql.HOLDER, {"study": number, "lock_class": sql.LOCK_CLASS}) if number else []
        return Holder.from_json(found[0][0] or "") if found else None


def ask_to_stop(url: str, holder: Holder) -> None:
    """Leave a request to end for the driver of a study.

    Raises:
        StoreError: The user may not write it.
        StoreOfflineError: The server cannot be reached.
    """
    with _linked(url, is_reader=False) as (parsed, link):
        link.count(sql.ASK_TO_STOP, [holder.to_json(), _number(link, parsed)])


def is_stop_seen(url: str) -> bool:
    """Return whether there is no request to end that the driver of a study has not seen yet."""
    with _linked(url, is_reader=True) as (parsed, link):
        return not link.rows(sql.STOP, [_number(link, parsed)])


def remove_study(url: str) -> None:
    """Remove a study with all its events; the folder of its files stays.

    Args:
        url: The URL of the study.

    Raises:
        NoRunError: There is no such study.
        RunBusyError: A driver has it.
        StoreOfflineError: The server cannot be reached.
    """
    with _linked(url, is_reader=False) as (parsed, link):
        number = _number(link, parsed)
        if not number:
            raise NoRunError(f"store: {parsed.place} does not exist")
        Claim(link, parsed.place, number).take()
        link.count(sql.REMOVE, [number])
