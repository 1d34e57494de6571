"""The conformance checks of executors: whether one keeps the contract of ``autohpo.execution.base.Executor``."""

from __future__ import annotations

from collections.abc import Callable

from autohpo.execution.base import Executor
from autohpo.testing import attempts, slots
from autohpo.testing.checks import BoundCheck, Check, CheckResult, bind, run_checks
from autohpo.testing.executor_case import ExecutorCase


def _is_apart(case: ExecutorCase) -> bool:
    """Whether objectives run outside the thread that polls."""
    return not case.make().is_inline


def _has_two_slots(case: ExecutorCase) -> bool:
    return case.make().capacity() > 1


def _runs_two_apart(case: ExecutorCase) -> bool:
    return _is_apart(case) and _has_two_slots(case)


EXECUTOR_CHECKS: tuple[Check, ...] = (
    Check(slots.opens_once),
    Check(slots.has_slots),
    Check(slots.says_where_the_objective_runs),
    Check(slots.returns_nothing_where_nothing_runs),
    Check(slots.refuses_a_busy_or_unknown_slot),
    Check(attempts.starts_once_and_ends_once),
    Check(attempts.passes_the_task_on),
    Check(attempts.carries_the_outcome_whole),
    Check(attempts.reports_in_order_and_before_the_end),
    Check(attempts.stops_at_a_report_that_is_not_wanted),
    Check(attempts.stops_when_asked),
    Check(attempts.kills_with_state_and_reason),
    Check(attempts.kills_what_has_only_just_been_submitted),
    Check(attempts.kills_what_never_reports, _is_apart),
    Check(attempts.leaves_others_alone),
    Check(attempts.types_every_fault),
    Check(attempts.survives_the_death_of_a_process, _is_apart),
    Check(attempts.lets_out_what_on_report_raises),
    Check(attempts.ignores_threads_left_behind),
    Check(slots.runs_in_all_slots, _has_two_slots),
    Check(slots.runs_side_by_side, _runs_two_apart),
    Check(slots.continues_a_paused_training),
    Check(slots.starts_again_in_another_slot, _has_two_slots),
    Check(slots.drops_a_paused_training),
    Check(slots.survives_a_training_that_cannot_be_closed),
    Check(slots.closes_in_order),
    Check(slots.closes_while_a_task_runs),
)
"""Every check of an executor, in the order in which they run; each takes an :class:`ExecutorCase`."""


def check_executor(make: Callable[[], Executor], *, timeout_seconds: float = 30.0) -> list[CheckResult]:
    """Run every check that concerns an executor, and return how each ended.

    Each check opens an executor of its own. Checks of slots that run side by side, and of what may happen to a process,
    are skipped where there is one slot, or where objectives run in the thread that polls.

    Args:
        make: Makes a new executor, not open yet.
        timeout_seconds: How long each end may be waited for, the start of a slot included.

    Raises:
        ConformanceError: Some checks failed; it names each, with what was wanted and what was got.

    Example:
        >>> from autohpo.execution.serial import SerialExecutor
        >>> results = check_executor(SerialExecutor)
        >>> {result.state for result in results if result.name == "runs_side_by_side"}
        {'skipped'}
    """
    return run_checks(type(make()).__name__, EXECUTOR_CHECKS, ExecutorCase(make, timeout_seconds))


def executor_checks(make: Callable[[], Executor], *, timeout_seconds: float = 30.0) -> list[BoundCheck]:
    """Return the checks that concern an executor, to be run one by one.

    Args:
        make: Makes a new executor, not open yet.
        timeout_seconds: How long each end may be waited for, the start of a slot included.

    Example:
        In a test of your own::

            @pytest.mark.parametrize("check", executor_checks(MyExecutor), ids=str)
            def test_my_executor_conforms(check):
                check()
    """
    return bind(EXECUTOR_CHECKS, ExecutorCase(make, timeout_seconds))
