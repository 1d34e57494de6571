"""TPE: tree-structured Parzen estimator, which draws where good trials are denser than bad ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.parzen_search import ParzenOptions, ParzenSearch
from autohpo.algorithms.registry import register_hpo
from autohpo.surrogates.blas import LinearAlgebra


@register_hpo("tpe")
@dataclass(eq=False, kw_only=True)
class TPE(BaseHPOptimizer):
    """Models good and bad trials by a density each, and suggests where their ratio is highest.

    All parameters are modelled together, by one product kernel for each trial, so what is good together stays
    together. A trial without a parameter says nothing of it: there its kernel is the prior. Trials that break
    constraints on the outcome rank below all that keep them. Failed trials are bad. Running trials are bad too, and
    keep others away from where they are. No configuration is suggested twice; in a finite space the search ends when
    all were.

    With several objectives it is what the literature calls MOTPE, and ``motpe`` is an alias of it. The trials that no
    other one dominates are the first front, those that only they dominate the second, and so on: trials are good by the
    front they stand in. In a front that is only partly good, those are taken that cover the most volume together, and
    the first of them weigh the most.

    It departs from the sources in the widths. Kernels of good trials follow the spread of the good trials in each
    parameter, so that the search narrows where results agree. Those of bad trials follow from their number alone, in
    steps, so that most of the work can be kept from one suggestion to the next. It departs from MOTPE in the weights,
    which follow the order of the trials in place of the volumes themselves.

    Args:
        n_startup: Trials drawn from the prior before there is a model; failed ones count. Where many run at once there
            are more, until half that number has ended.
        n_candidates: Draws from the density of good trials, the best of which is suggested.
        gamma: Share of the trials that are good, above 0 and below 1.
        max_good: Good trials at most.
        prior_weight: Weight of the uniform density beside the trials; the best trial has 1.

    Source: Bergstra et al. 2011, NeurIPS 24, section 4; Watanabe 2023, arXiv 2304.11127, section 3. Several objectives:
    Ozaki et al. 2022, JAIR 73, section 4; Ozaki et al. 2020, GECCO. Running trials: Gonzalez et al. 2016, AISTATS,
    section 3 (local penalisation), with the kernels' widths.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = TPE([RangeHP("x", 0.0, 1.0)], seed=0, mode="min")
        >>> for _ in range(40):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, (suggestion["x"] - 0.3) ** 2)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.05
        True
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})
    linear_algebra: ClassVar[LinearAlgebra] = "numpy"

    n_startup: int = 10
    n_candidates: int = 24
    gamma: float = 0.15
    max_good: int = 25
    prior_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._options = ParzenOptions.of(self)

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._search = ParzenSearch(self.history, self._options)

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        return self._search.suggest(self.rng)
