"""Kernels: covariances against the plain formulas, gradients against finite differences, sums, products, JSON.

The last kernels are written here, against the interface alone: curves that decay with a fidelity, one for each trial.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Matern

from autohpo.surrogates.effects import Level, MainEffects, Noise, TaskSimilarity
from autohpo.surrogates.kernels import Explicit, Kernel, Product, Sum
from autohpo.surrogates.matern import Matern52, Scaled, matern52, squared_distances
from autohpo.surrogates.priors import Prior

ANY = Prior(0.0, 1.0, 0.01, 100.0)
TASKS = np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 1.5], [0.5, 1.5, 0.0]])


@dataclass(frozen=True, eq=False)
class Decay(Kernel):
    """Curves that decay with a fidelity r: E exp(-l (r + r')) of a gamma distributed rate, (b / (r + r' + b))^a.

    Source: Swersky, Snoek & Adams 2014, arXiv 1406.3896, eq. 6.
    """

    column: int
    power: Prior = ANY
    offset: Prior = ANY

    def place(self, theta, coordinates):
        return coordinates[:, self.column]

    def covariance(self, theta, left, right=None):
        (a, b), total = np.exp(theta), left[:, None] + (left if right is None else right)
        values = (b / (total + b)) ** a
        return Explicit(values, lambda: [values * a * np.log(b / (total + b)), values * a * total / (total + b)])

    def diagonal(self, theta, placed):
        a, b = np.exp(theta)
        return (b / (2 * placed + b)) ** a


# Rows of four coordinates, the number of a task, the number of a trial, and a fidelity.
MATERN = Matern52(np.array([0, 1, 1, 2]), [ANY] * 3, ANY)
EFFECTS = MainEffects(np.array([0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]), ANY)
NOISE = Noise([ANY, ANY], column=4, groups=(0, 1, 1))
ALIKE = TaskSimilarity(4, TASKS, ANY)
KERNELS = {
    "matern": MATERN,
    "matern of some": Matern52(np.array([0, 1]), [ANY] * 2, ANY, first=2),
    "effects": EFFECTS,
    "noise": Noise([ANY]),
    "noise by task": NOISE,
    "level": Level(0.7),
    "level of a task": Level(0.3, 4),
    "tasks": ALIKE,
    "sum": Sum((MATERN, NOISE, EFFECTS)),
    "product": Product((MATERN, ALIKE)),
    "product of three": Product((MATERN, Level(2.0, 4), ALIKE)),
    "transfer": Sum((Product((MATERN, ALIKE)), NOISE, Level(1.0), Level(0.25, 4))),
    "sum in product": Product((Sum((MATERN, EFFECTS)), Sum((Level(0.5), ALIKE)))),
    "curves first": Sum((Decay(6), MATERN)),
    "effects first": Sum((EFFECTS, Noise([ANY]))),
    "freeze-thaw": Sum((MATERN, Product((Decay(6), Level(1.0, 5))), Noise([ANY]))),
    "matern over x and the log of a fidelity": Matern52(np.array([0, 1, 1, 2, 3, 4, 5]), [ANY] * 6, ANY),
}


def rows(n, seed=0):
    """``(n, 7)`` random rows."""
    rng = np.random.default_rng(seed)
    fidelities = rng.choice([1.0, 3.0, 9.0], n) / 9
    return np.column_stack([rng.random((n, 4)), rng.integers(3, size=n), rng.integers(4, size=n), fidelities])


def some_theta(kernel, seed=1):
    """Parameters between 1/3 and 2, none of them like another."""
    return np.random.default_rng(seed).uniform(np.log(0.33), np.log(2.0), len(kernel.priors))


def dense(kernel, theta, a, b=None):
    """``(m, n)`` covariances of two sets of rows; of one set with itself noise is added."""
    placed = kernel.place(theta, a)
    if b is not None:
        return kernel.covariance(theta, placed, kernel.place(theta, b)).matrix.copy()
    return kernel.covariance(theta, placed).matrix + np.diag(np.broadcast_to(kernel.noise(theta, placed), len(a)))


def plain(name, theta, a, b):
    """The covariance of two rows, written out for three of the kernels."""
    v = np.exp(theta)
    matern = v[3] * Matern(v[[0, 1, 1, 2]], nu=2.5)(a[None, :4], b[None, :4])[0, 0]
    if name == "sum":
        return matern + v[6] * 0.5 * (a[1] * b[1] + a[2] * b[2])
    if name == "transfer":
        alike = math.exp(-v[4] * TASKS[int(a[4]), int(b[4])])
        return matern * alike + 1.0 + 0.25 * (a[4] == b[4])
    assert name == "freeze-thaw"
    return matern + (v[5] / (a[6] + b[6] + v[5])) ** v[4] * (a[5] == b[5])


@pytest.mark.parametrize("name", ["sum", "transfer", "freeze-thaw"])
def test_covariances_are_those_of_the_plain_formula(name):
    """Pair by pair, with scikit-learn's Matern; distances of 0 come out as 1e-8."""
    kernel, a, b = KERNELS[name], rows(7), rows(5, 2)
    theta = some_theta(kernel)
    found = dense(kernel, theta, a, b)
    np.testing.assert_allclose(found, [[plain(name, theta, x, y) for y in b] for x in a], rtol=1e-7)


@pytest.mark.parametrize("name", KERNELS)
def test_covariances_are_positive_semi_definite(name):
    """Of 60 random rows, some of them equal, for five vectors of parameters; rounding leaves -1e-13 of the largest."""
    kernel, a = KERNELS[name], rows(60)
    a[50:] = a[:10]
    for seed in range(5):
        values = np.linalg.eigvalsh(dense(kernel, some_theta(kernel, seed), a, a))
        assert values[0] >= -1e-13 * max(values[-1], 1.0)


@pytest.mark.parametrize("name", KERNELS)
def test_a_symmetric_covariance_its_diagonal_and_a_sum_in_place_agree(name):
    """With the covariances between two sets that are equal; the fidelities and tasks of both are looked at."""
    kernel, a = KERNELS[name], rows(20)
    theta = some_theta(kernel)
    placed = kernel.place(theta, a)
    wanted = dense(kernel, theta, a, a)
    np.testing.assert_allclose(kernel.covariance(theta, placed).matrix, wanted, atol=1e-12)
    np.testing.assert_allclose(kernel.diagonal(theta, placed), np.diag(wanted), atol=1e-7)
    total = np.ones((20, 20))
    kernel.covariance(theta, placed).add_to(total)
    np.testing.assert_allclose(total, wanted + 1.0, atol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_gradients_by_parameters_are_those_of_the_covariances(name):
    """Of a random linear function of the noisy covariances; central differences of step 1e-5 err by 1e-10."""
    kernel, a = KERNELS[name], rows(15)
    theta, weights = some_theta(kernel), np.random.default_rng(3).standard_normal((15, 15))
    weights += weights.T
    gradient = kernel.covariance(theta, kernel.place(theta, a)).by_parameters(weights)
    assert gradient.shape == theta.shape == (len(kernel.priors),)
    for k, step in enumerate(1e-5 * np.eye(len(theta))):
        change = dense(kernel, theta + step, a) - dense(kernel, theta - step, a)
        assert gradient[k] == pytest.approx((weights * change).sum() / 2e-5, abs=1e-6)


@pytest.mark.parametrize("name", KERNELS)
def test_gradients_by_rows_are_those_of_the_covariances(name):
    """By the coordinates that a search moves: of the left rows alone, and of both sides where these are the same.

    Coordinates 1 and 2 belong to a category where there are main effects, and are not moved then.
    """
    kernel, a, b = KERNELS[name], rows(6), rows(4, 2)
    theta, rng = some_theta(kernel), np.random.default_rng(3)
    across, within = rng.standard_normal((6, 4)), rng.standard_normal((6, 6))
    within += within.T
    placed = kernel.place(theta, a)
    by_left = kernel.covariance(theta, placed, kernel.place(theta, b)).by_left(across)
    by_both = kernel.covariance(theta, placed).by_left(within)
    by_left, by_both = (np.broadcast_to(found, a.shape) for found in (by_left, by_both))
    moved = (0, 3) if name in ("sum", "effects", "effects first", "sum in product") else range(4)
    for i, j in itertools.product(range(6), moved):
        step = np.zeros_like(a)
        step[i, j] = 1e-5
        change = dense(kernel, theta, a + step, b) - dense(kernel, theta, a - step, b)
        assert by_left[i, j] == pytest.approx((across * change).sum() / 2e-5, abs=1e-6)
        change = dense(kernel, theta, a + step, a + step) - dense(kernel, theta, a - step, a - step)
        assert by_both[i, j] == pytest.approx((within * change).sum() / 2e-5, abs=1e-6)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_described_in_json(name):
    """With the kind of each part, and the values of its parameters where they are given."""
    kernel = KERNELS[name]
    theta = some_theta(kernel)
    bare, full = json.dumps(kernel.describe()), json.loads(json.dumps(kernel.describe(theta), allow_nan=False))
    assert full["kind"] == type(kernel).__name__
    assert '"values"' not in bare

    def values(described):
        return [v for part in described["parts"] for v in values(part)] if "parts" in described else described["values"]

    np.testing.assert_allclose(values(full), np.exp(theta))


def test_the_variance_of_a_matern_kernel_is_exact_on_its_diagonal():
    """Also of rows far from 0, whose squared distance to themselves rounding leaves at some 1e-8."""
    a, theta = rows(20), np.log([1e-4, 1e-4, 1e-4, 0.7])
    assert set(np.diag(MATERN.covariance(theta, MATERN.place(theta, a)).matrix)) == {np.exp(theta[3])}


def test_a_flat_prior_is_described_in_json():
    """Infinity is no number there."""
    flat = Noise([Prior(0.0, math.inf, 0.1, 1.0)]).describe()
    assert json.loads(json.dumps(flat, allow_nan=False))["variances"][0]["sd"] is None


def test_noise_is_that_of_the_group():
    """Task 0 has the first variance, all others the second; covariances of the function have none of it."""
    theta, a = np.log([0.1, 0.4]), rows(20)
    placed = NOISE.place(theta, a)
    np.testing.assert_allclose(NOISE.noise(theta, placed), np.where(a[:, 4] == 0, 0.1, 0.4))
    assert not dense(NOISE, theta, a, a).any()
    assert [kernel.has_noise for kernel in (MATERN, NOISE, KERNELS["sum"], KERNELS["product"])] == [0, 1, 1, 0]


def test_a_product_takes_no_noise():
    """Neither by itself nor in a sum: it would be lost."""
    with pytest.raises(ValueError, match="parts: must have no noise in a product, got Sum"):
        Product((MATERN, Sum((MATERN, NOISE))))


def test_length_scales_are_those_of_the_first_part_that_has_some():
    """Coordinate by coordinate; a kernel without distances has none."""
    theta = np.log([2.0, 3.0, 4.0, 1.0, 5.0])
    np.testing.assert_allclose(KERNELS["product"].lengths(theta), [2.0, 3.0, 3.0, 4.0])
    assert Sum((Level(1.0), ALIKE)).lengths(np.zeros(1)) is None


def test_a_kernel_without_random_features_says_so():
    """Instead of a function that is none of it."""
    with pytest.raises(NotImplementedError, match="Product: has no random features"):
        KERNELS["product"].draw(np.zeros(5), np.random.default_rng(0))


def test_the_matern_kernel_is_that_of_scikit_learn():
    """Also at distance 0; both sides round a few times at values near 1."""
    rng = np.random.default_rng(0)
    left, right = rng.random((7, 3)), rng.random((5, 3)) * 2
    right[0] = left[0]
    value, _ = matern52(squared_distances(Scaled(left), Scaled(right)))
    np.testing.assert_allclose(value, Matern(nu=2.5)(left, right), rtol=1e-7)  # a distance of 0 comes out as 1e-8


def test_the_slope_of_the_matern_kernel_is_its_derivative_by_the_squared_distance():
    """Central differences of step h err by h^2 and by 1e-16 / h: 1e-10 at h = 1e-5; at 0 the slope is -5/6."""
    squared = np.array([0.01, 0.3, 1.0, 7.0])
    h = 1e-5
    differences = (matern52(squared + h)[0] - matern52(squared - h)[0]) / (2 * h)
    np.testing.assert_allclose(matern52(squared)[1], differences, atol=1e-7)
    assert matern52(np.zeros(1))[1][0] == pytest.approx(-5 / 6, abs=1e-15)


def test_squared_distances_are_never_below_zero():
    """Equal rows far from 0, where the expanded square rounds to either side."""
    scaled = Scaled(np.random.default_rng(0).random((50, 3)) * 1e4)
    assert (squared_distances(scaled, scaled) >= 0).all()
