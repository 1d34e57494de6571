"""Blackboxopt's published tests, over every registered algorithm."""

from __future__ import annotations

import pytest

from autohpo import OptionError
from autohpo.algorithms.registry import ALIASES, _built_in_names, get_hpo

pytest.importorskip("blackboxopt", reason="the extra autohpo[blackboxopt] is not installed")

import parameterspace as ps
from blackboxopt import Objective
from blackboxopt.optimizers.testing import ALL_REFERENCE_TESTS

from autohpo.integrations.blackboxopt import optimizer_class

# Algorithms that say once that they do not look at constraints of results, which all of these tests report.
pytestmark = pytest.mark.filterwarnings("ignore:.*does not look at constraints of results:UserWarning")

NAMES = sorted({*_built_in_names(), *ALIASES})  # not those that other tests register
OPTIONS = {
    "grid": {"steps": 11},  # the tests ask for ten points of one range; the default grid ends after five
}
"""Options that the tests need; nothing is left out."""

ONE_OBJECTIVE = {
    *("anneal", "autone", "bayes", "cmaes", "dehb", "differential_evolution", "dyhpo", "gp_multi_fidelity"),
    *("hyperopt_tpe", "hypertune", "kde", "median_stopping", "mobster", "pasha", "pbt", "portfolio", "prior"),
    *("priorband", "regularized_evolution", "smac", "turbo"),
}
"""Algorithms that rank by a single score: none of blackboxopt's lists of objectives."""

SEVERAL = sorted(set(NAMES) - ONE_OBJECTIVE)


@pytest.mark.parametrize("name", NAMES)
def test_every_algorithm_passes_the_published_tests(name):
    """With one objective."""
    for check in ALL_REFERENCE_TESTS:
        check(optimizer_class(name), OPTIONS.get(name, {}), seed=1)


@pytest.mark.parametrize("name", SEVERAL)
def test_every_algorithm_of_several_objectives_passes_them_with_two(name):
    """The tests ask for two where the class is one of several."""
    for check in ALL_REFERENCE_TESTS:
        check(optimizer_class(name, True), OPTIONS.get(name, {}), seed=2)


@pytest.mark.parametrize("name", sorted(ONE_OBJECTIVE))
def test_an_algorithm_of_one_objective_says_who_takes_two(name):
    """So the table above leaves out nothing that could run."""
    assert "objectives" not in get_hpo(name).supports
    space = ps.ParameterSpace()
    space.add(ps.ContinuousParameter("x", (0.0, 1.0)))
    with pytest.raises(OptionError, match="nsga2"):
        optimizer_class(name, True)(space, [Objective("loss", False), Objective("score", True)])


@pytest.mark.parametrize("name", ["tpe", "bohb", "bayes", "nsga2"])
def test_the_published_tests_fail_where_the_contract_is_broken(name, monkeypatch):
    """So that they are seen to judge: an optimizer whose reports check nothing, and one that draws without its seed."""
    cls = optimizer_class(name)
    broken = type("Broken", (cls,), {"report": lambda self, evaluations: None})
    checks = {check.__name__: check for check in ALL_REFERENCE_TESTS}
    with pytest.raises(AssertionError, match="did not raise"):
        checks["raises_evaluation_error_when_reporting_unknown_objective"](broken, {}, seed=1)

    def drawn(self, search_space, objective, seed=None, **options):
        cls.__init__(self, search_space, objective, **options)

    unseeded = type("Unseeded", (cls,), {"__init__": drawn})
    with pytest.raises(AssertionError):
        checks["is_deterministic_with_fixed_seed_and_larger_space"](unseeded, {}, seed=1)
