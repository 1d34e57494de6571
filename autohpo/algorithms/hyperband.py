"""Hyperband: many configurations at little fidelity, few at much, in brackets that weigh the two."""

from __future__ import annotations

from dataclasses import dataclass

from autohpo.algorithms.registry import register_hpo
from autohpo.schedulers.brackets import BracketSearch
from autohpo.trial import Suggestion


@register_hpo("hyperband")
@dataclass(eq=False, kw_only=True)
class Hyperband(BracketSearch):
    """Draws every configuration from the prior, stops most early, and trains the best of them on.

    A promoted trial continues its own training (``Suggestion.resume``). Where results at little fidelity
    mislead, the later brackets, which start higher, still find what the first ones drop. In a space that can be
    counted no configuration is drawn twice; after the last one the search is over.

    Source: Li et al. 2018, JMLR 18(185), Algorithm 1. Another bracket opens as soon as all open ones wait, as
    in HpBandSter, so that no worker idles.

    Args:
        min_fidelity: Least that a trial gets; the lowest rung is the least ``max_fidelity / eta^k`` above it.
        max_fidelity: What a full evaluation gets.
        eta: Factor between the fidelities of two rungs; 1 / `eta` of the trials go on. At least 2.
        num_iterations: Brackets to open at most; None goes on as long as it is asked.
        bracket_sizes: "ceil" sizes brackets like the paper's Algorithm 1, "floor" like HpBandSter.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = Hyperband([RangeHP("x", 0.0, 1.0)], min_fidelity=1, max_fidelity=9, seed=0)
        >>> hpo.ask().fidelity
        1.0
    """

    def _get_suggestion(self, pid: int) -> Suggestion:
        return self._suggest(self._draw)

    def _draw(self, fidelity: float) -> Suggestion:
        """A configuration from the prior that is new, if that can be said."""
        if self._seen.is_finite:
            self._seen.update()
        return Suggestion(self._seen.draw(self.rng))
