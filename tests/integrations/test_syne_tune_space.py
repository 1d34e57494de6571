"""Configuration spaces of Syne Tune: which values they have, how likely each is, and what is tried first."""

from __future__ import annotations

import argparse
import json
import math

import numpy as np
import pytest

from autohpo import SearchSpace, SpaceError
from autohpo.integrations.syne_tune import config_space as cs
from autohpo.integrations.syne_tune.points import first_points, split
from autohpo.spaces import ChoiceHP, FixedHP, LogRangeHP, OrdinalHP, RangeHP


@pytest.mark.parametrize(
    ("domain", "wanted"),
    [
        (cs.uniform(0, 10), RangeHP("x", 0.0, 10.0)),
        (cs.loguniform(1e-4, 1), LogRangeHP("x", 1e-4, 1.0)),
        (cs.randint(1, 8), RangeHP("x", 1, 8)),
        (cs.lograndint(8, 512), LogRangeHP("x", 8, 512)),
        (cs.choice(["a", "b"]), ChoiceHP("x", ["a", "b"])),
        (cs.ordinal(["s", "m", "l"]), OrdinalHP("x", ["s", "m", "l"])),
        (cs.ordinal([8, 16, 64], kind="equal"), OrdinalHP("x", [8, 16, 64])),
        (cs.ordinal([1, 2, 3]), OrdinalHP("x", [1, 2, 3])),
        (cs.logordinal([1, 10, 100]), OrdinalHP("x", [1, 10, 100])),
        (cs.finrange(0, 1, 5), OrdinalHP("x", [0.0, 0.25, 0.5, 0.75, 1.0])),
        (cs.quniform(0, 1, 0.25), RangeHP("x", 0.0, 1.0, step=0.25)),
        (cs.qrandint(2, 10, 4), RangeHP("x", 2, 10, step=4)),
        (cs.qlograndint(32, 256, 32), LogRangeHP("x", 32, 256, step=32)),
        (cs.qloguniform(0.5, 2.0, 0.5), LogRangeHP("x", 0.5, 2.0, step=0.5)),
        (cs.uniform(2, 2), FixedHP("x", 2.0)),
        (cs.choice(["only"]), FixedHP("x", "only")),
        (cs.finrange(3, 3, 1, cast_int=True), FixedHP("x", 3)),
    ],
)
def test_a_domain_is_a_parameter_of_ours(domain, wanted):
    """Of the same kind, values and scale."""
    assert domain.parameter("x") == wanted


@pytest.mark.parametrize(
    ("domain", "low", "high"),
    [
        (cs.uniform(-1, 2), -1.0, 2.0),
        (cs.loguniform(1e-3, 0.1), 1e-3, 0.1),
        (cs.reverseloguniform(0.9, 0.999), 0.9, 0.999),
        (cs.randint(1, 4), 1, 4),
        (cs.lograndint(3, 99), 3, 99),
        (cs.finrange(0.1, 0.7, 4), 0.1, 0.7),
        (cs.logfinrange(2, 32, 5, cast_int=True), 2, 32),
    ],
)
def test_both_bounds_are_values(domain, low, high):
    """The ends of the unit interval are the bounds, and both are valid; beyond them nothing is."""
    assert domain.parameter("x").decode(np.array([[0.0], [1.0]])) == [low, high]
    assert domain.is_valid(low)
    assert domain.is_valid(high)
    assert not domain.is_valid(domain.value_type(2 * high + 1))


def test_the_largest_integer_is_as_likely_as_any_other():
    """Four integers have a quarter each: Syne Tune's bounds are included, unlike Python's range."""
    np.testing.assert_allclose(cs.randint(1, 4).parameter("x").edges, [0, 0.25, 0.5, 0.75, 1])


def test_the_reversed_logarithm_is_even_in_the_distance_to_one():
    """The quantiles of 1 - x are those of a uniform logarithm; encoding leads back."""
    parameter = cs.reverseloguniform(0.9, 0.9999).parameter("x")
    units = np.linspace(0, 1, 11)
    values = parameter.decode(units[:, None])
    np.testing.assert_allclose(1 - np.array(values), 10.0 ** (-1 - 3 * units), rtol=1e-9)
    np.testing.assert_allclose(parameter.encode(values)[:, 0], units, atol=1e-9)
    again = SearchSpace([type(parameter).from_dict(parameter.to_dict())])
    assert again.parameters[0] == parameter


@pytest.mark.parametrize(("lower", "upper", "size"), [(0.1, 0.5, 5), (-3, 7, 11), (1, 2, 2), (0, 100, 7)])
def test_a_finite_range_has_the_numbers_of_linspace(lower, upper, size):
    """Also rounded; a value that is cast becomes the nearest one."""
    values = np.linspace(lower, upper, size)
    np.testing.assert_allclose(cs.finrange(lower, upper, size).values, values, rtol=1e-12)
    assert cs.finrange(lower, upper, size, cast_int=True).values == np.rint(values).tolist()
    domain = cs.finrange(lower, upper, size)
    for given in np.linspace(lower - 1, upper + 1, 23):
        nearest = np.min(np.abs(values - given))
        assert abs(domain.cast(given) - given) == pytest.approx(nearest)


@pytest.mark.parametrize(("lower", "upper", "size"), [(1e-4, 1, 5), (1, 1024, 11), (3, 7, 2)])
def test_a_logarithmic_finite_range_has_the_numbers_of_geomspace(lower, upper, size):
    """Also rounded."""
    values = np.geomspace(lower, upper, size)
    np.testing.assert_allclose(cs.logfinrange(lower, upper, size).values, values, rtol=1e-9)
    assert cs.logfinrange(lower, upper, size, cast_int=True).values == np.rint(values).tolist()


def test_numbers_that_rounding_makes_equal_count_as_often_as_they_stand_there():
    """0, 0.5, 1, 1.5, 2 are 0, 0, 1, 2, 2: two fifths, a fifth and two fifths, but for the uniform share of a prior."""
    edges = cs.finrange(0, 2, 5, cast_int=True).parameter("x").edges
    np.testing.assert_allclose(np.diff(edges), [0.4, 0.2, 0.4], atol=1e-3)


@pytest.mark.parametrize("domain", [cs.ordinal([1, 2, 10]), cs.logordinal([1, 3, 4, 50]), cs.ordinal([0.5, 7, 8, 9.0])])
def test_rising_numbers_stand_for_what_is_nearest_on_their_scale(domain):
    """Brute force: points of the scale, half a mean distance beyond both ends, rounded to the nearest number."""
    places = np.array([float(one) for one in domain.categories])
    places = np.log(places) if domain.log_scale else places
    half = np.diff(places).mean() / 2
    on_scale = np.linspace(places[0] - half, places[-1] + half, 200_001)
    nearest = np.abs(on_scale[:, None] - places).argmin(axis=1)
    shares = np.bincount(nearest) / len(on_scale)
    np.testing.assert_allclose(np.diff(domain.parameter("x").edges), shares, atol=1.1e-3)  # a prior is 1e-3 uniform


@pytest.mark.parametrize(
    ("domain", "middle"),
    [
        (cs.uniform(0, 10), 5.0),
        (cs.loguniform(1e-4, 1), 1e-2),
        (cs.reverseloguniform(0.9, 0.99), 0.945),
        (cs.randint(0, 8), 4),
        (cs.randint(0, 7), 4),
        (cs.lograndint(1, 100), 10),
        (cs.choice(["relu", "tanh", "gelu"]), "relu"),
        (cs.ordinal(["s", "m", "l", "xl"]), "l"),
        (cs.ordinal([1, 2, 10]), 2),
        (cs.logordinal([1, 8, 64, 100]), 8),
        (cs.finrange(0, 1, 5), 0.5),
        (cs.logfinrange(1, 100, 3, cast_int=True), 10),
    ],
)
def test_without_points_the_middle_is_tried_first(domain, middle):
    """Arithmetic, on logarithmic scales geometric, of choices the first, of ordinals the one in the middle."""
    points = first_points({"x": domain, "epochs": 9}, None)
    assert [list(point) for point in points] == [["x"]]
    assert points[0]["x"] == pytest.approx(middle) if isinstance(middle, float) else points[0]["x"] == middle
    assert type(points[0]["x"]) is type(middle)


def test_points_are_completed_and_none_comes_twice():
    """A missing value is the middle; others take the domain's type; an empty list is no point; constants count not."""
    space = {"lr": cs.loguniform(1e-4, 1), "n": cs.randint(0, 8), "w": cs.finrange(0, 1, 5), "epochs": 9}
    given = [{"n": 3.0, "w": 0.3}, {}, {"lr": 1e-2, "n": 4, "w": 0.5, "epochs": 100}]
    points = first_points(space, given)
    assert points[0] == {"lr": pytest.approx(1e-2), "n": 3, "w": 0.25}
    assert type(points[0]["n"]) is int
    assert points[1] == {"lr": pytest.approx(1e-2), "n": 4, "w": 0.5}
    assert first_points(space, [{}, {}]) == first_points(space, None)
    assert first_points(space, []) == []


def test_constants_are_passed_through():
    """They are no parameters, whatever they are."""
    space, constants = split({"x": cs.uniform(0, 1), "epochs": 27, "path": "a/b", "sizes": [1, 2]})
    assert space.names == ("x",)
    assert constants == {"epochs": 27, "path": "a/b", "sizes": [1, 2]}


DOMAINS = [
    cs.uniform(0, 1),
    cs.loguniform(0.1, 1),
    cs.reverseloguniform(0.1, 0.9),
    cs.qlograndint(32, 256, 32),
    cs.choice(["a", "b"]),
    cs.ordinal(["a", "b"]),
    cs.logordinal([1, 2, 4]),
    cs.logfinrange(1, 8, 4, cast_int=True),
]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_a_domain_survives_json(domain):
    """As text and back."""
    assert cs.from_dict(json.loads(json.dumps(cs.to_dict(domain)))) == domain


def test_a_space_of_syne_tune_is_read_from_its_json():
    """Its own form: the class of the domain and its arguments, the sampler and its arguments; constants as they are."""
    theirs = {
        "lr": {
            "domain_cls": "Float",
            "domain_kwargs": {"lower": 1e-4, "upper": 1.0},
            "sampler_cls": "LogUniform",
            "sampler_kwargs": {"base": math.e},
        },
        "act": {
            "domain_cls": "Categorical",
            "domain_kwargs": {"categories": ["a", "b"]},
            "sampler_cls": "Uniform",
            "sampler_kwargs": {},
        },
        "epochs": 27,
    }
    wanted = {"lr": cs.loguniform(1e-4, 1.0), "act": cs.choice(["a", "b"]), "epochs": 27}
    assert cs.config_space_from_json_dict(theirs) == wanted
    assert cs.config_space_from_json_dict(cs.config_space_to_json_dict(wanted)) == wanted


def test_a_domain_is_restricted_to_what_lies_between_two_bounds():
    """A range gets new ends; of a finite range the numbers in between stay, with their distance."""
    assert cs.restrict_domain(cs.loguniform(1e-4, 1), 1e-3, 0.1) == cs.loguniform(1e-3, 0.1)
    assert cs.restrict_domain(cs.randint(0, 10), 2.2, 5) == cs.randint(2, 5)
    values = cs.finrange(0, 1, 11).values
    inside = cs.restrict_domain(cs.finrange(0, 1, 11), 0.25, 0.72)
    assert inside.values == pytest.approx([value for value in values if 0.25 <= value <= 0.72])
    with pytest.raises(SpaceError, match="must leave a value"):
        cs.restrict_domain(cs.finrange(0, 1, 3), 0.6, 0.9)
    with pytest.raises(SpaceError, match="domain of numbers"):
        cs.restrict_domain(cs.choice(["a"]), 0, 1)


def test_a_parser_gets_an_argument_for_each_name():
    """Of the type of its values, or of the constant."""
    parser = argparse.ArgumentParser()
    cs.add_to_argparse(parser, {"lr": cs.uniform(0, 1), "n": cs.randint(1, 3), "act": cs.choice(["a"]), "epochs": 9})
    args = parser.parse_args(["--lr", "0.5", "--n", "2", "--act", "a", "--epochs", "9"])
    assert vars(args) == {"lr": 0.5, "n": 2, "act": "a", "epochs": 9}


def test_draws_are_of_the_domain_and_follow_the_generator():
    """One value, or a list of several; old and new generators of numpy."""
    domain = cs.lograndint(2, 200)
    assert type(domain.sample()) is int
    draws = domain.sample(size=50, random_state=np.random.RandomState(1))
    assert draws == domain.sample(size=50, random_state=np.random.RandomState(1))
    assert all(domain.is_valid(one) for one in draws)
    assert len(set(draws)) > 10


def test_kinds_of_scales_and_sizes_are_told():
    """What Syne Tune's own helpers say."""
    assert [cs.is_log_space(one) for one in (cs.uniform(0, 1), cs.loguniform(1, 2), cs.logordinal([1, 2]))] == [0, 1, 1]
    assert cs.is_reverse_log_space(cs.reverseloguniform(0, 0.5))
    assert cs.is_uniform_space(cs.finrange(0, 1, 3))
    space = {"a": cs.randint(1, 3), "b": cs.choice(["x", "y"]), "c": 5}
    assert cs.config_space_size(space) == 6
    assert cs.config_space_size(space, upper_limit=5) is None
    assert cs.config_space_size({"a": cs.uniform(0, 1)}) is None
    assert cs.non_constant_hyperparameter_keys(space) == ["a", "b"]
    assert cs.cast_config_values({"a": 2.0, "b": "y", "z": 1}, space) == {"a": 2, "b": "y"}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: split({"x": 3}), "must have a domain"),
        (lambda: split([1]), "must be a dict"),
        (lambda: split({"x": cs.uniform(1, 0)}), "x: lower must be at most upper, got 1.0, 0.0"),
        (lambda: split({"x": cs.loguniform(0, 1)}), "x: low must be above 0"),
        (lambda: split({"x": cs.randint(0.5, 3)}), "x: lower must be an integer, got 0.5"),
        (lambda: split({"x": cs.reverseloguniform(0.5, 1.0)}), "x: ends must be rising, from 0 on and below 1"),
        (lambda: split({"x": cs.quniform(0, 1, 0.3)}), "x: step must lead from low to high exactly"),
        (lambda: split({"x": cs.logordinal([0, 1])}), "x: numbers must be positive"),
        (lambda: split({"x": cs.ordinal([2, 1], kind="nn")}), "x: numbers must rise"),
        (lambda: split({"x": cs.choice(["a", "a"])}), "x: choices must differ"),
        (lambda: cs.choice([]), "categories: must be a list that is not empty"),
        (lambda: cs.ordinal([1, 2], kind="log"), "kind: must be 'equal', 'nn' or 'nn-log', got 'log'"),
        (lambda: cs.finrange(0, 1, 0), "size: must be an integer of at least 1, got 0"),
        (lambda: cs.logfinrange(0, 1, 3), "lower must be positive"),
        (lambda: first_points({"x": cs.uniform(0, 1)}, [{"x": 2}]), "points_to_evaluate: x must be in"),
        (lambda: first_points({"x": cs.choice(["a"])}, [{"x": "b"}]), "points_to_evaluate: x cannot be 'b'"),
        (lambda: first_points({"x": cs.randint(0, 3)}, [{"x": "b"}]), "points_to_evaluate: x cannot be 'b'"),
        (lambda: cs.from_dict({"domain_cls": "Fuzzy"}), "domain_cls: must be one of Float"),
    ],
)
def test_what_makes_no_space_is_refused(make, text):
    """The error names the parameter or argument, the rule and the value."""
    with pytest.raises(SpaceError) as caught:
        make()
    assert text in str(caught.value)
