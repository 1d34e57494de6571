"""KDE, the density model of BOHB, alone; what it computes is tested behind BOHB's brackets, in test_bohb."""

from __future__ import annotations

import math

import pytest

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.algorithms.bohb import BOHB
from autohpo.algorithms.kde import KDE
from autohpo.errors import AlgorithmError, OptimizationComplete, OptionError
from autohpo.trial import Suggestion, TrialState

SPACE = [RangeHP("x", 0.0, 1.0), LogRangeHP("lr", 1e-4, 1.0), ChoiceHP("act", ["relu", "tanh", "elu"])]
COUNTABLE = [ChoiceHP(name, [0, 1, 2]) for name in "abc"]


def run(hpo, n):
    """Asks and tells n times, one by one; every seventh trial crashes."""
    asked = []
    for _ in range(n):
        asked.append(hpo.ask())
        if asked[-1].number % 7 == 6:
            hpo.fail(asked[-1], "planned", TrialState.CRASHED)
        else:
            hpo.tell(asked[-1], -sum(math.sin(5 * v) for v in asked[-1].values() if isinstance(v, float | int)))
    return asked


@pytest.mark.parametrize(
    "options", [{}, {"random_fraction": 0.0}, {"top_n_percent": 30, "num_samples": 8, "min_samples_in_model": 12}]
)
@pytest.mark.parametrize("space", [SPACE, COUNTABLE])
def test_alone_it_suggests_what_bohb_does_at_a_single_fidelity(space, options):
    """With one rung each bracket is one trial, so that BOHB is its model and nothing else."""
    n = 27 if space is COUNTABLE else 40
    bohb = BOHB(space, sampler="kde", min_fidelity=1.0, max_fidelity=1.0, seed=4, **options)
    kde = KDE(space, seed=4, **options)
    assert [(dict(s), s.info["model"]) for s in run(kde, n)] == [(dict(s), s.info["model"]) for s in run(bohb, n)]
    assert any(trial.info["model"] for trial in kde.trials)


def test_a_finite_space_ends():
    """After its 27 configurations, each of which came once."""
    hpo = KDE(COUNTABLE, seed=0)
    assert len({tuple(s.values()) for s in run(hpo, 27)}) == 27
    with pytest.raises(OptimizationComplete, match="all 27 configurations"):
        hpo.ask()
    assert hpo.is_finite
    assert not KDE(SPACE).is_finite


def test_full_evaluations_count_at_the_highest_fidelity_where_that_is_known():
    """Four at 9 and three without a fidelity are too few for a model of one parameter alone, and enough together."""

    def first_model(**options):
        hpo = KDE([RangeHP("x", 0.0, 1.0)], seed=0, random_fraction=0.0, min_samples_in_model=5, **options)
        for number, fidelity in enumerate([9.0] * 4 + [None] * 3):
            suggestion = Suggestion({"x": number / 7}, fidelity=fidelity, number=number)
            hpo.adopt(suggestion)
            hpo.tell(suggestion, float(number))
        return hpo.ask().info["model"]

    assert first_model(max_fidelity=9.0)
    assert not first_model()


def test_hpbandsters_name_is_known_and_fixed_parameters_are_no_columns():
    """The least number of points is one more than there are columns."""
    assert build_hpo_from_name("kde", SPACE, min_points_in_model=7).min_samples_in_model == 7
    hpo = KDE([*SPACE, FixedHP("device", "cpu")], random_fraction=0.0, seed=0)
    assert [s.info["model"] for s in run(hpo, 9)] == [False] * 6 + [True] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_n_percent": 0.15}, "top_n_percent: must be a percentage from 1 to 99, got 0.15"),
        ({"max_fidelity": 0.0}, "max_fidelity: must be positive, or None, got 0.0"),
    ],
)
def test_wrong_options_are_refused(options, message):
    """The text names argument, rule and value; BOHB's tests have the others."""
    with pytest.raises(OptionError) as caught:
        KDE(SPACE, **options)
    assert str(caught.value) == message


def test_a_hook_that_raises_leaves_nothing_behind():
    """A result that was taken back after the model has seen it, and is told again, counts once."""

    class Nervous(KDE):
        is_calm = True

        def _update_trials(self, pid, hp, perf):
            self.is_calm = not self.is_calm
            if not self.is_calm:
                self._get_suggestion(pid)
                raise RuntimeError("every other time")

    calm, nervous = (cls([RangeHP("x", 0.0, 1.0)], random_fraction=0.0, seed=0) for cls in (KDE, Nervous))
    for _ in range(12):
        suggestion, other = calm.ask(), nervous.ask()
        assert dict(other) == dict(suggestion)
        calm.tell(suggestion, suggestion["x"])
        with pytest.raises(AlgorithmError):
            nervous.tell(other, other["x"])
        nervous.tell(other, other["x"])
    assert calm.trials[-1].info["model"]
