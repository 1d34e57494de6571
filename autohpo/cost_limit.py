"""The cost limit: when a search has spent what its trials may cost together."""

from __future__ import annotations

import time
from collections.abc import Iterable

from autohpo.confirming import Confirming
from autohpo.progress import CostStanding
from autohpo.store import RunState


class CostLimit:
    """Says whether another trial may start.

    What has ended counts with its cost; what runs counts as much as an attempt did on average, and in seconds at least
    what it has used up to now. So the limit is passed by no more than what the trials cost above the average that are
    started last: nothing is ended because of it.

    Args:
        limit: The limit; None sets none.
        state: What the log says, replayed.

    Attributes:
        limit: The argument of that name.
        earlier: What was spent before, in earlier processes.
    """

    def __init__(self, limit: float | None, state: RunState) -> None:
        self.limit, self._state = limit, state
        self.earlier = state.costs.spent

    def is_reached(self, running: Iterable[int], confirming: Confirming | None = None) -> bool:
        """Return whether nothing may start any more.

        Args:
            running: The numbers of the trials that run.
            confirming: What is still to come, and has what it will cost set aside: at most half of the limit.
        """
        if self.limit is None:
            return False
        costs, now = self._state.costs, time.time()
        expected = 0.0
        for number in running:
            started = self._state.attempts[number].started
            used = 0.0 if started is None or not costs.is_in_seconds else now - started
            expected += max(costs.mean, used)
        reserve = 0.0 if confirming is None else confirming.expected_cost
        return costs.spent + expected + min(reserve, self.limit / 2) >= self.limit

    def standing(self) -> CostStanding | None:
        """Return how much is spent; None without a limit."""
        if self.limit is None:
            return None
        return CostStanding(self._state.costs.spent, self.limit, self.earlier, self.unit)

    @property
    def reason(self) -> str:
        """Why a search ends that has reached it, as a clause."""
        return f"the search reached its cost limit of {self.limit:g}{self.unit}"

    @property
    def remedy(self) -> str:
        """What to do about that."""
        return f"cost_limit: {self._state.costs.spent:.6g} of {self.limit:g}{self.unit} were spent; raise it to go on"

    @property
    def unit(self) -> str:
        """What stands behind a number: seconds, or nothing where the unit is the objective's own."""
        return " s" if self._state.costs.is_in_seconds else ""
