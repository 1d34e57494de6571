"""hyperopt's TPE: a density of good and one of bad values for each parameter by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from autohpo.algorithms.parts.hyperopt_engine import HyperoptSearch, Suggest
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError


@register_hpo("hyperopt_tpe")
@dataclass(eq=False, kw_only=True)
class HyperoptTPE(HyperoptSearch):
    """Suggests, for each parameter by itself, the draw at which good trials are densest relative to bad ones.

    hyperopt's algorithm itself, with its own options and defaults: the suggestions are those of ``hyperopt.fmin``
    with ``algo=tpe.suggest`` and ``rstate=numpy.random.default_rng(seed)``. For those who want hyperopt's results;
    ``tpe`` models all parameters together, is faster, and finds more.

    Args:
        n_startup_jobs: Trials drawn from the prior before there is a model; running and failed ones count.
        n_EI_candidates: Draws from the density of good trials, the best of which is suggested.
        gamma: Factor of the number of good trials: of n trials the best ``gamma * sqrt(n)`` are good, 25 at most.
        prior_weight: Weight of the prior beside the trials.

    Source: Bergstra et al. 2011, NeurIPS 24, section 4; ``hyperopt/tpe.py``.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = HyperoptTPE([RangeHP("x", 0.0, 1.0)], seed=0, mode="min")
        >>> for _ in range(40):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, (suggestion["x"] - 0.3) ** 2)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.05
        True
    """

    n_startup_jobs: int = 20
    n_EI_candidates: int = 24  # noqa: N815 - hyperopt's own name
    gamma: float = 0.25
    prior_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_startup_jobs", "n_EI_candidates"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}: must be at least 1, got {getattr(self, name)}")
        for name in ("gamma", "prior_weight"):
            if not 0 < getattr(self, name) < math.inf:
                raise OptionError(f"{name}: must be above 0 and finite, got {getattr(self, name)}")

    def _algorithm(self) -> Suggest:
        from hyperopt import tpe

        return partial(
            tpe.suggest,
            n_startup_jobs=self.n_startup_jobs,
            n_EI_candidates=self.n_EI_candidates,
            gamma=self.gamma,
            prior_weight=self.prior_weight,
            verbose=False,
        )
