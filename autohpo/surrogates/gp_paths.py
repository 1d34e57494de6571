"""Paths: functions drawn from a Gaussian process after its data, which can be evaluated at any number of points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autohpo.surrogates.gp import BoolArray
from autohpo.surrogates.gp_forecast import Forecaster
from autohpo.surrogates.kernels import matern52, squared_distances

FloatArray = NDArray[np.float64]

Path = Callable[[FloatArray, BoolArray], FloatArray]
"""``(m,)`` values at ``(m, d)`` points with ``(m, d)`` mask."""

N_WAVES = 512
"""Of which the prior's part is a sum: its covariances are off by about 1 / sqrt(512) of the variance."""


def draw_path(process: Forecaster, rng: np.random.Generator) -> Path:
    """One function drawn from a process: a sum of random waves, corrected to what is known.

    The correction is exact, and near the data it is nearly all there is. To evaluate m points takes time in m alone,
    where a joint draw of m values takes m^3.

    Source: Wilson et al. 2020, ICML, arXiv 2002.09309, eq. 13; Rahimi & Recht 2007, NeurIPS 20, the waves. The spectrum
        of a Matern-5/2 kernel is a t distribution with five degrees of freedom.
    """
    parameters, model, known = process.parameters, process.model, process.known
    n_coordinates = known.scaled.shape[1]
    waves = rng.standard_normal((n_coordinates, N_WAVES)) * np.sqrt(5.0 / rng.chisquare(5, N_WAVES))
    phases = rng.random(N_WAVES) * 2.0 * np.pi
    heights = rng.standard_normal(N_WAVES) * np.sqrt(2.0 * parameters.scale / N_WAVES)
    effects = rng.standard_normal(n_coordinates) * np.sqrt(parameters.effects)

    def prior(scaled: FloatArray, coordinates: FloatArray) -> FloatArray:
        values: FloatArray = np.cos(scaled @ waves + phases) @ heights + coordinates @ effects
        return values

    noise = rng.standard_normal(len(known.scaled)) * np.sqrt(parameters.noise)
    misfit = prior(known.scaled, known.coordinates) + noise
    weights = process.weights - process.root.T @ (process.root @ misfit)

    def path(points: FloatArray, mask: BoolArray) -> FloatArray:
        placed = model.place(points, mask, parameters)
        across = parameters.scale * matern52(squared_distances(placed.scaled, known.scaled))[0]
        across += (placed.coordinates * parameters.effects) @ known.coordinates.T
        drawn: FloatArray = process.mean + prior(placed.scaled, placed.coordinates) + across @ weights
        return drawn

    return path
