"""The fold of a log: the trials of a run as they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from autohpo.store.fold import fold, suggestion_data, suggestion_from

from autohpo import ChoiceHP, LogRangeHP, RangeHP, SearchSpace, Suggestion, Trial, TrialState
from autohpo.store import LogEvent
from autohpo.store.base import LogKind
from autohpo.trial import Outcome

OBJECT = object()
SPACE = SearchSpace([LogRangeHP("lr", 1e-4, 1.0), RangeHP("hops", 1, 8), ChoiceHP("norm", [None, True, 1, OBJECT])])
HP = {"lr": 0.1 + 0.2, "hops": 3, "norm": OBJECT}


def ask(number: int, **fields: Any) -> LogEvent:
    """The event of a new suggestion."""
    suggestion = Suggestion(HP, number=number, seed=9, **fields)
    return LogEvent("ask", number, 0, suggestion_data(suggestion, SPACE), 1.0)


def event(kind: LogKind, number: int, attempt: int, time: float, **data: Any) -> LogEvent:
    """Any other event."""
    return LogEvent(kind, number, attempt, data, time)


def test_a_suggestion_comes_back_from_json_with_every_attribute() -> None:
    """A choice that JSON cannot carry is the very object again."""
    suggestion = Suggestion(HP, fidelity=3.0, resume=4, info={"rung": 1}, number=7, pid=2, seed=9)
    text = json.dumps(suggestion_data(suggestion, SPACE))
    back = suggestion_from(LogEvent("ask", 7, 0, json.loads(text), 1.0), SPACE)
    assert back == suggestion
    assert back["norm"] is OBJECT
    for name in Suggestion.__slots__:
        assert getattr(back, name) == getattr(suggestion, name), name


def test_trials_are_folded_in_the_order_asked_with_every_field() -> None:
    """Written out by hand from the table of events."""
    log = [
        ask(0),
        ask(1, fidelity=3.0, resume=0, pid=1, info={"rung": 1}),
        event("start", 1, 1, 2.0, slot=1),
        event("report", 1, 1, 2.5, fidelity=2.0, perf=0.25),
        event("end", 1, 1, 3.0, state="STOPPED", perf=0.25, fidelity=2.0, error=""),
    ]
    assert fold(log, SPACE) == [
        Trial(0, HP),
        Trial(
            number=1,
            hp=HP,
            fidelity=3.0,
            resume=0,
            pid=1,
            info={"rung": 1},
            reports=((2.0, 0.25),),
            attempt=1,
            started=2.0,
            ended=3.0,
            outcome=Outcome(TrialState.STOPPED, (0.25,)),
        ),
    ]


@pytest.mark.parametrize("state", ["CANCELLED", "LOST"])
def test_an_interrupted_trial_shows_how_and_runs_again_from_nothing(state: str) -> None:
    """Its second attempt has none of the first one's reports, end and error."""
    log = [ask(0), event("start", 0, 1, 2.0, slot=0), event("report", 0, 1, 2.5, fidelity=1.0, perf=0.5)]
    log.append(event("interrupt", 0, 1, 3.0, state=state, error="the driver died"))
    (trial,) = fold(log, SPACE)
    assert (trial.state, trial.error, trial.ended) == (TrialState(state), "the driver died", 3.0)
    assert trial.reports == ((1.0, 0.5),)
    log.append(event("start", 0, 2, 4.0, slot=1))
    assert fold(log, SPACE) == [Trial(0, HP, attempt=2, started=4.0)]


def test_reports_of_a_superseded_attempt_are_left_out_even_if_they_come_late() -> None:
    """Only the last attempt's own reports stand, in their order."""
    log = [
        ask(0),
        event("start", 0, 1, 2.0, slot=0),
        event("report", 0, 1, 2.5, fidelity=1.0, perf=0.1),
        event("start", 0, 2, 3.0, slot=0),
        event("report", 0, 2, 3.25, fidelity=1.0, perf=0.2),
        event("report", 0, 1, 3.5, fidelity=2.0, perf=0.3),
        event("report", 0, 2, 3.75, fidelity=2.0, perf=0.4),
    ]
    assert fold(log, SPACE)[0].reports == ((1.0, 0.2), (2.0, 0.4))
    log.append(event("end", 0, 2, 4.0, state="COMPLETE", perf=0.4, fidelity=2.0, error=""))
    (trial,) = fold(log, SPACE)
    assert (trial.state, trial.perf, trial.attempt) == (TrialState.COMPLETE, 0.4, 2)


def test_the_fold_of_no_events_is_no_trials() -> None:
    """A run that was killed before its first suggestion."""
    assert fold([], SPACE) == []
