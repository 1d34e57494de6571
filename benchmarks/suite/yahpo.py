"""Surrogates of real trainings, from YAHPO Gym: each a small neural network, run by numpy.

Source: Pfisterer et al. 2022, YAHPO Gym. The networks were published as ONNX graphs; here a graph is a list of nodes
and an array of weights for each name. They are wrong where nothing was trained: quote regret, never accuracy.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.space import Parameter, Space, choice, real, whole
from suite.task import DATA, Task, reference

Array = NDArray[Any]


@dataclass(frozen=True)
class Scenario:
    """How the columns of a network are to be filled.

    Attributes:
        instance: The parameter that says which data set.
        fixed: Parameters that are no part of the search.
        numbers: Order of the numeric inputs.
        lists: Order of the inputs that are choices.
    """

    instance: str
    fixed: Mapping[str, Any]
    numbers: tuple[str, ...]
    lists: tuple[str, ...]


SCENARIOS = {
    "lcbench": Scenario(
        "OpenML_task_id",
        {"epoch": 52},
        (
            *("epoch", "batch_size", "learning_rate", "momentum", "weight_decay"),
            *("num_layers", "max_units", "max_dropout"),
        ),
        ("OpenML_task_id",),
    ),
    "rbv2_xgboost": Scenario(
        "task_id",
        {"trainsize": 1.0, "repl": 10},
        (
            *("nrounds", "eta", "gamma", "lambda", "alpha", "subsample", "max_depth", "min_child_weight"),
            *("colsample_bytree", "colsample_bylevel", "rate_drop", "skip_drop", "trainsize", "repl"),
        ),
        ("task_id", "booster", "num.impute.selected.cpo"),
    ),
}
OUTPUTS = {"lcbench": 1, "rbv2_xgboost": 0}  # the column that is accuracy
WITHOUT = {  # the surrogate claims an accuracy of 1 for the booster dart, which no model reaches; and dart's own two
    "rbv2_xgboost": ("dart", {"rate_drop", "skip_drop"}),
}


def surrogate(name: str, scenario: str, instance: str) -> Task:
    """The full-fidelity accuracy of one data set."""
    how = SCENARIOS[scenario]
    network = _network(scenario)
    codes = _read(scenario, "encoding")
    given = {**how.fixed, how.instance: instance}

    def evaluate(hp: Mapping[str, Any]) -> float:
        row = {**hp, **given}
        lists = np.array([[codes[key][row[key]] if key in row else 0 for key in how.lists]], dtype=np.int32)
        numbers = np.array([[row.get(key, 0.0) for key in how.numbers]], dtype=np.float32)
        return float(network(lists, numbers)[0, OUTPUTS[scenario]])

    known = reference()[name]
    return Task(name, "surrogate", _space(scenario), evaluate, known["best"], known["median"], is_exact=False)


def _space(scenario: str) -> Space:
    """The parameters to search, parents first."""
    described = _read(scenario, "config_space")
    value, children = WITHOUT.get(scenario, (None, set()))
    conditions = {c["child"]: (c["parent"], c.get("values") or [c["value"]]) for c in described["conditions"]}
    parameters = []
    for one in described["hyperparameters"]:
        if one["name"] in {SCENARIOS[scenario].instance, *SCENARIOS[scenario].fixed, *children}:
            continue
        parameter = _parameter(one, value)
        if one["name"] in conditions:
            parent, values = conditions[one["name"]]
            parameter = parameter.under(parent, *(v for v in values if v != value))
        parameters.append(parameter)
    return Space(tuple(sorted(parameters, key=lambda p: p.parent is not None)))


def _parameter(described: Mapping[str, Any], without: str | None) -> Parameter:
    """One parameter, without a value that is left out."""
    if described["type"] == "categorical":
        return choice(described["name"], [value for value in described["choices"] if value != without])
    make = whole if described["type"] == "uniform_int" else real
    return make(described["name"], described["lower"], described["upper"], log=bool(described["log"]))


def _read(scenario: str, what: str) -> Any:
    return json.loads((DATA / "yahpo" / scenario / f"{what}.json").read_text(encoding="utf-8"))


@functools.cache
def _network(scenario: str) -> Callable[[Array, Array], Array]:
    """The network: ``(n, lists)`` codes and ``(n, numbers)`` values to ``(n, outputs)``."""
    graph = _read(scenario, "graph")
    with np.load(DATA / "yahpo" / scenario / "weights.npz") as file:
        weights = dict(file)

    def run(lists: Array, numbers: Array) -> Array:
        arrays: dict[str, Array] = {**weights, "x_cat": lists, "x_cont": numbers}
        with np.errstate(all="ignore"):  # the logarithm of an inactive parameter's 0, which a mask takes out again
            for operation, inputs, outputs, options in graph["nodes"]:
                arrays[outputs[0]] = OPERATIONS[operation](*(arrays[key] for key in inputs), **options)
        return arrays[graph["output"]]

    return run


def _normalise(
    x: Array, scale: Array, shift: Array, mean: Array, variance: Array, *, epsilon: float, **_: float
) -> Array:
    """Batch normalisation as it is after training; the momentum, its other option, counts only during it."""
    return (x - mean) / np.sqrt(variance + epsilon) * scale + shift


def _divide(x: Array, y: Array) -> Array:
    return x // y if np.issubdtype(np.asarray(x).dtype, np.integer) else x / y


def _linear(x: Array, weight: Array, bias: Array, *, alpha: float, beta: float, transB: int) -> Array:
    if (alpha, beta, transB) != (1.0, 1.0, 1):
        raise ValueError(f"Gemm: only x @ weight.T + bias occurs, got {alpha=}, {beta=}, {transB=}")
    return x @ weight.T + bias


def _slice(x: Array, start: Array, stop: Array, axis: Array, *step: Array) -> Array:
    if any(int(s[0]) != 1 for s in step):
        raise ValueError(f"Slice: only steps of 1 occur, got {step}")
    return np.take(x, np.arange(x.shape[int(axis[0])])[int(start[0]) : int(stop[0])], axis=int(axis[0]))


_ONNX_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 11: np.float64}
OPERATIONS: dict[str, Callable[..., Array]] = {
    "Add": np.add,
    "BatchNormalization": _normalise,
    "Cast": lambda x, to: np.asarray(x).astype(_ONNX_TYPES[to]),
    "Concat": lambda *arrays, axis: np.concatenate(arrays, axis=axis),
    "Div": _divide,
    "Exp": np.exp,
    "Gather": lambda x, places, axis=0: np.take(x, places, axis=axis),
    "Gemm": _linear,
    "Log": np.log,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Relu": lambda x: np.maximum(x, 0),
    "Shape": lambda x: np.array(x.shape, dtype=np.int64),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Slice": _slice,
    "Sub": np.subtract,
    "Unsqueeze": lambda x, axes: np.expand_dims(x, tuple(int(axis) for axis in np.atleast_1d(axes))),
}
