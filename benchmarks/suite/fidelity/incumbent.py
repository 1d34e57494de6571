"""Incumbents: which configuration a search would name at each moment, and how good that is in truth."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Mapping
from typing import Any

from suite.fidelity.task import FidelityTask


class Incumbent:
    """Of the trials with a value at the highest rung that anybody has reached, the best there.

    Args:
        task: Says rungs and true values.

    Attributes:
        path: ``(share of the time, true value)`` at each change.
    """

    def __init__(self, task: FidelityTask) -> None:
        self._task, self._levels = task, task.levels()
        self._reached: dict[Hashable, int] = {}
        self._best: tuple[float, float] | None = None
        self._named: Hashable = None
        self.path: list[tuple[float, float]] = []

    def see(self, share: float, trial: Hashable, hp: Mapping[str, Any], fidelity: float, value: float) -> None:
        """What a trial shows; its first value at or above a rung is its value at that rung."""
        level = bisect_right(self._levels, fidelity * (1 + 1e-9)) - 1
        if trial in self._reached and level <= self._reached[trial]:
            return
        self._reached[trial] = level
        self._take(share, trial, hp, (level, value))

    def _take(self, share: float, trial: Hashable, hp: Mapping[str, Any], key: tuple[float, float]) -> None:
        if self._best is None or key > self._best:
            self._best = key
            if trial != self._named or not self.path:
                self._named = trial
                self.path.append((share, self._task.true(hp)))

    def at(self, share: float) -> float | None:
        """The true value of the incumbent at a share of the time; None before there is one."""
        found = [value for when, value in self.path if when <= share + 1e-9]
        return found[-1] if found else None


class BestSeen(Incumbent):
    """The trial with the best value that was seen at any fidelity."""

    def see(self, share: float, trial: Hashable, hp: Mapping[str, Any], fidelity: float, value: float) -> None:
        """What a trial shows."""
        self._take(share, trial, hp, (0.0, value))
