"""What the densities of ``kde`` need: observations in arrays, inactive columns, and choices of unequal weight."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autohpo.history import Cursor, HistoryView
from autohpo.schedulers.chains import fidelity_of
from autohpo.spaces import SearchSpace
from autohpo.surrogates.kde import MixedKDE
from autohpo.surrogates.kde_screen import Screen
from autohpo.trial import Running, Trial, TrialState

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

FEW_PAIRS = 2**14
"""The most pairs of a point and a row of data whose exact densities take less time than to make two screens."""


@dataclass(frozen=True, eq=False)
class Model:
    """Where good configurations lie, and where bad ones.

    Attributes:
        good: The density l of the good ones.
        bad: The density g of the bad ones.
    """

    good: MixedKDE
    bad: MixedKDE

    @cached_property
    def _screens(self) -> tuple[Screen, Screen]:
        return Screen(self.good), Screen(self.bad)

    def about(self, points: FloatArray, mask: BoolArray | None = None) -> tuple[FloatArray, float]:
        """``(m,)`` what :meth:`log_ratio` returns, in single precision, and by how much two of them may be off.

        Args:
            points: ``(m, d)`` points in the unit cube, choices in cells of equal length.
            mask: ``(m, d)`` which columns are active; None where all are.
        """
        good, bad = self._screens
        ratios = good.log_density(points, mask) - bad.log_density(points, mask)
        return ratios, 2.0 * (good.error + bad.error)

    def best(self, points: FloatArray) -> int:
        """Return the place of the first of ``(m, d)`` points with the largest ratio."""
        if len(points) * (len(self.good.points) + len(self.bad.points)) <= FEW_PAIRS:
            return int(np.argmax(self.log_ratio(points)))
        ratios, error = self.about(points)
        rivals = np.flatnonzero(ratios >= ratios.max() - error)
        return int(rivals[np.argmax(self.log_ratio(points[rivals]))]) if len(rivals) > 1 else int(rivals[0])

    def log_ratio(self, points: FloatArray, mask: BoolArray | None = None) -> FloatArray:
        """``(m,)`` log of good over bad density at ``(m, d)`` points of the unit cube.

        Expected improvement grows with it: Bergstra et al. 2011, NeurIPS 24, section 4.1. Points are judged by their
        active columns alone: the densities of those, whatever the others are.

        Args:
            points: ``(m, d)`` points in the unit cube, choices in cells of equal length.
            mask: ``(m, d)`` which columns are active; None where all are.
        """
        if mask is None or bool(mask.all()):
            return self.good.log_density(points) - self.bad.log_density(points)  # EI = (gamma + (1 - gamma) g / l)^-1
        ratios = np.zeros(len(points))  # a point without a column is like any other
        for columns in np.unique(mask, axis=0):
            if columns.any():
                rows = (mask == columns).all(axis=1)
                queries = points[np.ix_(rows, columns)]
                good, bad = (_on(kde, columns).log_density(queries) for kde in (self.good, self.bad))
                ratios[rows] = good - bad
        return ratios


def _on(kde: MixedKDE, columns: BoolArray) -> MixedKDE:
    """The density of some of the columns: of a product of kernels, the other factors integrate to 1."""
    return MixedKDE(kde.points[:, columns], kde.levels[columns], kde.bandwidths[columns])


def imputed(points: FloatArray, mask: BoolArray) -> FloatArray:
    """Return ``(n, d)`` points in which inactive columns hold values that they have where they are active.

    They take turns at the values that the other points have there, or at even steps where none has one: a value that
    stands for nothing must say nothing. Falkner et al. 2018 draw them at random.

    Args:
        points: ``(n, d)`` points in the unit cube.
        mask: ``(n, d)`` which columns are active.
    """
    filled = points.copy()
    for column in np.flatnonzero(~mask.all(axis=0)):
        is_off = ~mask[:, column]
        n = int(is_off.sum())
        known = points[~is_off, column]
        filled[is_off, column] = np.resize(known, n) if len(known) else (np.arange(n) + 0.5) / n
    return filled


class EvenCells:
    """Choices in cells of equal length, as the kernels take them, and back to those that a prior has stretched.

    Args:
        space: The space, whose choices may have weights.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._edges = {
            column: edges
            for column, (levels, edges) in enumerate(zip(space.levels, space.edges, strict=True))
            if levels and edges is not None and not np.allclose(np.diff(edges), 1 / levels, rtol=0, atol=1e-12)
        }

    def evened(self, points: FloatArray) -> FloatArray:
        """``(n, d)`` points with every choice in the middle of one of as many equal cells."""
        moved = points.copy() if self._edges else points
        for column, edges in self._edges.items():
            cells = np.searchsorted(edges[1:-1], points[:, column], side="right")
            moved[:, column] = (cells + 0.5) / (len(edges) - 1)
        return moved

    def stretched(self, points: FloatArray) -> FloatArray:
        """``(n, d)`` points with every choice in the middle of its own cell in the unit cube of the space."""
        moved = points.copy() if self._edges else points
        for column, edges in self._edges.items():
            n = len(edges) - 1
            cells = np.minimum((points[:, column] * n).astype(np.int64), n - 1)
            moved[:, column] = (edges[cells] + edges[cells + 1]) / 2
        return moved


class Observations:
    """What was suggested in a history and what came of it, in arrays; every configuration is encoded once.

    Where trials are stopped early, those that went on there are as much a part of that fidelity, with the value that
    they reported. Else the stopped ones, who are the worst, would be all that is known of it.

    Args:
        history: The history, or a view of it.
        full: The fidelity of a full evaluation, which trials without a fidelity are.

    Attributes:
        ranked: The ``(loss, number)`` of the trials that ended at each fidelity, best first; failed ones have an
            infinite loss. The order told leaves no trace.
        n_results: The number of those that did not fail, at each fidelity.
        cells: How choices stand in the points.
    """

    def __init__(self, history: HistoryView, full: float) -> None:
        self._space, self._full = history.space, full
        self._cursor = Cursor(history)
        self.cells = EvenCells(self._space)
        self._restart()

    def _restart(self) -> None:
        self.ranked: dict[float, list[tuple[float, int]]] = {}
        self._numbers: dict[float, IntArray] = {}  # those of `ranked` in an array, with room for more
        self.n_results: dict[float, int] = {}
        self._stops: set[float] = set()  # fidelities where trials were stopped
        self._points = np.empty((0, self._space.n_columns))  # of each suggestion by its number
        self._mask: BoolArray = np.empty((0, self._space.n_columns), dtype=bool)  # which columns of it are active

    def update(self) -> None:
        """Catch up with the history."""
        step = self._cursor.step()
        if step.is_reset:
            self._restart()
        self._encode(step.asked)
        for place, trial in enumerate(step.told, self._cursor.n_told - len(step.told)):
            fidelity = fidelity_of(trial, self._full)
            if trial.state is TrialState.STOPPED and fidelity not in self._stops:
                self._stops.add(fidelity)
                for earlier in self._cursor.view.trials[:place]:
                    self._add_report(earlier, fidelity)
            for stop in self._stops:
                if stop != fidelity:
                    self._add_report(trial, stop)
            self._add(fidelity, trial.score, trial.number)

    def _add(self, fidelity: float, score: float | None, number: int) -> None:
        ranked = self.ranked.setdefault(fidelity, [])
        item = math.inf if score is None else -score, number
        place, n = bisect_right(ranked, item), len(ranked)
        ranked.insert(place, item)
        kept = self._numbers.get(fidelity)
        if kept is None or n == len(kept):  # doubled, so that the copying costs little
            room = np.empty(max(64, 2 * n), dtype=np.int64)
            room[:n] = kept if kept is not None else 0
            kept = self._numbers[fidelity] = room
        kept[place + 1 : n + 1] = kept[place:n]
        kept[place] = number
        self.n_results[fidelity] = self.n_results.get(fidelity, 0) + (score is not None)

    def _add_report(self, trial: Trial, fidelity: float) -> None:
        """Adds what a trial reported at a fidelity, if it did."""
        for done, score in trial.curve:
            if done == fidelity:
                self._add(fidelity, score, trial.number)
                return

    def _encode(self, new: Sequence[Trial | Running]) -> None:
        """Puts suggestions that were not seen yet into the arrays."""
        if not new:
            return
        numbers, hps = [item.number for item in new], [item.hp for item in new]
        n_missing = max(numbers) + 1 - len(self._points)
        if n_missing > 0:  # doubled, so that the copying costs little
            spare = np.empty((max(n_missing, len(self._points)), self._space.n_columns))
            self._points = np.concatenate([self._points, spare])
            self._mask = np.concatenate([self._mask, np.ones(spare.shape, dtype=bool)])
        self._points[numbers] = self.cells.evened(self._space.encode(hps))
        if self._space.is_conditional:
            self._mask[numbers] = self._space.mask(hps)

    def numbers(self, fidelity: float) -> IntArray:
        """``(n,)`` the numbers of the trials that ended at a fidelity, best first."""
        return self._numbers[fidelity][: len(self.ranked[fidelity])]

    def points(self, numbers: Sequence[int] | IntArray) -> FloatArray:
        """Return ``(n, d)`` points in the unit cube, of suggestions by their number; see :func:`imputed`."""
        points: FloatArray = self._points.take(numbers, axis=0)
        return imputed(points, self._mask[numbers]) if self._space.is_conditional else points
