"""Models of results at several fidelities: what all of them can do, and the fit that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray
from autohpo.surrogates.gp_data import Data
from autohpo.surrogates.gp_posterior import PullBack

NEW = -1.0
"""The number of a configuration without results; others that are tried are told apart by lower numbers."""

Pending = tuple[FloatArray, BoolArray]
"""``(q, d + 2)`` points whose results are pending, and their ``(q, d)`` mask."""


class Prediction(Protocol):
    """A model after its data. Points are ``(m, d + 2)``: the unit cube, the fidelity, the number of the configuration.

    A row whose number is that of a configuration in the data is predicted as the continuation of that configuration's
    results; a row with a negative number, or with one that the data do not have, is another configuration. Gradients
    by the fidelity and by the number are 0: a search moves in the unit cube alone, at the fidelity that it was given.
    """

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns of the unit cube."""

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` means and ``(m,)`` deviations, without noise."""

    def predict_with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, PullBack]:
        """Return means and deviations, and a function that turns gradients by them into ``(m, d + 2)`` ones."""

    def sample(
        self, points: FloatArray, mask: BoolArray, rng: np.random.Generator, n_draws: int | None = None
    ) -> FloatArray:
        """``(m,)`` values of one function drawn from the process, or ``(m, n_draws)`` of several."""


class Model(Protocol):
    """A probabilistic model of results at several fidelities, whose parameters are a vector of logarithms.

    The columns of ``Data.points`` are the d columns of the unit cube, the fidelity as the user counts it, and the
    number of the configuration, which is the same for all results of one training; ``Data.mask`` is ``(n, d)``.
    """

    @property
    def start(self) -> FloatArray:
        """``(P,)`` the parameters of the highest prior density."""

    def loss(self, theta: FloatArray, data: Data) -> tuple[float, FloatArray]:
        """Minus the log posterior density of parameters, up to a constant, and its ``(P,)`` gradient."""

    def fit(self, data: Data, starts: Sequence[FloatArray], max_steps: int) -> FloatArray:
        """``(P,)`` the parameters of the lowest loss that is found from some starts."""

    def posterior(self, theta: FloatArray, data: Data, pending: Pending | None = None) -> Prediction:
        """Return the model after its data, and after points whose results are pending."""

    def describe(self, theta: FloatArray | None = None) -> dict[str, Any]:
        """Return the model, and the values of its parameters where they are given, in JSON types."""


def draw_jointly(
    means: FloatArray, covariance: FloatArray, rng: np.random.Generator, n_draws: int | None = None
) -> FloatArray:
    """``(m,)`` a draw from a normal distribution, whose covariance may be singular, or ``(m, n_draws)`` several.

    Args:
        means: ``(m,)`` the means.
        covariance: ``(m, m)`` the covariance.
        rng: The source of randomness.
        n_draws: The number of draws; None for one, without an axis of its own.
    """
    values, vectors = np.linalg.eigh(covariance)  # not Cholesky: points may be equal
    standard = rng.standard_normal((len(means), 1 if n_draws is None else n_draws))
    drawn: FloatArray = means[:, None] + vectors @ (np.sqrt(np.maximum(values, 0.0))[:, None] * standard)
    return drawn[:, 0] if n_draws is None else drawn
