"""The models of a search for several objectives, and what they promise of a point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autohpo.algorithms.parts.bayes_model import SearchModel
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.spaces import SearchSpace
from autohpo.surrogates import acquisition, pareto
from autohpo.trial import Outcome, Trial, TrialState

if TYPE_CHECKING:
    from autohpo.surrogates.ehvi import ExpectedImprovement
    from autohpo.surrogates.gp_forecast import Forecaster

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MOST_BOXES = 600
"""In which the volume beside the front is parted: what candidates cost grows with it."""
REFERENCES = ((0.1, 0.2), (0.5, 0.1))
"""In turn, how the reference point is found: a quantile of the front in each objective, and by how much of the range of
all results it lies below that. A far one lets the front grow sideways; but the ends of a front of three objectives may
be far worse than its middle (in DTLZ2 some are best in one objective however bad they are in the others), and with that
one alone the middle would starve."""
_FAR = 1e3  # in deviations: beyond, a constraint is met for sure, or never
_LEAST_SD = 1e-3  # of a constraint: at a known point its forecast is nearly sure, and a slope would be rounding
_LEAST_RANGE = 1e-3  # of a front in deviations of all results: of a front of one value too


@dataclass(frozen=True, eq=False)
class Bound:
    """What a constraint promises of a point: the forecast of how far it is met, and how far it must be."""

    forecaster: Forecaster
    least: float


@dataclass(frozen=True, eq=False)
class Promise:
    """How much points promise, in logarithms.

    Attributes:
        forecasters: Of the objectives.
        bounds: Of the constraints on the outcome.
        improvement: Over the front; None where no trial meets the constraints.
        front: ``(n, d)`` where the front's configurations stand; without a front, all that have a result.
    """

    forecasters: Sequence[Forecaster]
    bounds: Sequence[Bound]
    improvement: ExpectedImprovement | None
    front: FloatArray

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns: the geometric mean of the models'."""
        models = [*self.forecasters, *(bound.forecaster for bound in self.bounds)]
        return np.asarray(np.exp(np.mean([np.log(model.lengths) for model in models], axis=0)), dtype=float)

    def score(self, points: FloatArray, mask: BoolArray) -> FloatArray:
        """``(n,)`` log of the improvement that ``(n, d)`` points with their mask promise."""
        total = np.zeros(len(points))
        if self.improvement is not None:
            forecasts = [model.forecast(points, mask) for model in self.forecasters]
            means, sds = (np.stack(part, axis=1) for part in zip(*forecasts, strict=True))
            total += self.improvement.log(means, sds)[0]
        for bound in self.bounds:
            mean, sd = bound.forecaster.forecast(points, mask)
            total += acquisition.log_pi(mean, np.maximum(sd, _LEAST_SD), bound.least)[0]
        return total

    def with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """The same, and ``(n, d)`` its gradient."""
        total, gradient = np.zeros(len(points)), np.zeros(points.shape)
        if self.improvement is not None:
            forecasts = [model.forecast_with_gradient(points, mask) for model in self.forecasters]
            means, sds = (np.stack([f[k] for f in forecasts], axis=1) for k in range(2))  # type: ignore[misc]
            value, by_means, by_sds = self.improvement.log(means, sds)
            total += value
            for j, (_, _, pull_back) in enumerate(forecasts):
                gradient += pull_back(by_means[:, j], by_sds[:, j])
        for bound in self.bounds:
            mean, sd, pull_back = bound.forecaster.forecast_with_gradient(points, mask)
            value, by_mean, by_sd = acquisition.log_pi(mean, np.maximum(sd, _LEAST_SD), bound.least)
            total += value
            gradient += pull_back(by_mean, np.where(sd > _LEAST_SD, by_sd, 0.0))
        return total, gradient


class Goals:
    """A model of each objective and of each constraint on the outcome; a function of the trials in the order told.

    Args:
        space: What is searched.
        standing: Of the space.
        n_objectives: How many.
        is_output_warped: Whether the models see objectives brought near to a normal distribution.
        max_results: That a model is made of.
    """

    def __init__(
        self, space: SearchSpace, standing: Encoder, n_objectives: int, *, is_output_warped: bool, max_results: int
    ) -> None:
        self._space, self._standing, self._max_results = space, standing, max_results
        self._trials: list[Trial] = []
        self._objectives = [self._column(is_output_warped=is_output_warped) for _ in range(n_objectives)]
        self._constraints: dict[str, Column] = {}
        self._points = np.empty((0, space.n_columns))  # of the trials with a result
        self._mask = np.empty((0, space.n_columns), dtype=bool)
        self._is_met: list[bool] = []

    def _column(self, *, is_output_warped: bool) -> Column:
        """The model of one number of each trial, without data yet."""
        return Column(
            SearchModel(
                self._space,
                self._standing,
                is_input_warped=False,
                is_output_warped=is_output_warped,
                max_results=self._max_results,
            )
        )

    def __len__(self) -> int:
        """How many trials were taken in."""
        return len(self._trials)

    @property
    def has_results(self) -> bool:
        """Whether some trial has a performance."""
        return bool(self._is_met)

    def take_in(self, trials: Sequence[Trial]) -> None:
        """Learns of the trials that were told since the last call."""
        told = trials[len(self._trials) :]
        self._trials += told
        done = [trial for trial in told if trial.scores]
        if done:
            points, mask = self._standing.of_hps([trial.hp for trial in done])
            self._points, self._mask = np.concatenate([self._points, points]), np.concatenate([self._mask, mask])
            self._is_met += [not trial.violation for trial in done]
        for trial in done:
            for name in trial.constraints:
                if name not in self._constraints:
                    self._constraints[name] = self._column(is_output_warped=False)

    def promise(self, running: Sequence[Mapping[str, Any]], turn: int = 0) -> Promise:
        """What the models promise after all results; some trial must have one.

        Args:
            running: Configurations whose results are not known yet.
            turn: Which reference point it is, one after the other.
        """
        models = []
        for k, column in enumerate(self._objectives):
            column.take_in(self._trials, partial(_objective, place=k))
            models.append(column.model.forecaster(running, is_mean_free=True)[0])
        bounds = []
        for name, column in self._constraints.items():
            column.take_in(self._trials, partial(_met, name=name))
            bound = column.bound(running)
            if bound is not None:
                bounds.append(bound)
        points, mask, is_in = self._points, self._mask, np.array(self._is_met)
        if running:
            waiting = self._standing.of_hps(running)
            points, mask = np.concatenate([points, waiting[0]]), np.concatenate([mask, waiting[1]])
            is_hopeful = np.ones(len(running), dtype=bool)
            for bound in bounds:
                is_hopeful &= bound.forecaster.forecast(*waiting)[0] >= bound.least
            is_in = np.concatenate([is_in, is_hopeful])
        if not any(self._is_met) and bounds:
            return Promise(models, bounds, None, self._points)
        if not is_in.any():  # they miss a constraint that is the same everywhere
            is_in[:] = True
        values = np.stack([model.forecast(points[is_in], mask[is_in])[0] for model in models], axis=1)
        places = pareto.front(values)
        reference = reference_below(values[places], np.ptp(values, axis=0), turn)
        return Promise(models, bounds, improvement_over(values[places], reference), points[is_in][places])


class Column:
    """One number of each trial, and its model.

    Attributes:
        model: Of the number; higher is better.
    """

    def __init__(self, model: SearchModel) -> None:
        self.model = model
        self._kept: list[Trial] = []

    def take_in(self, trials: Sequence[Trial], of: Callable[[Trial], float | None]) -> None:
        """Takes in the trials from the first that is not known yet; those without the number count as failed."""
        for trial in trials[len(self._kept) :]:
            value = of(trial)
            state = TrialState.FAILED if value is None else TrialState.COMPLETE
            self._kept.append(Trial(trial.number, trial.hp, Outcome(state, () if value is None else (value,))))
        self.model.take_in(self._kept)

    def bound(self, running: Sequence[Mapping[str, Any]]) -> Bound | None:
        """The model of a constraint, where its number is not the same everywhere."""
        forecaster, _, targets = self.model.forecaster(running, is_mean_free=True)
        if not targets.unit:
            return None
        highest = max(trial.score for trial in self._kept if trial.score is not None)
        least = float(np.clip(targets.values.max() - highest / targets.unit, -_FAR, _FAR))
        return Bound(forecaster, least)


def _objective(trial: Trial, place: int) -> float | None:
    """One objective of a trial, where it has a result."""
    return trial.scores[place] if trial.scores else None


def _met(trial: Trial, name: str) -> float | None:
    """By how much a trial meets a constraint, where that was measured."""
    return -trial.constraints[name] if name in trial.constraints else None


def reference_below(front: FloatArray, ranges: FloatArray, turn: int) -> FloatArray:
    """``(m,)`` the reference point below an ``(n, m)`` front of forecasts.

    Args:
        front: Higher is better.
        ranges: ``(m,)`` of all forecasts: those of the front may be far shorter, and it could not grow sideways then.
        turn: Which one.
    """
    quantile, margin = REFERENCES[turn % len(REFERENCES)]
    low = np.quantile(front, quantile, axis=0, method="lower")
    return np.asarray(low - margin * np.maximum(ranges, _LEAST_RANGE), dtype=float)


def improvement_over(front: FloatArray, reference: FloatArray) -> ExpectedImprovement:
    """The expected improvement over an ``(n, m)`` front of forecasts, of which those count that cover the most."""
    from autohpo.surrogates.ehvi import ExpectedImprovement, most_values

    size = most_values(front.shape[1], MOST_BOXES)
    if len(front) > size:
        front = front[pareto.spread_subset(front, size, reference)]
    return ExpectedImprovement.over(front, reference)
