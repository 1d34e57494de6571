"""Every registered algorithm keeps what the library promises of every algorithm."""

from __future__ import annotations

import pytest

from autohpo.algorithms.asha import ASHA
from autohpo.algorithms.hyperband import Hyperband
from autohpo.algorithms.registry import available_hpos, canonical_name, get_hpo
from autohpo.testing import optimizer_checks


class HopelessASHA(ASHA):
    """Of one objective, so that hopeless trials can be ended."""

    supports = frozenset({"constraints", "outcome_constraints"})


class HopelessHyperband(Hyperband):
    """Of one objective, so that hopeless trials can be ended."""

    supports = frozenset({"constraints", "outcome_constraints"})


BRACKETS = {"max_fidelity": 9.0}  # three rungs: enough to promote twice, and quick
CASES = [
    (name, BRACKETS if get_hpo(name).is_multi_fidelity else {})
    for name in available_hpos()
    if canonical_name(name) == name and ":" not in name  # those of Optuna: tests/integrations/test_optuna_*.py
]
CASES += [
    ("bohb", {**BRACKETS, "num_iterations": 3}),
    ("hyperband", {**BRACKETS, "num_iterations": 3}),
    ("hyperband", {"min_fidelity": 2.0, "max_fidelity": 16.0, "eta": 2.0, "bracket_sizes": "floor"}),
    ("asha", {**BRACKETS, "type": "stopping"}),
    ("asha", {**BRACKETS, "brackets": 3, "sampler": "tpe"}),
    ("asha", {**BRACKETS, "cost_promotion": True, "rush": 2}),
    ("asha", {**BRACKETS, "rung_levels": [2, 5]}),
    ("asha", {**BRACKETS, "first_promotions": 2}),
    ("mobster", {**BRACKETS, "type": "stopping"}),
    ("bohb", {**BRACKETS, "type": "asynchronous"}),
    ("hyperband", {**BRACKETS, "type": "asynchronous"}),
    ("successive_halving", {**BRACKETS, "n": 7, "num_iterations": 2}),
    ("grid", {"steps": 2}),
    ("quasi_random", {"sequence": "halton"}),
    ("random", {"mode": "min"}),
]
CASES += [(cls, {"max_fidelity": 3.0, "stop_hopeless": 0.5}) for cls in (HopelessASHA, HopelessHyperband)]
CHECKS = [
    pytest.param(check, id="-".join([getattr(name, "__name__", name), *map(str, options.values()), str(check)]))
    for name, options in CASES
    for check in optimizer_checks(name, **options)
]


@pytest.mark.parametrize("check", CHECKS)
def test_algorithm_conforms(check):
    """Each check of each algorithm stands on its own, so that a failure names both."""
    check()
