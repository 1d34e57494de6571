"""ChainValues: every configuration that a search has started, with its values at the levels of fidelity, as arrays."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.evidence import HistoryEvidence
from autohpo.history import Cursor, History

MOST_LEVELS = 12
"""The number of fidelities up to which each is a level of its own; of more those by threes count."""

_SLACK = 1e-9  # fidelities nearer than this share are one
_FACTOR = 3.0


class ChainValues:
    """The configurations that were started, a row each, in the order of their first suggestions.

    Args:
        history: The history.
        encoder: The encoder of its space.
        full: The fidelity of a full evaluation.
        levels: The rungs, rising; None takes the fidelities that trials were given.

    Attributes:
        numbers: The first trial of each.
        points: ``(n, d)`` where they lie in the unit cube.
        mask: ``(n, d)`` which columns are active.
        makers: What the notes of each say of who suggested it; None where they say nothing.
        levels: The L levels, rising; the last is that of a full evaluation, once there is one.
        values: ``(n, L)`` higher is better; NaN where there is none.
        is_failed: ``(n,)`` whether a training has failed.
        heading: ``(n,)`` the fidelity that a training heads for; NaN where none runs.
        places: ``(e,)`` the row of each value of trials that have ended, in the order told.
        reached: ``(e,)`` the level of each.
        scores: ``(e,)`` the values.
    """

    def __init__(self, history: History, encoder: Encoder, full: float, levels: Sequence[float] | None) -> None:
        self._evidence = HistoryEvidence(history, encoder, full, levels, "rungs")
        self._history, self._encoder, self._full = history, encoder, float(full)
        self._given = None if levels is None else tuple(map(float, levels))
        self._cursor = Cursor(history)
        self._restart()

    def _restart(self) -> None:
        d = self._encoder.space.n_columns
        self.numbers: list[int] = []
        self.makers: list[str | None] = []
        self.points, self.mask = np.empty((0, d)), np.empty((0, d), dtype=bool)
        self.scores: FloatArray = np.empty(0)
        self._place_of: dict[int, int] = {}
        self._violations: dict[tuple[int, int], float] = {}  # by row and level, of results that break constraints

    def __len__(self) -> int:
        return len(self.numbers)

    def update(self) -> None:
        """Take what is new in the history."""
        step = self._cursor.step()
        if step.is_reset:
            self._restart()
        fresh = [item for item in step.asked if item.resume is None]
        if fresh:
            points, mask = self._encoder.of_hps([item.hp for item in fresh])
            self._place_of.update({item.number: len(self) + i for i, item in enumerate(fresh)})
            self.numbers += [item.number for item in fresh]
            self.makers += [item.info.get("arm") for item in fresh]
            self.points, self.mask = np.concatenate([self.points, points]), np.concatenate([self.mask, mask])
        self._fill()
        for trial in step.told:
            if trial.score is not None and trial.violation:
                reached = self._full if trial.reached == math.inf else float(trial.reached)
                row = self._place_of[self._history.root(trial.number)]
                self._violations[row, self._level(reached)] = trial.violation
        self.scores = self._lowered(self.places, self.reached, self.scores)
        self.values[self.places, self.reached] = self.scores

    def _lowered(self, places: IntArray, reached: IntArray, scores: FloatArray) -> FloatArray:
        """Scores in which those that break constraints on the outcome lie below all others, by how far they do."""
        if not self._violations:
            return scores
        pairs = zip(places.tolist(), reached.tolist(), strict=True)
        broken = np.array([self._violations.get(pair, 0.0) for pair in pairs])
        kept = scores[broken == 0.0]
        low = float(kept.min()) if len(kept) else 0.0
        unit = (float(np.ptp(kept)) if len(kept) else 0.0) or 1.0
        return np.where(broken > 0.0, low - unit * (0.1 + broken / (1.0 + broken)), scores)

    def _fill(self) -> None:
        found = self._evidence.evidence()
        rows, n = found.rows, found.n_settled
        self.levels = self._levels(rows.fidelity)
        places = np.array([self._place_of[number] for number in rows.number.tolist()], dtype=np.int64)
        reached = np.array([self._level(fidelity) for fidelity in rows.fidelity.tolist()], dtype=np.int64)
        self.values = np.full((len(self), len(self.levels)), np.nan)
        self.values[places, reached] = rows.score
        self.places, self.reached, self.scores = places[:n], reached[:n], rows.score[:n]
        self.is_failed = np.zeros(len(self), dtype=bool)
        self.heading = np.full(len(self), np.nan)
        for trial in self._history.trials:
            if trial.score is None:
                self.is_failed[self._place_of[self._history.root(trial.number)]] = True
        for running in self._history.running:
            given = self._full if running.fidelity is None else float(running.fidelity)
            self.heading[self._place_of[self._history.root(running.number)]] = given

    def _levels(self, fidelities: FloatArray) -> tuple[float, ...]:
        if self._given is not None:
            return self._given
        found = sorted(set(fidelities.tolist()))
        if len(found) <= MOST_LEVELS:
            return tuple(found)
        levels = [max(self._full, found[-1])]
        while levels[0] / _FACTOR >= found[0]:
            levels.insert(0, levels[0] / _FACTOR)
        return tuple(levels)

    def _level(self, fidelity: float) -> int:
        """The highest level at or below a fidelity; the lowest for one below all of them."""
        return max(bisect_right(self.levels, fidelity * (1.0 + _SLACK)) - 1, 0)

    def first_values(self, n: int) -> FloatArray:
        """``(c, L)`` values after the first n that were told, for the configurations that have some, in their order.

        Args:
            n: How many values count.
        """
        values = np.full((len(self), len(self.levels)), np.nan)
        values[self.places[:n], self.reached[:n]] = self.scores[:n]
        return values

    @property
    def is_running(self) -> BoolArray:
        """``(n,)`` whether a training runs."""
        found: BoolArray = np.isfinite(self.heading)
        return found

    def distances(self, fidelities: FloatArray) -> IntArray:
        """``(k,)`` how many levels k fidelities lie below the full one, in threes: 0 for the full one.

        Args:
            fidelities: The fidelities.
        """
        shares = np.maximum(fidelities, self._full * 1e-12) / self._full
        below = np.ceil(-np.log(np.minimum(shares, 1.0)) / math.log(_FACTOR) - 0.01)
        return np.maximum(below, 0.0).astype(np.int64)
