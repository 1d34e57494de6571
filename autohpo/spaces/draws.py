"""Draws from the prior that meet the constraints, however few of all do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError
from autohpo.spaces.constraints import Constraint, ExpressionConstraint, LinearConstraint, PredicateConstraint
from autohpo.spaces.formula_boxes import Box, possible, possible_sum
from autohpo.spaces.formula_rows import BoolArray, Column, NotInRows, as_column

if TYPE_CHECKING:
    from autohpo.spaces.search_space import SearchSpace

FloatArray = NDArray[np.float64]

MOST_DRAWS = 100_000
"""The most draws of which none meets the constraints: they take less than a second."""
MOST_AT_ONCE = 65_536
"""The most draws that are made together."""
MOST_NUMBERS = 4_000_000
"""The most numbers of the unit cube that are drawn together: some 30 MB."""
MOST_BOXES = 2048
"""The most boxes that cover what is allowed."""
ENOUGH = 0.5
"""A cover is fine enough when so large a part of it is surely allowed."""
FEW_ROWS = 8
"""The most configurations that are tested one by one: arrays would be slower."""


class Draws:
    """The configurations of a space that its constraints allow: a mask of points, and draws from the prior.

    Formulas and linear constraints are computed for many points at once. Where few are allowed, boxes of the unit cube
    that surely hold none are left out first, so that the draws are those of the prior under the constraints, and depend
    on the generator alone.

    Args:
        space: The space; its constraints name parameters of it.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        ends = np.cumsum([0, *(parameter.width for parameter in space)])
        self._columns = {hp.name: slice(int(a), int(b)) for hp, (a, b) in zip(space, pairwise(ends), strict=True)}
        constraints = [c for c in space.constraints if c.names is None or c.names]  # one without names is always met
        always = {name for name in space.names if not space.deciders(name)}
        is_simple = [c.names is not None and set(c.names) <= always for c in constraints]  # of what is always there
        self._simple = [c for c, simple in zip(constraints, is_simple, strict=True) if simple]
        self._others = [c for c, simple in zip(constraints, is_simple, strict=True) if not simple]

    def allowed(self, units: FloatArray) -> BoolArray:
        """Return ``(n,)`` whether the configuration of each of ``(n, d)`` points meets all constraints."""
        kept, unknown = np.ones(len(units), dtype=bool), np.zeros(len(units), dtype=bool)
        columns: dict[str, Column] = {}
        for constraint in self._simple:
            for name in constraint.names or ():
                if name not in columns:
                    columns[name] = self._space[name].column(units[:, self._columns[name]])
            allowed, is_open = _in_rows(constraint, columns, len(units))
            kept, unknown = kept & (allowed | is_open), unknown | is_open
        known, others = np.flatnonzero(kept & ~unknown), np.flatnonzero(kept & unknown)
        if self._others and len(known):
            kept[known] = meet(self._others, self._space.decode(units[known]))
        if len(others):
            kept[others] = [self._space.is_allowed(hp) for hp in self._space.decode(units[others])]
        return kept

    def points(self, rng: np.random.Generator, n: int, most_draws: int | None = None) -> FloatArray:
        """Return ``(n, d)`` points drawn from the prior whose configurations are allowed.

        Args:
            rng: The generator.
            n: The number of points.
            most_draws: The number of draws after which it ends with fewer points, but at least one; None goes on.

        Raises:
            SpaceError: None of 100,000 draws is allowed, or nothing can be.
        """
        most_at_once = max(1, min(MOST_AT_ONCE, MOST_NUMBERS // max(self._space.n_columns, 1)))
        found: list[FloatArray] = []
        n_found, n_drawn, batch = 0, 0, max(n, 16)
        while n_found < n and not (n_found and most_draws is not None and n_drawn >= most_draws):
            drawn = self._draw(rng, min(batch, most_at_once))
            kept = drawn[self.allowed(drawn)]
            found.append(kept)
            n_found, n_drawn = n_found + len(kept), n_drawn + len(drawn)
            if n_drawn > MOST_DRAWS and not n_found:
                raise self._error(f"got 0 of {n_drawn}")
            share = (n_found + 0.5) / n_drawn
            batch = int(min(max(1.2 * (n - n_found) / share, 16), 4 * batch))
        return np.concatenate(found)[:n]

    def _error(self, got: str) -> SpaceError:
        rule = f"some draws must meet {list(self._space.constraints)}"
        return SpaceError(f"constraints: {rule}, {got}; give ranges that reach less beyond what is allowed")

    def _draw(self, rng: np.random.Generator, n: int) -> FloatArray:
        units = rng.random((n, self._space.n_columns))
        if self._cover is None:
            return units
        places, lows, highs, ends = self._cover
        boxes = np.searchsorted(ends, rng.random(n) * ends[-1], side="right").clip(max=len(ends) - 1)
        units[:, places] = lows[boxes] + units[:, places] * (highs[boxes] - lows[boxes])
        return units

    @cached_property
    def _cover(self) -> tuple[NDArray[np.int64], FloatArray, FloatArray, FloatArray] | None:
        """The columns that boxes bound, ``(m, k)`` their ends, and the running sum of their volumes.

        None where the boxes would leave out next to nothing.
        """
        bound = [c for c in self._simple if isinstance(c, (ExpressionConstraint, LinearConstraint))]
        used = dict.fromkeys(name for constraint in bound for name in constraint.names)
        names = [name for name in used if self._space[name].has_bounds]
        if not names:
            return None
        lows, highs = np.zeros((1, len(names))), np.ones((1, len(names)))
        while True:
            can_be, is_closed = self._judged(bound, names, lows, highs)
            lows, highs, is_closed = lows[can_be], highs[can_be], is_closed[can_be]
            volumes = (highs - lows).prod(axis=1)
            if not len(lows):
                raise self._error("got none in all of the space")
            sides = highs - lows
            is_open = ~is_closed & (sides.max(axis=1) > 2.0**-30)
            is_enough = volumes[~is_open].sum() >= ENOUGH * volumes.sum()
            if is_enough or not is_open.any() or len(lows) + is_open.sum() > MOST_BOXES:
                break
            lows, highs = _halved(lows, highs, is_open)
        if volumes.sum() > 0.9:
            return None
        places = np.array([self._columns[name].start for name in names], dtype=np.int64)
        return places, lows, highs, np.cumsum(volumes)

    def _judged(
        self, bound: Sequence[Constraint], names: Sequence[str], lows: FloatArray, highs: FloatArray
    ) -> tuple[BoolArray, BoolArray]:
        """Return ``(m,)`` which boxes may hold something allowed, and which hold nothing else, or a single value."""
        boxes: dict[str, Box] = {
            name: self._space[name].bounds(lows[:, j], highs[:, j]) for j, name in enumerate(names)
        }
        can_be, inside = np.ones(len(lows), dtype=bool), np.ones(len(lows), dtype=bool)
        is_single = np.all([low == high for low, high in boxes.values()], axis=0)
        for constraint in bound:
            if isinstance(constraint, ExpressionConstraint):
                true, false = possible(constraint.expression.tree, boxes)
            elif isinstance(constraint, LinearConstraint):
                true, false = possible_sum(constraint.weights, constraint.lower, constraint.upper, boxes)
            can_be, inside = can_be & true, inside & np.logical_not(false)
        return can_be, inside | is_single


def _halved(lows: FloatArray, highs: FloatArray, is_open: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return boxes with those that are open cut in two, across their longest side."""
    rows = np.flatnonzero(is_open)
    longest = (highs - lows)[rows].argmax(axis=1)
    middles = (lows[rows, longest] + highs[rows, longest]) / 2
    below, above = highs[rows].copy(), lows[rows].copy()
    below[np.arange(len(rows)), longest] = middles
    above[np.arange(len(rows)), longest] = middles
    kept = ~is_open
    return np.concatenate([lows[kept], lows[rows], above]), np.concatenate([highs[kept], below, highs[rows]])


def meet(constraints: Sequence[Constraint], hps: Sequence[Mapping[str, Any]]) -> BoolArray:
    """Return ``(n,)`` whether each of n configurations meets all of some constraints.

    One that cannot be computed for a configuration is an error only where all that are computed in rows allow it.
    """
    kept, unknown = np.ones(len(hps), dtype=bool), np.zeros(len(hps), dtype=bool)
    functions = [constraint for constraint in constraints if constraint.names is None]
    if len(hps) <= FEW_ROWS:
        return np.array([all(c.allows(hp) for c in constraints) for hp in hps], dtype=bool)
    for constraint in constraints:
        names = constraint.names or ()
        bound = [i for i in np.flatnonzero(kept).tolist() if all(name in hps[i] for name in names)] if names else []
        if bound:
            columns = {name: as_column([hps[i][name] for i in bound]) for name in names}
            allowed, is_open = _in_rows(constraint, columns, len(bound))
            kept[bound] &= allowed | is_open
            unknown[bound] |= is_open
    for i in np.flatnonzero(kept & unknown).tolist():  # as all are asked in their order, one may guard the next
        kept[i] = all(constraint.allows(hps[i]) for constraint in constraints)
    for i in np.flatnonzero(kept & ~unknown).tolist() if functions else ():
        kept[i] = all(function.allows(hps[i]) for function in functions)
    return kept


def _in_rows(constraint: Constraint, columns: Mapping[str, Column], n: int) -> tuple[BoolArray, BoolArray]:
    """Return ``(n,)`` whether n configurations meet a constraint, and ``(n,)`` where rows cannot tell."""
    if not isinstance(constraint, PredicateConstraint) and constraint.names:
        try:
            return constraint.in_rows(columns, n)
        except NotInRows:
            pass
    return np.zeros(n, dtype=bool), np.ones(n, dtype=bool)
