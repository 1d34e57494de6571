"""One configuration has one value: what users and plug-ins hand over becomes the parameter's own type and value."""

import json
import math
import pickle

import numpy as np
import pytest

from autohpo import (
    BaseHPOptimizer,
    ChoiceHP,
    FixedHP,
    ListHP,
    LogRangeHP,
    OrdinalHP,
    PermutationHP,
    RangeHP,
    SearchSpace,
    SpaceError,
    Suggestion,
    build_hpo_from_name,
)
from autohpo.spaces import TiedHP
from autohpo.spaces.index import Index, first_places
from autohpo.spaces.tagged import is_same
from autohpo.testing.examples import SPACES

STEPS = RangeHP("x", 0.0, 0.3, step=0.1)
UNITS = ListHP("x", RangeHP("u", 0.0, 1.0, step=0.25), 2)
ORDER = PermutationHP("x", ["a", (1, 2), None])


@pytest.mark.parametrize(
    ("parameter", "given", "wanted"),
    [
        (STEPS, 0, 0.0),
        (STEPS, -0.0, 0.0),
        (STEPS, 0.1 + 0.2, 0.3),
        (STEPS, np.float64(0.1) + np.float64(0.2), 0.3),
        (STEPS, np.float32(0.1), 0.1),
        (STEPS, np.array(0.2), 0.2),
        (RangeHP("x", 0.0, 1.0), 1, 1.0),
        (RangeHP("x", 0.0, 1.0), -0.0, 0.0),
        (RangeHP("x", 0.0, 0.3), 0.1 + 0.2, 0.3),
        (RangeHP("x", 0.0, 1.0), np.float64(0.5), 0.5),
        (RangeHP("x", 1, 9), np.int64(3), 3),
        (RangeHP("x", 1, 9), 3.0, 3),
        (RangeHP("x", 1, 9, step=2), np.float64(5.0), 5),
        (LogRangeHP("x", 1, 1000), np.int32(7), 7),
        (LogRangeHP("x", 1e-4, 1.0), 1, 1.0),
        (ChoiceHP("x", ["a", "b"]), np.str_("b"), "b"),
        (ChoiceHP("x", [True, False]), np.bool_(0), False),
        (ChoiceHP("x", [1, 2]), 2.0, 2),
        (ChoiceHP("x", [1, True]), np.int64(1), 1),
        (ChoiceHP("x", [1, True]), True, True),
        (ChoiceHP("x", [(1, 2), (3, 4)]), [3, 4.0], (3, 4)),
        (ChoiceHP("x", [(1, 2), (3, 4)]), np.array([3, 4]), (3, 4)),
        (OrdinalHP("x", [0.1, 0.2, 0.3]), 0.1 + 0.2, 0.3),
        (FixedHP("x", 1), np.float64(1), 1),
        (UNITS, (0, np.float64(0.25)), [0.0, 0.25]),
        (UNITS, np.array([1.0, 0.0]), [1.0, 0.0]),
        (ORDER, (None, np.str_("a"), [1.0, 2]), [None, "a", (1, 2)]),
    ],
)
def test_a_value_in_another_form_is_the_parameters_own(parameter, given, wanted):
    """In type and value, wherever it stands; what goes into the log is the same too."""
    space = SearchSpace([parameter])
    found = space.checked({"x": given})
    assert is_same(found["x"], wanted)
    assert str(found["x"]) == str(wanted)  # 0.0 is not -0.0
    assert space.key(found) == space.key({"x": wanted})
    hpo = build_hpo_from_name("random", space, points=[{"x": given}], seed=0)
    assert is_same(hpo.ask()["x"], wanted)


@pytest.mark.parametrize(
    ("parameter", "given"),
    [
        (STEPS, 0.1001),
        (STEPS, True),
        (STEPS, "0.1"),
        (STEPS, float("nan")),
        (STEPS, np.float32(0.1001)),
        (STEPS, 10**400),
        (RangeHP("x", 0.0, 1.0), 1.0000001),
        (RangeHP("x", 1, 9), 2.5),
        (RangeHP("x", 1, 9), np.bool_(1)),
        (ChoiceHP("x", [True, False]), 1),
        (ChoiceHP("x", [1, 2]), True),
        (ChoiceHP("x", [[1, 2], (1, 2)]), np.array([1, 2])),
        (UNITS, [0.1, 0.0]),
        (UNITS, [[0.0], [0.0, 1.0]]),
        (UNITS, "ab"),
        (ORDER, ["a", "a", None]),
        (RangeHP("x", 0.0, 1.0), np.array([0.5])),
        (RangeHP("x", 0.0, 1.0), 1j),
    ],
)
def test_a_value_that_means_none_is_refused(parameter, given):
    """Off the steps, of a type that means something else, or one that may mean several."""
    with pytest.raises(SpaceError, match="x: must be a value of"):
        SearchSpace([parameter]).checked({"x": given})


class _Numpy(BaseHPOptimizer):
    """An algorithm that hands over what numpy gave it."""

    def _get_suggestion(self, pid):
        return {"x": np.float64(0.1) + np.float64(0.2), "n": np.float64(3.0), "c": np.str_("a")}


def test_suggestions_of_plug_ins_and_known_results_pass_the_same_door():
    """The objective and the log get one value; a result is taken for a configuration in any form."""
    space = [STEPS, RangeHP("n", 1, 9), ChoiceHP("c", ["a", "b"])]
    hpo = _Numpy(space)
    suggestion = hpo.ask()
    assert [type(value) for value in suggestion.values()] == [float, int, str]
    assert suggestion == {"x": 0.3, "n": 3, "c": "a"}
    suggestion["n"], suggestion["x"] = np.int64(3), 0.1 + 0.2
    hpo.tell(suggestion, 1.0)
    hpo.adopt(Suggestion({"x": 0, "n": np.int64(2), "c": np.str_("b")}, number=1))
    assert str(dict(hpo.history.running[0].hp)) == "{'x': 0.0, 'n': 2, 'c': 'b'}"
    assert json.loads(hpo.space.key(hpo.history.trials[0].hp)) == {"c": 0, "n": 3, "x": 0.3}


def test_a_warm_start_takes_values_in_another_form(tmp_path):
    """A search over integers that were floats before."""
    first = build_hpo_from_name("random", [RangeHP("n", 1.0, 9.0, step=1.0)], lambda hp: hp["n"], max_evals=4, seed=0)
    first.optimize(progress=False)
    second = build_hpo_from_name("random", [RangeHP("n", 1, 9)], lambda hp: hp["n"], max_evals=1, seed=0)
    second.optimize(progress=False, warm_start=first.result)
    values = [trial.hp["n"] for trial in second.result]
    assert len(values) > 4
    assert {type(value) for value in values} == {int}


def test_keys_of_children_and_tied_values_may_be_in_another_form():
    """A dict by numpy's numbers or by equal floats leads to the same choice."""
    size = ChoiceHP("size", [1, 2], children={np.int64(2): [RangeHP("depth", 1, 3)]})
    space = SearchSpace([size, TiedHP("lr", "size", {1.0: 0.1, np.int64(2): 0.2})])
    assert space.checked({"size": 2.0, "depth": 2.0, "lr": np.float64(0.2)}) == {"size": 2, "depth": 2, "lr": 0.2}
    assert space.decode(np.array([[0.1, 0.5]])) == [{"size": 1, "lr": 0.1}]


def test_many_places_are_found_at_once():
    """A thousand look-ups among a thousand values cost no million comparisons, also for values of odd types."""

    class Odd:
        n_compared = 0

        def __eq__(self, other):
            Odd.n_compared += 1
            return self is other

        __hash__ = None

    values = [Odd() for _ in range(170)]
    order = PermutationHP("order", values)
    units = np.random.default_rng(0).random((20, 170))
    Odd.n_compared = 0
    orders = order.decode(units)
    assert all(map(order.contains, orders))
    assert np.array_equal(np.argsort(order.encode(orders)), np.argsort(units))
    assert Odd.n_compared == 0
    assert [Index(values).of(value) for value in values] == list(range(170))


def test_dates_of_numpy_stand_for_those_of_python():
    """An array of dates becomes a list of Python's, so its own elements must mean them."""
    days = np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]")
    assert SearchSpace([ChoiceHP("day", days)]).checked({"day": days[1]}) == {"day": days.tolist()[1]}
    assert SearchSpace([ChoiceHP("day", list(days))]).checked({"day": days.tolist()[1]})["day"] is not days.tolist()[1]


def test_many_choices_are_checked_at_once():
    """Ten thousand tuples, sets, objects or nested lists are no million comparisons; a double is still found."""

    class Odd:
        n_compared = 0

        def __eq__(self, other):
            Odd.n_compared += 1
            return self is other

        def __hash__(self):
            return id(self)

    odd = [Odd() for _ in range(500)]
    assert len(ChoiceHP("x", odd).choices) == 500
    assert Odd.n_compared == 0
    n = range(10_000)
    for values in [(i, i + 1) for i in n], [frozenset({i}) for i in n], [[{"a": (i, 1.5)}] for i in n]:
        hp = ChoiceHP("x", values)
        assert hp.index_of(values[-1]) == 9_999
        with pytest.raises(SpaceError, match="must differ"):
            ChoiceHP("x", [*values, values[5_000]])
    same = [(1, math.nan), {1: [2]}, {3}, b"1"]
    assert first_places([0.0, 1.0, -0.0, 1.0, 2.0]) == [0, 1, 4]
    assert first_places([math.nan, 1.0, math.nan]) == [0, 1]
    assert Index([1, True, "a"]).all_of([True, 1.0, "a", 1, str(np.str_("a"))]) == [1, -1, 2, 0, 2]
    assert len(first_places([*same, (1, math.nan), (True, 2), {1: [2]}, {1: [2.0]}, {3}, frozenset({3}), b"1"])) == 7


@pytest.mark.parametrize("name", SPACES)
def test_using_a_space_does_not_change_its_pickle(name):
    """Caches are no part of a space: whoever compares or hashes pickles sees the same before and after."""
    space = SPACES[name]()
    before = pickle.dumps((space, list(space)))
    rng = np.random.default_rng(0)
    hps = space.sample(rng, 20)
    space.encode(hps), space.mask(hps), space.to_dict(), space.edges, space.optional, space.n_configurations
    for hp in hps:
        space.check(space.checked(hp))
        space.from_json(space.to_json(hp))
        space.key(hp)
    for parameter in space:
        parameter.grid(5), parameter.axes(3), repr(parameter), hash(parameter)
    space.allowed(rng.random((20, space.n_columns)))
    assert pickle.dumps((space, list(space))) == before
    assert pickle.loads(before)[0] == space
