"""SeenSet: which configurations a search has suggested, so that none is tried twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice, product
from typing import Any

import numpy as np

from autohpo.errors import OptimizationComplete
from autohpo.history import Cursor, HistoryView
from autohpo.spaces import SearchSpace
from autohpo.spaces.finite import walk
from autohpo.trial import Running, Trial

N_DRAWS = 256
"""Draws from the prior at once, in search of a new configuration; then the space is nearly used up, and is listed."""
MOST_LISTED = 4096
"""New configurations that are listed at most, to draw from them."""
MOST_WALKED = 20_000
"""Combinations, beside those seen, that are looked at to list them: a part of a second."""
_LAST_SHARE = 0.1  # of a space: its configurations are listed, as a draw would mostly be an old one
_STEPS = 8  # of the listing, for each suggestion in the second half of a space


class SeenSet:
    """The configurations that were suggested; a function of the history.

    Make one in ``_set_up``, and call :meth:`update` at the start of ``_get_suggestion``.

    Args:
        view: The history of the optimizer, or a view of it.
        counts: Which trials count; all of them where it is None.

    Example:
        >>> from autohpo import ChoiceHP, build_hpo_from_name
        >>> hpo = build_hpo_from_name("random", [ChoiceHP("act", ["relu", "tanh"])], seed=0)
        >>> sorted(hpo.ask()["act"] for _ in range(2))
        ['relu', 'tanh']
    """

    def __init__(self, view: HistoryView, counts: Callable[[Trial | Running], bool] | None = None) -> None:
        self._cursor, self._space, self._counts = Cursor(view), view.space, counts
        self._keys: set[str] = set()
        self._listing: _Listing | None = None  # made where most configurations were suggested

    def __getstate__(self) -> dict[str, Any]:
        """Leave the listing out, which cannot be pickled and is made anew where it is needed."""
        return {**vars(self), "_listing": None}

    @property
    def is_finite(self) -> bool:
        """Whether the configurations can be counted, so that the search ends when all were suggested."""
        return self._space.n_configurations is not None

    def update(self) -> None:
        """Add what was suggested since the last call.

        Raises:
            OptimizationComplete: Every configuration was suggested.
        """
        step = self._cursor.step()
        if step.is_reset:
            self._keys.clear()
            self._listing = None
        counts = self._counts
        fresh = [self._space.key(item.hp) for item in step.asked if counts is None or counts(item)]
        self._keys.update(fresh)
        if self._listing is not None:
            self._listing.remove(fresh)
        self._list_ahead(len(fresh))
        n = self._space.n_configurations
        if n is not None and len(self._keys) >= n:
            raise OptimizationComplete(f"all {n} configurations were suggested")

    def _list_ahead(self, n_fresh: int) -> None:
        """Walks some steps of the listing from half of the space on, so that the last tenth does not wait for it."""
        n = self._space.n_configurations
        if n is not None and n_fresh == 1 and n < 2 * len(self._keys) and n <= MOST_WALKED + MOST_LISTED:
            if self._listing is None:
                self._listing = _Listing(self._space)
            self._listing.walk_on(self._keys, _STEPS)

    def is_new(self, hp: Mapping[str, Any]) -> bool:
        """Whether a configuration was not suggested before, and meets the constraints."""
        return self._space.key(hp) not in self._keys and self._space.is_allowed(hp)

    def first(self, hps: Sequence[Mapping[str, Any]]) -> int | None:
        """Return the place of the first configuration that is new and meets the constraints, None where none is."""
        return next((i for i, hp in enumerate(hps) if self.is_new(hp)), None)

    def first_or_draw(
        self, hps: Sequence[dict[str, Any]], rng: np.random.Generator
    ) -> tuple[dict[str, Any], int | None]:
        """Return the first configuration that is new and allowed, and its place; else a draw from the prior, and None.

        Args:
            hps: Candidates, the best first.
            rng: The generator of the draw.

        Raises:
            OptimizationComplete: There is none.
        """
        place = self.first(hps)
        return (self.draw(rng), None) if place is None else (hps[place], place)

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Return a configuration drawn from the prior that is new and meets the constraints.

        Raises:
            OptimizationComplete: There is none.
        """
        return self.some(rng, 1)[0]

    def some(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        """Return 1 to n configurations drawn from the prior that are new and meet the constraints.

        Raises:
            OptimizationComplete: There is none.
        """
        if not self.is_finite:
            return self._space.sample(rng, n)
        if self.is_nearly_used_up:
            left = self._left()
            if left:
                return [left[int(i)] for i in rng.permutation(len(left))[:n]]
        batch = n
        while batch <= max(n, N_DRAWS):  # more and more, as most of the space may be used up
            new = self._new_of(self._space.sample(rng, batch, most_draws=N_DRAWS))
            if new:
                return new[:n]
            batch *= 2
        left = self._left()
        if left:
            return [left[int(i)] for i in rng.permutation(len(left))[:n]]
        for _ in range(N_DRAWS):  # few are allowed of very many
            new = self._new_of(self._space.sample(rng, n))
            if new:
                return new
        raise OptimizationComplete(f"all {len(self._keys)} configurations were suggested")

    @property
    def is_nearly_used_up(self) -> bool:
        """Whether so few configurations are left that a draw would hardly ever be new, and they can be listed."""
        n = self._space.n_configurations
        return n is not None and MOST_LISTED >= n - len(self._keys) <= n * _LAST_SHARE

    def _left(self) -> list[dict[str, Any]]:
        """The first new configurations in the order of a walk over the space, as far as that is short."""
        if self._listing is None:
            self._listing = _Listing(self._space)
        return self._listing.first(self._keys, MOST_WALKED + len(self._keys))

    def _new_of(self, hps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [hp for hp in hps if self.is_new(hp)]


class _Listing:
    """The new configurations that come first in a walk over a space; the walk goes on where some were used up."""

    def __init__(self, space: SearchSpace) -> None:
        self._space, self._walk = space, _walk_of(space)
        self._n_walked = 0
        self._left: dict[str, dict[str, Any]] = {}

    def remove(self, keys: Iterable[str]) -> None:
        """Take configurations out that are not new any more."""
        for key in keys:
            self._left.pop(key, None)

    def walk_on(self, seen: AbstractSet[str], n: int) -> None:
        """Walk at most n steps, as long as fewer than `MOST_LISTED` configurations are new and allowed."""
        if len(self._left) >= MOST_LISTED:
            return
        for hp in islice(self._walk, n):
            self._n_walked += 1
            key = self._space.key(hp)
            if key not in seen and self._space.is_allowed(hp):
                self._left[key] = hp
                if len(self._left) == MOST_LISTED:
                    break

    def first(self, seen: AbstractSet[str], most_walked: int) -> list[dict[str, Any]]:
        """Return at most `MOST_LISTED` new and allowed configurations, none beyond a number of steps of the walk."""
        self.walk_on(seen, max(most_walked - self._n_walked, 0))
        return list(self._left.values())


def _walk_of(space: SearchSpace) -> Iterator[dict[str, Any]]:
    """All configurations of a space in the order of its walk, quickly where each parameter is one axis."""
    is_short = not space.is_conditional and all((hp.n_values or math.inf) <= MOST_WALKED for hp in space)
    axes = [hp.axes(None) for hp in space] if is_short else []
    if not axes or any(len(axis) != 1 for axis in axes):
        return (hp for _, hp in walk(space, steps=None))
    values = [[hp.join([value]) for value in axis[0]] for hp, axis in zip(space, axes, strict=True)]
    rows = product(*values[::-1])  # in which the last changes fastest, as the first does in a walk
    return (dict(zip(space.names, row[::-1], strict=True)) for row in rows)
