"""What every executor promises, tried on each of ours: the public suite, check by check."""

from __future__ import annotations

from functools import partial

import pytest
from fake_windows import fake_windows

from autohpo.execution import platform
from autohpo.execution.local import LocalExecutor
from autohpo.execution.platform.macos import MacPlatform
from autohpo.execution.serial import SerialExecutor
from autohpo.testing import EXECUTOR_CHECKS, FakeEngine, executor_checks

MAKERS = {"serial": SerialExecutor, "local": partial(LocalExecutor, 2), "fake": partial(FakeEngine, 0, 3)}
CASES = [(name, check) for name, make in MAKERS.items() for check in executor_checks(make, timeout_seconds=20)]
OTHERS = {"macos": MacPlatform, "windows": fake_windows}
ELSEWHERE = [(name, check) for name in OTHERS for kind, check in CASES if kind == "local"]


def named(cases):
    """The name of each case."""
    return [f"{name}-{check}" for name, check in cases]


@pytest.mark.parametrize("check", [check for _, check in CASES], ids=named(CASES))
def test_our_executors_conform(check):
    """Each of our executors keeps each rule of the contract that concerns it."""
    check()


@pytest.mark.parametrize(("name", "check"), ELSEWHERE, ids=named(ELSEWHERE))
def test_the_local_executor_conforms_with_what_another_system_has(name, check, monkeypatch):
    """What macOS has is a part of what Linux has; for Windows, only the functions of the system are others."""
    monkeypatch.setattr(platform, "_current", OTHERS[name]())
    check()


def test_every_check_concerns_one_of_them():
    """Only what needs processes of their own, or two slots, is skipped for some; with a local executor nothing is."""
    assert {str(check) for name, check in CASES if name == "local"} == {check.name for check in EXECUTOR_CHECKS}
    skipped = {check.name for check in EXECUTOR_CHECKS} - {str(check) for name, check in CASES if name == "serial"}
    assert skipped == {
        *("kills_what_never_reports", "runs_in_all_slots", "runs_side_by_side", "starts_again_in_another_slot"),
        "survives_the_death_of_a_process",
    }
