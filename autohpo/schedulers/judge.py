"""Judge: the model that a scheduler asks how well paused trials would do next, and what is the best new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from autohpo.history import History

__all__ = ["Judge", "Judgement", "NewCandidate"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class NewCandidate:
    """The best new configuration that a judge has found, and what it would reach where new ones start.

    All numbers are on the scale of the :class:`Judgement` that it is a part of.

    Attributes:
        mean: The posterior mean of its score at the fidelity where it starts.
        deviation: The posterior standard deviation there, above 0, without the noise of a result.
        best: The score that it has to beat there.
        hp: The configuration, allowed and never started before; None lets the sampler choose one.
    """

    mean: float
    deviation: float
    best: float
    hp: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Judgement:
    """What a model expects of paused trials, each trained on to a fidelity, and of the best new configuration.

    All numbers are on one scale: scores, higher is better, less their mean and divided by their deviation. Which mean
    and deviation is the judge's choice, but it is one for all of them, so that expected improvements can be compared.

    Attributes:
        means: ``(n,)`` the posterior means of the scores.
        deviations: ``(n,)`` the posterior standard deviations, above 0, without the noise of a result.
        best: ``(n,)`` the score that each has to beat: the best that is known at its fidelity or, where nobody has
            been there, the best of all.
        new: The best new configuration; None where none can be had, or none was asked for.

    Example:
        >>> judged = Judgement(np.array([0.3]), np.array([0.5]), np.array([1.2]), NewCandidate(0.0, 1.0, 0.8))
        >>> judged.n
        1
    """

    means: FloatArray
    deviations: FloatArray
    best: FloatArray
    new: NewCandidate | None = None

    @property
    def n(self) -> int:
        """How many paused trials it is about."""
        return len(self.means)


class Judge(Protocol):
    """A model that predicts scores: a callable, as :class:`autohpo.schedulers.dyhpo.DyHPO` takes it.

    What it returns must follow from its arguments alone, so that a search that was killed goes on as it would have;
    caches are fine. Every search calls it with the same history object, which only grows, until a result is taken back:
    :class:`autohpo.history.Cursor` says so.
    """

    def __call__(
        self,
        seen: History,
        rng: np.random.Generator,
        trials: Sequence[int],
        fidelities: Sequence[float],
        start: float | None = None,
    ) -> Judgement | None:
        """Return what each trial would reach at its fidelity, and the best new configuration beside them.

        Args:
            seen: The history of the search, with what runs: its results are pending.
            rng: The generator for everything random, new candidates too.
            trials: The numbers of paused trials, in rising order; it may be empty.
            fidelities: The fidelity that each of them would be trained to, counted from nothing.
            start: The fidelity where a new configuration would start; None where none is asked for.

        Returns:
            The judgement; None where there are too few results for a model.
        """
        ...
