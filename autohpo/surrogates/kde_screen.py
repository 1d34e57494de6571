"""Screen: about how dense a kernel density is at many points, and how far off that may be; much faster than exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray
from autohpo.surrogates.kde import LOG_SQRT_2PI, MixedKDE, normal_mass

_CELLS = 512  # of a table of normalisers, where there are more rows than that
_BLOCK = 2**20  # pairs of a point and a row of data handled at once: 4 MiB
_ROUNDING = 2.0**-22  # a step of a single-precision number, with its share of the sum over columns

Singles = NDArray[np.float32]


class Screen:
    """A kernel density in single precision, as one product of matrices.

    The squared distances of all points to all rows are expanded, choices are flags, and normalisers come from a table
    where there are many. So it says which of some points may be the densest; the density itself decides among these.

    Args:
        kde: The density, of truncated kernels.

    Attributes:
        error: About how far a log density may be off.

    Example:
        >>> kde = MixedKDE(np.array([[0.2, 0.25], [0.3, 0.75]]), np.array([0, 2]), np.array([0.1, 0.2]))
        >>> screen, points = Screen(kde), np.array([[0.25, 0.25], [0.9, 0.25]])
        >>> bool(np.allclose(screen.log_density(points), kde.log_density(points), rtol=0, atol=screen.error))
        True
    """

    def __init__(self, kde: MixedKDE) -> None:
        self._levels, h, n = kde.levels, kde.bandwidths, len(kde.points)
        self._ranges, self._categories = np.flatnonzero(self._levels == 0), np.flatnonzero(self._levels)
        self._widths = h[self._ranges]
        self._inverse = self._widths**-2.0
        self._kernels = [_Kernel.of(kde.codes[:, j], int(self._levels[j]), float(h[j])) for j in self._categories]
        counts, n_ranges = np.array([kernel.n_shown for kernel in self._kernels], dtype=np.int64), len(self._ranges)
        self._rows: Singles = np.zeros((n, n_ranges + int(counts.sum()) + 1), dtype=np.float32)
        centred = self._rows[:, :n_ranges]
        np.subtract(kde.points[:, self._ranges], 0.5, out=centred, casting="same_kind")
        places = np.arange(n)
        starts = n_ranges + np.cumsum(counts) - counts
        for j, kernel, first in zip(self._categories, self._kernels, starts, strict=True):
            self._rows[places, first + kernel.places[kde.codes[:, j]]] = 1.0
        log_mass, error = self._log_mass(centred)
        constants = np.square(centred) * (-0.5 * self._inverse).astype(np.float32)
        constants -= log_mass
        constants -= (np.log(self._widths) + LOG_SQRT_2PI).astype(np.float32)
        self._constants: Singles = constants  # (n, ranges)
        self._rows[:, -1] = constants @ np.ones(n_ranges, dtype=np.float32)  # what counts where all columns do
        largest = 0.5 * float(self._inverse.sum()) + float(np.abs(np.log(self._widths)).sum()) + 30.0
        self.error = error + _ROUNDING * (len(self._levels) + 2) * largest

    def _log_mass(self, centred: Singles) -> tuple[Singles, float]:
        """``(n, ranges)`` logs of the kernels' masses in [0, 1], and by how much their sums may be off."""
        if len(centred) <= _CELLS:
            return np.log(normal_mass(centred.astype(float) + 0.5, self._widths)).astype(np.float32), 0.0
        n = len(self._widths)
        nodes = np.repeat(np.arange(_CELLS + 1)[:, None] / _CELLS, n, axis=1)
        table = np.log(normal_mass(nodes, self._widths))
        error = float(np.abs(np.diff(table, n=2, axis=0)).max(axis=0).sum()) / 4.0  # twice that of a parabola
        shares = (centred + np.float32(0.5)) * np.float32(_CELLS)
        cells = np.minimum(shares, _CELLS - 1).astype(np.int32)
        shares -= cells
        places = cells * n + np.arange(n, dtype=np.int32)
        low: Singles = table.astype(np.float32).ravel().take(places)
        slopes: Singles = np.diff(table, axis=0).astype(np.float32).ravel().take(places)
        slopes *= shares
        low += slopes
        return low, error

    def log_density(self, points: FloatArray, mask: BoolArray | None = None) -> FloatArray:
        """Return about the ``(m,)`` log densities at ``(m, d)`` points in the unit cube.

        Args:
            points: ``(m, d)`` points.
            mask: ``(m, d)`` which columns count at which point; None where all do.
        """
        ranges, categories = self._ranges, self._categories
        centred = points[:, ranges] - 0.5
        codes = [np.minimum((points[:, j] * self._levels[j]).astype(np.int64), self._levels[j] - 1) for j in categories]
        kernels = [kernel.at(code) for kernel, code in zip(self._kernels, codes, strict=True)]
        asked = centred * self._inverse
        own = -0.5 * centred**2 * self._inverse
        active = None if mask is None else mask[:, ranges]
        if mask is not None and active is not None:
            asked, own = asked * active, own * active
            kernels = [kernel * mask[:, [j]] for kernel, j in zip(kernels, categories, strict=True)]
        whole = np.full((len(points), 1), active is None)
        factors: Singles = np.concatenate([asked, *kernels, whole], axis=1, dtype=np.float32)
        step = max(1, _BLOCK // len(self._rows))
        found = [
            self._log_sums(factors[i : i + step], None if active is None else active[i : i + step].astype(np.float32))
            for i in range(0, len(points), step)
        ]
        densities: FloatArray = np.concatenate(found) + own.sum(axis=1) - math.log(len(self._rows))
        return densities

    def _log_sums(self, factors: Singles, active: Singles | None) -> FloatArray:
        """``(m,)`` logs of the sums over all rows of data."""
        exponents = factors @ self._rows.T
        if active is not None:
            exponents += active @ self._constants.T
        peaks = exponents.max(axis=1)
        exponents -= peaks[:, None]
        sums = np.exp(exponents, out=exponents) @ np.ones(len(self._rows), dtype=np.float32)
        found: FloatArray = np.log(sums).astype(float) + peaks
        return found


@dataclass(frozen=True, eq=False)
class _Kernel:
    """The log kernel of one column of categories, at those that the data have.

    Attributes:
        places: ``(L,)`` the place of each category among those of the data; -1 for the others.
        n_shown: The number of categories that the data have.
        stay: The log kernel at the same category.
        leave: The log kernel at any other.
    """

    places: IntArray
    n_shown: int
    stay: float
    leave: float

    @classmethod
    def of(cls, codes: IntArray, n_levels: int, h: float) -> _Kernel:
        """Return the kernel of ``(n,)`` categories."""
        places = np.full(n_levels, -1, dtype=np.int64)
        places[codes] = 0
        shown = np.flatnonzero(places == 0)
        places[shown] = np.arange(len(shown))
        leave = math.log(h) - math.log(n_levels - 1) if h > 0 else 0.0
        return cls(places, len(shown), math.log1p(-h), leave)

    def at(self, codes: IntArray) -> FloatArray:
        """``(m, n_shown)`` the log kernel of ``(m,)`` categories at each that the data have."""
        logs = np.full((len(codes), self.n_shown), self.leave)
        rows = np.flatnonzero(self.places[codes] >= 0)
        logs[rows, self.places[codes[rows]]] = self.stay
        return logs
