"""What a log must say, worked out by hand: equal runs, right values, and what a stopping rule ends."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

import program
from program import SPACE

from autohpo import SearchSpace, Trial
from autohpo.objectives import Objectives
from autohpo.store import LogEvent, RunState


def canonical(events: Iterable[LogEvent]) -> list[tuple[str, int, dict[str, Any]]]:
    """A log without what depends on when its drivers died, and on nothing else.

    Left out are times, costs (which are seconds), places and attempts; *start*, *interrupt* and *late* events; and
    reports of attempts that did not end their trial, which the last attempt made anew. What remains, in its order, is
    every suggestion, every report and every result: two runs of one search with one worker share it exactly.
    """
    events = list(events)
    last = {event.trial: event.attempt for event in events if event.kind == "end"}
    return [
        (event.kind, event.trial, {name: value for name, value in event.data.items() if name != "cost"})
        for event in events
        if event.kind in ("ask", "end") or (event.kind == "report" and event.attempt == last.get(event.trial))
    ]


def trials_of(events: Iterable[LogEvent]) -> list[Trial]:
    """The trials of a log as they stand."""
    return RunState(SearchSpace(SPACE), Objectives.of("max")).follow(events).trials()


def root_of(asks: Mapping[int, Mapping[str, Any]], number: int) -> int:
    """The first trial of a chain."""
    resume = asks[number]["resume"]
    return number if resume is None else root_of(asks, resume)


def saved_values(asks: Mapping[int, Mapping[str, Any]], number: int) -> list[float]:
    """What a training that saves its epochs gives, from the training on that it was copied from, if it was."""
    root = root_of(asks, number)
    source = asks[root].get("fork")
    values = [] if source is None else saved_values(asks, source)[: math.ceil(asks[source]["fidelity"])]
    hp = SearchSpace(SPACE).from_json(asks[root]["hp"])
    while len(values) < program.EPOCHS:
        values.append(program.later(values, hp, asks[root]["seed"]))
    return values


def verdicts(events: Iterable[LogEvent], *, is_exact: bool) -> dict[str, int]:
    """What the median rule says of each trial, applied to the log by hand, and what became of it.

    Args:
        events: The log.
        is_exact: Whether a trial ends at the very report that the rule ends it at. A worker does not wait for the
            answer to its report, so it may come further, or to its end.
    """
    curves: dict[int, dict[float, float]] = {}
    finished: list[dict[float, float]] = []
    ended: set[int] = set()  # what the rule would have ended
    counts: dict[str, int] = {"unruly": 0, "stopped": 0, "missed": 0}
    for event in events:
        number = event.trial
        if event.kind == "start":
            curves[number] = {}
            ended.discard(number)
        elif event.kind == "report":
            fidelity, perf = event.data["fidelity"], event.data["perf"]
            counts["unruly"] += is_exact and number in ended
            there = [curve[fidelity] for curve in finished if fidelity in curve]
            curves[number][fidelity] = perf
            if len(there) >= 3 and perf < statistics.median(there):
                ended.add(number)
        elif event.kind == "end":
            is_stopped, should_be = event.data["state"] == "STOPPED", number in ended
            counts["stopped"] += is_stopped
            counts["missed"] += should_be and not is_stopped
            counts["unruly"] += is_stopped is not should_be if is_exact else is_stopped and not should_be
            finished.append(curves.pop(number))
    return counts
