"""Trust regions: boxes around the best points that grow with success and shrink with failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autohpo.trial import Trial

FIRST_LENGTH, LEAST_LENGTH, MOST_LENGTH = 0.8, 0.5**7, 1.6
"""The length of a side, in the unit cube, before the columns' own length-scales stretch it."""

N_SUCCESSES = 3
"""The number of successes in a row that double a region."""

LEAST_FAILURES = 4
"""The number of failures in a row that halve a region; in more than four columns as many as there are."""

_LEAST_GAIN = 1e-3
"""Share of the best result by which a success must beat it."""


@dataclass
class Region:
    """A trust region through all its runs; a function of its results in the order told.

    Attributes:
        n_columns: The number of columns of the space.
        n_startup: The number of trials of a run before its region is grown or shrunk.
        run: How often it was begun anew.
        length: The length of a side.
        trials: The finished trials of this run.

    Source: Eriksson et al. 2019, NeurIPS 32, arXiv 1910.01739, section 2.
    """

    n_columns: int
    n_startup: int
    run: int = 0
    length: float = FIRST_LENGTH
    trials: list[Trial] = field(default_factory=list)
    _n_successes: int = 0
    _n_failures: int = 0
    _best: float | None = None

    @property
    def results(self) -> list[Trial]:
        """The trials of this run that have a result, in the order told."""
        return [trial for trial in self.trials if trial.score is not None]

    def add(self, trial: Trial, run: int) -> None:
        """Add a finished trial of some run; late ones of earlier runs tell this one nothing."""
        if run != self.run:
            return
        self.trials.append(trial)
        is_better = trial.score is not None and (self._best is None or trial.score > self._goal(self._best))
        if len(self.trials) > self.n_startup:
            self._n_successes = self._n_successes + 1 if is_better else 0
            self._n_failures = 0 if is_better else self._n_failures + 1
        if trial.score is not None and (self._best is None or trial.score > self._best):
            self._best = trial.score
        if self._n_successes >= N_SUCCESSES:
            self.length, self._n_successes = min(2.0 * self.length, MOST_LENGTH), 0
        if self._n_failures >= max(LEAST_FAILURES, self.n_columns):
            self.length, self._n_failures = self.length / 2.0, 0
        if self.length < LEAST_LENGTH:
            self._restart()

    def _restart(self) -> None:
        """Begin the next run, of which nothing is known."""
        self.run, self.length, self.trials = self.run + 1, FIRST_LENGTH, []
        self._n_successes, self._n_failures, self._best = 0, 0, None

    @staticmethod
    def _goal(best: float) -> float:
        return best + _LEAST_GAIN * abs(best)


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the trial with the best result; of equals the one asked first."""
    return max(trials, key=lambda trial: (trial.score or 0.0, -trial.number))
