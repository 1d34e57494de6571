"""A connection to a PostgreSQL server: its settings, its errors as errors of ours, and texts without secrets."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from autohpo.errors import (
    MissingExtraError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreGoneError,
    StoreLockedError,
    StoreOfflineError,
)
from autohpo.store.postgres_url import PostgresUrl

if TYPE_CHECKING:
    import psycopg

LOCK_MILLISECONDS = 200  # that the server waits for another session; longer waits can be interrupted here
MOST_TEXT = 500  # characters of what a server says: it may quote a whole row

DEFAULTS = {
    "application_name": "autohpo",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""Parameters of a connection where the URL has none: a server that has vanished is noticed within half a minute."""

SETTINGS = {
    "default_transaction_isolation": "read committed",  # an append reads the row again that it waited for
    "search_path": "pg_catalog",  # nothing of other schemas is ever meant
    "lock_timeout": str(LOCK_MILLISECONDS),
    "extra_float_digits": "1",  # floats come back to the last bit
    "jit": "off",
    "tcp_keepalives_idle": "30",  # the server lets go of the lock of a host that has vanished
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""Settings of a session."""

_OFFLINE = ("08", "57P", "53300", "25006", "3D000", "28")
_LOCKED = ("55P03", "57014", "40001", "40P01", "55006", "53200", "53400")
_FULL = ("53100", "58030")
_GONE = ("3F000", "42P01")
_DAMAGED = ("XX001", "XX002")


class Link:
    """A connection that may be closed and opened again. Threads may share it.

    Args:
        url: Where the server is, and how to get in.
        is_reader: Whether it only reads.

    Attributes:
        strong: The value of ``synchronous_commit`` of a commit that survives a power loss.
    """

    def __init__(self, url: PostgresUrl, *, is_reader: bool) -> None:
        self.url, self._is_reader = url, is_reader
        self.strong = "on"
        self._connection: psycopg.Connection[Any] | None = None
        self._process = 0
        self.mutex = threading.RLock()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known here."""
        connection = self._connection
        return connection is not None and not connection.closed and self._process == os.getpid()

    def open(self) -> None:
        """Connect, unless that is done.

        Raises:
            MissingExtraError: psycopg is not installed.
            StoreOfflineError: The server cannot be reached, or does not let us in.
        """
        with self.mutex:
            if self.is_open:
                return
            self.close()
            module = driver_module()
            given = {**DEFAULTS, **self.url.parameters, "dbname": self.url.database, "client_encoding": "UTF8"}
            with self._faults(is_connecting=True):
                self._connection = module.connect(autocommit=True, **given)
                self._process = os.getpid()
            self._set_up()

    def _set_up(self) -> None:
        wanted = {**SETTINGS, "default_transaction_read_only": "on" if self._is_reader else "off"}
        calls = ", ".join(["set_config(%s, %s, false)"] * len(wanted))
        words = [word for pair in wanted.items() for word in pair]
        row = self.rows(f"SELECT current_setting('synchronous_commit'), {calls}", words)[0]
        self.strong = "on" if row[0] == "off" else row[0]

    def close(self) -> None:
        """Disconnect; in a child process, which has a copy of the connection, it is only forgotten."""
        with self.mutex:
            connection, self._connection = self._connection, None
            if connection is not None and self._process == os.getpid():
                with suppress(Exception):  # whatever state it is in
                    connection.close()

    def rows(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement, which is committed at once, and return its rows."""
        with self.mutex, self._faults():
            cursor = self._open_one.execute(statement, values)
            return cursor.fetchall() if cursor.description is not None else []

    def count(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> int:
        """Run a statement, which is committed at once, and return how many rows it has written or read."""
        with self.mutex, self._faults():
            return int(self._open_one.execute(statement, values).rowcount)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run several statements in one transaction."""
        with self.mutex, self._faults(), self._open_one.transaction():
            yield

    @property
    def _open_one(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._process != os.getpid():
            raise StoreOfflineError(f"store: {self.url.place} is not connected")
        return self._connection

    @contextmanager
    def _faults(self, *, is_connecting: bool = False) -> Iterator[None]:
        """Raise what the server and its driver raise as errors of ours."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            ours = self._as_ours(error, is_connecting=is_connecting)
            if isinstance(ours, StoreOfflineError):
                self.close()
            said = str(error)
            raise ours from (error if self._scrubbed(said) == said else None)
        except UnicodeError as error:  # a name of a host that cannot be one
            raise StoreOfflineError(f"store: {self.url.place} cannot be reached: {error}") from None

    def _as_ours(self, error: psycopg.Error, *, is_connecting: bool) -> StoreError:
        import psycopg

        code = error.sqlstate or ""
        text = " ".join(self._scrubbed(str(error)).split())[:MOST_TEXT] or type(error).__name__
        where = f"store: {self.url.place}"
        connection = self._connection
        is_broken = is_connecting or (connection is not None and connection.closed)
        if code == "57014" and not is_broken:
            return StoreLockedError(f"{where}: the server cancelled what was asked ({text})")
        if is_broken or code.startswith(_OFFLINE):
            return StoreOfflineError(f"{where} cannot be reached: {text}")
        if code in _LOCKED:
            return StoreLockedError(f"{where} is locked by another session, or busy ({text})")
        if code in _FULL:
            return StoreFullError(f"{where} cannot grow: the disk of its server is full or failing ({text})")
        if code in _GONE:
            return StoreGoneError(f"{where} was removed: {text}")
        if code in _DAMAGED:
            return StoreCorruptError(f"{where} is damaged: {text}; its server's log says more")
        if code == "42501":
            return StoreError(f"{where}: {text}; docs/postgresql.md says which rights a user needs")
        if isinstance(error, psycopg.IntegrityError):
            return StoreError(f"{where}: this contradicts the log ({text})")
        return StoreError(f"{where}: {text}")

    def _scrubbed(self, text: str) -> str:
        """Return a text without what must not be shown."""
        for secret in self.url.secrets():
            text = text.replace(secret, "***")
        return text


def driver_module() -> Any:
    """Return psycopg.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise MissingExtraError(f"psycopg is not installed: pip install 'autohpo[postgres]' ({error})") from error
    return psycopg
