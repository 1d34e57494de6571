"""Composition: an algorithm that asks others, each of which knows the whole history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import get_hpo
from autohpo.trial import Suggestion, Trial, TrialState


class Sampler:
    """Another algorithm inside an optimizer: it sees every trial, whoever suggested it.

    It is a function of the optimizer's history: what it lacks is adopted and told before it is asked.

    Args:
        name: Of the algorithm.
        hpo: The optimizer that it works for; space, seed and directions are the same.
        options: Of the algorithm.
    """

    def __init__(self, name: str, hpo: BaseHPOptimizer, options: Mapping[str, Any] | None = None) -> None:
        mode: Any = (
            ["max"] * hpo.objectives.n if hpo.objectives.n > 1 else "max"
        )  # what it is told is higher where it is better
        self._hpo = hpo
        self.inner = get_hpo(name)(hpo.space, seed=hpo.seed, mode=mode, **(options or {}))
        self.inner.has_fidelity = hpo.has_fidelity
        self._n_told = 0

    def ask(self, pid: int) -> Suggestion:
        """Its next suggestion.

        Raises:
            OptimizationComplete: It has none left.
            NotReady: It waits for a result.
        """
        self._follow()
        return self.inner.ask(pid)

    @property
    def resumable(self) -> frozenset[int]:
        """Numbers of finished trials that it may still continue."""
        self._follow()
        return self.inner.resumable

    def _follow(self) -> None:
        """Learns what was asked and told since the last time."""
        told = self._hpo.trials[self._n_told :]
        self._n_told += len(told)
        known = self.inner.n_asked
        new: dict[int, Trial | Suggestion] = {trial.number: trial for trial in told if trial.number >= known}
        new |= {one.number: one for one in self._hpo.running if one.number >= known}
        for number in sorted(new):
            self.inner.adopt(_suggestion(new[number]))
        running = {one.number: one for one in self.inner.running}
        for trial in told:
            if trial.perf is None:
                self.inner.fail(running[trial.number], trial.error, trial.state)
            else:
                is_stopped = trial.state is TrialState.STOPPED
                perf = trial.perf if len(trial.perfs) == 1 else trial.perfs
                held = dict(trial.constraints) or None
                self.inner.tell(running[trial.number], perf, constraints=held, is_stopped=is_stopped)


def _suggestion(item: Trial | Suggestion) -> Suggestion:
    """A trial as it was suggested."""
    return Suggestion(
        item if isinstance(item, Suggestion) else item.hp,
        fidelity=item.fidelity,
        resume=item.resume,
        info=item.info,
        number=item.number,
        pid=item.pid,
    )
