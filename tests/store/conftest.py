"""What the tests of this room share: events to keep, a store of each kind, and a second process."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autohpo.store import LogEvent, MemoryStore, PostgresStore, SQLiteStore, Store

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from postgres_server import Server, why_not

_studies = itertools.count()

ROOT = Path(__file__).parents[2]
HEADER = {"algorithm": "random", "options": {"seed": 3, "mode": "max"}, "space": [{"name": "lr", "low": 0.1}]}


def make_trial(number: int, perf: float = 0.5) -> list[LogEvent]:
    """The events of a trial that was asked, started, reported once and ended."""
    hp = {"lr": 0.1 + 0.2, "act": number % 3, "note": "späť 🙂 \ud800"}  # 0.30000000000000004; a lone surrogate
    ask = {"hp": hp, "fidelity": None, "resume": None, "pid": 0, "seed": number, "info": {"rung": 1}}
    end = {"state": "COMPLETE", "perf": perf, "fidelity": 1.0, "error": ""}
    return [
        LogEvent("ask", number, 0, ask, 1000.5),
        LogEvent("start", number, 1, {"slot": 0}, 1000.625),
        LogEvent("report", number, 1, {"fidelity": 1.0, "perf": perf}, 1000.75),
        LogEvent("end", number, 1, end, 1001.0),
    ]


@pytest.fixture
def trial_events() -> Callable[..., list[LogEvent]]:
    """:func:`make_trial`."""
    return make_trial


@pytest.fixture
def header() -> dict[str, object]:
    """A header of some run."""
    return dict(HEADER)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server that all tests share; they are skipped where there can be none."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    made = Server()
    yield made
    made.close()


@pytest.fixture
def study(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new study; the folder of its files is made in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    return server.url(f"study-{next(_studies)}")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An open store of each kind."""
    store: Store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "run.db")
    if request.param == "postgres":
        store = PostgresStore(request.getfixturevalue("study"))
    store.open()
    yield store
    store.close()


@pytest.fixture
def python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts code in another process: ``python("print(1)", argument)``; it is killed when the test ends."""
    running: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        command = [sys.executable, "-c", code, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
