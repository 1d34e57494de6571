"""SIGKILL while the best are trained anew: the same command goes on, and the answer is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from counts import faults
from scenarios import fail_at, kill_driver
from searches import Search

from autohpo import Result

POINTS = ["inside_commit", "after_submit", "before_tell"]


def test_confirming_killed_at_any_point_goes_on_event_for_event(tmp_path: Path) -> None:
    """Four trials and 12 trainings that confirm; each point is reached for the ninth time among the latter."""
    search = Search(tmp_path, "random", "epochs", max_evals=4, pause=0.0, confirm=3)
    counts = fail_at(search, POINTS, times=(9,))
    assert (counts["unreached"], counts["different"], faults(counts)) == (0, 0, {}), counts
    results = [Result.load(path) for path in sorted(tmp_path.glob("*/run.db"))]
    assert len(results) == len(POINTS) + 1
    assert len({tuple(one.perfs for one in result.confirmed) for result in results}) == 1
    assert all(len(result) == 4 and len(result.repeats) == 12 for result in results)


@pytest.mark.parametrize("algorithm", ["random", "bohb"])
def test_a_search_that_confirms_goes_on_after_kills_as_if_nothing_had_been(tmp_path: Path, algorithm: str) -> None:
    """One worker, killed at random moments: the same log."""
    search = Search(tmp_path, algorithm, "epochs", max_evals=8, pause=0.01, confirm=2)
    counts = kill_driver(search, 2, 1.6)
    assert (counts["kills"], counts["different"], faults(counts)) == (2, 0, {}), counts


def test_confirming_with_four_workers_holds_through_kills(tmp_path: Path) -> None:
    """Each training once, whatever the order."""
    search = Search(tmp_path, "random", "epochs", max_evals=6, workers=4, pause=0.02, confirm=3)
    counts = kill_driver(search, 1, 2.0)
    assert (counts["kills"], faults(counts)) == (1, {}), counts
    for path in tmp_path.glob("round-*/run.db"):
        result = Result.load(path)
        assert len(result.confirmed) == 3
        assert all(len(one.perfs) == 4 for one in result.confirmed)
        assert len(result.repeats) == 12
