"""The models of a search for several objectives, and their acquisition function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray
from autohpo.algorithms.parts.bayes_model import SearchModel
from autohpo.algorithms.parts.encoding import EncodedTrials
from autohpo.surrogates import acquisition, pareto
from autohpo.trial import Trial

if TYPE_CHECKING:
    from autohpo.surrogates.ehvi import ExpectedImprovement
    from autohpo.surrogates.gp import Posterior

MOST_BOXES = 600
"""The number of boxes into which the volume beside the front is divided: what candidates cost grows with it."""
REFERENCES = ((0.1, 0.2), (0.5, 0.1))
"""The rules by which the reference point is found, in turn: a quantile of the front in each objective, and by how much
of the range of all results it lies below that. A far one lets the front grow sideways; but the ends of a front of three
objectives may be far worse than its middle (in DTLZ2 some are best in one objective however bad they are in the
others), and with that one alone the middle would starve."""
_FAR = 1e3  # in deviations: beyond, a constraint is met for sure, or never
_LEAST_SD = 1e-3  # of a constraint: at a known point its prediction is nearly sure, and a slope would be rounding
_LEAST_RANGE = 1e-3  # of a front in deviations of all results: of a front of one value too


@dataclass(frozen=True, eq=False)
class Bound:
    """A constraint on the outcome: the prediction of how far it is met, and how far it must be.

    Attributes:
        posterior: The process of how far it is met.
        least: How far it must be met, as the process sees results.
    """

    posterior: Posterior
    least: float


@dataclass(frozen=True, eq=False)
class ConstrainedImprovement:
    """The acquisition function: the log of the expected improvement, weighted by the probability of all constraints.

    Attributes:
        posteriors: The processes of the objectives.
        bounds: The constraints on the outcome.
        improvement: The improvement over the front; None where no trial meets the constraints.
        front: ``(n, d)`` where the front's configurations lie; without a front, all that have a result.

    Source: Gelbart et al. 2014, UAI, section 3 (the product with the probability).
    """

    posteriors: Sequence[Posterior]
    bounds: Sequence[Bound]
    improvement: ExpectedImprovement | None
    front: FloatArray

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns: the geometric mean of the models'."""
        models = [*self.posteriors, *(bound.posterior for bound in self.bounds)]
        return np.asarray(np.exp(np.mean([np.log(model.lengths) for model in models], axis=0)), dtype=float)

    def score(self, points: FloatArray, mask: BoolArray) -> FloatArray:
        """``(n,)`` acquisition values of ``(n, d)`` points with their mask."""
        total = np.zeros(len(points))
        if self.improvement is not None:
            predicted = [model.predict(points, mask) for model in self.posteriors]
            means, sds = (np.stack(part, axis=1) for part in zip(*predicted, strict=True))
            total += self.improvement.log(means, sds)[0]
        for bound in self.bounds:
            mean, sd = bound.posterior.predict(points, mask)
            total += acquisition.log_pi(mean, np.maximum(sd, _LEAST_SD), bound.least)[0]
        return total

    def with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return acquisition values, and their ``(n, d)`` gradient."""
        total, gradient = np.zeros(len(points)), np.zeros(points.shape)
        if self.improvement is not None:
            predicted = [model.predict_with_gradient(points, mask) for model in self.posteriors]
            means, sds = (np.stack([part[k] for part in predicted], axis=1) for k in (0, 1))  # type: ignore[misc]
            value, by_means, by_sds = self.improvement.log(means, sds)
            total += value
            for j, (_, _, pull_back) in enumerate(predicted):
                gradient += pull_back(by_means[:, j], by_sds[:, j])
        for bound in self.bounds:
            mean, sd, pull_back = bound.posterior.predict_with_gradient(points, mask)
            value, by_mean, by_sd = acquisition.log_pi(mean, np.maximum(sd, _LEAST_SD), bound.least)
            total += value
            gradient += pull_back(by_mean, np.where(sd > _LEAST_SD, by_sd, 0.0))
        return total, gradient


class ObjectiveModels:
    """A model of each objective and of each constraint on the outcome; a function of the trials in the order told.

    Args:
        encoded: The finished trials.
        n_objectives: The number of objectives.
        is_output_warped: Whether the models see objectives brought near to a normal distribution.
        max_results: The number of results that a model is made of.
    """

    def __init__(self, encoded: EncodedTrials, n_objectives: int, *, is_output_warped: bool, max_results: int) -> None:
        self._encoded, self._max_results = encoded, max_results
        self._objectives = [
            self._model(partial(_objective, place=k), is_output_warped=is_output_warped) for k in range(n_objectives)
        ]
        self._constraints: dict[str, SearchModel] = {}

    def _model(self, value: Callable[[Trial], float | None], *, is_output_warped: bool) -> SearchModel:
        """The model of one number of each trial; those without it count as failed."""
        return SearchModel(
            self._encoded,
            value,
            is_input_warped=False,
            is_output_warped=is_output_warped,
            max_results=self._max_results,
        )

    def update(self) -> None:
        """Add the trials that have ended since the last call."""
        for trial in self._encoded.update():
            for name in trial.constraints if trial.scores else ():
                if name not in self._constraints:
                    self._constraints[name] = self._model(partial(_met, name=name), is_output_warped=False)

    def acquisition(self, running: Sequence[Mapping[str, Any]], turn: int = 0) -> ConstrainedImprovement:
        """Return the acquisition function after all results; some trial must have one.

        Args:
            running: Configurations whose results are not known yet.
            turn: Which reference point it is, one after the other.
        """
        models = [model.posterior(running, is_mean_free=True)[0] for model in self._objectives]
        found = [_bound(model, running) for model in self._constraints.values()]
        bounds = [bound for bound in found if bound is not None]
        has_scores = np.isfinite(self._encoded.scores)
        points, mask = self._encoded.points[has_scores], self._encoded.mask[has_scores]
        is_in = np.array([not trial.violation for trial in self._encoded.trials if trial.scores], dtype=bool)
        if not is_in.any() and bounds:
            return ConstrainedImprovement(models, bounds, None, points)
        if running:
            waiting = self._encoded.encoder.of_hps(running)
            points, mask = np.concatenate([points, waiting[0]]), np.concatenate([mask, waiting[1]])
            is_hopeful = np.ones(len(running), dtype=bool)
            for bound in bounds:
                is_hopeful &= bound.posterior.predict(*waiting)[0] >= bound.least
            is_in = np.concatenate([is_in, is_hopeful])
        if not is_in.any():  # they miss a constraint that is the same everywhere
            is_in[:] = True
        values = np.stack([model.predict(points[is_in], mask[is_in])[0] for model in models], axis=1)
        places = pareto.front(values)
        reference = reference_below(values[places], np.ptp(values, axis=0), turn)
        improvement = improvement_over(values[places], reference)
        return ConstrainedImprovement(models, bounds, improvement, points[is_in][places])


def _bound(model: SearchModel, running: Sequence[Mapping[str, Any]]) -> Bound | None:
    """The constraint that a model is of, where its number is not the same everywhere."""
    posterior, _, targets = model.posterior(running, is_mean_free=True)
    if not targets.unit:
        return None
    least = float(np.clip(targets.values.max() - np.nanmax(model.values) / targets.unit, -_FAR, _FAR))
    return Bound(posterior, least)


def _objective(trial: Trial, place: int) -> float | None:
    """One objective of a trial, where it has a result."""
    return trial.scores[place] if trial.scores else None


def _met(trial: Trial, name: str) -> float | None:
    """By how much a trial meets a constraint, where that was measured."""
    return -trial.constraints[name] if name in trial.constraints else None


def reference_below(front: FloatArray, ranges: FloatArray, turn: int) -> FloatArray:
    """``(m,)`` the reference point below an ``(n, m)`` front of predictions.

    Args:
        front: The front; higher is better.
        ranges: ``(m,)`` the ranges of all predictions: those of the front may be far shorter, and it could not grow
            sideways then.
        turn: Which reference point it is.
    """
    quantile, margin = REFERENCES[turn % len(REFERENCES)]
    low = np.quantile(front, quantile, axis=0, method="lower")
    return np.asarray(low - margin * np.maximum(ranges, _LEAST_RANGE), dtype=float)


def improvement_over(front: FloatArray, reference: FloatArray) -> ExpectedImprovement:
    """Return the expected improvement over an ``(n, m)`` front, of which those values count that cover the most."""
    from autohpo.surrogates.ehvi import ExpectedImprovement, most_values

    size = most_values(front.shape[1], MOST_BOXES)
    if len(front) > size:
        front = front[pareto.spread_subset(front, size, reference)]
    return ExpectedImprovement.over(front, reference)
