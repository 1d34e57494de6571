"""Grid search: every combination of evenly spaced values, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, ClassVar, Literal

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.lattice import Lattice
from autohpo.algorithms.parts.missing_space import MissingSpace
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptimizationComplete, OptionError, SpaceError
from autohpo.history import Cursor
from autohpo.spaces.finite import Digits, walk
from autohpo.trial import Suggestion

MOST_MISSES = 300_000
"""How many points of the grid in a row may be not allowed: looking at so many takes some ten seconds."""


@register_hpo("grid")
@dataclass(eq=False, kw_only=True)
class GridSearch(BaseHPOptimizer):
    """Tries `steps` values of each range and all of each choice.

    The grid is never built. Configurations that are known or were tried before are left out. Children of a choice are
    walked where they are active, faster than the choice.

    Args:
        steps: Values of each range, from end to end, at least 2; a range of fewer values gives all of them.
        order: The order of the points: "spread" is one in which the first of them lie all over the grid, for a search
            that ends before the grid does; in "nested" the first parameter changes fastest. None is "spread", and
            "nested" where some parameters are not always active; a stored run goes on with its own.
    """

    is_deterministic: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})

    steps: int = 5
    order: Literal["spread", "nested"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 2:
            raise OptionError(f"steps: must be at least 2, got {self.steps}")
        if self.order == "spread" and self.space.is_conditional:
            raise OptionError("order: must be 'nested' where some parameters are not always active, got 'spread'")
        self._is_order_given = self.order is not None
        if isinstance(self.space, MissingSpace):
            return  # the trainer's space decides
        self.order = self.order or ("nested" if self.space.is_conditional else "spread")

    def _resume_with(self, options: Mapping[str, Any]) -> Sequence[str]:
        if self._is_order_given:
            return ()
        self.order = options.get("order", "nested")  # the only one of older releases
        return ("order",)

    @property
    def is_finite(self) -> bool:
        """Whether the algorithm ends by itself: always."""
        return True

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._cursor = Cursor(self.history)
        self._others: set[str] = set()  # keys of the configurations that others suggested
        self._last: Digits | None = None  # of the last suggestion, in nested order
        self._walk: Iterator[tuple[Digits, dict[str, Any]]] | None = None
        self._walked: Digits | None = None  # where the walk stands
        self._next = 0  # place of the next point, in spread order

    def __getstate__(self) -> dict[str, Any]:
        """Leave the walk out, which cannot be pickled: the last suggestion says where it stands."""
        return {**vars(self), "_walk": None}

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        for item in self._cursor.step().asked:
            if "place" in item.info:
                self._next = item.info["place"] + 1
            elif "digits" in item.info:
                self._last = item.info["digits"]
            else:
                self._others.add(self.space.key(item.hp))
        return self._spread() if self.order == "spread" else self._nested()

    def _is_new(self, hp: Mapping[str, Any]) -> bool:
        return self.space.is_allowed(hp) and not (self._others and self.space.key(hp) in self._others)

    def _spread(self) -> Suggestion:
        """The next point in the order in which the first are spread."""
        lattice, slices = self._lattice
        for place in range(self._next, lattice.n):
            digits = lattice.digits(place)
            values = (
                [axis[d] for axis, d in zip(axes, digits[part], strict=True)]
                for axes, part in zip(self._axes, slices, strict=True)
            )
            hp = {hp.name: hp.join(value) for hp, value in zip(self.space, values, strict=True)}
            if self._is_new(hp):
                return Suggestion(hp, info={"place": place})
            _check_misses(place - self._next)
        raise OptimizationComplete("every point of the grid was suggested, so it is exhausted")

    @cached_property
    def _axes(self) -> list[list[list[Any]]]:
        """The values of each column of each parameter."""
        return [[list(axis) for axis in hp.axes(self.steps)] for hp in self.space]

    @cached_property
    def _lattice(self) -> tuple[Lattice, list[slice]]:
        """The order of the points, and which of their digits belong to each parameter."""
        ends = accumulate(map(len, self._axes), initial=0)
        return Lattice([len(axis) for axes in self._axes for axis in axes]), [slice(a, b) for a, b in pairwise(ends)]

    def _nested(self) -> Suggestion:
        """The next point in the order in which the first parameter changes fastest."""
        if self._walk is None or self._walked != self._last:  # after a resume: the last suggestion says where
            self._walk = walk(self.space, self.steps, self._last)
        for n, (digits, hp) in enumerate(self._walk):
            if self._is_new(hp):
                self._walked = digits
                return Suggestion(hp, info={"digits": digits})
            _check_misses(n)
        raise OptimizationComplete("every point of the grid was suggested, so it is exhausted")


def _check_misses(n: int) -> None:
    """Check that points of the grid may still be expected.

    Args:
        n: How many in a row are not allowed, or were suggested before.

    Raises:
        SpaceError: They are too many.
    """
    if n >= MOST_MISSES:
        raise SpaceError(
            f"constraints: none of {n} points of the grid in a row is allowed and new; give fewer steps, or take an "
            "algorithm that draws configurations"
        )
