"""Trials of Optuna as events of our log."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autohpo.integrations.optuna.inferring import InferredSpace
from autohpo.integrations.optuna.kept import NOTE, note_of
from autohpo.integrations.optuna.library import load_optuna
from autohpo.spaces import SearchSpace
from autohpo.store import LogEvent
from autohpo.store.run_state import suggestion_data
from autohpo.trial import Outcome, Suggestion, TrialState


def first_step(trials: Sequence[Any]) -> int:
    """Return what is added to steps: fidelities count what was trained, and so begin with 1 at the least."""
    first = min((step for trial in trials for step in trial.intermediate_values), default=1)
    return max(0, 1 - first)


def seconds_of(time: Any) -> float:
    """Return a time of Optuna, which is local, in Unix seconds."""
    seconds: float = time.timestamp()
    return seconds


class Writer:
    """Writes the trials of a study as events.

    Args:
        inferred: The space.
        texts: The place of each distribution's text, which grows.
        n_objectives: How many objectives there are.
        shift: What is added to a step to make it a fidelity.
    """

    def __init__(self, inferred: InferredSpace, texts: dict[str, int], n_objectives: int, shift: int) -> None:
        self._inferred, self._texts, self._n, self._shift = inferred, texts, n_objectives, shift
        self._space: SearchSpace = inferred.space
        self._text_of = load_optuna().distributions.distribution_to_json
        self._states = load_optuna().trial.TrialState

    def events(self, trial: Any, number: int, asked: float) -> Iterator[LogEvent]:
        """Yield the events of a trial."""
        places = {}
        for name, distribution in trial.distributions.items():
            text = self._text_of(distribution)
            places[name] = self._texts.setdefault(text, len(self._texts))
        hp, filled = self._inferred.configuration(trial.params)
        info: dict[str, Any] = {NOTE: note_of(trial, places)}
        if filled:
            info["filled"] = filled
        ask = suggestion_data(Suggestion(hp, number=number, info=info), self._space)
        yield LogEvent("ask", number, 0, ask, asked)
        if trial.state == self._states.WAITING:
            return
        started = max(asked, seconds_of(trial.datetime_start)) if trial.datetime_start else asked
        yield LogEvent("start", number, 1, {"slot": 0}, started)
        ended = max(started, seconds_of(trial.datetime_complete)) if trial.datetime_complete else started
        if self._n == 1:
            for step, value in sorted(trial.intermediate_values.items()):
                if math.isfinite(value):
                    report = {"fidelity": float(step + self._shift), "perf": float(value)}
                    yield LogEvent("report", number, 1, report, ended)
        if trial.state != self._states.RUNNING:
            yield LogEvent("end", number, 1, self._outcome(trial, ended - started).to_json(), ended)

    def _outcome(self, trial: Any, cost: float) -> Outcome:
        """Return how a trial ended."""
        values = tuple(float(value) for value in trial.values or ())
        state, error, reached = TrialState.FAILED, "its state in Optuna is FAIL", None
        if trial.state == self._states.COMPLETE:
            state, error = TrialState.INVALID, f"the result must be finite, got {list(values)}"
            if len(values) == self._n and all(map(math.isfinite, values)):
                state = TrialState.COMPLETE
        elif trial.state == self._states.PRUNED:
            error = "pruned before its first finite report"
            points = [
                (step, value) for step, value in sorted(trial.intermediate_values.items()) if math.isfinite(value)
            ]
            if points and self._n == 1:
                state, reached = TrialState.STOPPED, points[-1][0] + self._shift
                values = values if len(values) == 1 and math.isfinite(values[0]) else (float(points[-1][1]),)
        if not state.has_perf:
            return Outcome(state, cost=cost, error=error)
        return Outcome(state, values, _constraints(trial), _metrics(trial), cost, reached)


def _metrics(trial: Any) -> dict[str, float]:
    """Return the user attributes that are finite numbers."""
    found: Mapping[str, Any] = trial.user_attrs
    return {k: float(v) for k, v in found.items() if type(v) in (int, float) and abs(v) < 1e300}


def _constraints(trial: Any) -> dict[str, float]:
    """Return the constraints of a trial, as Optuna 4 and 5 keep them."""
    attrs: Mapping[str, Any] = trial.system_attrs
    listed = attrs.get("constraints") or ()
    found = {str(place): value for place, value in enumerate(listed)}
    found |= {key.partition(":")[2]: value for key, value in attrs.items() if key.startswith("constraints:")}
    return {name: float(value) for name, value in found.items() if type(value) in (int, float) and math.isfinite(value)}
