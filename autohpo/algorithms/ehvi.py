"""EHVI: a Gaussian process of each objective says which configuration is expected to add most volume to the front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.acquisition_search import AcquisitionSearch
from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.algorithms.parts.bayes_model import check_model_options, default_startup
from autohpo.algorithms.parts.ehvi_models import ObjectiveModels
from autohpo.algorithms.parts.encoding import EncodedTrials, Encoder
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.parts.start import SobolStart
from autohpo.algorithms.registry import register_hpo
from autohpo.surrogates.blas import LinearAlgebra

_N_CENTRES = 10  # places of the front near which candidates are looked for
_N_DRAWS, _N_NEAR, _N_STARTS = (
    300,
    300,
    4,
)  # candidates of the prior, near the centres, and local searches
_N_LOOKED_AT = 64  # candidates that may be suggested, where the best were suggested before
_DESIGN = 64  # evenly spread points; where more run before there is a model, the others are draws from the prior


@register_hpo("ehvi")
@dataclass(eq=False, kw_only=True)
class EHVI(BaseHPOptimizer):
    """Suggests what is expected to add the most hypervolume to the Pareto front, by a model of each objective.

    The volume is that above a reference point, which lies in turn below nearly all of the front, to make it wider, and
    below the better half in each objective, to move its middle. It is exact for a front of moderate size; of a larger
    one those values count that cover the most. Running trials count as if their results were those predicted.
    Constraints on the outcome have a model each, and the improvement is weighted by the probability that all are met;
    where no trial has met them yet, that probability alone is followed.

    The models are those of ``bayes``.

    Args:
        n_startup: The number of evenly spread trials before there is a model, at least 1; None is one more than the
            space has columns, but from 5 to 11.
        is_output_warped: Whether results are brought near to a normal distribution, each objective on its own.
        max_results: The number of results that a model is made of, at least 10.

    Source: Emmerich et al. 2006, IEEE TEC 10(4); Daulton et al. 2020, NeurIPS 33 (gradients); Gelbart et al. 2014, UAI
        (constraints); Ginsbourger et al. 2010 (running trials, as kriging believer).

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = EHVI([RangeHP("x", 0.0, 1.0)], seed=0, mode={"near_0": "min", "near_1": "min"})
        >>> for _ in range(15):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, {"near_0": suggestion["x"] ** 2, "near_1": (1 - suggestion["x"]) ** 2})
        >>> hpo.n_told
        15
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})
    linear_algebra: ClassVar[LinearAlgebra] = "scipy"

    n_startup: int | None = None
    is_output_warped: bool = False
    max_results: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_model_options(self.n_startup, self.max_results)

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        encoder, n_columns = Encoder(self.space), self.space.n_columns
        self._seen, self._encoded = SeenSet(self.history), EncodedTrials(self.history, encoder)
        self._models = ObjectiveModels(
            self._encoded, self.objectives.n, is_output_warped=self.is_output_warped, max_results=self.max_results
        )
        self._search = AcquisitionSearch(encoder, n_draws=_N_DRAWS, n_near=_N_NEAR, n_starts=_N_STARTS, seed=self.seed)
        self._n_startup = self.n_startup or default_startup(n_columns)
        self._start = SobolStart(n_columns, self.seed, _DESIGN)

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._seen.update()
        self._models.update()
        if not self.space.n_columns:
            return self._seen.draw(self.rng)
        is_early = len(self._encoded) < self._n_startup or not self._encoded.has_scores
        points = self._start.point(self.number) if is_early else self._candidates()
        return self._seen.first_or_draw(self.space.decode(points), self.rng)[0]

    def _candidates(self) -> FloatArray:
        """``(n, d)`` points, those with the highest acquisition value first."""
        acquisition = self._models.acquisition(self.running, turn=self.number)
        order = self.rng.permutation(len(acquisition.front))[:_N_CENTRES]
        points, _ = self._search.maximize(
            acquisition.score, acquisition.with_gradient, acquisition.front[order], acquisition.lengths, self.rng
        )
        return points[:_N_LOOKED_AT]
