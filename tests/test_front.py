"""Front: kept up to date trial by trial, it is what incumbent() and pareto() say of all trials so far."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo.front import Front
from autohpo.objectives import incumbent, pareto
from autohpo.trial import Outcome, Trial, TrialState

N_TRIALS = 60


def random_trials(n_objectives: int, rng: np.random.Generator, n: int = N_TRIALS) -> list[Trial]:
    """Trials in an order of ends that is not that of their numbers; few values, so that many are equal."""
    signs = tuple(int(sign) for sign in rng.choice([-1, 1], n_objectives))
    least = rng.choice([-0.25, 0.25])  # a constraint is met where it is at most 0: by some trials, or by none
    n_values, n_fidelities, n_violations = rng.integers(2, 6), rng.integers(1, 4), rng.integers(1, 4)
    trials = []
    for number in rng.permutation(n):
        state = TrialState(rng.choice(["COMPLETE"] * 6 + ["STOPPED", "FAILED"]))
        perfs = tuple(float(value) for value in rng.integers(n_values, size=n_objectives)) if state.has_perf else ()
        violation = float(least + rng.integers(n_violations) / 4)
        given = [9.0, 3.0, None][rng.integers(n_fidelities)]
        reached = 3.0 if state is TrialState.STOPPED else None
        outcome = Outcome(state, perfs, {"c": violation}, reached=reached)
        trials.append(Trial(int(number), {}, outcome, fidelity=given, signs=signs))
    return trials


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(12))
def test_after_each_trial_the_front_is_that_of_all_trials_so_far(n_objectives: int, seed: int) -> None:
    """Best trial, front and its size; with ties, constraints, fidelities and failures, in any order of ends."""
    trials = random_trials(n_objectives, np.random.default_rng((n_objectives, seed)))
    front = Front()
    for n, trial in enumerate(trials, start=1):
        front.add(trial)
        so_far = trials[:n]
        best = incumbent(so_far)
        assert front.best is best
        wanted = pareto(so_far)
        if best is None or not best.violation:
            assert front.trials == wanted
            assert len(front) == len(wanted)
        else:
            assert front.trials == wanted == []
            assert len(front) >= 1  # who shares the least violation


def test_an_empty_front_has_no_best_trial() -> None:
    """Nor does one that has only seen failures."""
    front = Front()
    assert (front.best, front.trials, len(front)) == (None, [], 0)
    front.add(Trial(0, {}, Outcome(TrialState.FAILED)))
    assert (front.best, front.trials, len(front)) == (None, [], 0)


def test_of_equal_trials_the_one_asked_first_stays_whichever_ended_first() -> None:
    """Also with several objectives."""
    for perfs in ((0.5,), (0.5, 0.25)):
        trials = [Trial(number, {}, Outcome(TrialState.COMPLETE, perfs)) for number in (3, 1, 2)]
        front = Front()
        for trial in trials:
            front.add(trial)
        assert [trial.number for trial in front.trials] == [1]
        assert front.best is trials[1]


def test_a_large_front_is_that_of_an_independent_library() -> None:
    """moocore's, for 400 trials of three objectives, of which most are on it."""
    moocore = pytest.importorskip("moocore")
    points = np.random.default_rng(0).normal(size=(400, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    front = Front()
    for number, row in enumerate(points.tolist()):
        front.add(Trial(number, {}, Outcome(TrialState.COMPLETE, tuple(row)), signs=(1, -1, 1)))
    wanted = np.flatnonzero(moocore.is_nondominated(points, maximise=[True, False, True]))
    assert sorted(trial.number for trial in front.trials) == wanted.tolist()
