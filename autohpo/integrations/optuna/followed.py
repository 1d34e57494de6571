"""Followed: a study of Optuna as an algorithm of ours is told of it, trial by trial."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as TheirState

from autohpo.algorithms.parts.joint import Joint, Notes, Seen
from autohpo.integrations.optuna.distributions import Codec
from autohpo.trial import Outcome, TrialState

__all__ = ["CONSTRAINTS", "NOTES", "Followed"]

CONSTRAINTS = "constraints"
"""Where Optuna keeps what constraints_func returns, among the system attributes of a trial."""

NOTES = "autohpo:notes"
"""Where our algorithm's notes on its suggestion are, as JSON."""


class Followed:
    """The trials of one study, as the algorithm was told of them.

    Args:
        joint: The algorithm.
        codec: Reads distributions.
        codes: Whether the algorithm searches what `codec` makes of them; else a space of the user's.
    """

    def __init__(self, joint: Joint, codec: Codec, *, codes: bool) -> None:
        self.joint, self._codec, self._codes = joint, codec, codes
        self._first = 0  # no trial before it is open
        self._ended: set[int] = set()  # beyond that
        self._open: list[FrozenTrial] = []
        self._drawn: dict[int, Seen] = {}  # what was drawn here for trials that run
        self._distributions: dict[str, BaseDistribution] = {}

    def catch_up(self, study: Study) -> None:
        """Take the trials that have ended since the last call, and see which ones run."""
        trials = study.get_trials(deepcopy=False)
        self._open = []
        for trial in trials[self._first :]:
            if trial.number in self._ended:
                continue
            if trial.state.is_finished():
                self._ended.add(trial.number)
                self._drawn.pop(trial.number, None)
                self._distributions |= trial.distributions
                self.joint.take(self._seen(trial, _outcome(trial)))
            elif trial.state == TheirState.RUNNING:
                self._open.append(trial)
        while self._first in self._ended:
            self._ended.discard(self._first)
            self._first += 1

    def relative(self) -> dict[str, BaseDistribution]:
        """Return the distributions of what the algorithm draws."""
        return {name: self._distributions[name] for name in self.joint.names}

    def draw(self, number: int | None) -> tuple[dict[str, Any], Notes]:
        """Draw for a trial; for None see whether there is anything left."""
        made, notes = self.joint.draw(self._running(number))
        if number is not None:
            self._drawn[number] = Seen(number, made, {}, notes=notes)
        return made, notes

    def _running(self, number: int | None) -> Iterator[Seen]:
        """The trials that run beside one, with what was drawn for them here or is in the storage."""
        for trial in self._open:
            if trial.number != number:
                yield self._drawn.get(trial.number) or self._seen(trial, Outcome(TrialState.RUNNING))

    def _seen(self, trial: FrozenTrial, outcome: Outcome) -> Seen:
        theirs, values = trial.distributions, trial.params
        notes = json.loads(trial.system_attrs.get(NOTES, "{}"))
        if not self._codes:
            return Seen(trial.number, values, {}, outcome, notes)
        parameters = self._codec.parameters(theirs)
        ours = {name: self._codec.ours(theirs[name], values[name]) for name in parameters}
        return Seen(trial.number, ours, parameters, outcome, notes)


def _outcome(trial: FrozenTrial) -> Outcome:
    """How a trial of Optuna ended, in our terms."""
    values: Sequence[float] = trial.values or ()
    if trial.state == TheirState.PRUNED and trial.last_step is not None:
        values = [trial.intermediate_values[trial.last_step]]
    has_values = trial.state in (TheirState.COMPLETE, TheirState.PRUNED) and len(values) > 0
    if not has_values or not all(map(math.isfinite, values)):
        return Outcome(TrialState.FAILED, error=str(trial.state))
    state = TrialState.COMPLETE if trial.state == TheirState.COMPLETE else TrialState.STOPPED
    held = trial.system_attrs.get(CONSTRAINTS) or ()
    named = {f"c{i}": float(value) for i, value in enumerate(held)}
    own = {k.partition(":")[2]: float(v) for k, v in trial.system_attrs.items() if k.startswith(f"{CONSTRAINTS}:")}
    return Outcome(state, tuple(float(value) for value in values), {**named, **own})
