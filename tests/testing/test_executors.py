"""check_executor: what a plug-in author calls, and that each check goes red on a fault planted for it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from autohpo.execution.base import Event
from autohpo.execution.local import LocalExecutor
from autohpo.execution.serial import SerialExecutor
from autohpo.objective import Evaluator
from autohpo.testing import (
    EXECUTOR_CHECKS,
    ConformanceError,
    ExecutorCase,
    FakeEngine,
    check_executor,
    executor_checks,
)
from autohpo.testing.checks import run_checks
from autohpo.trial import Outcome, TrialState
from autohpo.trial_handle import TrialHandle

ENDS = ("done", "failed", "died", "killed")
SECONDS = 1.5
"""How long a check of a broken executor may wait; a sound one passes it with this, too."""


class ChangesEvents(SerialExecutor):
    """A serial executor whose events go through a function on their way out."""

    def change(self, event: Event) -> list[Event]:
        """Return what is delivered in place of an event."""
        return [event]

    def poll(self, timeout_seconds):
        """Poll, and change what came."""
        return [new for event in super().poll(timeout_seconds) for new in self.change(event)]


class OpensTwice(SerialExecutor):
    def open(self, objective, on_report):
        self._evaluator = None
        super().open(objective, on_report)


class NamesSlotsTwice(SerialExecutor):
    def slots(self):
        return (0, 0)


class SaysItRunsElsewhere(SerialExecutor):
    is_inline = False


class Busy(SerialExecutor):
    def poll(self, timeout_seconds):
        return super().poll(timeout_seconds) or [Event("started", 0, 1, 0)]


class TakesTwoTasks(SerialExecutor):
    def submit(self, slot, task):
        self._task = None
        super().submit(slot, task)


class EndsTwice(ChangesEvents):
    def change(self, event):
        return [event, event] if event.kind in ENDS else [event]


class NeverStarts(ChangesEvents):
    def change(self, event):
        return [] if event.kind == "started" else [event]


class ForgetsTheSeed(SerialExecutor):
    def submit(self, slot, task):
        super().submit(slot, replace(task, seed=0))


class KeepsOneNumber(ChangesEvents):
    def change(self, event):
        if event.outcome is None:
            return [event]
        return [replace(event, outcome=Outcome(event.outcome.state, event.outcome.perfs[:1], error="e"))]


class SwapsReports(SerialExecutor):
    def open(self, objective, on_report):
        kept = []

        def swapped(event):
            kept.append(event)
            return len(kept) % 2 == 1 or (on_report(kept[-1]) and on_report(kept[-2]))

        super().open(objective, swapped)


class DeafToNo(SerialExecutor):
    def open(self, objective, on_report):
        def deaf(event):
            on_report(event)
            return event.fidelity < 200

        super().open(objective, deaf)

    def _end(self, kind, outcome):
        super()._end(kind, replace(outcome, state=TrialState.COMPLETE) if outcome.perfs else outcome)


class DeafToStop(SerialExecutor):
    def open(self, objective, on_report):
        super().open(objective, lambda event: on_report(event) and event.fidelity < 50)

    def stop(self, number):
        pass

    def _end(self, kind, outcome):
        super()._end(kind, replace(outcome, state=TrialState.COMPLETE) if outcome.perfs else outcome)


class LosesTheReason(SerialExecutor):
    def kill(self, number, state, reason):
        super().kill(number, state, "")


class KillsOnlyWhatRuns(SerialExecutor):
    def kill(self, number, state, reason):
        if not self._is_running and self._task is not None:
            state = TrialState.FAILED
        super().kill(number, state, reason)


class KillsWhoeverRuns(SerialExecutor):
    def kill(self, number, state, reason):
        super().kill(number if self._task is None else self._task.number, state, reason)


class StoresAnything(ChangesEvents):
    def change(self, event):
        bad = event.kind == "failed"
        return [replace(event, outcome=replace(event.outcome, error="\ud800")) if bad else event]


class CallsItCrashed(ChangesEvents):
    def change(self, event):
        bad = event.kind == "failed"
        return [replace(event, outcome=replace(event.outcome, state=TrialState.CRASHED)) if bad else event]


class SwallowsFaults(SerialExecutor):
    def open(self, objective, on_report):
        def quiet(event):
            try:
                return on_report(event)
            except LookupError:
                return False

        super().open(objective, quiet)


class Careless(Evaluator):
    """Hands out handles that stay open when their attempt has ended."""

    def run(self, task, report):
        """Run a plain objective."""
        return self.objective.objectives.measure(self.objective.call(task, TrialHandle(task, report)))


class BlamesTheNext(SerialExecutor):
    """Takes a late report for one of the trial that runs now."""

    def open(self, objective, on_report):
        super().open(objective, on_report)
        self._evaluator = Careless(objective)

    def _report(self, task, fidelity, perf):
        return super()._report(self._task, fidelity, perf)


class StartsAnew(SerialExecutor):
    def submit(self, slot, task):
        self._evaluator.drop(task.root)
        super().submit(slot, task)


class HoldsEverything(SerialExecutor):
    def holds(self, slot, root):
        return True


class NeverDrops(SerialExecutor):
    def drop(self, root):
        pass


class FallsOverADrop(SerialExecutor):
    def drop(self, root):
        self._evaluator._paused.pop(root).steps.close()


class LeavesTrainings(SerialExecutor):
    n_closed = 0

    def close(self):
        self._task, self.n_closed = None, self.n_closed + 1
        if self.n_closed > 2:  # when the check is over
            super().close()


class ClosesOnce(SerialExecutor):
    def close(self):
        self._evaluator.close()
        self._task = None


class NamesAnotherSlot(FakeEngine):
    def poll(self, timeout_seconds):
        return [replace(event, slot=0) for event in super().poll(timeout_seconds)]


class SharesItsTrainings(FakeEngine):
    def open(self, objective, on_report):
        super().open(objective, on_report)
        shared = self._hosts[0].evaluator
        for host in self._hosts.values():
            host.evaluator = shared


class CannotKill(LocalExecutor):
    def kill(self, number, state, reason):
        pass


class CallsDeathAFailure(LocalExecutor):
    def poll(self, timeout_seconds):
        return [replace(e, kind="failed") if e.kind == "died" else e for e in super().poll(timeout_seconds)]


class OneAfterTheOther(LocalExecutor):
    def submit(self, slot, task):
        self.queue = [*getattr(self, "queue", []), (slot, task)]
        self.advance()

    def advance(self):
        if getattr(self, "queue", []) and all(slot.attempt is None for slot in self._slots):
            super().submit(*self.queue.pop(0))

    def poll(self, timeout_seconds):
        events = super().poll(timeout_seconds)
        self.advance()
        return events


class WaitsForTheEnd(SerialExecutor):
    def close(self):
        while self._task is not None:
            super().poll(0.0)
        super().close()


PLANTED = {
    "opens_once": OpensTwice,
    "has_slots": NamesSlotsTwice,
    "says_where_the_objective_runs": SaysItRunsElsewhere,
    "returns_nothing_where_nothing_runs": Busy,
    "refuses_a_busy_or_unknown_slot": TakesTwoTasks,
    "starts_once_and_ends_once": EndsTwice,
    "passes_the_task_on": ForgetsTheSeed,
    "carries_the_outcome_whole": KeepsOneNumber,
    "reports_in_order_and_before_the_end": SwapsReports,
    "stops_at_a_report_that_is_not_wanted": DeafToNo,
    "stops_when_asked": DeafToStop,
    "kills_with_state_and_reason": LosesTheReason,
    "kills_what_has_only_just_been_submitted": KillsOnlyWhatRuns,
    "kills_what_never_reports": partial(CannotKill, 1),
    "leaves_others_alone": KillsWhoeverRuns,
    "types_every_fault": CallsItCrashed,
    "survives_the_death_of_a_process": partial(CallsDeathAFailure, 1),
    "lets_out_what_on_report_raises": SwallowsFaults,
    "ignores_threads_left_behind": BlamesTheNext,
    "runs_in_all_slots": partial(NamesAnotherSlot, 0, 2),
    "runs_side_by_side": partial(OneAfterTheOther, 2),
    "continues_a_paused_training": StartsAnew,
    "starts_again_in_another_slot": partial(SharesItsTrainings, 0, 2),
    "drops_a_paused_training": NeverDrops,
    "survives_a_training_that_cannot_be_closed": FallsOverADrop,
    "closes_in_order": LeavesTrainings,
    "closes_while_a_task_runs": WaitsForTheEnd,
}


def test_every_check_has_a_fault_planted_for_it():
    """A check that cannot fail is a defect."""
    assert list(PLANTED) == [check.name for check in EXECUTOR_CHECKS]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("name", "make"),
    [*PLANTED.items()]
    + [
        ("starts_once_and_ends_once", NeverStarts),
        ("types_every_fault", StoresAnything),
        ("continues_a_paused_training", HoldsEverything),
        ("closes_in_order", ClosesOnce),
    ],
)
def test_a_planted_fault_is_found(name, make):
    """The check fails on the broken executor, by its own words, and says what it demands."""
    (check,) = (check for check in EXECUTOR_CHECKS if check.name == name)
    with pytest.raises(ConformanceError) as caught:
        run_checks("broken", [check], ExecutorCase(make, SECONDS))
    (result,) = caught.value.results
    assert result.state == "failed"
    assert result.detail.startswith("wanted ")
    assert result.demand in str(caught.value)


def test_every_check_says_what_it_demands():
    """One sentence at least, and no two checks share a name."""
    assert all(len(check.demand) > 40 and check.demand.endswith(".") for check in EXECUTOR_CHECKS)
    assert len({check.name for check in EXECUTOR_CHECKS}) == len(EXECUTOR_CHECKS)


def test_results_name_every_check_and_say_how_it_ended():
    """What needs two slots, or a process beside the driver's, is skipped for the serial executor, by name."""
    results = check_executor(SerialExecutor)
    assert [result.name for result in results] == [check.name for check in EXECUTOR_CHECKS]
    assert {result.state for result in results} == {"passed", "skipped"}
    skipped = {result.name for result in results if result.state == "skipped"}
    assert {"runs_side_by_side", "kills_what_never_reports"} <= skipped
    assert {str(check) for check in executor_checks(SerialExecutor)} == {r.name for r in results} - skipped


def test_a_broken_executor_is_named_with_all_its_faults():
    """One failed check hides no other, and a check that must wait for an end waits no longer than it was told."""
    with pytest.raises(ConformanceError, match="NeverStarts: .* of 27 checks failed") as caught:
        check_executor(NeverStarts, timeout_seconds=SECONDS)
    failed = [result.name for result in caught.value.results if result.state == "failed"]
    assert {"starts_once_and_ends_once", "kills_with_state_and_reason"} <= {*failed}


def test_an_executor_that_says_nothing_fails_in_time():
    """The text says what was waited for, and for how long."""

    class Silent(ChangesEvents):
        def change(self, event):
            return []

    with pytest.raises(ConformanceError, match=r"wanted the end of trial 3 within 0\.2 s"):
        check_executor(Silent, timeout_seconds=0.2)
