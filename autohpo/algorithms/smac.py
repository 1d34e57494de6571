"""SMAC: a random forest of the results so far says which configuration may improve on the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.forest import Features, Forest, TreeCoding
from autohpo.algorithms.parts.local_search import climb
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError

FloatArray = NDArray[np.float64]

MAX_ROWS = 500
"""That one tree is grown on: a suggestion takes 80 ms at n = 500 results, and hardly longer beyond."""
_N_DRAWS_KEPT = 20  # candidates that may be suggested where all that the local search found is known
_LEAST_VARIANCE = 1e-10  # of log costs: trees that agree do not know for sure
_LEAST_COST = 1e-300  # before the logarithm; above the smallest float that has all its digits


@register_hpo("smac")
@dataclass(eq=False, kw_only=True)
class SMAC(BaseHPOptimizer):
    """Forecasts results with randomised trees, and suggests where the expected improvement is largest.

    Trees take numbers, choices and conditional parameters as they are, bend as the results do, and are grown anew for
    each suggestion in some milliseconds. The improvement is looked for around the best trials and among draws from the
    prior; now and then a draw from the prior is suggested as it is, so that no part of the space stays unseen. Running
    trials stand in the forest with the mean of the results, failed ones with the worst. No configuration is suggested
    twice in a finite space.

    It departs from the authors' program: trees split at random places (of scikit-learn), which theirs do by drawing
    between two rows; and a forest is grown for each suggestion, where theirs is used for eight.

    Args:
        n_startup: Results of evenly spread configurations before the first forest.
        n_trees: In the forest.
        n_candidates: Draws from the prior that the forest ranks.
        n_starts: Of the local search: half of them the best trials, the others the best candidates.
        random_fraction: Chance that a suggestion is a draw from the prior.

    Source: Hutter, Hoos & Leyton-Brown 2011, LION 5, 507-523; Lindauer et al. 2022, JMLR 23(54), the facade for
        hyper-parameter optimization: costs by their logarithm, random draws in between.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = SMAC([RangeHP("x", 0.0, 1.0)], seed=0, mode="min")
        >>> for _ in range(30):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, (suggestion["x"] - 0.3) ** 2)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.05
        True
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})

    n_startup: int = 10
    n_trees: int = 30
    n_candidates: int = 1000
    n_starts: int = 10
    random_fraction: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_startup", "n_trees", "n_candidates", "n_starts"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}: must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.random_fraction <= 1:
            raise OptionError(f"random_fraction: must be at least 0 and at most 1, got {self.random_fraction}")

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._seen, self._standing = SeenSet(self.history), Encoder(self.space)
        self._coding = TreeCoding(self._standing.columns)
        self._design: FloatArray | None = None
        self._points = np.empty((0, self.space.n_columns))  # of the finished trials, in the order told
        self._features: Features = np.empty((0, 0), np.float32)
        self._perfs: list[float] = []  # NaN where a trial failed

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._seen.update()
        self._take_in()
        has_model = len(self._perfs) >= self.n_startup and not np.isnan(self._perfs).all()
        if not has_model and self.number < self.n_startup:
            hps = self.space.decode(self._start())
        elif not has_model or not self.space.n_columns or self.rng.random() < self.random_fraction:
            hps = []
        else:
            hps = self.space.decode(self._promising())
        place = self._seen.first(hps)
        return self._seen.draw(self.rng) if place is None else hps[place]

    def _take_in(self) -> None:
        """Learns what was told since the last suggestion."""
        told = self.trials[len(self._perfs) :]
        if told:
            points, mask = self._standing.of_hps([trial.hp for trial in told])
            features = self._coding.features(points, mask)
            self._points = np.concatenate([self._points, points])
            self._features = np.concatenate([self._features, features]) if self._perfs else features
            self._perfs += [math.nan if trial.score is None else trial.score for trial in told]

    def _start(self) -> FloatArray:
        """``(1, d)`` the next of evenly spread points."""
        if self._design is None:
            from scipy.stats import qmc  # here, because it takes half a second to load

            n_columns, power = self.space.n_columns, (self.n_startup - 1).bit_length()
            if not n_columns:
                self._design = np.empty((2**power, 0))
            else:
                sobol = qmc.Sobol(n_columns, rng=np.random.default_rng(self.seed))
                self._design = sobol.random_base2(power)
        return self._design[self.number : self.number + 1]

    def _promising(self) -> FloatArray:
        """``(n, d)`` points, those with the largest expected improvement first."""
        rng, costs = self.rng, log_costs(np.array(self._perfs))
        features, running = self._features, self.running
        values = np.concatenate([costs, np.full(len(running), costs.mean())])
        if running:
            features = np.concatenate([features, self._coding.features(*self._standing.of_hps(running))])
        forest = Forest.grow(features, values, rng, n_trees=self.n_trees, max_rows=MAX_ROWS)
        best = float(costs.min())

        def score(points: FloatArray) -> FloatArray:
            forecast = forest.forecast(self._coding.features(*self._standing.of_points(points)))
            return log_improvement(*forecast, best)

        drawn = rng.random((self.n_candidates, self.space.n_columns))
        scores = score(drawn)
        order = np.argsort(-scores, kind="stable")[: self.n_starts + _N_DRAWS_KEPT]
        drawn, scores = drawn[order], scores[order]
        known = self._points[np.argsort(costs, kind="stable")[: self.n_starts // 2]]
        starts = np.concatenate([known, drawn])[: self.n_starts]
        found, values = climb(score, starts, self.space.levels, rng)
        found, values = np.concatenate([found, drawn]), np.concatenate([values, scores])
        sorted_points: FloatArray = found[np.argsort(-values, kind="stable")]
        return sorted_points


def log_costs(perfs: FloatArray) -> FloatArray:
    """``(n,)`` logarithms of the costs of ``(n,)`` results: the worst is 0, the best far below.

    The logarithm lets the trees see differences between good results, however bad others are. A cost is how far a
    result is from one that is better than the best by as much as that is better than the best twentieth.

    Args:
        perfs: Higher is better; NaN for a failed trial, which costs as much as the worst. Not all are.

    Source: Lindauer et al. 2022, the run history encoder with logarithms.
    """
    is_known = ~np.isnan(perfs)
    costs = -perfs / (np.abs(perfs[is_known]).max() or 1.0)  # no difference overflows
    low, high = costs[is_known].min(), costs[is_known].max()
    if low == high:
        return np.zeros(len(perfs))
    zero = low - (np.quantile(costs[is_known], 0.05) - low) - 1e-10 * (high - low)
    shares: FloatArray = (np.where(is_known, costs, high) - zero) / (high - zero)
    return np.log(np.maximum(shares, _LEAST_COST))


def log_improvement(means: FloatArray, variances: FloatArray, best: float) -> FloatArray:
    """``(n,)`` logarithms of how much lower than the best a cost is expected to be.

    Args:
        means: ``(n,)`` forecasts of log costs.
        variances: ``(n,)`` of them.
        best: The lowest log cost.

    Source: Hutter, Hoos & Leyton-Brown 2011, section 4.2: the improvement of costs whose logarithms are normal.
    """
    from scipy.special import log_ndtr

    sigma = np.sqrt(np.maximum(variances, _LEAST_VARIANCE))
    v = (best - means) / sigma
    gained = best + log_ndtr(v)  # f_min Phi(v)
    lost = sigma**2 / 2 + means + log_ndtr(v - sigma)  # exp(sigma^2 / 2 + mu) Phi(v - sigma)
    # The first is larger, but far from the best the two agree in all digits that a float has.
    log_ratio: FloatArray = np.minimum(lost - gained, -1e-15)
    log_gain: FloatArray = gained + np.log(-np.expm1(log_ratio))
    return log_gain
