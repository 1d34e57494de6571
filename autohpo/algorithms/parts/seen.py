"""SeenSet: which configurations a search has suggested, so that none is tried twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.errors import OptimizationComplete
from autohpo.spaces.finite import walk

N_DRAWS = 256
"""From the prior at once, in search of a new configuration; then the space is nearly used up, and is listed."""
MOST_LISTED = 4096
"""New configurations that are listed at most, to draw one of them."""
MOST_WALKED = 20_000
"""Combinations, beside those seen, that are looked at to list them: a part of a second."""


class SeenSet:
    """The configurations that an optimizer has suggested; a function of its history.

    Make one in ``_set_up``, and call :meth:`take_in` at the start of ``_get_suggestion``.

    Args:
        hpo: The optimizer.

    Example:
        >>> from autohpo import ChoiceHP, build_hpo_from_name
        >>> hpo = build_hpo_from_name("random", [ChoiceHP("act", ["relu", "tanh"])], seed=0)
        >>> sorted(hpo.ask()["act"] for _ in range(2))
        ['relu', 'tanh']
    """

    def __init__(self, hpo: BaseHPOptimizer) -> None:
        self._hpo, self._space = hpo, hpo.space
        self._seen: set[str] = set()
        self._n_asked = 0  # suggestions taken in
        self._n_told = 0  # trials looked at

    @property
    def is_finite(self) -> bool:
        """Whether the configurations can be counted, so that the search ends when all were suggested."""
        return self._space.n_configurations is not None

    def take_in(self) -> None:
        """Learns what was suggested since the last call.

        Raises:
            OptimizationComplete: Every configuration was suggested.
        """
        told = self._hpo.trials[self._n_told :]
        self._n_told += len(told)
        new = [trial.hp for trial in told if trial.number < 0 or trial.number >= self._n_asked]
        new += [one for one in self._hpo.running if one.number >= self._n_asked]
        self._seen.update(self._space.key(hp) for hp in new)
        self._n_asked = self._hpo.n_asked
        n = self._space.n_configurations
        if n is not None and len(self._seen) >= n:
            raise OptimizationComplete(f"all {n} configurations were suggested")

    def is_new(self, hp: Mapping[str, Any]) -> bool:
        """Whether a configuration was not suggested before, and meets the constraints."""
        return self._space.key(hp) not in self._seen and self._space.is_allowed(hp)

    def first(self, hps: Sequence[Mapping[str, Any]]) -> int | None:
        """Place of the first configuration that is new and meets the constraints; None where there is none."""
        return next((i for i, hp in enumerate(hps) if self.is_new(hp)), None)

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """A configuration drawn from the prior that is new and meets the constraints.

        Raises:
            OptimizationComplete: There is none.
        """
        return self.some(rng, 1)[0]

    def some(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        """From 1 to n configurations drawn from the prior that are new and meet the constraints.

        Raises:
            OptimizationComplete: There is none.
        """
        if not self.is_finite:
            return self._space.sample(rng, n)
        batch = n
        while batch <= max(n, N_DRAWS):  # more and more, as most of the space may be used up
            new = self._new_of(self._space.decode(rng.random((batch, self._space.n_columns))))
            if new:
                return new[:n]
            batch *= 2
        walked = (hp for _, hp in islice(walk(self._space, steps=None), MOST_WALKED + len(self._seen)))
        left = list(islice((hp for hp in walked if self.is_new(hp)), MOST_LISTED))
        if left:
            return [left[int(i)] for i in rng.permutation(len(left))[:n]]
        for _ in range(N_DRAWS):  # few are allowed of very many
            new = self._new_of(self._space.sample(rng, n))
            if new:
                return new
        raise OptimizationComplete(f"all {len(self._seen)} configurations were suggested")

    def _new_of(self, hps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [hp for hp in hps if self.is_new(hp)]
