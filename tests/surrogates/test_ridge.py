"""Ridge regression by leaving one out."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo.surrogates.ridge import STRENGTHS, fit_ridge


def dense(features, targets, strength):
    """Weights by the normal equations, of standardised features and a free intercept."""
    z = (features - features.mean(0)) / features.std(0)
    centred = targets - targets.mean()
    return z, np.linalg.solve(z.T @ z + len(z) * strength * np.eye(z.shape[1]), z.T @ centred)


def test_the_error_and_the_weights_are_those_of_refitting_without_each():
    """Against n refits with the intercept and the penalty of the whole data."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(15, 3))
    targets = features @ [1.0, -2.0, 0.0] + 0.5 * rng.normal(size=15)
    found = fit_ridge(features, targets[:, None])[0]
    z = (features - features.mean(0)) / features.std(0)
    errors = []
    for strength in STRENGTHS:
        left = []
        for i in range(15):
            keep = np.arange(15) != i
            design = np.column_stack([np.ones(14), z[keep]])
            penalty = 15 * strength * np.diag([0.0, 1, 1, 1])
            weights = np.linalg.solve(design.T @ design + penalty, design.T @ targets[keep])
            left.append(targets[i] - weights[0] - z[i] @ weights[1:])
        errors.append(np.mean(np.square(left)))
    assert found.error == pytest.approx(min(errors), rel=1e-9)
    _, weights = dense(features, targets, STRENGTHS[int(np.argmin(errors))])
    assert found.weights == pytest.approx(weights, rel=1e-9)


def test_several_targets_are_fitted_each_by_itself():
    """Each has its own strength."""
    rng = np.random.default_rng(1)
    features, targets = rng.normal(size=(20, 4)), rng.normal(size=(20, 3))
    together = fit_ridge(features, targets)
    for k in range(3):
        alone = fit_ridge(features, targets[:, k : k + 1])[0]
        assert together[k].predict(features) == pytest.approx(alone.predict(features), rel=1e-12)


def test_a_constant_feature_says_nothing():
    """Its deviation is 0, and nothing is divided by that."""
    features = np.column_stack([np.full(6, 0.1), np.arange(6.0)])
    fit = fit_ridge(features, 3 + 2 * np.arange(6.0)[:, None])[0]
    assert fit.predict(features) == pytest.approx(3 + 2 * np.arange(6.0), abs=1e-5)
