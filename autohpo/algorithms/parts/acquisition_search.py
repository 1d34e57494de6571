"""Climbing an acquisition function over a mixed space: gradients for the reals, exchanges for all other values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autohpo.algorithms.parts.encoding import Encoder
from autohpo.spaces import SearchSpace

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

Score = Callable[[FloatArray, BoolArray], FloatArray]
"""``(m,)`` scores of ``(m, d)`` points with their ``(m, d)`` mask; higher is better."""
ScoreWithGradient = Callable[[FloatArray, BoolArray], tuple[FloatArray, FloatArray]]
"""The same, and ``(m, d)`` its gradient by the points."""

FEW_VALUES = 8
"""Of an ordered column: with so few or less, all are tried in an exchange."""
JUMPS = (1, 2, 5, 12)
"""Values that are tried on both sides of an ordered column with more."""

_ROUNDS = 2  # of exchanges and gradients in turn
_MOST_EXCHANGES = 6  # in a round
_CLIMB = {"maxiter": 30, "maxfun": 40}
_BLENDS = (1.0, 0.5, 0.25, 0.1)  # of the way to where a climb ended, if the constraints forbid that
_STEP_BOUNDS = (0.05, 2.0)  # of length-scales, where they scale the steps of a climb
_GAIN = 1e-9  # a score that rises by less is rounding


@dataclass(frozen=True, eq=False)
class AcquisitionSearch:
    """Looks for the points of a space with the highest score.

    Attributes:
        space: The space.
        standing: Of the space.
        n_draws: Candidates from the prior.
        n_near: Candidates near good points.
        n_starts: Candidates that are climbed from.
    """

    space: SearchSpace
    standing: Encoder
    n_draws: int
    n_near: int
    n_starts: int

    @cached_property
    def _values(self) -> dict[int, FloatArray]:
        """Where the values of each column stand that has countable few."""
        return {j: (e[:-1] + e[1:]) / 2 for j, e in enumerate(self.space.edges) if e is not None}

    def climb(
        self,
        score: Score,
        with_gradient: ScoreWithGradient,
        centres: FloatArray,
        lengths: FloatArray,
        rng: np.random.Generator,
    ) -> tuple[FloatArray, FloatArray]:
        """Points as they will stand, those with the highest score first, and their scores.

        Args:
            score: To be climbed.
            with_gradient: The same score.
            centres: ``(k, d)`` points near which good ones are expected, the best first.
            lengths: ``(d,)`` length-scales: steps of as many change the score alike in all columns.
            rng: For the candidates.
        """

        def judge(points: FloatArray) -> tuple[FloatArray, BoolArray, FloatArray]:
            standing, mask = self.standing.of_points(points)
            scores = score(standing, mask)
            if self.space.constraints:
                scores[~self.space.allows(self.space.decode(standing))] = -np.inf
            return standing, mask, scores

        drawn, near = self._draws(rng), self.near(centres, rng)
        candidates, _, scores = judge(np.concatenate([drawn, near]))
        places = np.split(np.arange(len(scores)), [len(drawn)])
        best = [part[np.argsort(-scores[part], kind="stable")] for part in places]
        half = (self.n_starts + 1) // 2
        starts = np.concatenate([best[0][:half], best[1][: self.n_starts - half]])
        points, values = candidates[starts], scores[starts]
        for _ in range(_ROUNDS):
            points, values = self._exchange(judge, points, values)
            points, values = self._ascend(judge, with_gradient, points, values, lengths)
            if not self._values:
                break
        points, values = np.concatenate([points, candidates]), np.concatenate([values, scores])
        order = np.argsort(-values, kind="stable")
        return points[order], values[order]

    def _draws(self, rng: np.random.Generator) -> FloatArray:
        """Candidates from the prior; allowed ones, as under constraints few others may be."""
        if self.space.constraints:
            return self.space.encode(self.space.sample(rng, self.n_draws))
        return rng.random((self.n_draws, self.space.n_columns))

    def near(self, centres: FloatArray, rng: np.random.Generator) -> FloatArray:
        """``(n_near, d)`` candidates that differ from a centre in one column, in some, or in all.

        Steps are normal of .003 to .3 of the range, reflected at its ends; values of no order change to any.
        """
        n, d = self.n_near, self.space.n_columns
        ranks = np.minimum(rng.geometric(0.4, n) - 1, len(centres) - 1)
        points = centres[ranks]
        moved = points + 10.0 ** rng.uniform(-2.5, -0.5, (n, 1)) * rng.standard_normal((n, d))
        moved = np.clip(1.0 - np.abs(1.0 - np.abs(moved)), 0.0, 1.0)
        is_moved = rng.random((n, d)) < rng.choice([1.0 / d, min(3.0 / d, 1.0), 1.0], (n, 1))
        anew, chance = rng.random((n, d)), rng.random((n, d))
        for j in self._values:
            if self.space.levels[j]:
                moved[:, j] = anew[:, j]
                is_moved[:, j] &= chance[:, j] < 0.5  # more at once would leave nothing of the centre
            else:
                moved[:, j] = np.where(chance[:, j] < 0.3, anew[:, j], moved[:, j])
        return np.where(is_moved, moved, points)

    def _exchange(
        self,
        judge: Callable[[FloatArray], tuple[FloatArray, BoolArray, FloatArray]],
        points: FloatArray,
        values: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Changes one value at a time, as long as the score rises."""
        points, values = points.copy(), values.copy()
        going = list(range(len(points)))
        for _ in range(_MOST_EXCHANGES):
            groups = [self._neighbours(points[i]) for i in going]
            if not groups or not len(groups[0]):
                break
            candidates, _, scores = judge(np.concatenate(groups))
            ends, kept = np.cumsum([0, *map(len, groups)]), []
            for i, start, end in zip(going, ends[:-1], ends[1:], strict=True):
                best = int(start) + int(np.argmax(scores[start:end]))
                if scores[best] > values[i] + _GAIN:
                    points[i], values[i] = candidates[best], scores[best]
                    kept.append(i)
            going = kept
        return points, values

    def _neighbours(self, point: FloatArray) -> FloatArray:
        """``(k, d)`` points that differ from one in one value; k is the same for all points but at ends of ranges."""
        found = []
        for j, values in self._values.items():
            code, n = int(np.argmin(np.abs(values - point[j]))), len(values)
            if self.space.levels[j] or n <= FEW_VALUES:
                others = [k for k in range(n) if k != code]
            else:
                others = [k for jump in JUMPS for k in (code - jump, code + jump) if 0 <= k < n]
            rows = np.repeat(point[None], len(others), axis=0)
            rows[:, j] = values[others]
            found.append(rows)
        return np.concatenate(found) if found else point[None, :][:0]

    def _ascend(
        self,
        judge: Callable[[FloatArray], tuple[FloatArray, BoolArray, FloatArray]],
        with_gradient: ScoreWithGradient,
        points: FloatArray,
        values: FloatArray,
        lengths: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Moves the real columns of all points together, by a quasi-Newton method on the sum of their scores."""
        from scipy.optimize import minimize

        columns = np.array([j for j in range(self.space.n_columns) if j not in self._values], dtype=np.int64)
        allowed = np.isfinite(values)
        if not len(columns) or not allowed.any():
            return points, values
        starts, (_, mask) = points[allowed], self.standing.of_points(points[allowed])
        steps = np.clip(lengths[columns], *_STEP_BOUNDS)

        def place(flat: FloatArray) -> FloatArray:
            moved = starts.copy()
            moved[:, columns] = np.clip(flat.reshape(len(starts), -1) * steps, 0.0, 1.0)
            return moved

        def loss(flat: FloatArray) -> tuple[float, FloatArray]:
            scores, gradient = with_gradient(place(flat), mask)
            return -float(scores.sum()), -(gradient[:, columns] * steps).ravel()

        begin = (starts[:, columns] / steps).ravel()
        bounds = np.stack([np.zeros(len(begin)), np.tile(1.0 / steps, len(starts))], axis=1)
        end = place(minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options=_CLIMB).x)
        points, values = points.copy(), values.copy()
        rows = np.flatnonzero(allowed)
        for part in _BLENDS if self.space.constraints else _BLENDS[:1]:
            candidates, _, scores = judge(starts + part * (end - starts))
            better = scores > values[rows]
            points[rows[better]], values[rows[better]] = candidates[better], scores[better]
        return points, values
