"""Ctrl-C and SIGTERM: the search ends in order, and the same command goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from counts import faults
from scenarios import send_signals
from searches import Search

from autohpo import RangeHP, Suggestion, build_hpo_from_name
from autohpo.algorithms.random import RandomSearch

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


# Signals that come while the driver's own code runs, in the process of the test: the moment is then certain.


def interrupt_myself() -> None:
    """Ctrl-C, here and now."""
    os.kill(os.getpid(), INT)


class InterruptedAsking(RandomSearch):
    """Is interrupted while it makes its third suggestion."""

    def _get_suggestion(self, pid: int) -> Any:
        if self.number == 2:
            interrupt_myself()
        return super()._get_suggestion(pid)


class InterruptedReporting(RandomSearch):
    """Is interrupted while it takes a report."""

    def _on_report(self, hp: Suggestion, fidelity: float, perf: float) -> bool:
        interrupt_myself()
        return True


def test_a_signal_between_two_trials_lets_no_other_one_begin() -> None:
    """The driver was busy with a suggestion: that trial waits for the next time."""
    begun = []

    def f(hps: dict[str, Any], trial: Any) -> float:
        begun.append(trial.number)
        return 1.0

    hpo = InterruptedAsking([RangeHP("x", 0.0, 1.0)], f, max_evals=5, seed=0)
    with pytest.raises(KeyboardInterrupt):
        hpo.optimize(progress=False)
    assert begun == [0, 1]
    assert hpo.result is not None
    assert hpo.result.counts() == {"COMPLETE": 2, "CANCELLED": 1}


def test_a_signal_during_a_report_ends_an_objective_that_never_reports_again() -> None:
    """Without waiting for it."""

    def f(hps: dict[str, Any], trial: Any) -> float:
        trial.report(1.0)
        time.sleep(60)
        return 1.0

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        InterruptedReporting([RangeHP("x", 0.0, 1.0)], f, max_evals=5, seed=0).optimize(progress=False)
    assert time.monotonic() - began < 10


def test_a_second_signal_ends_a_paused_training_that_does_not_end_by_itself() -> None:
    """The first trial hangs when it is closed, the second one until it is interrupted; the log is saved."""

    def f(hps: dict[str, Any], trial: Any) -> Any:
        hangs_at_its_end = trial.number == 0
        try:
            if trial.number:
                time.sleep(60)
            yield 1.0
        finally:
            if hangs_at_its_end:
                time.sleep(60)

    hpo = build_hpo_from_name("hyperband", [RangeHP("x", 0.0, 1.0)], f, max_evals=5, seed=0, max_fidelity=9)
    timers = [threading.Timer(seconds, interrupt_myself) for seconds in (0.5, 1.0)]
    began = time.monotonic()
    for timer in timers:
        timer.start()
    with pytest.raises(KeyboardInterrupt):
        hpo.optimize(progress=False)
    assert 1.0 <= time.monotonic() - began < 10
    assert hpo.result is not None
    assert hpo.result.counts() == {"COMPLETE": 1, "CANCELLED": 1}
