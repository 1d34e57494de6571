"""Maximising an acquisition function over a mixed space: gradients for the reals, exchanges for all other values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.spaces import SearchSpace

Score = Callable[[FloatArray, BoolArray], FloatArray]
"""``(m,)`` scores of ``(m, d)`` points with their ``(m, d)`` mask; higher is better."""
ScoreWithGradient = Callable[[FloatArray, BoolArray], tuple[FloatArray, FloatArray]]
"""``(m,)`` scores, and ``(m, d)`` their gradient by the points."""

FEW_VALUES = 8
"""An ordered column with so few values or less has all of them tried in an exchange."""
MOST_TRIED = 256
"""The most values of no order of which all are tried in an exchange; of more those of the best candidates
are: values that nobody has seen are alike to a model."""
FEW_TRIED, LEAST_TRIED = 64, 12
"""The number of values that are tried of such choices, shared among them, and the least of each."""
JUMPS = (1, 2, 5, 12)
"""How many values away the ones lie that are tried on both sides, in an ordered column with more."""

_Judge = Callable[[FloatArray], tuple[FloatArray, FloatArray]]  # where points come to lie, and their scores
_ROUNDS = 2  # of exchanges and gradients in turn
_MOST_EXCHANGES = 6  # in a round
_ASCENT = {"maxiter": 30, "maxfun": 40}
_BLENDS = (1.0, 0.8, 0.6, 0.4, 0.25, 0.1, 0.03)  # of the way to where an ascent ended, if the constraints forbid that
_SLIDES, _N_SLIDES = (0.1, 0.05, 0.02, 0.01), 40  # sizes of steps along a constraint, and how many of each
_STEP_BOUNDS = (0.05, 2.0)  # of length-scales, where they scale the steps of an ascent
_FRESH = 600  # points of the cube that are drawn for each suggestion where constraints allow only some of them
_POOLED, _BATCH = 100_000, 4096  # drawn once for all suggestions at most, and at a time
_N_BETWEEN = 100  # candidates between good points and allowed ones: convex constraints allow all of them
_GAIN = 1e-9  # a score that rises by less is rounding


@dataclass(frozen=True, eq=False)
class AcquisitionSearch:
    """A search for the points of a space with the highest score.

    Attributes:
        encoder: The encoder of the space.
        n_draws: The number of candidates from the prior.
        n_near: The number of candidates near good points.
        n_starts: The number of candidates from which local searches start.
        seed: The seed of the allowed draws that all suggestions share.
        ascent: The limits of a local search along gradients, as L-BFGS-B has them.
    """

    encoder: Encoder
    n_draws: int
    n_near: int
    n_starts: int
    seed: int | None = None
    ascent: Mapping[str, float] = field(default_factory=lambda: dict(_ASCENT))

    @property
    def space(self) -> SearchSpace:
        """The space."""
        return self.encoder.space

    @cached_property
    def _values(self) -> dict[int, FloatArray]:
        """Where the values of each column lie that has countable few."""
        return {j: (e[:-1] + e[1:]) / 2 for j, e in enumerate(self.space.edges) if e is not None}

    def maximize(
        self,
        score: Score,
        with_gradient: ScoreWithGradient,
        centres: FloatArray,
        lengths: FloatArray,
        rng: np.random.Generator,
        *,
        first: Score | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """``(n, d)`` points where configurations lie, those with the highest score first, and their ``(n,)`` scores.

        Args:
            score: The acquisition function.
            with_gradient: The same function with its gradient.
            centres: ``(k, d)`` points near which good ones are expected, the best first.
            lengths: ``(d,)`` length-scales: steps of as many change the score alike in all columns.
            rng: The generator of the candidates.
            first: What says from which candidates local searches start, if that is not the score.
        """

        def judge(points: FloatArray) -> tuple[FloatArray, FloatArray]:
            encoded, mask = self.encoder.of_points(points)
            scores = score(encoded, mask)
            if self.space.constraints:
                scores[~self._allowed(encoded)] = -np.inf
            return encoded, scores

        drawn, near = self._draws(rng), self.near(centres, rng)
        if self.space.constraints and len(drawn):
            near = np.concatenate([near, self._between(centres, drawn, rng)])
        candidates, scores = judge(np.concatenate([drawn, near]))
        places = np.split(np.arange(len(scores)), [len(drawn)])
        ranks = scores if first is None else first(*self.encoder.of_points(candidates))
        best = [part[np.argsort(-ranks[part], kind="stable")] for part in places]
        half = (self.n_starts + 1) // 2
        starts = np.concatenate([best[0][:half], best[1][: self.n_starts - half]])
        points, values = candidates[starts], scores[starts]
        tried = self._tried(candidates, scores)
        for _ in range(_ROUNDS):
            points, values = self._exchange(judge, points, values, tried)
            points, values = self._ascend(judge, with_gradient, points, values, lengths)
            if not self._values:
                break
        if self.space.constraints:
            points, values = self._slide(judge, points, values, rng)
        points, values = np.concatenate([points, candidates]), np.concatenate([values, scores])
        order = np.argsort(-values, kind="stable")
        return points[order], values[order]

    def _allowed(self, points: FloatArray) -> BoolArray:
        """``(n,)`` whether the constraints allow the configurations of ``(n, d)`` points."""
        return self.space.allowed(points)

    def _draws(self, rng: np.random.Generator) -> FloatArray:
        """Candidates from the prior; under constraints only allowed ones, which may be few or none."""
        if not self.space.constraints:
            return rng.random((self.n_draws, self.space.n_columns))
        fresh = rng.random((_FRESH, self.space.n_columns))
        fresh = fresh[self._allowed(fresh)][: self.n_draws]
        return fresh if len(fresh) == self.n_draws else np.concatenate([fresh, self._pool[: self.n_draws - len(fresh)]])

    @cached_property
    def _pool(self) -> FloatArray:
        """Allowed draws from the prior, which follow from the seed: where few are allowed, they take long to find."""
        rng, found = np.random.default_rng((self.seed or 0, self.space.n_columns)), np.empty((0, self.space.n_columns))
        for _ in range(0, _POOLED, _BATCH):
            drawn = rng.random((_BATCH, self.space.n_columns))
            found = np.concatenate([found, drawn[self._allowed(drawn)]])
            if len(found) >= self.n_draws:
                break
        return found

    def _between(self, centres: FloatArray, drawn: FloatArray, rng: np.random.Generator) -> FloatArray:
        """``(n, d)`` candidates between good points and draws; values that are no reals are those of either."""
        n, d = _N_BETWEEN, self.space.n_columns
        ends, starts = drawn[rng.integers(len(drawn), size=n)], centres[rng.integers(len(centres), size=n)]
        shares = np.repeat(rng.random((n, 1)), d, axis=1)
        celled = list(self._values)
        shares[:, celled] = rng.random((n, len(celled))) < shares[:, celled]
        points: FloatArray = starts + shares * (ends - starts)
        return points

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

    def _tried(self, candidates: FloatArray, scores: FloatArray) -> dict[int, FloatArray]:
        """Where the values lie that an exchange tries, by column: all, or those of the best candidates."""
        tried = dict(self._values)
        order = np.argsort(-scores, kind="stable")
        large = [j for j in tried if self.space.levels[j] > MOST_TRIED]
        for j in large:
            found, first = np.unique(candidates[order, j], return_index=True)
            tried[j] = np.sort(found[np.argsort(first)[: max(FEW_TRIED // len(large), LEAST_TRIED)]])
        return tried

    def _exchange(
        self, judge: _Judge, points: FloatArray, values: FloatArray, tried: dict[int, FloatArray]
    ) -> tuple[FloatArray, FloatArray]:
        """Changes one value at a time, as long as the score rises."""
        points, values = points.copy(), values.copy()
        going = list(range(len(points)))
        for _ in range(_MOST_EXCHANGES):
            groups = [self._neighbours(points[i], tried) for i in going]
            if not groups or not len(groups[0]):
                break
            candidates, scores = judge(np.concatenate(groups))
            ends, kept = np.cumsum([0, *map(len, groups)]), []
            for i, start, end in zip(going, ends[:-1], ends[1:], strict=True):
                best = int(start) + int(np.argmax(scores[start:end]))
                if scores[best] > values[i] + _GAIN:
                    points[i], values[i] = candidates[best], scores[best]
                    kept.append(i)
            going = kept
        return points, values

    def _neighbours(self, point: FloatArray, tried: dict[int, FloatArray]) -> FloatArray:
        """``(k, d)`` points that differ from another in one of the values that are tried."""
        found = []
        for j, values in tried.items():
            code, n = int(np.argmin(np.abs(values - point[j]))), len(values)
            if self.space.levels[j] > MOST_TRIED:
                others = np.flatnonzero(values != point[j]).tolist()
            elif self.space.levels[j] or n <= FEW_VALUES:
                others = [k for k in range(n) if k != code]
            else:
                others = [k for jump in JUMPS for k in (code - jump, code + jump) if 0 <= k < n]
            rows = np.repeat(point[None], len(others), axis=0)
            rows[:, j] = values[others]
            found.append(rows)
        return np.concatenate(found) if found else point[None, :][:0]

    def _slide(
        self, judge: _Judge, points: FloatArray, values: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Moves the reals of the best point by random steps: along a constraint where a gradient leads over it."""
        columns = [j for j in range(self.space.n_columns) if j not in self._values]
        points, values, best = points.copy(), values.copy(), int(np.argmax(values))
        for size in _SLIDES if columns else ():
            moved = np.repeat(points[[best]], _N_SLIDES, axis=0)
            moved[:, columns] += size * rng.standard_normal((_N_SLIDES, len(columns)))
            candidates, scores = judge(np.clip(moved, 0.0, 1.0))
            if scores.max() > values[best]:
                points[best], values[best] = candidates[np.argmax(scores)], scores.max()
        return points, values

    def _ascend(
        self,
        judge: _Judge,
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
        starts, (_, mask) = points[allowed], self.encoder.of_points(points[allowed])
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
        end = place(minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options=dict(self.ascent)).x)
        points, values = points.copy(), values.copy()
        rows = np.flatnonzero(allowed)
        for part in _BLENDS if self.space.constraints else _BLENDS[:1]:
            candidates, scores = judge(starts + part * (end - starts))
            better = scores > values[rows]
            points[rows[better]], values[rows[better]] = candidates[better], scores[better]
        return points, values
