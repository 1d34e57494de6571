"""Hyperband as an optimizer: options, replays, disorder, and objectives without fidelity."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.algorithms.hyperband import Hyperband
from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.trial import TrialState

SPACE = [RangeHP("x", 0.0, 1.0)]


def signature(suggestion):
    """All of a suggestion that the algorithm decides."""
    return dict(suggestion), suggestion.fidelity, suggestion.resume, suggestion.info


def run_in_disorder(hpo, n_workers, seed=0):
    """Asks until nothing is left, with up to `n_workers` running; ends come in any order, one in six fails."""
    rng, running, asked = np.random.default_rng(seed), [], []
    while True:
        try:
            while len(running) < n_workers:
                running.append(hpo.ask())
                asked.append(running[-1])
        except NotReady:
            assert running
        except OptimizationComplete:
            if not running:
                return asked
        suggestion = running.pop(rng.integers(len(running)))
        if rng.random() < 1 / 6:
            hpo.fail(suggestion, "planned", TrialState.CRASHED)
        else:
            hpo.tell(suggestion, round(float(suggestion["x"]), 1))  # rounded, so that there are ties


def replay(hpo, asked):
    """Another optimizer with the same history, rebuilt as a store does it."""
    other = type(hpo)(hpo.space, **OPTIONS)
    trials = {trial.number: trial for trial in hpo.trials}
    for suggestion in asked:
        other.adopt(suggestion)
    for trial in hpo.trials:
        if trial.perf is None:
            other.fail(asked[trial.number], trial.error, trial.state)
        else:
            other.tell(asked[trial.number], trial.perf)
    assert len(trials) == len(other.trials)
    return other


OPTIONS = {"max_fidelity": 9.0, "num_iterations": 4, "seed": 3}


@pytest.mark.parametrize("n_workers", [1, 4, 16])
def test_all_brackets_are_run_whatever_fails(n_workers):
    """Four brackets, 9-3-1, 5-1, 3 and 9-3-1, hold 13 + 6 + 3 + 13 trials, at fidelity 1, 3 and 9."""
    asked = run_in_disorder(Hyperband(SPACE, **OPTIONS), n_workers)
    fidelities = [s.fidelity for s in asked]
    assert [fidelities.count(r) for r in (1.0, 3.0, 9.0)] == [9 + 9, 3 + 5 + 3, 1 + 1 + 3 + 1]


def test_new_configurations_follow_the_prior():
    """81 draws in [0, 1] from numpy's generator of (seed, number): nothing else decides."""
    hpo = Hyperband(SPACE, seed=5)
    drawn = [hpo.ask()["x"] for _ in range(81)]
    assert drawn == [np.random.default_rng((5, n)).random() for n in range(81)]


def test_an_adopted_history_gives_the_same_next_suggestion():
    """After every suggestion of a run with five workers; pickling changes nothing either."""
    hpo, rng, running, asked = Hyperband(SPACE, **OPTIONS), np.random.default_rng(1), [], []
    for n in range(30):
        other, copy = replay(hpo, asked), pickle.loads(pickle.dumps(hpo))
        running.append(hpo.ask())
        asked.append(running[-1])
        assert signature(other.ask()) == signature(asked[-1])
        assert signature(copy.ask()) == signature(asked[-1])
        assert other.resumable == hpo.resumable
        while len(running) == 5:
            suggestion = running.pop(rng.integers(5))
            hpo.fail(suggestion, "planned") if n % 7 == 3 else hpo.tell(suggestion, suggestion["x"])


def test_resumable_are_the_trials_that_may_be_promoted():
    """After seven of nine results the three best may go on; the runner may let go of the others."""
    hpo = Hyperband(SPACE, max_fidelity=9.0, seed=0)
    assert hpo.resumable == frozenset()
    asked = [hpo.ask() for _ in range(9)]
    for suggestion in asked[:7]:
        hpo.tell(suggestion, suggestion["x"])
    assert hpo.resumable == {s.number for s in sorted(asked[:7], key=lambda s: -s["x"])[:3]}


def test_without_fidelity_it_warns_once_and_evaluates_in_full():
    """No brackets: each trial is a full one, and the second suggestion warns no more."""
    hpo = Hyperband(SPACE, seed=0)
    hpo.has_fidelity = False
    with pytest.warns(UserWarning, match="takes no fidelity") as caught:
        first = hpo.ask()
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rest = [hpo.ask() for _ in range(20)]
    assert all(s.fidelity is None and s.resume is None for s in [first, *rest])


@pytest.mark.filterwarnings("ignore:Hyperband")
def test_without_fidelity_it_ends_after_what_the_brackets_would_have_cost():
    """One round of 1..9 costs 3 + 2.67 + 3 = 8.67 full evaluations, so there are 8."""
    hpo = Hyperband(SPACE, max_fidelity=9.0, num_iterations=3, seed=0)
    hpo.has_fidelity = False
    for _ in range(8):
        hpo.tell(hpo.ask(), 0.0)
    with pytest.raises(OptimizationComplete, match="what the schedule costs went into 8 full evaluations"):
        hpo.ask()


def test_it_is_finite_where_brackets_or_configurations_are():
    """The runner asks for a limit of its own where neither is."""
    assert not Hyperband(SPACE).is_finite
    assert Hyperband([RangeHP("n", 1, 9)]).is_finite
    assert Hyperband(SPACE, num_iterations=1).is_finite


def test_the_schedule_can_be_read_before_the_search():
    """The object is a table when printed, and holds the numbers."""
    schedule = Hyperband(SPACE).fidelity_schedule()
    assert [plan.sizes[0] for plan in schedule.brackets] == [81, 34, 15, 8, 5]
    assert str(schedule).splitlines()[-1].split()[-2:] == ["23.48", "19.52"]


def test_the_names_of_other_systems_mean_the_same_options():
    """min_budget and max_budget are HpBandSter's; one fidelity cannot be given twice."""
    hpo = build_hpo_from_name("hyperband", SPACE, min_budget=2, max_budget=8, eta=2, n_iterations=1)
    assert (hpo.min_fidelity, hpo.max_fidelity, hpo.num_iterations) == (2, 8, 1)
    with pytest.raises(OptionError, match="min_budget: means min_fidelity"):
        build_hpo_from_name("hyperband", SPACE, min_budget=2, min_fidelity=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eta": 1}, "eta: must be at least 2, got 1"),
        ({"min_fidelity": -1.0}, "min_fidelity: must be positive and finite, got -1.0"),
        ({"min_fidelity": 100.0}, "max_fidelity: must be finite and at least min_fidelity, 100.0, got 81.0"),
        ({"num_iterations": 0}, "num_iterations: must be at least 1, got 0"),
        ({"num_iterations": 1.5}, "num_iterations: must be int or None, got 1.5"),
        ({"bracket_sizes": "round"}, "bracket_sizes: must be 'ceil' or 'floor', got 'round'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    """The text names argument, rule and value."""
    with pytest.raises(OptionError) as caught:
        Hyperband(SPACE, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("n_workers", [1, 2, 4, 8])
def test_a_budget_of_one_bracket_reaches_full_fidelity_with_any_number_of_workers(n_workers):
    """27-9-3-1 takes 40 suggestions: no other bracket may take what its promotions need."""
    hpo = Hyperband([RangeHP("x", 0.0, 1.0)], min_fidelity=1, max_fidelity=27, max_evals=40, seed=0)
    running = []
    while hpo.n_told < 40:
        try:
            while len(running) < n_workers:
                running.append(hpo.ask())
        except (NotReady, OptimizationComplete):
            pass
        done = running.pop(0)
        hpo.tell(done, done["x"])
    assert max(trial.fidelity for trial in hpo.trials) == 27


def test_the_result_says_why_each_trial_went_on_or_did_not():
    """Rivals are those of the same bracket: five start at 3 in the second one, three come to 3 in the first."""

    def f(hps, fidelity):
        return hps["x"]

    hpo = build_hpo_from_name("hyperband", SPACE, f, max_fidelity=9.0, num_iterations=2, seed=0)
    hpo.optimize(progress=False)
    result, trials = hpo.result, list(hpo.result)
    first = sorted(trials[:9], key=lambda trial: -trial.perf)
    for rank, trial in enumerate(first, 1):
        wanted = f"rank {rank} of 9 at fidelity 1: it was not promoted"
        if rank <= 3:
            wanted = f"rank {rank} of 9 in its bracket at fidelity 1: promoted to 3; went on as trial {8 + rank}"
        assert result.why(trial.number) == wanted
    second = sorted((t for t in trials if t.info["bracket"] == 1 and t.fidelity == 3.0), key=lambda t: -t.perf)
    assert [result.why(t.number) for t in second[1:]] == [
        f"rank {rank} of 5 at fidelity 3: it was not promoted" for rank in (2, 3, 4, 5)
    ]
    assert result.why(result.best.number) == "rank 1 of 1 at fidelity 9: it had everything"
