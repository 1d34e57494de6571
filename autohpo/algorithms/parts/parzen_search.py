"""The search of ``tpe``: ranks finished trials, models good and bad ones, and picks the best of some draws."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.errors import OptionError
from autohpo.history import Cursor, History
from autohpo.spaces import HPSpace
from autohpo.spaces.numeric import MOST_EDGES
from autohpo.surrogates import pareto
from autohpo.surrogates.parzen import ParzenEstimator, closeness, spread_bandwidths
from autohpo.surrogates.parzen_columns import Columns, Encoded
from autohpo.surrogates.parzen_rows import GrowingParzen
from autohpo.trial import Trial

BAD_FACTOR = 0.12
"""The factor of the bandwidths of bad trials: the best of .07, .12, .2 and .3 by regret at 100 evaluations, on the
development tasks."""
_LARGEST_CLOSENESS = 1.0 - 1e-9
_PRIOR_BATCHES = 8
"""Batches of the prior that are ranked where no draw of the model is new; after them any new configuration will do."""


@dataclass(frozen=True, kw_only=True)
class ParzenOptions:
    """The options of a tree-structured Parzen estimator; see :class:`autohpo.algorithms.tpe.TPE`.

    Raises:
        OptionError: A value breaks its rule.
    """

    n_startup: int
    n_candidates: int
    gamma: float
    max_good: int
    prior_weight: float

    def __post_init__(self) -> None:
        for name in ("n_startup", "n_candidates", "max_good"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}: must be at least 1, got {getattr(self, name)}")
        if not 0 < self.gamma < 1:
            raise OptionError(f"gamma: must be above 0 and below 1, got {self.gamma}")
        if not 0 < self.prior_weight < math.inf:
            raise OptionError(f"prior_weight: must be above 0 and finite, got {self.prior_weight}")

    @classmethod
    def of(cls, hpo: Any) -> ParzenOptions:
        """Return the options of an algorithm that has fields of the same names."""
        return cls(**{field.name: getattr(hpo, field.name) for field in fields(cls)})


class ParzenSearch:
    """Suggests what a history and a pair of Parzen estimators say.

    Args:
        history: The trials; the whole history, in which numbers have no gaps.
        options: The options of the algorithm.

    Attributes:
        columns: The meaning of the columns of the unit cube.
        rows: The density of all trials; row i is trial i, in whatever order the results came.
        ranking: The finished trials, the best first.
    """

    def __init__(self, history: History, options: ParzenOptions) -> None:
        self._history, self._space, self._options = history, history.space, options
        self._seen, self._cursor = SeenSet(history), Cursor(history)
        self.columns = Columns(self._space.levels, self._space.edges)
        self.rows = GrowingParzen(self.columns, self._space.optional, BAD_FACTOR)
        self.ranking = Ranking(options.max_good)
        self._good: tuple[ParzenEstimator, list[int]] | None = None  # of the last suggestion, and its rows
        self._is_plain = all(map(_is_cut_by_column, self._space))

    def suggest(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """Return the next configuration.

        Args:
            rng: The only source of randomness.

        Raises:
            OptimizationComplete: Every configuration was suggested.
        """
        self._seen.update()
        self.update()
        n = self._options.n_startup
        is_started = self._history.n_asked >= n and 2 * self._cursor.n_told >= n
        if is_started and len(self.ranking) and self._space.n_columns:
            for candidates in self._ranked_batches(rng):
                for part in (slice(0, 1), slice(1, None)):  # the best alone will mostly do, and the others cost time
                    hps = self._space.decode(candidates.points[part])
                    place = self._seen.first(hps)
                    if place is not None:
                        return hps[place]
        return self._seen.draw(rng)

    def update(self) -> None:
        """Add what was asked and told since the last suggestion; each configuration is encoded once."""
        step = self._cursor.step()
        if step.asked:
            hps = [item.hp for item in step.asked]
            self.rows.extend(self.columns.encoded(self._space.encode(hps), self._mask(hps)))
        for trial in step.told:
            self.ranking.add(trial)

    def _mask(self, hps: list[Any]) -> BoolArray | None:
        return self._space.mask(hps) if self._space.is_conditional else None

    def _ranked_batches(self, rng: np.random.Generator) -> Iterator[Encoded]:
        """Candidates, the best first: of the model, then batches of the prior."""
        ell, n, d = self.good()[0], self._options.n_candidates, self._space.n_columns
        for batch in range(1 + _PRIOR_BATCHES):
            drawn = self._encoded(ell.sample(n, rng) if batch == 0 else self.columns.snap(rng.random((n, d))))
            yield drawn[np.argsort(-self.acquisition(drawn), kind="stable")]

    def acquisition(self, points: Encoded) -> FloatArray:
        """``(m,)`` log of l / g, the densities of good and of bad trials, less what running trials will tell there.

        The expected improvement grows with l / g. A running trial counts as bad, and takes from the ratio as much as a
        good kernel has near it: all at its own place, nothing far away. So parallel suggestions keep apart by the width
        of what is searched.

        Source: Bergstra et al. 2011, NeurIPS 24, section 4.1; Gonzalez et al. 2016, AISTATS, section 3.
        """
        ell, good = self.good()
        running = [item.number for item in self._history.running]
        log_ratio = ell.log_density(points)
        log_ratio -= self.rows.log_density(points, good, self._options.prior_weight)  # g: all trials but the good ones
        if running:
            near = closeness(self.columns, ell.bandwidths, points, self.rows[running])
            log_ratio += np.log1p(-np.minimum(near.max(axis=1), _LARGEST_CLOSENESS))
        return log_ratio

    def _encoded(self, drawn: Encoded) -> Encoded:
        """Draws as they will be encoded once they are trials, and which of their columns will be active."""
        if self._is_plain and not self._space.is_conditional:
            return drawn
        hps = self._space.decode(drawn.points)
        active = self._mask(hps)
        if self._is_plain and active is not None:
            return Encoded(np.where(active, drawn.points, 0.5), drawn.codes, active)
        return self.columns.encoded(self._space.encode(hps), active)

    def good(self) -> tuple[ParzenEstimator, list[int]]:
        """Return l, the density of the good trials, and their rows; there must be a trial with a result.

        Source: Bergstra et al. 2011, NeurIPS 24, equation 2: x follows l where y is beyond the quantile gamma, else g.
        """
        options = self._options
        rows = self.ranking.first(min(math.ceil(options.gamma * len(self.ranking)), options.max_good))
        if self._good is None or rows != self._good[1]:
            centres, weights = self.rows[rows], rank_weights(len(rows))
            bandwidths = spread_bandwidths(self.columns, centres, weights)
            self._good = ParzenEstimator(self.columns, centres, weights, bandwidths, options.prior_weight), rows
        return self._good


def _is_cut_by_column(hp: HPSpace) -> bool:
    """Whether a value is encoded as the middles of the cells that a point's columns lie in, each by itself.

    It is not where one value takes several columns, as a permutation does, or where a kind of parameter counts a few
    values but names no cells. Of very many values a cell is too short to matter.
    """
    n = hp.n_values
    has_cells = all(edges is not None for edges in hp.column_edges)
    return n is None or has_cells or (hp.width == 1 and n > MOST_EDGES)


class Ranking:
    """The numbers of finished trials in the order of their worth.

    Trials that keep the constraints on the outcome come first, the others by how far they break them. Several
    objectives: front by front of who dominates whom; in a front each next trial adds the most to the volume covered.
    Of equals the older comes first.

    Args:
        most: How many of the first will ever be asked for.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # (violation, -score, number); of several objectives 0 in the place of -score
        self._sorted: list[tuple[float, float, int]] = []
        # Of several objectives those that keep the constraints and that fewer than `most` others dominate: a trial
        # that more dominate has as many trials of earlier fronts before it, now and for ever.
        self._numbers: IntArray = np.empty(0, dtype=np.int64)
        self._scores = np.empty((0, 0))
        self._n_better: IntArray = np.empty(0, dtype=np.int64)
        self._n_feasible = 0
        self._found: dict[int, list[int]] = {}  # answers that still hold

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, trial: Trial) -> None:
        """Add a finished trial; without a result it has no rank."""
        if trial.score is None:
            return
        violation, has_one = trial.violation, len(trial.scores) == 1
        known, self._found = self._found, {}
        insort(self._sorted, (violation, -trial.score if has_one else 0.0, trial.number))
        if not has_one and violation == 0:
            self._n_feasible += 1
            if not self._add_scores(trial.number, np.array([trial.scores])):
                self._found = known

    def _add_scores(self, number: int, scores: FloatArray) -> bool:
        """Add the ``(1, m)`` results of a trial; returns whether it may ever be among the first."""
        known = self._scores.reshape(len(self._scores), scores.shape[1])
        is_no_worse, is_no_better = (known >= scores).all(axis=1), (known <= scores).all(axis=1)
        n_better = np.append(self._n_better + (is_no_better & ~is_no_worse), (is_no_worse & ~is_no_better).sum())
        kept = n_better < self._most
        self._numbers, self._n_better = np.append(self._numbers, number)[kept], n_better[kept]
        self._scores = np.concatenate([known, scores])[kept]
        return bool(kept[-1])

    def first(self, n: int) -> list[int]:
        """Return the numbers of the best n, at most `most`."""
        if not self._n_feasible:
            return [number for _, _, number in self._sorted[:n]]
        if n not in self._found:
            self._found[n] = self._first_by_front(n)
        return self._found[n]

    def _first_by_front(self, n: int) -> list[int]:
        by_age = np.argsort(self._numbers)  # whatever the order of the results
        numbers, values = self._numbers[by_age], self._scores[by_age]
        ranks, best = pareto.ranks(values, n), list[int]()
        for rank in range(int(ranks.max()) + 1):
            if len(best) < n:
                front = np.flatnonzero(ranks == rank)
                best += numbers[front[_by_volume(values[front], n - len(best))]].tolist()
        broken = self._sorted[self._n_feasible :]
        return best + [number for _, _, number in broken[: n - len(best)]]


def _by_volume(front: FloatArray, n: int) -> IntArray:
    """Places of at most n values of a front, each next adding the most to the volume above the front's worst corner."""
    front = front / np.maximum(np.abs(front).max(axis=0), 1.0)  # the largest floats have no difference
    low, high = front.min(axis=0), front.max(axis=0)
    spread = np.where(high > low, high - low, 1.0)
    return pareto.spread_subset((front - low) / spread, n, np.full(front.shape[1], -0.1))  # .1: the ends count too


def rank_weights(n: int) -> FloatArray:
    """``(n,)`` weights of the best n trials: 1, 1 - 1/n, ..., 1/n, in the order of their ranks."""
    return 1.0 - np.arange(n) / n
