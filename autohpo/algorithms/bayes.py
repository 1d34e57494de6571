"""Bayes: a Gaussian process of the results says of which configuration the largest improvement is expected."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.acquisition_search import AcquisitionSearch
from autohpo.algorithms.parts.arrays import BoolArray, FloatArray
from autohpo.algorithms.parts.bayes_model import SearchModel, check_model_options, default_startup
from autohpo.algorithms.parts.encoding import EncodedTrials, Encoder
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.parts.start import SobolStart
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.surrogates.blas import LinearAlgebra
from autohpo.trial import Suggestion

if TYPE_CHECKING:
    from autohpo.surrogates.gp import Posterior

OPTIMISTIC_EVERY = 3
"""Every third suggestion expects the average result where nothing was tried."""

_N_CENTRES = 5  # best trials near which candidates are looked for
_N_DRAWS, _N_NEAR, _N_STARTS = (
    400,
    300,
    4,
)  # candidates of the prior, near the centres, and local searches
_N_JOINT, _HOPE = 256, 3.0  # candidates of a drawn function: others are no better than 3 deviations above their mean
_N_LOOKED_AT = 64  # candidates that may be suggested, where the best were suggested before
_MARGIN = 0.1  # deviations of the results by which "pi" wants to improve; any gain at all lies beside the best trial
_HUGE = 1e300  # a unit of results in which an improvement may overflow
_DESIGN = 64  # evenly spread points; where more run before there is a model, the others are draws from the prior


@register_hpo("bayes")
@dataclass(eq=False, kw_only=True)
class Bayes(BaseHPOptimizer):
    """Predicts results by a Gaussian process, and suggests where the largest improvement is expected.

    For few and expensive trials: every suggestion takes all results into account. Its kernel knows ranges, choices
    and parameters that are not always active. Results are brought near to a normal distribution first; failed
    trials count as bad ones. Running trials take their part of the uncertainty away, which keeps parallel suggestions
    apart. No configuration is suggested twice in a finite space.

    It departs from its sources in a hedge. Results say what to expect where nothing was tried: little, once most trials
    were good ones that are alike. Then a search never leaves the first good region of a space of choices. So every
    third suggestion expects the average result there.

    Args:
        n_startup: The number of trials before there is a model, in the middle of the space and evenly spread; failed
            ones count. None is one more than the number of columns of the unit cube, but from 5 to 11.
        acquisition: The acquisition function: the log of the expected improvement, the mean with `kappa` deviations
            added, the probability of improvement, or one function drawn from the process.
        kappa: The number of deviations that "ucb" adds.
        is_input_warped: Whether the fit may stretch the ends of ranges (4 parameters more for two of them).
        is_output_warped: Whether results are brought near to a normal distribution.
        max_results: The number of results that a model is made of: the best half, and the latest of the others.

    Source: Rasmussen & Williams 2006; Hvarfner et al. 2024, arXiv 2402.02229, the prior of length-scales; Ament et al.
        2023, arXiv 2310.20708, the acquisition function; Cowen-Rivers et al. 2022, arXiv 2012.03826, the warps;
        Desautels et al. 2014, JMLR 15, running trials.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = Bayes([RangeHP("x", 0.0, 1.0)], seed=0, mode="min")
        >>> for _ in range(15):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, (suggestion["x"] - 0.3) ** 2)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.01
        True
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})
    says_improvement: ClassVar[bool | None] = True
    linear_algebra: ClassVar[LinearAlgebra] = "scipy"

    n_startup: int | None = None
    acquisition: Literal["log_ei", "ucb", "pi", "thompson"] = "log_ei"
    kappa: float = 1.8
    is_input_warped: bool = False
    is_output_warped: bool = True
    max_results: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_model_options(self.n_startup, self.max_results)
        if not 0 <= self.kappa < math.inf:
            raise OptionError(f"kappa: must be at least 0 and finite, got {self.kappa}")

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        encoder, n_columns = Encoder(self.space), self.space.n_columns
        self._seen, self._encoded = SeenSet(self.history), EncodedTrials(self.history, encoder)
        self._model = SearchModel(
            self._encoded,
            is_input_warped=self.is_input_warped,
            is_output_warped=self.is_output_warped,
            max_results=self.max_results,
        )
        self._search = AcquisitionSearch(encoder, n_draws=_N_DRAWS, n_near=_N_NEAR, n_starts=_N_STARTS, seed=self.seed)
        self._n_startup = self.n_startup or default_startup(n_columns)
        self._start = SobolStart(n_columns, self.seed, _DESIGN)

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._seen.update()
        self._encoded.update()
        expected: FloatArray | None = None
        if not self.space.n_columns:
            return self._seen.draw(self.rng)
        if self.number == 0:
            points = np.full((1, self.space.n_columns), 0.5)
        elif len(self._encoded) < self._n_startup or not self._encoded.has_scores:
            points = self._start.point(self.number)
        else:
            points, expected = self._candidates()
        hp, place = self._seen.first_or_draw(self.space.decode(points), self.rng)
        info = {} if expected is None or place is None else {"expected_improvement": float(expected[place])}
        return Suggestion(hp, info=info)

    def _candidates(self) -> tuple[FloatArray, FloatArray | None]:
        """``(n, d)`` points, the best first, and their ``(n,)`` expected improvements, where known."""
        is_optimistic = self.number % OPTIMISTIC_EVERY == 0
        posterior, data, targets = self._model.posterior(self.running, is_mean_free=not is_optimistic)
        means, _ = posterior.predict(data.points, data.mask)
        centres = data.points[np.argsort(-means, kind="stable")[:_N_CENTRES]]
        if self.acquisition == "thompson":
            return self._drawn(posterior, centres), None
        function = self._function(float(targets.values.max()))

        def score(points: FloatArray, mask: BoolArray) -> FloatArray:
            return function(*posterior.predict(points, mask))[0]

        def with_gradient(points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
            mean, sd, pull_back = posterior.predict_with_gradient(points, mask)
            value, by_mean, by_sd = function(mean, sd)
            return value, pull_back(by_mean, by_sd)

        points, scores = self._search.maximize(score, with_gradient, centres, posterior.lengths, self.rng)
        points, scores = points[:_N_LOOKED_AT], scores[:_N_LOOKED_AT]
        is_known = self.acquisition == "log_ei" and 0.0 < targets.unit < _HUGE  # 0 where all results are equal
        return points, np.exp(scores) * targets.unit if is_known else None

    def _drawn(self, posterior: Posterior, centres: FloatArray) -> FloatArray:
        """``(n, d)`` candidates, those first that are best in one function drawn from the model."""
        drawn = self.rng.random((_N_DRAWS, self.space.n_columns))
        near = self._search.near(centres, self.rng)
        points, mask = self._encoded.encoder.of_points(np.concatenate([drawn, near]))
        mean, sd = posterior.predict(points, mask)
        hopeful = np.argsort(-(mean + _HOPE * sd), kind="stable")[:_N_JOINT]
        points, mask = points[hopeful], mask[hopeful]
        order = np.argsort(-posterior.sample(points, mask, self.rng), kind="stable")
        return points[order]

    def _function(self, best: float) -> Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray, FloatArray]]:
        """The acquisition function, with what is to be beaten."""
        from autohpo.surrogates import acquisition

        if self.acquisition == "ucb":
            return partial(acquisition.ucb, kappa=self.kappa)
        if self.acquisition == "pi":
            return partial(acquisition.log_pi, best=best + _MARGIN)
        return partial(acquisition.log_ei, best=best)
