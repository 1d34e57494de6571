"""Expression: formulas mean what they mean in Python, and nothing else can be said in them."""

from __future__ import annotations

import copy
import math
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autohpo import ListHP, RangeHP, SearchSpace, SpaceError, build_hpo_from_name
from autohpo.spaces.expression import Expression

HP = {"a": 3, "b": 2.5, "c": "relu", "d": None, "e": [4, 2, 8], "f": True}
FUNCTIONS = {"abs": abs, "int": int, "len": len, "max": max, "min": min, "round": round, "sum": sum}
FUNCTIONS |= {"log": math.log, "sqrt": math.sqrt}


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "-a + b * 2 - a / 2",
        "a // 2 % 2 ** 3",
        "a ** -2",
        "1 < a <= 3 != b",
        "4 > a > 3.5",
        "a == 3 and not b > 3 or d is None",
        "d is not None",
        "not (f and d)",
        "c in ['relu', 'elu'] and c not in ('tanh', None)",
        "'x' == c",
        "e[0] > e[-1]",
        "e[a - 2]",
        "len(e) == 3 and sum(e) == 14 and max(e) - min(e) == 6",
        "max(a, b, 7) + abs(-a) + round(b) + int(b)",
        "log(a) < sqrt(b)",
        "[a, b][1]",
        "  a  ",
        "(a\n + b)",
    ],
)
def test_a_formula_means_what_it_means_in_python(text):
    """Python's own eval is the oracle, for the value and for its type."""
    wanted = eval(text.strip(), {"__builtins__": FUNCTIONS}, HP)
    got = Expression(text)(HP)
    assert got == wanted
    assert type(got) is type(wanted)


NUMBERS = st.integers(-9, 9).map(lambda n: f"({n})") | st.sampled_from(["a", "b"])
ARITHMETIC = st.recursive(
    NUMBERS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner)
        | st.builds("(-{})".format, inner)
    ),
    max_leaves=8,
)
LOGIC = st.recursive(
    st.builds("({} {} {})".format, ARITHMETIC, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), ARITHMETIC),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("(not {})".format, inner)
    ),
    max_leaves=6,
)


def computed(text, hp):
    """What Python makes of a formula; None where it raises."""
    try:
        return eval(text, {"__builtins__": {}, "Fraction": Fraction}, hp)
    except ArithmeticError:
        return None


@settings(deadline=None)
@given(LOGIC | ARITHMETIC)
def test_any_formula_means_what_it_means_in_exact_arithmetic(text):
    """Generated arithmetic and logic: fractions are the oracle, as rounding must decide nothing; or an error."""
    numbers = {name: Fraction(HP[name]) for name in ("a", "b")}
    exact, rounded = computed(re.sub(r"(\d+)", r"Fraction(\1)", text), numbers), computed(text, HP)
    assume((exact is None) == (rounded is None))  # a divisor that is 0 but for rounding
    if exact is None:
        with pytest.raises(SpaceError, match="cannot be computed"):
            Expression(text)(HP)
        return
    got = Expression(text)(HP)
    if isinstance(exact, bool):
        assert got is exact
    else:
        assert got == pytest.approx(float(exact), rel=1e-9, abs=1e-9)


def test_names_are_those_of_the_parameters_in_order():
    """Each once; functions are not parameters, but a parameter of that name is one."""
    assert Expression("max(b, a) > a + len(c)").names == ("b", "a", "c")
    assert Expression("3 < 4").names == ()
    assert Expression("len > print").names == ("len", "print")


def test_names_that_are_no_python_names_stand_in_backticks():
    """Also Python's keywords, names with spaces, and several of them; backticks in a string are only that."""
    hp = {"trainer:lr": 0.1, "lambda": 2, "µ": 5, "two words": 3}
    formula = Expression("`trainer:lr` * `lambda` < `two words` and `µ` == 5")
    assert formula.names == ("trainer:lr", "lambda", "two words", "µ")
    assert formula(hp) is True
    assert Expression("x == '`a`' and `x` != '`b`'")({"x": "`a`"}) is True
    hp = {"_0_": 1, "__0_": 2, "trainer:lr": 3, "x": "__0_"}
    assert Expression("[_0_, __0_, `trainer:lr`, '__0_', x]")(hp) == [1, 2, 3, "__0_", "__0_"]


def test_and_and_or_do_not_look_at_what_does_not_matter():
    """So a length can be asked for before an entry is."""
    assert Expression("len(e) > 5 and e[5] > 0")(HP) is False
    assert Expression("len(e) < 5 or e[5] > 0")(HP) is True


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a <",
        "a = 3",
        "a; b",
        "import os",
        "__import__('os')",
        "open('x')",
        "a.real",
        "(1).__class__",
        "lambda: 3",
        "[x for x in e]",
        "{1: 2}",
        "f'{a}'",
        "a if b else c",
        "(a := 3)",
        "e[0:2]",
        "max(e, key=len)",
        "max(*e)",
        "a @ b",
        "a << 3",
        "~a",
        "b'bytes'",
        "1j",
        "...",
        "e.pop()",
        "max.__call__(1, 2)",
        "\0",
        "a" + " + a" * 100_000,
        "(" * 500 + "a" + ")" * 500,
        "not " * 50_000 + "a",
    ],
)
def test_nothing_else_is_understood(text):
    """Whatever is not a formula is an error of ours when it is made, however deep or long it is."""
    with pytest.raises(SpaceError, match="expression"):
        Expression(text)


@pytest.mark.parametrize("value", [None, 3, b"a", ["a"]])
def test_only_a_string_is_a_formula(value):
    """A number is not taken for one."""
    with pytest.raises(SpaceError, match=f"expression: must be a string, got {type(value).__name__}"):
        Expression(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a / 0", "ZeroDivisionError"),
        ("a + c", "TypeError: numbers are needed, got 3 and 'relu'"),
        ("c * 1000000000", "TypeError: numbers are needed"),
        ("e * 2", "TypeError: numbers are needed"),
        ("a < c", "TypeError"),
        ("e[7]", "IndexError"),
        ("nobody > 3", "KeyError: 'nobody'"),
        ("log(-1)", "ValueError"),
        ("-c", "TypeError"),
        ("9 ** 99", "ValueError: exponents must lie within 64, got 99"),
        ("(((9 ** 64) ** 64) ** 64) ** 64", "ValueError: numbers must lie within the largest float"),
        ("rude == 3", "RuntimeError"),
        ("table == 3 and a", "ValueError"),
    ],
)
def test_what_cannot_be_computed_is_an_error_that_says_for_what(text, reason):
    """Formula, configuration and Python's own reason stand in it; also where the user's own object raises."""

    class Rude:
        def __eq__(self, other):
            raise RuntimeError

        __hash__ = None

    hp = {**HP, "rude": Rude(), "table": np.arange(3)}
    with pytest.raises(SpaceError) as caught:
        Expression(text)(hp)
    assert str(caught.value).startswith(f"expression {text!r}: cannot be computed for {{'a': 3")
    assert reason in str(caught.value)


def test_a_formula_is_its_text():
    """It is equal, hashed, printed, copied and pickled by it."""
    formula = Expression("a > 2")
    assert formula == Expression("a > 2") != Expression("a >  2")
    assert hash(formula) == hash(Expression("a > 2"))
    assert repr(formula) == "Expression(text='a > 2')"
    for again in (pickle.loads(pickle.dumps(formula)), copy.deepcopy(formula)):
        assert again == formula
        assert again({"a": 3}) is True


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a + b <= 0.3", True),
        ("a + b == 0.3", True),
        ("a + b != 0.3", False),
        ("a + b < 0.3", False),
        ("a + b > 0.3", False),
        ("0.3 >= a + b", True),
        ("a + b in [0.3, 1]", True),
        ("a + b not in [0.3]", False),
        ("a + b - 0.3 == 0", True),
        ("(a + b) * 10 - 3 <= 0", True),
        ("(a + b) / 0.1 == 3", True),
        ("[a + b, 1] == [0.3, 1]", True),
        ("sum([a, b]) == 0.3", True),
        ("(a + b + a + b) % b == 0", True),
        ("(b - a - a) % a == 0", True),
        ("(a + b) // a == 3", True),
        ("int((1 - 0.9) * 10) == 1", True),
        ("c % 0.1 == 0", False),
        ("int(c * 2) == 0", True),
        ("n % 2 == 1 and -n // 2 == -4", True),
        ("c < 0.5", True),
        ("c <= 0.5", True),
        ("c > 0.49999999999", True),
        ("c == 0.5", False),
        ("n * 1000000 + 1 > n * 1000000", True),
        ("10**15 + n < 10**15 + n + 1", True),
        ("1e300 * 1e5 == 1", False),
    ],
)
def test_numbers_that_differ_by_rounding_are_equal(text, wanted):
    """Of decimals in every comparison; other numbers, however near, and integers are not."""
    assert Expression(text)({"a": 0.1, "b": 0.2, "c": 0.5 - 1e-12, "n": 7}) is wanted


def test_steps_of_a_tenth_add_up():
    """The number of solutions is known: ten pairs of at most .3, 66 triples of 1, 61 pairs of one parity."""
    tenths = [RangeHP(name, 0.0, 1.0, step=0.1) for name in "abc"]
    for formula, n, wanted in (
        ("a + b <= 0.3", 2, 10),
        ("a + b + c == 1", 3, 66),
        ("a + b < 0.3", 2, 6),
        ("(a + b) % 0.2 == 0", 2, 61),
        ("(a + b) // 0.1 == 3", 2, 4),
        ("int(10 * (1 - a)) == 1", 2, 11),
    ):
        space, every = SearchSpace(tenths[:n], constraints=[formula]), SearchSpace(tenths[:n]).configurations()
        assert len(list(space.configurations())) == wanted
        assert sum(space.is_allowed(hp) for hp in every) == wanted
    third = SearchSpace([tenths[0], ListHP("list", RangeHP("e", 0, 1), "(a + 0.2) / 0.1", max_length=12)])
    assert len(third.sample(np.random.default_rng(0), 20)) == 20
    y = SearchSpace([*tenths[:2], RangeHP("y", 0, 1)], conditions={"y": "a + b == 0.3"})
    assert y.is_active("y", {"a": 0.1, "b": 0.2})


@pytest.mark.parametrize("word", ["lambda", "class", "global", "if", "for", "yield", "await"])
def test_a_name_that_is_a_word_of_pythons_leads_to_backticks(word):
    """The error shows how to write it."""
    for text in (f"{word} > 0.1", f"0.1 < {word}", f"x + {word} < 3"):
        with pytest.raises(SpaceError, match=f"backticks: `{word}`"):
            Expression(text)
    assert Expression(f"`{word}` > 0.1")({word: 0.2}) is True


def test_a_formula_without_names_counts_as_it_stands():
    """A list has that length, a condition that is never true and a constraint that nothing meets are refused."""
    space = SearchSpace(
        [
            ListHP("list", RangeHP("e", 0, 1), "1 + 1", max_length=3),
            ListHP("none", RangeHP("e", 0, 1), "0", max_length=2),
        ]
    )
    assert {len(hp["list"]) for hp in space.sample(np.random.default_rng(0), 20)} == {2}
    assert space.n_configurations == 4 == len(list(space.configurations()))
    assert space.from_dict(space.to_dict()) == space
    grid = build_hpo_from_name("grid", space, steps=2, order="nested")
    assert [grid.ask() for _ in range(4)] == [{"list": [a, b], "none": []} for b in (0, 1) for a in (0, 1)]
    for text, words in (("4", "list: length must be an integer from 0 to 3"), ("1 / 0", "cannot be computed")):
        with pytest.raises(SpaceError, match=words):
            ListHP("list", RangeHP("e", 0, 1), text, max_length=3)
    x = RangeHP("x", 0, 1)
    assert SearchSpace([x], conditions={"x": "1 == 1"}, constraints=["0.1 + 0.2 == 0.3"]).configurations()
    with pytest.raises(SpaceError, match="conditions: 'x' would never be active with '1 == 2'; leave it out"):
        SearchSpace([x], conditions={"x": "1 == 2"})
    with pytest.raises(SpaceError, match="constraint '1 == 2': must name a parameter; no configuration meets it"):
        SearchSpace([x], constraints=["1 == 2"])
