"""The result of a search: best, top, tables and curves."""

from __future__ import annotations

import sys

import pytest

from autohpo.errors import MissingExtraError, NoResultError
from autohpo.result import Result
from autohpo.trial import Trial, TrialState

COMPLETE = TrialState.COMPLETE


def trial(number, perf, fidelity=None, resume=None, reports=(), state=COMPLETE):
    """A trial by the few things that matter here."""
    times = {"attempt": 1, "started": 1.0, "ended": 3.5}
    return Trial(number, {"x": number}, state, perf, fidelity, resume, reports=reports, **times)


HYPERBAND = [
    trial(0, 0.9, 1.0, reports=((1.0, 0.9),)),  # good for one epoch, never promoted
    trial(1, 0.5, 1.0, reports=((1.0, 0.5),)),
    trial(2, 0.6, 3.0, resume=1, reports=((2.0, 0.55), (3.0, 0.6))),
    trial(3, None, 3.0, state=TrialState.FAILED),
    trial(4, 0.6, 3.0),
]


def test_the_best_is_that_of_the_most_training():
    """A short training that looks good says little; of equals the first counts."""
    assert Result(HYPERBAND).best.number == 2
    assert Result(HYPERBAND, mode="min").best.number == 2


def test_top_ranks_trainings_and_names_none_twice():
    """The promoted trial stands for the one it continued."""
    assert [t.number for t in Result(HYPERBAND).top(10)] == [2, 4, 0]
    assert [t.number for t in Result(HYPERBAND).top(1)] == [2]


def test_a_perf_of_zero_and_a_first_trial_can_be_the_best():
    """Neither is false."""
    assert Result([trial(0, 0.0), trial(1, -1.0)]).best.number == 0


def test_a_result_without_a_perf_says_what_became_of_the_trials():
    """The error counts the states."""
    with pytest.raises(NoResultError, match="FAILED"):
        _ = Result([trial(0, None, state=TrialState.FAILED)]).best


def test_records_are_flat_and_one_a_trial():
    """Every parameter has a column of its own."""
    records = Result(HYPERBAND).to_records()
    assert [r["number"] for r in records] == [0, 1, 2, 3, 4]
    assert records[2]["hp.x"] == 2
    assert records[2]["state"] == "COMPLETE"
    assert records[2]["seconds"] == 2.5


def test_the_frame_has_the_records_and_the_number_as_index():
    """pandas is loaded only here."""
    frame = Result(HYPERBAND).to_pandas()
    assert list(frame.index) == [0, 1, 2, 3, 4]
    assert frame.loc[2, "perf"] == 0.6
    assert len(Result([]).to_pandas()) == 0


def test_without_pandas_the_error_names_the_extra(monkeypatch):
    """And records still work."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"autohpo\[pandas\]"):
        Result(HYPERBAND).to_pandas()


def test_a_curve_joins_the_trials_of_one_training():
    """Trial 2 continued trial 1; trial 4 reported nothing, so its result is its curve."""
    curves = Result(HYPERBAND).curves()
    assert curves == {0: [(1.0, 0.9)], 1: [(1.0, 0.5), (2.0, 0.55), (3.0, 0.6)], 3: [], 4: [(3.0, 0.6)]}


def test_counts_name_the_states_that_occur():
    """For the end of a run."""
    assert Result(HYPERBAND).counts() == {"COMPLETE": 4, "FAILED": 1}
