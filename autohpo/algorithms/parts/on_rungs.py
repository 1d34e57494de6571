"""OnRungs: the options of every algorithm whose trials are compared at rungs, and what a stored run makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autohpo.algorithms.options import check_types, option_names
from autohpo.algorithms.registry import get_hpo
from autohpo.algorithms.scheduled import Scheduled
from autohpo.schedulers.rungs import Rungs, checked_levels, is_count
from autohpo.schedulers.schedule import Schedule


@dataclass(eq=False, kw_only=True)
class OnRungs(Scheduled):
    """A scheduler and a sampler, with options that say at which fidelities trials are compared.

    A subclass makes its scheduler of ``self.rungs``, or of :meth:`brackets_of`.

    Args:
        min_fidelity: Least that a trial gets; the lowest rung is the least ``max_fidelity / eta^k`` above it.
        max_fidelity: What a full evaluation gets.
        eta: Factor between the fidelities of two rungs, at least 2; 1 / `eta` of the trials go on.
        rung_levels: The rungs as a list, rising, in place of `min_fidelity` and `eta`; `max_fidelity` is added where it
            is not the last. From each as many go on as its fidelity is to that of the next one.
        rung_increment: The distance between two rungs, from `min_fidelity` on, in place of `eta`.
        whole_fidelity: Whether rungs are rounded to integers, as epochs are. None is True where `min_fidelity` and
            `max_fidelity` are integers and the latter is above 1; a stored run goes on with its own.

    Raises:
        OptionError: The rungs break a rule.
    """

    min_fidelity: float = 1.0
    eta: float = 3.0
    rung_levels: Sequence[float] | None = None
    rung_increment: float | None = None
    whole_fidelity: bool | None = None

    def __post_init__(self) -> None:
        if self.rung_levels is not None:
            check_types(self)
            self.rung_levels = list(checked_levels(self.rung_levels))
            self.min_fidelity = min(self.rung_levels[0], self.max_fidelity)
        self._is_whole_given = self.whole_fidelity is not None
        super().__post_init__()
        if self.whole_fidelity is None:
            self.whole_fidelity = is_count(self.min_fidelity, self.max_fidelity)

    def _resume_with(self, options: Mapping[str, Any]) -> Sequence[str]:
        names = [*super()._resume_with(options)]
        kept = options.get("whole_fidelity", False)  # older releases never rounded
        if self._is_whole_given and kept is not self.whole_fidelity:
            return names
        if kept is not self.whole_fidelity:
            self.whole_fidelity = kept
            self._scheduler = self._make_scheduler()
            self._take_sampler(self.sampler)
        return [*names, "whole_fidelity"]

    def _options_for(self, sampler: str) -> dict[str, Any]:
        is_asked = "rung_levels" in option_names(get_hpo(sampler))
        return {"rung_levels": list(self.rungs.fidelities)} if is_asked else {}

    def brackets_of(self, bracket_sizes: Literal["ceil", "floor"] = "ceil") -> Schedule:
        """Return Hyperband's brackets over the rungs.

        Args:
            bracket_sizes: How they are sized.
        """
        return Schedule(
            self.min_fidelity,
            self.max_fidelity,
            self.eta,
            bracket_sizes,
            levels=None if self.rung_levels is None else tuple(self.rung_levels),
            increment=self.rung_increment,
            is_whole=self.whole_fidelity,
        )

    @property
    def rungs(self) -> Rungs:
        """The fidelities at which trials are compared, and how many go on from each."""
        return self.brackets_of().rungs
