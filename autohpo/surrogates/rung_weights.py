"""Weights of rungs: how well the model of each one orders the results of a higher one, and mixtures of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray
from autohpo.surrogates.fidelity_models import NEW, Model, Prediction
from autohpo.surrogates.gp_data import Data
from autohpo.surrogates.gp_posterior import PullBack


def top_rung(fidelities: FloatArray, levels: Sequence[float], least: int = 6) -> int | None:
    """Return the highest rung with enough results to judge by, or None where there is none.

    Args:
        fidelities: ``(n,)`` the fidelity of each result.
        levels: The fidelities of the rungs, rising.
        least: How many results are enough.
    """
    enough = [k for k, level in enumerate(levels) if np.count_nonzero(fidelities == level) >= least]
    return max(enough, default=None)


def ranking_losses(drawn: FloatArray, results: FloatArray) -> FloatArray:
    """``(S,)`` how many pairs of results each draw orders the other way round, or leaves equal.

    Args:
        drawn: ``(S, n)`` values drawn for the configurations.
        results: ``(n,)`` their results; pairs of equal results do not count.

    Source: Feurer et al. 2018, arXiv 1802.02219, eq. 5, of which each pair counts once here.
    """
    above = np.triu_indices(len(results), 1)
    wanted = np.sign(results[above[0]] - results[above[1]])
    pairs = above[0][wanted != 0], above[1][wanted != 0]
    wanted = wanted[wanted != 0]
    losses: FloatArray = np.array([np.count_nonzero((row[pairs[0]] - row[pairs[1]]) * wanted <= 0) for row in drawn])
    return losses.astype(float)


def least_loss_shares(losses: FloatArray) -> FloatArray:
    """``(K,)`` the share of the draws in which each rung has the least loss; rungs that tie share a draw alike.

    Args:
        losses: ``(K, S)`` the losses of rungs in each draw.

    Source: Li, Y. et al. 2022, arXiv 2201.06834, section 4.2 (theta, after Feurer et al. 2018, eq. 6).
    """
    is_least = losses == losses.min(axis=0)
    shares: FloatArray = (is_least / is_least.sum(axis=0)).mean(axis=1)
    return shares


def bracket_weights(theta: FloatArray, levels: Sequence[float]) -> FloatArray:
    """``(K,)`` the probability of the bracket that begins at each rung: theta over the fidelity, so over its price.

    Args:
        theta: ``(K,)`` the weights of the rungs, which sum to 1.
        levels: The fidelities of the rungs.

    Source: Li, Y. et al. 2022, arXiv 2201.06834, section 4.1.
    """
    weights = theta / np.asarray(levels, dtype=float)
    shares: FloatArray = weights / weights.sum()
    return shares


def rung_precisions(
    model: Model,
    theta: FloatArray,
    data: Data,
    levels: Sequence[float],
    rng: np.random.Generator,
    *,
    least: int = 6,
    n_samples: int = 50,
    n_folds: int = 5,
) -> FloatArray | None:
    """Return ``(K,)`` how often each rung's model orders the results of the top rung best, or None with too few.

    The top rung is the highest with `least` results. Models of lower rungs see the results below it alone; its own
    model is judged by cross-validation, because it would know what it is asked. Rungs above it have the weight 0.

    Args:
        model: The model of results at all rungs.
        theta: ``(P,)`` its parameters.
        data: The results.
        levels: The fidelities of the rungs, rising.
        rng: The source of randomness.
        least: How many results are enough to judge by.
        n_samples: The number of draws from each model.
        n_folds: The number of parts of the cross-validation; at the number of results each is left out alone.

    Source: Li, Y. et al. 2022, arXiv 2201.06834, section 4.2.
    """
    d = data.mask.shape[1]
    fidelities = data.points[:, d]
    top = top_rung(fidelities, levels, least)
    if top is None:
        return None
    is_top = fidelities == levels[top]
    results, mask = data.targets[is_top], data.mask[is_top]
    points = data.points[is_top]
    points[:, d + 1] = NEW - np.arange(len(points))
    lower, losses = _part(data, fidelities < levels[top]), []
    below = model.posterior(theta, lower) if len(lower.targets) else None
    for level in levels[:top]:
        if below is None or not (fidelities == level).any():
            losses.append(np.full(n_samples, np.inf))
            continue
        points[:, d] = level
        losses.append(ranking_losses(below.sample(points, mask, rng, n_samples).T, results))
    known = _part(data, fidelities <= levels[top])
    own = cross_validated(model, theta, known, levels[top], rng, n_samples=n_samples, n_folds=n_folds)
    losses.append(ranking_losses(own, results))
    return np.append(least_loss_shares(np.array(losses)), np.zeros(len(levels) - top - 1))


def cross_validated(
    model: Model,
    theta: FloatArray,
    data: Data,
    level: float,
    rng: np.random.Generator,
    *,
    n_samples: int = 50,
    n_folds: int = 5,
) -> FloatArray:
    """``(S, n)`` draws of the values at a level, in the order of its results, each part from what the others tell.

    Args:
        model: The model of results at all levels.
        theta: ``(P,)`` its parameters.
        data: The results.
        level: The fidelity.
        rng: The source of randomness.
        n_samples: The number of draws.
        n_folds: The number of parts; each is drawn jointly.
    """
    d = data.mask.shape[1]
    at = np.flatnonzero(data.points[:, d] == level)
    drawn = np.empty((n_samples, len(at)))
    for fold in np.array_split(rng.permutation(len(at)), min(n_folds, len(at))):
        left = np.ones(len(data.targets), dtype=bool)
        left[at[fold]] = False
        points = data.points[at[fold]]
        points[:, d + 1] = NEW - np.arange(len(points))
        if left.any():
            after = model.posterior(theta, _part(data, left))
            drawn[:, fold] = after.sample(points, data.mask[at[fold]], rng, n_samples).T
        else:  # the only result, of which nobody tells anything
            drawn[:, fold] = rng.standard_normal((n_samples, len(fold)))
    return drawn


def _part(data: Data, keep: BoolArray) -> Data:
    """Some of the results."""
    return Data(data.points[keep], data.mask[keep], data.targets[keep])


def level_shifts(prediction: Prediction, levels: Sequence[float], data: Data, top: int) -> FloatArray:
    """``(K,)`` what makes the predictions of each rung as high as those of the top one, on average over its results.

    Args:
        prediction: The model after its data.
        levels: The fidelities of the rungs.
        data: The results.
        top: The rung to compare with.
    """
    d = data.mask.shape[1]
    is_top = data.points[:, d] == levels[top]
    points = data.points[is_top]
    points[:, d + 1] = NEW - np.arange(len(points))
    means = np.empty(len(levels))
    for k, level in enumerate(levels):
        points[:, d] = level
        means[k] = prediction.predict(points, data.mask[is_top])[0].mean()
    shifts: FloatArray = means[top] - means
    return shifts


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of the predictions for several rungs, sum theta_r N(m_r + shift_r, s_r^2), at any point.

    The fidelity of a point does not matter. Rungs differ in height, because results rise with the fidelity; without
    shifts these differences would count as uncertainty.

    Attributes:
        prediction: The model of all rungs after its data.
        levels: The fidelities of the rungs.
        theta: ``(K,)`` their weights, which sum to 1.
        shifts: ``(K,)`` what is added to the predictions of each; None for nothing.

    Source: Li, Y. et al. 2022, arXiv 2201.06834, section 4.2; variance of a mixture instead of that of a sum.
    """

    prediction: Prediction
    levels: Sequence[float]
    theta: FloatArray
    shifts: FloatArray | None = None

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns of the unit cube."""
        return self.prediction.lengths

    def _parts(self, points: FloatArray) -> list[tuple[float, float, FloatArray]]:
        """The weight and the shift of each rung that counts, and the points at it."""
        found = []
        for k in np.flatnonzero(self.theta).tolist():
            at = points.copy()
            at[:, -2] = self.levels[k]
            found.append((float(self.theta[k]), 0.0 if self.shifts is None else float(self.shifts[k]), at))
        return found

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` means and deviations of the mixture at ``(m, d + 2)`` points with ``(m, d)`` mask."""
        parts = self._parts(points)
        found = [self.prediction.predict(at, mask) for *_, at in parts]
        each = np.array([shift + means for (_, shift, _), (means, _) in zip(parts, found, strict=True)])
        return _mixed(np.array([[weight] for weight, *_ in parts]), each, np.array([spread for _, spread in found]))

    def predict_with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, PullBack]:
        """Return means and deviations as :meth:`predict`, and a function that pulls gradients back to the points."""
        parts = self._parts(points)
        found = [self.prediction.predict_with_gradient(at, mask) for *_, at in parts]
        weights, spreads = np.array([[weight] for weight, *_ in parts]), np.array([spread for _, spread, _ in found])
        each = np.array([shift + means for (_, shift, _), (means, *_) in zip(parts, found, strict=True)])
        means, deviations = _mixed(weights, each, spreads)

        def pull_back(by_mean: FloatArray, by_deviation: FloatArray) -> FloatArray:
            by_each = weights * (by_mean + by_deviation * (each - means) / deviations)
            by_spread = weights * by_deviation * spreads / deviations
            gradient = np.zeros(points.shape)
            for k, (_, _, pull) in enumerate(found):
                gradient += pull(by_each[k], by_spread[k])
            return gradient

        return means, deviations, pull_back

    def sample(
        self, points: FloatArray, mask: BoolArray, rng: np.random.Generator, n_draws: int | None = None
    ) -> FloatArray:
        """``(m,)`` values of one function drawn from a rung that is drawn by weight, or ``(m, n_draws)`` of several."""
        parts = self._parts(points)
        weights = np.array([weight for weight, *_ in parts])
        chosen = rng.choice(len(parts), size=1 if n_draws is None else n_draws, p=weights / weights.sum())
        drawn = np.empty((len(points), len(chosen)))
        for k in np.unique(chosen).tolist():
            _, shift, at = parts[k]
            own = chosen == k
            drawn[:, own] = shift + self.prediction.sample(at, mask, rng, int(own.sum()))
        return drawn[:, 0] if n_draws is None else drawn


def _mixed(weights: FloatArray, each: FloatArray, spreads: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``(m,)`` means and deviations of mixtures, of ``(K, 1)`` weights and ``(K, m)`` means and deviations."""
    means = (weights * each).sum(axis=0)
    return means, np.sqrt((weights * (spreads**2 + (each - means) ** 2)).sum(axis=0))
