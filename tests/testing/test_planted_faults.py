"""Every check goes red on a fault planted for it, and stays green on optimizers and kinds without one."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import cloudpickle
import faulty_kinds
import faulty_optimizers
import pytest

from autohpo.testing import OPTIMIZER_CHECKS, SPACE_CHECKS, Case, ConformanceError, check_optimizer, check_space

CHECKS = {check.name: check for check in (*OPTIMIZER_CHECKS, *SPACE_CHECKS)}
PLANTED = [(name, cls) for name, faults in faulty_optimizers.FAULTS.items() for cls in faults]
PLANTED_KINDS = [(name, hp) for name, faults in faulty_kinds.FAULTS.items() for hp in faults]


@pytest.fixture(autouse=True)
def _by_value() -> Iterator[None]:
    """Child processes cannot import this folder, so its classes travel with their code."""
    cloudpickle.register_pickle_by_value(sys.modules["faulty_optimizers"])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules["faulty_optimizers"])


def test_every_check_has_a_fault_planted_for_it() -> None:
    """No check may be one that nothing has ever failed."""
    assert set(faulty_optimizers.FAULTS) == {check.name for check in OPTIMIZER_CHECKS}
    assert set(faulty_kinds.FAULTS) == {check.name for check in SPACE_CHECKS}


@pytest.mark.parametrize(("name", "cls"), PLANTED, ids=[f"{name}-{cls.__name__}" for name, cls in PLANTED])
def test_check_finds_the_fault_planted_for_it(name: str, cls: type) -> None:
    """The very check goes red, not only another one."""
    check, case = CHECKS[name], Case.of(cls, {})
    assert check.concerns(case)
    with pytest.raises(Exception):  # noqa: B017, PT011 - a check may let pass whatever the optimizer raised
        check.run(case)


@pytest.mark.parametrize("cls", [faulty_optimizers.Sound, faulty_optimizers.SoundPromoter])
def test_sound_optimizers_pass_every_check(cls: type) -> None:
    """The faults are in the planted lines, not in what they are planted in."""
    states = {result.name: result.state for result in check_optimizer(cls)}
    assert set(states.values()) == {"passed", "skipped"}
    assert list(states) == [check.name for check in OPTIMIZER_CHECKS]


@pytest.mark.parametrize(("name", "hp"), PLANTED_KINDS, ids=[f"{name}-{type(hp).__name__}" for name, hp in PLANTED_KINDS])
def test_check_finds_the_faulty_kind_planted_for_it(name: str, hp: object) -> None:
    """The very check of a parameter goes red, not only another one."""
    with pytest.raises(Exception):  # noqa: B017, PT011 - a check may let pass whatever the kind raised
        CHECKS[name].run(hp)


def test_sound_kind_passes_every_check() -> None:
    """The faults are in the planted lines, not in what they are planted in."""
    assert {result.state for result in check_space(faulty_kinds.SoundKind("kernel", 1, 15))} == {"passed"}


def test_error_names_every_failed_check() -> None:
    """What was wanted and got stands in the text for each failed check, and no passed one is named as failed."""
    with pytest.raises(ConformanceError) as caught:
        check_optimizer(faulty_optimizers.AnswersNothing)
    failed = [result for result in caught.value.results if result.state == "failed"]
    assert [result.name for result in failed] == ["takes_reports"]
    assert failed[0].detail == "wanted True or False for a report, got None"
    assert "takes_reports: wanted True or False for a report, got None" in str(caught.value)
    assert "AnswersNothing: 1 of" in str(caught.value)
