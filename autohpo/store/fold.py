"""The fold of an event log: the trials of a run as they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from autohpo.spaces import SearchSpace
from autohpo.store.base import LogEvent
from autohpo.trial import Suggestion, Trial, TrialState


def suggestion_data(suggestion: Suggestion, space: SearchSpace) -> dict[str, Any]:
    """What an *ask* event holds of a suggestion: JSON types only."""
    return {
        "hp": space.to_json(suggestion),
        "fidelity": suggestion.fidelity,
        "resume": suggestion.resume,
        "pid": suggestion.pid,
        "seed": suggestion.seed,
        "info": suggestion.info,
    }


def suggestion_from(event: LogEvent, space: SearchSpace) -> Suggestion:
    """The suggestion of an *ask* event."""
    data = event.data
    return Suggestion(
        space.from_json(data["hp"]),
        fidelity=data["fidelity"],
        resume=data["resume"],
        info=data["info"],
        number=event.trial,
        pid=data["pid"],
        seed=data["seed"],
    )


def fold(events: Iterable[LogEvent], space: SearchSpace) -> list[Trial]:
    """The trials of a run in the order asked; each ``perf`` is the user's own value.

    Reports of an attempt that was superseded are left out: the later attempt reports anew.
    """
    trials: dict[int, Trial] = {}
    reports: dict[int, list[tuple[float, float]]] = {}
    for event in events:
        number = event.trial
        if event.kind == "ask":
            s = suggestion_from(event, space)
            trials[number] = Trial(number, dict(s), fidelity=s.fidelity, resume=s.resume, pid=s.pid, info=s.info)
        elif event.kind == "start":
            reports[number] = []
            fresh = replace(trials[number], state=TrialState.RUNNING, ended=None, error="")
            trials[number] = replace(fresh, attempt=event.attempt, started=event.time)
        elif event.kind == "report":
            reports[number].append((event.data["fidelity"], event.data["perf"]))
        else:  # end, interrupt
            trials[number] = replace(trials[number], ended=event.time, **_end(event.data))
    return [replace(trial, reports=tuple(reports.get(n, ()))) for n, trial in trials.items()]


def _end(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"state": TrialState(data["state"]), "perf": data.get("perf"), "error": data.get("error", "")}
