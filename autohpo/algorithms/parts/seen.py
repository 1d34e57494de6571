"""SeenSet: which configurations a search has suggested, so that none is tried twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from autohpo.errors import OptimizationComplete
from autohpo.history import Cursor, HistoryView
from autohpo.spaces.finite import walk
from autohpo.trial import Running, Trial

N_DRAWS = 256
"""Draws from the prior at once, in search of a new configuration; then the space is nearly used up, and is listed."""
MOST_LISTED = 4096
"""New configurations that are listed at most, to draw from them."""
MOST_WALKED = 20_000
"""Combinations, beside those seen, that are looked at to list them: a part of a second."""


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
        counts = self._counts
        self._keys.update(self._space.key(item.hp) for item in step.asked if counts is None or counts(item))
        n = self._space.n_configurations
        if n is not None and len(self._keys) >= n:
            raise OptimizationComplete(f"all {n} configurations were suggested")

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
        batch = n
        while batch <= max(n, N_DRAWS):  # more and more, as most of the space may be used up
            new = self._new_of(self._space.sample(rng, batch, most_draws=N_DRAWS))
            if new:
                return new[:n]
            batch *= 2
        walked = (hp for _, hp in islice(walk(self._space, steps=None), MOST_WALKED + len(self._keys)))
        left = list(islice((hp for hp in walked if self.is_new(hp)), MOST_LISTED))
        if left:
            return [left[int(i)] for i in rng.permutation(len(left))[:n]]
        for _ in range(N_DRAWS):  # few are allowed of very many
            new = self._new_of(self._space.sample(rng, n))
            if new:
                return new
        raise OptimizationComplete(f"all {len(self._keys)} configurations were suggested")

    def _new_of(self, hps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [hp for hp in hps if self.is_new(hp)]
