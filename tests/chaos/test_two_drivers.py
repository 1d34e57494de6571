"""A second driver on the same run."""

from __future__ import annotations

from pathlib import Path

from counts import faults
from scenarios import start_twice
from searches import Search


def test_a_second_driver_is_refused_and_the_first_one_does_not_notice(tmp_path: Path) -> None:
    """The second one says which process has the run."""
    counts = start_twice(Search(tmp_path, max_evals=10, pause=0.01))
    assert faults(counts) == {}, counts


def test_a_lock_that_lets_everybody_in_is_found(tmp_path: Path) -> None:
    """The check above can fail."""
    assert "admitted" in faults(start_twice(Search(tmp_path, max_evals=10, pause=0.01, plant="unlocked")))
