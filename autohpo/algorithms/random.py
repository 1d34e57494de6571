"""Random search: configurations drawn from the prior, each on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.registry import register_hpo


@register_hpo("random")
@dataclass(eq=False, kw_only=True)
class RandomSearch(BaseHPOptimizer):
    """Draws every configuration from the prior: uniform on a range, on a log range in the logarithm.

    The yardstick for every other algorithm, and a sound choice where very many trials run at once. In a finite space
    no configuration comes twice, and the search ends when all have come.

    Source: Bergstra & Bengio 2012, JMLR 13, 281-305.
    """

    ends_with_space: ClassVar[bool] = True
    reads_fidelity: ClassVar[bool] = True  # it learns nothing, so it may see everything
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._seen = SeenSet(self.history)

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        if self._seen.is_finite:
            self._seen.update()
        return self._seen.draw(self.rng)
