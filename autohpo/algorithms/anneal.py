"""Annealing, hyperopt's: draws around one of the best trials, from a neighbourhood that shrinks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from autohpo.algorithms.parts.hyperopt_engine import HyperoptSearch, Suggest
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError


@register_hpo("anneal")
@dataclass(eq=False, kw_only=True)
class Annealing(HyperoptSearch):
    """Picks one of the best trials and draws each parameter near its value, ever nearer as trials add up.

    hyperopt's algorithm itself, with its own options and defaults: the suggestions are those of ``hyperopt.fmin``
    with ``algo=anneal.suggest`` and ``rstate=numpy.random.default_rng(seed)``.

    Args:
        avg_best_idx: Mean rank of the trial that is drawn around, from 1 for the best; at least 1.
        shrink_coef: Speed of shrinking, at least 0: of n trials the neighbourhood is ``1 / (1 + n * shrink_coef)`` of
            a range.

    Source: Bergstra, Yamins, Cox 2013, SciPy proceedings (hyperopt); ``hyperopt/anneal.py``.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = Annealing([RangeHP("x", 0.0, 1.0)], seed=0, mode="min")
        >>> for _ in range(60):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, (suggestion["x"] - 0.3) ** 2)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.05
        True
    """

    avg_best_idx: float = 2.0
    shrink_coef: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.avg_best_idx < math.inf:
            raise OptionError(f"avg_best_idx: must be at least 1 and finite, got {self.avg_best_idx}")
        if not 0 <= self.shrink_coef < math.inf:
            raise OptionError(f"shrink_coef: must be at least 0 and finite, got {self.shrink_coef}")

    def _algorithm(self) -> Suggest:
        from hyperopt import anneal

        return partial(anneal.suggest, avg_best_idx=self.avg_best_idx, shrink_coef=self.shrink_coef)
