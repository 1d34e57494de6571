"""Children and conditions: which parameters are active, and what a configuration holds."""

from __future__ import annotations

import copy
import itertools
import json
import pickle

import numpy as np
import pytest

from autohpo import BaseHPOptimizer, ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, SpaceError
from autohpo.spaces import HPSpace, ListHP, OrdinalHP

DECAY = LogRangeHP("decay", 1e-4, 1e-2)
NESTEROV = ChoiceHP("nesterov", [False, True], children={True: [RangeHP("warmup", 0, 5)]})
OPTI = ChoiceHP(
    "opti", ["sgd", "adam", None], children={"sgd": [DECAY, RangeHP("momentum", 0.0, 1.0), NESTEROV], "adam": [DECAY]}
)
SPACE = SearchSpace([OPTI, RangeHP("dropout", 0.0, 1.0), RangeHP("hops", 1, 3)], conditions={"dropout": "hops > 1"})


def active_names(opti, nesterov, hops):
    """The active parameters of a configuration of SPACE, said once more in plain Python."""
    names = {"opti", "hops"}
    if opti in ("sgd", "adam"):
        names.add("decay")
    if opti == "sgd":
        names |= {"momentum", "nesterov"}
        if nesterov:
            names.add("warmup")
    if hops > 1:
        names.add("dropout")
    return names


def test_children_follow_their_choice_and_conditions_their_names():
    """Each parameter stands after those that decide about it, else as listed."""
    assert SPACE.names == ("opti", "decay", "momentum", "nesterov", "warmup", "hops", "dropout")
    assert [hp.name for hp in SPACE.roots] == ["opti", "dropout", "hops"]
    assert SPACE.is_conditional
    assert SPACE.n_columns == 7
    assert SPACE.deciders("warmup") == ("nesterov",)
    assert SPACE.deciders("dropout") == ("hops",)
    assert SPACE.deciders("hops") == ()


def test_a_configuration_holds_what_is_active_names():
    """For every combination of what decides: decoded, active, masked and encoded as by the plain rules."""
    for opti, nesterov, hops in itertools.product(["sgd", "adam", None], [False, True], [1, 2, 3]):
        units = np.full((1, 7), 0.9)
        full = {
            "opti": opti,
            "decay": 1e-3,
            "momentum": 0.1,
            "nesterov": nesterov,
            "warmup": 1,
            "dropout": 0.2,
            "hops": hops,
        }
        names = active_names(opti, nesterov, hops)
        hp = {name: value for name, value in full.items() if name in names}
        assert set(SPACE.active(full)) == names
        assert set(SPACE.active(hp)) == names
        assert set(SPACE.active({k: v for k, v in hp.items() if k in ("opti", "nesterov", "hops")})) == names
        assert SPACE.trim(full) == hp
        SPACE.check(hp)
        units = SPACE.encode([hp])
        assert SPACE.mask([hp])[0].tolist() == [name in names for name in SPACE.names]
        assert (units[0][~SPACE.mask([hp])[0]] == 0.5).all()
        assert SPACE.decode(units)[0].keys() == hp.keys()
        for name in names:  # each of them is needed
            with pytest.raises(SpaceError):
                SPACE.check({k: v for k, v in hp.items() if k != name})
        for name in set(full) - names:  # and nothing else is legal
            with pytest.raises(
                SpaceError, match=rf"configuration: parameters must be active, got inactive \['{name}'\] in"
            ):
                SPACE.check({**hp, name: full[name]})


def test_many_configurations_are_coded_together():
    """Rows with and without a child beside each other: as one by one."""
    hps = SPACE.sample(np.random.default_rng(0), 50)
    assert len({frozenset(hp) for hp in hps}) > 5
    np.testing.assert_array_equal(SPACE.encode(hps), np.concatenate([SPACE.encode([hp]) for hp in hps]))
    np.testing.assert_array_equal(SPACE.mask(hps), np.concatenate([SPACE.mask([hp]) for hp in hps]))
    points = np.random.default_rng(1).random((20, 7))
    canonical = SPACE.canonical(points)
    np.testing.assert_allclose(SPACE.canonical(canonical), canonical, atol=1e-15)


def test_children_may_be_a_list_with_an_item_for_each_choice():
    """The only way for choices without a hash, or those that a dict takes for one."""
    child = RangeHP("x", 0, 1)
    by_dict = ChoiceHP("c", ["a", "b"], children={"b": [child]})
    assert (
        by_dict
        == ChoiceHP("c", ["a", "b"], children=[None, [child]])
        == ChoiceHP("c", ["a", "b"], children=[(), (child,)])
    )
    assert by_dict != ChoiceHP("c", ["a", "b"])
    odd = SearchSpace([ChoiceHP("c", [[1], True, 1], children=[[child], [], [RangeHP("y", 0, 1)]])])
    assert [set(odd.active({"c": c})) for c in ([1], True, 1)] == [{"c", "x"}, {"c"}, {"c", "y"}]


def test_a_child_of_two_parents_is_in_force_under_either():
    """The same parameter under choices of different parameters: one column, one value."""
    child = RangeHP("x", 0.0, 1.0)
    space = SearchSpace(
        [ChoiceHP("a", [0, 1], children={1: [child]}), ChoiceHP("b", [0, 1], children={1: [RangeHP("x", 0.0, 1.0)]})]
    )
    assert space.n_columns == 3
    for a, b in itertools.product([0, 1], repeat=2):
        assert ("x" in space.active({"a": a, "b": b})) is bool(a or b)


def test_what_speaks_of_an_absent_parameter_is_absent_too():
    """A chain: no sgd, no momentum, no condition on it, and no list that is as long as something in there."""
    layers = RangeHP("layers", 1, 2)
    deep = ChoiceHP("deep", [False, True], children={True: [layers]})
    space = SearchSpace(
        [ListHP("hidden", RangeHP("units", 1, 9), "layers", 2), RangeHP("x", 0, 1), RangeHP("y", 0, 1), deep],
        conditions={"x": "layers == 2", "y": "x == 1 or x == 0"},
    )
    assert space.active({"deep": False}) == ("deep",)
    assert set(space.active({"deep": True, "layers": 1, "hidden": [3]})) == {"deep", "layers", "hidden"}
    full = {"deep": True, "layers": 2, "hidden": [3, 4], "x": 1, "y": 0}
    assert set(space.active(full)) == set(full)
    assert space.n_configurations == len(list(space.configurations())) == 1 + 9 + 81 * 2 * 2


def test_a_condition_and_a_choice_must_both_hold():
    """A formula on a child narrows it."""
    child = ChoiceHP("c", ["a", "b"], children={"a": [RangeHP("x", 0, 9)]})
    space = SearchSpace([child, RangeHP("n", 1, 2)], conditions={"x": "n == 2"})
    active = {(c, n): "x" in space.active({"c": c, "n": n}) for c in "ab" for n in (1, 2)}
    assert active == {("a", 1): False, ("a", 2): True, ("b", 1): False, ("b", 2): False}


def test_conditions_on_fixed_values_and_single_choices_hold_or_not_for_ever():
    """They take no column, and decide all the same."""
    space = SearchSpace(
        [FixedHP("k", 3), ChoiceHP("one", ["a"], children={"a": [RangeHP("x", 0, 1)]}), RangeHP("y", 0, 1)],
        conditions={"y": "k > 3"},
    )
    assert space.active({"k": 3, "one": "a"}) == ("k", "one", "x")
    assert space.n_configurations == 2


def test_spaces_without_conditions_are_as_before():
    """Nothing to decide: every name is active, and every column too."""
    space = SearchSpace([RangeHP("x", 0, 1), OrdinalHP("o", [1, 2])])
    assert not space.is_conditional
    assert space.active({}) == ("x", "o")
    assert space.mask([{"x": 0, "o": 1}] * 2).tolist() == [[True, True]] * 2


def test_conditions_are_part_of_the_space():
    """In equality, JSON, pickles and copies."""
    assert SearchSpace(SPACE.roots) != SPACE
    data = json.loads(json.dumps(SPACE.to_dict(), allow_nan=False))
    for again in (
        SearchSpace.from_dict(data),
        pickle.loads(pickle.dumps(SPACE)),
        copy.deepcopy(SPACE),
        SearchSpace(SPACE),
    ):
        assert again == SPACE
        assert hash(again) == hash(SPACE)
        assert again.names == SPACE.names
        assert again.sample(np.random.default_rng(3), 9) == SPACE.sample(np.random.default_rng(3), 9)
    more = SearchSpace(SPACE, conditions={"hops": "opti == 'sgd'"})
    assert more.active({"opti": "adam", "decay": 1e-3}) == ("opti", "decay")
    SPACE.to_dict()["conditions"].clear()
    assert SPACE.to_dict() == data


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: ChoiceHP("c", ["a"], children={"b": [DECAY]}),
            "c: children must stand under one of the choices, got 'b'",
        ),
        (
            lambda: ChoiceHP("c", [1, 0], children={True: [DECAY]}),
            "c: children must stand under one of the choices, got T",
        ),
        (lambda: ChoiceHP("c", ["a"], children={"a": DECAY}), "c: children of 'a' must be a list of parameters"),
        (
            lambda: ChoiceHP("c", ["a"], children={"a": ["x"]}),
            "c: children must be parameters such as RangeHP, got 'x'",
        ),
        (
            lambda: ChoiceHP("c", ["a", "b"], children=[[DECAY]]),
            "c: children must be a dict, or a list with an item for each of 2 choices, got",
        ),
        (
            lambda: ChoiceHP("c", ["a", "b"], children=3),
            "c: children must be a dict, or a list with an item for each of 2 choices, got",
        ),
        (lambda: SearchSpace([OPTI, DECAY]), "decay: names must differ"),
        (lambda: SearchSpace([DECAY, OPTI]), "decay: names must differ"),
        (
            lambda: SearchSpace([OPTI, ChoiceHP("d", [1, 2], children={1: [RangeHP("decay", 0, 1)]})]),
            "decay: names must d",
        ),
        (lambda: SearchSpace([ChoiceHP("c", ["a"], children={"a": [RangeHP("c", 0, 1)]})]), "c: names must differ"),
        (
            lambda: SearchSpace([DECAY], conditions={"x": "decay > 1"}),
            "conditions: 'x' is not a parameter; the space has ['dec",
        ),
        (
            lambda: SearchSpace([DECAY], conditions={"decay": "x > 1"}),
            "decay: must refer to parameters of ['decay'], got 'x'",
        ),
        (
            lambda: SearchSpace([DECAY], conditions={"decay": "decay > 1"}),
            "conditions: must not form a circle, got decay -> decay",
        ),
        (lambda: SearchSpace([DECAY], conditions={"decay": "1 +"}), "expression '1 +': cannot be read"),
        (lambda: SearchSpace([DECAY], conditions={"decay": True}), "expression: must be a string, got bool"),
        (
            lambda: SearchSpace([DECAY], conditions=["decay"]),
            "space: conditions must be a dict of formulas, got ['decay']",
        ),
        (
            lambda: SearchSpace([OPTI, RangeHP("n", 0, 1)], conditions={"opti": "n > 0", "n": "momentum > 0"}),
            "conditions: must not form a circle, got opti -> n -> momentum -> opti",
        ),
    ],
)
def test_what_cannot_be_decided_is_refused(make, text):
    """When the space is made, before any trial."""
    with pytest.raises(SpaceError) as caught:
        make()
    assert str(caught.value).startswith(text)


def test_a_formula_that_cannot_be_computed_names_itself():
    """A comparison of a string with a number shows at the first draw, not as a wrong answer."""
    space = SearchSpace([ChoiceHP("c", ["a", 1]), RangeHP("x", 0, 1)], conditions={"x": "c > 0"})
    assert space.active({"c": 1}) == ("c", "x")
    with pytest.raises(SpaceError, match="expression 'c > 0': cannot be computed for {'c': 'a'}"):
        space.decode(np.full((1, 2), 0.1))


def test_an_algorithm_need_not_know_what_is_active():
    """What it says too much is left out, as everything it knows is a function of the suggestion's own values."""

    class Full(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            return {
                "opti": "adam", "decay": np.float64(1e-3), "momentum": 0.1, "nesterov": True, "warmup": 1,
                "dropout": 0.2, "hops": np.int64(1),
            }  # fmt: skip

    suggestion = Full(SPACE).ask()
    assert suggestion == {"opti": "adam", "decay": 1e-3, "hops": 1}
    assert type(suggestion["hops"]) is int


def test_a_kind_of_ones_own_may_be_a_child():
    """Conditions know nothing of kinds."""

    class HalfHP(HPSpace):
        def decode(self, units):
            return [0.5] * len(units)

        def encode(self, values):
            return np.full((len(values), 1), 0.5)

        def contains(self, value):
            return value == 0.5

    space = SearchSpace([ChoiceHP("c", [0, 1], children={1: [HalfHP("h")]})])
    assert space.decode(np.array([[0.9, 0.1], [0.1, 0.1]])) == [{"c": 1, "h": 0.5}, {"c": 0}]
