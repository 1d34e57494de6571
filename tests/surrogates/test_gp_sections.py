"""Predictions at one fidelity: those of the posterior at points with the fidelity and numbers of their own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from curve_sets import KERNELS, MIXED, TOP, curves, new_points, process_of, some_theta

from autohpo.surrogates.gp_growth import append, with_fantasies
from autohpo.surrogates.gp_sections import AtFidelity
from autohpo.surrogates.sections import Section, Term

WARPED = dataclasses.replace(MIXED, warped=np.array([0, 2]))


def posteriors(name, embedding=MIXED):
    """The posterior of data alone, with pending points, and with fantasies of them."""
    process = process_of(name, embedding)
    alone = process.posterior(some_theta(process), curves())
    points, mask = new_points(3, seed=5, fidelity=9.0)
    points[:, 5] += 50
    return alone, append(alone, points, mask), with_fantasies(alone, points, mask, np.random.default_rng(3), 4)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("fidelity", [TOP, 9.0, 14.0])
def test_predictions_are_those_of_the_posterior(name, fidelity):
    """Also at a fidelity that nobody saw; with a warped column."""
    points, mask = new_points(fidelity=fidelity)
    for posterior in posteriors(name, WARPED):
        section, wanted = AtFidelity(posterior, fidelity), posterior.predict(points, mask)
        for found in (section.predict(points[:, :4], mask), section.predict_with_gradient(points[:, :4], mask)[:2]):
            np.testing.assert_allclose(found[0], wanted[0], atol=1e-9)
            np.testing.assert_allclose(found[1], wanted[1], atol=1e-9)


@pytest.mark.parametrize("name", KERNELS)
def test_gradients_are_those_of_the_values(name):
    """Of a random linear function of all means and of the deviations, by the ordered columns."""
    for posterior in posteriors(name, WARPED):
        section, (points, mask), rng = AtFidelity(posterior, TOP), new_points(), np.random.default_rng(8)
        x = points[:, :4]
        means, _, pull_back = section.predict_with_gradient(x, mask)
        by_means, by_deviation = rng.standard_normal(means.shape), rng.standard_normal(6)
        gradient = pull_back(by_means, by_deviation)
        assert gradient.shape == x.shape
        for j in range(3):
            step = 1e-5 * np.eye(4)[j]
            ends = [section.predict(x + sign * step, mask) for sign in (1, -1)]
            change = (by_means * (ends[0][0] - ends[1][0])).reshape(6, -1).sum(axis=1)
            change += by_deviation * (ends[0][1] - ends[1][1])
            np.testing.assert_allclose(gradient[:, j], change / 2e-5, atol=1e-6)


def test_all_kernels_but_those_of_joint_distances_have_sections():
    """A distance over configuration and fidelity together cannot be taken apart: such a posterior is asked as it is."""
    without = {name for name in KERNELS if AtFidelity(posteriors(name)[0], TOP)._parts is None}
    assert without == {"matern52", "matern52-res-warp"}


def test_a_product_of_two_kernels_of_configurations_has_no_section():
    """Its covariances are no sum of kernels of configurations."""
    term = Term(None, None, None, np.ones(3), 1.0)
    varied, fixed = Section([term], 3.0, 0.5), Section([], np.arange(3.0), 2.0)
    assert varied * varied is None
    product = fixed * varied
    np.testing.assert_array_equal(product.terms[0].shares, np.arange(3.0))
    np.testing.assert_array_equal(product.rest, [0.0, 3.0, 6.0])
    assert (product.terms[0].share, product.variance) == (2.0, 1.0)
