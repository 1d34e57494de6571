"""The driver is killed with SIGKILL, at random moments and at chosen ones; the same command goes on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from counts import faults
from oracles import trials_of
from program import training_of
from scenarios import fail_at, kill_driver
from searches import HANG_SECONDS, Search

from autohpo import TrialState, available_hpos

OTHERS = [
    *sorted({name for name in available_hpos() if ":" not in name} - {"random"}),
    "asha_stopping",
    "median_bayes",
    "pasha_tpe",
    "halving_kde",
]


@pytest.mark.parametrize("algorithm", OTHERS)
def test_every_algorithm_goes_on_as_if_nothing_had_been(tmp_path: Path, algorithm: str) -> None:
    """Also where a kill ends paused trainings: they are trained again, and their known reports not logged twice."""
    counts = kill_driver(Search(tmp_path, algorithm, training_of(algorithm), pause=0.01), 1)
    assert (counts["kills"], faults(counts)) == (1, {}), counts


@pytest.mark.parametrize("algorithm", ["asha", "median_bayes", "pasha_tpe", "halving_kde"])
def test_a_scheduler_with_four_workers_loses_nothing(tmp_path: Path, algorithm: str) -> None:
    """Paused trainings end with their workers, and are trained again to where they were."""
    counts = kill_driver(Search(tmp_path, algorithm, "epochs", max_evals=30, workers=4, pause=0.01), 1)
    assert (counts["kills"], faults(counts)) == (1, {}), counts


def test_a_trial_that_ended_its_driver_twice_is_tried_a_last_time_in_a_worker(tmp_path: Path) -> None:
    """It is CRASHED there, and the search goes on; else the same command would die for ever."""
    search = Search(tmp_path, "random", "deadly", max_evals=8, max_lost=2)
    codes = [search.start().wait(HANG_SECONDS) for _ in range(4)]
    assert codes == [-signal.SIGKILL] * 2 + [0] * 2
    trials = trials_of(search.events())
    assert [t.state for t in trials] == [TrialState.COMPLETE] * 3 + [TrialState.CRASHED] + [TrialState.COMPLETE] * 4
    assert trials[3].attempt == 3
    assert "its process was killed by SIGKILL" in trials[3].error
    assert faults(search.check()) == {}


def test_a_point_that_is_never_reached_is_found(tmp_path: Path) -> None:
    """A kill that did not happen proves nothing."""
    counts = fail_at(Search(tmp_path, max_evals=5, pause=0.0), ["before_report"], [1])
    assert faults(counts) == {"unreached": 1}
