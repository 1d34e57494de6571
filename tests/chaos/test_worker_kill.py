"""Workers are killed with SIGKILL in the middle of a trial."""

from __future__ import annotations

from pathlib import Path

from counts import faults
from scenarios import kill_workers
from searches import Search


def test_a_killed_worker_takes_its_own_trial_with_it_and_no_other(tmp_path: Path) -> None:
    """Eight kills among four workers: eight trials CRASHED by SIGKILL, all others with their right value."""
    counts = kill_workers(Search(tmp_path, shape="marked", max_evals=40, workers=4, pause=0.04), 8)
    assert (counts["kills"], faults(counts)) == (8, {}), counts
    assert counts["detected_max_ms"] < 1000


def test_harm_to_a_neighbour_is_found(tmp_path: Path) -> None:
    """The check above can fail: here the executor ends a second worker with each that dies."""
    search = Search(tmp_path, shape="marked", max_evals=40, workers=4, pause=0.04, plant="harms")
    assert "bystanders" in faults(kill_workers(search, 5))
