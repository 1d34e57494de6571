"""Kinds of cases about spaces: parameters, descriptions, AutoGL's dicts, documents, formulas, configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from fuzz_draws import Draws
from fuzz_mutations import json_value, mutated, mutated_text
from fuzz_values import number, odd

from autohpo import (
    ChoiceHP,
    FixedHP,
    LinearConstraint,
    ListHP,
    LogRangeHP,
    OrdinalHP,
    PermutationHP,
    RangeHP,
    SearchSpace,
    build_hpo_from_name,
)
from autohpo.cli.config.spaces import shell_spec
from autohpo.integrations.autogl import from_autogl, to_autogl
from autohpo.spaces import BetaPrior, NormalPrior, TiedHP, WeightedPrior
from autohpo.spaces.files.documents import parse_toml, parse_yaml
from autohpo.spaces.files.reading import parsed_space as read_space

NAMES = ["x", "y", "lr", "c", "", "a b", "lambda", "hp.x", "1", "\0", "\ud800", "é", "x" * 300, "perf", "`", "x0", "x"]
FORMULAS = [
    *("x < y", "x + y <= 0.3", "x == y", "x * y != 0.02", "x / y > 2", "x // y == 1", "x % 0.1 == 0", "not x", "1"),
    *("x in [0.1, 1, 'a']", "x and y", "len(c) > 1", "sum(c) < 3", "log(x) < 0", "max(x, y) < 1", "x == 'a'", "x9 > 1"),
    *("-x > -1", "x ** 2 + y ** 2 < 1", "abs(x - y) < 1e-3", "0 < x < y < 1", "`x` > 1", "c == 'adam'", "x ** y > 1"),
    *(
        "1 / x > 2 or y",
        "x if y else 0",
        "[z for z in x]",
        "x.real > 1",
        "(lambda: 1)()",
        "x := 1",
        "x > 1e999",
        "True",
    ),
    *(
        "x ** 10 ** 10 > 1",
        "'a' * 10 ** 9 == x",
        "round(x) == 1",
        "int(y) == y",
        "x is None",
        "f'{x}'",
        "{1: 2}",
        "...",
    ),
]
FORM = [
    {"parameterName": "lr", "type": "DOUBLE", "minValue": 1e-4, "maxValue": 0.1, "scalingType": "LOG"},
    {"parameterName": "hops", "type": "INTEGER", "minValue": 1, "maxValue": 8, "scalingType": "LINEAR"},
    {"parameterName": "act", "type": "CATEGORICAL", "feasiblePoints": ["relu", "elu"]},
    {"parameterName": "width", "type": "DISCRETE", "feasiblePoints": "16,32,64"},
    {"parameterName": "hidden", "type": "NUMERICAL_LIST", "numericalType": "INTEGER", "length": 3}
    | {
        "minValue": [8, 8, 8],
        "maxValue": [64, 64, 64],
        "scalingType": "LOG",
        "cutPara": ["hops"],
        "cutFunc": "lambda x: x[0] - 1",
    },
    {"parameterName": "fixed", "type": "FIXED", "value": 3},
]
DOCUMENT = {
    "lr": {"low": 1e-4, "high": 0.1, "log": True},
    "hops": {"low": 1, "high": 8},
    "drop": {"low": 0.0, "high": 0.9, "step": 0.1},
    "opt": {"choices": {"sgd": {"momentum": {"low": 0.0, "high": 0.99}}, "adam": {}}},
    "act": ["relu", "elu"],
    "width": {"ordinal": [16, 64]},
    "text": "1e-3..1, log",
}
YAML = """\
command: echo loss={lr}
metric: {loss: min}
space:
  lr: {low: 1.0e-4, high: 0.1, log: true}
  hops: 1..8
  opt: {choices: {sgd: {momentum: 0..0.99}, adam: {}}}
  act: [relu, null, 3]
constraints: [lr * hops <= 0.3]
algorithm: tpe
options: {max_evals: 4, seed: 0}
"""
TOML = """\
command = "echo loss={lr}"
metric = {loss = "min"}
algorithm = "random"
constraints = ["lr < 1"]
[space]
lr = {low = 1e-4, high = 0.1, log = true}
act = ["relu", "elu"]
[options]
max_evals = 4
"""


def parameter(d: Draws, depth: int = 0) -> Any:
    """A parameter of some odd arguments, if it can be made."""
    name, kind = d.of_all(NAMES) if d.chance(90) else odd(d), d.index(9)
    some = [odd(d) for _ in range(d.index(4))] if d.chance(70) else odd(d)
    if kind < 2:
        cls, more = (RangeHP, LogRangeHP)[kind], {}
        for option, chance in (("step", 25), ("prior", 15), ("default", 10)):
            if d.chance(chance):
                more[option] = prior(d) if option == "prior" else number(d)
        return d.call(cls.__name__, cls, name, number(d), number(d), **more)
    if kind == 2:
        options: dict[str, Any] = {"children": {d.of_all(["a", 1, None]): [odd(d)]}} if d.chance(15) else {}
        if d.chance(15):
            below = parameter(d, depth + 1) if depth < 2 else None
            options["children"] = d.of_all([{"a": [below]}, {"a": below}, [below], odd(d)])
            some = ["a", "b"]
        if d.chance(15):
            options["names"] = d.of_all([["a", "b"], odd(d)])
        return d.call("ChoiceHP", ChoiceHP, name, some, **options)
    if kind == 3:
        return d.call("OrdinalHP", OrdinalHP, name, some)
    if kind == 4:
        return d.call("FixedHP", FixedHP, name, odd(d))
    if kind == 5:
        return d.call("PermutationHP", PermutationHP, name, some)
    if kind == 6 and depth < 3:
        item = parameter(d, depth + 1)
        more = {"max_length": number(d)} if d.chance(30) else {}
        return d.call("ListHP", ListHP, name, item, d.of_all([2, "x", number(d), d.of_all(FORMULAS)]), **more)
    if kind == 7 and depth < 3:
        return d.call("TiedHP", TiedHP, name, d.of_all(["x", odd(d)]), d.of_all([{1: 2}, {"a": 0.5}, odd(d)]))
    return d.of_all([RangeHP("x", 0.0, 1.0), RangeHP("y", 1, 5), ChoiceHP("c", ["adam", "sgd"]), odd(d)])


def prior(d: Draws) -> Any:
    """A prior of odd arguments, if it can be made."""
    if d.chance(20):
        return odd(d)
    cls = d.of_all([NormalPrior, BetaPrior, WeightedPrior])
    return d.call(cls.__name__, cls, *[number(d) for _ in range(1 if cls is WeightedPrior else 2)])


def use(d: Draws, space: Any, room: Path | None = None) -> None:
    """Call what a space can do."""
    if not isinstance(space, SearchSpace):
        return
    hps = d.call("space.sample", space.sample, np.random.default_rng(0), d.of_all([2, 1]))
    for hp in hps or ():
        d.call("space.check", space.check, hp)
        d.call("space.from_json", space.from_json, d.call("space.to_json", space.to_json, hp))
    if hps:
        d.call("space.encode", space.encode, hps)
    d.call("space.describe", repr, space)
    made = d.call("space.to_dict", space.to_dict)
    if made is not None:
        d.call("SearchSpace.from_dict", SearchSpace.from_dict, made)
    if room is not None and d.chance(20):
        run(d, space, room)


def run(d: Draws, space: SearchSpace, room: Path) -> None:
    """Search in a space, with a store."""
    name = d.of_all(["random", "tpe", "quasi_random", "grid"])
    hpo = d.call("build_hpo_from_name", build_hpo_from_name, name, space, lambda hps: 0.5, seed=0, max_evals=3)
    if hpo is not None:
        d.call("hpo.optimize", hpo.optimize, store=str(room / "run.db"), progress=False)


def spaces(d: Draws, room: Path) -> None:
    """Our parameters with odd arguments, constraints and conditions."""
    made = [parameter(d) for _ in range(1 + d.index(3))]
    more: dict[str, Any] = {}
    if d.chance(40):
        more["constraints"] = d.of_all([[d.of_all(FORMULAS)], [odd(d)], odd(d), [linear(d)], [lambda hp: hp["x"] > 0]])
    if d.chance(40):
        more["conditions"] = d.of_all([{d.of_all(NAMES): d.of_all(FORMULAS)}, {d.of_all(NAMES): odd(d)}, odd(d)])
    use(d, d.call("SearchSpace", SearchSpace, d.of_all([made, tuple(made), made[0], odd(d)]), **more), room)


def linear(d: Draws) -> Any:
    """A linear constraint, if it can be made."""
    weights = d.of_all([{"x": number(d), "y": 1}, {d.of_all(NAMES): 1}, odd(d)])
    return d.call("LinearConstraint", LinearConstraint, weights, **{d.of_all(["upper", "lower"]): number(d)})


def formulas(d: Draws, room: Path) -> None:
    """Formulas with pieces missing or replaced, as constraints and conditions."""
    text = mutated_text(d, d.of_all(FORMULAS), FORMULAS)
    roots = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0, 5), ChoiceHP("c", ["adam", "sgd", 1, None])]
    kind = d.index(3)
    if kind == 0:
        space = d.call("SearchSpace", SearchSpace, roots, constraints=[text])
    elif kind == 1:
        space = d.call("SearchSpace", SearchSpace, roots, conditions={d.of_all(["y", "c", "x", "z"]): text})
    else:
        listed = d.call("ListHP", ListHP, "l", RangeHP("e", 0.0, 1.0), text, max_length=3)
        space = d.call("SearchSpace", SearchSpace, [*roots, listed])
    use(d, space, room)


def described(d: Draws, room: Path) -> None:
    """What to_dict gave, with something changed."""
    data = mutated(d, GOOD.to_dict(), json_value if d.chance(70) else odd)
    use(d, d.call("SearchSpace.from_dict", SearchSpace.from_dict, data), room)


def autogl(d: Draws, room: Path) -> None:
    """AutoGL's dicts, with something changed."""
    data = mutated(d, FORM, most=3)
    if d.chance(20):
        data = {"encoder": data, "decoder": mutated(d, FORM[:2])}
    space = d.call("from_autogl", from_autogl, data)
    use(d, space)
    if space is not None:
        d.call("to_autogl", to_autogl, space)
    hpo = d.call("build_hpo_from_name", build_hpo_from_name, "random", data, lambda hps: 0.5, max_evals=2, seed=0)
    if hpo is not None:
        d.call("hpo.optimize", hpo.optimize, progress=False)


def documents(d: Draws, room: Path) -> None:
    """Spaces as files have them; and the texts of such files."""
    kind = d.index(4)
    if kind < 2:
        given = mutated(d, DOCUMENT, json_value if d.chance(60) else odd, 3)
    elif kind == 2:
        given = d.call("parse_yaml", parse_yaml, mutated_text(d, YAML, [YAML, TOML]))
    else:
        given = d.call("parse_toml", parse_toml, mutated_text(d, TOML, [TOML]))
    if kind >= 2:
        given = given.get("space") if isinstance(given, dict) else given
    limits = [d.of_all(FORMULAS)] if d.chance(30) else odd(d) if d.chance(10) else ()
    use(d, d.call("read_space", read_space, given, limits))
    if d.chance(20):
        words = mutated_text(d, d.of_all(["1e-3..1, log", "a,b,c", "1..8", "{low: 0, high: 1}", "0..1, step=0.1"]))
        d.call("shell_spec", shell_spec, "lr", words)


GOOD = SearchSpace(
    [
        LogRangeHP("lr", 1e-4, 0.1),
        RangeHP("hops", 1, 8),
        RangeHP("drop", 0.0, 0.9, step=0.1, prior=NormalPrior(0.5, 0.1)),
        ChoiceHP("opt", ["adam", "sgd"], children={"sgd": [RangeHP("momentum", 0.0, 0.99)]}),
        OrdinalHP("width", [16, 64, 256]),
        PermutationHP("order", ["a", "b", "c"]),
        ListHP("hidden", RangeHP("size", 4, 64), "hops", max_length=8),
        FixedHP("kind", "gcn"),
    ],
    constraints=["lr * hops <= 0.3"],
    conditions={"drop": "hops > 2"},
)


def configurations(d: Draws, room: Path) -> None:
    """Configurations with something changed, everywhere where one is taken."""
    hp = GOOD.sample(np.random.default_rng(d.index(50)), 1)[0]
    kind = d.index(5)
    changed = mutated(d, GOOD.to_json(hp) if kind == 0 else hp, json_value if d.chance(40) else odd)
    if kind == 0:
        d.call("space.from_json", GOOD.from_json, changed)
    elif kind == 1:
        d.call("space.check", GOOD.check, changed)
        d.call("space.checked", GOOD.checked, changed)
    elif kind == 2:
        d.call("space.to_json", GOOD.to_json, changed)
        d.call("space.encode", GOOD.encode, [changed])
        d.call("space.key", GOOD.key, changed)
    elif kind == 3:
        d.call("space.decode", GOOD.decode, odd(d))
        d.call("space.sample", GOOD.sample, np.random.default_rng(0), number(d) if not d.chance(70) else 2)
    else:
        points(d, hp, changed)


def points(d: Draws, hp: dict[str, Any], changed: Any) -> None:
    """Points to begin with: configurations, with or without results."""
    result = d.of_all([0.5, odd(d), {"perf": odd(d)}, (0.5, odd(d))])
    given = d.of_all([[changed], [(changed, result)], [(hp, result)], changed, [hp, (changed, result, odd(d))], odd(d)])
    name = d.of_all(["random", "tpe", "bayes", "grid", "regularized_evolution"])
    hpo = d.call("build_hpo_from_name", build_hpo_from_name, name, GOOD, max_evals=4, seed=0, points=given)
    if hpo is not None:
        suggestion = d.call("hpo.ask", hpo.ask)
        if suggestion is not None:
            d.call("hpo.tell", hpo.tell, suggestion, 0.5)
