"""Encoder: configurations, points and finished trials as the numbers that models take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.history import Cursor, HistoryView
from autohpo.spaces import SearchSpace
from autohpo.surrogates.embedding import Embedding
from autohpo.surrogates.parzen_columns import Columns
from autohpo.trial import Trial

MOST_KEPT = 4096
"""The number of combinations of deciding values whose masks are kept."""


class Encoder:
    """Points of the unit cube moved to where their configurations lie, and which of their columns are active.

    A search tries thousands of points for each one that it suggests. To make configurations of all of them would take
    most of its time; here a configuration is made for each combination of the values that decide about others.

    Args:
        space: The space whose unit cube it is.

    Attributes:
        space: The space.
        columns: What the columns mean.

    Example:
        >>> from autohpo import ChoiceHP, RangeHP
        >>> space = SearchSpace([ChoiceHP("opti", ["sgd", "adam"], [[RangeHP("momentum", 0.0, 1.0)], []])])
        >>> points, mask = Encoder(space).of_points(np.array([[0.1, 0.7], [0.6, 0.7]]))
        >>> points.tolist(), mask.tolist()
        ([[0.25, 0.7], [0.75, 0.5]], [[True, True], [True, False]])
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.columns = Columns(space.levels, space.edges)
        deciding = {name for hp in space for name in space.deciders(hp.name)}
        self._deciding = np.flatnonzero([hp.name in deciding for hp in space for _ in range(hp.width)])
        self._can_tell = all(space.edges[j] is not None for j in self._deciding)  # else only a configuration says it
        ends = np.cumsum([0, *(hp.width for hp in space)])
        self._odd = [  # a value may take several columns, or there are too many to list their cells
            (hp, slice(int(a), int(b)))
            for hp, (a, b) in zip(space, pairwise(ends), strict=True)
            if hp.width and hp.n_values is not None and hp.edges is None
        ]
        self._masks: dict[bytes, BoolArray] = {}

    @cached_property
    def embedding(self) -> Embedding:
        """The coordinates between which a kernel takes distances."""
        return Embedding(self.columns, self.space.optional)

    def of_points(self, points: FloatArray) -> tuple[FloatArray, BoolArray]:
        """``(n, d)`` where the configurations of ``(n, d)`` points lie, and ``(n, d)`` which columns are active."""
        if not self._can_tell:
            return self.of_hps(self.space.decode(points))
        coded = self.columns.snap(points.copy())
        for hp, columns in self._odd:
            coded.points[:, columns] = hp.encode(hp.decode(coded.points[:, columns]))
        if not self.space.is_conditional:
            return coded.points, np.ones(points.shape, dtype=bool)
        mask = self._mask(coded.points, coded.codes[:, self._deciding])
        return np.where(mask, coded.points, 0.5), mask

    def of_hps(self, hps: Sequence[Mapping[str, Any]]) -> tuple[FloatArray, BoolArray]:
        """``(n, d)`` where n configurations lie, and ``(n, d)`` which columns are active."""
        points = self.space.encode(hps)
        return points, self.space.mask(hps) if self.space.is_conditional else np.ones(points.shape, dtype=bool)

    def _mask(self, points: FloatArray, codes: IntArray) -> BoolArray:
        """``(n, d)`` which columns are active: the same for all points whose deciding values are the same."""
        keys = [row.tobytes() for row in codes]
        fresh = {key: row for row, key in enumerate(keys) if key not in self._masks}
        if fresh:
            if len(self._masks) + len(fresh) > MOST_KEPT:
                self._masks, fresh = {}, {key: row for row, key in enumerate(keys)}
            masks = self.space.mask(self.space.decode(points[list(fresh.values())]))
            self._masks.update(zip(fresh, masks, strict=True))
        return np.array([self._masks[key] for key in keys], dtype=bool).reshape(points.shape)


class EncodedTrials:
    """The finished trials of a view as arrays, in the order told; each is encoded once.

    Args:
        view: The history of the optimizer, or a view that only grows.
        encoder: The encoder of its space.

    Attributes:
        encoder: The encoder.
        trials: The trials.
        points: ``(n, d)`` where their configurations lie.
        mask: ``(n, d)`` which columns are active.
        scores: ``(n,)`` higher is better; NaN where a trial failed.
    """

    def __init__(self, view: HistoryView, encoder: Encoder) -> None:
        self._cursor, self.encoder = Cursor(view), encoder
        self.trials: list[Trial] = []
        self.points = np.empty((0, view.space.n_columns))
        self.mask = np.empty((0, view.space.n_columns), dtype=bool)
        self.scores = np.empty(0)
        self._rows: dict[int, int] = {}  # by the number of the trial

    def __len__(self) -> int:
        return len(self.trials)

    @property
    def has_scores(self) -> bool:
        """Whether some trial has a result."""
        return bool(np.isfinite(self.scores).any())

    def update(self) -> list[Trial]:
        """Add the trials that have ended since the last call, and return them."""
        told = self._cursor.told()
        if told:
            points, mask = self.encoder.of_hps([trial.hp for trial in told])
            scores = [math.nan if trial.score is None else trial.score for trial in told]
            self._rows.update({trial.number: len(self.trials) + i for i, trial in enumerate(told)})
            self.trials += told
            self.points, self.mask = np.concatenate([self.points, points]), np.concatenate([self.mask, mask])
            self.scores = np.concatenate([self.scores, scores])
        return told

    def of(self, trials: Sequence[Trial]) -> tuple[FloatArray, BoolArray]:
        """``(k, d)`` points and mask of some of the trials."""
        rows = [self._rows[trial.number] for trial in trials]
        return self.points[rows], self.mask[rows]
