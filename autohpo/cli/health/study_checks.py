"""The health of a study in PostgreSQL: its server, who has it, whether it is whole, and what lies in its folder."""

from __future__ import annotations

import shlex
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from autohpo.cli.health.findings import Check, Finding, size_text
from autohpo.cli.health.store_checks import _measured, _trials
from autohpo.errors import SpaceError, StoreCorruptError
from autohpo.objectives import Objectives
from autohpo.store import PostgresStore, RunState, redacted
from autohpo.store.described import mode_of, space_of
from autohpo.store.lock import Holder
from autohpo.store.postgres_studies import linked, look

SERVER = """
SELECT current_setting('server_version'), current_setting('fsync'), current_setting('full_page_writes'),
    current_setting('synchronous_commit'), pg_database_size(current_database()), pg_is_in_recovery(),
    has_schema_privilege('autohpo', 'USAGE') AND has_table_privilege('autohpo.events', 'INSERT')
"""


def place_of(url: str) -> str:
    """Return the URL of a study without its secrets."""
    return redacted(url)


def checks(url: str) -> list[Check]:
    """Return the checks of a study.

    Args:
        url: The URL of the study.

    Raises:
        NoRunError: There is no such study.
        StoreOfflineError: The server cannot be reached.
    """
    PostgresStore(url, read_only=True).close()
    health = _Health(url)
    return [("server", health.server), ("lock", health.lock), ("log", health.log), ("files", health.files)]


class _Health:
    """The checks of one study."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._holder: Holder | None = None

    def server(self) -> Iterator[Finding]:
        """Yield what the server is, and whether it keeps what it has confirmed."""
        with linked(self._url, is_reader=True) as (_, link):
            version, fsync, pages, commit, size, is_standby, may_write = link.rows(SERVER)[0]
        yield Finding("server", f"PostgreSQL {version}; the database has {size_text(size)}")
        for name, value in (("fsync", fsync), ("full_page_writes", pages)):
            if value != "on":
                text = f"{name} is {value}: a power failure can damage the whole database"
                yield Finding("server", text, "problem", f"set {name} = on in postgresql.conf")
        if commit == "off":
            yield Finding("server", "synchronous_commit is off by default; drivers turn it on where they must", "note")
        if is_standby or not may_write:
            why = "a standby takes no writes" if is_standby else "this user has no right to write"
            yield Finding("permissions", f"the run can only be read: {why}", "note")

    def lock(self) -> Iterator[Finding]:
        """Yield who writes to the study."""
        found = look(self._url)
        self._holder = None if found is None else found.holder
        text = "nobody writes to it" if self._holder is None else f"it is in use by {self._holder}"
        yield Finding("lock", text)

    def log(self) -> Iterator[Finding]:
        """Yield whether every row is what was written, whether the events make sense, and how far the run is."""
        store = PostgresStore(self._url, read_only=True)
        try:
            header = store.header
            events = list(store.events())
            if header is None:
                yield Finding("run", f"it holds no run yet, and {len(events)} events", "note")
                return
            yield Finding("log", f"it is whole: {len(events)} events, each as it was written")
            name = f" {header['name']!r}" if header.get("name") else ""
            made = f"made by autohpo {header.get('version', 'of an unknown release')}"
            yield Finding("run", f"{header.get('algorithm', 'an unknown algorithm')}{name}, {made}")
            space, mode = space_of(header, store.path), mode_of(header, store.path)
            state = RunState(space, Objectives.of(mode), str(store.path)).follow(events)
            yield from _trials(state, events, is_busy=self._holder is not None, path=store.path)
        except SpaceError:
            kinds = Counter(event.kind for event in events)
            yield Finding("trials", f"{kinds['ask']} were asked for, {kinds['end']} have ended")
        except StoreCorruptError as error:
            advice = f"autohpo repair {shlex.quote(redacted(self._url))} --to saved.db"
            yield Finding("log", str(error).removeprefix("store: "), "damage", advice)
        finally:
            store.close()

    def files(self) -> Iterator[Finding]:
        """Yield what lies in the folder of checkpoints and logs."""
        found = look(self._url)
        folder = Path("" if found is None else found.files)
        if folder.is_dir():
            n_files, n_bytes = _measured(folder)
            yield Finding("files", f"{size_text(n_bytes)} in {n_files} files of checkpoints and logs in {folder}")
        else:
            yield Finding("files", f"there is no {folder} on {socket.gethostname()}: no checkpoints and no logs")
