"""Hyper-Tune: asynchronous halving whose brackets, and whose predictions, trust each rung as far as it deserves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.gp_multi_fidelity import GPMultiFidelity
from autohpo.algorithms.mobster import MOBSTER
from autohpo.algorithms.parts.gp_options import ModelName
from autohpo.algorithms.parts.sampler import SamplerSpec
from autohpo.algorithms.registry import register_hpo
from autohpo.history import History
from autohpo.schedulers.asha import AsyncPromotion, AsyncStopping

_MOST_BRACKETS = 4


@register_hpo("hypertune")
@dataclass(eq=False, kw_only=True)
class HyperTune(MOBSTER):
    """Learns which rungs tell the truth, starts new configurations there, and mixes the predictions of rungs by that.

    Each rung has a model of its own. A rung's weight is the share of draws from its model that order the results at
    the highest rung better than those of all other rungs do. New configurations start in the bracket that a draw by
    these weights over the fidelities says, and are those of which the mixture of all predictions expects most.

    Args:
        sampler: Where new configurations come from; brackets and mixture need the process.
        brackets: How many of the lowest rungs new configurations may start at; 0 is 4, or as many as there are.
        model: The model of ``gp_multi_fidelity``; the paper has one process for each rung.
        rung_mixture: Whether predictions are mixed.

    Source: Li, Y. et al. 2022, PVLDB 15(6), arXiv 2201.06834, sections 4.1 and 4.2.

    Raises:
        OptionError: An option breaks a rule.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = HyperTune([RangeHP("x", 0.0, 1.0)], max_fidelity=9, seed=0)
        >>> for _ in range(40):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, -abs(suggestion["x"] - 0.3) - 1 / suggestion.fidelity)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.05
        True
    """

    sampler: SamplerSpec | BaseHPOptimizer | None = "gp_multi_fidelity"
    brackets: int = 0
    model: ModelName = "gp_independent"
    rung_mixture: bool = True

    def _make_scheduler(self) -> AsyncPromotion | AsyncStopping:
        if self.brackets == 0:
            self.brackets = min(_MOST_BRACKETS, len(self.rungs.fidelities))
        made = super()._make_scheduler()
        made.weights = self._trust
        return made

    def _trust(self, seen: History) -> Sequence[float] | None:
        """The weight of each rung; None where too little is known, or another sampler is at work."""
        view, sampler = self._sampler_now()
        if not isinstance(sampler.inner, GPMultiFidelity) or view is not seen:
            return None
        sampler.follow(view)
        trust = sampler.inner.rung_trust()
        if not trust:
            return None
        return [trust.get(float(rung), 0.0) for rung in self.rungs.fidelities]
