"""Identity: a stored run goes on with the values that it was run with, or not at all."""

import json
import threading

import numpy as np
import pytest

from autohpo import (
    ChoiceHP,
    FixedHP,
    HPSpace,
    OrdinalHP,
    PermutationHP,
    RangeHP,
    SearchSpace,
    SpaceError,
    build_hpo_from_name,
)
from autohpo.errors import StoreMismatchError
from autohpo.spaces import TiedHP
from autohpo.spaces.identity import as_kept, check_identity


class Plain:
    """An object without a repr of its own."""

    def __init__(self, lr):
        self.lr = lr


class Alike(Plain):
    """An object whose repr does not tell it from another."""

    def __repr__(self):
        return "Alike()"


def _made(sign):
    def act(x):
        return sign * x

    return act


def _class(factor):
    class Model:
        size = factor

    return Model


PAIRS = {
    "lambdas": (lambda x: x, lambda x: -x),
    "functions of one name": (_made(1), _made(-1)),
    "classes of one name": (_class(1), _class(2)),
    "objects": (Plain(0.1), Plain(0.2)),
    "objects of one repr": (Alike(0.1), Alike(0.2)),
    "arrays": (np.arange(2000), np.arange(2000)[::-1]),
    "in tuples": ((lambda x: x, 1), (lambda x: -x, 1)),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    "make",
    [
        lambda a, b: ChoiceHP("act", [a, b]),
        lambda a, b: OrdinalHP("act", [a, b]),
        lambda a, b: PermutationHP("act", [a, b]),
        lambda a, b: TiedHP("act", "k", {0: a, 1: b}),
    ],
    ids=["choice", "ordinal", "permutation", "tied"],
)
def test_values_in_another_order_are_another_space(name, make):
    """The log holds no more of them than their place."""
    a, b = PAIRS[name]
    first, second, again = (make(*pair).to_dict() for pair in ((a, b), (b, a), (a, b)))
    assert first == again
    assert first != second
    json.dumps(first)
    check_identity(SearchSpace([ChoiceHP("k", [0, 1]), make(a, b)]))


def _objective(hp):
    act = hp["act"]
    return hp["x"] * (act.lr if isinstance(act, Plain) else act(1.0))


@pytest.mark.parametrize("name", ["lambdas", "objects", "functions of one name"])
def test_a_run_is_not_resumed_with_other_values(name, tmp_path):
    """In the same order it goes on, in another it is refused."""
    a, b = PAIRS[name]

    def run(choices, n):
        space = [RangeHP("x", 0.1, 1.0), ChoiceHP("act", choices)]
        hpo = build_hpo_from_name("random", space, _objective, max_evals=n, seed=0)
        hpo.optimize(progress=False, store=tmp_path / "run.db")
        return hpo.result

    run([a, b], 3)
    assert len(run([a, b], 4)) == 4
    with pytest.raises(StoreMismatchError, match="digest"):
        run([b, a], 5)
    with pytest.raises(StoreMismatchError, match="digest"):
        run([a, lambda x: 2 * x] if name != "objects" else [a, Plain(0.3)], 5)


@pytest.mark.parametrize("parameter", [ChoiceHP("act", [0, threading.Lock()]), FixedHP("act", threading.Lock())])
def test_a_value_without_a_digest_needs_a_name_where_there_is_a_store(parameter, tmp_path):
    """In memory it may be searched."""
    with pytest.raises(SpaceError, match=r"act: values must .* \(give names=\[...\], or their class a __repr__\), got"):
        hpo = build_hpo_from_name("random", [parameter, RangeHP("x", 0.0, 1.0)], lambda hp: 1.0, max_evals=1)
        hpo.optimize(progress=False, store=tmp_path / "run.db")
    hpo = build_hpo_from_name("random", [parameter, RangeHP("x", 0.0, 1.0)], lambda hp: 1.0, max_evals=1)
    hpo.optimize(progress=False)


@pytest.mark.parametrize("kind", [ChoiceHP, OrdinalHP, PermutationHP])
def test_names_stand_for_values_in_a_store(kind):
    """Values that JSON can hold keep their own; of the others each has its name."""
    values = [1, threading.Lock(), threading.Lock()]
    with pytest.raises(SpaceError, match="x: values must"):
        check_identity(SearchSpace([kind("x", values)]))
    named = kind("x", values, names=["one", "first", "second"])
    check_identity(SearchSpace([named]))
    data = named.to_dict()
    field = next(key for key in ("choices", "values", "items") if key in data)
    assert data[field] == {"tuple": [1, {"opaque": "first"}, {"opaque": "second"}]}
    for names in (["a"], ["a", "b", "b"], ["a", "b", 3], "abc", 3):
        with pytest.raises(SpaceError, match="x: names must be 3 different strings, got"):
            kind("x", values, names=names)
    assert "names" not in kind("x", [1, 2]).to_dict()


def test_two_values_that_do_the_same_need_names():
    """Where only identity tells them apart, a place in the log says nothing."""
    space = SearchSpace([ChoiceHP("x", [object(), object()])])
    with pytest.raises(SpaceError, match="x: values must differ in their names or what they do"):
        check_identity(space)


def test_what_stores_of_older_releases_do_not_say_is_not_compared():
    """Nor digests of two versions of Python; all else is."""
    given = SearchSpace([ChoiceHP("x", [lambda x: x, lambda x: -x])]).to_dict()
    old = json.loads(json.dumps(given))
    items = old["parameters"][0]["choices"]["tuple"]
    for item in items:
        del item["digest"]
    assert as_kept(given, old) == old
    items[0]["digest"] = "cpython-27:abc"
    assert as_kept(given, old) == old
    items[0]["digest"] = given["parameters"][0]["choices"]["tuple"][0]["digest"][:-1] + "x"
    assert as_kept(given, old) != old
    items[0]["opaque"] = "other"
    assert as_kept(given, old) != old


def test_a_changed_function_of_a_constraint_is_another_run():
    """A lambda goes by the digest of its code; what a function counts as it runs does not matter."""
    calls = []

    def few(hp):
        calls.append(hp)
        return True

    def data(constraint):
        return SearchSpace([RangeHP("x", 0.0, 1.0)], constraints=[constraint]).to_dict()

    assert data(lambda hp: hp["x"] < 0.5) != data(lambda hp: hp["x"] < 0.6)
    before = data(few)
    few({})
    assert data(few) == before


def _kind(module, places):
    def contains(self, value):
        return type(value) is float

    def decode(self, units):
        return [round(unit, places) for unit in units[:, 0].tolist()]

    def encode(self, values):
        return np.array(values, dtype=float)[:, None]

    body = {"__module__": module, "contains": contains, "decode": decode, "encode": encode}
    return type("TwiceHP", (HPSpace,), body)


def test_two_kinds_of_one_name_are_told_apart():
    """Each is read back by its own class; a description without a class is refused where several are meant."""
    first, second = _kind("first", 1), _kind("second", 2)
    for kind in (first, second):
        data = kind("x").to_dict()
        assert type(HPSpace.from_dict(data)) is kind
        assert data["class"] == f"{kind.__module__}.TwiceHP"
    with pytest.raises(SpaceError, match=r"kind: 'TwiceHP' must be the name of one class, got \['first.TwiceHP', 'sec"):
        HPSpace.from_dict({"kind": "TwiceHP", "name": "x"})
    kept, given = ({"parameters": [kind("x").to_dict()]} for kind in (first, second))
    assert as_kept(given, kept) != kept
    assert as_kept(given, {"parameters": [{"kind": "TwiceHP", "name": "x"}]}) == {
        "parameters": [{"kind": "TwiceHP", "name": "x"}]
    }
    main = {"parameters": [_kind("__main__", 1)("x").to_dict()]}
    assert as_kept(main, kept) == kept  # the module of a program goes by another name when it is imported


def test_a_kind_defined_anew_takes_the_place_of_its_last_definition():
    """As in a notebook, whose cell is run again."""
    first, second = _kind("again", 1), _kind("again", 2)
    assert type(HPSpace.from_dict(first("x").to_dict())) is second
