"""Commands of many shells on one store, and kills at any moment.

``AUTOHPO_SHELL_KILLS`` makes it longer: 30 takes some minutes.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
from shells import Shells, clean, clients, storm

KILLS = int(os.environ.get("AUTOHPO_SHELL_KILLS", "2"))


@pytest.fixture(autouse=True)
def _longer(_time_box: None) -> None:
    """Give a longer form more time than other tests have."""
    signal.alarm(120 + 20 * KILLS)


def test_nothing_is_lost_when_drivers_and_commands_are_killed(tmp_path: Path) -> None:
    """Every trial has one result, that of its configuration; results that were seen stay; nothing is left running."""
    shells = Shells(tmp_path, n=12 + KILLS, draw=random.Random(KILLS))
    try:
        counts = storm(shells, KILLS)
    finally:
        clean(shells)
    assert counts["kills"] >= KILLS
    print(dict(counts))


def test_clients_that_are_killed_between_ask_and_tell_go_on_with_their_trial(tmp_path: Path) -> None:
    """Several ask and tell at once: every trial has one client and one result, and nobody meets a lock."""
    n_clients = 8 if KILLS > 2 else 3
    shells = Shells(tmp_path, n=4 * n_clients if KILLS > 2 else 6, draw=random.Random(KILLS))
    try:
        counts = clients(shells, n_clients, KILLS)
    finally:
        assert clean(shells) == 0
    assert counts["kills"] == KILLS
    print(dict(counts))
