"""What the attempts of a run cost, as its log says."""

from __future__ import annotations

from dataclasses import dataclass

from autohpo.trial import Outcome


@dataclass(slots=True)
class Costs:
    """The sum over all attempts that have ended, also those without a result and those that were run again.

    The unit is the objective's where it says what an evaluation costs, else seconds. An attempt that was ended from
    outside says nothing: it counts the seconds from its start to its end, or, where the unit is the objective's, as
    much as the others on average.

    Attributes:
        n_own: How many attempts said their cost.
        own: What those cost.
        n_other: How many did not.
        seconds: How long these took.

    Example:
        >>> costs = Costs(n_own=4, own=20.0, n_other=1, seconds=3.5)
        >>> costs.spent, costs.mean
        (25.0, 5.0)
    """

    n_own: int = 0
    own: float = 0.0
    n_other: int = 0
    seconds: float = 0.0

    def ended(self, outcome: Outcome, started: float | None, at: float, *, is_known: bool = False) -> None:
        """Count the end of an attempt.

        Args:
            outcome: How it ended.
            started: When it was started, in Unix seconds; None where no driver started it.
            at: When it ended.
            is_known: Whether it is a result that was known before, which costs nothing.
        """
        if is_known:
            return
        if outcome.cost is not None and outcome.has_own_cost:
            self.n_own += 1
            self.own += outcome.cost
        elif outcome.cost is not None or started is not None:
            self.n_other += 1
            self.seconds += max(0.0, at - (started or 0.0)) if outcome.cost is None else outcome.cost

    @property
    def is_in_seconds(self) -> bool:
        """Whether the unit is seconds: no attempt has said another cost."""
        return not self.n_own

    @property
    def mean(self) -> float:
        """What an attempt cost on average; 0 before the first has ended."""
        return self.own / self.n_own if self.n_own else self.seconds / max(1, self.n_other)

    @property
    def spent(self) -> float:
        """What all of them cost."""
        return self.own + self.n_other * self.mean if self.n_own else self.seconds
