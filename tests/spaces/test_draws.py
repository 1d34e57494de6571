"""Constraints in rows, and draws where few are allowed: the same answers as one by one, the prior under constraints."""

import math
import time

import numpy as np
import pytest

from autohpo import ChoiceHP, FixedHP, LinearConstraint, LogRangeHP, OrdinalHP, RangeHP, SearchSpace, SpaceError
from autohpo.spaces.draws import meet

PARAMETERS = [
    RangeHP("a", 0.0, 1.0, step=0.1),
    RangeHP("b", 0.0, 1.0),
    RangeHP("n", -3, 9),
    LogRangeHP("k", 1, 100),
    ChoiceHP("act", ["relu", "tanh", None]),
    ChoiceHP("flag", [True, False]),
    ChoiceHP("odd", [1, 2.5, "x", True]),
    OrdinalHP("size", [0.1, 0.2, 0.3, 1.0]),
    FixedHP("c", 0.3),
    RangeHP("d", 0.0, 1.0, step=0.1),
]


def random_formula(rng, depth=3):
    """A formula of numbers, truths and strings, some of which cannot be computed."""

    def number(depth):
        if depth == 0 or rng.random() < 0.2:
            return rng.choice(["a", "b", "n", "k", "size", "c", "d", "0.3", "0.1", "2", "0", "-1", "1.5", "flag"])
        match rng.integers(7):
            case 0 | 1 | 2:
                return f"({number(depth - 1)} {rng.choice(['+', '-', '*', '/', '//', '%'])} {number(depth - 1)})"
            case 3:
                return f"({number(depth - 1)} ** {rng.choice(['2', '3', '0.5', 'n'])})"
            case 4:
                return f"{rng.choice(['abs', 'sqrt', 'log', 'int', 'round'])}({number(depth - 1)})"
            case 5:
                return f"{rng.choice(['max', 'min'])}({number(depth - 1)}, {number(depth - 1)})"
        return f"sum([{number(depth - 1)}, {number(depth - 1)}, 0.1])"

    def truth(depth):
        match rng.integers(8):
            case 0:
                return f"act {rng.choice(['==', '!='])} {rng.choice(['None', repr('relu'), '3'])}"
            case 1:
                return f"act in ['relu', {number(0)}]"
            case 2:
                return f"{number(depth)} in [0.3, 1, {number(1)}]"
            case 3 if depth:
                return f"({truth(depth - 1)} {rng.choice(['and', 'or'])} {truth(depth - 1)})"
            case 4 if depth:
                return f"not {truth(depth - 1)}"
            case 5:
                return f"odd {rng.choice(['==', '!='])} {number(0)}"
            case 6:
                return f"0.1 <= {number(depth)} < {number(depth)}"
        return f"{number(depth)} {rng.choice(['<', '<=', '==', '>=', '>', '!='])} {number(depth)}"

    return truth(depth)


def answers(ask, given):
    """The answers, or that there is an error: which configuration it names first may differ."""
    try:
        return list(ask(given))
    except SpaceError:
        return "error"


def test_formulas_in_rows_say_what_they_say_one_by_one():
    """Of random formulas each either gives the same answers, or the same error."""
    rng = np.random.default_rng(0)
    hps = SearchSpace(PARAMETERS).decode(rng.random((40, 9)))
    n_tested = 0
    while n_tested < 150:
        formula = random_formula(rng)
        try:
            space = SearchSpace(PARAMETERS, constraints=[formula])
        except SpaceError:  # it names no parameter, and is false
            continue
        n_tested += 1
        wanted = answers(lambda given, one=space.is_allowed: list(map(one, given)), hps)
        assert answers(space.allows, hps) == wanted, formula
        assert answers(space.allowed, space.encode(hps)) == wanted, formula


def test_linear_constraints_in_rows_say_what_they_say_one_by_one():
    """Bounds on both sides, with the same slack."""
    constraint = LinearConstraint({"a": 1, "d": 1, "n": -0.1}, lower=0.2, upper=0.3)
    space = SearchSpace(PARAMETERS, constraints=[constraint])
    hps = space.decode(np.random.default_rng(0).random((500, 9)))
    wanted = [constraint.allows(hp) for hp in hps]
    assert meet([constraint], hps).tolist() == wanted
    assert 5 < sum(wanted) < 495


def test_a_constraint_on_a_parameter_that_is_not_always_there_counts_where_it_is():
    """In rows as one by one."""
    choice = ChoiceHP("opti", ["sgd", "adam"], children={"sgd": [RangeHP("momentum", 0.0, 1.0)]})
    space = SearchSpace([choice, RangeHP("x", 0.0, 1.0)], constraints=["momentum < 0.1", "x < 0.5"])
    units = np.random.default_rng(0).random((200, space.n_columns))
    assert space.allowed(units).tolist() == [space.is_allowed(hp) for hp in space.decode(units)]
    hps = space.sample(np.random.default_rng(0), 200)
    assert {hp["opti"] for hp in hps} == {"sgd", "adam"}
    assert all(space.is_allowed(hp) for hp in hps)


CUBE = [RangeHP(f"x{i}", 0.0, 1.0) for i in range(6)]


@pytest.mark.parametrize(
    "constraint",
    [
        "x0 < 0.001",
        "x0 < 4.5e-6",
        "x0 + x1 < 0.001",
        "abs(x0 - x1) < 1e-4",
        "x0 * x1 * x2 > 0.98",
        "x0 ** 2 + x1 ** 2 < 1e-5",
        "1 / x0 > 1e6",
        "x0 < 1e-5 or x1 > 0.99999",
        LinearConstraint(dict.fromkeys([f"x{i}" for i in range(6)], 1), upper=0.1),
    ],
)
def test_draws_are_found_where_almost_nothing_is_allowed(constraint):
    """Shares down to 1e-9, in far less than a second."""
    space = SearchSpace(CUBE, constraints=[constraint])
    started = time.process_time()
    hps = space.sample(np.random.default_rng(0), 100)
    assert time.process_time() - started < 2.0  # a hundredth is usual
    assert len(hps) == 100
    assert all(space.is_allowed(hp) for hp in hps)
    assert hps == space.sample(np.random.default_rng(0), 100)  # whatever was drawn before


def test_draws_under_constraints_are_those_of_the_prior():
    """Within a triangle: the mean is a third of its side, within five standard errors."""
    space = SearchSpace(CUBE[:2], constraints=["x0 + x1 < 0.03"])
    points = np.array([[hp["x0"], hp["x1"]] for hp in space.sample(np.random.default_rng(0), 4000)]) / 0.03
    error = math.sqrt(1 / 18 / 4000)
    assert np.abs(points.mean(axis=0) - 1 / 3).max() < 5 * error


def test_draws_of_a_function_are_bounded():
    """It may end with fewer, and says so where nothing is allowed at all."""
    space = SearchSpace(CUBE, constraints=[lambda hp: hp["x0"] < 0.01])
    found = space.sample(np.random.default_rng(0), 400, most_draws=1000)
    assert 1 <= len(found) < 100
    for constraint in ("x0 > 2", "x0 + x1 == 1.0"):
        with pytest.raises(SpaceError, match="constraints: some draws must meet"):
            SearchSpace(CUBE, constraints=[constraint]).sample(np.random.default_rng(0), 1)


def test_without_constraints_draws_are_the_plain_ones():
    """Bit for bit."""
    space = SearchSpace(PARAMETERS)
    rng = np.random.default_rng(3)
    assert space.sample(np.random.default_rng(3), 9) == space.decode(rng.random((9, space.n_columns)))


class ThirdHP(RangeHP):
    """A kind that builds on a range and decodes otherwise: larger points are smaller values."""

    def decode(self, units):
        return [self.high - value for value in super().decode(units)]


def test_a_kind_that_decodes_in_its_own_way_is_constrained_by_its_own_values():
    """Rows and boxes are made of what it decodes."""
    space = SearchSpace([ThirdHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], constraints=["x < 0.1", "y < 0.1"])
    assert all(hp["x"] < 0.1 and hp["y"] < 0.1 for hp in space.sample(np.random.default_rng(0), 20))
