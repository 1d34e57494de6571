"""Steps: fidelities as whole numbers, for rivals that count nothing else."""

from __future__ import annotations

from suite.fidelity.task import FidelityTask


class Steps:
    """A count is itself; a share is a multiple of the lowest rung, of which the rungs are 1, 3, 9 and so on.

    Attributes:
        low: The least that a trial gets.
        high: The full fidelity.
    """

    def __init__(self, task: FidelityTask) -> None:
        self._unit = 1.0 if task.is_count else task.levels()[0]
        self.low = int(task.low) if task.is_count else 1
        self.high = self.of(task.high)

    def of(self, fidelity: float) -> int:
        """The step of a fidelity."""
        return round(fidelity / self._unit)

    def fidelity(self, step: float) -> float:
        """The fidelity of a step."""
        return step * self._unit
