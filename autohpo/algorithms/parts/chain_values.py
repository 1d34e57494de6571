"""ChainValues: every configuration that a search has started, with its values at the levels of fidelity, as arrays."""

from __future__ import annotations

import math
import sys
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
_LARGEST = sys.float_info.max


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
        self._violations: dict[tuple[int, float], float] = {}  # by chain and fidelity, of what breaks constraints

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
            self.numbers += [item.number for item in fresh]
            self.makers += [item.info.get("arm") for item in fresh]
            self.points, self.mask = np.concatenate([self.points, points]), np.concatenate([self.mask, mask])
        for trial in step.told:
            if trial.score is not None and trial.violation:
                reached = self._full if trial.reached == math.inf else float(trial.reached)
                self._violations[self._history.root(trial.number), reached] = trial.violation
        self._fill()

    def _fill(self) -> None:
        found = self._evidence.evidence()
        rows, n = found.rows, found.n_settled
        self.levels = self._levels(rows.fidelity)
        places, reached = self._rows_of(rows.number), self._reached(rows.fidelity)
        self.places, self.reached = places[:n], reached[:n]
        self._told, self._broken = rows.score[:n], np.zeros(n)
        if self._violations:
            keys = zip(rows.number[:n].tolist(), rows.fidelity[:n].tolist(), strict=True)
            self._broken = np.array([self._violations.get(key, 0.0) for key in keys])
        self.scores = self._lowered(n)
        self.values = np.full((len(self), len(self.levels)), np.nan)
        self.values[places[n:], reached[n:]] = rows.score[n:]
        self.values[self.places, self.reached] = self.scores
        self.heading = np.full(len(self), np.nan)
        running = self._history.running
        roots = np.array([self._history.root(item.number) for item in running], dtype=np.int64)
        given = [self._full if item.fidelity is None else float(item.fidelity) for item in running]
        self.heading[self._rows_of(roots)] = given

    def _rows_of(self, numbers: IntArray) -> IntArray:
        """The row of each of some configurations, which are named by their first trials."""
        return np.searchsorted(self.numbers, numbers)  # numbers rise

    def _lowered(self, n: int) -> FloatArray:
        """``(n,)`` the first n values; those that break constraints on the outcome below all others, by how far.

        It depends on these n alone, so that a model that was fitted to them once is the one that is fitted later.
        """
        scores, broken = self._told[:n], self._broken[:n]
        if not broken.any():
            return scores
        kept = scores[broken == 0.0]
        low, high = (float(kept.min()), float(kept.max())) if len(kept) else (0.0, 0.0)
        unit = min(high - low, _LARGEST) or 1.0  # Python's floats overflow in silence
        with np.errstate(over="ignore"):
            below = low - unit * (0.1 + broken / (1.0 + broken))
        return np.where(broken > 0.0, np.maximum(below, -_LARGEST), scores)

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

    def _reached(self, fidelities: FloatArray) -> IntArray:
        """The highest level at or below each fidelity; the lowest for one below all of them."""
        places = np.searchsorted(self.levels, fidelities * (1.0 + _SLACK), side="right") - 1
        return np.maximum(places, 0)

    def first_values(self, n: int) -> FloatArray:
        """``(c, L)`` values after the first n that were told, for the configurations that have some, in their order.

        Args:
            n: How many values count.
        """
        values = np.full((len(self), len(self.levels)), np.nan)
        values[self.places[:n], self.reached[:n]] = self._lowered(n)
        return values

    @property
    def is_running(self) -> BoolArray:
        """``(n,)`` whether a training runs."""
        is_running: BoolArray = np.isfinite(self.heading)
        return is_running

    def distances(self, fidelities: FloatArray) -> IntArray:
        """``(k,)`` how many levels k fidelities lie below the full one, in threes: 0 for the full one.

        Args:
            fidelities: The fidelities.
        """
        shares = np.maximum(fidelities, self._full * 1e-12) / self._full
        below = np.ceil(-np.log(np.minimum(shares, 1.0)) / math.log(_FACTOR) - 0.01)
        return np.maximum(below, 0.0).astype(np.int64)
