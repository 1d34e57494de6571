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
    from scipy.linalg.lapack import dtrtri

    if not len(points):
        return posterior
    process, n = posterior.process, len(posterior.data.points)
    own, warp = process.split(posterior.theta)
    data = posterior.data.joined(points, mask, targets)
    added = process.kernel.place(own, process.embedding.place(points, mask, warp).coordinates)
    across = posterior.root @ process.kernel.covariance(own, posterior.known, added).matrix
    corner, _ = dtrtri(process.factor(own, added, across.T @ across), lower=1)
    root = np.zeros((len(data.points), len(data.points)), order="F")
    root[:n, :n] = posterior.root
    root[n:, :n] = -corner @ (across.T @ posterior.root)
    root[n:, n:] = corner
    known = process.kernel.place(own, process.embedding.place(data.points, data.mask, warp).coordinates)
    return process.settled(posterior.theta, data, known, root, posterior.mean_precision)


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

    Source: Snoek et al. 2012, NeurIPS 25, section 3.2.
    """
    drawn = posterior.sample(points, mask, rng, n_draws, is_noisy=True)
    return append(posterior, points, mask, drawn)
