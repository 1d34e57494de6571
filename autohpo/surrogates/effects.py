"""Kernels without length-scales: effects of categories, noise, tasks, and levels that rows share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autohpo.surrogates.arrays import FloatArray, IntArray
from autohpo.surrogates.kernels import Covariance, Drawn, Explicit, Kernel
from autohpo.surrogates.priors import Prior
from autohpo.surrogates.sections import NOTHING, Section


@dataclass(frozen=True, eq=False)
class MainEffects(Kernel):
    """Effects of categories that add up: a linear kernel of their coordinates, whose parameter is the variance.

    Attributes:
        weights: ``(F,)`` the share of each coordinate in the variance; 0 for coordinates of ordered columns.
        variance: The prior of the variance.

    Source: Rasmussen & Williams 2006, section 2.1.2, with a diagonal prior of the weights.
    """

    weights: FloatArray
    variance: Prior

    def place(self, theta: FloatArray, coordinates: FloatArray) -> FloatArray:
        """Return the coordinates as they are."""
        return coordinates

    def covariance(self, theta: FloatArray, left: FloatArray, right: FloatArray | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        return _LinearCovariance(left * self._variances(theta), left if right is None else right)

    def diagonal(self, theta: FloatArray, placed: FloatArray) -> FloatArray:
        """``(n,)`` the prior variances."""
        variances: FloatArray = (placed * self._variances(theta) * placed).sum(axis=1)
        return variances

    def draw(self, theta: FloatArray, rng: np.random.Generator) -> Drawn:
        """Return a linear function with random weights."""
        effects = rng.standard_normal(len(self.weights)) * np.sqrt(self._variances(theta))
        return lambda placed: placed @ effects

    def _variances(self, theta: FloatArray) -> FloatArray:
        """``(F,)`` the prior variance of the effect of each coordinate."""
        variances: FloatArray = np.exp(theta[0]) * self.weights
        return variances


class _LinearCovariance(Covariance):
    def __init__(self, weighted: FloatArray, right: FloatArray) -> None:
        self._weighted, self._right = weighted, right

    @property
    def matrix(self) -> FloatArray:  # type: ignore[override]
        matrix: FloatArray = self._weighted @ self._right.T
        return matrix

    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        return np.array([np.einsum("ij,ij", by_matrix @ self._weighted, self._right)])


@dataclass(frozen=True, eq=False)
class Noise(Kernel):
    """Independent noise of observations, which is no part of the function: its covariances are 0.

    Attributes:
        variances: The prior of the noise's variance in each group of rows.
        column: The coordinate with a number, such as a task, that says the group; None where there is one group.
        groups: The place in `variances` for each such number.
    """

    variances: Sequence[Prior]
    column: int | None = None
    groups: Sequence[int] = (0,)

    @property
    def has_noise(self) -> bool:
        """Whether observations have noise."""
        return True

    def place(self, theta: FloatArray, coordinates: FloatArray) -> IntArray:
        """``(n,)`` the group of each row."""
        if self.column is None:
            return np.zeros(len(coordinates), dtype=np.int64)
        groups: IntArray = np.asarray(self.groups)[coordinates[:, self.column].astype(np.int64)]
        return groups

    def covariance(self, theta: FloatArray, left: IntArray, right: IntArray | None = None) -> Covariance:
        """Return covariances of 0, which know the gradient by the noise."""
        return _NoiseCovariance(np.exp(theta), left, left if right is None else right)

    def diagonal(self, theta: FloatArray, placed: IntArray) -> FloatArray:
        """``(n,)`` zeros: the function has no variance of its own here."""
        return np.zeros(len(placed))

    def noise(self, theta: FloatArray, placed: IntArray) -> FloatArray:
        """``(n,)`` the noise of each row."""
        noise: FloatArray = np.exp(theta)[placed]
        return noise

    def section(self, theta: FloatArray, known: IntArray, row: FloatArray) -> Section:
        """Return nothing: noise is no part of the function."""
        return NOTHING

    def draw(self, theta: FloatArray, rng: np.random.Generator) -> Drawn:
        """Return a function that is 0 everywhere: noise is drawn with the observations."""
        return lambda placed: np.zeros(len(placed))


class _NoiseCovariance(Covariance):
    def __init__(self, variances: FloatArray, left: IntArray, right: IntArray) -> None:
        self._variances, self._left, self._right = variances, left, right

    @property
    def matrix(self) -> FloatArray:  # type: ignore[override]
        return np.zeros((len(self._left), len(self._right)))

    def add_to(self, total: FloatArray) -> None:
        pass

    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        n_groups = len(self._variances)
        traces = [np.trace(by_matrix)] if n_groups == 1 else np.bincount(self._left, by_matrix.diagonal(), n_groups)
        gradient: FloatArray = self._variances * np.asarray(traces)
        return gradient


@dataclass(frozen=True, eq=False)
class Level(Kernel):
    """A level that all rows share, or those with one value of a column: normal around 0 with a given variance.

    Attributes:
        variance: The variance of a level.
        column: The coordinate, such as a task or a trial, that says which rows share a level; None where all do.
    """

    variance: float
    column: int | None = None

    def place(self, theta: FloatArray, coordinates: FloatArray) -> FloatArray:
        """``(n,)`` the column."""
        return coordinates[:, self.column or 0]

    def covariance(self, theta: FloatArray, left: FloatArray, right: FloatArray | None = None) -> Covariance:
        """Return the variance where both rows share a level, else 0."""
        right = left if right is None else right
        if self.column is None:
            return Explicit(np.full((len(left), len(right)), self.variance))
        return Explicit(self.variance * (left[:, None] == right))

    def diagonal(self, theta: FloatArray, placed: FloatArray) -> FloatArray:
        """``(n,)`` the variance everywhere."""
        return np.full(len(placed), self.variance)


@dataclass(frozen=True, eq=False)
class TaskSimilarity(Kernel):
    """A similarity of tasks, exp(-rate D), with D squared distances between them; the rate is the parameter.

    Attributes:
        column: The coordinate with the number of the task.
        distances: ``(T, T)`` squared Euclidean distances between the tasks.
        rate: The prior of the rate.

    Source: Tu et al. 2019, KDD, section 4.4; Swersky et al. 2013, NeurIPS 26 (a product with a kernel of points).
    """

    column: int
    distances: FloatArray
    rate: Prior

    def place(self, theta: FloatArray, coordinates: FloatArray) -> IntArray:
        """``(n,)`` the task of each row."""
        return coordinates[:, self.column].astype(np.int64)

    def covariance(self, theta: FloatArray, left: IntArray, right: IntArray | None = None) -> Covariance:
        """Return how alike the tasks of each pair are."""
        exponents = -np.exp(theta[0]) * self.distances
        values, pairs = np.exp(exponents), (left[:, None], left if right is None else right)
        return Explicit(values[pairs], lambda: [(values * exponents)[pairs]])

    def diagonal(self, theta: FloatArray, placed: IntArray) -> FloatArray:
        """``(n,)`` ones."""
        return np.ones(len(placed))
