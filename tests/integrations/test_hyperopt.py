"""Spaces of hyperopt: the oracle is hyperopt's own sampler, and its ``space_eval``."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hyperopt import Trials, hp, rand, space_eval
from hyperopt.base import Domain
from hyperopt.pyll import scope
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, SpaceError, build_hpo_from_name
from autohpo.integrations.hyperopt import as_objective, from_hyperopt, restore

NAMES = st.sampled_from([f"p{i}" for i in range(40)])


def hyperopt_draws(tree, n, seed=0):
    """What hyperopt's random search suggests: values by label, only of what is active."""
    domain = Domain(lambda _: 0.0, tree)
    documents = rand.suggest(list(range(n)), domain, Trials(), seed)
    draws = [document["misc"]["vals"] for document in documents]
    return [{label: values[0] for label, values in draw.items() if len(values)} for draw in draws]


def ours(space, draw):
    """A draw of hyperopt as a configuration: it has the place of what was chosen, we have the choice."""
    values = {}
    for label, value in draw.items():
        parameter = space[label]
        values[label] = parameter.choices[int(value)] if isinstance(parameter, ChoiceHP) else value
    return space.checked(values)  # raises unless it is a configuration, with just the active labels


def is_alike(a, b):
    """Whether two structures are the same, but for the last digits of floats."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(is_alike(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(map(is_alike, a, b))
    is_float = isinstance(a, float) and isinstance(b, float)
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) if is_float else a == b and type(a) is type(b)


@st.composite
def trees(draw):
    """A nested space; each label is used once, or as the very same node."""
    numbers = iter(range(10_000))
    nodes = []

    def leaf():
        label = f"p{next(numbers)}"
        kind = draw(st.integers(0, 9))
        made = [
            lambda: hp.uniform(label, -1, 2),
            lambda: hp.quniform(label, 0, 10, draw(st.sampled_from([0.5, 1, 3]))),
            lambda: hp.loguniform(label, -5, 1),
            lambda: hp.qloguniform(label, draw(st.sampled_from([-2, 1])), 4, draw(st.sampled_from([1, 2.5]))),
            lambda: hp.normal(label, 3, 2),
            lambda: hp.qlognormal(label, 1, 0.5, 1),
            lambda: hp.randint(label, 7),
            lambda: hp.uniformint(label, 2, 9),
            lambda: draw(st.sampled_from([1, "a", None, 0.5])),
            lambda: nodes[draw(st.integers(0, len(nodes) - 1))] if nodes else 7,
        ][kind]()
        if kind < 8:
            nodes.append(made)
        return made

    def tree(depth):
        kind = draw(st.integers(0, 4)) if depth else 0
        if kind == 0:
            return leaf()
        if kind == 1:
            return {f"k{i}": tree(depth - 1) for i in range(draw(st.integers(1, 3)))}
        if kind == 2:
            return [tree(depth - 1) for _ in range(draw(st.integers(1, 3)))]
        label, options = f"p{next(numbers)}", [tree(depth - 1) for _ in range(draw(st.integers(1, 3)))]
        if kind == 3:
            made = hp.choice(label, options)
        else:
            made = hp.pchoice(label, [(1 / len(options), option) for option in options])
        return made

    return {"root": tree(4), "x": hp.uniform("x", 0, 1)}


@settings(max_examples=60, deadline=None)
@given(trees(), st.integers(0, 2**31 - 1))
def test_every_draw_of_hyperopt_is_a_configuration_and_back(tree, seed):
    """With the labels that hyperopt has as active, and the structure that it hands to an objective."""
    space = from_hyperopt(tree)
    for draw in hyperopt_draws(tree, 3, seed):
        assert is_alike(restore(tree, ours(space, draw)), space_eval(tree, draw))


@settings(max_examples=60, deadline=None)
@given(trees(), st.integers(0, 2**31 - 1))
def test_every_configuration_evaluates_in_hyperopt(tree, seed):
    """Labels that hyperopt would draw, no more and no fewer: it knows which by its own conditions."""
    space = from_hyperopt(tree)
    conditions = Domain(lambda _: 0.0, tree).params.keys()
    assert set(conditions) == set(space.names)
    for config in space.sample(np.random.default_rng(seed), 3):
        places = {n: space[n].to_json(v) if isinstance(space[n], ChoiceHP) else v for n, v in config.items()}
        assert is_alike(restore(tree, config), space_eval(tree, places))


def test_a_configuration_comes_back_in_the_structure_of_the_tree():
    """Written out by hand; hyperopt makes tuples of lists."""
    tree = {
        "model": hp.choice(
            "model",
            [
                {"name": "svm", "c": hp.lognormal("c", 0, 1), "kernel": hp.choice("kernel", ["rbf", "linear"])},
                {"name": "net", "units": [hp.quniform("u1", 16, 64, 16), hp.uniformint("u2", 1, 4)]},
                None,
            ],
        ),
        "scaled": hp.uniform("scaled", 0, 1) * 10 + 1,
    }
    space = from_hyperopt(tree)
    assert space["model"].choices == (0, 1, 2)
    assert space["kernel"].choices == ("rbf", "linear")
    assert restore(tree, {"model": 0, "c": 2.0, "kernel": "linear", "scaled": 0.5}) == {
        "model": {"name": "svm", "c": 2.0, "kernel": "linear"},
        "scaled": 6.0,
    }
    net = restore(tree, {"model": 1, "u1": 32, "u2": 3, "scaled": 0.0})
    assert net == {"model": {"name": "net", "units": (32.0, 3)}, "scaled": 1.0}
    assert restore(tree, {"model": 2, "scaled": 0.0})["model"] is None
    with pytest.raises(SpaceError, match="inactive"):
        restore(tree, {"model": 2, "u1": 32, "scaled": 0.0})


@pytest.mark.parametrize(
    ("node", "parameter"),
    [
        (hp.uniform("x", -1, 2), RangeHP("x", -1.0, 2.0)),
        (hp.quniform("x", 0, 1, 0.25), RangeHP("x", 0.0, 1.0, step=0.25)),
        (hp.quniform("x", 16, 256, 16), RangeHP("x", 16, 256, step=16)),
        (hp.quniform("x", 1, 10, 4), RangeHP("x", 0, 8, step=4)),  # hyperopt rounds 1 to 0, and never draws above 2.5 q
        (hp.uniformint("x", 1, 9), RangeHP("x", 1, 9)),
        (hp.loguniform("x", math.log(1e-3), 0), LogRangeHP("x", math.exp(math.log(1e-3)), 1.0)),
        (hp.qloguniform("x", 0, math.log(100), 1), LogRangeHP("x", 1, 100)),
        (hp.randint("x", 5), RangeHP("x", 0, 4)),
        (hp.randint("x", 5, 9), RangeHP("x", 5, 8)),
        (hp.randint("x", 1), FixedHP("x", 0)),
        (hp.choice("x", ["a", (1, 2), None]), ChoiceHP("x", ["a", (1, 2), None])),
        (hp.choice("x", [1, 1]), ChoiceHP("x", [0, 1])),  # hyperopt lets an option stand twice
        (hp.pchoice("x", [(0.25, "a"), (0.75, "b")]), ChoiceHP("x", ["a", "b"], prior=[0.25, 0.75])),
        (scope.int(hp.quniform("x", 2, 6, 2)), RangeHP("x", 2, 6, step=2)),
    ],
)
def test_each_distribution_has_its_parameter(node, parameter):
    """By the definitions of hyperopt's documentation."""
    assert from_hyperopt({"x": node}) == SearchSpace([parameter])


@pytest.mark.parametrize(
    "node",
    [
        hp.normal("x", 3, 0.5),
        hp.lognormal("x", 1, 0.5),
        hp.qnormal("x", 10, 5, 1),
        hp.qlognormal("x", 1, 1, 2),
        hp.qloguniform("x", -3, 4, 1),
        hp.loguniform("x", -4, 2),
        hp.randint("x", 3, 11),
    ],
)
def test_draws_are_distributed_as_those_of_hyperopt(node):
    """Kolmogorov-Smirnov on 3,000 draws of each: below 1e-3 by chance in one of 1,000 seeds, and these are fixed."""
    space = from_hyperopt(node)
    here = [config["x"] for config in space.sample(np.random.default_rng(0), 3000)]
    there = [float(draw["x"]) for draw in hyperopt_draws(node, 3000)]
    assert ks_2samp(here, there).pvalue > 1e-3


def test_a_node_that_stands_twice_is_one_parameter():
    """Under two options, and where it is active anyway."""
    shared, always = hp.uniform("shared", 0, 1), hp.uniform("always", 0, 1)
    tree = [hp.choice("c", [{"a": shared}, {"b": shared, "d": always}, 0]), always]
    space = from_hyperopt(tree)
    assert sorted(space.active({"c": 0, "shared": 0.5, "always": 0.5})) == ["always", "c", "shared"]
    assert sorted(space.active({"c": 2, "always": 0.5})) == ["always", "c"]
    assert restore(tree, {"c": 1, "shared": 0.5, "always": 0.25}) == ({"b": 0.5, "d": 0.25}, 0.25)


def test_an_objective_of_hyperopts_runs_here():
    """With dicts of loss and status; a failure is one here, too."""
    tree = {"x": hp.uniform("x", -5, 5), "c": hp.choice("c", [{"y": hp.uniform("y", 0, 1)}, 1])}

    def fn(config):
        bad = config["c"] == 1
        return {"loss": config["x"] ** 2, "status": "fail" if bad else "ok"}

    f = as_objective(fn, tree)
    assert f({"x": 3.0, "c": 0, "y": 0.5}) == 9.0
    with pytest.raises(RuntimeError, match="status"):
        f({"x": 3.0, "c": 1})
    hpo = build_hpo_from_name("random", from_hyperopt(tree), f, mode="min", max_evals=12, seed=0)
    best, loss = hpo.optimize(progress="none", continue_on_error=True)
    assert loss == best["x"] ** 2
    assert {trial.state.value for trial in hpo.trials} == {"COMPLETE", "FAILED"}
    assert as_objective(abs, hp.uniform("x", -5, 5))({"x": -2.0}) == 2.0


def test_an_objective_can_be_pickled():
    """As workers need it."""
    f = pickle.loads(pickle.dumps(as_objective(abs, hp.uniform("x", -5, 5))))
    assert f({"x": -2.0}) == 2.0


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({}, "space: must hold at least one parameter"),
        (5, "space: must hold at least one parameter"),
        ([hp.uniform("x", 0, 1), hp.uniform("x", 0, 2)], "x: label must stand for one distribution"),
        ([hp.uniform("x", 0, 1), hp.choice("x", [1, 2])], "x: label must stand for one distribution"),
        (hp.uniform("x", 0, hp.uniform("y", 1, 2)), "space: arguments of a distribution must be numbers"),
        (hp.normal("x", 0, 0), "x: sigma must be positive"),
        (hp.uniform("x", 1, float("inf")), "x: high must be a finite number"),
        (hp.quniform("x", 0, 1, 0), "x: q must be positive"),
        (hp.loguniform("x", 0, 1000), "x: exp(1000.0) must be a positive finite float"),
        (hp.randint("x", 5, 2), "x: randint must have integers"),
        (hp.qlognormal("x", 5, 2, 1), "x: must have at most 100000 values"),
        ({"x": scope.uniform(0, 1)}, "space: uniform must have a label"),
        (scope.switch(hp.uniform("x", 0, 1), 1, 2), "x: switch must be by hp.choice"),
        (scope.switch(hp.uniform("x", 0, 1) > 0.5, 1, 2), "space: switch must be by hp.choice"),
        ({1: hp.uniform("x", 0, 1), "a": 2}, "space: cannot be read: TypeError"),
        (hp.choice("x", []), "x: options must be as many"),
        (hp.pchoice("x", [(-1, 1), (2, 2)]), "WeightedPrior: weights must be numbers of at least 0"),
        (hp.uniform("", 0, 1), "name: "),
    ],
)
def test_what_cannot_be_converted_is_an_error(tree, text):
    """It names the label."""
    with pytest.raises(SpaceError) as error:
        from_hyperopt(tree)
    assert text in str(error.value)


def test_a_tree_that_is_too_deep_is_an_error():
    """Deeper than Python goes."""
    tree = hp.uniform("x", 0, 1)
    for i in range(3000):
        tree = hp.choice(f"c{i}", [tree, 1])
    with pytest.raises(SpaceError):
        from_hyperopt(tree)


ODD = st.recursive(
    st.one_of(
        st.none(),
        st.floats(),
        st.text(max_size=2),
        st.sampled_from([object(), b"x", lambda: 0, np.arange(3), {1}, range(3), hp.uniform("x", 0, 1)]),
        st.builds(
            lambda kind, label, *args: _built(kind, label, args),
            st.sampled_from(["uniform", "quniform", "qlognormal", "loguniform", "randint", "normal", "qloguniform"]),
            NAMES,
            *[st.one_of(st.floats(-1e3, 1e3), st.floats(), st.none(), st.just("a"))] * 3,
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=2), st.integers()), inner, max_size=3),
        st.builds(lambda label, options: _built("choice", label, (options, 0)), NAMES, st.lists(inner, max_size=3)),
    ),
    max_leaves=8,
)


def _built(kind, label, args):
    """A node with arguments that may be anything; what hyperopt itself refuses becomes a plain value."""
    try:
        return getattr(hp, kind)(label, *args[: 3 if kind.startswith("q") else 1 if kind == "choice" else 2])
    except Exception:
        return 0


@settings(max_examples=200, deadline=None)
@given(ODD)
def test_odd_trees_raise_space_errors_only(tree):
    """Or they are spaces, and their draws can be restored."""
    try:
        space = from_hyperopt(tree)
    except SpaceError:
        return
    for config in space.sample(np.random.default_rng(0), 2):
        restore(tree, config)


def test_an_expression_that_raises_is_a_space_error_when_it_is_restored(capsys):
    """A sum of a tuple and a number; hyperopt itself prints the graph, too."""
    tree = {"x": hp.choice("shape", [(1, 2), (3,)]) + hp.uniform("u", 0, 1)}
    (config,) = from_hyperopt(tree).sample(np.random.default_rng(0), 1)
    with pytest.raises(SpaceError, match="space: cannot be read: TypeError: can only concatenate tuple"):
        restore(tree, config)
    capsys.readouterr()


def test_importing_it_loads_no_hyperopt():
    """Until it is used."""
    code = "import sys, autohpo.integrations.hyperopt; print('hyperopt' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
