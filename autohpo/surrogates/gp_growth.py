"""Growth of a posterior: results are added at fixed parameters without factorising what is known anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray
from autohpo.surrogates.gp import Posterior


def append(posterior: Posterior, points: FloatArray, mask: BoolArray, targets: FloatArray | None = None) -> Posterior:
    """Return the posterior after some more points, in time n^2 q for n known ones and q more.

    Args:
        posterior: The process after its data.
        points: ``(q, d)`` more points.
        mask: ``(q, d)`` their mask.
        targets: ``(q,)`` their results, or ``(q, k)`` k columns of them; None where they are pending.

    Raises:
        ValueError: Results are given, but those of earlier points are pending.

    Source: Rasmussen & Williams 2006, eq. A.12, for the factor in place of the inverse.
    """
    return _Growth(posterior, points, mask).posterior(targets) if len(points) else posterior


class _Growth:
    """What is needed of some more points, whatever their results are."""

    def __init__(self, posterior: Posterior, points: FloatArray, mask: BoolArray) -> None:
        from scipy.linalg.lapack import dtrtri

        self._old, self._points, self._mask = posterior, points, mask
        process = posterior.process
        own, warp = process.split(posterior.theta)
        self._rows = process.kernel.place(own, process.embedding.place(points, mask, warp).coordinates)
        self._covariances = process.kernel.covariance(own, posterior.known, self._rows).matrix
        self._across = posterior.root @ self._covariances
        self._lower = process.factor(own, self._rows, self._across.T @ self._across)
        self._corner, _ = dtrtri(self._lower, lower=1)

    def draws(self, rng: np.random.Generator, n_draws: int) -> FloatArray:
        """``(q, n_draws)`` results of the points, drawn jointly, with noise."""
        means = self._old.mean + self._covariances.T @ self._old.weights
        process = self._old.process
        means = means + process.kernel.mean(process.split(self._old.theta)[0], self._rows)
        drawn: FloatArray = means[:, None] + self._lower @ rng.standard_normal((len(means), n_draws))
        return drawn

    def posterior(self, targets: FloatArray | None) -> Posterior:
        """Return the posterior after these points."""
        old, process = self._old, self._old.process
        n, data = len(old.data.points), old.data.joined(self._points, self._mask, targets)
        root = np.zeros((len(data.points), len(data.points)), order="F")
        root[:n, :n] = old.root
        root[n:, :n] = -self._corner @ (self._across.T @ old.root)
        root[n:, n:] = self._corner
        own, warp = process.split(old.theta)
        known = process.kernel.place(own, process.embedding.place(data.points, data.mask, warp).coordinates)
        return process.settled(old.theta, data, known, root, old.mean_precision)


def with_targets(posterior: Posterior, targets: FloatArray) -> Posterior:
    """Return the posterior with other results of the same points, such as those that were standardised anew.

    Args:
        posterior: The process after its data.
        targets: ``(n,)`` or ``(n, k)`` the results.
    """
    data = replace(posterior.data, targets=targets)
    return posterior.process.settled(posterior.theta, data, posterior.known, posterior.root, posterior.mean_precision)


def with_fantasies(
    posterior: Posterior, points: FloatArray, mask: BoolArray, rng: np.random.Generator, n_draws: int
) -> Posterior:
    """Return the posterior after pending points, whose results are drawn jointly: one column of means for each draw.

    Args:
        posterior: The process after its data.
        points: ``(q, d)`` the pending points.
        mask: ``(q, d)`` their mask.
        rng: The source of randomness.
        n_draws: The number of draws.

    Raises:
        ValueError: The posterior has columns of drawn results already.

    Source: Snoek et al. 2012, NeurIPS 25, section 3.2.
    """
    if posterior.weights.ndim == 2:
        raise ValueError(f"posterior: must have one column of targets, got {posterior.weights.shape[1]}")
    if not len(points):
        targets = posterior.data.targets
        return with_targets(posterior, np.broadcast_to(targets[:, None], (len(targets), n_draws)))
    growth = _Growth(posterior, points, mask)
    return growth.posterior(growth.draws(rng, n_draws))
