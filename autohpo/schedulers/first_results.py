"""First results: how long many workers wait for a first model, where only so many configurations will be drawn."""

from __future__ import annotations

import math

from autohpo.errors import NotReady
from autohpo.history import History, Step
from autohpo.schedulers.chains import fidelity_of
from autohpo.schedulers.schedule import Schedule
from autohpo.trial import Running, Trial

_BLIND_SHARE = 1 / 6  # of all new configurations: so many may be drawn before the first result


class FirstResults:
    """Keeps many workers from drawing most of a limited number of configurations blindly.

    It costs them one evaluation at the lowest fidelity, so it needs a schedule in which that is short: of three rungs
    and eta 3, it is a thirteenth of the first bracket's time.

    Args:
        schedule: The brackets.
        n_first: How many results a first model needs.
        n_new: How many configurations will be drawn at most.
    """

    def __init__(self, schedule: Schedule, n_first: int, n_new: float) -> None:
        self._lowest, self._full = schedule.fidelities[0], schedule.max_fidelity
        self._n_first, self._limit = n_first, _BLIND_SHARE * n_new
        self._n_drawn = 0
        self._n_results: dict[float, int] = {}

    def follow(self, step: Step) -> None:
        """Count what is new in the history."""
        if step.is_reset:
            self._n_drawn, self._n_results = 0, {}
        self._n_drawn += sum(_is_drawn(item) for item in step.asked)
        for trial in step.told:
            if trial.score is not None:
                fidelity = fidelity_of(trial, self._full)
                self._n_results[fidelity] = self._n_results.get(fidelity, 0) + 1

    def wait(self, seen: History) -> None:
        """Raise NotReady where enough was drawn, and what runs at the lowest fidelity will do for a first model.

        Args:
            seen: The history of the search.

        Raises:
            NotReady: It will.
        """
        if self._n_drawn < self._limit or max(self._n_results.values(), default=0) >= self._n_first:
            return
        n_coming = sum(running.fidelity == self._lowest for running in seen.running)
        if self._n_results.get(self._lowest, 0) + n_coming >= self._n_first:
            raise NotReady(f"the first model waits for {n_coming} trials at fidelity {self._lowest:g}")


def _is_drawn(item: Trial | Running) -> bool:
    """Whether a trial is a new configuration of the sampler's, and not a point of the user's."""
    return item.resume is None and not item.info.keys() & {"point", "point_in_full", "known"}


def most_new(schedule: Schedule, num_iterations: int | None, max_evals: int | None) -> float:
    """Return how many new configurations there will be at most; infinite where neither limit is given.

    Args:
        schedule: The brackets.
        num_iterations: How many of them are opened at most.
        max_evals: How many suggestions there are at most.
    """
    limits = [math.inf]
    if num_iterations is not None:
        limits.append(schedule.n_new(num_iterations))
    if max_evals is not None:
        share = schedule.n_new(len(schedule.brackets)) / sum(sum(bracket.sizes) for bracket in schedule.brackets)
        limits.append(max_evals * share)  # a promotion is a suggestion too
    return min(limits)
