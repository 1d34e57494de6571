"""Sections of a kernel at one fidelity: covariances of new configurations, which have no curve yet, with the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from autohpo.surrogates.arrays import FloatArray

if TYPE_CHECKING:
    from autohpo.surrogates.distinct import Repeated
    from autohpo.surrogates.kernels import Kernel


@dataclass(frozen=True, eq=False)
class Term:
    """A kernel of configurations, times a number for each row of the data.

    Attributes:
        kernel: The kernel of configurations.
        theta: The parameters of the kernel.
        known: The configurations of the data, placed once for all rows of each.
        shares: ``(n,)`` the factor of each row of the data.
        share: The factor of a new configuration's own variance.
    """

    kernel: Kernel
    theta: FloatArray
    known: Repeated
    shares: FloatArray
    share: float


@dataclass(frozen=True, eq=False)
class Section:
    """The covariances of a new configuration at one fidelity with n rows of data.

    They are kernels of configurations times numbers, plus numbers.

    Attributes:
        terms: The kernels of configurations, with their factors.
        rest: ``(n,)`` the covariances that do not depend on the configuration, or one for all rows.
        variance: The prior variance that does not depend on the configuration.
    """

    terms: Sequence[Term]
    rest: FloatArray | float
    variance: float

    def __add__(self, other: Section) -> Section:
        return Section([*self.terms, *other.terms], self.rest + other.rest, self.variance + other.variance)

    def __mul__(self, other: Section) -> Section | None:
        """Return the covariances of a product; None where both factors depend on the configuration."""
        if self.terms and other.terms:
            return None
        varied, fixed = (self, other) if self.terms else (other, self)
        terms = [replace(t, shares=t.shares * fixed.rest, share=t.share * fixed.variance) for t in varied.terms]
        return Section(terms, varied.rest * fixed.rest, varied.variance * fixed.variance)


NOTHING = Section((), 0.0, 0.0)
"""The section of a function that is 0."""
EQUAL = Section((), 1.0, 1.0)
"""The section of a factor that changes nothing."""
