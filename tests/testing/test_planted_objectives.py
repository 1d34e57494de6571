"""Every check of several objectives goes red on a fault planted for it, and stays green where there is none."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from autohpo import BaseHPOptimizer
from autohpo.testing import OPTIMIZER_CHECKS, Case
from autohpo.testing.checks import run_checks
from autohpo.testing.objectives import usual

CHECKS = {check.name: check for check in OPTIMIZER_CHECKS if check.run.__module__ == usual.__module__}


class Sound(BaseHPOptimizer):
    """Random search, which breaks no rule."""

    supports: ClassVar[frozenset[str]] = frozenset({"objectives", "outcome_constraints"})

    def _get_suggestion(self, pid):
        return self.space.sample(self.rng, 1)[0]


class OutsideTheSpace(Sound):
    """Forgets its bounds once there are results of three objectives."""

    def _get_suggestion(self, pid):
        hp = super()._get_suggestion(pid)
        return {**hp, "hops": 9} if self.objectives.n == 3 and self.trials else hp


class NamesTheWorst(Sound):
    """Its best is dominated."""

    def _best_hp(self):
        worst = min(self.trials, key=lambda trial: sum(trial.perfs))
        return dict(worst.hp), worst.perfs


class CountsItsAsks(Sound):
    """Counts in memory what it was told while running, so that a replay from a store counts otherwise."""

    def _set_up(self, num_workers, time_limit, memory_limit):
        self.n_asked_here = 0

    def _get_suggestion(self, pid):
        self.n_asked_here += 1
        return self.space.sample(np.random.default_rng((self.seed, self.number, self.n_asked_here)), 1)[0]


class TurnsTheSecondSign(Sound):
    """Takes the user's sign for its own."""

    def _get_suggestion(self, pid):
        signs = self.objectives.signs[1] if self.trials else 1
        return self.space.sample(np.random.default_rng((self.seed, self.number, signs + 1)), 1)[0]


class WantsAFeasibleTrial(Sound):
    """Breaks where no trial meets the constraints."""

    def _get_suggestion(self, pid):
        if self.trials:
            max(t.number for t in self.trials if t.violation == 0)
        return super()._get_suggestion(pid)


class SquaresValues(Sound):
    """An infinity gets into its sums."""

    def _get_suggestion(self, pid):
        np.square(np.array([t.perfs for t in self.trials if t.perfs])).sum()
        return super()._get_suggestion(pid)


class SeesOneObjective(Sound):
    """Stays beside the trial that is best in the first."""

    def _get_suggestion(self, pid):
        if len(self.trials) < 3 or "z" not in self.space.names:
            return super()._get_suggestion(pid)
        return {"x": 0.001 * self.rng.random(), "y": self.rng.random(), "z": self.rng.random()}


PLANTED = [
    ("takes_several_objectives", OutsideTheSpace, "hops"),
    ("takes_several_objectives", NamesTheWorst, "the best to be on the front"),
    ("rebuilds_with_several_objectives", CountsItsAsks, "were replayed"),
    ("mirrors_each_objective", TurnsTheSecondSign, "one objective minimised"),
    ("survives_odd_outcomes", WantsAFeasibleTrial, "max"),
    ("survives_odd_outcomes", SquaresValues, "huge and of both signs"),
    ("covers_the_front", SeesOneObjective, "hypervolume"),
]


def outcome(name, cls):
    """How one check of a class ends."""
    return run_checks("planted", [CHECKS[name]], Case(cls))[0]


@pytest.mark.parametrize(("name", "cls", "text"), PLANTED, ids=[f"{name}-{cls.__name__}" for name, cls, _ in PLANTED])
def test_a_planted_fault_is_found(name, cls, text):
    """The check it was planted for names it."""
    with pytest.raises(AssertionError) as caught:
        outcome(name, cls)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", CHECKS)
def test_a_sound_algorithm_passes(name):
    """Random draws from the prior break no rule."""
    assert outcome(name, Sound).state == "passed"


def test_every_check_of_objectives_has_a_fault():
    """A check that nothing can turn red checks nothing."""
    assert {name for name, _, _ in PLANTED} == set(CHECKS)


def test_an_algorithm_of_one_objective_is_left_alone():
    """The checks concern only those that say they take several."""

    class One(Sound):
        supports = frozenset()

    assert {outcome(name, One).state for name in CHECKS} == {"skipped"}
