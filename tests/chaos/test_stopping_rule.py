"""A stopping rule of twenty lines: serially, with four workers, and after SIGKILL."""

from __future__ import annotations

from pathlib import Path

import pytest
from counts import faults
from scenarios import kill_driver
from searches import Search

KIND = ("median_rule", "epochs")


@pytest.mark.parametrize("workers", [1, 4])
def test_a_rule_ends_the_trials_that_it_should_end_and_no_others(tmp_path: Path, workers: int) -> None:
    """Each as the rule says, applied to the log by hand; a STOPPED trial has what it reported last."""
    search = Search(tmp_path, *KIND, max_evals=24, workers=workers, pause=0.01)
    search.finish()
    counts = search.check()
    assert faults(counts) == {}, counts
    assert counts["stopped"] >= 4  # half of the trials are below the median, but few are judged so early
    assert counts["stopped"] > counts["missed"]
    assert counts["missed"] == 0 or workers > 1


def test_a_search_with_a_rule_goes_on_after_kills_as_if_nothing_had_been(tmp_path: Path) -> None:
    """One worker: the same trials are stopped at the same epochs, event for event."""
    counts = kill_driver(Search(tmp_path, *KIND, max_evals=20, pause=0.01), 3, 0.6)
    assert (counts["kills"], faults(counts)) == (3, {}), counts
    assert counts["stopped"] >= 4


def test_a_rule_holds_with_four_workers_through_kills(tmp_path: Path) -> None:
    """Reports of lost attempts are not held against a trial, nor for it."""
    counts = kill_driver(Search(tmp_path, *KIND, max_evals=24, workers=4, pause=0.01), 2, 1.2)
    assert (counts["kills"], faults(counts)) == (2, {}), counts
    assert counts["stopped"] > counts["missed"]


def test_a_rule_that_nobody_listens_to_is_found(tmp_path: Path) -> None:
    """The checks above can fail."""
    search = Search(tmp_path, *KIND, max_evals=24, pause=0.0, plant="unruled")
    search.finish()
    assert set(faults(search.check())) == {"unruly"}
