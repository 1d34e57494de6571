"""Every algorithm of autohpo, by its public interface alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from autohpo import BaseHPOptimizer, build_hpo_from_name
from autohpo.algorithms.registry import get_hpo
from autohpo.errors import NotReady, OptimizationComplete
from suite.fidelity.simulator import Exhausted, Job, Setting
from suite.fidelity.task import FidelityTask
from suite.rivals.ours import our_parameters


class Ours:
    """One of our algorithms; its range of fidelities is the task's unless an option says otherwise.

    Args:
        name: A registered name.
        task: Says space and fidelities.
        seed: Of the search.
        setting: Says workers, and whether promoted trials go on.
        options: Handed to the algorithm.
    """

    def __init__(self, name: str, task: FidelityTask, seed: int, setting: Setting, options: Mapping[str, Any]) -> None:
        kind = get_hpo(name)
        self.takes_reports = kind.is_multi_fidelity or kind._on_report is not BaseHPOptimizer._on_report
        known = {one.name for one in fields(kind)}
        bounds = {"min_fidelity": task.low, "max_fidelity": task.high}
        given = {**{key: value for key, value in bounds.items() if key in known}, **options}
        self._hpo = build_hpo_from_name(name, our_parameters(task.space), seed=seed, mode="max", **given)
        self._hpo.is_continued = setting.is_continued
        self._hpo.set_up(num_workers=setting.workers)
        self._full = task.high
        self._roots: dict[int, int] = {}
        self._had: dict[int, float] = {}

    def ask(self) -> Job | None:
        """The next suggestion, which is its own token."""
        try:
            suggestion = self._hpo.ask()
        except NotReady:
            return None
        except OptimizationComplete as error:
            raise Exhausted(str(error)) from error
        number, source = suggestion.number, suggestion.fork if suggestion.resume is None else suggestion.resume
        self._roots[number] = number if suggestion.resume is None else self._roots[suggestion.resume]
        had = 0.0 if source is None else self._had[source]
        fidelity = self._full if suggestion.fidelity is None else suggestion.fidelity
        return Job(suggestion, self._roots[number], dict(suggestion), fidelity, had)

    def report(self, job: Job, fidelity: float, value: float) -> bool:
        """Whether the algorithm lets the trial go on."""
        return self._hpo.report(job.token, fidelity, value)

    def tell(self, job: Job, fidelity: float, value: float, *, is_stopped: bool) -> None:
        """The result of a suggestion."""
        self._had[job.token.number] = fidelity
        self._hpo.tell(job.token, value, is_stopped=is_stopped)
