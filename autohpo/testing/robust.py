"""Checks with results that fail, come late, come twice, are huge, or are no numbers at all."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import cast

from autohpo.errors import EvaluationsError, NoResultError
from autohpo.testing.cases import FAILED_STATES, Case, Session, measure
from autohpo.testing.checks import expect, expect_equal, expect_error
from autohpo.testing.protocol import expect_legal
from autohpo.trial import Suggestion, TrialState

NO_RESULTS = (math.nan, math.inf, -math.inf, None, "0.5", 1j, [1.0], 10**400)
"""What an objective may return that is not one finite number."""


def survives_failures(case: Case) -> None:
    """Goes on when some trials fail, or the first ones, or all, in every way in which they can fail."""
    complete = TrialState.COMPLETE
    endings: dict[str, Callable[[int], TrialState]] = {
        state.value: lambda number, state=state: state if number % 2 else complete for state in FAILED_STATES
    }
    endings["the first ten"] = lambda number: TrialState.CRASHED if number < 10 else complete
    endings["all"] = lambda number: FAILED_STATES[number % len(FAILED_STATES)]
    for name, ending in endings.items():
        hpo = case.build()
        session = Session(hpo, n_workers=2, ending=lambda suggestion, ending=ending: ending(suggestion.number))
        session.run().finish_all()
        for suggestion in session.asked:
            expect_legal(hpo.space, suggestion)
        wanted = [event.state for event in session.events if event.state is not TrialState.RUNNING]
        expect_equal(wanted, [trial.state for trial in hpo.trials], f"states of the trials where {name} failed")
        if name == "all":
            expect_error(NoResultError, hpo.best, "the best of no results")


def accepts_results_in_any_order(case: Case) -> None:
    """Takes results in another order than that of the suggestions, each for its own trial."""
    for order in ("newest", "mixed"):
        hpo = case.build()
        session = Session(hpo, n_workers=6, order=order).run(40).finish_all()
        for suggestion in session.asked:
            expect_legal(hpo.space, suggestion)
        told = [(event.suggestion.number, event.value) for event in session.events if event.value is not None]
        sign = 1 if hpo.mode == "max" else -1
        expect_equal(told, [(t.number, sign * (t.perf or 0.0)) for t in hpo.trials], "number and result of the trials")


def refuses_a_second_result(case: Case) -> None:
    """Refuses a second result of one trial, and is the same as before: a worker may report twice."""

    def again(hpo_of: Session) -> None:
        given, _ = hpo_of.running[0]
        hpo_of.finish()
        hpo = hpo_of.hpo
        expect_error(EvaluationsError, lambda: hpo.tell(given, 0.0), "a second result")
        expect_error(EvaluationsError, lambda: hpo.fail(given, "again"), "a failure after a result")
        expect_error(EvaluationsError, lambda: hpo.tell(Suggestion(given, number=10**6), 0.0), "an unknown number")

    calm, disturbed = Session(case.build()).run(12), Session(case.build()).run(12)
    calm.finish()
    again(disturbed)
    expect_equal(calm.run(8).records, disturbed.run(8).records, "suggestions after a second result was refused")


def refuses_what_is_no_number(case: Case) -> None:
    """Refuses NaN, infinities and other non-numbers; the trial stays running, and its true result is then taken."""
    calm, disturbed = Session(case.build()).run(12), Session(case.build()).run(12)
    given, _ = disturbed.running[0]
    for value in NO_RESULTS:
        expect_error(EvaluationsError, lambda value=value: disturbed.hpo.tell([(given, value)]), f"the result {value!r:.20}")
    numbers = [suggestion.number for suggestion in disturbed.hpo.running]
    expect(numbers == [given.number], f"trial {given.number} to be running still", numbers)
    expect_equal(calm.run(8).records, disturbed.run(8).records, "suggestions after a result was refused")


def takes_the_good_of_a_batch(case: Case) -> None:
    """Takes the good results of a batch and names each bad one: one NaN must not cost the other workers' work."""
    session = Session(case.build(), n_workers=4)
    while len(session.running) < 4 and session.ask():
        pass
    hpo, given = session.hpo, [mine for mine, _ in session.running]
    good, bad, stranger = given[:1] + given[2:], given[1:2], Suggestion(given[0], number=10**6)
    batch: list[tuple[Suggestion, object]] = [(good[0], 1.0)]
    batch += [(suggestion, math.nan) for suggestion in bad]
    batch += [(stranger, 2.0), (good[0], 3.0)]
    batch += [(suggestion, 4.0) for suggestion in good[1:]]
    error = cast(EvaluationsError, expect_error(EvaluationsError, lambda: hpo.tell(batch), "a batch with bad results"))
    wanted = [suggestion.number for suggestion in [*bad, stranger, good[0]]]
    expect_equal(wanted, [getattr(item, "number", None) for item, _ in error.refused], "numbers that were refused")
    expect_equal([s.number for s in good], [trial.number for trial in hpo.trials], "numbers that were taken")
    expect_equal([s.number for s in bad], [suggestion.number for suggestion in hpo.running], "numbers still running")


def survives_extreme_results(case: Case) -> None:
    """Goes on, without a RuntimeWarning, when results are all equal, huge, tiny, or of two values only."""
    patterns: dict[str, Callable[[int], float]] = {
        "all zero": lambda number: 0.0,
        "all equal": lambda number: -3.7,
        "huge and of both signs": lambda number: (-1.0) ** number * 1.7e308,
        "tiny": lambda number: number * 5e-324,
        "of two values": lambda number: float(number % 2),
        "one huge outlier": lambda number: -1e300 if number == 3 else number * 1e-3,
    }
    for name, pattern in patterns.items():
        session = Session(case.build(), n_workers=2, value=lambda s, pattern=pattern: pattern(s.number))
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # numpy's: an infinity or a NaN got into a model
            try:
                session.run(40)
            except RuntimeWarning as warning:
                expect(False, f"no RuntimeWarning where results are {name}", warning)
        for suggestion in session.asked:
            expect_legal(session.hpo.space, suggestion)


def takes_reports(case: Case) -> None:
    """Takes reports of a running trial, answers each with True or False, and takes the result of a stopped one."""
    session = Session(case.build())
    for _ in range(12):
        if not session.running and not session.ask():
            break
        (given, kept), hpo = session.running.pop(), session.hpo
        perf = measure(hpo.space, kept) * (1 if hpo.mode == "max" else -1)
        for done in (1, 2, 3):
            answer = hpo.report(given, done, perf)
            expect(type(answer) is bool, "True or False for a report", repr(answer))
            if not answer:
                break
        expect_error(EvaluationsError, lambda given=given: hpo.report(given, 4, math.nan), "a report of NaN")
        hpo.tell(given, perf, is_stopped=not answer)
        trial = hpo.trials[-1]
        expect(len(trial.reports) == done, f"the trial to hold its {done} reports", trial.reports)
        expect_error(EvaluationsError, lambda given=given: hpo.report(given, 4, perf), "a report after the end")
