"""Rules written plainly, with nothing of the library: what its schedulers must equal."""

from __future__ import annotations

from typing import Any

import numpy as np

from suite.fidelity.simulator import Job, Setting
from suite.fidelity.task import FidelityTask


class Random:
    """Random configurations, trained in full."""

    takes_reports = False

    def __init__(self, task: FidelityTask, seed: int, setting: Setting) -> None:
        self._task, self._rng, self._n = task, np.random.default_rng(seed), 0

    def ask(self) -> Job:
        """A new configuration."""
        self._n += 1
        return Job(None, self._n, self._task.space.sample(self._rng), self._task.high)

    def report(self, job: Job, fidelity: float, value: float) -> bool:
        """All go on."""
        return True

    def tell(self, job: Job, fidelity: float, value: float, *, is_stopped: bool) -> None:
        """Nothing is learned."""


class ASHA:
    """Promotes the best trial that was not promoted yet of the best floor(n / eta) of a rung, highest rung first.

    Source: Li et al. 2020, MLSys 2, Algorithm 2.

    Args:
        task: Says space and rungs.
        seed: Of the random configurations.
        setting: Not used.
        eta: The factor.
        rungs: The fidelities; those of the task if None.
    """

    takes_reports = False

    def __init__(
        self, task: FidelityTask, seed: int, setting: Setting, eta: int = 3, rungs: list[float] | None = None
    ) -> None:
        self._task, self._rng, self._eta, self._n = task, np.random.default_rng(seed), eta, 0
        self._levels = rungs or task.levels(eta)
        self._results: list[dict[Any, tuple[float, Job]]] = [{} for _ in self._levels]
        self._promoted: list[set[Any]] = [set() for _ in self._levels]

    def ask(self) -> Job:
        """A promotion, or else a new configuration."""
        for k in reversed(range(len(self._levels) - 1)):
            results, promoted = self._results[k], self._promoted[k]
            ranked = sorted(results, key=lambda trial: -results[trial][0])
            for trial in ranked[: len(ranked) // self._eta]:
                if trial not in promoted:
                    promoted.add(trial)
                    return Job(k + 1, trial, results[trial][1].hp, self._levels[k + 1], self._levels[k])
        self._n += 1
        return Job(0, self._n, self._task.space.sample(self._rng), self._levels[0])

    def report(self, job: Job, fidelity: float, value: float) -> bool:
        """Nothing is stopped between rungs."""
        return True

    def tell(self, job: Job, fidelity: float, value: float, *, is_stopped: bool) -> None:
        """The result at a rung."""
        self._results[job.token][job.trial] = (self._score(job, value), job)

    def _score(self, job: Job, value: float) -> float:
        return value


class OracleASHA(ASHA):
    """The same rule on what the trials will be worth in the end: what the best judge of beginnings could reach."""

    def _score(self, job: Job, value: float) -> float:
        return self._task.true(job.hp)
