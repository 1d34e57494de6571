"""Task: what an optimizer is given, and how good what it found is."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.space import Space

DATA = Path(__file__).parents[1] / "data"

Evaluate = Callable[[Mapping[str, Any]], float]


@dataclass(frozen=True)
class Task:
    """Something to maximise.

    Attributes:
        evaluate: The true value of a configuration.
        best: The best value: exact, or the best that anyone has found.
        median: Of random configurations.
        is_exact: Whether the best value is exact.
        repeats: The values of single repeats, where they differ: an optimizer is told one of them.
        family: Tasks of one kind.
    """

    name: str
    family: str
    space: Space
    evaluate: Evaluate
    best: float
    median: float
    is_exact: bool = True
    repeats: Callable[[Mapping[str, Any]], tuple[float, ...]] | None = None

    def regret(self, value: float, best: float | None = None) -> float:
        """0 at the best value, 1 at the median of random configurations; clipped to [0, 2].

        Args:
            value: What was found.
            best: A better one than is known here, if any.
        """
        best = self.best if best is None else max(best, self.best)
        return min(max((best - value) / (best - self.median), 0.0), 2.0)


@functools.cache
def reference() -> dict[str, dict[str, float]]:
    """Best known value and median of random configurations, by task; `regret.py reference` writes the file."""
    text = (DATA / "reference.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, float]] = json.loads(text)
    return found
