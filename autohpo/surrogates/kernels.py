"""Kernels as objects: covariances with their gradients by parameters and by points, in sums and products."""

from __future__ import annotations

import dataclasses
import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from autohpo.surrogates.arrays import FloatArray
from autohpo.surrogates.priors import Prior
from autohpo.surrogates.sections import EQUAL, NOTHING, Section

Drawn = Callable[[Any], FloatArray]
"""A function drawn from a process: ``(n,)`` values at n placed rows."""


class Covariance(ABC):
    """The covariances of a function's values at some rows with those at others, and what gradients need of them.

    It is symmetric where both sides are the same rows.

    Attributes:
        matrix: ``(m, n)`` the covariances; whoever asked for them may overwrite it.
    """

    matrix: FloatArray

    def add_to(self, total: FloatArray) -> None:
        """Add the covariances to an ``(m, n)`` matrix in place."""
        total += self.matrix

    @abstractmethod
    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        """``(P,)`` the gradient of a loss by the parameters, noise included, of a symmetric covariance.

        Args:
            by_matrix: ``(n, n)`` the gradient of the loss by the covariances of noisy values; symmetric.
        """

    def by_left(self, by_matrix: FloatArray) -> FloatArray | float:
        """``(m, F)`` the gradient of a loss by the rows on the left; of a symmetric covariance by those of both sides.

        Args:
            by_matrix: ``(m, n)`` the gradient of the loss by the covariances.

        Returns:
            A matrix, or 0 where the covariances do not change smoothly with the coordinates.
        """
        return 0.0


class Explicit(Covariance):
    """Covariances whose derivatives by the parameters are written out, and which no gradient by rows is asked of.

    Args:
        values: ``(m, n)`` the covariances.
        slopes: What makes their derivative by each parameter, all ``(n, n)``; None where there are no parameters.
    """

    def __init__(self, values: FloatArray, slopes: Callable[[], Sequence[FloatArray]] | None = None) -> None:
        self._values, self._slopes = values, slopes

    @property
    def matrix(self) -> FloatArray:  # type: ignore[override]
        """A copy of the covariances."""
        return self._values.copy()

    def add_to(self, total: FloatArray) -> None:
        """Add the covariances to an ``(m, n)`` matrix in place."""
        total += self._values

    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        """``(P,)`` the gradient of a loss by the parameters."""
        return np.array([np.einsum("ij,ij", by_matrix, slope) for slope in (self._slopes() if self._slopes else ())])


class Kernel(ABC):
    """The covariance of the values of a random function at rows of ``F`` coordinates.

    Rows are placed first, which keeps what a kernel needs of them: the points of the data are placed once and then
    asked about many times. The parameters are positive, and given as the vector of their logarithms; a kernel is a
    dataclass, and those of its fields that are priors say which parameters it has.

    A mean with normally distributed coefficients is a kernel too: b h(x) with b of variance v has the covariance
    v h(x) h(x'). So a kernel alone can describe curves that rise on average.

    Source: Rasmussen & Williams 2006, sections 2.7 and 4.2.
    """

    @cached_property
    def priors(self) -> Sequence[Prior]:
        """The prior of each parameter: those among the fields of the dataclass, in their order."""
        found: list[Prior] = []
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            items = value if isinstance(value, (list, tuple)) else [value]
            found += [item for item in items if isinstance(item, Prior)]
        return found

    @property
    def has_noise(self) -> bool:
        """Whether observations have noise that this kernel describes."""
        return False

    @abstractmethod
    def place(self, theta: FloatArray, coordinates: FloatArray) -> Any:
        """Return what this kernel needs of ``(n, F)`` coordinates."""

    @abstractmethod
    def covariance(self, theta: FloatArray, left: Any, right: Any | None = None) -> Covariance:
        """Return the covariances between two sets of placed rows; without `right`, those of one set with itself."""

    @abstractmethod
    def diagonal(self, theta: FloatArray, placed: Any) -> FloatArray:
        """``(n,)`` the prior variances of the function at placed rows.

        They may depend on tasks, fidelities and categories, but not on coordinates that a search moves along a
        gradient: the gradient of a posterior deviation leaves the slope of the prior variance out.
        """

    def noise(self, theta: FloatArray, placed: Any) -> FloatArray | float:
        """``(n,)`` the variances of the noise of observations at placed rows, or one for all of them."""
        return 0.0

    @property
    def has_mean(self) -> bool:
        """Whether the function's prior mean differs between rows; its parameters are those of the kernel."""
        return False

    def mean(self, theta: FloatArray, placed: Any) -> FloatArray | float:
        """``(n,)`` the prior means of the function at placed rows, or one for all of them."""
        return 0.0

    def mean_by_parameters(self, theta: FloatArray, placed: Any, by_mean: FloatArray) -> FloatArray:
        """``(P,)`` the gradient of a loss by the parameters, as far as it goes through the means.

        Args:
            theta: ``(P,)`` the parameters.
            placed: The n placed rows.
            by_mean: ``(n,)`` the gradient of the loss by the means.
        """
        return np.zeros(len(theta))

    def section(self, theta: FloatArray, known: Any, row: FloatArray) -> Section | None:
        """Return the covariances of new configurations at one fidelity with the data; None where there is no such form.

        Args:
            theta: ``(P,)`` the parameters.
            known: The placed rows of the data.
            row: ``(1, F)`` coordinates with the fidelity; those of the configuration do not matter.
        """
        return None

    def lengths(self, theta: FloatArray) -> FloatArray | None:
        """``(k,)`` the length-scales of the first k coordinates; None where the kernel takes no distances."""
        return None

    def draw(self, theta: FloatArray, rng: np.random.Generator) -> Drawn:
        """Return one function drawn from the prior.

        Raises:
            NotImplementedError: The kernel has no random features.
        """
        raise NotImplementedError(f"{type(self).__name__}: has no random features to draw a function from")

    def describe(self, theta: FloatArray | None = None) -> dict[str, Any]:
        """Return the kernel, and the values of its parameters where they are given, in JSON types."""
        fields = {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        numbers = () if theta is None else zip(self.priors, theta.tolist(), strict=True)
        values = {} if theta is None else {"values": [prior.value(number) for prior, number in numbers]}
        return {"kind": type(self).__name__, **fields, **values}


def _plain(value: Any) -> Any:
    """A field of a kernel in JSON types; an infinite number is None."""
    if isinstance(value, Kernel):
        return value.describe()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


@dataclass(frozen=True, eq=False)
class _Composite(Kernel):
    """Kernels under one vector of parameters: those of each part in turn."""

    parts: Sequence[Kernel]

    _combine: ClassVar[np.ufunc]

    @cached_property
    def priors(self) -> Sequence[Prior]:
        """The prior of each parameter."""
        return [prior for part in self.parts for prior in part.priors]

    @cached_property
    def _owned(self) -> list[slice]:
        ends = np.cumsum([0, *(len(part.priors) for part in self.parts)]).tolist()
        return [slice(a, b) for a, b in pairwise(ends)]

    def split(self, theta: FloatArray) -> list[tuple[Kernel, FloatArray]]:
        """Return each part with its own parameters."""
        return [(part, theta[owned]) for part, owned in zip(self.parts, self._owned, strict=True)]

    def place(self, theta: FloatArray, coordinates: FloatArray) -> list[Any]:
        """Return what each part needs of the coordinates."""
        return [part.place(own, coordinates) for part, own in self.split(theta)]

    def diagonal(self, theta: FloatArray, placed: Sequence[Any]) -> FloatArray:
        """``(n,)`` the prior variances."""
        parts = zip(self.split(theta), placed, strict=True)
        return functools.reduce(self._combine, [part.diagonal(own, rows) for (part, own), rows in parts])

    def lengths(self, theta: FloatArray) -> FloatArray | None:
        """``(k,)`` the length-scales of the first part that has some."""
        found = (part.lengths(own) for part, own in self.split(theta))
        return next((lengths for lengths in found if lengths is not None), None)

    def describe(self, theta: FloatArray | None = None) -> dict[str, Any]:
        """Return the kernel with its parts, and the values of their parameters where they are given, in JSON types."""
        thetas = [None] * len(self.parts) if theta is None else [own for _, own in self.split(theta)]
        parts = [part.describe(own) for part, own in zip(self.parts, thetas, strict=True)]
        return {"kind": type(self).__name__, "parts": parts}

    def _sections(self, theta: FloatArray, known: Sequence[Any], row: FloatArray) -> list[Section | None]:
        parts = zip(self.split(theta), known, strict=True)
        return [part.section(own, rows, row) for (part, own), rows in parts]

    def _covariances(self, theta: FloatArray, left: Sequence[Any], right: Sequence[Any] | None) -> list[Covariance]:
        others = [None] * len(left) if right is None else right
        return [part.covariance(own, a, b) for (part, own), a, b in zip(self.split(theta), left, others, strict=True)]


@dataclass(frozen=True, eq=False)
class Sum(_Composite):
    """A sum of independent functions.

    Attributes:
        parts: The kernels of the functions.

    Example:
        >>> from autohpo.surrogates.effects import Level, Noise
        >>> kernel = Sum([Level(2.0), Level(1.0, column=0), Noise([Prior(-3.0, 1.0, 1e-4, 1.0)])])
        >>> theta = np.log([0.1])
        >>> placed = kernel.place(theta, np.array([[0.0], [0.0], [1.0]]))
        >>> kernel.covariance(theta, placed).matrix.tolist()
        [[3.0, 3.0, 2.0], [3.0, 3.0, 2.0], [2.0, 2.0, 3.0]]
        >>> kernel.noise(theta, placed).round(3).tolist()
        [0.1, 0.1, 0.1]
    """

    _combine = np.add

    @property
    def has_noise(self) -> bool:
        """Whether one of the parts is noise."""
        return any(part.has_noise for part in self.parts)

    def covariance(self, theta: FloatArray, left: Sequence[Any], right: Sequence[Any] | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        return _SumCovariance(self._covariances(theta, left, right))

    def noise(self, theta: FloatArray, placed: Sequence[Any]) -> FloatArray | float:
        """``(n,)`` the variances of the noise."""
        return sum(part.noise(own, rows) for (part, own), rows in zip(self.split(theta), placed, strict=True))

    @property
    def has_mean(self) -> bool:
        """Whether the mean of one of the functions differs between rows."""
        return any(part.has_mean for part in self.parts)

    def mean(self, theta: FloatArray, placed: Sequence[Any]) -> FloatArray | float:
        """``(n,)`` the sums of the prior means."""
        return sum(part.mean(own, rows) for (part, own), rows in zip(self.split(theta), placed, strict=True))

    def mean_by_parameters(self, theta: FloatArray, placed: Sequence[Any], by_mean: FloatArray) -> FloatArray:
        """``(P,)`` the gradient of a loss by the parameters, as far as it goes through the means."""
        parts = zip(self.split(theta), placed, strict=True)
        return np.concatenate([part.mean_by_parameters(own, rows, by_mean) for (part, own), rows in parts])

    def section(self, theta: FloatArray, known: Sequence[Any], row: FloatArray) -> Section | None:
        """Return the covariances of new configurations at one fidelity with the data."""
        total: Section | None = NOTHING
        for section in self._sections(theta, known, row):
            total = total and section and total + section
        return total

    def draw(self, theta: FloatArray, rng: np.random.Generator) -> Drawn:
        """Return the sum of a function of each part."""
        drawn = [part.draw(own, rng) for part, own in self.split(theta)]
        return lambda placed: functools.reduce(np.add, [of(rows) for of, rows in zip(drawn, placed, strict=True)])


class _SumCovariance(Covariance):
    def __init__(self, parts: Sequence[Covariance]) -> None:
        self._parts = parts
        self.matrix = parts[0].matrix
        for part in parts[1:]:
            part.add_to(self.matrix)

    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        return np.concatenate([part.by_parameters(by_matrix) for part in self._parts])

    def by_left(self, by_matrix: FloatArray) -> FloatArray | float:
        return sum(part.by_left(by_matrix) for part in self._parts)


@dataclass(frozen=True, eq=False)
class Product(_Composite):
    """A product of kernels: values are alike where every factor says so.

    Attributes:
        parts: The factors.

    Raises:
        ValueError: A factor has noise, which is no function to be multiplied, or a mean.
    """

    _combine = np.multiply

    def __post_init__(self) -> None:
        for part in self.parts:
            if part.has_noise or part.has_mean:
                what = "noise" if part.has_noise else "mean"
                raise ValueError(f"parts: must have no {what} in a product, got {type(part).__name__}")

    def covariance(self, theta: FloatArray, left: Sequence[Any], right: Sequence[Any] | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        return _ProductCovariance(self._covariances(theta, left, right))

    def section(self, theta: FloatArray, known: Sequence[Any], row: FloatArray) -> Section | None:
        """Return the covariances of new configurations at one fidelity with the data."""
        product: Section | None = EQUAL
        for section in self._sections(theta, known, row):
            product = product and section and product * section
        return product


class _ProductCovariance(Covariance):
    def __init__(self, parts: Sequence[Covariance]) -> None:
        self._parts, self._factors = parts, [part.matrix for part in parts]
        self.matrix = functools.reduce(np.multiply, self._factors)

    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        return np.concatenate([part.by_parameters(by) for part, by in self._by_factors(by_matrix)])

    def by_left(self, by_matrix: FloatArray) -> FloatArray | float:
        return sum(part.by_left(by) for part, by in self._by_factors(by_matrix))

    def _by_factors(self, by_matrix: FloatArray) -> Iterator[tuple[Covariance, FloatArray]]:
        """Yield each factor, and the gradient by its matrix: that by the product times all other factors."""
        for i, part in enumerate(self._parts):
            yield part, functools.reduce(np.multiply, self._factors[:i] + self._factors[i + 1 :], by_matrix)
