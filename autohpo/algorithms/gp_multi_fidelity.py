"""GPMultiFidelity: a Gaussian process of the values at all fidelities says where to look next; a sampler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.given_points import given_points, restricted
from autohpo.algorithms.parts.gp_options import GPOptions, check_gp_options
from autohpo.algorithms.parts.gp_suggester import GPSuggester
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.schedulers.rungs import checked_levels
from autohpo.surrogates.blas import LinearAlgebra
from autohpo.trial import Suggestion


@register_hpo("gp_multi_fidelity")
@dataclass(eq=False, kw_only=True)
class GPMultiFidelity(GPOptions, BaseHPOptimizer):
    """Predicts values at all fidelities by one Gaussian process, and suggests where improvement is expected.

    It is the sampler of ``mobster``, ``hypertune`` and ``dyhpo``, and fills any other scheduler; alone it searches with
    full evaluations. The model is made of what every configuration has reached at every rung, running trials included;
    what these head for is drawn from the model, jointly, so that parallel suggestions keep apart. A share of the
    suggestions is drawn from the prior, so that no region is given up. Configurations that failed are never suggested
    again, and are no numbers to the model.

    Args:
        max_fidelity: The fidelity of full evaluations; None where there are no others.
        rung_levels: The rungs, rising; None takes those that trials were given. Values that trials report elsewhere
            count with ``searcher_data="all"`` alone.

    Source: Tiao et al. 2020, arXiv 2003.10865, whose searcher is in Syne Tune 0.13; the options are its own. It departs
        from it where that is said in the docs of ``mobster``.

    Raises:
        OptionError: An option breaks a rule.
        SpaceError: A configuration of `points_to_evaluate` or `restrict_configurations` is illegal.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = GPMultiFidelity([RangeHP("x", 0.0, 1.0)], seed=0, mode="min")
        >>> for _ in range(15):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, (suggestion["x"] - 0.3) ** 2)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.02
        True
    """

    reads_fidelity: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})
    linear_algebra: ClassVar[LinearAlgebra] = "scipy"

    max_fidelity: float | None = None
    rung_levels: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gp_options(self)
        if self.cost_attr not in (None, "cost", "elapsed_time"):
            rule = 'must be "cost" or "elapsed_time" (return it as cost), or None'
            raise OptionError(f"cost_attr: {rule}, got {self.cost_attr}")
        if self.max_fidelity is not None and not self.max_fidelity > 0:
            raise OptionError(f"max_fidelity: must be positive, or None, got {self.max_fidelity}")
        given_points(self.points_to_evaluate, self.space)  # both raise for what is no configuration of the space
        restricted(self.restrict_configurations, self.space)
        if self.rung_levels is not None:
            self.rung_levels = list(checked_levels(self.rung_levels))

    @property
    def is_finite(self) -> bool:
        """Whether it ends by itself, once all configurations were tried."""
        ends = self.space.n_configurations is not None or self.restrict_configurations is not None
        return super().is_finite or (ends and not self.allow_duplicates)

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self.suggester = GPSuggester(
            self.history,
            self,
            seed=self.seed or 0,
            full=1.0 if self.max_fidelity is None else float(self.max_fidelity),
            levels=self.rung_levels,
            is_continued=self.is_continued,
        )

    def _get_suggestion(self, pid: int) -> Suggestion:
        return self.suggester.suggest(self.rng)

    def model_parameters(self) -> Mapping[str, Any]:
        """Return the model after the results so far, and the values of its parameters, in JSON types."""
        return self.suggester.describe()

    def rung_trust(self) -> dict[float, float] | None:
        """Return how often each rung orders the results at the highest best, by fidelity; None with too few results."""
        evidence = self.suggester.evidence()
        trust = self.suggester.engine.trust(evidence)
        levels = self.suggester.engine.fits.levels
        return None if trust is None else dict(zip(levels, trust.tolist(), strict=True))
