"""The memory of a worker: how much of it is the running trial's, and which paused trainings make room for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

FULL = 0.9  # of the limit: from there on, paused trainings make room
PATIENCE = 1.2  # times the limit: so far a worker may go while paused trainings are being let go
RELIEF_SECONDS = 0.2  # for that to take effect


@dataclass
class WorkerMemory:
    """What a worker holds, in bytes of its whole tree of processes.

    Attributes:
        limit: How much it may hold; None where that is not limited, and nothing is measured.
        fresh: What it held when it had loaded the objective.
        growth: The most that a trial has added to what was there when it began.
        paused: What each paused training has added, by the root of its chain.
        ranking: The roots of paused trainings, the one least likely to go on first.
    """

    limit: int | None = None
    fresh: int = 0
    growth: int = 0
    paused: dict[int, int] = field(default_factory=dict)
    ranking: Sequence[int] = ()
    _leaving: int = 0  # bytes of trainings that the worker was told to let go of, and may still hold
    _relieved: float = 0.0  # when that happened last while a trial ran

    def renew(self) -> None:
        """Forget a worker that ended."""
        self.paused.clear()
        self.fresh = self._leaving = 0
        self._relieved = 0.0

    def began(self) -> None:
        """Note that a trial began, before which the worker has let go of what it was told to."""
        self._leaving = 0

    def dropped(self, root: int) -> None:
        """Note that a paused training is let go."""
        self._leaving += self.paused.pop(root, 0)

    def to_let_go(self, held: int, expected: int = 0) -> list[int]:
        """Return the paused trainings that make room, in the order of the ranking.

        Args:
            held: What the worker holds now.
            expected: What will be added.
        """
        if self.limit is None or not self.paused:
            return []
        missing = held - self._leaving + expected - FULL * self.limit
        places = {root: place for place, root in enumerate(self.ranking)}
        chosen: list[int] = []
        for root in sorted(self.paused, key=lambda root: places.get(root, len(places))):
            if missing <= 0:
                break
            chosen.append(root)
            missing -= self.paused[root]
        return chosen

    def is_due(self, now: float) -> bool:
        """Return whether more trainings may be let go while a trial runs: the last ones are gone by now."""
        return now - self._relieved >= RELIEF_SECONDS

    def relieved(self, now: float) -> None:
        """Note when trainings were let go while a trial ran."""
        self._relieved, self._leaving = now, 0

    def is_patient(self, held: int, now: float) -> bool:
        """Return whether a worker above its limit may live on for a moment, as trainings are just being let go."""
        return self.limit is not None and held <= PATIENCE * self.limit and not self.is_due(now)
