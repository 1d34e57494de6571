"""Centred: a distribution over configurations around one of them, as a user's guess or the best one makes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray
from autohpo.errors import OptionError, SpaceError, shown
from autohpo.other_names import did_you_mean
from autohpo.spaces import HPSpace, SearchSpace

SD = {"low": 0.5, "medium": 0.25, "high": 0.125}
"""The standard deviation of a guess in the unit interval, by how sure the user is."""


class Centred:
    """Independent distributions of the columns of the unit cube, each around a centre, or uniform without one.

    Of an ordered column it is a normal distribution, cut at the ends. Of values in no order the centre has the
    probability ``1 - sd``, and any of all values the rest.

    Args:
        space: The space whose unit cube it is.
        centres: ``(d,)`` the centre of each column; NaN where it is uniform.
        sd: The standard deviation, below 1.

    Example:
        >>> from autohpo import ChoiceHP, RangeHP
        >>> space = SearchSpace([RangeHP("x", 0.0, 1.0), ChoiceHP("act", ["relu", "tanh"])])
        >>> guess = Centred(space, np.array([0.5, np.nan]), 0.25)
        >>> guess.log_density(np.array([[0.5, 0.2], [0.9, 0.2]]), np.ones((2, 2), dtype=bool)).round(2).tolist()
        [0.51, -0.77]
    """

    def __init__(self, space: SearchSpace, centres: FloatArray, sd: float) -> None:
        from scipy.special import ndtr

        self._levels, self._edges = space.levels, space.edges
        self._centres, self._sd = centres, sd
        self._has_centre = ~np.isnan(centres)
        self._is_ordered = self._levels == 0
        safe = np.where(self._has_centre, centres, 0.5)
        self._low, self._high = ndtr((0 - safe) / sd), ndtr((1 - safe) / sd)
        cells = [self._cell(j, np.array([safe[j]])) for j in range(len(centres))]
        self._cells = np.array(cells, dtype=float).reshape(-1, 2)  # the cell of each centre, of columns in no order

    def _cell(self, column: int, units: FloatArray) -> tuple[float, float]:
        """The ends of the cell that a place of a column is in."""
        edges, n = self._edges[column], int(self._levels[column])
        if edges is not None:
            k = int(np.searchsorted(edges[1:-1], units[0], side="right"))
            return float(edges[k]), float(edges[k + 1])
        k = min(int(units[0] * n), n - 1) if n else 0
        return (k / n, (k + 1) / n) if n else (0.0, 1.0)

    def sample(self, rng: np.random.Generator) -> FloatArray:
        """``(d,)`` a point of it."""
        from scipy.special import ndtri

        drawn = rng.random((3, len(self._centres)))
        safe = np.where(self._has_centre, self._centres, 0.5)
        near = np.clip(safe + self._sd * ndtri(self._low + drawn[0] * (self._high - self._low)), 0.0, 1.0)
        low, high = self._cells.T
        same = np.where(drawn[1] < 1 - self._sd, low + drawn[0] * (high - low), drawn[2])
        point: FloatArray = np.where(self._has_centre, np.where(self._is_ordered, near, same), drawn[0])
        return point

    def log_density(self, points: FloatArray, mask: BoolArray) -> FloatArray:
        """``(n,)`` the log density of ``(n, d)`` points; columns that are not active in the ``(n, d)`` mask count not.

        Uniform is 0.
        """
        z = (points - self._centres) / self._sd
        scale = math.sqrt(2 * math.pi) * self._sd * (self._high - self._low)
        low, high = self._cells.T
        is_same = (points >= low) & (points < high)
        same = np.log(np.where(is_same, (1 - self._sd) / (high - low), 0.0) + self._sd)
        values = np.where(self._is_ordered, -0.5 * z * z - np.log(scale), same)
        total: FloatArray = np.where(mask & self._has_centre, values, 0.0).sum(axis=1)
        return total


def guess_of(space: SearchSpace, prior: Mapping[str, Any], confidence: Literal["low", "medium", "high"]) -> Centred:
    """Return the distribution around a user's guesses at good values; other parameters are drawn from the space.

    Args:
        space: The space.
        prior: A value for each parameter that something is believed about.
        confidence: How sure the user is.

    Raises:
        OptionError: A name is unknown, or its parameter has a prior already; a value is illegal; or the confidence is
            none.
    """
    if confidence not in SD:
        raise OptionError(f"prior_confidence: must be 'low', 'medium' or 'high', got {shown(confidence)}")
    if not isinstance(prior, Mapping):
        raise OptionError(f"prior: must be a dict of parameter names and values, got {shown(prior)}")
    centres = np.full(space.n_columns, np.nan)
    starts = dict(zip(space.names, np.cumsum([0, *(hp.width for hp in space)]), strict=False))
    for name, value in prior.items():
        if name not in space.names:
            known = did_you_mean(str(name), space.names)
            raise OptionError(f"prior: {shown(name)} is no parameter of the space{known}")
        parameter = space[name]
        if getattr(parameter, "prior", None) is not None:
            raise OptionError(f"prior: must not be given for {name} again, whose parameter has one: {parameter}")
        centres[starts[name] : starts[name] + parameter.width] = _encoded(parameter, value)
    return Centred(space, centres, SD[confidence])


def _encoded(parameter: HPSpace, value: Any) -> FloatArray:
    """``(w,)`` the columns of a value.

    Raises:
        OptionError: It is illegal.
    """
    try:
        value = parameter.canonical(value)
        is_legal = parameter.contains(value)
    except (SpaceError, TypeError, ValueError):
        is_legal = False
    if not is_legal:
        raise OptionError(f"prior: must have a value of {parameter}, got {shown(value)} for {parameter.name}")
    columns: FloatArray = parameter.encode([value])[0]
    return columns


def without_priors(space: SearchSpace, rng: np.random.Generator) -> FloatArray:
    """``(d,)`` a point that is uniform on the scale of each parameter, whatever prior it has.

    Args:
        space: The space.
        rng: The generator to draw from.
    """
    point, column = rng.random(space.n_columns), 0
    for parameter in space:
        here = slice(column, column + parameter.width)
        column += parameter.width
        if getattr(parameter, "prior", None) is None or not parameter.width:
            continue
        edges, warp = parameter.edges, getattr(parameter, "_warp", None)
        if warp is not None:
            point[here] = warp.to_units(point[here])
        elif edges is not None:
            k = np.minimum((point[here] * (len(edges) - 1)).astype(int), len(edges) - 2)
            point[here] = (edges[k] + edges[k + 1]) / 2
    return point
