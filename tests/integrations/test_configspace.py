"""ConfigSpace's spaces, read and written: each library judges the other's configurations."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, SpaceError
from autohpo.integrations.configspace import from_configspace, to_configspace
from autohpo.spaces import Belief, BetaPrior, LinearConstraint, ListHP, NormalPrior, OrdinalHP, PermutationHP

CS = pytest.importorskip("ConfigSpace", reason="the extra autohpo[configspace] is not installed")
forbidden = pytest.importorskip("ConfigSpace.forbidden")


def plain(configuration):
    """A configuration of ConfigSpace with Python's own types."""
    return {name: v.item() if isinstance(v, np.generic) else v for name, v in dict(configuration).items()}


def is_legal_there(made, hp):
    """Whether ConfigSpace takes a configuration of ours as it is."""
    try:
        CS.Configuration(made, values=hp)
    except CS.exceptions.ForbiddenValueError:
        return False
    return True


def agree(space, made, n=25):
    """Fails unless each library takes n draws of the other, and both refuse the same."""
    for configuration in made.sample_configuration(n):
        space.check(plain(configuration))
    unconstrained = SearchSpace(space.roots, conditions=space.formulas)
    for hp in unconstrained.sample(np.random.default_rng(0), n):
        assert is_legal_there(made, hp) == space.is_allowed(hp), hp


@pytest.mark.parametrize(
    ("hp", "there"),
    [
        (RangeHP("x", 0.0, 2.0), lambda: CS.UniformFloatHyperparameter("x", 0, 2)),
        (RangeHP("x", -3, 4), lambda: CS.UniformIntegerHyperparameter("x", -3, 4)),
        (LogRangeHP("x", 1e-4, 1e-1), lambda: CS.UniformFloatHyperparameter("x", 1e-4, 1e-1, log=True)),
        (LogRangeHP("x", 1, 64), lambda: CS.UniformIntegerHyperparameter("x", 1, 64, log=True)),
        (RangeHP("x", 0.0, 1.0, prior=NormalPrior(0.2, 1.0)), lambda: CS.NormalFloatHyperparameter("x", 0.2, 1, 0, 1)),
        (RangeHP("x", 1, 9, prior=NormalPrior(3.0, 2.0)), lambda: CS.NormalIntegerHyperparameter("x", 3, 2, 1, 9)),
        (RangeHP("x", 0.0, 1.0, prior=BetaPrior(2.0, 5.0)), lambda: CS.BetaFloatHyperparameter("x", 2, 5, 0, 1)),
        (RangeHP("x", 1, 9, prior=BetaPrior(2.0, 3.0)), lambda: CS.BetaIntegerHyperparameter("x", 2, 3, 1, 9)),
        (ChoiceHP("x", ["a", None, 2]), lambda: CS.CategoricalHyperparameter("x", ["a", None, 2])),
        (ChoiceHP("x", [(1, 2), "a"]), lambda: CS.CategoricalHyperparameter("x", [(1, 2), "a"])),
        (ChoiceHP("x", [1, "b"], prior=[1, 3]), lambda: CS.CategoricalHyperparameter("x", [1, "b"], weights=[1, 3])),
        (OrdinalHP("x", ["s", "m", "l"]), lambda: CS.OrdinalHyperparameter("x", ["s", "m", "l"])),
        (FixedHP("x", "v"), lambda: CS.Constant("x", "v")),
    ],
    ids=lambda item: str(item) if isinstance(item, (RangeHP, LogRangeHP, ChoiceHP, OrdinalHP, FixedHP)) else "",
)
def test_a_parameter_goes_there_and_back(hp, there):
    """Its kind, ends, scale, values, weights and distribution; the default value is the middle of its prior."""
    made = CS.ConfigurationSpace()
    made.add(there())
    assert from_configspace(made) == SearchSpace([hp])
    written = to_configspace(SearchSpace([hp]))["x"]
    wanted = there()
    assert type(written) is type(wanted)
    for field in ("lower", "upper", "log", "mu", "sigma", "alpha", "beta", "choices", "weights", "sequence", "value"):
        assert getattr(written, field, None) == getattr(wanted, field, None), field


@pytest.mark.parametrize(
    "make",
    [
        lambda: CS.NormalFloatHyperparameter("x", mu=3, sigma=1, lower=1, upper=6),
        lambda: CS.NormalFloatHyperparameter("x", mu=0.01, sigma=0.3, lower=1e-4, upper=1, log=True),
        lambda: CS.NormalFloatHyperparameter("x", mu=5, sigma=2, lower=1, upper=100, log=True),
        lambda: CS.BetaFloatHyperparameter("x", alpha=2, beta=5, lower=1e-3, upper=1, log=True),
        lambda: CS.BetaFloatHyperparameter("x", alpha=3, beta=2, lower=-1, upper=1),
    ],
)
def test_a_prior_is_the_distribution_of_configspace(make):
    """Our quartiles among 20,000 draws there: the standard error of a quartile's rank is .0031, and .001 is uniform."""
    made = CS.ConfigurationSpace(seed=0)
    made.add(make())
    for space in (from_configspace(made), from_configspace(to_configspace(from_configspace(made)))):
        quartiles = [hp["x"] for hp in space.decode(np.array([[0.25], [0.5], [0.75]]))]
        draws = made["x"].sample_value(20_000, seed=np.random.RandomState(0))
        ranks = (draws[:, None] < quartiles).mean(axis=0)
        assert np.abs(ranks - [0.25, 0.5, 0.75]).max() < 5 * 0.0031 + 0.001


def conditional():
    """A ConfigurationSpace with every kind of condition."""
    made = CS.ConfigurationSpace(seed=1)
    a = CS.CategoricalHyperparameter("a", ["x", "y", "z"])
    n, f = CS.UniformIntegerHyperparameter("n", 1, 9), CS.UniformFloatHyperparameter("f", 0, 1)
    o = CS.OrdinalHyperparameter("o", ["small", "medium", "large"])
    names = ("p", "q", "r", "s", "t", "u", "v", "w", "deep d")
    under = {name: CS.UniformFloatHyperparameter(name, 0, 1) for name in names}
    deep = CS.CategoricalHyperparameter("deep", [True, False])
    made.add(a, n, f, o, deep, *under.values())
    made.add(CS.EqualsCondition(under["p"], a, "x"))
    made.add(CS.InCondition(under["q"], a, ["x", "z"]))
    made.add(CS.NotEqualsCondition(under["r"], a, "x"))
    made.add(CS.LessThanCondition(under["s"], n, 5))
    made.add(CS.AndConjunction(CS.GreaterThanCondition(under["t"], f, 0.5), CS.EqualsCondition(under["t"], a, "y")))
    either = CS.OrConjunction(CS.GreaterThanCondition(under["u"], n, 3), CS.EqualsCondition(under["u"], n, 1))
    made.add(CS.AndConjunction(either, CS.NotEqualsCondition(under["u"], a, "z")))
    made.add(CS.GreaterThanCondition(under["v"], o, "small"))
    made.add(CS.LessThanCondition(under["w"], o, "medium"))
    made.add(CS.EqualsCondition(deep, a, "x"))
    d = under["deep d"]
    made.add(CS.OrConjunction(CS.EqualsCondition(d, deep, True), CS.EqualsCondition(d, a, "z")))
    return made


def test_conditions_become_children_and_formulas():
    """A condition on categories alone makes a child; and draws of each side are legal on the other."""
    made = conditional()
    space = from_configspace(made)
    assert under_choices(space) == [
        ["deep", "p", "q"],
        ["r"],
        ["deep d", "q", "r"],
    ]
    assert space.formulas == {
        "s": "n < 5",
        "t": "f > 0.5 and a == 'y'",
        "u": "(n > 3 or n == 1) and a != 'z'",
        "v": "o in ['medium', 'large']",
        "w": "o in ['small']",
    }
    agree(space, made, 200)
    again = to_configspace(space, seed=2)
    agree(space, again, 200)
    assert under_choices(from_configspace(again)) == under_choices(space)
    assert from_configspace(again).formulas == space.formulas


def under_choices(space):
    """Names of the parameters under each choice of "a"."""
    return [sorted(child.name for child in under) for under in space["a"].children]


def test_forbidden_clauses_become_constraints():
    """Every kind of clause; what one side refuses, the other does too."""
    made = CS.ConfigurationSpace(seed=1)
    a = CS.CategoricalHyperparameter("a", ["x", "y", "`z`"], default_value="y")
    n, m = CS.UniformIntegerHyperparameter("n", 1, 9, default_value=2), CS.UniformIntegerHyperparameter("m", 1, 9)
    o = CS.OrdinalHyperparameter("o", ["small", "medium", "large"])
    made.add(a, n, m, o)
    made.add(
        forbidden.ForbiddenEqualsClause(n, 9),
        forbidden.ForbiddenInClause(m, [1, 2]),
        forbidden.ForbiddenAndConjunction(
            forbidden.ForbiddenEqualsClause(a, "`z`"), forbidden.ForbiddenGreaterThanClause(n, 4)
        ),
        forbidden.ForbiddenOrConjunction(
            forbidden.ForbiddenGreaterThanRelation(n, m), forbidden.ForbiddenEqualsRelation(n, m)
        ),
        forbidden.ForbiddenLessThanClause(m, 4),
        forbidden.ForbiddenGreaterThanClause(o, "medium"),
    )
    space = from_configspace(made)
    assert sorted(constraint.formula for constraint in space.constraints) == sorted(
        [
            "n != 9",
            "m not in [1, 2]",
            "a != '\\x60z\\x60' or n <= 4",
            "n <= m",
            "n != m",
            "m >= 4",
            "o not in ['large']",
        ]
    )
    agree(space, made, 200)
    agree(space, to_configspace(space, seed=2), 200)


def test_backticks_in_a_string_are_no_name_there_either():
    """They mean what they mean in our own formulas: a part of the string."""
    space = SearchSpace([ChoiceHP("a", ["`z`", "b"]), RangeHP("n", 1, 9)], constraints=["a != '`z`' or n <= 4"])
    agree(space, to_configspace(space, seed=0))


@pytest.mark.parametrize(("word", "sign"), [("LessThanEquals", ">"), ("GreaterThanEquals", "<")])
def test_clauses_that_configspace_draws_from_are_read_too(word, sign):
    """Its sampler takes "<=" for ">=", so what they mean is judged value by value."""
    made = CS.ConfigurationSpace()
    n = CS.UniformIntegerHyperparameter("n", 1, 9, default_value=3 if sign == "<" else 7)
    made.add(n, getattr(forbidden, f"Forbidden{word}Clause")(n, 5))
    space = from_configspace(made)
    assert [constraint.formula for constraint in space.constraints] == [f"n {sign} 5"]
    for k in range(1, 10):
        assert is_legal_there(made, {"n": k}) == space.is_allowed({"n": k})
    agree(space, to_configspace(space, seed=0))


def test_our_own_space_is_drawn_there():
    """Children of several choices, nested ones, formulas with chains and "not", constraints on the middle."""
    lr = LogRangeHP("lr", 1e-4, 0.1, prior=NormalPrior(0.01, 1.0))
    nested = ChoiceHP("ams", [True, False], {True: [RangeHP("z", 1, 3)]})
    opt = ChoiceHP("opt", ["sgd", "adam", None], {"sgd": [RangeHP("mom", 0.0, 1.0), lr], "adam": [lr, nested]})
    roots = [opt, RangeHP("n", 1, 9), OrdinalHP("bs", [8, 16, 64]), RangeHP("a b", 0.0, 1.0), RangeHP("g", 0, 1)]
    space = SearchSpace(
        roots,
        conditions={"bs": "not (n <= 3 or `a b` >= 0.5)", "g": "1 < n <= 7 and n not in [3, 4]"},
        constraints=["n != 5", "not (opt == 'sgd' and n in [1, 2])", "0.1 <= `a b` <= 0.9", "n <= bs", "opt != None"],
    )
    made = to_configspace(space, seed=0)
    space.check(plain(made.get_default_configuration()))
    agree(space, made, 300)
    agree(from_configspace(made), made, 300)


@pytest.mark.parametrize(
    ("space", "rule"),
    [
        (SearchSpace([RangeHP("x", 0.0, 1.0, step=0.5)]), "x: must have no step .*, in ConfigSpace, got "),
        (SearchSpace([ListHP("x", RangeHP("i", 0, 1), 2)]), "x: must have no step .*, in ConfigSpace, got "),
        (
            SearchSpace([PermutationHP("x", [1, 2])]),
            "x: must have no step .* not be a list or a permutation, in ConfigSpace, got PermutationHP",
        ),
        (
            SearchSpace([ChoiceHP("x", [1, 2], prior=Belief(1))]),
            "x: must have no step or such a prior, .* in ConfigSpace, got ChoiceHP",
        ),
        (
            SearchSpace([RangeHP("x", 0.0, 1.0, prior=Belief(1.0))]),
            "x: prior of a range must be a NormalPrior or a BetaPrior in ConfigSpace, got Belief",
        ),
        (SearchSpace([RangeHP("x", 0.0, 1.0, prior=BetaPrior(0.5, 1.0))]), "x: ConfigSpace raised ValueError"),
        (SearchSpace([ChoiceHP("x", [1, True])]), "x: ConfigSpace raised ValueError"),
        (SearchSpace([RangeHP("x", 1e-20, 1.0)]), "x: lower must not change in ConfigSpace, .* got 0.0 for 1e-20"),
        (
            SearchSpace([LogRangeHP("x", 2.0, 9.0, prior=NormalPrior(3.0, 0.5))]),
            "x: prior must have a sigma in ConfigSpace, .* got sd",
        ),
        (
            SearchSpace([RangeHP("x", 0, 9)], constraints=["x % 2 == 0"]),
            "constraint 'x % 2 == 0': formula must only compare parameters, .* is not a parameter",
        ),
        (
            SearchSpace([RangeHP("x", 0, 9)], constraints=[LinearConstraint({"x": 2}, upper=9)]),
            "constraints: must be formulas for ConfigSpace, got",
        ),
        (
            SearchSpace([RangeHP("x", 0, 9)], constraints=[lambda hp: True]),
            "constraints: must be formulas for ConfigSpace, got",
        ),
        (SearchSpace([RangeHP("x", 0, 9)], constraints=["x < 12"]), "constraint 'x < 12': ConfigSpace raised"),
        (
            SearchSpace([RangeHP("x", 0, 9), RangeHP("y", 0, 9), RangeHP("z", 0, 9)], conditions={"z": "x < y"}),
            "z: condition must compare with values for ConfigSpace, got",
        ),
        (
            SearchSpace([OrdinalHP("x", ["b", "a"]), RangeHP("y", 0, 9)], conditions={"y": "x > 'a'"}),
            "x: values must be rising numbers to be compared in ConfigSpace, got",
        ),
        (
            SearchSpace(
                [RangeHP("x", 0, 9), RangeHP("y", 0, 9), RangeHP("z", 0, 9)],
                conditions={"y": "x > 3", "z": "x == 1 or y == 2"},
            ),
            r"z: all parts of an 'or' must have the parameters .*, \['y'\], got 'x == 1 or y == 2'",
        ),
    ],
)
def test_what_configspace_cannot_say_is_refused_by_name(space, rule):
    """Nothing is left out in silence."""
    with pytest.raises(SpaceError, match=rule):
        to_configspace(space)


def test_what_we_cannot_say_is_refused_by_name():
    """An "or" over a parameter that is not always active; a value in a formula that is not a plain value."""
    made = CS.ConfigurationSpace()
    a, n = CS.CategoricalHyperparameter("a", ["x", "y"]), CS.UniformIntegerHyperparameter("n", 1, 9)
    c = CS.UniformIntegerHyperparameter("c", 1, 9)
    made.add(a, n, c)
    made.add(CS.EqualsCondition(n, a, "x"))
    made.add(CS.OrConjunction(CS.EqualsCondition(c, a, "y"), CS.GreaterThanCondition(c, n, 5)))
    with pytest.raises(SpaceError, match=r"c: all parts of an 'or' must have the parameters .*, \['n'\], got "):
        from_configspace(made)
    made = CS.ConfigurationSpace()
    a = CS.CategoricalHyperparameter("a", [frozenset({1}), "y"], default_value="y")
    made.add(a)
    made.add(forbidden.ForbiddenEqualsClause(a, frozenset({1})))
    with pytest.raises(SpaceError, match="a: values in a formula must be .*, got frozenset"):
        from_configspace(made)


LEAVES = ["n < 4", "n >= 3", "n == 2", "n != 5", "n in [1, 6]", "n not in [2, 3]", "a == 'x'", "a != 'y'", "f > 0.25"]


@st.composite
def spaces(draw):
    """Spaces with two layers of children, formulas over the roots, and constraints."""

    def formula(depth=2):
        if depth == 0 or draw(st.booleans()):
            return draw(st.sampled_from(LEAVES))
        word = draw(st.sampled_from([" and ", " or "]))
        text = f"({formula(depth - 1)}{word}{formula(depth - 1)})"
        return f"not {text}" if draw(st.booleans()) else text

    inner = ChoiceHP("inner", ["i", "j"], {"j": [RangeHP("leaf", 1, 3)]} if draw(st.booleans()) else ())
    pool = [inner, RangeHP("p", 0.0, 1.0), LogRangeHP("q", 1, 9)]
    under = draw(st.lists(st.lists(st.sampled_from(pool), unique_by=id), min_size=3, max_size=3))
    roots = [ChoiceHP("a", ["x", "y", "z"], under), RangeHP("n", 1, 6), RangeHP("f", 0.0, 1.0)]
    roots += [OrdinalHP("o", [1, 4, 9]), FixedHP("c", "value")]
    conditions = {name: formula() for name in draw(st.lists(st.sampled_from(["o", "c"]), unique=True))}
    return SearchSpace(roots, conditions=conditions, constraints=[formula() for _ in range(draw(st.integers(0, 2)))])


@given(spaces())
@settings(max_examples=30, deadline=None)
def test_any_space_means_the_same_on_both_sides(space):
    """There, and back again: each judges the draws of the other."""
    free = SearchSpace(space.roots, conditions=space.formulas)
    assume(space.allows(free.sample(np.random.default_rng(0), 50)).mean() > 0.1)  # else drawing takes for ever
    made = to_configspace(space, seed=0)
    agree(space, made, 10)
    agree(from_configspace(made), made, 10)
    assert set(from_configspace(made).names) == set(space.names)


def test_without_the_library_the_error_names_the_extra():
    """In a process where the import of ConfigSpace fails."""
    code = (
        "import sys; sys.modules['ConfigSpace'] = None\n"
        "from autohpo import RangeHP, SearchSpace\n"
        "from autohpo.errors import MissingExtraError\n"
        "from autohpo.integrations.configspace import to_configspace\n"
        "try: to_configspace(SearchSpace([RangeHP('x', 0, 1)]))\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "ConfigSpace is not installed: pip install 'autohpo[configspace]'", done.stderr
