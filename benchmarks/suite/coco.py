"""BBOB and mixed-integer BBOB, evaluated by the package coco-experiment.

Source: Hansen et al. 2021, COCO: a platform for comparing continuous optimizers in a black-box setting; Tusar et al.
2019, Mixed-integer benchmark problems for single- and bi-objective optimization.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from suite.space import Space, real, whole
from suite.task import Task, reference

N_REMEMBERED = 32  # of the generator's shuffle table
MIXED_SCALE = {1: 1.0, 3: 0.1, 6: 0.01, 8: 0.01, 10: 0.001, 15: 0.1, 21: 1.0}
"""Factor of each function's values in the mixed-integer suite; long searches ended at the optima that it gives."""


def bbob(name: str, function: int, dimension: int, instance: int) -> Task:
    """One BBOB function on [-5, 5]^dimension."""
    problem = _problem("bbob", function, dimension, instance)
    space = Space(tuple(real(f"x{k}", -5.0, 5.0) for k in range(dimension)))
    best = -optimum(function, instance)
    return Task(name, "bbob", space, problem, best, reference()[name]["median"])


def bbob_mixed(name: str, function: int, dimension: int, instance: int) -> Task:
    """One mixed-integer BBOB function: four fifths of the variables are whole, with 2 to 16 values."""
    problem = _problem("bbob-mixint", function, dimension, instance)
    ends = list(zip(problem.lower_bounds, problem.upper_bounds, strict=True))
    n_whole = problem.number_of_integer_variables
    wholes = [whole(f"x{k}", int(low), int(high)) for k, (low, high) in enumerate(ends[:n_whole])]
    reals = [real(f"x{k}", low, high) for k, (low, high) in enumerate(ends[n_whole:], n_whole)]
    best = -MIXED_SCALE[function] * optimum(function, instance)
    return Task(name, "bbob mixed", Space((*wholes, *reals)), problem, best, reference()[name]["median"])


class _Problem:
    """A problem to maximise, which keeps its suite alive: the suite's end would free the problem."""

    def __init__(self, suite: Any) -> None:
        self._suite = suite
        self._problem = suite[0]
        self.lower_bounds: list[float] = list(self._problem.lower_bounds)
        self.upper_bounds: list[float] = list(self._problem.upper_bounds)
        self.number_of_integer_variables: int = self._problem.number_of_integer_variables

    def __call__(self, configuration: Mapping[str, Any]) -> float:
        return -float(self._problem([configuration[f"x{k}"] for k in range(len(self.lower_bounds))]))


def _problem(kind: str, function: int, dimension: int, instance: int) -> _Problem:
    """A problem of a COCO suite."""
    import cocoex

    options = f"dimensions:{dimension} function_indices:{function} instance_indices:{instance}"
    return _Problem(cocoex.Suite(kind, "instances:1-15", options))


def optimum(function: int, instance: int) -> float:
    """The least value of a BBOB function: a ratio of two normal numbers, rounded to cents and cut at 1,000.

    COCO draws it with a generator of its own from function and instance, and keeps it to itself.
    """
    seed = {4: 3, 18: 17}.get(function, function) + 10_000 * instance  # Rastrigin's and Schaffer's pairs share theirs
    ratio = _normal(seed) / _normal(seed + 1)
    return min(1000.0, max(-1000.0, math.floor(1e4 * ratio + 0.5) / 100))


def _normal(seed: int) -> float:
    """The first number of COCO's normal generator, by Box and Muller."""
    first, second = _uniform(seed, 2)
    return math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * second)


def _uniform(seed: int, n: int) -> list[float]:
    """n numbers of COCO's uniform generator: that of Park and Miller with the shuffle of Bays and Durham."""
    state = max(abs(seed), 1)
    table = [0] * N_REMEMBERED
    for place in range(N_REMEMBERED + 7, -1, -1):
        state = 16_807 * state % 2_147_483_647
        if place < N_REMEMBERED:
            table[place] = state
    last, numbers = table[0], []
    for _ in range(n):
        state = 16_807 * state % 2_147_483_647
        place = last // 67_108_865
        last, table[place] = table[place], state
        numbers.append(last / 2.147483647e9)
    return numbers
