"""Kernels that are computed once for rows that are alike: the configurations of learning curves, their fidelities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from autohpo.surrogates.arrays import FloatArray, IntArray
from autohpo.surrogates.kernels import Covariance, Kernel
from autohpo.surrogates.priors import Prior
from autohpo.surrogates.sections import Section, Term


class Grouping:
    """Which rows are alike.

    Args:
        first: ``(m,)`` the first row of each kind.
        index: ``(n,)`` the kind of each row.
        width: The number of coordinates of a row.

    Attributes:
        first: ``(m,)`` the first row of each kind.
        index: ``(n,)`` the kind of each row.
        width: The number of coordinates of a row.
        is_plain: Whether no two rows are alike; they are in their order then.
    """

    def __init__(self, first: IntArray, index: IntArray, width: int) -> None:
        self.is_plain = len(first) == len(index)
        self.first = self.index = np.arange(len(index))
        if not self.is_plain:
            self.first, self.index = first, index
        self.width = width

    @classmethod
    def of(cls, coordinates: FloatArray, column: int, looks_at: int = 0) -> Grouping:
        """Return the grouping of rows by one column; each is a kind of its own unless the first ones agree with it."""
        _, first, index = np.unique(coordinates[:, column], return_index=True, return_inverse=True)
        looked_at = coordinates[:, :looks_at]
        if looks_at and len(first) < len(index) and not np.array_equal(looked_at[first][index], looked_at):
            first = index
        return cls(first, index, coordinates.shape[1])

    @cached_property
    def _sums(self) -> Any:
        """``(m, n)`` the sparse matrix that adds up rows of one kind."""
        from scipy.sparse import csr_matrix

        n = len(self.index)
        order = np.argsort(self.index, kind="stable")
        ends = np.concatenate([[0], np.cumsum(np.bincount(self.index, minlength=len(self.first)))])
        return csr_matrix((np.ones(n), order, ends), shape=(len(self.first), n))

    def kinds(self, coordinates: FloatArray) -> FloatArray:
        """Return the first row of each kind."""
        return coordinates if self.is_plain else coordinates[self.first]

    def repeat(self, matrix: FloatArray, axis: int = 0) -> FloatArray:
        """Return a matrix or vector with the row or column of its kind for each row."""
        return matrix if self.is_plain else matrix.take(self.index, axis)

    def collect(self, matrix: FloatArray) -> FloatArray:
        """Return the sums of the rows of each kind of a matrix or a vector."""
        collected: FloatArray = matrix if self.is_plain else self._sums @ matrix
        return collected


@dataclass(frozen=True, eq=False)
class Repeated:
    """Placed rows, of which those that are alike are placed once.

    Attributes:
        placed: The rows that differ, placed.
        groups: Which rows are alike.
    """

    placed: Any
    groups: Grouping


def repeat_both(matrix: FloatArray, left: Repeated, right: Repeated) -> FloatArray:
    """``(m, n)`` a matrix between the kinds of two sets of rows, as one between the rows."""
    return right.groups.repeat(left.groups.repeat(matrix, 0), 1)


def collect_both(matrix: FloatArray, left: Repeated, right: Repeated) -> FloatArray:
    """Return the sums of an ``(m, n)`` matrix between two sets of rows for each pair of kinds."""
    return right.groups.collect(left.groups.collect(matrix).T).T


_Kept = TypeVar("_Kept")


def kept_for(kernel: Kernel, coordinates: FloatArray, make: Callable[[], _Kept]) -> _Kept:
    """Return what a kernel makes of coordinates, which it keeps for the next time that it sees the same array.

    A fit places the same coordinates at many vectors of parameters.

    Args:
        kernel: The kernel.
        coordinates: ``(n, F)`` coordinates, which nobody overwrites.
        make: What makes it.
    """
    kept: tuple[FloatArray, _Kept] | None = kernel.__dict__.get("_kept")
    if kept is None or kept[0] is not coordinates:
        kept = coordinates, make()
        kernel.__dict__["_kept"] = kept
    return kept[1]


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
        groups = kept_for(self, coordinates, lambda: Grouping.of(coordinates, self.column, self.looks_at))
        return Repeated(self.inner.place(theta, groups.kinds(coordinates)), groups)

    def covariance(self, theta: FloatArray, left: Repeated, right: Repeated | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        inner = self.inner.covariance(theta, left.placed, None if right is None else right.placed)
        return _RepeatedCovariance(inner, left, left if right is None else right)

    def diagonal(self, theta: FloatArray, placed: Repeated) -> FloatArray:
        """``(n,)`` the prior variances."""
        return placed.groups.repeat(self.inner.diagonal(theta, placed.placed))

    def section(self, theta: FloatArray, known: Repeated, row: FloatArray) -> Section:
        """Return the covariances of new configurations at one fidelity with the data."""
        if self.looks_at:
            return Section([Term(self.inner, theta, known, np.ones(len(known.groups.index)), 1.0)], 0.0, 0.0)
        placed = self.inner.place(theta, row)
        covariances = self.inner.covariance(theta, placed, known.placed).matrix[0]
        return Section([], known.groups.repeat(covariances), float(self.inner.diagonal(theta, placed)[0]))

    @property
    def has_mean(self) -> bool:
        """Whether the mean differs between rows."""
        return self.inner.has_mean

    def mean(self, theta: FloatArray, placed: Repeated) -> FloatArray | float:
        """``(n,)`` the prior means, or one for all rows."""
        mean = self.inner.mean(theta, placed.placed)
        return mean if isinstance(mean, float) else placed.groups.repeat(mean)

    def mean_by_parameters(self, theta: FloatArray, placed: Repeated, by_mean: FloatArray) -> FloatArray:
        """``(P,)`` the gradient of a loss by the parameters, as far as it goes through the means."""
        return self.inner.mean_by_parameters(theta, placed.placed, placed.groups.collect(by_mean))

    def lengths(self, theta: FloatArray) -> FloatArray | None:
        """``(k,)`` the length-scales of the first k coordinates; None where the kernel takes no distances."""
        return self.inner.lengths(theta)


class _RepeatedCovariance(Covariance):
    def __init__(self, inner: Covariance, left: Repeated, right: Repeated) -> None:
        self._inner, self._left, self._right = inner, left, right

    @property
    def matrix(self) -> FloatArray:  # type: ignore[override]
        return repeat_both(self._inner.matrix, self._left, self._right)

    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        return self._inner.by_parameters(collect_both(by_matrix, self._left, self._right))

    def by_left(self, by_matrix: FloatArray) -> FloatArray | float:
        groups, by_kinds = self._left.groups, self._inner.by_left(collect_both(by_matrix, self._left, self._right))
        if groups.is_plain or isinstance(by_kinds, float):
            return by_kinds
        by_rows = np.zeros((len(groups.index), groups.width))
        by_rows[groups.first] = by_kinds
        return by_rows


class Numbers:
    """The numbers of the configurations that rows belong to.

    Args:
        numbers: ``(n,)`` the numbers.
    """

    def __init__(self, numbers: FloatArray) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @cached_property
    def _sorted(self) -> tuple[FloatArray, IntArray]:
        order = np.argsort(self._numbers, kind="stable")
        return self._numbers[order], order

    @cached_property
    def own_pairs(self) -> tuple[IntArray, IntArray]:
        """The places of all pairs of rows with one number, both ways."""
        return self.pairs(self)

    def pairs(self, other: Numbers) -> tuple[IntArray, IntArray]:
        """Return the places of all pairs of a row of these and a row of others with one number."""
        numbers, order = other._sorted
        low = np.searchsorted(numbers, self._numbers, side="left")
        counts = np.searchsorted(numbers, self._numbers, side="right") - low
        ends = np.cumsum(counts)
        left = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(left)) - np.repeat(ends - counts, counts)
        return left, order[low[left] + within]


@dataclass(frozen=True, eq=False)
class CurveRows:
    """Placed rows of learning curves.

    Attributes:
        fidelities: The fidelities, placed once for rows that are alike.
        numbers: The configurations that the rows belong to.
    """

    fidelities: Repeated
    numbers: Numbers


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
        numbers = kept_for(self, coordinates, lambda: Numbers(coordinates[:, self.number]))
        return CurveRows(self._distinct.place(theta, coordinates), numbers)

    def covariance(self, theta: FloatArray, left: CurveRows, right: CurveRows | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        other = left if right is None else right
        inner = self.inner.covariance(theta, left.fidelities.placed, None if right is None else other.fidelities.placed)
        return _CurveCovariance(inner, left, other)

    def diagonal(self, theta: FloatArray, placed: CurveRows) -> FloatArray:
        """``(n,)`` the prior variances."""
        return self._distinct.diagonal(theta, placed.fidelities)

    def section(self, theta: FloatArray, known: CurveRows, row: FloatArray) -> Section:
        """Return the variance alone: a new configuration has no curve in the data."""
        return Section([], 0.0, float(self.inner.diagonal(theta, self.inner.place(theta, row))[0]))

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
        self._pairs = left.numbers.own_pairs if left is right else left.numbers.pairs(right.numbers)
        self._values = inner.matrix
        rows, columns = left.fidelities.groups.index, right.fidelities.groups.index
        self._places = rows[self._pairs[0]], columns[self._pairs[1]]

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
        sums = np.bincount(flat, by_matrix[self._pairs], minlength=rows * columns)
        return self._inner.by_parameters(sums.reshape(rows, columns).astype(float))
