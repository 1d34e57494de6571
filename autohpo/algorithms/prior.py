"""Prior: configurations near a user's guess, near the best one, and at random; PriorBand's sampler."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.arrays import BoolArray, FloatArray
from autohpo.algorithms.parts.centred import Centred, guess_of, without_priors
from autohpo.algorithms.parts.missing_space import MissingSpace
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.history import Cursor
from autohpo.schedulers.chains import fidelity_of
from autohpo.schedulers.limits import Spending
from autohpo.schedulers.rungs import checked_levels
from autohpo.trial import Suggestion

MUTATED = 0.5
"""The chance that a parameter of the best configuration is changed."""
SD = 0.25
"""The standard deviation of the change of an ordered one, in the unit interval."""

_TRIES = 16  # for a configuration that is new and meets the constraints


@register_hpo("prior")
@dataclass(eq=False, kw_only=True)
class PriorSampler(BaseHPOptimizer):
    """Draws near what the user believes, and near the best, as often as the best results speak for each; and at random.

    A guess that is right makes it find good configurations at once. One that is wrong costs little: as soon as good
    results are more likely around the best one than around the guess, that is where it draws from. Of new
    configurations at the lowest fidelity half are random, and the fewer the more an evaluation costs; in a search
    without fidelities it is one in four.

    Source: Mallik et al. 2023, NeurIPS 36, arXiv 2306.12370, PriorBand: its ensemble sampling policy.
    Departures: the best one is that of the highest fidelity with a result, as results of several are not to be
    compared; what is random ignores the priors of the parameters, so that a wrong one there costs little, too; and a
    copy of the best with no change is not tried.

    Args:
        prior: A value for each parameter that something is believed about: ``{"lr": 1e-3, "act": "relu"}``. Parameters
            that have a prior in the space, such as a ``Belief``, have their own. None leaves it at these.
        prior_confidence: How sure that is: "low", "medium" or "high" are normal distributions with deviations of a
            half, a quarter and an eighth of the scale; of values in no order the one that is named is drawn in a half,
            three quarters or seven eighths of the cases, and any of all otherwise.
        eta: The best 1 / `eta` of the results at a fidelity are asked which of the two is better.
        rung_levels: The fidelities of the search, rising; None learns them from its trials.

    Raises:
        OptionError: A name or value of the prior does not suit the space.

    Example:
        >>> from autohpo import LogRangeHP
        >>> hpo = PriorSampler([LogRangeHP("lr", 1e-6, 1.0)], prior={"lr": 1e-3}, prior_confidence="high", seed=0)
        >>> draws = [hpo.ask() for _ in range(100)]
        >>> sum(3e-5 < draw["lr"] < 3e-2 for draw in draws if draw.info["drawn"] == "prior") > 60
        True
    """

    ends_with_space: ClassVar[bool] = True
    reads_fidelity: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})

    prior: Mapping[str, Any] | None = None
    prior_confidence: Literal["low", "medium", "high"] = "medium"
    eta: float = 3.0
    rung_levels: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.eta < math.inf:
            raise OptionError(f"eta: must be at least 2 and finite, got {self.eta}")
        is_missing = isinstance(self.space, MissingSpace)  # then it is checked with the trainer's space
        given = {} if is_missing or self.prior is None else self.prior
        self._guess = guess_of(self.space, given, self.prior_confidence)
        if self.rung_levels is not None:
            self.rung_levels = list(checked_levels(self.rung_levels))

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._seen, self._cursor = SeenSet(self.history), Cursor(self.history)
        levels = self.rung_levels
        self._full = math.inf if not levels else float(levels[-1])
        self._lowest = math.inf if not levels else float(levels[0])
        full = None if self._full == math.inf else self._full
        self._spending = Spending(self.history, full, is_continued=self.is_continued)
        self._results: dict[float, list[tuple[float, int]]] = {}  # minus the score and number, by fidelity

    def _get_suggestion(self, pid: int) -> Suggestion:
        self._seen.update()
        self._follow()
        drawn = self._policy()
        best = self._best() if drawn == "best" else None
        for _ in range(_TRIES):
            if best is not None:
                point = self._mutated(*best)
            else:
                point = without_priors(self.space, self.rng) if drawn == "random" else self._guess.sample(self.rng)
            hp = self.space.decode(point[None])[0]
            if self._seen.is_new(hp):
                return Suggestion(hp, info={"drawn": drawn})
        return Suggestion(self._seen.draw(self.rng), info={"drawn": "random"})

    def _follow(self) -> None:
        """Catches up with the history."""
        step = self._cursor.step()
        if step.is_reset:
            self._results = {}
        if not self.rung_levels:
            given = (math.inf if item.fidelity is None else item.fidelity for item in step.asked)
            self._lowest = min(given, default=math.inf) if step.is_reset else min(self._lowest, *given, math.inf)
        for trial in step.told:
            if trial.score is not None:
                fidelity = fidelity_of(trial, self._full)
                self._results.setdefault(fidelity, []).append((-trial.score, trial.number))

    def _policy(self) -> Literal["random", "prior", "best"]:
        """Where the next configuration comes from."""
        start, lowest = self.start_fidelity, self._lowest
        ratio = self.eta if start is None or lowest == math.inf else start / lowest  # eta^r
        p_random = 1 / (1 + ratio)
        if self.rng.random() < p_random:
            return "random"
        return "best" if self.rng.random() < self._share_of_best() else "prior"

    def _share_of_best(self) -> float:
        """How much likelier the best results are around the best one than under the prior: its share of both."""
        rich = [fidelity for fidelity, found in self._results.items() if len(found) >= self.eta]
        best = self._best()
        if best is None or not rich or not self._is_bracket_over() or not self.space.n_columns:
            return 0.0
        ranked = sorted(self._results[max(rich)])
        top = [number for _, number in ranked[: int(len(ranked) / self.eta)]]
        hps = [self.history[number].hp for number in top]
        points, mask = self.space.encode(hps), self.space.mask(hps)
        near = Centred(self.space, np.where(best[1], best[0], np.nan), SD)
        weights = np.arange(len(top), 0, -1)  # the best counts most
        logs = np.stack([near.log_density(points, mask), self._guess.log_density(points, mask)])
        S_best, S_prior = (weights * np.exp(logs - logs.max())).sum(axis=1)
        return float(S_best / (S_best + S_prior))

    def _is_bracket_over(self) -> bool:
        """Whether a trial was run in full, and as much was spent as on one bracket of successive halving."""
        highest = self._full if self._full < math.inf else max(self._results, default=math.inf)
        if highest not in self._results:
            return False
        n_above = math.log(highest / self._lowest) / math.log(self.eta) if self._lowest < highest < math.inf else 0.0
        return self._spending.update() >= 1 + n_above * (1 - 1 / self.eta if self.is_continued else 1.0)

    def _best(self) -> tuple[FloatArray, BoolArray] | None:
        """Point and mask of the best configuration at the highest fidelity with a result."""
        if not self._results:
            return None
        number = min(self._results[max(self._results)])[1]
        hp = self.history[number].hp
        return self.space.encode([hp])[0], self.space.mask([hp])[0]

    def _mutated(self, point: FloatArray, mask: BoolArray) -> FloatArray:
        """``(d,)`` a point near the best one: every second parameter is another value, one at least."""
        space, rng = self.space, self.rng
        is_changed = [rng.random() < MUTATED for _ in space]
        is_changed[int(rng.integers(len(is_changed)))] = True
        changed = np.repeat(is_changed, [parameter.width for parameter in space])
        near = Centred(space, np.where(space.levels > 0, np.nan, point), SD).sample(rng)  # unordered ones are redrawn
        drawn = self._guess.sample(rng)
        return np.where(mask, np.where(changed, near, point), drawn)
