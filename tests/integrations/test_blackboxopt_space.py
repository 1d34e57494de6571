"""Spaces of parameterspace, read: each library judges the other's configurations, and their densities are compared."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo import BetaPrior, ChoiceHP, FixedHP, LogRangeHP, NormalPrior, OrdinalHP, RangeHP, SearchSpace, SpaceError
from autohpo.spaces import WeightedPrior

pytest.importorskip("blackboxopt", reason="the extra autohpo[blackboxopt] is not installed")

import parameterspace as ps
from parameterspace.priors import Beta, Categorical, TruncatedNormal
from parameterspace.priors.base import BasePrior
from parameterspace.transformations import Cat2Num, LogZeroOneFloat, ZeroOneFloat, ZeroOneInteger

from autohpo.integrations.blackboxopt import from_parameterspace


def of(*parameters):
    """A space of theirs, of parameters or of pairs of a parameter and a condition."""
    space = ps.ParameterSpace(seed=0)
    for one in parameters:
        space.add(*(one if isinstance(one, tuple) else (one,)))
    return space


def agree(there, n=60):
    """Fails unless each library takes the other's draws; returns the space of ours."""
    before = copy.deepcopy(there.to_dict())
    here = from_parameterspace(there)
    assert there.to_dict() == before  # also its generator
    for _ in range(n):
        here.check(there.sample())
    for hp in here.sample(np.random.default_rng(0), n):
        assert set(here.active(hp)) == set(hp)
        if None not in hp.values():  # which theirs takes for missing
            assert there.check_validity(dict(hp)), hp
    return here


Float, Int = ps.ContinuousParameter, ps.IntegerParameter
Category, Order = ps.CategoricalParameter, ps.OrdinalParameter


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (Float("x", (-2, 2)), RangeHP("x", -2.0, 2.0)),
        (Float("x", (1e-4, 0.1), transformation="log"), LogRangeHP("x", 1e-4, 0.1)),
        (Float("x", (0.0, 1.0), transformation=LogZeroOneFloat((0.5, 1.0))), None),
        (Int("x", (1, 32)), RangeHP("x", 1, 32)),
        (Int("x", (1, 32), transformation="log"), LogRangeHP("x", 1, 32)),
        (Int("x", (3, 3)), FixedHP("x", 3)),
        (Float("x", (0.5, 0.5)), FixedHP("x", 0.5)),
        (Category("x", [True, False]), ChoiceHP("x", [True, False])),
        (Category("x", ("a", None, (1, 2))), ChoiceHP("x", ["a", None, (1, 2)])),
        (Category("x", ("a", "b"), prior=[1, 3]), ChoiceHP("x", ["a", "b"], prior=[0.25, 0.75])),
        (Category("x", ("a", "b"), prior=[2, 2]), ChoiceHP("x", ["a", "b"])),
        (Order("x", ("s", "m", "l")), OrdinalHP("x", ["s", "m", "l"])),
        (Order("x", [1, 10, 100], prior=Beta(2, 3)), OrdinalHP("x", [1, 10, 100], BetaPrior(2.0, 3.0))),
        (Float("x", (0.0, 4.0), prior=TruncatedNormal(0.25, 0.5)), RangeHP("x", 0.0, 4.0, prior=NormalPrior(1.0, 2.0))),
        (Int("x", (1, 3), prior=Categorical([1, 2, 1])), RangeHP("x", 1, 3, prior=WeightedPrior([0.25, 0.5, 0.25]))),
    ],
    ids=str,
)
def test_each_kind_has_its_counterpart(theirs, ours):
    """Written by hand on both sides."""
    if ours is None:
        with pytest.raises(SpaceError, match=r"^x: transformation must have the bounds"):
            from_parameterspace(of(theirs))
    else:
        assert agree(of(theirs)) == SearchSpace([ours])


PRIORS = [TruncatedNormal(0.2, 0.1), TruncatedNormal(1.3, 0.4), Beta(2.0, 5.0), Beta(0.6, 0.7)]


def below(prior, place):
    """The share of a prior of theirs below a place on the scale, by scipy."""
    return (prior.sps_dist if isinstance(prior, TruncatedNormal) else prior.sps_beta_dist).cdf(place)


@pytest.mark.parametrize("prior", PRIORS, ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda prior: Float("x", (-3.0, 5.0), prior=prior),
        lambda prior: Float("x", (1e-5, 10.0), transformation="log", prior=prior),
        lambda prior: Int("x", (-4, 9), prior=prior),
        lambda prior: Int("x", (1, 40), transformation="log", prior=prior),
        lambda prior: Order("x", ["a", "b", "c", "d", "e"], prior=prior),
    ],
    ids=["float", "log float", "int", "log int", "ordinal"],
)
def test_a_prior_gives_every_value_the_share_that_it_has_there(make, prior):
    """Oracle: scipy's distribution functions; a thousandth of ours is uniform, and our table has a thousand nodes."""
    theirs = make(prior)
    (ours,) = from_parameterspace(of(theirs))
    if ours.n_values is None:
        places = np.linspace(0.01, 0.99, 50)
        units = ours.encode([theirs.num2val(place) for place in places])[:, 0]
        wanted = [below(prior, place) for place in places]
    else:
        values = ours.grid(100)
        (edges,) = ours.column_edges
        starts = [_start(theirs, value) for value in values[1:]]
        units, wanted = edges[1:-1], [below(prior, start) for start in starts]
    assert np.allclose(units, wanted, atol=2.5e-3)


def _start(theirs, value):
    """The place where the cell of a value begins."""
    transformation = theirs._transformation
    if isinstance(theirs, Order):
        return theirs.val2num(value) - 0.5 / theirs.num_values
    if isinstance(transformation, ZeroOneInteger):
        return (value - transformation.input_bounds[0]) / transformation.interval_size
    return (math.log(value - 0.5) - transformation.log_bounds[0]) / transformation.log_interval_size


def test_a_fixed_parameter_is_a_value_that_nobody_searches():
    """Also where a condition depends on it, and where what it decides is decided with it."""
    there = of(
        Category("opti", ("adam", "sgd")),
        (Float("momentum", (0, 1)), lambda opti: opti == "sgd"),
        (Float("beta", (0, 1)), lambda opti: opti == "adam"),
        Int("n", (1, 4)),
        (Float("z", (0, 1)), lambda opti, n: opti == "sgd" and n > 2),
    )
    there.fix(opti="sgd")
    here = agree(there)
    assert set(here.names) == {"opti", "momentum", "n", "z"}
    assert here["opti"] == FixedHP("opti", "sgd")
    assert here.deciders("momentum") == ()
    assert set(here.deciders("z")) == {"opti", "n"}


def test_a_condition_on_one_category_makes_a_child():
    """For values of any kind, since nothing is written down."""
    is_pair = lambda arch: arch == (1, 2)
    is_len = lambda arch: arch is len
    is_none = lambda arch: arch is None
    there = of(Category("arch", ((1, 2), None, len)), (Float("a", (0, 1)), is_pair), (Float("b", (0, 1)), is_len))
    there.add(Float("c", (0, 1)), is_none)  # never: a value None switches off what depends on it
    here = agree(there)
    assert [[child.name for child in under] for under in here["arch"].children] == [["a"], [], ["b"]]
    assert not here.is_active("c", {"arch": None})


limit = 3
powers = {(1, "s"), (2, "m")}
is_large_n = lambda n: n > 3
is_large_lr = lambda lr: lr > 1e-2
is_either = lambda lr, n: lr * n < 0.5 or n in (1, 7)
is_small = lambda lr: math.log(lr) < -3
is_m_or_l = lambda size: size in ("m", "l")
is_beyond = lambda n: n > limit
is_power = lambda n: n & (n - 1) == 0
is_listed = lambda n, size: (n, size) in powers
is_not_a = lambda maybe: maybe != "a"


@pytest.mark.parametrize(
    ("condition", "formula"),
    [
        (is_large_n, "n > 3"),
        (is_large_lr, "lr > 1e-2"),
        (is_either, "lr * n < 0.5 or n in (1, 7)"),
        (is_small, "log(lr) < -3"),
        (is_m_or_l, "size in ('m', 'l')"),
        (is_beyond, "n in [4, 5, 6, 7, 8]"),
        (is_power, "n in [1, 2, 4, 8]"),
        (is_listed, "[n, size] in [[1, 's'], [2, 'm']]"),
        (is_not_a, "maybe is not None and (maybe != 'a')"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_other_conditions_become_formulas_that_say_the_same(condition, formula):
    """Those that are read as they stand, and those that are listed because they know more than their arguments."""
    plain = [
        Int("n", (1, 8)),
        Float("lr", (1e-4, 1.0), transformation="log"),
        Order("size", ("s", "m", "l")),
        Order("maybe", ("a", None, "b")),
    ]
    here = agree(of(*plain, (Float("x", (0, 1)), condition)))
    assert here.formulas["x"].replace('"', "'") == formula


def test_a_condition_is_its_function_and_not_the_text_that_was_found_for_it():
    """Of two functions on a line the library finds the text of the first, and takes in what stands behind it."""
    # fmt: off
    one, two = (lambda n: n > 2), (lambda n: n > 6)
    there = of(Int("n", (1, 8)), Float("lr", (0, 1)), (Float("x", (0, 1)), one), (Float("y", (0, 1)), two))
    there.add(condition=lambda lr: lr > 0.5, parameter=Float("z", (0, 1)))
    near, nearer = (lambda lr: lr > 0.5), (lambda lr: lr > 0.500001)
    # fmt: on
    with pytest.raises(SpaceError, match=r"^b: condition must be a formula"):  # its text is that of a
        from_parameterspace(of(Float("lr", (0, 1)), (Float("a", (0, 1)), near), (Float("b", (0, 1)), nearer)))
    assert there["y"]["condition"].function_texts == there["x"]["condition"].function_texts
    here = agree(there)
    assert [here.is_active("y", {"n": n}) for n in range(1, 9)] == [n > 6 for n in range(1, 9)]
    assert here.formulas["z"] == "lr > 0.5"


def test_conditions_on_conditional_parameters_and_of_subspaces_hold_together():
    """A parameter is only active where those that decide about it are."""
    inner = of(Category("kind", ("a", "b")), (Int("k", (1, 4)), lambda kind: kind == "a"))
    there = of(Category("opti", ("adam", "sgd")), (Int("n", (1, 8)), lambda opti: opti == "sgd"))
    there.add(Float("x", (0, 1)), lambda n: n > 4)
    there.add(inner, lambda opti: opti == "adam")
    assert from_parameterspace(there).formulas == {"x": "n > 4"}  # what decides about n is told there
    for space in (there, there.copy()):
        here = agree(space, 200)
        active = {frozenset(hp) for hp in here.sample(np.random.default_rng(1), 400)}
        assert active == {
            frozenset({"opti", "n"}),
            frozenset({"opti", "n", "x"}),
            frozenset({"opti", "kind"}),
            frozenset({"opti", "kind", "k"}),
        }


class Odd(BasePrior):
    """A prior of a user's own."""

    def __init__(self):
        super().__init__((0, 1))

    def pdf(self, value):
        return 1.0

    def sample(self, num_samples=None, random_state=np.random):
        return 0.5


class OddParameter(Float):
    """A parameter of a user's own."""


exceeds = lambda lr: lr > limit
divides = lambda lr: 1 / (lr - lr) > 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([OddParameter("x", (0, 1))], r"x: must be a continuous, integer, .* got OddParameter"),
        ([Float("x", (0, 1), prior=Odd())], r"x: prior must be uniform, normal, beta or weights .* got Odd"),
        ([Float("x", (0, 1), prior=Categorical([1, 2]))], r"x: prior of a continuous parameter must be smooth"),
        ([Int("x", (1, 3), prior=Categorical([1, 2]))], r"x: prior must have a weight for each of 3 values, got 2"),
        ([Int("x", (1, 3), transformation=ZeroOneFloat((1, 3)))], r"x: transformation must be .* got ZeroOneFloat"),
        (
            [Category("x", ("a", "b"), transformation=Cat2Num(["a", "c"]))],
            r"x: transformation must be that of its values",
        ),
        ([Float("x", (1, 0))], r"x: low must be below high"),
        ([Category("x", ("a", "a"))], r"x: choices must differ"),
        ([Float("lr", (0, 1)), (Float("x", (0, 1)), exceeds)], r"x: condition must be a formula .* of lr$"),
        ([Float("lr", (0, 1)), (Float("x", (0, 1)), divides)], r"x: condition .* raised ZeroDivision"),
        (
            [Float("x", (1e-300, 1e300), transformation="log", prior=TruncatedNormal(9, 1))],
            r"x: prior must have a mean",
        ),
        ([], r"space: must hold at least one parameter|parameter"),
    ],
)
def test_what_cannot_be_expressed_is_named(parameters, message):
    """Never read as something near it."""
    with pytest.raises(SpaceError, match=message):
        from_parameterspace(of(*parameters))


def test_something_else_is_no_space():
    """The order of arguments is easily mixed up."""
    with pytest.raises(SpaceError, match="search_space: must be a ParameterSpace, got 'tpe'"):
        from_parameterspace("tpe")


@st.composite
def spaces(draw):
    """Spaces with a conditional parameter."""
    low, n = draw(st.integers(1, 40)), draw(st.integers(1, 60))
    log = draw(st.sampled_from(["log", None]))
    prior = draw(st.sampled_from([None, *PRIORS]))
    values = draw(st.lists(st.integers() | st.text(), min_size=1, max_size=5, unique_by=repr))
    chosen = draw(st.sampled_from(values))
    return of(
        Int("i", (low, low + n), transformation=log, prior=prior),
        Float("c", (low / 7, low / 7 + n), transformation=log, prior=prior),
        Category("k", values, prior=draw(st.sampled_from([None, [1.0 + i for i in range(len(values))]]))),
        Order("o", values, prior=prior),
        (Float("under", (0, 1)), lambda k: k == chosen),
        (Float("beyond", (0, 1)), lambda i, k: i > 7 and k == chosen),
    )


@given(spaces())
@settings(max_examples=60, deadline=None)
def test_any_space_takes_the_draws_of_the_other_library(there):
    """And the other way round."""
    agree(there, 20)
