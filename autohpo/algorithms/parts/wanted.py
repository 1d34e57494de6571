"""The points of a search at work: which known results it took, and which points it tried."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autohpo.algorithms.parts.points import CheckedPoint, check_fidelities
from autohpo.history import History
from autohpo.trial import Outcome, Suggestion

if TYPE_CHECKING:
    from autohpo.algorithms.base import BaseHPOptimizer


@dataclass
class KnownResults:
    """Points whose results are known, taken as if they had been suggested and told before anything else.

    Attributes:
        points: The points, in the order in which they are taken.
        n_taken: How many were taken.
    """

    points: list[CheckedPoint] = field(default_factory=list)
    n_taken: int = 0

    def add(self, points: Sequence[CheckedPoint]) -> None:
        """Take points before the others."""
        self.points = [*points, *self.points]

    def check(self, full: float | None) -> None:
        """Check that the search can place each of them; see :func:`check_fidelities`."""
        check_fidelities(self.points, full)

    def rest(self, history: History, full: float | None) -> Iterator[tuple[Suggestion, Outcome]]:
        """Yield those not taken yet, as suggestions and outcomes; each is in the history before the next is asked for.

        Results of one configuration at rising fidelities are one chain, as if it had been promoted.

        Args:
            history: The history of the search.
            full: The fidelity of its full evaluations; None where every trial is one.
        """
        if self.n_taken == len(self.points):
            return
        last: dict[str, tuple[float, int]] = {}  # fidelity and number of the newest of each chain
        for number, point in enumerate(self.points):  # nothing is in the history before them
            fidelity = point.fidelity if isinstance(point.fidelity, (int, float)) else full
            reached, key = math.inf if fidelity is None else fidelity, history.space.key(point.hp)
            before = last.get(key)
            last[key] = reached, number
            if number >= self.n_taken and point.outcome is not None:
                resume = before[1] if before is not None and before[0] < reached else None
                info = {"known": True}
                yield Suggestion(point.hp, fidelity=fidelity, resume=resume, number=number, info=info), point.outcome


@dataclass
class WantedPoints:
    """Points to be tried: each starts as any new configuration does, and is run in full as well where that is wanted.

    Attributes:
        points: The points, in the order in which they are tried.
        n_started: How many were started.
    """

    points: list[CheckedPoint] = field(default_factory=list)
    n_started: int = 0
    _in_full: CheckedPoint | None = None  # started at a lower fidelity, and due in full

    def add(self, points: Sequence[CheckedPoint]) -> None:
        """Take points before the others."""
        self.points = [*points, *self.points]

    def n_due_in_full(self, full: float | None) -> int:
        """Return how many runs in full there may be that the algorithm does not ask for itself."""
        if full is None:
            return 0
        waiting = self.points[self.n_started :]
        return (self._in_full is not None) + sum(point.fidelity == "full" for point in waiting)

    def suggest(self, hpo: BaseHPOptimizer, pid: int) -> object | None:
        """Return the suggestion that tries the next point; None where all were tried."""
        if self._in_full is not None:
            info = {"point_in_full": self.n_started - 1}
            return Suggestion(self._in_full.hp, fidelity=hpo.full_fidelity, info=info)
        if self.n_started < len(self.points):
            return hpo._suggest_point(pid, self.points[self.n_started].hp)
        return None

    def mark(self, suggestion: Suggestion) -> None:
        """Note in a suggestion which point it tries: an algorithm may have promoted a trial first."""
        if suggestion.resume is None and suggestion.fork is None and "point_in_full" not in suggestion.info:
            suggestion.info["point"] = self.n_started

    def follow(self, suggestion: Suggestion, full: float | None) -> None:
        """Take note of a suggestion that was made, here or before a crash."""
        if "point_in_full" in suggestion.info:
            self._in_full = None
        elif "point" in suggestion.info:
            point = self.points[self.n_started] if self.n_started < len(self.points) else None
            self.n_started += 1
            is_short = full is not None and suggestion.fidelity is not None and suggestion.fidelity < full
            self._in_full = point if point is not None and point.fidelity == "full" and is_short else None
