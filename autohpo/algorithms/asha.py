"""ASHA: asynchronous successive halving, which never waits: who is among the best so far goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from autohpo.algorithms.parts.on_rungs import OnRungs
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.schedulers.asha import AsyncPromotion, AsyncStopping
from autohpo.schedulers.observed import Observer, SearcherData, observer


@register_hpo("asha")
@dataclass(eq=False, kw_only=True)
class ASHA(OnRungs):
    """Trains many configurations a little, and the best third so far of each rung three times as long.

    It is successive halving that waits for nobody: a worker that is free promotes the best trial that is among the best
    1 / eta of its rung, or starts a new configuration. So one bracket serves any number of workers.

    Source: Li et al. 2020, MLSys 2, A System for Massively Parallel Hyperparameter Tuning, Algorithm 2; the stopping
    variant is Syne Tune's and Ray's; `rush`: Zappella et al. 2021, arXiv 2103.16111. From `eta` results at a rung on,
    the best ``floor(n / eta)`` go on.

    Args:
        type: "promotion" pauses every trial at each rung, and continues it when it is promoted; "stopping" lets a trial
            run on, and stops it at a rung where it is not among the best: for objectives that report, and cannot pause.
        min_fidelity: Least that a trial gets; the lowest rung is the least ``max_fidelity / eta^k`` above it.
        max_fidelity: What a full evaluation gets.
        eta: Factor between the fidelities of two rungs, at least 2; 1 / `eta` of the trials go on.
        brackets: How many of the lowest rungs new configurations may start at, or with "stopping" be judged at first.
            More than 1 is a hedge against short trainings that mislead; they are drawn as often as Hyperband has them.
        cost_promotion: Whether the best results at a rung go on that had 1 / `eta` of the cost of all results there, in
            place of 1 / `eta` of their number; only with "promotion". The cost is what a trial says, else its seconds.
        rush: How many of the first `points` set a threshold: a trial goes on from a rung only if it is at least as good
            as the best of these points there, too. For configurations that were good on earlier data.
        first_promotions: How many trials must be among the best 1 / `eta` of a rung before the first of them goes on;
            only with "promotion". The paper has 1. With 2 a rung waits for 2 `eta` results, as those that come first
            are seldom the best; a search whose limits are too small for that does not wait.
        searcher_data: Which reports a sampler sees that tells fidelities apart, such as ``kde``: those at "rungs",
            "all" or "rungs_and_last". None leaves it to the sampler.
        sampler: Where new configurations come from: the paper draws them from the prior, "random". See
            :class:`autohpo.algorithms.scheduled.Scheduled`.

    Raises:
        OptionError: There are fewer rungs than `brackets`, or `cost_promotion` or `first_promotions` is wanted of
            trials that are stopped.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = ASHA([RangeHP("x", 0.0, 1.0)], max_fidelity=9, seed=0)
        >>> for _ in range(3):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, suggestion["x"])
        >>> promoted = hpo.ask()
        >>> promoted.fidelity, promoted.info["why"]
        (3, 'rank 1 of 3 at fidelity 1: promoted to 3')
    """

    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})
    option_aliases: ClassVar[Mapping[str, str]] = {
        "min_budget": "min_fidelity",
        "max_budget": "max_fidelity",
        "grace_period": "min_fidelity",
        "max_t": "max_fidelity",
        "reduction_factor": "eta",
    }

    type: Literal["promotion", "stopping"] = "promotion"
    brackets: int = 1
    cost_promotion: bool = False
    rush: int = 0
    first_promotions: int = 1
    searcher_data: SearcherData | None = None

    @property
    def needs_reports(self) -> bool:
        """Whether all that it saves is saved at reports: where it stops trials, and promotes none."""
        return self.type == "stopping"

    def _make_scheduler(self) -> AsyncPromotion | AsyncStopping:
        rungs = self.rungs
        n = len(rungs.fidelities)
        if not 1 <= self.brackets <= n:
            raise OptionError(f"brackets: must be from 1 to {n}, the number of rungs, got {self.brackets}")
        if self.cost_promotion and self.type != "promotion":
            raise OptionError(f"cost_promotion: must be False with type='{self.type}', which promotes no trial")
        if self.first_promotions != 1 and self.type != "promotion":
            raise OptionError(f"first_promotions: must be 1 with type='{self.type}', which promotes no trial")
        made: AsyncPromotion | AsyncStopping
        if self.type == "promotion":
            made = AsyncPromotion(
                rungs.fidelities,
                rungs.eta,
                self.brackets,
                by_cost=self.cost_promotion,
                rush=self.rush,
                n_first=self.first_promotions,
            )
        else:
            made = AsyncStopping(rungs.fidelities, rungs.eta, self.brackets, rush=self.rush)
        made.n_round = rungs.n_trials
        return made

    def _observed(self) -> Observer | None:
        return observer(self.rungs.fidelities, self.searcher_data)
