"""The fold of an event log: the trials of a run as they stand."""

from __future__ import annotations

from collections.abc import Iterable
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
    trials: dict[int, dict[str, Any]] = {}  # the fields of each
    for event in events:
        data = event.data
        if event.kind == "ask":
            s = suggestion_from(event, space)
            fields = {"number": s.number, "hp": dict(s), "fidelity": s.fidelity, "resume": s.resume, "pid": s.pid}
            trials[event.trial] = {**fields, "info": s.info, "attempt": 0, "reports": []}
            continue
        trial = trials[event.trial]
        if event.kind == "start":
            trial.update(state=TrialState.RUNNING, attempt=event.attempt, started=event.time, ended=None)
            trial.update(reports=[], error="")
        elif event.kind == "report":
            if event.attempt == trial["attempt"]:
                trial["reports"].append((data["fidelity"], data["perf"]))
        else:  # end, interrupt
            trial.update(state=TrialState(data["state"]), error=data.get("error", ""), ended=event.time)
            perf = data.get("perf")
            perfs = () if perf is None else tuple(perf) if isinstance(perf, list) else (perf,)
            trial.update(perf=perfs[0] if perfs else None, perfs=perfs)
            trial.update(constraints=data.get("constraints", {}), metrics=data.get("metrics", {}))
    return [Trial(**{**trial, "reports": tuple(trial["reports"])}) for trial in trials.values()]
