"""Scheduler: who gets how much fidelity. What it may decide, and the four methods by which it decides."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autohpo.history import Cursor, History, Step
from autohpo.schedulers.limits import Limits, TrainingPlan
from autohpo.trial import Trial

__all__ = ["Decision", "Fork", "Limits", "Promote", "Scheduler", "Start", "TrainingPlan", "score_of"]


@dataclass(frozen=True)
class Start:
    """A new configuration starts; the sampler chooses it, unless the scheduler names one.

    Attributes:
        fidelity: What it gets, counted from nothing; None means full.
        info: Notes of the scheduler, in JSON types: they stand in ``trial.info``, for its own later use.
        hp: The configuration; None lets the sampler choose. A point of the user's takes its place.
    """

    fidelity: float | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    hp: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Promote:
    """A paused trial goes on, with the same configuration.

    Attributes:
        trial: The number of the trial, which is the last of its chain and has a result.
        fidelity: What it gets now, counted from nothing: more than it had.
        info: Notes of the scheduler, added to those of the trial. ``info["why"]`` says why the trial goes on.
    """

    trial: int
    fidelity: float
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fork:
    """A new chain starts from a copy of a paused trial's checkpoint, with another configuration.

    Attributes:
        trial: The number of the trial that is copied, which is the last of its chain and has a result.
        hp: The configuration.
        fidelity: What the new chain gets, counted from nothing: more than the copied trial had.
        info: Notes of the scheduler. ``info["why"]`` says why; ``info["replaces"]`` names the trial that ends for it.
    """

    trial: int
    hp: Mapping[str, Any]
    fidelity: float
    info: Mapping[str, Any] = field(default_factory=dict)


Decision = Start | Promote | Fork
"""What a scheduler decides, each time that a worker is free."""


def score_of(trial: Trial) -> float | None:
    """Return the score of a trial at the fidelity that it was given; None where it failed, or was stopped before.

    Args:
        trial: A finished trial.
    """
    return None if trial.fidelity is not None and trial.reached < trial.fidelity else trial.score


class Scheduler(ABC):
    """The base of every scheduler: it decides who starts, who goes on, who is copied, and who is stopped.

    All that a scheduler knows follows from the history that it is shown, and all that is random comes from the
    generator that it is handed: then a search can be killed, resumed and repeated exactly. Caches are fine; keep them
    up to date with :meth:`news`. :class:`autohpo.algorithms.scheduled.Scheduled` makes an algorithm of a scheduler and
    a sampler.

    Attributes:
        cost: What all its trials cost at most, in full evaluations; infinite where it does not end by itself.
        schedule: The levels of fidelity that it gives, or a table of them; for users to read.
        n_round: How many suggestions make a whole round, for a search without a limit; None where there are no rounds.
        limits: What the search may spend; :class:`autohpo.algorithms.scheduled.Scheduled` sets it before each decision.

    Example:
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> class Records(Scheduler):
        ...     '''Trains each configuration for 1 epoch, and for 9 where it beats all before it.'''
        ...     def next(self, seen, rng, *, can_start=True, n_left=math.inf):
        ...         done = [trial for trial in seen.at(1).trials if trial.score is not None]
        ...         best = max(done, key=lambda trial: trial.score, default=None)
        ...         if best is not None and seen.leaf(best.number) == best.number:
        ...             return Promote(best.number, 9)
        ...         return Start(1)
        >>> hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], seed=0)
        >>> Records().next(hpo.history, hpo.rng)
        Start(fidelity=1, info={}, hp=None)
    """

    cost: float = math.inf
    schedule: object = ()
    limits: Limits = Limits()
    n_round: int | None = None
    _cursor: Cursor | None = None

    @abstractmethod
    def next(
        self, seen: History, rng: np.random.Generator, *, can_start: bool = True, n_left: float = math.inf
    ) -> Decision:
        """Return what a free worker does next. Asking changes nothing: a decision counts once it is in the history.

        Args:
            seen: The history of the search.
            rng: The generator for this decision, made from the seed and the number of the suggestion.
            can_start: Whether a new configuration can be had; False once the sampler has none left.
            n_left: How many suggestions the budget leaves, this one included.

        Raises:
            NotReady: Some running trial must end first.
            OptimizationComplete: There is nothing left to do, for ever.
        """

    def training_plan(self, limits: Limits) -> TrainingPlan | None:
        """Return what a whole search will train; None where that cannot be said.

        Args:
            limits: What it may spend.
        """
        return None

    def on_report(self, seen: History, trial: int, fidelity: float, score: float | tuple[float, ...]) -> bool:
        """Return whether a running trial goes on; called with each of its reports.

        Args:
            seen: The history; the report is the last one of the running trial in it.
            trial: The number of the trial.
            fidelity: How much training is done, counted from nothing.
            score: A finite number, higher is better; a tuple where there are several objectives.
        """
        return True

    def resumable(self, seen: History) -> frozenset[int]:
        """Return the finished trials that may still be promoted or forked; one that has left never comes back."""
        return frozenset()

    def why(self, seen: History, trial: int) -> str:
        """Return why a trial is stopped, or waits, or goes on no more; the empty string where there is no reason.

        Why a trial was promoted or replaced stands in the ``info`` of that decision.
        """
        return ""

    def news(self, seen: History) -> Step:
        """Return what has happened since the last call; everything, as a reset, where the history is another one."""
        if self._cursor is not None and self._cursor.view is seen:
            return self._cursor.step()
        self._cursor = Cursor(seen)
        return replace(self._cursor.step(), is_reset=True)
