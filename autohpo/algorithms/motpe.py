"""MOTPE: the tree-structured Parzen estimator for several objectives, by the name the literature has for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.parzen_search import ParzenOptions, ParzenSearch
from autohpo.algorithms.registry import register_hpo


@register_hpo("motpe")
@dataclass(eq=False, kw_only=True)
class MOTPE(BaseHPOptimizer):
    """Suggests what ``tpe`` suggests: with several objectives, trials are good by the front they stand in.

    The trials that no other one dominates are the first front, those that only they dominate the second, and so on.
    In a front that is only partly good, those are taken that cover the most volume together, and the first of them
    weigh the most.

    It departs from the source in the weights, which follow that order in place of the volumes themselves, and in the
    kernels, which span all parameters, as in ``tpe``.

    Args:
        n_startup: Trials drawn from the prior before there is a model; failed ones count. Where many run at once there
            are more, until half that number has ended.
        n_candidates: Draws from the density of good trials, the best of which is suggested.
        gamma: Share of the trials that are good, above 0 and below 1.
        max_good: Good trials at most.
        prior_weight: Of the uniform density beside the trials; the best trial has 1.

    Source: Ozaki et al. 2022, JAIR 73, section 4; Ozaki et al. 2020, GECCO.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = MOTPE([RangeHP("x", 0.0, 1.0)], seed=0, mode={"near_0": "min", "near_1": "min"})
        >>> for _ in range(20):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, {"near_0": suggestion["x"], "near_1": 1 - suggestion["x"]})
        >>> hpo.n_told
        20
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})

    n_startup: int = 10
    n_candidates: int = 24
    gamma: float = 0.15
    max_good: int = 25
    prior_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._options = ParzenOptions.of(self)

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._search = ParzenSearch(self, self._options)

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        return self._search.suggest()
