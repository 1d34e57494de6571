"""Every check of an optimizer goes red on a fault planted for it, and stays green where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from planted_faults import FAULTS, AnswersNothing, Sound, SoundPromoter

from autohpo.testing import OPTIMIZER_CHECKS, Case, ConformanceError, check_optimizer
from autohpo.testing.checks import run_checks

CHECKS = {check.name: check for check in OPTIMIZER_CHECKS}
PLANTED = [(name, *fault) for name, faults in FAULTS.items() for fault in faults]


def test_every_check_has_a_fault_planted_for_it():
    """No check may be one that nothing has ever failed."""
    elsewhere = "autohpo.testing.objectives"  # their faults stand in test_planted_objectives.py
    assert list(FAULTS) == [name for name, check in CHECKS.items() if check.run.__module__ != elsewhere]


@pytest.mark.parametrize(("name", "cls", "text"), PLANTED, ids=[f"{name}-{cls.__name__}" for name, cls, _ in PLANTED])
def test_check_finds_the_fault_planted_for_it(name, cls, text):
    """The very check goes red, not only another one, and says why."""
    with pytest.raises(ConformanceError) as caught:
        run_checks("planted", [CHECKS[name]], Case.of(cls, {}))
    assert text in str(caught.value)


@pytest.mark.parametrize("cls", [Sound, SoundPromoter])
def test_sound_optimizers_pass_every_check(cls):
    """The faults are in the planted lines, not in what they are planted in."""
    states = {result.name: result.state for result in check_optimizer(cls)}
    assert set(states.values()) == {"passed", "skipped"}
    assert list(states) == list(CHECKS)


def test_error_names_every_failed_check_and_no_other():
    """What was wanted and got stands in the text for each failed check."""
    with pytest.raises(ConformanceError) as caught:
        check_optimizer(AnswersNothing)
    failed = [result for result in caught.value.results if result.state == "failed"]
    assert [result.name for result in failed] == ["takes_reports"]
    assert failed[0].detail == "wanted True or False for a report, got None"
    assert "- takes_reports: wanted True or False for a report, got None" in str(caught.value)
    assert str(caught.value).startswith(f"AnswersNothing: 1 of {len(CHECKS)} checks failed")
