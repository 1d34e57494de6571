"""The Matern-5/2 kernel, and the distances that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autohpo.surrogates.arrays import FloatArray, IntArray
from autohpo.surrogates.kernels import Covariance, Drawn, Kernel
from autohpo.surrogates.priors import Prior

N_WAVES = 512
"""The number of random waves of a drawn function: its covariances are off by about 1 / sqrt(512) of the variance."""

_SQRT5 = math.sqrt(5.0)


def matern52(squared: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The Matern-5/2 kernel of squared distances, and its derivative by them; both are finite at 0.

    With r the distance: (1 + sqrt5 r + 5 r^2 / 3) exp(-sqrt5 r), and -(5 / 6) (1 + sqrt5 r) exp(-sqrt5 r).
    """
    slope = np.sqrt(squared)  # two arrays, each used thrice: for large ones fresh memory is the main cost
    slope *= _SQRT5
    value = np.negative(slope)
    np.exp(value, out=value)
    slope += 1.0
    slope *= value
    value *= squared
    value *= 5.0 / 3.0
    value += slope  # eq. 4.17
    slope *= -5.0 / 6.0
    return value, slope


class Scaled:
    """Rows in length-scales, and what squared distances need of them.

    Args:
        coordinates: ``(n, F)`` coordinates.
        inverse: ``(k,)`` 1 / length-scale of each coordinate that counts.
        columns: The k coordinates that count.

    Attributes:
        rows: ``(n, k)`` coordinates over length-scales.
        inverse: ``(k,)`` 1 / length-scale of each.
        width: The number of all coordinates.
    """

    def __init__(
        self, coordinates: FloatArray, inverse: FloatArray | float = 1.0, columns: slice = slice(None)
    ) -> None:
        self.rows, self.inverse, self.width = coordinates[:, columns] * inverse, inverse, coordinates.shape[1]

    @cached_property
    def norms(self) -> FloatArray:
        """``(n,)`` squared norms."""
        norms: FloatArray = np.einsum("ij,ij->i", self.rows, self.rows)
        return norms

    @cached_property
    def factor(self) -> FloatArray:
        """``(k, n)`` -2 times the transposed rows."""
        factor: FloatArray = -2.0 * self.rows.T
        return factor


def squared_distances(left: Scaled, right: Scaled) -> FloatArray:
    """``(m, n)`` squared Euclidean distances between m and n rows, never below 0."""
    squared: FloatArray = left.rows @ right.factor
    squared += left.norms[:, None]
    squared += right.norms
    np.maximum(squared, 0.0, out=squared)  # rounding may leave -1e-16 times the squared norms
    return squared


@dataclass(frozen=True, eq=False)
class Matern52(Kernel):
    """A Matern-5/2 kernel with a length-scale for each group of coordinates: twice differentiable functions.

    Its parameters are the length-scales and the variance.

    Attributes:
        owner: ``(k,)`` the place of the length-scale of each coordinate that the kernel looks at.
        length: The prior of each length-scale.
        scale: The prior of the variance.
        first: The first of the coordinates that the kernel looks at.

    Source: Rasmussen & Williams 2006, eq. 4.17; section 5.1 (automatic relevance determination).
    """

    owner: IntArray
    length: Sequence[Prior]
    scale: Prior
    first: int = 0

    @property
    def columns(self) -> slice:
        """The coordinates that the kernel looks at."""
        return slice(self.first, self.first + len(self.owner))

    def inverse_lengths(self, theta: FloatArray) -> FloatArray:
        """``(k,)`` 1 / length-scale of each coordinate."""
        inverse: FloatArray = 1.0 / np.exp(theta[:-1])[self.owner]
        return inverse

    def place(self, theta: FloatArray, coordinates: FloatArray) -> Scaled:
        """Return the coordinates in length-scales."""
        return Scaled(coordinates, self.inverse_lengths(theta), self.columns)

    def covariance(self, theta: FloatArray, left: Scaled, right: Scaled | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        return _MaternCovariance(self, theta, left, right)

    def diagonal(self, theta: FloatArray, placed: Scaled) -> FloatArray:
        """``(n,)`` the variance everywhere."""
        return np.full(len(placed.rows), np.exp(theta[-1]))

    def lengths(self, theta: FloatArray) -> FloatArray:
        """``(k,)`` the length-scale of each coordinate."""
        lengths: FloatArray = 1.0 / self.inverse_lengths(theta)
        return lengths

    def draw(self, theta: FloatArray, rng: np.random.Generator) -> Drawn:
        """Return a sum of random waves; their spectrum is a t distribution with five degrees of freedom.

        Source: Rahimi & Recht 2007, NeurIPS 20.
        """
        waves = rng.standard_normal((len(self.owner), N_WAVES)) * np.sqrt(5.0 / rng.chisquare(5, N_WAVES))
        phases = rng.random(N_WAVES) * 2.0 * np.pi
        heights = rng.standard_normal(N_WAVES) * np.sqrt(2.0 * float(np.exp(theta[-1])) / N_WAVES)

        def drawn(placed: Scaled) -> FloatArray:
            values: FloatArray = np.cos(placed.rows @ waves + phases) @ heights
            return values

        return drawn


class _MaternCovariance(Covariance):
    def __init__(self, kernel: Matern52, theta: FloatArray, left: Scaled, right: Scaled | None) -> None:
        squared = squared_distances(left, left if right is None else right)
        if right is None:
            squared.flat[:: len(squared) + 1] = 0.0
        self._kernel, self._theta, self._left, self._right = kernel, theta, left, right
        self._scale = float(np.exp(theta[-1]))
        value, self._slope = matern52(squared)
        self._value = value
        self.matrix = np.multiply(value, self._scale, out=None if right is None else value)  # the value is not needed

    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        n_lengths = len(self._theta) - 1
        by_rows = self._by_rows(by_matrix)
        by_length = -np.einsum("ij,ij->j", by_rows, self._left.rows)
        by_scale = self._scale * float(np.einsum("ij,ij", by_matrix, self._value))
        return np.append(np.bincount(self._kernel.owner, by_length, minlength=n_lengths), by_scale)

    def by_left(self, by_matrix: FloatArray) -> FloatArray:
        by_coordinates = self._by_rows(by_matrix)
        by_coordinates *= self._left.inverse
        if by_coordinates.shape[1] == self._left.width:
            return by_coordinates
        padded = np.zeros((len(by_coordinates), self._left.width))
        padded[:, self._kernel.columns] = by_coordinates
        return padded

    def _by_rows(self, by_matrix: FloatArray) -> FloatArray:
        """``(m, k)`` the gradient by the rows in length-scales; a symmetric covariance has them on both sides."""
        by_squared = by_matrix * self._slope
        by_squared *= self._scale
        right, factor = (self._left, 4.0) if self._right is None else (self._right, 2.0)
        by_rows: FloatArray = factor * (by_squared.sum(axis=1)[:, None] * self._left.rows - by_squared @ right.rows)
        return by_rows
