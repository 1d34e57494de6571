"""Stopping rules: target, patience, and a floor for what is still expected."""

from __future__ import annotations

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.errors import OptionError
from autohpo.trial import Suggestion

SPACE = [RangeHP("x", 0, 99)]


class Upwards(BaseHPOptimizer):
    """Suggests 0, 1, 2, ... and says that it expects ever less."""

    def _get_suggestion(self, pid):
        return Suggestion({"x": self.number}, info={"expected_improvement": 1.0 / (1 + self.number)})


def numbers(hpo, **rules):
    """Trials that a search with these rules made."""
    hpo.optimize(progress=False, **rules)
    return len(hpo.result)


def test_a_target_ends_the_search():
    """x >= 7 is first met by the trial with number 7."""
    assert numbers(Upwards(SPACE, lambda hp: hp["x"], max_evals=50), target=7) == 8


def test_a_target_is_met_from_above_where_lower_is_better():
    """100 - x <= 90 is first met at x = 10."""
    assert numbers(Upwards(SPACE, lambda hp: 100 - hp["x"], max_evals=50, mode="min"), target=90) == 11


def test_patience_ends_a_search_that_no_longer_improves():
    """Results 0, 1, 2, 3, 3, 3, ...: the best is trial 3, and four more are no better."""
    assert numbers(Upwards(SPACE, lambda hp: min(hp["x"], 3), max_evals=50), patience=4) == 3 + 1 + 4


def test_too_little_expected_improvement_ends_the_search():
    """1 / (1 + n) is below .1 for n = 10, 11, 12: three in a row are enough, and the third is still run."""
    assert numbers(Upwards(SPACE, lambda hp: 0.0, max_evals=50), min_improvement=0.1) == 13


def test_a_result_that_misses_its_constraints_meets_no_target():
    """Trials below 20 are infeasible, so 20 is the first that counts."""
    hpo = build_hpo_from_name("grid", SPACE, lambda hp: (hp["x"], {"late": 20 - hp["x"]}), steps=100, order="nested")
    assert numbers(hpo, target=5) == 21


def test_without_rules_the_budget_ends_the_search():
    """No rule acts that nobody gave."""
    assert numbers(Upwards(SPACE, lambda hp: 0.0, max_evals=20)) == 20


def test_a_resumed_search_remembers_its_patience(tmp_path):
    """Patience 5, cut off after three results without a better one: two more end it."""
    store = tmp_path / "run.db"

    def f(hp):
        return 1.0 if hp["x"] == 0 else 0.0

    Upwards(SPACE, f, max_evals=4, seed=0).optimize(store=store, progress=False)
    second = Upwards(SPACE, f, max_evals=50, seed=0)
    assert numbers(second, store=store, patience=5) == 6


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"target": "high"}, "target: must be a finite number, got 'high'"),
        ({"target": float("inf")}, "target: must be a finite number, got inf"),
        ({"patience": 0}, "patience: must be an integer of at least 1, got 0"),
        ({"patience": True}, "patience: must be an integer of at least 1, got True"),
        ({"min_improvement": 0.0}, "min_improvement: must be above 0, got 0.0"),
    ],
)
def test_wrong_rules_are_named(rules, text):
    """The error says which rule and which value."""
    with pytest.raises(OptionError) as caught:
        Upwards(SPACE, lambda hp: 0.0).optimize(**rules)
    assert str(caught.value) == text


def test_several_objectives_have_no_target():
    """There is no single best result to compare."""
    hpo = build_hpo_from_name("random", SPACE, lambda hp: (1, 2), mode=["max", "min"])
    with pytest.raises(OptionError, match="no single best result"):
        hpo.optimize(target=1.0)


def rising_in_full(hps, fidelity):
    """Every full training is better than the last; short ones say nothing."""
    rising_in_full.n += fidelity == 9
    return float(rising_in_full.n if fidelity == 9 else 0)


@pytest.mark.parametrize("name", ["hyperband", "bohb", "asha", "auto"])
def test_patience_counts_full_trainings_alone(name):
    """A short training is never better than a long one, so it has not failed to be: here the budget ends the search."""
    rising_in_full.n = 0
    hpo = build_hpo_from_name(name, SPACE, rising_in_full, min_fidelity=1, max_fidelity=9, max_evals=40, seed=0)
    assert numbers(hpo, patience=2) == 40


def test_patience_ends_a_search_whose_full_trainings_no_longer_improve():
    """The first of three equal full ones is the best, and two more are no better."""
    hpo = build_hpo_from_name(
        "hyperband", SPACE, lambda hps, fidelity: 1.0, min_fidelity=1, max_fidelity=9, max_evals=60, seed=0
    )
    numbers(hpo, patience=2)
    assert sum(trial.fidelity == 9 for trial in hpo.result) == 3


def test_a_target_is_met_by_a_full_training_alone():
    """Short trainings overfit: at fidelity 1 they look better than the target, in full none is."""
    hpo = build_hpo_from_name(
        "hyperband", SPACE, lambda hps, fidelity: 1 / fidelity, min_fidelity=1, max_fidelity=9, max_evals=22, seed=0
    )
    assert numbers(hpo, target=0.5) == 22


def test_known_results_use_up_no_patience():
    """Nine known ones are no better than the first of them; the search still makes three of its own."""
    points = [({"x": x}, 50.0 - x) for x in range(9)]
    hpo = Upwards(SPACE, lambda hp: 0.0, max_evals=20, points=points)
    assert numbers(hpo, patience=3) == 9 + 3


@pytest.mark.parametrize("rule", ["target", "patience", "min_improvement"])
def test_several_objectives_have_no_best_to_stop_at(rule):
    """The error names the very argument."""
    hpo = build_hpo_from_name("motpe", SPACE, lambda hp: (0.0, 1.0), mode=["max", "min"], max_evals=3)
    with pytest.raises(OptionError, match=f"^{rule}: must not be given with several objectives"):
        hpo.optimize(progress=False, **{rule: 1})


@pytest.mark.parametrize("name", ["random", "tpe", "bohb", "asha"])
def test_an_algorithm_that_expects_nothing_cannot_end_by_too_little(name):
    """It would run on without a word; bayes, and asha or auto with it, say what they expect."""
    options = {"sampler": "kde"} if name == "bohb" else {}
    hpo = build_hpo_from_name(name, SPACE, lambda hp, fidelity: 0.0, max_evals=3, **options)
    with pytest.raises(OptionError, match="min_improvement: .* does not say what improvement it expects"):
        hpo.optimize(progress=False, min_improvement=0.1)
    rungs = {"min_fidelity": 1, "max_fidelity": 3, "sampler": "bayes"}
    for good in (("bayes", {}), ("auto", {}), ("asha", rungs)):
        hpo = build_hpo_from_name(good[0], SPACE, lambda hp: hp["x"], max_evals=2, seed=0, **good[1])
        if good[0] == "asha":
            assert hpo.says_improvement
        else:
            assert numbers(hpo, min_improvement=0.1) == 2
