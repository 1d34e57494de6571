"""The cost limit: what all trials of a search may cost together, in whichever unit."""

from __future__ import annotations

import threading

import pytest

from autohpo import RangeHP, SearchSpace, build_hpo_from_name
from autohpo.cost_limit import CostLimit
from autohpo.errors import NoResultError, OptionError
from autohpo.objectives import Objectives
from autohpo.progress import CostStanding, Standing
from autohpo.result import Result
from autohpo.search import Search
from autohpo.store import RunState
from autohpo.store.base import LogEvent
from autohpo.store.costs import Costs
from autohpo.testing import EVERY_FAULT, FakeEngine
from autohpo.trial import Outcome, TrialState

SPACE = [RangeHP("x", 0.0, 1.0)]
ASK = {"hp": {"x": 0.5}, "fidelity": None, "resume": None, "pid": 0, "seed": 1, "info": {}}


def costly(hps):
    """Costs 2.5 of a unit of its own."""
    return {"perf": hps["x"], "cost": 2.5}


def search(f=costly, **options):
    """A random search, run without limits of its own; what it printed does not matter."""
    hpo = build_hpo_from_name("random", SPACE, f, seed=0)
    hpo.optimize(progress=False, **options)
    return hpo


def state_of(*events):
    """What a log says: tuples of kind, trial, attempt, time, and data but for those of asks and starts."""
    state = RunState(SearchSpace(SPACE), Objectives.of("max"))
    usual = {"ask": ASK, "start": {"slot": 0}}
    for kind, trial, attempt, at, *data in events:
        state.apply(LogEvent(kind, trial, attempt, data[0] if data else usual[kind], at))
    return state


@pytest.mark.parametrize(
    "options", [{}, {"num_workers": 3}, {"executor": FakeEngine(1, 3)}], ids=("serial", "local", "engine")
)
def test_the_limit_holds_exactly_where_all_cost_the_same(options):
    """Ten trials of 2.5 are 25, in this process, in three workers, and in an engine: an eleventh does not start."""
    result = search(cost_limit=25, **options).result
    assert (len(result), sum(trial.cost for trial in result)) == (10, 25.0)


def test_an_engine_with_every_fault_spends_no_more_than_it_may():
    """Lost attempts count as the others: 20 attempts of 2.5, whichever trials they were of, and no more ends."""
    result = search(cost_limit=50, executor=FakeEngine(2, 4, EVERY_FAULT)).result
    assert 0 < sum(trial.cost or 0.0 for trial in result) <= 50


def test_a_limit_in_seconds_ends_the_search():
    """The last trial is the one that passes it."""
    hpo = build_hpo_from_name("random", SPACE, lambda hps: threading.Event().wait(0.05) or 1.0, seed=0)
    hpo.optimize(cost_limit=0.3, progress=False)
    costs = [trial.cost for trial in hpo.result]
    assert sum(costs) >= 0.3 > sum(costs[:-1])


def test_what_runs_counts_as_much_as_the_others_on_average():
    """In a unit of its own; in seconds at least what it has used."""
    start = [("ask", 0, 0, 100.0), ("start", 0, 1, 100.0)]
    end = {"state": "COMPLETE", "perf": 1.0, "cost": 10.0, "own_cost": True}
    state = state_of(*start, ("end", 0, 1, 100.0, end), ("ask", 1, 0, 100.0), ("start", 1, 1, 100.0))
    assert not CostLimit(20.5, state).is_reached([1])
    assert CostLimit(20, state).is_reached([1])
    assert not CostLimit(20, state).is_reached([])
    seconds = state_of(*start, ("end", 0, 1, 110.0, {**end, "own_cost": False}), ("ask", 1, 0, 0.0), ("start", 1, 1, 1))
    assert CostLimit(1e6, seconds).is_reached([1])  # it runs since 1970
    assert not CostLimit(None, seconds).is_reached([1])


def test_an_attempt_that_says_no_cost_counts_its_seconds_or_the_average():
    """One that timed out after 30 s: 30 where the unit is seconds, the average of the others where it is not."""
    killed = [("ask", 0, 0, 100.0), ("start", 0, 1, 100.0), ("end", 0, 1, 130.0, {"state": "TIMEOUT", "perf": None})]
    state = state_of(*killed)
    assert (state.costs.spent, state.costs.is_in_seconds) == (30.0, True)
    for number, cost in ((1, 2.0), (2, 4.0)):
        state.apply(LogEvent("ask", number, 0, ASK, 130.0))
        end = {"state": "COMPLETE", "perf": 1.0, "cost": cost, "own_cost": True}
        state.apply(LogEvent("end", number, 0, end, 131.0))
    assert (state.costs.spent, state.costs.mean, state.costs.is_in_seconds) == (9.0, 3.0, False)


def test_attempts_that_are_run_again_count_each_time():
    """Two that were interrupted after 5 s and 7 s, and the third that ended after 2."""
    state = state_of(
        ("ask", 0, 0, 0.0),
        ("start", 0, 1, 10.0),
        ("interrupt", 0, 1, 15.0, {"state": "CANCELLED", "error": ""}),
        ("start", 0, 2, 20.0),
        ("interrupt", 0, 2, 90.0, {"state": "LOST", "error": "", "cost": 7.0}),
        ("start", 0, 3, 100.0),
        ("end", 0, 3, 120.0, {"state": "COMPLETE", "perf": 1.0, "cost": 2.0}),
    )
    assert state.costs.spent == 14.0
    assert state.costs.n_other == 3


def test_known_results_and_a_clock_that_goes_back_cost_nothing():
    """Points whose results are known were paid for by somebody else."""
    hpo = build_hpo_from_name("random", SPACE, costly, seed=0, points=[({"x": 0.5}, 1.0)] * 3)
    hpo.optimize(cost_limit=5, progress=False)
    assert len(hpo.result) == 5
    assert state_of(
        ("ask", 0, 0, 5.0), ("start", 0, 1, 9.0), ("end", 0, 1, 3.0, {"state": "TIMEOUT", "perf": None})
    ).costs == Costs(0, 0.0, 1, 0.0)


def test_a_resumed_search_counts_what_was_spent_before(tmp_path, capsys):
    """25 are spent: the same limit starts nothing, and one of 40 six trials more."""
    store = tmp_path / "run.db"
    search(cost_limit=25, store=store)
    assert len(search(cost_limit=25, store=store).result) == 10
    hpo = build_hpo_from_name("random", SPACE, costly, seed=0)
    hpo.optimize(cost_limit=40, store=store, progress="plain")
    assert len(hpo.result) == 16
    assert "16 trials | cost 40 of 40 | " in (said := capsys.readouterr().err)
    assert "autohpo: ended early: the search reached its cost limit of 40\n" in said
    assert Result.load(store).trials[-1].cost == 2.5


def test_a_trial_that_waits_to_be_run_again_does_not_start_beyond_the_limit(tmp_path):
    """The driver before was killed while it ran trial 1; what it used up to the last event counts, in seconds."""
    store = tmp_path / "run.db"
    with Search(build_hpo_from_name("random", SPACE, costly, seed=0), store) as before:
        first, second = before.ask(), before.ask()
        before.start(first.number, 0)
        before.note_end(first.number, 1, Outcome(TrialState.COMPLETE, (1.0,), cost=100.0))
        before.start(second.number, 0)
    hpo = search(cost_limit=100, store=store)
    assert [trial.state.value for trial in hpo.result] == ["COMPLETE", "LOST"]
    with pytest.raises(NoResultError, match="ended before its first trial|no trial of"):
        _nothing(tmp_path / "other.db")


def _nothing(store):
    """A search whose only trial was lost after it had cost all."""
    with Search(build_hpo_from_name("random", SPACE, costly, seed=0), store) as before:
        before.start(before.ask().number, 0)
        before.interrupt(0, 1, TrialState.LOST, "its host died", cost=100.0)
    search(cost_limit=100, store=store)


def test_confirming_has_its_share_set_aside():
    """Of 100, k=2 configurations with 3 seeds will take 15 or more: the search itself spends no more than the rest."""

    def f(hps, seed):
        return {"perf": hps["x"] + seed % 7 / 100, "cost": 2.5}

    hpo = search(f, cost_limit=100, confirm={"k": 2, "seeds": 3})
    assert (len(hpo.result), len(hpo.result.repeats)) == (34, 6)  # (34 + 6) * 2.5 == 100


def test_the_limit_of_the_algorithm_comes_first(capsys):
    """What ends by itself does not end early."""
    hpo = build_hpo_from_name("random", SPACE, costly, seed=0, max_evals=4)
    hpo.optimize(cost_limit=10, progress="plain")
    assert len(hpo.result) == 4
    assert "ended early" not in capsys.readouterr().err


def test_the_progress_shows_what_is_spent_and_when_it_ends():
    """30 of 100 in 3 s: another 7 s; 20 of them were spent before: 28 s."""
    standing = Standing(3, 0, 1, 0.5, None, 3.0, None, cost=CostStanding(30.0, 100.0, unit=" s"))
    assert " | cost 30 of 100 s | " in str(standing)
    assert standing.left_seconds == pytest.approx(7.0)
    earlier = Standing(3, 0, 1, 0.5, None, 4.0, None, cost=CostStanding(30.0, 100.0, 20.0))
    assert earlier.left_seconds == pytest.approx(28.0)


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan"), True, "much", [3]], ids=str)
def test_a_limit_is_a_positive_number(wrong):
    """What could never be reached, or is reached at once, is a mistake."""
    with pytest.raises(OptionError, match="cost_limit: must be a positive, finite number, got"):
        search(cost_limit=wrong)
