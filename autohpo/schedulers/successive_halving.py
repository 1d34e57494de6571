"""Successive halving: one bracket whose every rung is decided when it is full, as large as is wanted or affordable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from autohpo.errors import OptionError
from autohpo.schedulers.limits import Limits
from autohpo.schedulers.schedule import Plan, Schedule

_MOST = 10**7  # configurations of a bracket that a budget would pay for


@dataclass(frozen=True)
class SingleBracket(Schedule):
    """The one bracket of successive halving, which is opened again as long as there is a budget.

    Args:
        n: How many configurations it starts with. None is as many as the limits of the search pay for when it is
            opened; without limits as many as Hyperband's first bracket has, of which one is trained in full.

    Raises:
        OptionError: `n` is below 1, or the rungs break a rule.

    Source: Jamieson and Talwalkar 2016, AISTATS, Algorithm 1, with the rungs of Li et al. 2018, JMLR 18(185).

    Example:
        >>> print(SingleBracket(1, 9, n=20))
        configurations at each fidelity; cost in full evaluations, from scratch and resumed
        bracket   @1   @3   @9     cost  resumed
              0   20    6    2     6.22     4.89
            all   20    6    2     6.22     4.89
    """

    n: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n is not None and self.n < 1:
            raise OptionError(f"n: must be at least 1, got {self.n}")

    @cached_property
    def brackets(self) -> tuple[Plan, ...]:
        """The one bracket that there is."""
        n = self.n or self._sizes(len(self.fidelities), len(self.fidelities))[0]
        return (self._of(n),)

    def bracket_within(self, index: int, limits: Limits) -> Plan:
        """Return the bracket to open: with an `n` always the same, else the largest that limits leave room for.

        Args:
            index: The number of the bracket, from 0.
            limits: What the search may spend, and what is left of it.
        """
        usual = self.bracket(index)
        is_limited = min(limits.n_left, limits.cost_left) < math.inf
        if self.n is not None or not is_limited or not self._of(1).fits(limits):
            return usual
        low, high = 1, 2  # the first fits
        while high < _MOST and self._of(high).fits(limits):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._of(middle).fits(limits) else (low, middle)
        return self._of(low)

    def _of(self, n: int) -> Plan:
        """The bracket that starts with n configurations."""
        return Plan(self._shrunk(n, len(self.fidelities)), self.fidelities)
