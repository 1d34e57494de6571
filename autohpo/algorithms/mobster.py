"""MOBSTER: asynchronous successive halving, with new configurations from a Gaussian process of all fidelities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.asha import ASHA
from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.gp_options import GPOptions, check_gp_options, gp_options_of
from autohpo.algorithms.parts.sampler import SamplerSpec
from autohpo.algorithms.registry import register_hpo


@register_hpo("mobster")
@dataclass(eq=False, kw_only=True)
class MOBSTER(GPOptions, ASHA):
    """Trains many configurations a little, and the best of each rung longer; a model of all rungs says which to try.

    It is ``asha`` with the sampler ``gp_multi_fidelity``, whose options it has. Trials pause at each rung and go on
    when they are promoted, unless ``type="stopping"``.

    Args:
        sampler: Where new configurations come from.

    Source: Tiao, Klein, Lienart, Archambeau and Seeger 2020, arXiv 2003.10865; Li et al. 2020, MLSys 2, Algorithm 2,
        the promotions. Its default kernel, the log of the fidelity with a curve for each configuration, is another one:
        the paper's comes with ``gp_resource_kernel="exp-decay-sum"``.

    Raises:
        OptionError: An option breaks a rule.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = MOBSTER([RangeHP("x", 0.0, 1.0)], max_fidelity=9, seed=0)
        >>> for _ in range(30):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, -abs(suggestion["x"] - 0.3) - 1 / suggestion.fidelity)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.05
        True
    """

    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})

    sampler: SamplerSpec | BaseHPOptimizer | None = "gp_multi_fidelity"

    def __post_init__(self) -> None:
        check_gp_options(self)
        super().__post_init__()

    def _options_for(self, sampler: str) -> dict[str, Any]:
        if sampler != "gp_multi_fidelity":
            return super()._options_for(sampler)
        return {**gp_options_of(self), "rung_levels": [float(level) for level in self.rungs.fidelities]}
