"""The result of a search: best, top, tables and curves."""

from __future__ import annotations

import sys

import pytest

from autohpo.errors import MissingExtraError, NoResultError, OptionError
from autohpo.result import Result
from autohpo.trial import Outcome, Trial, TrialState

COMPLETE = TrialState.COMPLETE


def trial(number, perf, fidelity=None, resume=None, reports=(), state=COMPLETE):
    """A trial by the few things that matter here."""
    times = {"attempt": 1, "started": 1.0, "ended": 3.5}
    return Trial(
        number,
        {"x": number},
        Outcome(state, () if perf is None else (perf,)),
        fidelity=fidelity,
        resume=resume,
        reports=reports,
        **times,
    )


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


def two(number, acc, latency, memory=-1.0, **fields):
    """A trial of two objectives and a constraint."""
    outcome = Outcome(COMPLETE, (acc, latency), {"memory": memory}, {"loss": 1 - acc})
    return Trial(number, {"x": number}, outcome, **fields)


FRONT = Result(
    [two(0, 0.9, 9.0), two(1, 0.8, 4.0), two(2, 0.8, 5.0), two(3, 0.99, 1.0, memory=2.0), two(4, 0.5, 1.0)],
    {"acc": "max", "latency": "min"},
)


def test_the_front_of_a_result_has_the_users_values():
    """The best in the first objective first; what misses a constraint is not on it."""
    assert [(t.number, t.perfs) for t in FRONT.pareto] == [(0, (0.9, 9.0)), (1, (0.8, 4.0)), (4, (0.5, 1.0))]
    assert FRONT.best.number == 1
    assert (FRONT.sign, FRONT.objectives.signs) == (1, (1, -1))


def test_a_result_can_be_seen_along_one_objective():
    """By name or place; the constraints stay."""
    for objective in ("latency", 1):
        along = FRONT.along(objective)
        assert (along.mode, along.best.number, along.best.perf) == ("min", 4, 1.0)
        assert [t.perf for t in along] == [9.0, 4.0, 5.0, 1.0, 1.0]
    assert FRONT.along(0).best.number == 0
    assert [t.number for t in FRONT.along(0).top(5)] == [0, 1, 2, 4, 3]


@pytest.mark.parametrize("objective", ["loss", "", 2, -1, None, 0.5])
def test_there_is_no_way_along_what_is_no_objective(objective):
    """The error lists those there are."""
    with pytest.raises(OptionError, match=r"objective: must be one of \['acc', 'latency'\]"):
        FRONT.along(objective)


def test_records_have_columns_for_objectives_constraints_and_metrics():
    """By name where they have one, else by place."""
    record = FRONT.to_records()[0]
    assert record["perf.acc"] == record["perf"] == 0.9
    assert (record["perf.latency"], record["constraint.memory"]) == (9.0, -1.0)
    assert record["metric.loss"] == pytest.approx(0.1)
    assert Result(FRONT.trials, ["max", "min"]).to_records()[0]["perf.1"] == 9.0
    assert "perf.0" not in Result([trial(0, 1.0)]).to_records()[0]


def test_the_hypervolume_is_the_area_of_the_stairs():
    """Up to (0.4, 10), by hand: columns of .1, .3 and .1 wide, the width in acc, of heights 1, 6 and 9."""
    pytest.importorskip("moocore")
    assert FRONT.hypervolume((0.4, 10.0)) == pytest.approx(0.1 * 1 + 0.3 * 6 + 0.1 * 9)
    assert FRONT.hypervolume((0.95, 10.0)) == 0.0
    assert Result([], {"acc": "max"}).hypervolume((0.0,)) == 0.0


def test_a_reference_point_has_a_value_for_each_objective():
    """Not one more."""
    with pytest.raises(OptionError, match=r"reference: must have one value for each objective \(2\), got 3"):
        FRONT.hypervolume((0.0, 0.0, 0.0))


def test_without_moocore_the_error_names_the_extra(monkeypatch):
    """The front itself needs nothing."""
    monkeypatch.setitem(sys.modules, "moocore", None)
    with pytest.raises(MissingExtraError, match=r"autohpo\[pareto\]"):
        FRONT.hypervolume((0.0, 10.0))
    assert len(FRONT.pareto) == 3
