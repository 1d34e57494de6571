"""Explore: a configuration near another one, as population based training needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.spaces import SearchSpace

_N_TRIES = 64  # for a configuration that is another one and meets the constraints


@dataclass(frozen=True)
class Explore:
    """Changes a configuration a little.

    Every parameter is drawn anew from its prior with a small probability. Else an ordered one moves a step up or down,
    on its own scale: on a log scale that is a factor. Choices stay. What becomes active is drawn from the prior.

    Args:
        perturbation: The length of a step, as a share of the range; integers and ordinals go to another value.
        resample_probability: The chance that a parameter is drawn anew.

    Source: Jaderberg et al. 2017, arXiv 1711.09846, section 4.1.1, which multiplies values by 0.8 or 1.2.

    Example:
        >>> from autohpo import RangeHP, SearchSpace
        >>> space = SearchSpace([RangeHP("x", 0.0, 1.0)])
        >>> round(Explore(0.1, 0.0)(space, {"x": 0.5}, np.random.default_rng(0))["x"], 9) in (0.4, 0.6)
        True
    """

    perturbation: float = 0.1
    resample_probability: float = 0.25

    def __call__(self, space: SearchSpace, hp: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """Return a configuration near another one, which meets the constraints; the same where none was found.

        Args:
            space: The space of both.
            hp: The configuration to start from.
            rng: The generator to draw from.
        """
        point, mask, key = space.encode([hp])[0], space.mask([hp])[0], space.key(hp)
        for _ in range(_N_TRIES):
            found = space.decode(self._moved(space, point, mask, rng)[None])[0]
            if space.key(found) != key and space.is_allowed(found):
                return found
        return dict(hp)

    def _moved(
        self, space: SearchSpace, point: NDArray[np.float64], mask: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """``(d,)`` a point near another one in the unit cube; `mask` says which of its columns are active."""
        signs = np.where(rng.random(len(point)) < 0.5, -1, 1)
        drawn = rng.random(len(point))
        is_anew = ~mask | (rng.random(len(point)) < self.resample_probability)
        moved = point.copy()
        for column in np.flatnonzero((space.levels == 0) & ~is_anew):
            moved[column] = self._step(point[column], signs[column], space.edges[column])
        return np.where(is_anew, drawn, moved)

    def _step(self, unit: float, sign: int, edges: NDArray[np.float64] | None) -> float:
        """A step from a place in the unit interval, to its end at most; among few values to another one."""
        if edges is None:
            return min(max(unit + sign * self.perturbation, 0.0), 1.0)
        n = len(edges) - 1
        cell = int(np.searchsorted(edges[1:-1], unit, side="right"))
        cell = min(max(cell + sign * max(1, round(self.perturbation * n)), 0), n - 1)
        return float(edges[cell] + edges[cell + 1]) / 2
