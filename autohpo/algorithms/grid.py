"""Grid search: every combination of evenly spaced values, in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptimizationComplete, OptionError


@register_hpo("grid")
@dataclass(eq=False, kw_only=True)
class GridSearch(BaseHPOptimizer):
    """Tries `steps` values of each range and all of each choice, the first parameter fastest.

    Args:
        steps: Values of each range, from end to end; a range of fewer values gives all of them. At least 2.
    """

    is_deterministic: ClassVar[bool] = True

    steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 2:
            raise OptionError(f"steps: must be at least 2, got {self.steps}")

    @property
    def is_finite(self) -> bool:
        """Whether it ends by itself: always."""
        return True

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._axes = {hp.name: hp.grid(self.steps) for hp in self.space}

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        rest, hp = self.number, {}
        for name, values in self._axes.items():  # the digits of the number, one base for each axis
            rest, digit = divmod(rest, len(values))
            hp[name] = values[digit]
        if rest:
            raise OptimizationComplete("every point of the grid was suggested")
        return hp
