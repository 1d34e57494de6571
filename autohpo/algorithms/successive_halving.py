"""Successive halving: many configurations with little fidelity, of which the best third goes on again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autohpo.algorithms.parts.on_rungs import OnRungs
from autohpo.algorithms.registry import register_hpo
from autohpo.schedulers.hyperband import Hyperband
from autohpo.schedulers.successive_halving import SingleBracket


@register_hpo("successive_halving")
@dataclass(eq=False, kw_only=True)
class SuccessiveHalving(OnRungs):
    """Starts many configurations with the least fidelity, and trains the best third of them three times as long.

    Each rung is decided when all its trials have ended. It is one bracket of ``hyperband``, that with all rungs, and as
    large as you say or as the budget allows: best where short trainings say who is good. With a budget left it begins
    again; where all workers wait for a rung, another bracket is opened.

    Source: Jamieson and Talwalkar 2016, AISTATS, Non-stochastic Best Arm Identification and Hyperparameter
    Optimization, Algorithm 1.

    Args:
        n: How many configurations a bracket starts with. None is as many as `budget` and `max_evals` pay for; without
            them as many as Hyperband's first bracket has.
        num_iterations: Brackets to run at most; None goes on as long as it is asked.
        min_fidelity: Least that a trial gets; the lowest rung is the least ``max_fidelity / eta^k`` above it.
        max_fidelity: What a full evaluation gets.
        eta: Factor between the fidelities of two rungs, at least 2; 1 / `eta` of the trials go on.
        sampler: Where new configurations come from; see :class:`autohpo.algorithms.scheduled.Scheduled`.

    Raises:
        OptionError: An option breaks a rule.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = SuccessiveHalving([RangeHP("x", 0.0, 1.0)], n=6, max_fidelity=4, eta=2, seed=0)
        >>> print(hpo.fidelity_schedule())
        configurations at each fidelity; cost in full evaluations, from scratch and resumed
        bracket   @1   @2   @4     cost  resumed
              0    6    3    1     4.00     2.75
            all    6    3    1     4.00     2.75
    """

    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})
    option_aliases: ClassVar[Mapping[str, str]] = {
        "min_budget": "min_fidelity",
        "max_budget": "max_fidelity",
        "n_iterations": "num_iterations",
        "reduction_factor": "eta",
    }
    budget_options: ClassVar[frozenset[str]] = frozenset({"max_evals", "budget", "num_iterations"})

    n: int | None = None
    num_iterations: int | None = None

    def _make_scheduler(self) -> Hyperband:
        usual = self.brackets_of()
        schedule = SingleBracket(
            usual.min_fidelity,
            usual.max_fidelity,
            usual.eta,
            levels=usual.levels,
            increment=usual.increment,
            is_whole=usual.is_whole,
            n=self.n,
        )
        return Hyperband(schedule, self.num_iterations)
