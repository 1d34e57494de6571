"""Hyper-Tune: asynchronous halving that learns how far to trust each rung, and starts trials where trust begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from autohpo.algorithms.gp_multi_fidelity import GPMultiFidelity
from autohpo.algorithms.mobster import MOBSTER
from autohpo.algorithms.parts.chain_values import ChainValues
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.gp_options import ModelName, check_gp_options, given_gp_options
from autohpo.algorithms.registry import register_hpo
from autohpo.history import History
from autohpo.schedulers.asha import AsyncPromotion, AsyncStopping
from autohpo.surrogates.rung_order import honest_from, lie_chances

_MOST_BRACKETS = 4


@register_hpo("hypertune")
@dataclass(eq=False, kw_only=True)
class HyperTune(MOBSTER):
    """Learns which rungs tell the truth, and starts new configurations there.

    A rung lies where the order of its results says nothing of the order at the next one. How likely that is follows
    from the configurations that have results at both. New configurations start at the lowest rung from which on all
    tell the truth, drawn by these chances over the fidelities. They come from ``portfolio``, which looks at the results
    from such a rung on.

    The paper has a process for each rung, whose weight is the share of draws that order the results at the highest rung
    better than those of all other rungs do; brackets are drawn by these weights, and the predictions of rungs are mixed
    by them. All of that comes with ``sampler="gp_multi_fidelity"``, or with any of its options. Our chances need no
    process, and fewer results; on our tasks they are better.

    Args:
        sampler: Where new configurations come from. None is "gp_multi_fidelity" where an option of it is given, else
            ``("portfolio", {"weighs_rungs": True})``.
        brackets: How many of the lowest rungs new configurations may start at; 0 is 4, or as many as there are.
        model: The model of ``gp_multi_fidelity``; the paper has one process for each rung.
        rung_mixture: Whether predictions of ``gp_multi_fidelity`` are mixed.

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

    brackets: int = 0
    model: ModelName = "gp_independent"
    rung_mixture: bool = True

    def __post_init__(self) -> None:
        check_gp_options(self)
        if self.sampler is None and not given_gp_options(self):
            self.sampler = ("portfolio", {"weighs_rungs": True})
        super().__post_init__()

    @cached_property
    def _chains(self) -> ChainValues:
        """The values at all rungs."""
        return ChainValues(self.history, Encoder(self.space), self.max_fidelity, self.rungs.fidelities)

    def _make_scheduler(self) -> AsyncPromotion | AsyncStopping:
        if self.brackets == 0:
            self.brackets = min(_MOST_BRACKETS, len(self.rungs.fidelities))
        made = super()._make_scheduler()
        made.weights = self._trust
        return made

    def _trust(self, seen: History) -> Sequence[float] | None:
        """The weight of each rung; None where too little is known."""
        view, sampler = self._sampler_now()
        if not isinstance(sampler.inner, GPMultiFidelity) or view is not seen:
            self._chains.update()
            shares: list[float] = honest_from(lie_chances(self._chains.values)).tolist()
            return shares
        sampler.follow(view)
        trust = sampler.inner.rung_trust()
        if not trust:
            return None
        return [trust.get(float(rung), 0.0) for rung in self.rungs.fidelities]
