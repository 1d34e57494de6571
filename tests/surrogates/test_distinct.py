"""Kernels that are computed once for rows that are alike: equal to the same kernels over all rows."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo.surrogates.distinct import Curves, Distinct, Numbers
from autohpo.surrogates.effects import Level, Noise
from autohpo.surrogates.kernels import Product, Sum
from autohpo.surrogates.matern import Matern52
from autohpo.surrogates.priors import Prior
from autohpo.surrogates.resource_decay import DecayCurve
from autohpo.surrogates.resource_kernels import LogCurve, Scale

ANY = Prior(0.0, 1.0, 0.01, 100.0)
MATERN = Matern52(np.array([0, 1]), [ANY] * 2, ANY)
OVER_R = LogCurve(9.0, ANY, ANY)
ONCE = Sum((Product((Distinct(MATERN, -1, 2), Distinct(OVER_R, -2))), Curves(OVER_R)))
PLAIN = Sum((Product((MATERN, OVER_R)), Product((Level(1.0, 3), OVER_R))))
THETA = np.log([0.5, 0.8, 1.3, 0.7, 2.0, 0.4, 3.0])


def rows(n=20, seed=0):
    """``(n, 4)`` coordinates: two of a configuration, a fidelity, and its number."""
    rng = np.random.default_rng(seed)
    x, number = np.random.default_rng(9).random((6, 2)), rng.integers(6, size=n)
    return np.column_stack([x[number], rng.choice([1.0, 3.0, 9.0], n), 2.5 * number])


def test_covariances_are_those_of_all_rows():
    """Of one set with itself, with another set, and on the diagonal."""
    a, b = rows(), rows(11, 4)
    ours, theirs = (kernel.place(THETA, a) for kernel in (ONCE, PLAIN))
    np.testing.assert_allclose(
        ONCE.covariance(THETA, ours).matrix, PLAIN.covariance(THETA, theirs).matrix, rtol=1e-7, atol=1e-12
    )
    across = ONCE.covariance(THETA, ours, ONCE.place(THETA, b)).matrix
    wanted = PLAIN.covariance(THETA, theirs, PLAIN.place(THETA, b)).matrix
    np.testing.assert_allclose(across, wanted, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(ONCE.diagonal(THETA, ours), PLAIN.diagonal(THETA, theirs))


def test_gradients_are_those_of_all_rows():
    """By the parameters, and by the configurations: rows that are alike have their sum in the first of them."""
    a, rng = rows(), np.random.default_rng(3)
    within, across = rng.standard_normal((20, 20)), rng.standard_normal((20, 11))
    within += within.T
    ours, theirs = (kernel.covariance(THETA, kernel.place(THETA, a)) for kernel in (ONCE, PLAIN))
    np.testing.assert_allclose(ours.by_parameters(within), theirs.by_parameters(within), rtol=1e-6)
    sums = np.equal.outer(np.unique(a[:, 3]), a[:, 3]).astype(float)
    np.testing.assert_allclose(sums @ ours.by_left(within), sums @ theirs.by_left(within), atol=1e-6)
    others = [kernel.place(THETA, rows(11, 4)) for kernel in (ONCE, PLAIN)]
    ours, theirs = (k.covariance(THETA, k.place(THETA, a), o) for k, o in zip((ONCE, PLAIN), others, strict=True))
    np.testing.assert_allclose(sums @ ours.by_left(across), sums @ theirs.by_left(across), atol=1e-6)


def test_rows_with_one_number_that_differ_are_told_apart():
    """Candidates that were all given the same number."""
    a = rows()
    a[:, 3] = 1.0
    kernel = Distinct(MATERN, -1, 2)
    found = kernel.covariance(THETA[:3], kernel.place(THETA[:3], a)).matrix
    np.testing.assert_array_equal(found, MATERN.covariance(THETA[:3], MATERN.place(THETA[:3], a)).matrix)


def test_what_was_kept_is_not_used_for_other_rows():
    """A kernel that saw some rows places others as a fresh kernel does."""
    kernel, fresh = (Distinct(MATERN, -1, 2) for _ in range(2))
    kernel.place(THETA[:3], rows())
    b = rows(11, 4)
    found, wanted = (k.covariance(THETA[:3], k.place(THETA[:3], b)).matrix for k in (kernel, fresh))
    np.testing.assert_array_equal(found, wanted)
    first, again = (kernel.place(THETA[:3], b) for _ in range(2))
    assert first.groups is again.groups


def test_means_are_those_of_the_inner_kernel():
    """Repeated to rows, and their gradient as central differences say."""
    curve = DecayCurve(Scale(9.0), ANY, ANY, Prior(0.0, 1.0, -9.0, 9.0, is_signed=True))
    theta, a, by_mean = np.array([0.2, 0.9, -1.3]), rows(), np.random.default_rng(1).standard_normal(20)
    wanted = curve.mean(theta, curve.place(theta, a))
    for kernel in (Distinct(curve, -2), Curves(curve, -2, -1)):
        assert kernel.has_mean
        np.testing.assert_allclose(kernel.mean(theta, kernel.place(theta, a)), wanted, rtol=1e-14)
        gradient = kernel.mean_by_parameters(theta, kernel.place(theta, a), by_mean)
        for k, step in enumerate(1e-6 * np.eye(3)):
            change = curve.mean(theta + step, curve.place(theta, a)) - curve.mean(theta - step, curve.place(theta, a))
            assert gradient[k] == pytest.approx(by_mean @ change / 2e-6, abs=1e-7)


def test_pairs_of_rows_with_one_number_are_found():
    """Those of a brute-force comparison, in the order of the rows on the left."""
    a, b = rows()[:, 3], rows(11, 4)[:, 3]
    left, right = Numbers(a).pairs(Numbers(b))
    np.testing.assert_array_equal(sorted(zip(left, right, strict=True)), np.argwhere(a[:, None] == b))
    assert len(Numbers(a).pairs(Numbers(b + 0.1))[0]) == 0


def test_noise_and_means_have_no_place_in_a_kernel_that_is_repeated_or_multiplied():
    """Noise differs between rows that are alike; a product of functions with means has another mean."""
    with pytest.raises(ValueError, match="inner: must have no noise, got Noise"):
        Distinct(Noise([ANY]), -1)
    with pytest.raises(ValueError, match="parts: must have no mean in a product, got DecayCurve"):
        Product((MATERN, DecayCurve(Scale(9.0), ANY, ANY, ANY)))
