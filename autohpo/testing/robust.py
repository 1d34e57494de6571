"""Checks with results that fail, come late, come twice, are huge, or are no numbers at all."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from autohpo.errors import EvaluationsError, NoResultError
from autohpo.testing.cases import FAILED_STATES, N_ASKS, Case, Session, measure
from autohpo.testing.checks import CheckFailed, expect, expect_equal, expect_error
from autohpo.testing.protocol import expect_legal
from autohpo.trial import Suggestion, TrialState

NO_RESULTS = (math.nan, math.inf, -math.inf, None, "0.5", 1j, [1.0], 10**400)
"""What an objective may return that is not one finite number."""


def survives_failures(case: Case) -> None:
    """Goes on when some trials fail, or the first ones, or all, in every way in which they can fail."""
    complete = TrialState.COMPLETE
    patterns = {state.value: [complete, state] * N_ASKS for state in FAILED_STATES}
    patterns["the first ten"] = [TrialState.CRASHED] * 10 + [complete] * N_ASKS
    patterns["all"] = [*FAILED_STATES] * N_ASKS
    for name, pattern in patterns.items():
        hpo = case.build()
        session = Session(hpo, n_workers=2, ending=partial(_nth, pattern)).run().finish_all()
        for suggestion in session.asked:
            expect_legal(hpo.space, suggestion)
        wanted = [event.state for event in session.events if event.state is not TrialState.RUNNING]
        expect_equal(wanted, [trial.state for trial in hpo.trials], f"states of the trials where {name} failed")
        if name == "all":
            expect_error(NoResultError, hpo.best, "the best of no results")


def _nth(pattern: Sequence[Any], suggestion: Suggestion) -> Any:
    return pattern[suggestion.number]


def accepts_results_in_any_order(case: Case) -> None:
    """Takes results in another order than that of the suggestions, each for its own trial."""
    for order in ("newest", "mixed"):
        hpo = case.build()
        session = Session(hpo, n_workers=6, order=order).run(40).finish_all()
        for suggestion in session.asked:
            expect_legal(hpo.space, suggestion)
        told = [(event.suggestion.number, event.value) for event in session.events if event.value is not None]
        expect_equal(told, [(t.number, t.perf) for t in hpo.trials], "number and result of the trials")


def refuses_a_second_result(case: Case) -> None:
    """Refuses a second result of one trial, and is the same as before: a worker may report twice."""
    calm, disturbed = Session(case.build()).run(12), Session(case.build()).run(12)
    calm.finish()
    given, hpo = disturbed.running[0][0], disturbed.hpo
    disturbed.finish()
    expect_error(EvaluationsError, partial(hpo.tell, given, 0.0), "a second result")
    expect_error(EvaluationsError, partial(hpo.fail, given, "again"), "a failure after a result")
    expect_error(EvaluationsError, partial(hpo.tell, Suggestion(given, number=10**6), 0.0), "an unknown number")
    expect_equal(calm.run(8).records, disturbed.run(8).records, "suggestions after a second result was refused")


def refuses_what_is_no_number(case: Case) -> None:
    """Refuses NaN, infinities and other non-numbers; the trial stays running, and its true result is then taken."""
    calm, disturbed = Session(case.build()).run(12), Session(case.build()).run(12)
    given, _ = disturbed.running[0]
    for value in NO_RESULTS:
        batch = [(given, value)]
        expect_error(EvaluationsError, partial(disturbed.hpo.tell, batch), f"the result {value!r:.20}")
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
    error = cast("EvaluationsError", expect_error(EvaluationsError, partial(hpo.tell, batch), "a batch with bad ones"))
    wanted = [suggestion.number for suggestion in [*bad, stranger, good[0]]]
    expect_equal(wanted, [getattr(item, "number", None) for item, _ in error.refused], "numbers that were refused")
    expect_equal([s.number for s in good], [trial.number for trial in hpo.trials], "numbers that were taken")
    expect_equal([s.number for s in bad], [suggestion.number for suggestion in hpo.running], "numbers still running")


def survives_extreme_results(case: Case) -> None:
    """Goes on, without a RuntimeWarning, when results are all equal, huge, tiny, or of two values only."""
    n = 40
    patterns: dict[str, list[float]] = {
        "all zero": [0.0] * n,
        "all equal": [-3.7] * n,
        "huge and of both signs": [1.7e308, -1.7e308] * n,
        "tiny": [number * 5e-324 for number in range(n)],
        "of two values": [0.0, 1.0] * n,
        "usual but for one outlier": [-1e300 if number == 3 else number * 1e-3 for number in range(n)],
    }
    for name, pattern in patterns.items():
        session = Session(case.build(), n_workers=2, value=partial(_nth, pattern))
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # numpy's: an infinity or a NaN got into a model
            try:
                session.run(n)
            except RuntimeWarning as warning:
                raise CheckFailed(f"wanted no RuntimeWarning where results are {name}, got {warning}") from warning
        for suggestion in session.asked:
            expect_legal(session.hpo.space, suggestion)


def takes_reports(case: Case) -> None:
    """Takes reports of a running trial, answers each with True or False, and takes the result of a stopped one."""
    session = Session(case.build())
    hpo = session.hpo
    while len(session.asked) < 12 and session.ask():
        given, kept = session.running.pop()
        perf = measure(hpo.space, kept) * (1 if hpo.mode == "max" else -1)
        for done in (1, 2, 3):
            answer = hpo.report(given, done, perf)
            expect(type(answer) is bool, "True or False for a report", repr(answer))
            if not answer:
                break
        expect_error(EvaluationsError, partial(hpo.report, given, 4, math.nan), "a report of NaN")
        hpo.tell(given, perf, is_stopped=not answer)
        trial = hpo.trials[-1]
        expect(len(trial.reports) == done, f"the trial to hold its {done} reports", trial.reports)
        expect_error(EvaluationsError, partial(hpo.report, given, 4, perf), "a report after the end")
