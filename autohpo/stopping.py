"""Stopping rules: when a search has found enough, or expects too little from going on."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.errors import OptionError, shown
from autohpo.trial import Suggestion, Trial

N_LOW = 3
"""Suggestions in a row that must expect too little: one may be an exploring one by chance."""


@dataclass(frozen=True)
class StopRules:
    """What ends a search before its budget does.

    Attributes:
        target: A result that is good enough, the user's own value. With fidelities only full evaluations count.
        patience: Results in a row without a better one; known ones and, with fidelities, all but full evaluations are
            left out.
        min_improvement: Expected improvement, in the objective's unit, below which going on is not worth it; only
            algorithms that say what they expect end by it.

    Raises:
        OptionError: One of them is no such number.
    """

    target: float | None = None
    patience: int | None = None
    min_improvement: float | None = None

    def __post_init__(self) -> None:
        for name in ("target", "min_improvement"):
            value = getattr(self, name)
            if value is not None and not _is_number(value):
                raise OptionError(f"{name}: must be a finite number, got {shown(value)}")
        if self.min_improvement is not None and self.min_improvement <= 0:
            raise OptionError(f"min_improvement: must be above 0, got {shown(self.min_improvement)}")
        is_count = self.patience is None or (type(self.patience) is int and self.patience >= 1)
        if not is_count:
            raise OptionError(f"patience: must be an integer of at least 1, got {shown(self.patience)}")

    def check(self, hpo: BaseHPOptimizer) -> None:
        """Check that a search can be ended by these rules.

        Raises:
            OptionError: It has several objectives, or its algorithm does not say what improvement it expects.
        """
        given = [name for name in ("target", "patience", "min_improvement") if getattr(self, name) is not None]
        if given and hpo.objectives.n > 1:
            raise OptionError(
                f"{given[0]}: must not be given with several objectives, as they have no single best result"
            )
        says = hpo.says_improvement
        if says is None:  # one of another package may say it without declaring so
            says = not type(hpo).__module__.startswith("autohpo.algorithms.")
        if self.min_improvement is not None and not says:
            raise OptionError(
                f"min_improvement: {type(hpo).__name__} does not say what improvement it expects, so it would "
                "never end the search; use bayes, or patience"
            )

    @property
    def is_any(self) -> bool:
        """Whether there is a rule at all."""
        return any(rule is not None for rule in (self.target, self.patience, self.min_improvement))


class Stopping:
    """Watches a search and says when a rule ends it; a function of what it has seen, so a resumed search ends alike.

    Args:
        rules: The rules to watch for.
        sign: 1 where higher is better, -1 where lower is.
        full: The fidelity of full evaluations, where trials get less: only these are compared.

    Attributes:
        reason: Why the search ends; the empty string while it goes on.
    """

    def __init__(self, rules: StopRules, sign: int, full: float | None = None) -> None:
        self._rules, self._sign, self._full = rules, sign, full
        self._best: int | None = None  # number of the incumbent
        self._n_since = 0  # results since it was found
        self._n_low = 0  # suggestions in a row that expect too little
        self.reason = ""

    def suggested(self, suggestion: Suggestion) -> None:
        """Take a suggestion: some algorithms say what they expect of it."""
        floor, expected = self._rules.min_improvement, suggestion.info.get("expected_improvement")
        if floor is None or expected is None:
            return
        self._n_low = self._n_low + 1 if expected < floor else 0
        if self._n_low >= N_LOW:
            self.reason = f"the expected improvement fell below {floor:g}"

    def ended(self, trial: Trial, best: Trial | None) -> None:
        """Take a trial with a result, after which `best` is the incumbent."""
        if best is None or best.perf is None or trial.reached < (best.reached if self._full is None else self._full):
            return
        if best.number != self._best:
            self._n_since = 0
        elif "known" not in trial.info:
            self._n_since += 1
        self._best = best.number
        target, patience = self._rules.target, self._rules.patience
        if target is not None and not best.violation and self._sign * best.perf >= self._sign * target:
            self.reason = f"trial {best.number} reached the target of {target:g}"
        elif patience is not None and self._n_since >= patience:
            self.reason = f"{patience} results in a row were no better than trial {best.number}"


def _is_number(value: Any) -> bool:
    """Whether a value is a number that a float can hold."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
