"""Independent processes: one Gaussian process for each rung, with length-scales and noise that all share."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray
from autohpo.surrogates.embedding import Embedding
from autohpo.surrogates.fidelity_models import Pending, draw_jointly
from autohpo.surrogates.gp import EFFECTS, LENGTH, NOISE, SCALE, Data, GaussianProcess, mixed_process
from autohpo.surrogates.gp_posterior import Posterior, PullBack
from autohpo.surrogates.kernels import Sum
from autohpo.surrogates.priors import Prior, Priors, minimize_loss

_FLAT = Prior(0.0, math.inf, 1e-12, 1e12)  # of the parameters of one rung: the priors of the shared ones count once


@dataclass(frozen=True, eq=False)
class RungProcesses:
    """One Gaussian process for each rung: f_r(x) = mean_r + sqrt(c_r) g_r(x), the g_r independent and alike.

    The length-scales, the noise, the share of the main effects of choices and the warp belong to all rungs, the mean
    and the scale c_r to each. Parameters are logarithms: the length-scales, the noise, the variance of the effects
    over the scale, the scales of the rungs in turn, and those of the embedding.

    Attributes:
        embedding: The embedding of points of the unit cube.
        levels: The fidelities of the rungs, rising.
        noise: The prior of the variance of the noise.
        mean_precision: The precision of the prior of the means around 0.
        is_noise_shared: Whether the noise belongs to all rungs; else each has one of its own, in turn.

    Raises:
        ValueError: The levels are none, or do not rise.

    Source: Li, Y. et al. 2022, arXiv 2201.06834 (Hyper-Tune), section 4.2, one base surrogate for each level; the
        shared length-scales follow Syne Tune's `gp_independent`.
    """

    embedding: Embedding
    levels: Sequence[float]
    noise: Prior = NOISE
    mean_precision: float = 1.0
    is_noise_shared: bool = True

    def __post_init__(self) -> None:
        if not len(self.levels) or not (np.diff(self.levels) > 0).all():
            raise ValueError(f"levels: must be one fidelity or more, rising, got {list(self.levels)}")

    @cached_property
    def priors(self) -> Priors:
        """The priors of all parameters."""
        d = len(self.embedding.optional)
        length = LENGTH.shifted(0.5 * math.log(max(d, 1)))
        scales = [SCALE] * len(self.levels)
        noises = [self.noise] * self._n_noises
        return Priors([*[length] * d, *noises, EFFECTS, *scales, *self.embedding.priors])

    @property
    def _n_noises(self) -> int:
        """How many parameters the noise has."""
        return 1 if self.is_noise_shared else len(self.levels)

    @property
    def start(self) -> FloatArray:
        """``(P,)`` the parameters of the highest prior density."""
        return self.priors.mode.copy()

    @cached_property
    def process(self) -> GaussianProcess:
        """The process of one rung, with priors that are flat."""
        whole = mixed_process(dataclasses.replace(self.embedding, warp=_FLAT))
        matern, noise, effects = whole.kernel.parts  # type: ignore[attr-defined]
        parts = (
            dataclasses.replace(matern, length=[_FLAT] * len(matern.length), scale=_FLAT),
            dataclasses.replace(noise, variances=[_FLAT]),
            dataclasses.replace(effects, variance=_FLAT),
        )
        return GaussianProcess(whole.embedding, Sum(parts), self.mean_precision)

    def rung_theta(self, theta: FloatArray, rung: int) -> FloatArray:
        """Return the parameters of the process of a rung: length-scales, scale, noise, effects, and the embedding's."""
        d, n_levels, n = len(self.embedding.optional), len(self.levels), self._n_noises
        noise, scale = theta[d + rung % n], theta[d + n + 1 + rung]
        return np.concatenate([theta[:d], [scale, noise, theta[d + n] + scale], theta[d + n + 1 + n_levels :]])

    def _spread_gradient(self, by_rung: FloatArray, rung: int) -> FloatArray:
        """``(P,)`` the gradient by all parameters, from that by those of a rung."""
        d, n_levels, n = len(self.embedding.optional), len(self.levels), self._n_noises
        noises, scales = np.zeros(n), np.zeros(n_levels)
        noises[rung % n], scales[rung] = by_rung[d + 1], by_rung[d] + by_rung[d + 2]
        return np.concatenate([by_rung[:d], noises, [by_rung[d + 2]], scales, by_rung[d + 3 :]])

    def rungs_of(self, points: FloatArray) -> IntArray:
        """``(m,)`` the last rung at or below the fidelity of each ``(m, d + 2)`` point; else the first."""
        fidelities = points[:, len(self.embedding.optional)]
        rungs: IntArray = np.maximum(np.searchsorted(np.asarray(self.levels), fidelities, side="right") - 1, 0)
        return rungs

    def split(self, data: Data) -> dict[int, Data]:
        """Return the results of each rung that has some, with points of the unit cube alone.

        Raises:
            ValueError: A result is at a fidelity that is no rung.
        """
        d, rungs = len(self.embedding.optional), self.rungs_of(data.points)
        is_rung = data.points[:, d] == np.asarray(self.levels)[rungs]
        if not is_rung.all():
            stray = data.points[~is_rung, d][0]
            raise ValueError(f"data: fidelities must be among the levels {list(self.levels)}, got {stray:g}")
        picked = ((int(rung), rungs == rung) for rung in np.unique(rungs))
        return {rung: Data(data.points[own, :d], data.mask[own], data.targets[own]) for rung, own in picked}

    def loss(self, theta: FloatArray, data: Data) -> tuple[float, FloatArray]:
        """Minus the log posterior density of a vector of parameters, up to a constant, and its ``(P,)`` gradient."""
        return self._loss(theta, self.split(data))

    def _loss(self, theta: FloatArray, parts: dict[int, Data]) -> tuple[float, FloatArray]:
        value, gradient = self.priors.loss(theta)
        for rung, part in parts.items():
            misfit, by_rung = self.process.loss(self.rung_theta(theta, rung), part)
            value += misfit
            gradient += self._spread_gradient(by_rung, rung)
        return value, gradient

    def fit(self, data: Data, starts: Sequence[FloatArray], max_steps: int) -> FloatArray:
        """Return the ``(P,)`` vector of the lowest loss that a quasi-Newton method finds from some starts.

        Args:
            data: At least one result; it takes time in the sum of the cubes of the rungs' numbers of results.
            starts: Vectors to begin from.
            max_steps: The number of steps from each start.
        """
        parts = self.split(data)
        return minimize_loss(lambda theta: self._loss(theta, parts), starts, self.priors, max_steps)

    def posterior(self, theta: FloatArray, data: Data, pending: Pending | None = None) -> RungPosteriors:
        """Return the processes after their data, and after points whose results are pending.

        Pending results leave less to be learnt near them at their own rung, as in :class:`GaussianProcess`. At a rung
        that has no data they change nothing.

        Args:
            theta: ``(P,)`` the parameters.
            data: At least one result.
            pending: ``(q, d + 2)`` points and ``(q, d)`` mask.
        """
        d, found = len(self.embedding.optional), {}
        for rung, part in self.split(data).items():
            waiting = None
            if pending is not None:
                own = self.rungs_of(pending[0]) == rung
                waiting = (pending[0][own, :d], pending[1][own])
            found[rung] = self.process.posterior(self.rung_theta(theta, rung), part, waiting)
        return RungPosteriors(self, theta, found)

    def describe(self, theta: FloatArray | None = None) -> dict[str, Any]:
        """Return the model, and the values of its parameters where they are given, in JSON types."""
        values = {} if theta is None else {"values": np.exp(theta).tolist()}
        return {"kind": "gp_independent", "levels": [float(level) for level in self.levels], **values}


@dataclass(frozen=True, eq=False)
class RungPosteriors:
    """The processes of the rungs after their data: :meth:`RungProcesses.posterior` makes it.

    A rung without data, where nothing is known but what the neighbours say, is the function of the nearest lower rung
    that has data (or else of the nearest higher), plus a function drawn from the prior with that rung's scale: its
    mean is the neighbour's predicted mean, its variance the prior variance. A fidelity between rungs counts as the
    rung below.

    Attributes:
        model: The processes before the data.
        theta: ``(P,)`` their parameters.
        rungs: The posterior at each rung that has data.
    """

    model: RungProcesses
    theta: FloatArray
    rungs: dict[int, Posterior]

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns of the unit cube; 1 for categories."""
        return next(iter(self.rungs.values())).lengths

    def neighbour(self, rung: int) -> int:
        """Return the rung whose data speak for a rung: its own, else the nearest lower one, else the nearest higher."""
        lower = [other for other in self.rungs if other <= rung]
        return max(lower) if lower else min(self.rungs)

    def _parts(self, points: FloatArray) -> list[tuple[BoolArray, Posterior, bool]]:
        """Which rows belong to a rung, the posterior that speaks for it, and whether the rung has data."""
        rungs = self.model.rungs_of(points)
        found = [(rung, self.neighbour(rung)) for rung in np.unique(rungs).tolist()]
        return [(rungs == rung, self.rungs[speaker], rung == speaker) for rung, speaker in found]

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` means and deviations, without noise, at ``(m, d + 2)`` points with ``(m, d)`` mask."""
        means, deviations, _ = self.predict_with_gradient(points, mask)
        return means, deviations

    def predict_with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, PullBack]:
        """Return means and deviations as :meth:`predict`, and a function that pulls gradients back to the points."""
        d = len(self.model.embedding.optional)
        means, deviations = np.empty(len(points)), np.empty(len(points))
        pulls: list[tuple[BoolArray, PullBack, bool]] = []
        for own, posterior, has_data in self._parts(points):
            where = points[own, :d], mask[own]
            means[own], deviations[own], pull = posterior.predict_with_gradient(*where)
            if not has_data:
                deviations[own] = np.sqrt(_prior_variances(posterior, *where))
            pulls.append((own, pull, has_data))

        def pull_back(by_mean: FloatArray, by_deviation: FloatArray) -> FloatArray:
            gradient = np.zeros(points.shape)
            for own, pull, has_data in pulls:
                gradient[own, :d] = pull(by_mean[own], by_deviation[own] * has_data)
            return gradient

        return means, deviations, pull_back

    def joint(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` means and ``(m, m)`` covariances of the functions, without noise; those of two rungs are 0."""
        d = len(self.model.embedding.optional)
        means, covariance = np.empty(len(points)), np.zeros((len(points), len(points)))
        for own, posterior, has_data in self._parts(points):
            means[own], after, prior = _joint(posterior, points[own, :d], mask[own])
            covariance[np.ix_(own, own)] = after if has_data else prior
        return means, covariance

    def sample(
        self,
        points: FloatArray,
        mask: BoolArray,
        rng: np.random.Generator,
        n_draws: int | None = None,
        *,
        is_noisy: bool = False,
    ) -> FloatArray:
        """``(m,)`` values of one draw of all functions, or ``(m, n_draws)`` of several.

        Args:
            points: ``(m, d + 2)`` points.
            mask: ``(m, d)`` their mask.
            rng: The source of randomness.
            n_draws: The number of draws; None for one, without an axis of its own.
            is_noisy: Whether the noise of results is added.
        """
        means, covariance = self.joint(points, mask)
        if is_noisy:
            covariance.flat[:: len(covariance) + 1] += np.exp(self.theta[len(self.model.embedding.optional)])
        return draw_jointly(means, covariance, rng, n_draws)


def _prior_variances(posterior: Posterior, points: FloatArray, mask: BoolArray) -> FloatArray:
    """``(m,)`` the variances of the function before any data."""
    rows, _ = posterior._place(points, mask)
    return posterior._diagonal(rows)


def _joint(posterior: Posterior, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``(m,)`` means, ``(m, m)`` covariances after the data, and before them."""
    rows, _ = posterior._place(points, mask)
    covariances = posterior._covariance(rows, posterior.known).matrix
    rooted, prior = covariances @ posterior.root.T, posterior._covariance(rows, rows).matrix
    return posterior._mean(rows, covariances), prior - rooted @ rooted.T, prior
