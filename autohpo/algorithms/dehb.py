"""DEHB: Hyperband's brackets, filled by differential evolution of a subpopulation for each fidelity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from autohpo.algorithms.hyperband import Hyperband
from autohpo.algorithms.registry import register_hpo
from autohpo.schedulers import dehb


@register_hpo("dehb")
@dataclass(eq=False, kw_only=True)
class DEHB(Hyperband):
    """Fills Hyperband's brackets by evolution: what was good at little fidelity breeds what is tried at more.

    The first bracket is ``hyperband``'s, the others of the first round begin with bred configurations. After that round
    nobody is promoted: the best of a rung are the parents of new configurations at the next one, each of which takes
    the place of an older one there if it is at least as good.

    Source: Awad, Mallik & Hutter 2021, IJCAI, arXiv 2105.09821, and in the first round their code. Where they are
    silent, or where this departs:

    * Who is promoted continues its own training, and so does a configuration that is bred again while it waits at a
      lower rung. All others are trained from nothing.
    * Who is promoted is among the best of its bracket, not of all that were tried at its fidelity.
    * Values in no order, of which the paper takes differences as of numbers, are those of parents; one in ten is new.
    * A place that nobody holds yet, which the paper has filled at random, is taken by the first result.
    * In a space that can be counted no configuration is tried twice at a fidelity.
    * Points of the user and known results take part, each at its own fidelity.
    * As in ``hyperband`` another bracket opens as soon as all open ones wait, so that no worker idles.

    Args:
        bracket_sizes: "floor" sizes brackets like the paper and HpBandSter, so that a subpopulation is as large as the
            rung of each bracket; "ceil" like Hyperband's Algorithm 1.
        mutation_factor: The length of a step of the evolution, as a share of the difference of two parents.
        crossover_probability: The share of parameters that a new configuration has from its parents; the others are
            those of the one whose place it competes for.
        promoting_brackets: Brackets that promote; None is the first round of them. More suit objectives that continue
            paused trainings: who is promoted costs only what is added, and who is bred costs all.
        sampler: Where the configurations of the first bracket come from.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = DEHB([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], max_fidelity=9, seed=0)
        >>> for _ in range(13 + 1):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, -abs(suggestion["x"] - 0.3))
        >>> suggestion.fidelity, suggestion.info["why"].split(" of ")[0]
        (3, 'a mutant')
    """

    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})
    option_aliases: ClassVar[Mapping[str, str]] = {
        **Hyperband.option_aliases,
        "crossover_prob": "crossover_probability",
    }

    bracket_sizes: Literal["ceil", "floor"] = "floor"
    mutation_factor: float = 0.5
    crossover_probability: float = 0.5
    promoting_brackets: int | None = None

    @property
    def is_finite(self) -> bool:
        """Whether it ends by itself: evolution goes on where a sampler has nothing left, unless all was tried."""
        is_used_up = self._is_sampler_finite and self.space.n_configurations is not None
        return is_used_up or self.budget is not None or self.num_iterations is not None

    def _make_scheduler(self) -> dehb.DEHB:
        return dehb.DEHB(
            self.brackets_of(self.bracket_sizes),
            self.num_iterations,
            mutation_factor=self.mutation_factor,
            crossover_probability=self.crossover_probability,
            promoting_brackets=self.promoting_brackets,
        )
