"""Lets the tests of this room import its modules, and ends a test that hangs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if not sys.platform.startswith("linux"):
    collect_ignore_glob = ["*.py"]  # what runs is found in /proc

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from searches import kill_all

LIMIT_SECONDS = 120


@pytest.fixture(autouse=True)
def _time_box() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TimeoutError("the test hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LIMIT_SECONDS)
    yield
    signal.alarm(0)
    kill_all(f"{os.getpid()}-")  # what a test left that failed
    signal.signal(signal.SIGALRM, before)
