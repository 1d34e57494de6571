"""Embedding: points of the unit cube as coordinates between which Euclidean distances mean something."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray
from autohpo.surrogates.parzen_columns import Columns
from autohpo.surrogates.priors import Prior
from autohpo.surrogates.warping import kumaraswamy

MOST_LEVELS = 256
"""The most categories that have a coordinate each, whatever was seen of them; of more only those in the data have."""

WARP = Prior(0.0, 0.3, 0.25, 4.0)
"""The prior of the two exponents of a warped column: 1 leaves the column as it is."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Points as kernels see them.

    Attributes:
        coordinates: ``(n, F)`` coordinates; columns beyond the unit cube (a task, a fidelity) follow as they are.
        points: ``(n, d)`` the points after the warp.
        mask: ``(n, d)`` which columns are active.
        slopes: ``(n, w)`` derivatives of the warped columns by the points, by the logarithm of the first exponents, and
            by that of the second; None where no column is warped.
    """

    coordinates: FloatArray
    points: FloatArray
    mask: BoolArray
    slopes: tuple[FloatArray, FloatArray, FloatArray] | None = None


@dataclass(frozen=True, eq=False)
class Embedding:
    """A map from the unit cube to coordinates, which kernels build on.

    An ordered column that is always active is its own coordinate. One that is not becomes the angle, in radians, of a
    point on the unit circle, with the centre for points where it is inactive: these are 1 away from all that have it,
    and 0 from each other. A column of L categories becomes L coordinates, so that any two categories are 1 apart, and
    points where it is inactive sqrt(1/2) from all. Where there are very many categories, those that the data do not
    have share one coordinate: nothing tells them apart.

    Its parameters are the logarithms of the exponents of the warped columns: first all a, then all b.

    Attributes:
        columns: What the columns of the unit cube mean.
        optional: ``(d,)`` whether a column is not always active.
        warped: ``(w,)`` the ordered columns that are warped.
        warp: The prior of their exponents.
        shown: The rising numbers of the categories that have a coordinate of their own, by column; the others of the
            column share the last one. A column that is missing here has a coordinate for each category.

    Source: Swersky et al. 2013, arXiv 1409.4011, the circle, of which they learn the radius as well.
    """

    columns: Columns
    optional: BoolArray
    warped: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    warp: Prior = WARP
    shown: Mapping[int, IntArray] = field(default_factory=dict)

    @cached_property
    def _large(self) -> list[int]:
        """The columns with too many categories for a coordinate each."""
        return np.flatnonzero(self.columns.levels > MOST_LEVELS).tolist()

    def showing(self, *points: FloatArray) -> Embedding:
        """Return the embedding for some data, in which the categories that they have are told apart.

        Args:
            points: ``(n, d)`` the data, in one array or several.
        """
        if not self._large:
            return self
        d = len(self.optional)
        codes = self.columns.codes(np.concatenate([part[:, :d] for part in points]))
        return dataclasses.replace(self, shown={j: np.unique(codes[:, j]) for j in self._large})

    @cached_property
    def plain(self) -> IntArray:
        """Ordered columns that are always active; their coordinates come first."""
        return np.flatnonzero((self.columns.levels == 0) & ~self.optional)

    @cached_property
    def arcs(self) -> IntArray:
        """Ordered columns that are optional; two coordinates each, the cosines of all before the sines of all."""
        return np.flatnonzero((self.columns.levels == 0) & self.optional)

    @cached_property
    def categories(self) -> IntArray:
        """Columns of categories; their coordinates come last."""
        return self.columns.categories

    @cached_property
    def owner(self) -> IntArray:
        """``(F,)`` the column of each coordinate."""
        return np.concatenate([self.plain, self.arcs, self.arcs, np.repeat(self.categories, self._counts)])

    @cached_property
    def _counts(self) -> IntArray:
        """The number of coordinates of each column of categories."""
        counts = [len(self.shown[j]) + 1 if j in self.shown else self.columns.levels[j] for j in self.categories]
        return np.array(counts, dtype=np.int64)

    @cached_property
    def is_category(self) -> BoolArray:
        """``(F,)`` whether a coordinate belongs to a category."""
        return self.columns.levels[self.owner] > 0

    @cached_property
    def _flags(self) -> tuple[Columns, IntArray, IntArray, IntArray]:
        """The columns of categories alone; of each of their coordinates the place there, the value, and the column."""
        columns = Columns(self.columns.levels[self.categories], [self.columns.edges[j] for j in self.categories])
        counts = self._counts
        place = np.repeat(np.arange(len(counts)), counts)
        code = np.concatenate([np.arange(n) for n in counts])
        return columns, place, code, self.categories[place]

    @cached_property
    def _places(self) -> dict[int, IntArray]:
        """``(L,)`` the coordinate of each category, by the place of the column among those of categories."""
        found = {}
        for k, j in enumerate(self.categories.tolist()):
            if j in self.shown:
                found[k] = np.full(self.columns.levels[j], len(self.shown[j]), dtype=np.int64)
                found[k][self.shown[j]] = np.arange(len(self.shown[j]))
        return found

    @property
    def priors(self) -> Sequence[Prior]:
        """The prior of each parameter."""
        return [self.warp] * (2 * len(self.warped))

    def place(self, points: FloatArray, mask: BoolArray, theta: FloatArray | None = None) -> Embedded:
        """Return points as kernels see them.

        Args:
            points: ``(n, d)`` in the unit cube, or ``(n, d + e)`` with further columns, which are coordinates as they
                are.
            mask: ``(n, d)`` which columns are active.
            theta: ``(2 w,)`` the parameters.
        """
        if theta is None or not len(self.warped):
            return Embedded(self.coordinates(points, mask), points, mask)
        a, b = np.split(np.exp(theta), 2)
        warped = points.copy()
        warped[:, self.warped], *slopes = kumaraswamy(points[:, self.warped], a, b)
        return Embedded(self.coordinates(warped, mask), warped, mask, (slopes[0], slopes[1], slopes[2]))

    def coordinates(self, points: FloatArray, mask: BoolArray) -> FloatArray:
        """``(n, F)`` coordinates of ``(n, d)`` points without a warp; see :meth:`place`."""
        parts = [points[:, self.plain]]
        if len(self.arcs):
            angles, active = points[:, self.arcs], mask[:, self.arcs]
            parts += [np.cos(angles) * active, np.sin(angles) * active]
        if len(self.categories):
            columns, place, code, owner = self._flags
            codes = columns.codes(points[:, self.categories])
            for k, places in self._places.items():
                codes[:, k] = places[codes[:, k]]
            is_value = codes[:, place] == code
            parts.append((is_value & mask[:, owner]) * math.sqrt(0.5))
        parts.append(points[:, len(self.optional) :])
        return np.concatenate(parts, axis=1)

    def by_points(self, embedded: Embedded, by_coordinates: FloatArray) -> FloatArray:
        """``(n, d)`` a gradient by the points, from ``(n, F)`` that by the coordinates; 0 for categories."""
        pulled = self._by_warped(embedded, by_coordinates)
        if embedded.slopes is not None:
            pulled[:, self.warped] *= embedded.slopes[0]
        return pulled

    def by_parameters(self, embedded: Embedded, by_coordinates: FloatArray) -> FloatArray:
        """``(2 w,)`` a gradient by the parameters, from ``(n, F)`` that by the coordinates."""
        if embedded.slopes is None:
            return np.zeros(0)
        by_warped = self._by_warped(embedded, by_coordinates)[:, self.warped]
        gradient: FloatArray = (np.hstack([by_warped, by_warped]) * np.hstack(embedded.slopes[1:])).sum(axis=0)
        return gradient

    def _by_warped(self, embedded: Embedded, by_coordinates: FloatArray) -> FloatArray:
        """``(n, d)`` the gradient by the points after the warp."""
        points, mask = embedded.points, embedded.mask
        pulled = np.zeros_like(points)
        n_plain, n_arcs, d = len(self.plain), len(self.arcs), len(self.optional)
        pulled[:, self.plain] = by_coordinates[:, :n_plain]
        if n_arcs:
            angles, active = points[:, self.arcs], mask[:, self.arcs]
            by_cosine = by_coordinates[:, n_plain : n_plain + n_arcs]
            by_sine = by_coordinates[:, n_plain + n_arcs : n_plain + 2 * n_arcs]
            pulled[:, self.arcs] = active * (by_sine * np.cos(angles) - by_cosine * np.sin(angles))
        pulled[:, d:] = by_coordinates[:, len(self.owner) :]
        return pulled
