"""Cases that the tests of models of several fidelities share: an embedding, results, and covariances written out."""

from __future__ import annotations

import numpy as np
from scipy import stats
from sklearn.gaussian_process.kernels import Matern

from autohpo.surrogates.embedding import Embedding
from autohpo.surrogates.gp import EFFECTS, LENGTH, Data
from autohpo.surrogates.parzen_columns import Columns

# Two ranges, one that is not always active, three categories; the first and the third are warped.
EMBEDDING = Embedding(
    Columns(np.array([0, 0, 0, 3]), [None] * 4), np.array([False, False, True, False]), np.array([0, 2])
)
D = 4


def configurations(n, seed=0):
    """``(n, 4)`` points of the unit cube and their mask."""
    rng = np.random.default_rng(seed)
    mask = np.ones((n, D), bool)
    mask[::3, 2] = False
    return rng.random((n, D)), mask


def curves(levels_of_each, seed=0):
    """Random results of configurations at the levels of each, in an order that is no order."""
    points, mask = configurations(len(levels_of_each), seed)
    owner = np.repeat(np.arange(len(levels_of_each)), [len(levels) for levels in levels_of_each])
    levels = np.concatenate(levels_of_each).astype(float)
    rng = np.random.default_rng(seed + 1)
    order = rng.permutation(len(owner))
    rows = np.column_stack([points[owner], levels, 10.0 + owner])[order]
    return Data(rows, mask[owner][order], rng.standard_normal(len(owner)))


def base_covariance(lengths, scale, effects, warp, points, mask):
    """``(n, n)`` the covariance of a function of the configuration: scikit-learn's Matern, and main effects."""
    coordinates = EMBEDDING.place(points, mask, np.log(warp)).coordinates
    matern = scale * Matern(np.asarray(lengths)[EMBEDDING.owner], nu=2.5)(coordinates)
    return matern + effects * 2.0 * coordinates[:, -3:] @ coordinates[:, -3:].T


def log_density(targets, covariance, precision=1.0):
    """The log density of results at the best mean, whose prior has a precision around 0, and that mean."""
    solved = np.linalg.solve(covariance, np.ones(len(targets)))
    mean = solved @ targets / (solved.sum() + precision)
    density = stats.multivariate_normal.logpdf(targets - mean, cov=covariance)
    return density - 0.5 * precision * mean**2, mean


def prior_density(theta, rules):
    """The log density of logarithms under normal and lognormal rules, up to a constant."""
    total = 0.0
    for x, rule in zip(theta, rules, strict=True):
        if rule.is_of_value:
            total += stats.lognorm.logpdf(np.exp(x), rule.sd, scale=np.exp(rule.mean))
        else:
            total += stats.norm.logpdf(x, rule.mean, rule.sd)
    return total


def some_theta(model, seed=1):
    """Parameters near the start, none of them like another; long length-scales, so that results have to do."""
    start = model.start + 0.3 * np.random.default_rng(seed).standard_normal(len(model.start))
    start[:3] += 0.7
    return np.clip(start, model.priors.low, model.priors.high)


def differences(function, at, step=1e-5):
    """The central differences of a function of a vector; they err by step^2 / 6 of the third derivative."""
    steps = step * np.eye(len(at))
    return np.array([(function(at + s) - function(at - s)) / (2 * step) for s in steps])


BASE_RULES = ([LENGTH.shifted(0.5 * np.log(D))] * D, EFFECTS)
