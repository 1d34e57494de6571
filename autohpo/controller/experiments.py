"""Experiments: the best jobs of a run, in order, and what is told of each."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from autohpo.arguments import checked_index
from autohpo.controller.jobs import Job, Jobs
from autohpo.controller.scalars import scalars_of
from autohpo.objectives import precedence, undominated
from autohpo.ranking import last_of_each, rank
from autohpo.trial import Trial, TrialState


def top_trials(trials: Sequence[Trial], k: int, way: str) -> list[Trial]:
    """Return the best trainings by their last trial, best first; a promoted trial stands for those it continued.

    Those that meet their constraints, and those with more training, come first. Several objectives are ordered by
    fronts: those that no other one beats, then those that only these beat, and so on. Of equals the first one is the
    better.

    Args:
        trials: All trials.
        k: How many are wanted.
        way: "max" or "min", where there is one objective.
    """
    done = last_of_each(trials)
    if not done or len(done[0].perfs) == 1:
        sign = 1 if way == "max" else -1
        return heapq.nlargest(k, done, key=lambda trial: rank(trial, sign))
    found: list[Trial] = []
    while done and len(found) < k:
        best = max(map(precedence, done))
        front = undominated([trial for trial in done if precedence(trial) == best])
        found += front
        there = {trial.number for trial in front}
        done = [trial for trial in done if trial.number not in there]
    return found[:k]


class Experiments:
    """What a controller tells of its best jobs.

    Args:
        jobs: The jobs.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def top(self, top_k: int, *, only_completed: bool = False) -> list[Job]:
        """Return the best jobs, the best one first.

        Args:
            top_k: How many.
            only_completed: Whether jobs that were stopped early are left out.

        Raises:
            OptionError: `top_k` is no integer of at least 0.
        """
        k = checked_index("top_k", top_k)
        trials = self._jobs.trials()
        if only_completed:
            trials = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        return [self._jobs.job(trial.number) for trial in top_trials(trials, k, self._jobs.metrics.each[0].way)]

    def details(self, jobs: Sequence[Job], *, all_metrics: bool, all_hyper_parameters: bool) -> list[dict[str, Any]]:
        """Return what is told of jobs: id, parameters, and metrics with their last, least and largest values.

        Args:
            jobs: The jobs.
            all_metrics: Whether metrics are told that are no objectives.
            all_hyper_parameters: Whether the hyper-parameter that is the fidelity is told, too, where one is.
        """
        return [
            {
                "task_id": job.id,
                "hyper_parameters": self._parameters(job, is_all=all_hyper_parameters),
                "metrics": self.metrics(job, is_all=all_metrics),
                "iteration": job.iterations(),
                "status": job.get_status(),
            }
            for job in jobs
        ]

    def metrics(self, job: Job, *, is_all: bool) -> dict[str, dict[str, Any]]:
        """Return the metrics of a job by "title/series"."""
        trial = job.trial
        return {} if trial is None else scalars_of(self._jobs.chain(trial), self._jobs.metrics, is_all=is_all)

    def _parameters(self, job: Job, *, is_all: bool) -> dict[str, Any]:
        trial, name = job.trial, self._jobs.fidelity
        more = {name: trial.fidelity} if is_all and name is not None and trial is not None else {}
        return {**job.get_parameters(), **more}
