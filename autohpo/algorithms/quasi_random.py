"""Quasi-random search: a low-discrepancy sequence, which leaves no large hole in the space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.arrays import FloatArray
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
_BATCH = 64  # points that are made at once where one was skipped


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
        self._made = np.empty((0, self.space.n_columns))  # the points before it, as far as they may be asked for again
        self._last = -1  # index of the point of the last suggestion

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        if self._seen.is_finite:
            self._seen.update()
        if not self.space.n_columns:
            return self.space.decode(np.empty((1, 0)))[0]
        for item in self._cursor.step().asked:
            self._last = item.info.get("index", self._last)
        if self._seen.is_nearly_used_up:  # nearly all points of the sequence have come
            return Suggestion(self._seen.draw(self.rng), info={"index": self._last})
        first, n = self._last + 1, N_AT_ONCE if self.space.constraints else 1
        while first <= self._last + MOST_SKIPPED:
            n = min(n, self._last + 1 + MOST_SKIPPED - first)
            for index, hp in self._configurations(first, n):
                if not self._seen.is_finite or self._seen.is_new(hp):
                    return Suggestion(hp, info={"index": index})
            first, n = first + n, max(n, _BATCH)  # to decode many at once takes less time for each
        info = {"index": first - 1}
        if not self._seen.is_finite:  # next to nothing is allowed
            return Suggestion(self.space.sample(self.rng, 1)[0], info=info)
        return Suggestion(self._seen.draw(self.rng), info=info)  # nearly used up

    def _configurations(self, index: int, n: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """The allowed ones among n points of the sequence from an index on, with their own indices."""
        points = self._points(index, n)
        if not self.space.constraints:
            yield from enumerate(self.space.decode(points), index)
            return
        for place in np.flatnonzero(self.space.allowed(points)):
            yield index + int(place), self.space.decode(points[place : place + 1])[0]

    def _points(self, index: int, n: int) -> FloatArray:
        """``(n, d)`` the points of this seed's sequence from an index on."""
        place = index - (self._next - len(self._made))
        if self._engine is None or not 0 <= place <= len(self._made):
            self._engine, self._next = self._make_engine(index), index
            self._made, place = self._made[:0], 0
        missing = place + n - len(self._made)
        if missing > 0:
            self._made = np.concatenate([self._made[place:], self._engine.random(missing)])
            self._next, place = self._next + missing, 0
        return self._made[place : place + n]

    def _make_engine(self, index: int) -> QMCEngine:
        """The sequence of this seed, from an index on."""
        from scipy.stats import qmc

        kind = qmc.Sobol if self.sequence == "sobol" else qmc.Halton
        engine: QMCEngine = kind(d=self.space.n_columns, scramble=True, rng=np.random.default_rng(self.seed))
        if index:
            engine.fast_forward(index)
        return engine
