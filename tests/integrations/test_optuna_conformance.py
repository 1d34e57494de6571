"""Every sampler of Optuna that is registered passes the conformance checks of algorithms."""

from __future__ import annotations

import pytest

from autohpo import available_hpos
from autohpo.testing import optimizer_checks

pytestmark = pytest.mark.extras
pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")

NAMES = [name for name in available_hpos() if name.startswith("optuna:")]
COUNTABLE = {"optuna:grid", "optuna:brute_force"}  # they take none of the spaces of the checks
CHECKS = [
    pytest.param(check, id=f"{name}-{check}")
    for name in NAMES
    if name not in COUNTABLE
    for check in optimizer_checks(name)
]


@pytest.mark.parametrize("check", CHECKS)
def test_a_sampler_of_optuna_conforms(check):
    """Each check of each sampler stands on its own, so that a failure names both."""
    check()
