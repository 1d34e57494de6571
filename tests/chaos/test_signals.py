"""Ctrl-C and SIGTERM: the search ends in order, and the same command goes on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from scenarios import Search, faults, send_signals

INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_ends_a_search_in_its_own_process_at_once(tmp_path: Path, number: int) -> None:
    """In the middle of a trial without end, which is marked as cancelled and run again; the log is that of one run."""
    counts = send_signals(Search(tmp_path, "random", "held", max_evals=12), [number], most_seconds=2.0)
    assert faults(counts) == {}, counts
    assert counts["interrupted"] == 1


def test_a_signal_that_ends_paused_trainings_changes_no_result(tmp_path: Path) -> None:
    """They are trained again up to where they were, and on from there."""
    search = Search(tmp_path, "hyperband", "epochs", max_evals=14, pause=0.02)
    counts = send_signals(search, [INT], most_seconds=2.0)
    assert faults(counts) == {}, counts


def test_a_signal_lets_running_trials_of_workers_end(tmp_path: Path) -> None:
    """They end within the grace period, so none is cancelled."""
    counts = send_signals(Search(tmp_path, max_evals=10, workers=2, pause=0.2), [INT], most_seconds=3.0)
    assert faults(counts) == {}, counts
    assert counts["interrupted"] == 0


def test_a_second_ctrl_c_ends_the_workers_now(tmp_path: Path) -> None:
    """Trials of ten minutes, and their children, are gone within a second or so; they run again later."""
    search = Search(tmp_path, shape="stubborn", max_evals=4, workers=2, pause=600.0)
    counts = send_signals(search, [INT, INT], most_seconds=2.0)
    assert faults(counts) == {}, counts
    assert counts["interrupted"] == 2


def test_a_driver_that_saves_nothing_when_it_is_told_to_end_is_found(tmp_path: Path) -> None:
    """The checks above can fail."""
    counts = send_signals(Search(tmp_path, max_evals=12, pause=0.1, plant="deaf"), [INT], most_seconds=2.0)
    assert "running" in faults(counts)
