"""The studies of a PostgreSQL database, seen from outside: lists, drivers, requests to end, removal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from autohpo.errors import NoRunError, OptionError
from autohpo.store import postgres_schema as sql
from autohpo.store.checked import BadValueError, check_kept_header, parse_json
from autohpo.store.lock import Holder
from autohpo.store.postgres import PostgresStore
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


class Found(NamedTuple):
    """A study that was looked for.

    Attributes:
        number: The number of the study.
        holder: The driver that has it open; None where none has.
        last: The driver that had it last, or has it; None where its row does not say.
        session: The server's session that has its lock; None where none has.
        files: The path of the folder of its files.
    """

    number: int
    holder: Holder | None
    last: Holder | None
    session: int | None
    files: str


@contextmanager
def linked(url: str, *, is_reader: bool) -> Iterator[tuple[PostgresUrl, Link]]:
    """Connect to the server of a URL.

    Raises:
        OptionError: The URL is malformed.
        StoreOfflineError: The server cannot be reached.
    """
    parsed = parse_url(url)
    link = Link(parsed, is_reader=is_reader)
    link.open()
    try:
        yield parsed, link
    finally:
        link.close()


def find_study(link: Link, url: PostgresUrl) -> Found | None:
    """Return the study that a URL names; None where there is none.

    Raises:
        OptionError: The URL names no study.
    """
    if not url.study:
        raise OptionError(f"store: must name a study, as in {FORM!r}, got {url.address}")
    rows = link.rows(sql.STUDY, [url.study]) if sql.is_made(link) else []
    if not rows:
        return None
    number, _, files, _ = rows[0]
    held = link.rows(sql.HOLDER, {"study": number, "lock_class": sql.LOCK_CLASS})
    kept, _, session = held[0] if held else ("", None, None)
    return Found(number, holder_in(held), Holder.from_json(kept or ""), session, files)


def look(url: str) -> Found | None:
    """Return the study that a URL names; None where there is none.

    Raises:
        OptionError: The URL names no study.
        StoreOfflineError: The server cannot be reached.
    """
    with linked(url, is_reader=True) as (parsed, link):
        return find_study(link, parsed)


def studies_of(url: str) -> list[Study]:
    """Return the studies of a database, by name; an empty list where no study was ever kept there.

    Args:
        url: The URL of the database: ``postgresql://user@host/database``.

    Raises:
        StoreOfflineError: The server cannot be reached.
        StoreError: The user may not read them, or a newer release made them.
    """
    with linked(url, is_reader=True) as (_, link):
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


def ask_to_stop(url: str, holder: Holder) -> None:
    """Leave a request to end for the driver of a study.

    Raises:
        StoreError: The user may not write it.
        StoreOfflineError: The server cannot be reached.
    """
    with linked(url, is_reader=False) as (parsed, link):
        study = find_study(link, parsed)
        if study is not None:
            link.count(sql.ASK_TO_STOP, [holder.to_json(), study.number])


def is_stop_seen(url: str) -> bool:
    """Return whether there is no request to end that the driver of a study has not seen yet."""
    with linked(url, is_reader=True) as (parsed, link):
        study = find_study(link, parsed)
        return study is None or not link.rows(sql.STOP, [study.number])


def reserve_study(url: str) -> None:
    """Make a study, unless there is one, so that the folder of its files is known to all that open it.

    Raises:
        RunBusyError: A driver has it.
        StoreOfflineError: The server cannot be reached.
    """
    store = PostgresStore(url)
    store.open()
    store.close()


def remove_study(url: str) -> None:
    """Remove a study with all its events; the folder of its files stays.

    Args:
        url: The URL of the study.

    Raises:
        NoRunError: There is no such study.
        RunBusyError: A driver has it.
        StoreOfflineError: The server cannot be reached.
    """
    with linked(url, is_reader=False) as (parsed, link):
        study = find_study(link, parsed)
        if study is None:
            raise NoRunError(f"store: {parsed.place} does not exist")
        Claim(link, parsed.place, study.number).take()
        link.count(sql.REMOVE, [study.number])


def move_study(url: str, to: str) -> str:
    """Give a study another name, in the place of the study that has it, if there is one; return its folder of files.

    Args:
        url: The URL of the study.
        to: The URL of the other name, in the same database.

    Raises:
        NoRunError: There is no such study.
        RunBusyError: A driver has one of the two.
        StoreOfflineError: The server cannot be reached.
    """
    with linked(url, is_reader=False) as (parsed, link):
        wanted = parse_url(to)
        study, other = find_study(link, parsed), find_study(link, wanted)
        if study is None:
            raise NoRunError(f"store: {parsed.place} does not exist")
        with link.transaction():
            Claim(link, parsed.place, study.number).take()
            if other is not None:
                Claim(link, wanted.place, other.number).take()
                link.count(sql.REMOVE, [other.number])
            kept = Path(study.files)
            files = str(kept.with_name(wanted.study + kept.name.removeprefix(parsed.study)))
            link.count(sql.RENAME, [wanted.study, files, study.number])
    return files
