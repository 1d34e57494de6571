"""SMAC: a random forest of the results so far says which configuration may improve on the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.algorithms.parts.encoding import EncodedTrials, Encoder
from autohpo.algorithms.parts.forest import Features, Forest, TreeCoding
from autohpo.algorithms.parts.local_search import local_search
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.parts.start import SobolStart
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError

MAX_ROWS = 500
"""The number of rows that one tree is grown on: a suggestion takes 80 ms at 500 results, and hardly longer beyond."""
_N_DRAWS_KEPT = 20  # candidates that may be suggested where all that the local search found is known
_LEAST_VARIANCE = 1e-10  # of log costs: trees that agree do not know for sure
_LEAST_COST = 1e-300  # before the logarithm; above the smallest float that has all its digits


@register_hpo("smac")
@dataclass(eq=False, kw_only=True)
class SMAC(BaseHPOptimizer):
    """Predicts results with randomised trees, and suggests where the expected improvement is largest.

    Trees take numbers, choices and conditional parameters as they are, bend as the results do, and are grown anew for
    each suggestion in some milliseconds. The improvement is looked for around the best trials and among draws from the
    prior; now and then a draw from the prior is suggested as it is, so that no part of the space stays unseen. Running
    trials enter the forest with the mean of the results, failed ones with the worst. No configuration is suggested
    twice in a finite space.

    It departs from the authors' program: trees split at random places (of scikit-learn), which theirs do by drawing
    between two rows; and a forest is grown for each suggestion, where theirs is used for eight.

    Args:
        n_startup: The number of results of evenly spread configurations before the first forest.
        n_trees: The number of trees in the forest.
        n_candidates: The number of draws from the prior that the forest ranks.
        n_starts: The number of starts of the local search: half of them the best trials, the others the best
            candidates.
        random_fraction: The chance that a suggestion is a draw from the prior.

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
        self._encoder = Encoder(self.space)
        self._seen, self._encoded = SeenSet(self.history), EncodedTrials(self.history, self._encoder)
        self._coding = TreeCoding(self._encoder.columns)
        # Of the finished trials, in the order told; where there are very many categories, they are made when needed.
        self._features = self._coding.showing(self._encoded.points).features(self._encoded.points, self._encoded.mask)
        self._start = SobolStart(self.space.n_columns, self.seed, self.n_startup)

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._seen.update()
        told = self._encoded.update()
        if told and not self._coding.is_large:
            self._features = np.concatenate([self._features, self._coding.features(*self._encoded.of(told))])
        has_model = len(self._encoded) >= self.n_startup and self._encoded.has_scores
        points = np.empty((0, self.space.n_columns))
        if not has_model and self.number < self.n_startup:
            points = self._start.point(self.number)
        elif has_model and self.space.n_columns and self.rng.random() >= self.random_fraction:
            points = self._candidates()
        return self._seen.first_or_draw(self.space.decode(points), self.rng)[0]

    def _candidates(self) -> FloatArray:
        """``(n, d)`` points, those with the largest expected improvement first."""
        rng, costs = self.rng, log_costs(self._encoded.scores)
        values = np.concatenate([costs, np.full(len(self.running), costs.mean())])
        coding, features = self._coded()
        forest = Forest.grow(features, values, rng, n_trees=self.n_trees, max_rows=MAX_ROWS)
        best = float(costs.min())

        def score(points: FloatArray) -> FloatArray:
            return log_improvement(*forest.predict(coding.features(*self._encoder.of_points(points))), best)

        drawn = rng.random((self.n_candidates, self.space.n_columns))
        scores = score(drawn)
        order = np.argsort(-scores, kind="stable")[: self.n_starts + _N_DRAWS_KEPT]
        drawn, scores = drawn[order], scores[order]
        known = self._encoded.points[np.argsort(costs, kind="stable")[: self.n_starts // 2]]
        starts = np.concatenate([known, drawn])[: self.n_starts]
        found, values = local_search(score, starts, self.space.levels, rng)
        found, values = np.concatenate([found, drawn]), np.concatenate([values, scores])
        sorted_points: FloatArray = found[np.argsort(-values, kind="stable")]
        return sorted_points

    def _coded(self) -> tuple[TreeCoding, Features]:
        """How points become features, and ``(n, F)`` those of the finished and of the running trials."""
        coding, points, mask = self._coding, self._encoded.points, self._encoded.mask
        pending = self._encoder.of_hps(self.running) if self.running else (points[:0], mask[:0])
        if coding.is_large:
            points, mask = np.concatenate([points, pending[0]]), np.concatenate([mask, pending[1]])
            coding = coding.showing(points)
            return coding, coding.features(points, mask)
        return coding, np.concatenate([self._features, coding.features(*pending)]) if self.running else self._features


def log_costs(scores: FloatArray) -> FloatArray:
    """``(n,)`` logarithms of the costs of ``(n,)`` results: the worst is 0, the best far below.

    The logarithm lets the trees see differences between good results, however bad others are. A cost is how far a
    result is from one that is better than the best by as much as that is better than the best twentieth.

    Args:
        scores: ``(n,)`` results; higher is better; NaN for a failed trial, which costs as much as the worst. Not all
            have failed.

    Source: Lindauer et al. 2022, the run history encoder with logarithms.
    """
    is_known = ~np.isnan(scores)
    costs = -scores / (np.abs(scores[is_known]).max() or 1.0)  # no difference overflows
    low, high = costs[is_known].min(), costs[is_known].max()
    if low == high:
        return np.zeros(len(scores))
    zero = low - (np.quantile(costs[is_known], 0.05) - low) - 1e-10 * (high - low)
    shares: FloatArray = (np.where(is_known, costs, high) - zero) / (high - zero)
    return np.log(np.maximum(shares, _LEAST_COST))


def log_improvement(means: FloatArray, variances: FloatArray, best: float) -> FloatArray:
    """``(n,)`` logarithms of how much lower than the best a cost is expected to be.

    Args:
        means: ``(n,)`` predictions of log costs.
        variances: ``(n,)`` variances of the predictions.
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
