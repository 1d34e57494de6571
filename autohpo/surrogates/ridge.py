"""Ridge regression whose strength is chosen by the errors of leaving one out, without refitting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autohpo.surrogates.arrays import FloatArray

STRENGTHS = 10.0 ** np.arange(-9.0, 3.0)
"""The penalties that are tried, for features of variance 1."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear function of features, which shrinks all weights but the intercept.

    Attributes:
        mean: ``(p,)`` the features' mean in the data.
        scale: ``(p,)`` their deviation there; 1 where a feature is constant.
        intercept: The value at the mean.
        weights: ``(p,)`` weights of the standardised features.
        error: The mean squared error that leaving one out leaves.
    """

    mean: FloatArray
    scale: FloatArray
    intercept: float
    weights: FloatArray
    error: float

    def predict(self, features: FloatArray) -> FloatArray:
        """``(m,)`` values at ``(m, p)`` features."""
        values: FloatArray = self.intercept + ((features - self.mean) / self.scale) @ self.weights
        return values


def fit_ridge(features: FloatArray, targets: FloatArray) -> list[Ridge]:
    """Return the best ridge regression of each of several targets on the same features.

    Args:
        features: ``(n, p)``, with n at least 2.
        targets: ``(n, k)``.

    Source: Hastie, Tibshirani & Friedman 2009, equations 3.47 (by singular values) and 7.64 (leaving one out).
    """
    n = len(features)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-12 * np.maximum(np.abs(mean), 1e-300), scale, 1.0)
    u, s, vt = np.linalg.svd((features - mean) / scale, full_matrices=False)
    centres = targets.mean(axis=0)
    rotated = u.T @ (targets - centres)  # (q, k)
    shrinks = s**2 / (s**2 + n * STRENGTHS[:, None])  # (a, q) # eq. 3.47
    leverage = 1.0 / n + shrinks @ (u**2).T  # (a, n)
    errors = np.empty((len(STRENGTHS), targets.shape[1]))
    for a, shrink in enumerate(shrinks):
        left = (targets - centres - (u * shrink) @ rotated) / np.maximum(1.0 - leverage[a], 1e-6)[:, None]  # eq. 7.64
        errors[a] = np.einsum("nk,nk->k", left, left) / n
    best = errors.argmin(axis=0)
    inverse = s / (s**2 + n * STRENGTHS[:, None])
    return [
        Ridge(mean, scale, float(centres[k]), vt.T @ (inverse[a] * rotated[:, k]), float(errors[a, k]))
        for k, a in enumerate(best)
    ]
