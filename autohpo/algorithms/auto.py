"""Auto: picks algorithms by space, objectives, fidelity, budget and workers, and combines them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.sampler import Sampler
from autohpo.algorithms.registry import register_hpo
from autohpo.algorithms.session import session_of
from autohpo.errors import OptionError
from autohpo.schedulers.limits import TrainingPlan
from autohpo.schedulers.rungs import is_count, rungs_of
from autohpo.schedulers.schedule import SLACK
from autohpo.trial import Suggestion, whole

MANY_WORKERS = 32
"""The number of trials at once from which on a Gaussian process, told so late of its results, is no better than tpe."""
LONG_RUN = 400
"""The number of trials from which on a Gaussian process costs more than it gives: half a second a suggestion."""
LONG_FRONT = 250
"""The number of trials from which on the volume of a front costs more than it gives: 40 ms a suggestion at 200."""
MANY_OBJECTIVES = 3
"""The number of objectives up to which the volume of a front is cheap."""
N_TELLING = 8
"""The number of first trials that show whether results come with constraints: the very first may have failed."""


@register_hpo("auto")
@dataclass(eq=False, kw_only=True)
class AutoSearch(BaseHPOptimizer):
    """Chooses an algorithm for each suggestion, and says in ``Suggestion.info["member"]`` which.

    With fidelities, that is where `max_fidelity` is given and the objective takes one, it is ``mobster``, and
    ``hyperband`` with the sampler ``motpe`` for several objectives. In full, it is ``ehvi`` for several objectives, and
    ``motpe`` when there are more than three, or very many trials. Otherwise it is ``bayes`` while trials are few, and
    ``tpe`` when they are many, when very many run at once, or when results come with constraints.

    Args:
        min_fidelity: Least that a trial gets; only with `max_fidelity`.
        max_fidelity: Most that a trial gets; None where every trial is run in full.
        eta: Factor between rungs, at least 2.
        whole_fidelity: Whether rungs are rounded to integers; None is where both ends are integers, and a stored run
            goes on with its own.
        budget: What the search may train in all, in full evaluations; see
            :class:`autohpo.algorithms.scheduled.Scheduled`.
    """

    ends_with_space: ClassVar[bool] = True
    takes_budget: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})

    min_fidelity: float = 1.0
    max_fidelity: float | None = None
    eta: float = 3.0
    whole_fidelity: bool | None = None
    budget: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_fidelity is not None:
            if not self.min_fidelity <= self.max_fidelity:
                rule = f"must be at least min_fidelity, {self.min_fidelity}"
                raise OptionError(f"max_fidelity: {rule}, got {self.max_fidelity}")
            rungs_of(self.min_fidelity, self.max_fidelity, self.eta, is_whole=self.whole_fidelity)  # raises, too
        self._is_whole_given = self.whole_fidelity is not None
        self._is_of_older_release = False  # whose runs go on with ``bohb``
        if self.whole_fidelity is None and self.max_fidelity is not None:
            self.whole_fidelity = is_count(self.min_fidelity, self.max_fidelity)

    def _resume_with(self, options: Mapping[str, Any]) -> Sequence[str]:
        self._is_of_older_release = "whole_fidelity" not in options
        kept = options.get("whole_fidelity", None if self.max_fidelity is None else False)  # older ones never rounded
        if self._is_whole_given and kept is not self.whole_fidelity:
            return ()
        self.whole_fidelity = kept
        return ("whole_fidelity",)

    @property
    def full_fidelity(self) -> float | None:
        """What this search gives a full evaluation; None where every trial is simply run in full."""
        is_scheduled = self.max_fidelity is not None and self.has_fidelity
        return whole(self.max_fidelity) if is_scheduled and self.max_fidelity is not None else None

    @property
    def default_evals(self) -> int:
        """How many suggestions a search makes that has no limit."""
        return super().default_evals if self.full_fidelity is None else self._scheduled().default_evals

    @property
    def says_improvement(self) -> bool:  # type: ignore[override]
        """Whether suggestions say what improvement they expect: those of `bayes` do."""
        return self.full_fidelity is None and self.objectives.n == 1

    def fidelity_schedule(self) -> Any:
        """Return the brackets of a search with fidelities, and what it will train; None for one without."""
        return None if self.full_fidelity is None else self._scheduled().fidelity_schedule()

    def training_plan(self) -> TrainingPlan | None:
        """Return what the search will train with its limits; None where it has none."""
        if self.full_fidelity is not None:
            found: TrainingPlan | None = self._scheduled().training_plan()
            aside = session_of(self).wanted.n_due_in_full(self.full_fidelity) if not self.n_asked else 0
            return None if found is None else found.plus_in_full(aside)
        if self.budget is None:
            return super().training_plan()
        n = math.floor(min(session_of(self).allowance.most_evals, self.budget + SLACK))
        return TrainingPlan(n, n, n, 1)

    def _scheduled(self) -> Any:
        """The optimizer that schedules fidelities for this one."""
        inner = Sampler(self._scheduled_name, self, self._scheduled_options()).inner
        inner.has_fidelity = self.has_fidelity
        return inner

    @property
    def _scheduled_name(self) -> str:
        if self.objectives.n > 1:
            return "hyperband"
        return "bohb" if self._is_of_older_release else "mobster"

    def _scheduled_options(self) -> dict[str, Any]:
        names = ("min_fidelity", "max_fidelity", "eta", "whole_fidelity", "max_evals", "budget", "stop_hopeless")
        options = {name: getattr(self, name) for name in names}
        if self.objectives.n > 1:
            return {**options, "sampler": "motpe"}
        return {**options, "sampler": self._of_brackets()} if self._is_of_older_release else options

    @property
    def resumable(self) -> frozenset[int]:
        """The finished trials that may still be continued."""
        name = self._choice()
        return self._sampler(name).resumable(self.history) if name == self._scheduled_name else frozenset()

    def why(self, number: int) -> str:
        """Return why a trial went on, paused or stopped; the empty string where the algorithm has no reason.

        Args:
            number: The number of a finished trial.
        """
        own = super().why(number)
        if own or self.full_fidelity is None or not self.n_asked:
            return own
        return self._sampler(self._scheduled_name).why(self.history, number)

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._n_workers = num_workers
        self._samplers: dict[str, Sampler] = {}

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        return self._suggest(pid)

    def _suggest_point(self, pid: int, hp: dict[str, Any]) -> Mapping[str, Any]:
        """A point starts where the algorithm that schedules fidelities lets it start."""
        return hp if self.full_fidelity is None else self._suggest(pid, hp)

    def _suggest(self, pid: int, point: dict[str, Any] | None = None) -> Suggestion:
        name = self._choice()
        suggestion = self._sampler(name).suggest(self.history, pid, point=point).copy()
        suggestion.info["member"] = name
        return suggestion

    def _choice(self) -> str:
        """Who makes the next suggestion; a function of the problem and of the number."""
        if self.max_fidelity is not None and self.has_fidelity:
            return self._scheduled_name
        is_crowded = self._n_workers >= MANY_WORKERS
        if self.objectives.n > 1:
            is_short = self.number < LONG_FRONT and self.objectives.n <= MANY_OBJECTIVES
            return "ehvi" if is_short and not is_crowded else "motpe"
        has_constraints = any(trial.constraints for trial in self.trials[:N_TELLING])  # all results have them, or none
        if has_constraints or is_crowded or self.number >= LONG_RUN:
            return "tpe"
        return "bayes"

    def _of_brackets(self) -> str | None:
        """The sampler of ``bohb``: in a run that an older release began it was ``kde``, which notes when it models."""
        notes = [trial.info for trial in self.trials[:N_TELLING]] + [item.info for item in self.history.running]
        return "kde" if any("model" in info for info in notes) else None

    def _sampler(self, name: str) -> Sampler:
        if name not in self._samplers:
            options = self._scheduled_options() if name == self._scheduled_name else {}
            self._samplers[name] = Sampler(name, self, options)
        return self._samplers[name]
