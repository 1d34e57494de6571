"""Kernels that are computed once for rows that are alike: the configurations of learning curves, their fidelities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from autohpo.surrogates.arrays import FloatArray, IntArray
from autohpo.surrogates.kernels import Covariance, Kernel
from autohpo.surrogates.priors import Prior


class Repeated:
    """Placed rows, of which those that are alike are placed once.

    Args:
        placed: The m different rows, placed.
        first: ``(m,)`` the first row of each kind.
        index: ``(n,)`` the kind of each row.
        width: The number of coordinates.

    Attributes:
        placed: The m different rows, placed.
        first: ``(m,)`` the first row of each kind.
        index: ``(n,)`` the kind of each row.
        width: The number of coordinates.
    """

    def __init__(self, placed: Any, first: IntArray, index: IntArray, width: int) -> None:
        self.placed, self.first, self.index, self.width = placed, first, index, width
        self.is_plain = len(first) == len(index)
        """Whether no two rows are alike; they are in their order then."""

    @cached_property
    def _sums(self) -> Any:
        """``(m, n)`` the sparse matrix that adds up rows of one kind."""
        from scipy.sparse import csr_matrix

        n = len(self.index)
        order = np.argsort(self.index, kind="stable")
        ends = np.concatenate([[0], np.cumsum(np.bincount(self.index, minlength=len(self.first)))])
        return csr_matrix((np.ones(n), order, ends), shape=(len(self.first), n))

    def repeat(self, matrix: FloatArray, axis: int) -> FloatArray:
        """Return a matrix with the row or column of its kind for each row."""
        repeated: FloatArray = matrix if self.is_plain else matrix.take(self.index, axis)
        return repeated

    def collect(self, matrix: FloatArray) -> FloatArray:
        """Return the sums of the rows of each kind of a matrix or a vector."""
        collected: FloatArray = matrix if self.is_plain else self._sums @ matrix
        return collected


@dataclass(frozen=True, eq=False)
class Distinct(Kernel):
    """A kernel that looks at nothing but what is equal in rows with one number: it is computed once for them.

    With n results of m configurations at L fidelities, a kernel of configurations takes m x m distances in place of
    n x n, and one of fidelities L x L. The gradient by the coordinates of rows that are alike is that of the first.

    Attributes:
        inner: The kernel.
        column: The coordinate with the number of a configuration, or with the fidelity.
        looks_at: How many coordinates must be equal too, or else each row counts as a kind of its own; 0 where the
            kernel looks at the column alone.

    Raises:
        ValueError: The kernel has noise, which differs between rows that are alike.
    """

    inner: Kernel
    column: int
    looks_at: int = 0

    def __post_init__(self) -> None:
        if self.inner.has_noise:
            raise ValueError(f"inner: must have no noise, got {type(self.inner).__name__}")

    @cached_property
    def priors(self) -> Sequence[Prior]:
        """The prior of each parameter."""
        return self.inner.priors

    def place(self, theta: FloatArray, coordinates: FloatArray) -> Repeated:
        """Return the rows that differ, and which of them each row is."""
        first, index = kinds(coordinates[:, self.column])
        looked_at = coordinates[:, : self.looks_at]
        if len(first) == len(index) or not np.array_equal(looked_at[first][index], looked_at):
            first = index = np.arange(len(coordinates))
        rows = coordinates if len(first) == len(index) else coordinates[first]
        return Repeated(self.inner.place(theta, rows), first, index, coordinates.shape[1])

    def covariance(self, theta: FloatArray, left: Repeated, right: Repeated | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        inner = self.inner.covariance(theta, left.placed, None if right is None else right.placed)
        return _RepeatedCovariance(inner, left, left if right is None else right)

    def diagonal(self, theta: FloatArray, placed: Repeated) -> FloatArray:
        """``(n,)`` the prior variances."""
        return placed.repeat(self.inner.diagonal(theta, placed.placed), 0)

    @property
    def has_mean(self) -> bool:
        """Whether the mean differs between rows."""
        return self.inner.has_mean

    def mean(self, theta: FloatArray, placed: Repeated) -> FloatArray | float:
        """``(n,)`` the prior means, or one for all rows."""
        mean = self.inner.mean(theta, placed.placed)
        return mean if isinstance(mean, float) else placed.repeat(mean, 0)

    def mean_by_parameters(self, theta: FloatArray, placed: Repeated, by_mean: FloatArray) -> FloatArray:
        """``(P,)`` the gradient of a loss by the parameters, as far as it goes through the means."""
        return self.inner.mean_by_parameters(theta, placed.placed, placed.collect(by_mean))

    def lengths(self, theta: FloatArray) -> FloatArray | None:
        """``(k,)`` the length-scales of the first k coordinates; None where the kernel takes no distances."""
        return self.inner.lengths(theta)


class _RepeatedCovariance(Covariance):
    def __init__(self, inner: Covariance, left: Repeated, right: Repeated) -> None:
        self._inner, self._left, self._right = inner, left, right

    @property
    def matrix(self) -> FloatArray:  # type: ignore[override]
        return self._right.repeat(self._left.repeat(self._inner.matrix, 0), 1)

    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        return self._inner.by_parameters(self._collected(by_matrix))

    def by_left(self, by_matrix: FloatArray) -> FloatArray | float:
        by_kinds = self._inner.by_left(self._collected(by_matrix))
        if self._left.is_plain or isinstance(by_kinds, float):
            return by_kinds
        by_rows = np.zeros((len(self._left.index), self._left.width))
        by_rows[self._left.first] = by_kinds
        return by_rows

    def _collected(self, by_matrix: FloatArray) -> FloatArray:
        """The gradient by the covariances of the rows that differ."""
        return self._right.collect(self._left.collect(by_matrix).T).T


class CurveRows:
    """Placed rows of learning curves: their fidelities, and the configurations that they belong to.

    Args:
        fidelities: The fidelities, placed once for rows that are alike.
        numbers: ``(n,)`` the number of each row's configuration.

    Attributes:
        fidelities: The fidelities, placed once for rows that are alike.
        numbers: ``(n,)`` the number of each row's configuration.
    """

    def __init__(self, fidelities: Repeated, numbers: FloatArray) -> None:
        self.fidelities, self.numbers = fidelities, numbers

    @cached_property
    def _sorted(self) -> tuple[FloatArray, IntArray]:
        order = np.argsort(self.numbers, kind="stable")
        return self.numbers[order], order

    def pairs(self, other: CurveRows) -> tuple[IntArray, IntArray]:
        """Return the places of all pairs of a row of these and a row of others with one number."""
        numbers, order = other._sorted
        low = np.searchsorted(numbers, self.numbers, side="left")
        counts = np.searchsorted(numbers, self.numbers, side="right") - low
        ends = np.cumsum(counts)
        left = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(left)) - np.repeat(ends - counts, counts)
        return left, order[low[left] + within]


@dataclass(frozen=True, eq=False)
class Curves(Kernel):
    """A curve of its own for each configuration: covariances of fidelities between its rows, and 0 between others.

    Attributes:
        inner: The kernel of two fidelities, which looks at nothing else.
        fidelity: The coordinate with the fidelity.
        number: The coordinate with the number of the configuration.

    Source: Swersky, Snoek & Adams 2014, arXiv 1406.3896, section 3.
    """

    inner: Kernel
    fidelity: int = -2
    number: int = -1

    @cached_property
    def priors(self) -> Sequence[Prior]:
        """The prior of each parameter."""
        return self.inner.priors

    @cached_property
    def _distinct(self) -> Distinct:
        return Distinct(self.inner, self.fidelity)

    def place(self, theta: FloatArray, coordinates: FloatArray) -> CurveRows:
        """Return the fidelities, and the numbers of the configurations."""
        return CurveRows(self._distinct.place(theta, coordinates), coordinates[:, self.number])

    def covariance(self, theta: FloatArray, left: CurveRows, right: CurveRows | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        other = left if right is None else right
        inner = self.inner.covariance(theta, left.fidelities.placed, None if right is None else other.fidelities.placed)
        return _CurveCovariance(inner, left, other)

    def diagonal(self, theta: FloatArray, placed: CurveRows) -> FloatArray:
        """``(n,)`` the prior variances."""
        return self._distinct.diagonal(theta, placed.fidelities)

    @property
    def has_mean(self) -> bool:
        """Whether the mean differs between rows."""
        return self.inner.has_mean

    def mean(self, theta: FloatArray, placed: CurveRows) -> FloatArray | float:
        """``(n,)`` the prior means, or one for all rows."""
        return self._distinct.mean(theta, placed.fidelities)

    def mean_by_parameters(self, theta: FloatArray, placed: CurveRows, by_mean: FloatArray) -> FloatArray:
        """``(P,)`` the gradient of a loss by the parameters, as far as it goes through the means."""
        return self._distinct.mean_by_parameters(theta, placed.fidelities, by_mean)


class _CurveCovariance(Covariance):
    """Covariances that are 0 but for few pairs: only these are looked at."""

    def __init__(self, inner: Covariance, left: CurveRows, right: CurveRows) -> None:
        self._inner, self._shape = inner, (len(left.numbers), len(right.numbers))
        self._pairs = left.pairs(right)
        self._values = inner.matrix
        self._places = left.fidelities.index[self._pairs[0]], right.fidelities.index[self._pairs[1]]

    @property
    def matrix(self) -> FloatArray:  # type: ignore[override]
        matrix = np.zeros(self._shape)
        self.add_to(matrix)
        return matrix

    def add_to(self, total: FloatArray) -> None:
        total[self._pairs] += self._values[self._places]

    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        rows, columns = self._values.shape
        flat = self._places[0] * columns + self._places[1]
        sums: FloatArray = np.bincount(flat, by_matrix[self._pairs], minlength=rows * columns)
        return self._inner.by_parameters(sums.reshape(rows, columns))


def repeated(values: FloatArray, width: int, place: Callable[[FloatArray], FloatArray]) -> Repeated:
    """Return ``(n,)`` values of rows, of which equal ones are placed once.

    Args:
        values: ``(n,)`` the values.
        width: The number of coordinates of a row.
        place: What is needed of the values that differ.
    """
    first, index = kinds(values)
    if len(first) == len(index):
        first = index = np.arange(len(values))
    return Repeated(place(values[first]), first, index, width)


def kinds(numbers: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the first place of each value among ``(n,)`` numbers, in the order of values, and the kind of each."""
    _, first, index = np.unique(numbers, return_index=True, return_inverse=True)
    return first, index
