"""Priors: the mass of every value against scipy's closed forms, and the stretching that makes them uniform."""

from __future__ import annotations

import copy
import json
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from autohpo import ChoiceHP, LogRangeHP, RangeHP, SearchSpace, SpaceError
from autohpo.spaces import Belief, BetaPrior, HPSpace, NormalPrior, OrdinalHP, WeightedPrior
from autohpo.testing import check_space

SHARE = 1e-3  # of every prior but Belief that is uniform
GRID = np.linspace(0.0, 1.0, 10_001)


def below(hp, values):
    """The prior probability of lying below each value, as the coding has it."""
    return hp.encode(list(values))[:, 0]


def mixed(mass, uniform, share=SHARE):
    """A cut distribution with its uniform share."""
    return share * uniform + (1 - share) * mass


def cut(distribution, places):
    """The distribution function, cut to the unit interval."""
    low, high = distribution.cdf([0.0, 1.0])
    return (distribution.cdf(places) - low) / (high - low)


@pytest.mark.parametrize(("mean", "sd"), [(0.3, 0.1), (0.0, 0.2), (-0.5, 0.3), (1.4, 0.2), (0.7, 0.002), (0.5, 50.0)])
def test_a_normal_prior_on_floats_is_a_cut_normal_distribution(mean, sd):
    """scipy's, between the nodes as well: those near the mean are sd / 64 apart.

    Between two nodes the density counts as constant, so the distribution function is off by at most h^2 / 8 of the
    largest slope of the density: (1/64)^2 / 8 * .25 (sd^-2 e^-1/2 / sqrt(2 pi)) < 8e-6 where the whole mass is inside,
    and where only a tail of it is, its slope is steeper in proportion: at most 4 sd here, which is 1e-3.
    """
    hp = RangeHP("x", -2.0, 3.0, prior=NormalPrior(-2 + 5 * mean, 5 * sd))
    wanted = mixed(cut(stats.norm(mean, sd), GRID), GRID)
    error = np.abs(below(hp, -2 + 5 * GRID) - wanted).max()
    assert error < (8e-6 if 0 <= mean <= 1 else 1e-3)


@pytest.mark.parametrize(("a", "b"), [(2, 5), (1, 1), (0.5, 0.5), (30, 10)])
def test_a_beta_prior_on_a_log_scale_is_a_beta_distribution_of_the_logarithm(a, b):
    """scipy's; at shapes below 1 the first of 1,025 nodes holds all the error, its own mass of 2 %."""
    hp = LogRangeHP("x", 1e-6, 1e2, prior=BetaPrior(a, b))
    wanted = mixed(stats.beta(a, b).cdf(GRID), GRID)
    nodes = np.linspace(0, 1, 1025)
    coarse = mixed(np.interp(GRID, nodes, stats.beta(a, b).cdf(nodes)), GRID)
    got = below(hp, 1e-6 * 1e8**GRID)
    np.testing.assert_allclose(got, coarse, atol=1e-12)
    assert np.abs(got - wanted).max() < (0.01 if a < 1 else 2e-5)


def test_a_normal_prior_on_a_log_scale_is_log_normal():
    """Its mean is the median, its deviation in natural logarithms."""
    hp = LogRangeHP("lr", 1e-5, 1e-1, prior=NormalPrior(1e-3, math.log(10)))
    values = np.geomspace(1e-5, 1e-1, 101)
    low, high = math.log(1e-5), math.log(1e-1)
    distribution = stats.norm((math.log(1e-3) - low) / (high - low), math.log(10) / (high - low))
    places = (np.log(values) - low) / (high - low)
    np.testing.assert_allclose(below(hp, values), mixed(cut(distribution, places), places), atol=1e-5)


@pytest.mark.parametrize("step", [1, 3])
def test_a_normal_prior_on_whole_numbers_gives_each_its_cell(step):
    """From half a step below to half a step above, cut at the ends."""
    hp = RangeHP("n", 2, 2 + 12 * step, step=step, prior=NormalPrior(2 + 4 * step, 1.7 * step))
    ends = np.arange(-0.5, 13.5)
    mass = np.diff(stats.norm(4, 1.7).cdf(ends))
    np.testing.assert_allclose(np.diff(hp.edges), mixed(mass / mass.sum(), 1 / 13), atol=1e-5)


def test_a_normal_prior_on_whole_numbers_of_a_log_scale_gives_each_its_cell():
    """The cells reach halfway to the neighbours, and to as far below the first in the logarithm."""
    hp = LogRangeHP("n", 1, 30, prior=NormalPrior(5, 0.8))
    ends = np.log([1**2 / 1.5 if k == 0 else k + 0.5 for k in range(31)])
    ends[0] = math.log(0.5)
    mass = np.diff(stats.norm(math.log(5), 0.8).cdf(ends))
    plain = np.diff(ends) / (ends[-1] - ends[0])
    np.testing.assert_allclose(np.diff(hp.edges), mixed(mass / mass.sum(), plain), atol=1e-5)


@pytest.mark.parametrize(
    "hp",
    [
        ChoiceHP("c", ["a", "b", "c"], prior=[5, 0, 1]),
        OrdinalHP("o", [1, 2, 3], prior=[5, 0, 1]),
        RangeHP("n", 1, 3, prior=[5, 0, 1]),
        RangeHP("s", 0.5, 1.5, step=0.5, prior=[5, 0, 1]),
        LogRangeHP("l", 1, 3, prior=[5, 0, 1]),
        LogRangeHP("t", 2, 6, step=2, prior=np.array([5, 0, 1])),
    ],
)
def test_weights_are_of_the_values_whatever_the_scale(hp):
    """One for each value; of the uniform share each has a third, or on a log scale its part."""
    plain = hp if not isinstance(hp, LogRangeHP) else LogRangeHP(hp.name, hp.low, hp.high, step=hp.step)
    uniform = 1 / 3 if plain is hp else np.diff(plain.edges)
    tolerance = 1e-12 if plain is hp else SHARE  # the uniform share of a log scale may be of the one or the other
    np.testing.assert_allclose(np.diff(hp.edges), mixed(np.array([5, 0, 1]) / 6, uniform), atol=tolerance)


def test_weights_on_floats_are_of_equal_parts_of_the_scale():
    """A histogram on the linear and on the logarithmic scale."""
    linear = RangeHP("x", 0.0, 4.0, prior=[1, 0, 2, 1])
    wanted = mixed(np.array([0.25, 0.25, 0.75]), np.array([0.25, 0.5, 0.75]))
    np.testing.assert_allclose(below(linear, [1.0, 2.0, 3.0]), wanted, atol=1e-12)
    logarithmic = LogRangeHP("x", 1.0, 1e4, prior=[1, 0, 2, 1])
    np.testing.assert_allclose(below(logarithmic, [10.0, 100.0, 1000.0]), wanted, atol=1e-12)


@pytest.mark.parametrize(("confidence", "sd"), [("low", 0.25), ("medium", 0.15), ("high", 0.08)])
def test_a_belief_is_a_normal_distribution_of_which_a_fifth_is_uniform(confidence, sd):
    """Around the guess, on the parameter's own scale: linear, logarithmic, or of places."""
    for hp, places in (
        (RangeHP("x", 0.0, 10.0, prior=Belief(3.0, confidence)), GRID),
        (LogRangeHP("x", 1.0, 1e10, prior=Belief(1e3, confidence)), GRID),
    ):
        values = 10 * places if isinstance(hp, RangeHP) else 1e10**places
        wanted = mixed(cut(stats.norm(0.3, sd), places), places, 0.2)
        np.testing.assert_allclose(below(hp, values), wanted, atol=1e-5)
    ends = np.arange(6) / 5
    ordinal = OrdinalHP("o", list("abcde"), prior=Belief("b", confidence))
    wanted = mixed(np.diff(cut(stats.norm(0.3, sd), ends)), 0.2, 0.2)
    np.testing.assert_allclose(np.diff(ordinal.edges), wanted, atol=1e-5)


@pytest.mark.parametrize(("confidence", "weight"), [("low", 0.3), ("medium", 0.5), ("high", 0.7)])
def test_a_belief_in_a_choice_is_a_weight_beside_its_equal_share(confidence, weight):
    """Of four choices each has a quarter of the rest."""
    hp = ChoiceHP("c", [None, True, 1, "1"], prior=Belief(1, confidence))
    rest = (1 - weight) / 4
    np.testing.assert_allclose(np.diff(hp.edges), [rest, rest, weight + rest, rest], atol=1e-12)


PRIORS = [
    RangeHP("x", 0.0, 1.0, prior=NormalPrior(0.8, 0.05)),
    LogRangeHP("x", 1e-5, 1e-1, prior=Belief(1e-3)),
    RangeHP("x", 1, 9, prior=BetaPrior(2, 4)),
    LogRangeHP("x", 4, 64, step=4, prior=Belief(16, "high")),
    RangeHP("x", 0.1, 0.9, step=0.1, prior=NormalPrior(0.5, 0.1)),
    ChoiceHP("x", ["a", None, 1], prior=[1, 2, 3]),
    OrdinalHP("x", [8, 64, 512], prior=Belief(512)),
    RangeHP("x", 0, 2**32 - 1, prior=NormalPrior(3, 1)),
    LogRangeHP("x", 1, 2**32, prior=NormalPrior(1, 0.1)),
    LogRangeHP("x", 2**40 - 9, 2**40, prior=NormalPrior(2**40, 1e-12)),
]


@pytest.mark.parametrize("hp", PRIORS, ids=repr)
def test_parameters_with_priors_conform(hp):
    """Coding, cells and JSON hold, also for as many values as may have a prior, and for a prior like a needle."""
    assert {result.state for result in check_space(hp)} == {"passed"}
    units = np.random.default_rng(0).random((200, 1))
    values = hp.decode(units)
    if hp.n_values is not None:
        assert hp.decode(hp.encode(values)) == values


@pytest.mark.parametrize("hp", PRIORS[:7], ids=repr)
def test_draws_have_the_mass_that_the_coding_says(hp):
    """Uniform numbers, decoded, fall below each quantile as often as they should: within 5 standard errors."""
    n = 4000
    values = hp.decode(np.random.default_rng(1).random((n, 1)))
    if hp.edges is None:
        drawn = below(hp, values)
        assert stats.kstest(drawn, "uniform").pvalue > 1e-6
        return
    for value, mass in zip(hp.decode((hp.edges[1:] + hp.edges[:-1])[:, None] / 2), np.diff(hp.edges), strict=True):
        share = sum(type(v) is type(value) and v == value for v in values) / n
        assert abs(share - mass) <= 5 * math.sqrt(mass * (1 - mass) / n)


@pytest.mark.parametrize("hp", PRIORS, ids=repr)
def test_priors_go_through_json_pickle_and_copies(hp):
    """Equal and with the same cells; a parameter without one is another, and says nothing of it in JSON."""
    for again in (
        HPSpace.from_dict(json.loads(json.dumps(hp.to_dict(), allow_nan=False))),
        pickle.loads(pickle.dumps(hp)),
        copy.deepcopy(hp),
    ):
        assert again == hp
        assert hash(again) == hash(hp)
        assert again.decode(np.array([[0.3]])) == hp.decode(np.array([[0.3]]))
    plain = HPSpace.from_dict({k: v for k, v in hp.to_dict().items() if k != "prior"})
    assert plain != hp
    assert "prior" not in plain.to_dict()


def test_a_prior_is_mirrored_in_both_tails():
    """A mean far outside one end or the other: the same, seen from there; both are computed from the small tail."""
    for sd in (1.0, 0.1, 0.05):
        right = RangeHP("x", 0.0, 1.0, prior=NormalPrior(1 + 9 * sd, sd))
        left = RangeHP("x", 0.0, 1.0, prior=NormalPrior(-9 * sd, sd))
        np.testing.assert_allclose(below(right, GRID), 1 - below(left, GRID[::-1]), atol=1e-9)
        tail = stats.norm(-9 * sd, sd)
        wanted = mixed(1 - tail.sf(GRID) / tail.sf(0.0), GRID)
        assert np.abs(below(left, GRID) - wanted).max() < 1e-2  # the slope there is 9 times that of a whole normal


@pytest.mark.parametrize("kind", [ChoiceHP, OrdinalHP])
def test_equal_weights_are_as_none(kind):
    """At every point, the ends of the cells included: those belong to the upper one."""
    plain, weighted = kind("c", list("abcd")), kind("c", list("abcd"), prior=[1, 1, 1, 1])
    units = np.linspace(0.0, 1.0, 17)[:, None]
    assert weighted.decode(units) == plain.decode(units)
    assert plain.decode(np.array([[0.25], [0.5], [0.75]])) == ["b", "c", "d"]


def test_no_value_is_out_of_reach():
    """The uniform share keeps a thousandth of the unit interval for what the prior thinks impossible."""
    hp = RangeHP("x", 0.0, 1.0, prior=NormalPrior(0.1, 1e-3))
    assert below(hp, [0.9])[0] - below(hp, [0.5])[0] == pytest.approx(0.4 * SHARE, rel=1e-6)
    assert hp.decode(np.array([[0.0], [1.0]])) == [0.0, 1.0]
    assert SearchSpace([hp]).n_configurations is None


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: NormalPrior(0.5, 0.0), "NormalPrior: mean must be a number and sd a positive one, got 0.5, 0.0"),
        (lambda: NormalPrior("x", 1.0), "NormalPrior: mean must be a number"),
        (lambda: NormalPrior(math.nan, 1.0), "NormalPrior: mean must be a number"),
        (lambda: BetaPrior(0, 1), "BetaPrior: a and b must be positive numbers, got 0, 1"),
        (lambda: WeightedPrior([]), "WeightedPrior: weights must be numbers of at least 0, not all 0, got []"),
        (lambda: WeightedPrior([0, 0]), "WeightedPrior: weights must be numbers"),
        (lambda: WeightedPrior([1, -1]), "WeightedPrior: weights must be numbers"),
        (lambda: WeightedPrior([1, "2"]), "WeightedPrior: weights must be numbers"),
        (lambda: WeightedPrior(0.5), "WeightedPrior: weights must be a list of numbers, got 0.5"),
        (lambda: Belief(1, "sure"), "Belief: confidence must be 'low', 'medium' or 'high', got 'sure'"),
        (lambda: RangeHP("x", 0, 1, prior="normal"), "x: prior must be a Prior such as Belief, or a list of weights"),
        (lambda: RangeHP("x", 0, 3, prior=[1, 2]), "x: prior must have a weight for each of 4 values, got 2"),
        (lambda: ChoiceHP("c", ["ab"], prior=[1, 2]), "c: prior must have a weight for each of 1 values"),
        (lambda: ChoiceHP("c", ["a", "b"], prior=NormalPrior(0, 1)), "c: prior must not be a NormalPrior where"),
        (lambda: ChoiceHP("c", ["a", "b"], prior=BetaPrior(1, 1)), "c: prior must not be a BetaPrior where"),
        (lambda: OrdinalHP("o", ["a", "b"], prior=NormalPrior(0, 1)), "o: prior must not be a NormalPrior where"),
        (lambda: ChoiceHP("c", [1, 2], prior=Belief(True)), "c: value of the Belief must be one of the values, got T"),
        (lambda: OrdinalHP("o", [1, 2], prior=Belief(3)), "o: prior must be about one of the values, got 3"),
        (lambda: RangeHP("x", 0.0, 1.0, prior=Belief(1.5)), "x: value of the Belief must lie from low to high, "),
        (lambda: RangeHP("x", 0, 9, prior=Belief(-1)), "x: value of the Belief must lie from low to high, got -1"),
        (lambda: LogRangeHP("x", 1.0, 9.0, prior=Belief(0.5)), "x: value of the Belief must lie from low to high"),
        (lambda: LogRangeHP("x", 1.0, 9.0, prior=Belief(-1.0)), "x: prior must be about values above 0"),
        (lambda: RangeHP("x", 0.0, 1.0, prior=Belief("big")), "x: prior must be an int or a float, got 'big'"),
        (lambda: LogRangeHP("x", 1, 9, prior=Belief(None)), "x: prior must be an int or a float, got None"),
        (lambda: RangeHP("x", 0.0, 1.0, prior=NormalPrior(60.0, 1.0)), "x: prior must have mass between low and high"),
        (lambda: RangeHP("x", 0, 2**40, prior=NormalPrior(0, 1)), "x: prior must be of at most 2**32 values"),
    ],
)
def test_what_is_no_prior_is_refused(make, text):
    """When it is made, or when it is given to a parameter that it does not suit."""
    with pytest.raises(SpaceError) as caught:
        make()
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("make", [RangeHP, LogRangeHP])
def test_a_grid_of_few_values_holds_all_of_them_however_short_their_cells_are(make):
    """A prior of .1 % for most of them makes cells that even points would miss."""
    hp = make("n", 1, 5, prior=[1, 0, 0, 0, 0])
    assert hp.grid(5) == hp.grid(9) == [1, 2, 3, 4, 5]
    assert hp.grid(2) == [1, 5]
