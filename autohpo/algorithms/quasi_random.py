"""Quasi-random search: a low-discrepancy sequence, which leaves no large hole in the space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.arrays import BoolArray, FloatArray
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.registry import register_hpo
from autohpo.history import Cursor
from autohpo.trial import Suggestion

if TYPE_CHECKING:
    from scipy.stats.qmc import QMCEngine


MOST_SKIPPED = 10_000
"""Points of the sequence that may be skipped for one suggestion: repeated, or not allowed."""
N_AT_ONCE = 1024
"""Points that are made at once under constraints: a power of two."""


@register_hpo("quasi_random")
@dataclass(eq=False, kw_only=True)
class QuasiRandomSearch(BaseHPOptimizer):
    """Follows a scrambled Sobol or Halton sequence in the unit cube.

    Points that the constraints forbid are skipped, and in a finite space those whose configuration has come before;
    there the search ends when all have come. Where 10,000 points in a row are forbidden, it draws from the prior.

    Source: Sobol' 1967; Halton 1960; scrambling as in Owen 1998 and Owen 2017, in scipy.stats.qmc.

    Args:
        sequence: "sobol" is most even at powers of two; "halton" at any number.
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})

    sequence: Literal["sobol", "halton"] = "sobol"

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._seen, self._cursor = SeenSet(self.history), Cursor(self.history)
        self._engine: QMCEngine | None = None
        self._next = 0  # index of the point that the engine gives next
        self._block, self._start = np.empty((0, self.space.n_columns)), 0  # the points made last, and the first's index
        self._allowed: BoolArray | None = None  # which of them are allowed, once that was asked
        self._last = -1  # index of the point of the last suggestion

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        if self._seen.is_finite:
            self._seen.update()
        if not self.space.n_columns:
            return self.space.decode(np.empty((1, 0)))[0]
        for item in self._cursor.step().asked:
            self._last = item.info.get("index", self._last)
        first = self._last + 1
        for index in range(first, first + MOST_SKIPPED):
            if not self._is_allowed(index):
                continue
            hp = self.space.decode(self._point(index))[0]
            if not self._seen.is_finite or self._seen.is_new(hp):
                return Suggestion(hp, info={"index": index})
        if not self._seen.is_finite:
            return Suggestion(self.space.sample(self.rng, 1)[0], info={"index": index})  # next to nothing is allowed
        return Suggestion(self._seen.draw(self.rng), info={"index": index})  # nearly used up

    def _is_allowed(self, index: int) -> bool:
        """Whether the point of the sequence at an index meets the constraints."""
        if not self.space.constraints:
            return True
        self._point(index)
        if self._allowed is None:
            self._allowed = self.space.allowed(self._block)
        return bool(self._allowed[index - self._start])

    def _point(self, index: int) -> FloatArray:
        """``(1, d)`` the point of this seed's sequence at an index; under constraints many are made at once."""
        if not self._start <= index < self._start + len(self._block):
            if self._engine is None or self._next != index:
                self._engine = self._make_engine(index)
            n = N_AT_ONCE if self.space.constraints else 1
            self._block, self._start, self._next = self._engine.random(n), index, index + n
            self._allowed = None
        return self._block[index - self._start : index - self._start + 1]

    def _make_engine(self, index: int) -> QMCEngine:
        """The sequence of this seed, from an index on."""
        from scipy.stats import qmc

        kind = qmc.Sobol if self.sequence == "sobol" else qmc.Halton
        engine: QMCEngine = kind(d=self.space.n_columns, scramble=True, rng=np.random.default_rng(self.seed))
        if index:
            engine.fast_forward(index)
        return engine
