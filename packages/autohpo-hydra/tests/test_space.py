"""Overrides as a search space; the oracle is Hydra's own parser."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, FixedHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace, SpaceError

pytestmark = pytest.mark.extras
pytest.importorskip("hydra", reason="hydra-core is not installed")
pytest.importorskip("hydra_plugins.autohpo_sweeper", reason="autohpo-hydra is not installed")

from hydra.core.override_parser.overrides_parser import OverridesParser  # noqa: E402
from hydra.core.override_parser.types import Quote, QuotedString  # noqa: E402
from hydra_plugins.autohpo_sweeper._space import read  # noqa: E402

PARSER = OverridesParser.create()


def overrides(*lines):
    """What is made of some overrides."""
    return read(PARSER.parse_overrides(list(lines)))


def parameter(line):
    """The only parameter of an override."""
    (swept,) = overrides(line).swept.values()
    return swept.parameter


@pytest.mark.parametrize(
    ("line", "hp"),
    [
        ("x=interval(0, 1)", RangeHP("x", 0.0, 1.0)),
        ("x=int(interval(1, 8))", RangeHP("x", 1, 8)),
        ("x=interval(1, 1)", FixedHP("x", 1.0)),
        ("x=tag(log, interval(1e-4, 0.1))", LogRangeHP("x", 1e-4, 0.1)),
        ("x=tag(log, int(interval(1, 512)))", LogRangeHP("x", 1, 512)),
        ("x=range(1, 5)", RangeHP("x", 1, 4)),
        ("x=range(10)", RangeHP("x", 0, 9)),
        ("x=range(16, 257, 16)", RangeHP("x", 16, 256, step=16)),
        ("x=range(10, 1, -3)", RangeHP("x", 4, 10, step=3)),
        ("x=range(0, 1, 0.25)", RangeHP("x", 0.0, 0.75, step=0.25)),
        ("x=range(3, 4)", FixedHP("x", 3)),
        ("x=tag(log, range(1, 65))", LogRangeHP("x", 1, 64)),
        ("x=a,b", ChoiceHP("x", ["a", "b"])),
        ("x=a,'b c',1,0.5,true,null", ChoiceHP("x", ["a", "b c", 1, 0.5, True, None])),
        ("x=[1,2],[3]", ChoiceHP("x", [[1, 2], [3]])),
        ("x=tag(ordinal, choice(8, 16, 64))", OrdinalHP("x", [8, 16, 64])),
        ("+model.x@db=a,b", ChoiceHP("model.x@db", ["a", "b"])),
    ],
)
def test_a_sweep_is_a_parameter(line, hp):
    """The name is the key without a plus sign."""
    assert parameter(line) == hp


@pytest.mark.parametrize("line", ["x=range(1,9,3)", "x=range(9,1,-2)", "x=range(0,0.3,0.1)", "x=range(-1,1,0.3)"])
def test_a_range_has_the_numbers_that_hydra_has(line):
    """Hydra lists them; steps of decimals are off by rounding there."""
    (override,) = PARSER.parse_overrides([line])
    space = SearchSpace([parameter(line)])
    assert [hp["x"] for hp in space.configurations()] == pytest.approx(sorted(override.sweep_iterator()), abs=1e-12)


def test_later_overrides_count():
    """Those of the command line stand behind those of the configuration; a plus sign makes no difference."""
    made = overrides("x=interval(0,1)", "z=a,b", "x=0.5", "+z=c,d", "~y", "w='a b'")
    assert made.fixed == ("x=0.5", "~y", "w='a b'")
    assert made.of({"z": "d"}) == ["x=0.5", "~y", "w='a b'", "+z=d"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("x=tag(log, choice(1,2))", "x: tag log must be of a range or an interval"),
        ("x=tag(ordinal, interval(1,2))", "x: tag ordinal must be of a choice"),
        ("x=range(1,1)", "x: range must hold at least one number"),
        ("x=range(1,5,0)", "x: range must have finite ends and a step that is not 0"),
        ("x=interval(2,1)", "x: low must be below high"),
        ("x=tag(log, interval(0,1))", "x: "),
        ("x=interval(0,inf)", "x: high must be finite"),
        ("x=a,a", "x: choices must differ"),
    ],
)
def test_a_sweep_that_cannot_be_searched_is_an_error(line, text):
    """It names the key."""
    with pytest.raises(SpaceError, match="^" + text.replace("(", r"\(")):
        overrides(line)


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=8),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=2),
    max_leaves=5,
)


def quoted(value):
    """The text of a value in an override."""
    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list):
        return f"[{','.join(map(quoted, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{quoted(item)}" for key, item in value.items()) + "}"
    return "null" if value is None else str(value)


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, min_size=2, max_size=4))
def test_hydra_reads_back_what_a_choice_wrote(values):
    """Whatever is chosen among: the override that sets it has that very value, and its type."""
    line = f"x={','.join(map(quoted, values))}"
    try:
        made = overrides(line)
    except SpaceError:
        assert any(a == b for i, a in enumerate(values) for b in values[:i])  # the only rule: none twice
        return
    for value in made.swept["x"].parameter.choices:
        (back,) = PARSER.parse_overrides(made.of({"x": value}))
        assert repr(back.value()) == repr(value)
    assert list(map(repr, made.swept["x"].parameter.choices)) == list(map(repr, values))


@settings(max_examples=100, deadline=None)
@given(st.floats(-1e300, 1e300), st.floats(1e-9, 1e9), st.floats(0, 1))
def test_hydra_reads_back_numbers_to_the_last_digit(low, width, unit):
    """Of an interval."""
    line = f"x=interval({low!r},{low + width!r})"
    made = overrides(line)
    (hp,) = SearchSpace([made.swept["x"].parameter]).decode([[unit]] if low < low + width else [[]])
    (back,) = PARSER.parse_overrides(made.of(hp))
    assert back.value() == hp["x"]
    assert type(back.value()) is float
