"""Paths: functions drawn from a Gaussian process after its data, which can be evaluated at any number of points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray
from autohpo.surrogates.gp import Posterior

Path = Callable[[FloatArray, BoolArray], FloatArray]
"""``(m,)`` values at ``(m, d)`` points with ``(m, d)`` mask."""


def draw_path(posterior: Posterior, rng: np.random.Generator) -> Path:
    """Return one function drawn from a posterior: random waves, corrected to what is known.

    The correction is exact, and near the data it is nearly all there is. To evaluate m points takes time in m alone,
    where a joint draw of m values takes m^3.

    Source: Wilson et al. 2020, ICML, arXiv 2002.09309, eq. 13.
    """
    process, known = posterior.process, posterior.known
    own, warp = process.split(posterior.theta)
    prior = process.kernel.draw(own, rng)
    noise = rng.standard_normal(len(posterior.weights)) * np.sqrt(process.kernel.noise(own, known))
    misfit = prior(known) + noise
    weights = posterior.weights - posterior.root.T @ (posterior.root @ misfit)

    def path(points: FloatArray, mask: BoolArray) -> FloatArray:
        rows = process.kernel.place(own, process.embedding.place(points, mask, warp).coordinates)
        drawn: FloatArray = prior(rows) + process.kernel.covariance(own, rows, known).matrix @ weights  # eq. 13
        return drawn + (posterior.mean + process.kernel.mean(own, rows))

    return path
