"""Changes: the log, event by event, in the words of trackers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autohpo.outcome import NOTHING
from autohpo.store import LogEvent, RunState
from autohpo.trial import Trial


class Changes:
    """Folds the log, and says of each event what a tracker is told.

    Args:
        state: The state of the run, at the beginning of its log.
        names: The name of each objective.
    """

    def __init__(self, state: RunState, names: Sequence[str]) -> None:
        self.state, self._names = state, tuple(names)
        self._said: dict[int, tuple[int, Mapping[str, float]]] = {}  # the last step of a running trial, and its numbers

    def of(self, event: LogEvent) -> tuple[Trial, int, Mapping[str, float]]:
        """Take the next event; return its trial as it then stands, the step, and the numbers that are new."""
        number, kind = event.trial, event.kind
        trial = self.state.apply(event)
        if trial is None:
            trial = self.state[number]
        if kind == "report":
            return trial, *self._reported(event, trial)
        if kind == "end":
            return trial, *self._ended(trial)
        if kind == "start":  # it begins anew, whatever an earlier attempt has reported
            self._said.pop(number, None)
        return trial, 0, NOTHING

    def _reported(self, event: LogEvent, trial: Trial) -> tuple[int, Mapping[str, float]]:
        step, _ = self._said.get(event.trial, (-1, NOTHING))
        if event.attempt < trial.attempt:  # of an attempt that no longer counts
            return max(step, 0), NOTHING
        perf = event.data["perf"]
        values = self._measured(
            perf if isinstance(perf, (list, tuple)) else (perf,), event.data.get("metrics", NOTHING)
        )
        found = next_step(step, event.data["fidelity"])
        self._said[event.trial] = found, values
        return found, values

    def _ended(self, trial: Trial) -> tuple[int, Mapping[str, float]]:
        step, said = self._said.pop(trial.number, (-1, NOTHING))
        reached = trial.outcome.reached if trial.outcome.reached is not None else trial.fidelity
        last = trial.reports[-1][0] if trial.reports else None
        if reached is not None and reached != last:
            step, said = next_step(step, reached), NOTHING
        values = self._measured(trial.perfs, trial.metrics)
        values |= {f"constraint.{name}": value for name, value in trial.constraints.items()}
        more = {"cost": trial.cost, "seconds": trial.seconds}
        values |= {name: value for name, value in more.items() if value is not None and name not in values}
        return max(step, 0), {name: value for name, value in values.items() if said.get(name) != value}

    def _measured(self, perfs: Sequence[float], metrics: Mapping[str, Any]) -> dict[str, float]:
        return {**dict(zip(self._names, perfs, strict=False)), **metrics}


def next_step(before: int, fidelity: float) -> int:
    """Return the step of a fidelity: the fidelity itself, or the next integer where it is a fraction or no more.

    Args:
        before: The step before it; -1 where there is none.
        fidelity: The fidelity.
    """
    return int(fidelity) if fidelity == int(fidelity) > before else before + 1
