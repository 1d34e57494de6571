"""check_optimizer and optimizer_checks: what a plug-in author calls, and what comes back."""

from __future__ import annotations

import pickle

import pytest

from autohpo import BaseHPOptimizer, RangeHP, RegistryError
from autohpo.testing import (
    OPTIMIZER_CHECKS,
    SPACE_CHECKS,
    CheckResult,
    ConformanceError,
    check_optimizer,
    optimizer_checks,
    space_checks,
)


class Breaks(BaseHPOptimizer):
    """Fails at every turn."""

    def _get_suggestion(self, pid):
        raise ZeroDivisionError("always")


def test_results_name_every_check_and_say_how_it_ended():
    """A deterministic algorithm of one fidelity skips what does not concern it, by name."""
    results = check_optimizer("grid", steps=3)
    assert [result.name for result in results] == [check.name for check in OPTIMIZER_CHECKS]
    assert [result.name for result in results if result.state == "skipped"] == [
        "other_seed_other_suggestions",
        "stays_within_its_fidelities",
        "resumes_rightly",
        "works_without_fidelity",
        "survives_lost_survivors",
        "covers_the_front",
    ]
    assert {result.state for result in results} == {"passed", "skipped"}


def test_one_broken_check_hides_no_other():
    """An exception of the algorithm's own ends one check and not the run; its place is named."""
    with pytest.raises(ConformanceError) as caught:
        check_optimizer(Breaks)
    failed = [result for result in caught.value.results if result.state == "failed"]
    assert len(failed) == sum(result.state != "skipped" for result in caught.value.results)
    assert any("got ZeroDivisionError: always" in r.detail and "test_optimizers.py:" in r.detail for r in failed)


def test_conformance_error_is_an_assertion_of_ours_and_survives_pickling():
    """A test framework shows it as a failure, and parallel ones send it between processes."""
    error = ConformanceError("mine", [CheckResult("a", "failed", "must be so", "wanted 1, got 2")])
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, AssertionError)
    assert str(again) == str(error) == "mine: 1 of 1 checks failed\n- a: wanted 1, got 2\n  demanded: must be so"
    assert again.results == error.results


def test_checks_can_be_run_one_by_one():
    """Each is called without arguments and is named for pytest's ids; those that do not concern it are left out.

    Of those of fidelity two concern everybody: nothing may fork unless it says so, and known results are full ones.
    """
    checks = optimizer_checks("random")
    named = {check.name: check for check in OPTIMIZER_CHECKS}
    of_fidelity = {name for name, check in named.items() if check.run.__module__ == "autohpo.testing.fidelity"}
    assert {str(check) for check in checks} == {*named} - of_fidelity | {
        "forks_as_declared",
        "compares_known_results_with_full_ones",
    }
    for check in [*checks[:2], *space_checks(RangeHP("x", 0, 3))]:
        assert check() is None


def test_every_check_says_what_it_demands():
    """One sentence at least, and no two checks share a name."""
    checks = [*OPTIMIZER_CHECKS, *SPACE_CHECKS]
    assert all(len(check.demand) > 40 and check.demand.endswith(".") for check in checks)
    assert len({check.name for check in checks}) == len(checks)


def test_unknown_names_are_refused():
    """A misspelt name is no algorithm that fails its checks."""
    with pytest.raises(RegistryError, match="did you mean 'random'"):
        check_optimizer("randon")
