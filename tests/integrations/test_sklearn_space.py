"""The space of HPOSearchCV: dicts as scikit-learn's searches take them, and distributions of scipy.stats."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.stats as st

from autohpo import ChoiceHP, FixedHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace, SpaceError
from autohpo.integrations.sklearn import DistributionHP
from autohpo.integrations.sklearn.space import space_of

DISTRIBUTIONS = [
    st.uniform(1, 2),
    st.uniform(loc=-3, scale=0.5),
    st.loguniform(1e-3, 10),
    st.loguniform(1e-3, 10, loc=2),
    st.loguniform(1e-3, 10, scale=100),
    st.reciprocal(1, 5),
    st.randint(2, 9),
    st.randint(2, 9, loc=3),
    st.norm(3, 2),
    st.expon(scale=0.1),
    st.beta(2, 5),
    st.truncnorm(-1, 2),
    st.gamma(2.5, scale=3),
    st.poisson(3),
    st.binom(6, 0.4),
    st.geom(0.3),
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda d: f"{d.dist.name}{d.args}{d.kwds}")
def test_a_draw_has_the_distribution_that_was_given(distribution):
    """4,000 decoded uniform numbers pass a test against scipy's own distribution function, or its probabilities."""
    (parameter,) = space_of({"x": distribution})
    values = parameter.decode(np.random.default_rng(1).random((4000, 1)))
    assert all(parameter.contains(value) for value in values)
    if isinstance(distribution.dist, st.rv_discrete):
        assert {type(value) for value in values} == {int}
        found, counts = np.unique(values, return_counts=True)
        often = distribution.pmf(found) * len(values) >= 5
        rest = len(values) - counts[often].sum()
        expected = distribution.pmf(found[often]) * len(values)
        if rest:
            counts, expected = np.append(counts[often], rest), np.append(expected, len(values) - expected.sum())
        assert st.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-3
    else:
        assert st.kstest(values, distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda d: f"{d.dist.name}{d.args}{d.kwds}")
def test_a_value_is_its_own_code_copy_and_description(distribution):
    """Encoding and decoding gives a value back; so do a pickle, a deep copy and the JSON of the space."""
    space = space_of({"x": distribution})
    (parameter,) = space
    values = distribution.rvs(50, random_state=0).tolist()
    back = parameter.decode(parameter.encode(values))
    np.testing.assert_allclose(back, values, rtol=1e-6)  # expon: 1e-9 of the unit interval
    for again in (pickle.loads(pickle.dumps(space)), copy.deepcopy(space), SearchSpace.from_dict(space.to_dict())):
        assert again == space
        assert next(iter(again)).decode(np.array([[0.3]])) == parameter.decode(np.array([[0.3]]))


def test_the_ends_of_an_unbounded_distribution_are_finite():
    """The unit interval has ends; the normal distribution has none."""
    low, high = DistributionHP("x", "norm").decode(np.array([[0.0], [1.0]]))
    assert st.norm.cdf(low) == pytest.approx(1e-9)
    assert high == pytest.approx(-low, rel=1e-6)
    assert not DistributionHP("x", "norm").contains(float("inf"))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (st.uniform(1, 2), RangeHP("x", 1.0, 3.0)),
        (st.loguniform(0.1, 10), LogRangeHP("x", 0.1, 10.0)),
        (st.randint(2, 9), RangeHP("x", 2, 8)),
        (st.randint(2, 3), FixedHP("x", 2)),
        (st.norm(3, 2), DistributionHP("x", "norm", (3, 2))),
        ([1, 10, 100], OrdinalHP("x", [1, 10, 100])),
        (np.array([3.0, 2.0, 1.0]), OrdinalHP("x", [3.0, 2.0, 1.0])),
        (range(1, 8, 2), OrdinalHP("x", [1, 3, 5, 7])),
        ([1, 3, 2], ChoiceHP("x", [1, 3, 2])),
        ([1, 2], ChoiceHP("x", [1, 2])),
        ([False, True, 2], ChoiceHP("x", [False, True, 2])),
        ([None, 1, 2], ChoiceHP("x", [None, 1, 2])),
        (("l1", "l2"), ChoiceHP("x", ["l1", "l2"])),
        (["l1"], FixedHP("x", "l1")),
        (RangeHP("x", 0, 3), RangeHP("x", 0, 3)),
    ],
    ids=repr,
)
def test_an_entry_of_a_dict_becomes_the_parameter_that_is_like_it(given, kind):
    """Numbers in order are ordinal, others a choice; the commonest distributions are our own ranges."""
    assert space_of({"x": given}) == SearchSpace([kind])


class OnlyDraws:
    """What RandomizedSearchCV also takes: something that can only be drawn from."""

    def rvs(self, random_state=None):
        """Return a number."""
        return 0.5


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"x": OnlyDraws()}, "x: must be a parameter such as RangeHP, a list of values, or a frozen distribution"),
        ({"x": st.norm}, "x: must be a parameter such as RangeHP"),
        ({"x": st.rv_histogram(np.histogram([1.0, 2.0]))}, "x: must be a parameter such as RangeHP"),
        ({"x": st.multivariate_normal([0, 1])}, "x: must be a parameter such as RangeHP"),
        ({"x": "rbf"}, "x: must be a parameter such as RangeHP"),
        ({"x": 3}, "x: must be a parameter such as RangeHP"),
        ({"x": st.uniform(0, 0)}, "x: scipy.stats.uniform has no values for"),
        ({"x": []}, "x: choices must hold at least one value"),
        ({"x": [1, 3, 1]}, "x: choices must differ"),
        ({"x": RangeHP("y", 0, 1)}, "space: 'x' must hold a parameter of that name, got 'y'"),
        ({}, "space: must hold at least one parameter"),
        ([{"x": [1, 2]}, {"y": [1, 2]}], "space: must be one dict; .* children"),
        ("rbf", "space: "),
        ({3: [1, 2]}, "name: must be a string"),
    ],
)
def test_what_is_no_space_says_what_to_write(given, text):
    """The error names the parameter and the remedy."""
    with pytest.raises(SpaceError, match=text):
        space_of(given)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nowhere",), "x: family must be the name of a distribution"),
        (("multivariate_normal",), "x: family must be the name"),
        ((3,), "x: family must be the name"),
        (("norm", (0, 1, 2, 3)), "x: norm of scipy.stats raised"),
        (("norm", (0, -1)), "x: norm must have more than one value"),
    ],
)
def test_a_distribution_that_scipy_does_not_make_is_an_error(arguments, text):
    """Its name or its arguments are wrong."""
    with pytest.raises(SpaceError, match=text):
        DistributionHP("x", *arguments)
