"""What the tests of the PostgreSQL store share: events, and sessions that are cut."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from postgres_server import Server

from autohpo.store import LogEvent, PostgresStore


def report(i: int) -> LogEvent:
    """An event."""
    return LogEvent("report", 0, 1, {"fidelity": i, "perf": 0.5}, 1.0 + i)


def numbers(store: PostgresStore) -> list[int]:
    """Which of the events of :func:`report` a store has."""
    return [event.data["fidelity"] for event in store.events()]


def kept(study: str) -> list[int]:
    """Which of the events of :func:`report` a study has, for one who only reads."""
    with closing(PostgresStore(study, read_only=True)) as store:
        return numbers(store)


def session_of(server: Server, store: PostgresStore) -> int:
    """The session of the server that a driver has."""
    found = server.sql("SELECT backend FROM autohpo.drivers WHERE study = %s", [store._study])
    return int(found[0][0])


def cut(server: Server, store: PostgresStore) -> None:
    """End the session of a driver, and wait until it is gone."""
    session = session_of(server, store)
    server.sql("SELECT pg_terminate_backend(%s, 10000)", [session])
