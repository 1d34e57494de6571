"""FidelityTask: a task whose configurations can be trained a little, what that shows, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.space import Space

FloatArray = NDArray[np.float64]
Curve = Callable[[Mapping[str, Any], Sequence[float]], FloatArray]
"""``(n,)`` values of a configuration at n fidelities."""


@dataclass(frozen=True)
class FidelityTask:
    """Something to maximise, of which less than the whole can be seen for less than the whole price.

    Attributes:
        low: The least fidelity that is worth a rung; an int where fidelities are counts, such as epochs.
        high: The full fidelity, of the same type.
        values: What a configuration shows at each of some fidelities, higher is better.
        seconds: What training it up to each of some fidelities takes, from nothing.
        best: The best value at full fidelity.
        median: Of random configurations at full fidelity.
        mean_seconds: What a full training of a random configuration takes in the mean.
    """

    name: str
    space: Space
    low: float
    high: float
    values: Curve
    seconds: Curve
    best: float
    median: float
    mean_seconds: float = 1.0

    @property
    def is_count(self) -> bool:
        """Whether fidelities are whole numbers."""
        return isinstance(self.high, int)

    def levels(self, eta: float = 3.0) -> list[float]:
        """The rungs: the full fidelity over powers of eta, not below the lowest, rounded where they are counts."""
        n = math.floor(math.log(self.high / self.low) / math.log(eta) + 1e-9) + 1
        exact = [self.high / eta**k for k in reversed(range(n))]
        return [max(round(level), 1) for level in exact] if self.is_count else exact

    def true(self, hp: Mapping[str, Any]) -> float:
        """The value of a configuration at full fidelity."""
        return float(self.values(hp, [self.high])[0])

    def costs(self, hp: Mapping[str, Any], fidelities: Sequence[float], clock: str) -> FloatArray:
        """``(n,)`` what training up to each fidelity costs from nothing, in full trainings.

        Args:
            hp: A configuration.
            fidelities: Rising.
            clock: "epochs" costs the share of the full fidelity; "seconds" what the task's own table says.
        """
        if clock == "epochs":
            return np.asarray(fidelities, dtype=float) / self.high
        return np.maximum(np.maximum.accumulate(self.seconds(hp, fidelities)), 0.0) / self.mean_seconds

    def regret(self, value: float) -> float:
        """0 at the best value, 1 at the median of random configurations; clipped to [0, 2]."""
        return min(max((self.best - value) / (self.best - self.median), 0.0), 2.0)
