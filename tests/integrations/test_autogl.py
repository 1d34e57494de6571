"""AutoGL's dict form: the spaces it ships, its own codec's answers, round trips, and every refusal."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo import (
    ChoiceHP,
    FixedHP,
    LogRangeHP,
    RangeHP,
    SearchSpace,
    SpaceError,
    build_hpo_from_name,
)
from autohpo.integrations.autogl import FormulaCut, from_autogl, to_autogl
from autohpo.spaces import LinearConstraint, ListHP, OrdinalHP, PermutationHP
from autohpo.spaces.tagged import is_same
from autohpo.trainer import nested


def number(name, kind, low, high, scaling="LINEAR"):
    """A range in AutoGL's form."""
    return {"parameterName": name, "type": kind, "maxValue": high, "minValue": low, "scalingType": scaling}


def choice(name, points):
    """A choice in AutoGL's form; a discrete one where the points are a string."""
    kind = "DISCRETE" if isinstance(points, str) else "CATEGORICAL"
    return {"parameterName": name, "type": kind, "feasiblePoints": points}


def hidden(length, high, para=("num_layers",), function=lambda x: x[0] - 1):
    """The widths of the hidden layers, as every model of AutoGL has them."""
    return {
        "parameterName": "hidden",
        "type": "NUMERICAL_LIST",
        "numericalType": "INTEGER",
        "length": length,
        "minValue": [8] * length,
        "maxValue": [high] * length,
        "scalingType": "LOG",
        "cutPara": para,
        "cutFunc": function,
    }


ACTS = ["leaky_relu", "relu", "elu", "tanh"]
GCN = [
    choice("num_layers", "2,3,4"),
    hidden(3, 128),
    number("dropout", "DOUBLE", 0.2, 0.8),
    choice("act", ACTS),
]
SAGE = [*GCN, choice("agg", ["mean", "add", "max"])]
GAT = [
    choice("num_layers", "2,3,4"),
    hidden(3, 64),
    choice("num_hidden_heads", "2,4,8,16"),
    choice("num_output_heads", "2,4,8,16"),
    number("dropout", "DOUBLE", 0.2, 0.8),
    choice("act", ACTS),
]
GIN = [
    choice("num_layers", "4,5,6"),
    hidden(5, 64),
    number("dropout", "DOUBLE", 0.1, 0.9),
    choice("act", ACTS),
    choice("eps", ["True", "False"]),
    choice("mlp_layers", "2,3,4"),
]
NODE = [
    number("max_epoch", "INTEGER", 10, 500),
    number("early_stopping_round", "INTEGER", 10, 30),
    number("lr", "DOUBLE", 1e-4, 1e-1, "LOG"),
    number("weight_decay", "DOUBLE", 1e-4, 1e-2, "LOG"),
]
GRAPH = [
    number("max_epoch", "INTEGER", 10, 300),
    number("batch_size", "INTEGER", 32, 128, "LOG"),
    number("lr", "DOUBLE", 1e-4, 1e-3, "LOG"),
    number("weight_decay", "DOUBLE", 5e-4, 5e-3, "LOG"),
]
MLP = [number("hidden", "INTEGER", 8, 64), choice("act", ACTS), number("dropout", "DOUBLE", 0.1, 0.9)]
TOPK = [number("ratio", "DOUBLE", 0.1, 0.9), number("dropout", "DOUBLE", 0.1, 0.9), choice("act", ACTS)]
LADIES = {  # a configuration that AutoGL publishes and cannot run: the list of one module is cut by another one
    "trainer": [
        {
            "parameterName": "sampled_node_sizes",
            "type": "CATEGORICAL_LIST",
            "length": 5,
            "feasiblePoints": [128, 256, 512, 1024],
            "cutPara": ["num_layers"],
            "cutFunc": "lambda x:x[0]",
        },
        {"parameterName": "training_batch_size", "type": "FIXED", "value": 1024},
    ],
    "encoder": [
        {"parameterName": "num_layers", "type": "FIXED", "value": 5},
        {**hidden(4, 128, ["num_layers"], "lambda x:x[0] - 1"), "minValue": 8, "maxValue": 128},
    ],
}
SHIPPED = {
    "gcn": {"trainer": NODE, "encoder": GCN, "decoder": []},
    "sage": {"trainer": NODE, "encoder": SAGE, "decoder": []},
    "gat": {"trainer": NODE, "encoder": GAT, "decoder": []},
    "gin": {"trainer": GRAPH, "encoder": GIN, "decoder": MLP},
    "topk": {"trainer": GRAPH, "encoder": GIN, "decoder": TOPK},
    "sampled trainer": {"trainer": [], "encoder": GCN, "decoder": []},
    "ladies": LADIES,
    "a plain list": GCN,
}


@pytest.fixture
def rng():
    """Random numbers, the same each time."""
    return np.random.default_rng(0)


@pytest.mark.parametrize("form", SHIPPED.values(), ids=SHIPPED)
def test_a_shipped_space_comes_back_equal_and_is_left_alone(form):
    """The same keys and values of the same types, the same functions; and the caller's dicts are not touched."""
    before = copy.deepcopy(form)
    written = to_autogl(from_autogl(form))
    assert is_same(written, form)
    assert is_same(form, before)
    assert list(written) == list(form)
    items = written if isinstance(written, list) else [item for module in written.values() for item in module]
    for item in items:  # the result is the caller's own: changing it changes nothing here
        item["parameterName"] = "changed"
    assert is_same(form, before)


@pytest.mark.parametrize("form", SHIPPED.values(), ids=SHIPPED)
def test_a_shipped_space_can_be_searched(form, rng):
    """Draws are legal, and go through the unit cube and back; hidden has one entry less than there are layers."""
    space = SearchSpace(form)
    for hp in space.sample(rng, 50):
        space.check(hp)
        encoder = nested(hp).get("encoder", nested(hp))
        assert len(encoder["hidden"]) == encoder["num_layers"] - 1
    hps = space.sample(rng, 20)
    assert [list(hp) for hp in space.decode(space.encode(hps))] == [list(hp) for hp in hps]


def test_the_kinds_are_those_of_the_form():
    """Ends, scale and type of each parameter of the GCN task."""
    space = from_autogl(SHIPPED["gcn"])
    assert space["trainer:max_epoch"] == RangeHP("trainer:max_epoch", 10, 500)
    assert space["trainer:lr"] == LogRangeHP("trainer:lr", 1e-4, 1e-1)
    assert space["encoder:num_layers"] == OrdinalHP("encoder:num_layers", [2, 3, 4])
    assert space["encoder:act"] == ChoiceHP("encoder:act", ACTS)
    assert space["encoder:dropout"] == RangeHP("encoder:dropout", 0.2, 0.8)
    assert [(one.low, one.high, type(one)) for one in space["encoder:hidden"].items] == [(8, 128, LogRangeHP)] * 3
    assert space.n_columns == 10  # as the reference counts the dimensions of this task
    assert space.modules == ("trainer", "encoder", "decoder")


def test_mid_points_decode_as_autogls_own_codec_decodes_them():
    """Measured there: max_epoch 255, lr .00316, dropout .5; index 0 is 2 layers and leaky_relu; hidden has one entry.

    That entry is sqrt(8 * 128) = 32 there. Here integers on a log scale have cells that reach half a step beyond
    the ends, so that both ends are drawn as often as they should be: sqrt(7.5 * 128.5) = 31.04.
    """
    trainer = [NODE[0], NODE[2], {"parameterName": "bs", "type": "FIXED", "value": 512}]
    space = from_autogl({"trainer": trainer, "encoder": GCN, "decoder": []})
    units = np.full((1, space.n_columns), 0.5)
    column = {name: start for start, name in enumerate(_columns(space))}
    units[0, [column["encoder:num_layers"], column["encoder:act"]]] = 0.0
    hp = nested(space.decode(units)[0])
    assert hp["trainer"] == {"max_epoch": 255, "lr": pytest.approx(math.sqrt(1e-4 * 1e-1)), "bs": 512}
    assert hp["encoder"] == {"num_layers": 2, "hidden": [31], "dropout": 0.5, "act": "leaky_relu"}


def _columns(space):
    """The name of each column's parameter."""
    return [hp.name for hp in space for _ in range(hp.width)]


def test_integers_are_equally_likely_up_to_both_ends(rng):
    """AutoGL rounds, so its ends have half the mass; of 30,000 draws each of 3 values has 10,000, sd 82."""
    space = from_autogl([number("n", "INTEGER", 1, 3)])
    counts = np.bincount([hp["n"] for hp in space.sample(rng, 30_000)], minlength=4)
    assert np.abs(counts[1:] - 10_000).max() < 5 * 82


def test_an_optimizer_takes_the_form_itself():
    """In a dict and in a list; names of modules stand before the parameters'."""
    hpo = build_hpo_from_name("random", SHIPPED["gcn"], seed=0)
    assert set(nested(hpo.ask())) == {"trainer", "encoder"}
    assert list(build_hpo_from_name("random", GCN, seed=0).ask()) == ["num_layers", "hidden", "dropout", "act"]


def test_an_extended_space_keeps_its_empty_modules():
    """A constraint does not change which modules there are."""
    space = SearchSpace(SHIPPED["gcn"], constraints=["`encoder:dropout` < 0.7"])
    assert space.modules == ("trainer", "encoder", "decoder")
    assert is_same(to_autogl(SearchSpace(from_autogl(SHIPPED["gcn"]))), SHIPPED["gcn"])


def test_a_list_of_another_module_is_cut():
    """AutoGL refuses this, though its own published configuration has it."""
    space = from_autogl(LADIES)
    assert space.deciders("trainer:sampled_node_sizes") == ("encoder:num_layers",)
    hp = space.sample(np.random.default_rng(0), 1)[0]
    assert (len(hp["trainer:sampled_node_sizes"]), len(hp["encoder:hidden"])) == (5, 4)


def test_the_own_module_comes_before_others():
    """Both have a num_layers, and each list is cut by its neighbour."""
    small, large = [choice("num_layers", "2"), hidden(1, 16)], [choice("num_layers", "4"), hidden(3, 16)]
    hp = from_autogl({"encoder": small, "decoder": large}).sample(np.random.default_rng(0), 1)[0]
    assert (len(hp["encoder:hidden"]), len(hp["decoder:hidden"])) == (1, 3)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("lambda x: x[0] - 1", [1, 2, 3]),
        ("lambda x:x[0]", [2, 3, 4]),
        ("lambda layers: max(layers) - 2", [0, 1, 2]),
        ("lambda x: len(x) + sum(x) - 2", [1, 2, 3]),
        (" lambda x: min(x[0] * 2, 4) ", [4, 4, 4]),
        ("lambda x: int(x[0] / 2)", [1, 1, 2]),
    ],
)
def test_a_cut_function_may_be_a_string(text, lengths):
    """It counts as Python would, and comes back as it was written."""
    form = {"encoder": [choice("num_layers", "2,3,4"), hidden(4, 16, "num_layers", text)]}
    space = from_autogl(form)
    one = space["encoder:hidden"]
    assert [one.length_in({"encoder:num_layers": n}) for n in (2, 3, 4)] == lengths
    assert lengths == [eval(text)([n]) for n in (2, 3, 4)]
    assert is_same(to_autogl(space), form)
    assert SearchSpace.from_dict(space.to_dict()) == space


@pytest.mark.parametrize("function", ["lambda x: x[1] - x[0]", lambda x: x[1] - x[0]])
def test_a_cut_function_gets_its_values_in_the_order_of_the_names(function):
    """Five less two entries, be the function a string or not."""
    layers = [{"parameterName": name, "type": "FIXED", "value": value} for name, value in (("n", 5), ("k", 2))]
    space = from_autogl([*layers, hidden(3, 16, ["k", "n"], function)])
    assert len(space.sample(np.random.default_rng(0), 1)[0]["hidden"]) == 3


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("2, 3,4", OrdinalHP, (2, 3, 4)),
        ("0.5,1,2.5e1", OrdinalHP, (0.5, 1, 25.0)),
        ("-2,-1", OrdinalHP, (-2, -1)),
        ("7", OrdinalHP, (7,)),
        ("4,2,3", ChoiceHP, (4, 2, 3)),
        ("mean,add", ChoiceHP, ("mean", "add")),
        ("nan,1", ChoiceHP, ("nan", 1)),
        ("1e999,1", ChoiceHP, ("1e999", 1)),
        ("True,None,'add'", ChoiceHP, (True, None, "add")),
        ("1/2,2*3,__import__('os')", ChoiceHP, (0.5, 6, "__import__('os')")),
    ],
)
def test_discrete_points_are_read_and_not_executed(text, kind, values):
    """Numbers in rising order keep it; a word, or what is not a plain formula, stays a string."""
    space = from_autogl([choice("x", text)])
    (hp,) = space.parameters
    assert type(hp) is kind
    assert is_same(hp.values if kind is OrdinalHP else hp.choices, values)
    assert is_same(to_autogl(space), [choice("x", text)])


@pytest.mark.parametrize(
    ("item", "rule"),
    [
        ({"type": "FIXED", "value": 1}, "every parameter must be a dict with a 'parameterName'"),
        (3, "every parameter must be a dict"),
        ({"parameterName": "x", "type": "FLOAT"}, "m:x: type must be one of DOUBLE, INTEGER, .*, got 'FLOAT'"),
        ({"parameterName": "x", "type": "FIXED"}, "m:x: FIXED must have 'value'"),
        (
            {"parameterName": "x", "type": "FIXED", "value": 1, "cutfunc": 1},
            r"m:x: keys must be of AutoGL's form .*, got \['cutfunc'\]",
        ),
        ({"parameterName": "x", "type": "DOUBLE", "minValue": 0, "maxValue": 1}, "must have 'scalingType'"),
        (number("x", "DOUBLE", 0, 1, "log"), "m:x: scalingType must be 'LINEAR' or 'LOG', got 'log'"),
        (number("x", "DOUBLE", 0, 1, "LOG"), "m:x: minValue must be above 0 where .* LOG, got 0.0: raise minValue"),
        (number("x", "INTEGER", 0, 9, "LOG"), "m:x: minValue must be above 0 .* raise minValue .*or make .*LINEAR"),
        (number("x", "DOUBLE", "1e-4", 1, "LOG"), "m:x: minValue must be a finite number, got '1e-4'; YAML"),
        (number("x", "DOUBLE", 0, math.inf), "m:x: maxValue must be a finite number, got inf"),
        (number("x", "DOUBLE", True, 2), "m:x: minValue must be a finite number, got True"),
        (number("x", "INTEGER", 0.5, 2), "m:x: minValue and maxValue of INTEGER must be integers, got 0.5, 2"),
        (number("x", "DOUBLE", 2, 1), "m:x: low must be below high"),
        (choice("x", ""), "m:x: feasiblePoints must have a value between two commas"),
        (choice("x", "1,,2"), "m:x: feasiblePoints must have a value between two commas"),
        (choice("x", "1,1"), "m:x: choices must differ"),
        ({**choice("x", [1, 2]), "type": "DISCRETE"}, "m:x: feasiblePoints of DISCRETE must be a string"),
        ({**choice("x", "1,2"), "type": "CATEGORICAL"}, "m:x: feasiblePoints must be a list, got '1,2'"),
        ({**hidden(3, 16), "length": "3"}, "m:hidden: length must be an integer of at least 1, got '3'"),
        ({**hidden(3, 16), "minValue": [8, 8]}, r"m:hidden: .* must be numbers, or lists of 3, got \[8, 8\]"),
        ({**hidden(3, 16), "numericalType": "INT"}, "m:hidden: numericalType must be INTEGER or DOUBLE"),
        ({**hidden(3, 16), "minValue": 0}, "m:hidden: minValue must be above 0"),
        (hidden(3, 16, "layers"), r"m:hidden: cutPara must be one of \['a:other', .*\], got 'layers'"),
        (hidden(3, 16, "other"), r"m:hidden: cutPara must be of only one .* \['a:other', 'b:other'\], got 'other'"),
        (hidden(3, 16, None), "m:hidden: cutPara must be a name or names, with a cutFunc beside it"),
        (hidden(3, 16, "num_layers", None), "m:hidden: cutPara must be a name or names, with a cutFunc"),
        (hidden(3, 16, "num_layers", 3), "m:hidden: cutFunc must be a function, or a string"),
        (hidden(2, 16), "m:hidden: cutFunc must give an integer from 0 to 2 for {'m:num_layers': 4}"),
        (hidden(3, 16, "num_layers", lambda x: x[1]), "m:hidden: cutFunc must give .*IndexError: list index"),
        (hidden(3, 16, "num_layers", lambda x: x[0] / 2), "m:hidden: cutFunc must give an integer .*got 1.5"),
        (hidden(3, 16, "num_layers", "x[0] - 1"), "m:hidden: cutFunc must be .*, or a string such as 'lambda x: x"),
        (hidden(3, 16, "num_layers", "lambda x, y: 1"), "m:hidden: cutFunc must be .*, or a string such as"),
        (hidden(3, 16, "num_layers", "lambda x: x[1]"), r"m:hidden: cutFunc .* cannot be read: x\[1\] is beyond"),
        (hidden(3, 16, "num_layers", "lambda x: y"), "m:hidden: cutFunc .* cannot be read: 'y' is not its argument"),
        (hidden(3, 16, "num_layers", "lambda x: open(x)"), "m:hidden: cutFunc .* cannot be read: .*not understood"),
        (hidden(3, 16, "num_layers", "lambda x: x.pop()"), "m:hidden: cutFunc .* cannot be read: .*not understood"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(item, rule):
    """The error names the parameter and the rule, before any trial."""
    other = {"parameterName": "other", "type": "FIXED", "value": 1}
    form = {"m": [choice("num_layers", "2,3,4"), item], "a": [other], "b": [other]}
    with pytest.raises(SpaceError, match=rule):
        from_autogl(form)


@pytest.mark.parametrize(
    ("form", "rule"),
    [
        ({"a:b": [choice("x", "1,2")]}, "names of modules must be strings without a colon, got 'a:b'"),
        ({1: [choice("x", "1,2")]}, "names of modules must be strings"),
        ({"a": choice("x", "1,2")}, "a must be a list of parameters"),
        ({"a": [], "b": []}, "must hold at least one parameter"),
        ([choice("x", "1,2"), choice("x", "3,4")], "x: names must differ"),
    ],
)
def test_what_is_no_space_is_refused(form, rule):
    """The whole form has rules too."""
    with pytest.raises(SpaceError, match=rule):
        from_autogl(form)


@pytest.mark.parametrize(
    ("space", "rule"),
    [
        (SearchSpace([RangeHP("x", 0.0, 1.0, step=0.5)]), "x: must have no prior, children or step in AutoGL's form"),
        (SearchSpace([ChoiceHP("x", [1, 2], prior=[1, 2])]), "x: must have no prior"),
        (SearchSpace([ChoiceHP("x", [1, 2], {1: [RangeHP("y", 0, 1)]})]), "x: must have no prior, children"),
        (
            SearchSpace([RangeHP("x", 0, 1), RangeHP("y", 0, 1)], conditions={"y": "x == 1"}),
            "y: must have no condition .*, got 'x == 1'",
        ),
        (
            SearchSpace([RangeHP("x", 0, 1)], constraints=[LinearConstraint({"x": 1}, upper=1)]),
            "constraints: must be none in AutoGL's form",
        ),
        (
            SearchSpace([PermutationHP("x", [1, 2])]),
            "x: must be .* of rising numbers in AutoGL's form, got PermutationHP",
        ),
        (SearchSpace([OrdinalHP("x", [2, 1])]), "x: must be .* of rising numbers in AutoGL's form, got OrdinalHP"),
        (SearchSpace([OrdinalHP("x", ["a", "b"])]), "x: must be .* of rising numbers in AutoGL's form, got OrdinalHP"),
        (SearchSpace([RangeHP("x", 0, 1), RangeHP("a:y", 0, 1)]), "x: name must have a module .*'module:x', got 'x'"),
        (SearchSpace([ListHP("x", [RangeHP("i", 0, 1), RangeHP("i", 0.0, 1.0)], 2)]), "x: entries must be all ints"),
        (SearchSpace([ListHP("x", [RangeHP("i", 1, 2), LogRangeHP("i", 1, 2)], 2)]), "x: .* on one scale"),
        (SearchSpace([ListHP("x", OrdinalHP("i", [1, 2]), 2)]), "x: entries must be ranges, or one ChoiceHP"),
        (SearchSpace([ListHP("x", RangeHP("i", 0.0, 1.0, step=0.5), 2)]), "i: must have no prior"),
    ],
)
def test_what_autogl_cannot_say_is_not_written(space, rule):
    """Nothing is left out in silence."""
    with pytest.raises(SpaceError, match=rule):
        to_autogl(space)


def test_a_space_of_our_own_is_written_in_autogls_form():
    """The function it gets as cutFunc is called as AutoGL calls it, with the list of the values."""
    widths = ListHP("m:widths", RangeHP("m:widths", 1, 9), "`m:n` + `k:n`", 4)
    space = SearchSpace([RangeHP("m:n", 1, 2), widths, FixedHP("k:n", 2)])
    written = to_autogl(space)
    function = written["m"][1].pop("cutFunc")
    assert written == {
        "m": [
            {"parameterName": "n", "type": "INTEGER", "minValue": 1, "maxValue": 2, "scalingType": "LINEAR"},
            {
                "parameterName": "widths",
                "type": "NUMERICAL_LIST",
                "numericalType": "INTEGER",
                "length": 4,
                "cutPara": ("n", "k:n"),
                "minValue": 1,
                "maxValue": 9,
                "scalingType": "LINEAR",
            },
        ],
        "k": [{"parameterName": "n", "type": "FIXED", "value": 2}],
    }
    assert isinstance(function, FormulaCut)
    assert function([2, 2]) == 4


NAMES = ("a", "b", "c_d", "lr")
POINT = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)


@st.composite
def items(draw, name):
    """One parameter in AutoGL's form, without a cut."""
    kind = draw(st.sampled_from(["DOUBLE", "INTEGER", "DISCRETE", "CATEGORICAL", "FIXED", "LIST", "CATEGORIES"]))
    item = {"parameterName": name, "type": kind}
    points = draw(st.lists(POINT, min_size=1, max_size=4, unique_by=lambda v: (str(type(v)), v)))
    if kind == "FIXED":
        return item | {"value": draw(POINT | st.lists(st.integers(), max_size=2))}
    if kind == "DISCRETE":
        texts = draw(st.lists(st.integers(-99, 99).map(str) | st.sampled_from(["1.5", " 7e3", "w"]), min_size=1))
        texts = [text for i, text in enumerate(texts) if text.strip() not in {other.strip() for other in texts[:i]}]
        return item | {"feasiblePoints": ",".join(texts)}
    if kind == "CATEGORICAL":
        return item | {"feasiblePoints": points}
    if kind == "CATEGORIES":
        return item | {"type": "CATEGORICAL_LIST", "length": draw(st.integers(1, 3)), "feasiblePoints": points}
    is_int = draw(st.booleans()) if kind == "LIST" else kind == "INTEGER"
    scaling = draw(st.sampled_from(["LINEAR", "LOG"]))
    least = 1 if scaling == "LOG" else -1000
    end = st.integers(least, 1000) if is_int else st.integers(least, 1000) | st.floats(max(least, 1e-9), 1000.0)
    item["scalingType"] = scaling
    if kind != "LIST":
        low, high = sorted(draw(st.tuples(end, end)))
        return item | {"minValue": low, "maxValue": high}
    n = draw(st.integers(1, 3))
    pairs = [sorted(draw(st.tuples(end, end))) for _ in range(n)]
    item |= {"type": "NUMERICAL_LIST", "numericalType": "INTEGER" if is_int else "DOUBLE", "length": n}
    if draw(st.booleans()):
        return item | {"minValue": pairs[0][0], "maxValue": pairs[0][1]}
    return item | {"minValue": [low for low, _ in pairs], "maxValue": [high for _, high in pairs]}


@st.composite
def forms(draw):
    """A whole space: a list, or modules, some of them empty; lists may be cut by a parameter of any module."""
    modules = draw(st.lists(st.sampled_from(["trainer", "encoder", "decoder"]), unique=True, max_size=3))
    form = {}
    for module in modules or [None]:
        names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=0 if modules else 1))
        form[module] = [draw(items(name)) for name in names]
    if modules:
        form[modules[0]].append({"parameterName": "depth", "type": "FIXED", "value": 1})
    for item in [item for module in form.values() for item in module]:
        if modules and item["type"].endswith("LIST") and draw(st.booleans()):
            item["cutPara"] = draw(st.sampled_from(["depth", ("depth",), ["depth"]]))
            item["cutFunc"] = draw(st.sampled_from(["lambda x: x[0] - 1", "lambda  y :y[0]", abs_of_first]))
    return form if modules else form[None]


def abs_of_first(values):
    """A cutFunc that is a function."""
    return abs(values[0])


@given(forms())
@settings(max_examples=100, deadline=None)
def test_any_form_comes_back_equal(form):
    """The same keys, values and types; and it is left as it was."""
    before = copy.deepcopy(form)
    space = from_autogl(form)
    assert is_same(to_autogl(space), form)
    assert is_same(form, before)


@given(forms())
@settings(max_examples=100, deadline=None)
def test_any_space_is_written_so_that_it_is_read_back_equal(form):
    """Also where the first spelling was lost, as in a space that comes from a stored run."""
    space = from_autogl(form)
    if any("opaque" in str(hp.to_dict()) for hp in space):
        return  # a function is not kept in JSON
    lost = SearchSpace.from_dict(space.to_dict())
    assert not lost.autogl_items
    again = from_autogl(to_autogl(lost))
    assert sorted(map(repr, again.roots)) == sorted(map(repr, space.roots))
