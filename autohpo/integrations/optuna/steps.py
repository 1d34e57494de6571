"""Steps: fidelities as the integers that Optuna counts steps in."""

from __future__ import annotations

import math
from collections.abc import Iterable

MOST_DIGITS = 6
"""The most digits behind the point of a fidelity that steps are exact to."""

LARGEST_STEP = 2**31 - 1
"""The largest step that every database of Optuna's holds."""


class Steps:
    """How many steps a fidelity of 1 is: as few as make every fidelity an integer, and a power of ten.

    Where all fidelities are integers, that is 1: a step is the fidelity. Fractions of 0.5 have 10 steps, and thirds a
    million, to which they are rounded. Two fidelities of a trial never share a step: the greater one moves up.

    Attributes:
        per_unit: The number of steps for a fidelity of 1.
    """

    def __init__(self) -> None:
        self.per_unit = 1
        self._digits, self._largest = 0, 1.0

    def see(self, fidelity: float) -> bool:
        """Take a fidelity into account; return whether that has changed the number of steps."""
        if isinstance(fidelity, int) or fidelity.is_integer():
            if fidelity <= self._largest:
                return False
        elif not math.isfinite(fidelity):
            return False
        else:
            while self._digits < MOST_DIGITS and not _is_whole(fidelity * 10**self._digits):
                self._digits += 1
        self._largest = max(self._largest, fidelity)
        room = math.floor(math.log10(LARGEST_STEP / self._largest)) if self._largest < LARGEST_STEP else 0
        before, self.per_unit = self.per_unit, 10 ** max(0, min(self._digits, room))
        return self.per_unit != before

    def of(self, points: Iterable[tuple[float, float]]) -> dict[int, float]:
        """Return ``(fidelity, value)`` points as values by step, in order; of two at one fidelity the later."""
        found: dict[int, float] = {}
        last = -1
        for fidelity, value in sorted(dict(points).items()):
            last = max(last + 1, round(fidelity * self.per_unit))
            found[last] = value
        return found


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) <= 1e-9 * abs(number)
