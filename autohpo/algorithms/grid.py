"""Grid search: every combination of evenly spaced values, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptimizationComplete, OptionError
from autohpo.history import Cursor
from autohpo.spaces.finite import Digits, walk
from autohpo.trial import Suggestion


@register_hpo("grid")
@dataclass(eq=False, kw_only=True)
class GridSearch(BaseHPOptimizer):
    """Tries `steps` values of each range and all of each choice, the first parameter fastest.

    Children of a choice are walked where they are active, faster than the choice. The grid is never built: each
    combination leads to the next.

    Args:
        steps: Values of each range, from end to end, at least 2; a range of fewer values gives all of them.
    """

    is_deterministic: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})

    steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 2:
            raise OptionError(f"steps: must be at least 2, got {self.steps}")

    @property
    def is_finite(self) -> bool:
        """Whether the algorithm ends by itself: always."""
        return True

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._cursor = Cursor(self.history)
        self._last: Digits | None = None  # of the last suggestion
        self._walk: Iterator[tuple[Digits, dict[str, Any]]] | None = None
        self._walked: Digits | None = None  # where the walk stands

    def __getstate__(self) -> dict[str, Any]:
        """Leave the walk out, which cannot be pickled: the last suggestion says where it stands."""
        return {**vars(self), "_walk": None}

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        for item in self._cursor.step().asked:
            self._last = item.info.get("digits", self._last)
        if self._walk is None or self._walked != self._last:  # after a resume: the last suggestion says where
            self._walk = walk(self.space, self.steps, self._last)
        for digits, hp in self._walk:
            if self.space.is_allowed(hp):
                self._walked = digits
                return Suggestion(hp, info={"digits": digits})
        raise OptimizationComplete("every point of the grid was suggested")
