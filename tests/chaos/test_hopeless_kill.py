"""Hopeless trials end the same after SIGKILL as without."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from counts import faults
from scenarios import kill_driver
from searches import Search


@pytest.mark.parametrize(("algorithm", "max_evals"), [("hopeless_random", 30), ("hopeless_asha", 150)])
def test_a_search_goes_on_after_kills_as_if_nothing_had_been(tmp_path: Path, algorithm: str, max_evals: int) -> None:
    """One worker: the same trials end at the same epochs, for the same reasons, event for event."""
    search = Search(tmp_path, algorithm, "epochs", max_evals=max_evals, pause=0.005)
    counts = kill_driver(search, 3, 0.8)
    assert (counts["kills"], faults(counts)) == (3, {}), counts
    events = dataclasses.replace(search, folder=tmp_path / "reference").events()  # the run that nobody disturbed
    whys = [event.data.get("why", "") for event in events]
    whys += [why for event in events for _, why in (event.data.get("info") or {}).get("given_up", [])]
    assert sum("chance" in why for why in whys) >= 3
