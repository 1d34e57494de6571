"""Auto: picks algorithms by space, objectives, fidelity, budget and workers, and combines them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.sampler import Sampler
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError

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

    With fidelities, that is where `max_fidelity` is given and the objective takes one, it is ``bohb``. For several
    objectives it is ``ehvi``, and ``motpe`` when there are more than three, or very many trials. Otherwise it is
    ``bayes`` while trials are few, and ``tpe`` when they are many, when very many run at once, or when results come
    with constraints.

    Args:
        min_fidelity: Least that a trial gets; only with `max_fidelity`.
        max_fidelity: Most that a trial gets; None where every trial is run in full.
        eta: Factor between rungs, at least 2.
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})

    min_fidelity: float = 1.0
    max_fidelity: float | None = None
    eta: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_fidelity is not None and not 0 < self.min_fidelity <= self.max_fidelity:
            raise OptionError(
                f"max_fidelity: must be at least min_fidelity, {self.min_fidelity}, got {self.max_fidelity}"
            )

    @property
    def resumable(self) -> frozenset[int]:
        """The finished trials that may still be continued."""
        name = self._choice()
        return self._sampler(name).resumable(self.history) if name == "bohb" else frozenset()

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._n_workers = num_workers
        self._samplers: dict[str, Sampler] = {}

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        name = self._choice()
        suggestion = self._sampler(name).suggest(self.history, pid).copy()
        suggestion.info["member"] = name
        return suggestion

    def _choice(self) -> str:
        """Who makes the next suggestion; a function of the problem and of the number."""
        if self.max_fidelity is not None and self.has_fidelity:
            return "bohb"
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
            options: dict[str, Any] = {}
            if name == "bohb":
                options = {name: getattr(self, name) for name in ("min_fidelity", "max_fidelity", "eta", "max_evals")}
                options["sampler"] = self._of_brackets()
            self._samplers[name] = Sampler(name, self, options)
        return self._samplers[name]
