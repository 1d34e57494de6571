"""Quasi-random search: a low-discrepancy sequence, which leaves no large hole in the space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import register_hpo

if TYPE_CHECKING:
    from scipy.stats.qmc import QMCEngine


@register_hpo("quasi_random")
@dataclass(eq=False, kw_only=True)
class QuasiRandomSearch(BaseHPOptimizer):
    """Walks along a scrambled Sobol or Halton sequence in the unit cube.

    Source: Sobol' 1967; Halton 1960; scrambling as in Owen 1998 and Owen 2017, in scipy.stats.qmc.

    Args:
        sequence: "sobol" is most even at powers of two; "halton" at any number.
    """

    sequence: Literal["sobol", "halton"] = "sobol"

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._engine: QMCEngine | None = None
        self._next = 0  # index of the point that the engine gives next

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        if not self.space.n_columns:
            return self.space.decode(np.empty((1, 0)))[0]
        if self._engine is None or self._next != self.number:  # after a resume: the sequence is a function of the seed
            self._engine, self._next = self._make_engine(), self.number
        point = self._engine.random(1)
        self._next += 1
        return self.space.decode(point)[0]

    def _make_engine(self) -> QMCEngine:
        """The sequence of this seed, at the current number."""
        from scipy.stats import qmc

        kind = qmc.Sobol if self.sequence == "sobol" else qmc.Halton
        engine: QMCEngine = kind(d=self.space.n_columns, scramble=True, rng=np.random.default_rng(self.seed))
        if self.number:
            engine.fast_forward(self.number)
        return engine
