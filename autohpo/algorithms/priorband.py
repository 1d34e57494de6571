"""PriorBand: Hyperband that is told where good configurations are expected, and finds out whether they are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.hyperband import Hyperband
from autohpo.algorithms.parts.sampler import SamplerSpec
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError


@register_hpo("priorband")
@dataclass(eq=False, kw_only=True)
class PriorBand(Hyperband):
    """Fills Hyperband's brackets from what the user believes, from around the best one, and at random.

    It is ``hyperband`` with the sampler ``prior``, which says how these are mixed. Any other scheduler takes it, too:
    ``build_hpo_from_name("asha", ..., sampler=("prior", {"prior": {"lr": 1e-3}}))``.

    Source: Mallik et al. 2023, NeurIPS 36, arXiv 2306.12370. Where it departs from it is told in ``prior``.

    Args:
        prior: A value for each parameter that something is believed about: ``{"lr": 1e-3, "act": "relu"}``. Parameters
            that have a prior in the space, such as a ``Belief``, have their own. None leaves it at these.
        prior_confidence: How sure that is: "low", "medium" or "high" are normal distributions with deviations of a
            half, a quarter and an eighth of the scale.
        sampler: Where new configurations come from; another one than "prior" makes it ``hyperband``.

    Raises:
        OptionError: A name or value of the prior does not suit the space, or it is given to another sampler.

    Example:
        >>> from autohpo import LogRangeHP
        >>> hpo = PriorBand([LogRangeHP("lr", 1e-6, 1.0)], prior={"lr": 1e-3}, max_fidelity=9, seed=0)
        >>> sorted({hpo.ask().info["drawn"] for _ in range(9)})
        ['prior', 'random']
    """

    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})

    prior: Mapping[str, Any] | None = None
    prior_confidence: Literal["low", "medium", "high"] = "medium"
    sampler: SamplerSpec | BaseHPOptimizer | None = "prior"

    def _options_for(self, sampler: str) -> dict[str, Any]:
        options = super()._options_for(sampler)
        if sampler == "prior":
            return {"prior": self.prior, "prior_confidence": self.prior_confidence, "eta": self.eta, **options}
        if self.prior is not None:
            raise OptionError(f"prior: is an option of the sampler prior, not of {sampler}")
        return options
