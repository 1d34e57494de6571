"""The front: the best of the trials so far, kept up to date."""

from __future__ import annotations

from autohpo.objectives import compromise, precedence
from autohpo.trial import Trial


class Front:
    """The best of the trials so far, kept up to date: each new one is compared with the front alone.

    With one objective it is the incumbent, with several the Pareto front; what :func:`incumbent` and :func:`pareto`
    say of all trials, without looking at all of them.
    """

    def __init__(self) -> None:
        self._precedence: tuple[bool, float, float] | None = None
        self._members: list[tuple[tuple[float, ...], Trial]] = []
        self._best: Trial | None = None

    def __len__(self) -> int:
        """Return how many trials share the front; 1 with one objective."""
        return len(self._members)

    def add(self, trial: Trial) -> None:
        """Take a finished trial; one without a result changes nothing."""
        mine = trial.scores
        if not mine:
            return
        rank = precedence(trial)
        if self._precedence is None or rank > self._precedence:
            self._precedence, self._members, self._best = rank, [(mine, trial)], None
        elif rank == self._precedence and len(mine) == 1:
            ((theirs, other),) = self._members
            if mine > theirs or (mine == theirs and trial.number < other.number):
                self._members, self._best = [(mine, trial)], None
        elif rank == self._precedence:
            for theirs, other in self._members:
                if all(a >= b for a, b in zip(theirs, mine, strict=True)) and not (
                    theirs == mine and trial.number < other.number
                ):
                    return
            kept = [
                (theirs, other)
                for theirs, other in self._members
                if not all(a >= b for a, b in zip(mine, theirs, strict=True))
            ]
            self._members, self._best = [*kept, (mine, trial)], None

    @property
    def best(self) -> Trial | None:
        """The incumbent; with several objectives the compromise."""
        if self._best is None and self._members:
            self._best = compromise(self._sorted()) if len(self._members) > 1 else self._members[0][1]
        return self._best

    @property
    def trials(self) -> list[Trial]:
        """The Pareto front, the best in the first objective first; empty where no trial meets its constraints."""
        is_feasible = self._precedence is not None and self._precedence[0]
        return self._sorted() if is_feasible else []

    def _sorted(self) -> list[Trial]:
        order = sorted(self._members, key=lambda m: (*(-value for value in m[0]), m[1].number))
        return [trial for _, trial in order]
