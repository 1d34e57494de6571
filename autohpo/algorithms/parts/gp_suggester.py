"""GPSuggester: the next configuration after a history: a given point, a draw, or the best that the model knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np

from autohpo.algorithms.parts.cost_model import CostModel
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.evidence import Evidence, HistoryEvidence
from autohpo.algorithms.parts.given_points import given_points, restricted
from autohpo.algorithms.parts.gp_engine import Aim, GPEngine
from autohpo.algorithms.parts.gp_options import GPOptions, data_of
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.parts.start import SobolStart
from autohpo.errors import OptimizationComplete
from autohpo.history import Cursor, History
from autohpo.trial import Suggestion

_DESIGN = 64  # evenly spread points; where more run before there is a model, the others are draws from the prior


class GPSuggester:
    """Suggests configurations after a history, as the options of the multi-fidelity process say.

    Args:
        history: The history.
        options: The options.
        seed: The seed of everything that is random and not of one suggestion.
        full: The fidelity of a full evaluation.
        levels: The rungs, rising; None takes those that trials were given.
        is_continued: Whether a promoted trial pays only for what is added.

    Raises:
        OptionError: The given configurations are none.
        SpaceError: A given configuration is illegal.
    """

    def __init__(
        self,
        history: History,
        options: GPOptions,
        *,
        seed: int,
        full: float,
        levels: Sequence[float] | None,
        is_continued: bool = True,
    ) -> None:
        space = history.space
        self._space, self._options, self.encoder = space, options, Encoder(space)
        self._given = given_points(options.points_to_evaluate, space)
        self._pool = restricted(options.restrict_configurations, space)
        self._evidence = HistoryEvidence(history, self.encoder, full, levels, data_of(options))
        self._n_resets = 0
        self.engine = GPEngine(self.encoder, options, seed, full)
        self._seen, self._cursor = SeenSet(history), Cursor(history)
        self._failed: set[str] = set()
        self._start = SobolStart(max(space.n_columns, 1), seed, _DESIGN)
        has_costs = options.cost_attr is not None
        self._cost = CostModel(history, self.encoder, full, is_continued=is_continued) if has_costs else None

    def evidence(self, pending: Sequence[tuple[int, float]] | None = None) -> Evidence:
        """Return the evidence of the history.

        Args:
            pending: The first trials of chains whose values are waited for, with the fidelities; None takes those that
                run.
        """
        found = self._evidence.evidence(pending)
        if self._evidence.n_resets != self._n_resets:
            self._n_resets = self._evidence.n_resets
            self.engine.fits.restart()
        return found

    def suggest(self, rng: np.random.Generator, pending: Sequence[tuple[int, float]] | None = None) -> Suggestion:
        """Return the next configuration.

        Args:
            rng: The generator of the suggestion.
            pending: See :meth:`evidence`.

        Raises:
            OptimizationComplete: Every configuration was suggested.
        """
        self.update()
        hp = next((hp for hp in self._given if self._is_new(hp, may_repeat=False)), None)
        if hp is not None:
            return Suggestion(hp, info={"model": False})
        if not self._space.n_columns:
            return Suggestion(self._drawn(rng), info={"model": False})
        evidence = self.evidence(pending)
        is_ready = self.engine.is_ready(evidence)
        if not is_ready:
            return Suggestion(self._initial(evidence, rng), info={"model": False})
        if rng.random() < self._options.random_fraction:
            return Suggestion(self._drawn(rng), info={"model": False})
        if self._cost is not None:
            self._cost.update()
        aim = self.engine.aim(evidence, rng, cost=self._cost)
        hp = self.best_new(aim, rng)
        if hp is None:
            return Suggestion(self._drawn(rng), info={"model": False})
        return Suggestion(hp, info={"model": True, "at": aim.fidelity})

    def best_new(self, aim: Aim, rng: np.random.Generator) -> dict[str, Any] | None:
        """Return the configuration with the largest improvement that may be suggested; None where none was found.

        Args:
            aim: What is to be improved on.
            rng: The generator of the candidates.
        """
        if self._pool is not None:
            left = self._left()
            scores = aim.improvement.score(*self.encoder.of_hps(left))
            return left[int(np.argmax(scores))]
        candidates = self._space.decode(self.engine.candidates(aim, rng))
        return next((hp for hp in candidates if self._is_new(hp)), None)

    def describe(self) -> dict[str, Any]:
        """Return the model after the history, and the values of its parameters; empty where there is no value yet."""
        evidence = self.evidence()
        return self.engine.describe(evidence) if len(evidence.rows) else {}

    def update(self) -> None:
        """Catch up with what was suggested, and what failed.

        Raises:
            OptimizationComplete: Every configuration was suggested.
        """
        for trial in self._cursor.step().told:
            if trial.score is None:
                self._failed.add(self._space.key(trial.hp))
        with suppress(OptimizationComplete) if self._options.allow_duplicates else nullcontext():
            self._seen.update()

    def _is_new(self, hp: Mapping[str, Any], *, may_repeat: bool = True) -> bool:
        """Whether a configuration may be suggested."""
        if self._options.allow_duplicates and may_repeat:
            return self._space.key(hp) not in self._failed and self._space.is_allowed(hp)
        return self._seen.is_new(hp)

    def _initial(self, evidence: Evidence, rng: np.random.Generator) -> dict[str, Any]:
        """A configuration of the evenly spread first ones; a draw once they are used up, or where only some may be."""
        if self._pool is None:
            point = self._start.point(evidence.n_started)
            hp = next((hp for hp in self._space.decode(point) if self._is_new(hp)), None)
            if hp is not None:
                return hp
        return self._drawn(rng)

    def _drawn(self, rng: np.random.Generator) -> dict[str, Any]:
        """A draw from the prior, or from the configurations that may be suggested.

        Raises:
            OptimizationComplete: There is none.
        """
        if self._pool is not None:
            left = self._left()
            return left[int(rng.integers(len(left)))]
        if not self._options.allow_duplicates:
            return self._seen.draw(rng)
        for _ in range(100):
            hp = next((hp for hp in self._space.sample(rng, 16) if self._is_new(hp)), None)
            if hp is not None:
                return hp
        raise OptimizationComplete("every configuration that was drawn has failed before")

    def _left(self) -> list[dict[str, Any]]:
        """The configurations of `restrict_configurations` that may be suggested.

        Raises:
            OptimizationComplete: There is none.
        """
        left = [hp for hp in self._pool or () if self._is_new(hp)]
        if not left:
            raise OptimizationComplete(f"all {len(self._pool or ())} of restrict_configurations were suggested")
        return left
