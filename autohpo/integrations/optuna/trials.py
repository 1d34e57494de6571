"""Trials of ours as trials of Optuna."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from autohpo.integrations.optuna.columns import Columns
from autohpo.integrations.optuna.kept import TRIAL_KEY, KeptStudy, record_of
from autohpo.integrations.optuna.library import load_optuna
from autohpo.integrations.optuna.steps import Steps
from autohpo.outcome import perfs_of
from autohpo.spaces import SearchSpace
from autohpo.trial import Trial, TrialState

_PLAIN = (bool, int, float, str, type(None))


class Converter:
    """Makes Optuna's trials of ours.

    ========================================================  ==================================================
    here                                                      in Optuna
    ========================================================  ==================================================
    COMPLETE with the most training so far                    COMPLETE
    COMPLETE with less, STOPPED                               PRUNED, with its value
    FAILED, INVALID, CRASHED, TIMEOUT, MEMORY, LOST           FAIL
    without an end, also where it will be started again       RUNNING
    ========================================================  ==================================================

    Args:
        space: The space of the run.
        kept: What the run keeps of an Optuna study that it was imported from.
        levels: The number of levels that numbers are rounded to; None rounds none.

    Attributes:
        steps: How fidelities become steps.
    """

    def __init__(self, space: SearchSpace, kept: KeptStudy, levels: int | None = None) -> None:
        self._space, self._columns, self._kept = space, Columns(space, levels), kept
        self._has_notes = levels is None
        self.steps = Steps()
        library = load_optuna().trial
        self._make, self._states = library.FrozenTrial, library.TrialState

    def frozen(
        self, trial: Trial, *, is_running: bool, top: float, asked: float = 0.0, has_record: bool = False
    ) -> Any:
        """Return a trial of Optuna.

        Args:
            trial: The trial.
            is_running: Whether it has no end.
            top: How much training a COMPLETE trial must have to be one there.
            asked: Unix seconds of its suggestion.
            has_record: Whether a system attribute has all of it, so that an import loses nothing.
        """
        known = self._kept.trial(trial, is_running=is_running) if self._has_notes else None
        if known is not None:
            return known
        there = self._columns.of(trial.hp)
        system: dict[str, Any] = {}
        if trial.constraints:
            system["constraints"] = list(trial.constraints.values())
        if has_record:
            system[TRIAL_KEY] = record_of(trial, self._space, is_running=is_running)
        began = next((time for time in (trial.started, trial.ended, asked) if time is not None), 0.0)
        ended = None if is_running else trial.ended if trial.ended is not None else began
        state = self._states.RUNNING if is_running else self._state_of(trial, top)
        return self._make(
            number=trial.number,
            trial_id=trial.number,
            state=state,
            value=None,
            values=list(trial.perfs)
            if trial.perfs and state not in (self._states.FAIL, self._states.RUNNING)
            else None,
            datetime_start=moment(began),
            datetime_complete=None if ended is None else moment(ended),
            params=there.params,
            distributions=there.distributions,
            user_attrs={**attributes_of(trial), **{f"hp.{name}": text for name, text in there.others.items()}},
            system_attrs=system,
            intermediate_values=self.steps.of(points_of(trial)),
        )

    def _state_of(self, trial: Trial, top: float) -> Any:
        if trial.state is TrialState.COMPLETE:
            return self._states.COMPLETE if trial.reached >= top else self._states.PRUNED
        return self._states.PRUNED if trial.state is TrialState.STOPPED else self._states.FAIL


def points_of(trial: Trial) -> list[tuple[float, float]]:
    """Return the ``(fidelity, perf)`` points of a trial: its reports, else its result; of the first objective."""
    points = [(fidelity, perfs_of(perf)[0]) for fidelity, perf in trial.reports]
    if not points and trial.fidelity is not None and trial.perf is not None:
        points.append((trial.reached, trial.perf))
    return points


def attributes_of(trial: Trial) -> dict[str, Any]:
    """Return what Optuna has no place for, by name: number, state, fidelity, cost, error, metrics and notes."""
    found: dict[str, Any] = {"trial": trial.number, "state": trial.state.value}
    for name in ("fidelity", "resume", "fork", "cost"):
        value = getattr(trial, name)
        if value is not None:
            found[name] = value
    if trial.state is TrialState.STOPPED:
        found["reached"] = trial.reached
    if trial.attempt > 1:
        found["attempt"] = trial.attempt
    for name in ("error", "why"):
        if getattr(trial.outcome, name):
            found[name] = getattr(trial.outcome, name)
    found |= {f"metric.{name}": value for name, value in trial.metrics.items()}
    found |= {f"constraint.{name}": value for name, value in trial.constraints.items()}
    found |= {name: note for name, note in trial.info.items() if type(note) in _PLAIN and name not in found}
    return found


def moment(seconds: float) -> datetime:
    """Return Unix seconds as Optuna's time, which is local and has no zone; the epoch where they are out of range."""
    try:
        return datetime.fromtimestamp(seconds)  # noqa: DTZ006 - Optuna's times have no zone
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0)  # noqa: DTZ006
