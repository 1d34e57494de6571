"""What one side keeps of the other's trials, so that a run goes there and back without loss."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from autohpo.errors import StoreCorruptError
from autohpo.integrations.optuna.library import load_optuna
from autohpo.spaces import SearchSpace
from autohpo.store import LogEvent
from autohpo.store.run_state import suggestion_data
from autohpo.trial import Trial

TRIAL_KEY = "autohpo:trial"
"""The system attribute of a trial of Optuna that has all of ours."""

HEADER_KEY = "autohpo:header"
"""The system attribute of a study of Optuna that has the header of our run."""

NOTE = "optuna"
"""The note of a suggestion of ours, and the entry of a header, with all of Optuna's trial, or of its study."""


def record_of(trial: Trial, space: SearchSpace, *, is_running: bool) -> dict[str, Any]:
    """Return all of a trial in JSON types.

    Args:
        trial: The trial.
        space: The space of the run.
        is_running: Whether it has no end.
    """
    return {
        "ask": suggestion_data(trial.suggestion, space),
        "attempt": trial.attempt,
        "started": trial.started,
        "ended": trial.ended,
        "reports": [[fidelity, perf] for fidelity, perf in trial.reports],
        "end": None if is_running else trial.outcome.to_json(),
    }


def events_of(record: Mapping[str, Any], number: int, asked: float) -> Iterator[LogEvent]:
    """Return the events of a trial that :func:`record_of` wrote.

    Args:
        record: What it wrote.
        number: The number of the trial.
        asked: Unix seconds of its suggestion.
    """
    attempt, started, ended = record["attempt"], record["started"], record["ended"]
    yield LogEvent("ask", number, 0, record["ask"], asked)
    for n in range(1, attempt + 1):
        yield LogEvent("start", number, n, {"slot": 0}, asked if started is None else started)
    last = next((time for time in (ended, started) if time is not None), asked)
    for fidelity, perf in record["reports"]:
        yield LogEvent("report", number, attempt, {"fidelity": float(fidelity), "perf": perf}, last)
    if record["end"] is not None:
        yield LogEvent("end", number, attempt, record["end"], last)


def note_of(trial: Any, places: Mapping[str, int]) -> str:
    """Return all of a trial of Optuna as a text; numbers may be what JSON in our log cannot hold.

    Args:
        trial: The trial.
        places: The place of each of its distributions among those that the header keeps.
    """
    times = (trial.datetime_start, trial.datetime_complete)
    data = {
        "state": trial.state.name,
        "values": trial.values,
        "params": {name: [places[name], _internal(trial, name)] for name in trial.params},
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
        "intermediate_values": list(trial.intermediate_values.items()),
        "times": [None if time is None else time.isoformat() for time in times],
    }
    return json.dumps(data, default=repr)


def _internal(trial: Any, name: str) -> float:
    internal: float = trial.distributions[name].to_internal_repr(trial.params[name])
    return internal


class KeptStudy:
    """What the header of a run keeps of the study of Optuna that it was imported from.

    Args:
        header: The header.

    Attributes:
        name: The name of the study; empty where the run was not imported.
        user_attrs: The user attributes of the study.
        system_attrs: The system attributes of the study.

    Raises:
        StoreCorruptError: It cannot be read.
    """

    def __init__(self, header: Mapping[str, Any]) -> None:
        data = header.get(NOTE, {})
        try:
            self.name: str = data.get("study", "")
            self.user_attrs: dict[str, Any] = json.loads(data.get("user_attrs", "{}"))
            self.system_attrs: dict[str, Any] = json.loads(data.get("system_attrs", "{}"))
            read = load_optuna().distributions.json_to_distribution if data else None
            self._distributions = [] if read is None else [read(text) for text in data["distributions"]]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StoreCorruptError(
                f"store: what its header keeps of an Optuna study cannot be read: {error}"
            ) from None

    def trial(self, trial: Trial, *, is_running: bool) -> Any | None:
        """Return the trial of Optuna that one of ours was imported from; None where it was not, or has gone on since.

        Args:
            trial: The trial.
            is_running: Whether it has no end.

        Raises:
            StoreCorruptError: What is kept of it cannot be read.
        """
        text = trial.info.get(NOTE)
        if not isinstance(text, str) or not self.name:
            return None
        library = load_optuna().trial
        try:
            data = json.loads(text)
            state = library.TrialState[data["state"]]
            if state.is_finished() is is_running or (is_running and trial.attempt > 1):
                return None
            there = {name: self._distributions[place] for name, (place, _) in data["params"].items()}
            start, end = (None if time is None else datetime.fromisoformat(time) for time in data["times"])
            return library.FrozenTrial(
                number=trial.number,
                trial_id=trial.number,
                state=state,
                value=None,
                values=data["values"],
                datetime_start=start,
                datetime_complete=end,
                params={name: there[name].to_external_repr(inner) for name, (_, inner) in data["params"].items()},
                distributions=there,
                user_attrs=data["user_attrs"],
                system_attrs=data["system_attrs"],
                intermediate_values={int(step): value for step, value in data["intermediate_values"]},
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StoreCorruptError(
                f"store: what trial {trial.number} keeps of an Optuna study cannot be read: {error}"
            ) from None
