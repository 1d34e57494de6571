"""Allowance: what an optimizer may spend, what it has spent, and the end of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from autohpo.algorithms.parts.wanted import WantedPoints
from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.history import History
from autohpo.schedulers.limits import Limits, Spending
from autohpo.schedulers.schedule import SLACK
from autohpo.trial import Suggestion

if TYPE_CHECKING:
    from autohpo.algorithms.base import BaseHPOptimizer


class Allowance:
    """What an optimizer may spend: ``max_evals``, and the budget of those that take one.

    Args:
        hpo: The optimizer.
        history: The history of the search.
        wanted: The points that it tries, some of them in full beside what it decides.

    Attributes:
        default_limit: Suggestions to make at most where the user set no limit, and ``optimize`` did.

    Raises:
        OptionError: The budget is no positive finite number.
    """

    def __init__(self, hpo: BaseHPOptimizer, history: History, wanted: WantedPoints) -> None:
        self._hpo, self._history, self._wanted = hpo, history, wanted
        self.default_limit: int | None = None
        self._spending: tuple[object, Spending] | None = None
        if self.budget is not None and not 0 < self.budget < math.inf:
            raise OptionError(f"budget: must be a positive finite number of full evaluations, got {self.budget}")

    @property
    def budget(self) -> float | None:
        """The budget in full evaluations, if there is one."""
        return getattr(self._hpo, "budget", None) if self._hpo.takes_budget else None

    @property
    def most_evals(self) -> float:
        """How many suggestions there will be at most, known results left out; infinite without a limit."""
        most = self.default_limit if self._hpo.max_evals is None else self._hpo.max_evals
        return math.inf if most is None else most

    @property
    def spending(self) -> Spending:
        """What every suggestion costs, and what was spent until now."""
        key = full, is_continued = self._hpo.full_fidelity, self._hpo.is_continued
        if self._spending is None or self._spending[0] != key:
            self._spending = key, Spending(self._history, full, is_continued=is_continued)
        return self._spending[1]

    @property
    def spent(self) -> float:
        """The full evaluations that were spent, where they are limited; else 0."""
        return 0.0 if self.budget is None else self.spending.update()

    @property
    def limits(self) -> Limits:
        """What may be spent, in all and from now on; runs in full that the user wants of points are set aside."""
        hpo, wanted, n, budget = self._hpo, self._wanted, self.most_evals, self.budget
        n_aside = wanted.n_due_in_full(hpo.full_fidelity) if wanted.points else 0
        if budget is None:
            return Limits(n, hpo.n_left - n_aside, is_continued=hpo.is_continued)
        left = budget - self.spending.update() - n_aside
        return Limits(n, hpo.n_left - n_aside, budget, left, hpo.is_continued)

    def check(self, suggestion: Suggestion) -> None:
        """Check that the budget pays for a suggestion.

        Raises:
            NotReady: Trials run that may end before they have cost what was planned.
            OptimizationComplete: It does not.
        """
        if self.budget is None:
            return
        left = self.budget - self.spending.update()
        if self.spending.cost(suggestion) > left + SLACK:
            if self._history.running:
                raise NotReady("what is left of the budget may do once the running trials have ended")
            text = f"budget: {left:.6g} full evaluations are left, too few for the next one; raise it to go on"
            raise OptimizationComplete(text)
