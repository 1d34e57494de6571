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
