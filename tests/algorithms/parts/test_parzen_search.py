"""The search of tpe: how several objectives and broken constraints rank trials, and what it makes of the ranks."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.algorithms.parts.parzen_search import Ranking
from autohpo.algorithms.tpe import TPE
from autohpo.surrogates import pareto
from autohpo.trial import Outcome, Trial, TrialState

SPACE = [RangeHP(name, 0.0, 1.0) for name in "xyz"]
BOTH_MIN = {"near": "min", "far": "min"}


def two_objectives(hp):
    """A front along x where y and z are .5; everything else is dominated."""
    off = (hp["y"] - 0.5) ** 2 + (hp["z"] - 0.5) ** 2
    return {"near": hp["x"] + off, "far": (1 - hp["x"]) ** 2 + off}


def run(hpo, n, f=two_objectives):
    """Asks and tells n times."""
    for _ in range(n):
        suggestion = hpo.ask()
        hpo.tell(suggestion, f(suggestion))


def ended(number, perfs, violation=0.0):
    """A finished trial."""
    constraints = {"room": violation}
    return Trial(number, {}, Outcome(TrialState.COMPLETE, perfs, constraints=constraints))


def ranking(trials, most=100):
    """The ranking after trials were told in this order."""
    found = Ranking(most)
    for trial in trials:
        found.add(trial)
    return found


def missing(hpo):
    """What the results leave uncovered of the volume between the front and (1.5, 1.5): 1.5^2 - 1/3, by integration."""
    return 1.5**2 - 1 / 3 - pareto.hypervolume(np.array([trial.scores for trial in hpo.trials]), np.full(2, -1.5))


def test_front_by_front_and_in_a_front_by_volume():
    """The staircase's ends and middle, worked out by hand; then the second front; then what breaks the constraint.

    Front 0 in units of its ranges, from the corner (-.1, -.1): (0, 1), (.5, .6), (.9, .5), (1, 0). Boxes: .11, .42, .6,
    .11; the largest is number 2. Beside it the others add .1 .5 = .05, .6 .1 = .06, .1 .1 = .01: number 1 is next.
    """
    values = {0: (0.0, 1.0), 1: (0.5, 0.6), 2: (0.9, 0.5), 3: (1.0, 0.0), 4: (0.2, 0.3), 5: (0.1, 0.1)}
    trials = [ended(number, value) for number, value in values.items()]
    trials += [ended(6, (9.0, 9.0), 2.0), ended(7, (0.0, 0.0), 1.0)]
    expected = [2, 1, 0, 3, 4, 5, 7, 6]
    for n in range(1, 9):
        assert ranking(trials).first(n) == expected[:n]


def test_the_order_of_results_changes_no_rank():
    """Ties and doubles included."""
    rng = np.random.default_rng(0)
    trials = [ended(i, tuple(np.round(rng.random(2), 1).tolist()), float(i % 5 == 4)) for i in range(60)]
    shuffled = [trials[i] for i in rng.permutation(60)]
    for n in (1, 7, 30, 60):
        assert ranking(trials).first(n) == ranking(shuffled).first(n)


@pytest.mark.parametrize("most", [1, 3, 12])
def test_what_can_never_be_among_the_first_may_be_forgotten(most):
    """Keeping only those that fewer than `most` dominate gives the same first `most`, and keeps few of 300.

    So does the answer that is kept from one result to the next.
    """
    rng = np.random.default_rng(most)
    trials = [ended(i, tuple(np.round(rng.random(3), 1).tolist()), float(i % 50 == 9)) for i in range(300)]
    forgetful, whole = Ranking(most), Ranking(1000)
    for told, trial in enumerate(trials):
        forgetful.add(trial)
        whole.add(trial)
        if told % 10 == 9:
            forgetful.first(most)
        assert told % 10 or forgetful.first(most) == whole.first(most)
    for n in range(1, most + 1):
        assert forgetful.first(n) == whole.first(n)
    assert len(forgetful._numbers) < 150 < len(whole._numbers)


def test_trials_without_a_result_have_no_rank():
    """They count for nothing."""
    found = ranking([Trial(0, {}, Outcome(TrialState.FAILED)), ended(1, (1.0, 1.0))])
    assert len(found) == 1
    assert found.first(5) == [1]


def test_where_nothing_keeps_the_constraint_the_least_broken_comes_first():
    """Whatever the objectives say."""
    found = ranking([ended(0, (9.0, 9.0), 3.0), ended(1, (0.0, 0.0), 1.0), ended(2, (5.0, 5.0), 2.0)])
    assert found.first(2) == [1, 2]


def test_it_covers_more_than_random_search():
    """60 evaluations, 6 seeds: the mean volume missing is at most half of random's."""
    gaps = {}
    for name in ("tpe", "random"):
        hpos = [build_hpo_from_name(name, SPACE, mode=BOTH_MIN, seed=seed) for seed in range(6)]
        for hpo in hpos:
            run(hpo, 60)
        gaps[name] = np.mean([missing(hpo) for hpo in hpos])
    assert 0 < gaps["tpe"] < gaps["random"] / 2


def test_a_constraint_on_results_holds_in_most_of_the_later_trials():
    """A third of the front is allowed."""
    hpo = TPE(SPACE, mode=BOTH_MIN, seed=0)
    for _ in range(60):
        suggestion = hpo.ask()
        hpo.tell(suggestion, two_objectives(suggestion), constraints={"room": suggestion["x"] - 0.3})
    assert np.mean([trial.violation == 0 for trial in hpo.trials[30:]]) > 0.6
