"""Distributions around a configuration: against scipy's truncated normal, and by counting."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from autohpo import Belief, ChoiceHP, LogRangeHP, OptionError, OrdinalHP, RangeHP, SearchSpace
from autohpo.algorithms.parts.centred import SD, Centred, guess_of, without_priors

SPACE = SearchSpace(
    [RangeHP("x", 0.0, 1.0), LogRangeHP("lr", 1e-4, 1.0), ChoiceHP("c", list("abcd")), RangeHP("free", 0.0, 1.0)]
)
CENTRES = np.array([0.1, 0.75, 0.375, np.nan])


def cut(centre, sd):
    """The truncated normal distribution of scipy."""
    return stats.truncnorm((0 - centre) / sd, (1 - centre) / sd, loc=centre, scale=sd)


@pytest.mark.parametrize("sd", [0.125, 0.25, 0.5])
def test_densities_are_those_of_truncated_normals_and_of_weights(sd):
    """The sum of logs of the columns that are active; the choice has 1 - sd on its centre's cell, and sd everywhere."""
    rng = np.random.default_rng(0)
    points, mask = rng.random((200, 4)), rng.random((200, 4)) < 0.7
    choice = np.log(np.where(np.floor(points[:, 2] * 4) == 1, 4 * (1 - sd), 0.0) + sd)
    columns = [cut(0.1, sd).logpdf(points[:, 0]), cut(0.75, sd).logpdf(points[:, 1]), choice, np.zeros(200)]
    wanted = np.where(mask, np.stack(columns, axis=1), 0.0).sum(axis=1)
    np.testing.assert_allclose(Centred(SPACE, CENTRES, sd).log_density(points, mask), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("sd", [0.125, 0.5])
def test_draws_are_those_of_the_distribution(sd):
    """Of each column: Kolmogorov and Smirnov's test, and the share of the named choice, at four standard errors."""
    rng, n = np.random.default_rng(1), 3000
    drawn = np.array([Centred(SPACE, CENTRES, sd).sample(rng) for _ in range(n)])
    for column, cdf in [(0, cut(0.1, sd).cdf), (1, cut(0.75, sd).cdf), (3, stats.uniform.cdf)]:
        assert stats.kstest(drawn[:, column], cdf).pvalue > 1e-4
    cells = np.bincount((drawn[:, 2] * 4).astype(int), minlength=4) / n
    assert np.abs(cells - (np.array([0, 1, 0, 0]) * (1 - sd) + sd / 4)).max() < 4 * np.sqrt(0.25 / n)


def test_a_guess_is_centred_on_its_values():
    """Each confidence has its deviation; parameters that are not named are uniform."""
    for confidence, sd in SD.items():
        guess = guess_of(SPACE, {"lr": 0.1, "c": "b"}, confidence)
        np.testing.assert_allclose(guess._centres, [np.nan, 0.75, 0.375, np.nan])
        assert guess._sd == sd


@pytest.mark.parametrize(
    ("prior", "confidence", "text"),
    [
        ({"lrr": 0.1}, "low", "prior: 'lrr' is no parameter of the space; did you mean 'lr'?"),
        ({"lr": 7.0}, "low", "prior: must have a value of LogRangeHP"),
        ({"lr": "a"}, "low", "prior: must have a value of LogRangeHP"),
        ({"c": "z"}, "low", "prior: must have a value of ChoiceHP"),
        ({"x": 0.1}, "sure", "prior_confidence: must be 'low', 'medium' or 'high', got 'sure'"),
        ([("x", 0.1)], "low", "prior: must be a dict of parameter names and values"),
        ({"y": 2.0}, "low", "prior: must not be given for y again, whose parameter has one"),
    ],
)
def test_a_guess_that_does_not_suit_the_space_is_refused(prior, confidence, text):
    """The error says what is wrong, and with which value."""
    space = SearchSpace([*SPACE, RangeHP("y", 0.0, 9.0, prior=Belief(3.0))])
    with pytest.raises(OptionError) as caught:
        guess_of(space, prior, confidence)
    assert str(caught.value).startswith(text)


def test_without_priors_values_are_uniform_on_their_scale():
    """A float, an integer, an ordinal and a choice, each with a strong prior; their values are equally frequent."""
    space = SearchSpace(
        [
            LogRangeHP("lr", 1e-4, 1.0, prior=Belief(1e-3, "high")),
            RangeHP("n", 1, 5, prior=Belief(2, "high")),
            OrdinalHP("o", [1, 4, 9, 16, 25], prior=Belief(4, "high")),
            ChoiceHP("c", list("abcde"), prior=Belief("b", "high")),
            RangeHP("x", 0.0, 1.0),
        ]
    )
    rng, n = np.random.default_rng(0), 2000
    drawn = space.decode(np.array([without_priors(space, rng) for _ in range(n)]))
    for scaled in ([np.log10(hp["lr"]) / 4 + 1 for hp in drawn], [hp["x"] for hp in drawn]):
        assert stats.kstest(scaled, stats.uniform.cdf).pvalue > 1e-4
    for name, values in [("n", [1, 2, 3, 4, 5]), ("o", [1, 4, 9, 16, 25]), ("c", list("abcde"))]:
        share = np.array([sum(hp[name] == value for hp in drawn) for value in values]) / n
        assert np.abs(share - 0.2).max() < 4 * np.sqrt(0.16 / n)
