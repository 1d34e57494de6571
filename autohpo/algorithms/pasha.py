"""PASHA: asynchronous halving that gives little, and more only while that still changes who is best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autohpo.algorithms.parts.on_rungs import OnRungs
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.schedulers.pasha import ProgressivePromotion


@register_hpo("pasha")
@dataclass(eq=False, kw_only=True)
class PASHA(OnRungs):
    """Is ``asha`` with a top rung of its own, which is raised only while the order of trials still changes there.

    It saves training where short trainings say who is best: the answer is then one of a low fidelity, to be trained in
    full afterwards. Where they do not say it, it becomes ``asha``.

    Source: Bohdal et al. 2023, ICLR, PASHA: Efficient HPO and NAS with Progressive Resource Allocation, Algorithm 1.
    Epsilon, the noise of the order, is found from the fidelities that trials have in common, and not every one of them
    must be reported.

    Args:
        min_fidelity: Least that a trial gets; the lowest rung is the least ``max_fidelity / eta^k`` above it.
        max_fidelity: The most that a trial can get.
        eta: Factor between the fidelities of two rungs, at least 2; 1 / `eta` of the trials go on.
        percentile: Which percentile of the differences of noisy pairs counts as no difference.
        sampler: Where new configurations come from; see :class:`autohpo.algorithms.scheduled.Scheduled`.

    Raises:
        OptionError: An option breaks a rule.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = PASHA([RangeHP("x", 0.0, 1.0)], max_fidelity=81, seed=0)
        >>> for _ in range(60):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, suggestion["x"])
        >>> max(trial.fidelity for trial in hpo.trials)  # the order is the same at 1 and at 3
        3
    """

    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "outcome_constraints"})
    option_aliases: ClassVar[Mapping[str, str]] = {
        "min_budget": "min_fidelity",
        "max_budget": "max_fidelity",
        "grace_period": "min_fidelity",
        "max_t": "max_fidelity",
        "reduction_factor": "eta",
    }

    percentile: float = 90.0

    def _make_scheduler(self) -> ProgressivePromotion:
        if not 0 <= self.percentile <= 100:
            raise OptionError(f"percentile: must be from 0 to 100, got {self.percentile}")
        rungs = self.rungs
        made = ProgressivePromotion(rungs.fidelities, rungs.eta, percentile=self.percentile)
        made.n_round = rungs.n_trials
        return made
