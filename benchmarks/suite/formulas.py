"""Formulas: Branin, Hartmann, Ackley and others, of which several are mixed, logarithmic or conditional.

No optimum lies in the middle of its space, or an optimizer that begins there would be praised for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.space import Space, choice, ordinal, real, whole
from suite.task import Evaluate, Task, reference

_HARTMANN_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_HARTMANN_A = {
    3: np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]]),
    6: np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    ),
}
_HARTMANN_P = {
    3: 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]]),
    6: 1e-4
    * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    ),
}
_HARTMANN_BEST = {3: 3.862779786949, 6: 3.322368011391}


def _task(name: str, space: Space, evaluate: Evaluate, best: float) -> Task:
    return Task(name, "formula", space, evaluate, best, reference()[name]["median"])


def _vector(hp: Mapping[str, Any], n: int) -> NDArray[np.float64]:
    """``(n,)`` the parameters x0, x1 and so on."""
    return np.array([hp[f"x{k}"] for k in range(n)], dtype=float)


def branin(name: str) -> Task:
    """Branin's function of two variables."""

    def evaluate(hp: Mapping[str, Any]) -> float:
        x, y = hp["x"], hp["y"]
        bowl = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
        return -float(bowl**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)

    return _task(name, Space((real("x", -5, 10), real("y", 0, 15))), evaluate, -10 / (8 * math.pi))


def hartmann(name: str, n: int) -> Task:
    """Hartmann's function of 3 or 6 variables."""

    def evaluate(hp: Mapping[str, Any]) -> float:
        distances = (_HARTMANN_A[n] * (_vector(hp, n) - _HARTMANN_P[n]) ** 2).sum(axis=1)
        return float(_HARTMANN_ALPHA @ np.exp(-distances))

    return _task(name, Space(tuple(real(f"x{k}", 0, 1) for k in range(n))), evaluate, _HARTMANN_BEST[n])


def ackley_mixed(name: str) -> Task:
    """Ackley's function of four floats, three ints, an ordinal and two choices, whose values have hidden numbers."""
    hidden = {"a": 0.0, "b": -1.5, "c": 0.8, "d": 2.2, "e": -0.6}
    shift = np.array([0.7, -1.2, 1.6, -0.4])
    wholes = [whole("i0", -4, 6), whole("i1", -7, 3), whole("i2", -2, 9)]
    lists = [ordinal("o", [-3, -1, 0, 2, 5]), choice("c0", list("abcde")), choice("c1", list("edcba"))]
    space = Space((*(real(f"x{k}", -3, 3) for k in range(4)), *wholes, *lists))

    def evaluate(hp: Mapping[str, Any]) -> float:
        others = [hp["i0"], hp["i1"], hp["i2"], hp["o"], hidden[hp["c0"]], hidden[hp["c1"]]]
        z = np.concatenate([_vector(hp, 4) - shift, others])
        hill = 20 * math.exp(-0.2 * math.sqrt(float((z**2).mean())))
        return hill + math.exp(float(np.cos(2 * math.pi * z).mean())) - 20 - math.e

    return _task(name, space, evaluate, 0.0)


def levy(name: str, n: int) -> Task:
    """Levy's function, with its best point at 1 of [-13, 7]."""

    def evaluate(hp: Mapping[str, Any]) -> float:
        w = 1 + (_vector(hp, n) - 1) / 4
        middle = ((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(math.pi * w[:-1] + 1) ** 2)).sum()
        last = (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)
        return -float(math.sin(math.pi * w[0]) ** 2 + middle + last)

    return _task(name, Space(tuple(real(f"x{k}", -13, 7) for k in range(n))), evaluate, 0.0)


def rosenbrock(name: str, n: int) -> Task:
    """Rosenbrock's valley on [-2, 3], under a logarithm: without it any point of the valley is as good as the best."""

    def evaluate(hp: Mapping[str, Any]) -> float:
        x = _vector(hp, n)
        return -math.log1p(float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()))

    return _task(name, Space(tuple(real(f"x{k}", -2, 3) for k in range(n))), evaluate, 0.0)


def styblinski_log(name: str, n: int) -> Task:
    """The function of Styblinski and Tang of exponents: every parameter is on a logarithmic scale, one is whole."""
    root = _least_cubic_root()
    least = (root**4 - 16 * root**2 + 5 * root) / 2
    space = Space((*(real(f"x{k}", 1e-5, 1e5, log=True) for k in range(n - 1)), whole("i", 1, 10**5, log=True)))

    def evaluate(hp: Mapping[str, Any]) -> float:
        x = np.log10([hp[f"x{k}"] for k in range(n - 1)])
        terms = (x**4 - 16 * x**2 + 5 * x) / 2
        return -float(terms.sum() - (n - 1) * least) - 10 * (math.log10(hp["i"]) - 3) ** 2

    return _task(name, space, evaluate, 0.0)


def _least_cubic_root() -> float:
    """Where x^4 - 16 x^2 + 5 x is least: the smallest root of 4 x^3 - 32 x + 5."""
    return float(np.roots([4, 0, -32, 5]).real.min())


def branches(name: str) -> Task:
    """Three ways with parameters of their own: a bowl, a wavy one that is better, and a narrow valley, the best."""
    kinds = ("bowl", "waves", "valley")
    space = Space(
        (
            choice("kind", kinds),
            real("scale", 1e-3, 1e3, log=True),
            real("x", -1, 1).under("kind", "bowl", "waves"),
            real("y", -1, 1).under("kind", "bowl", "waves"),
            whole("n", 1, 12).under("kind", "waves"),
            real("u", 0, 1).under("kind", "valley"),
            real("v", 0, 1).under("kind", "valley"),
        )
    )

    def evaluate(hp: Mapping[str, Any]) -> float:
        common: float = -0.1 * (math.log10(hp["scale"]) - 1.3) ** 2
        if hp["kind"] == "valley":
            return float(common + 1.0 - 0.5 * abs(hp["u"] - 0.83) - 3.0 * abs(hp["v"] - hp["u"] ** 2) ** 0.5)
        bowl: float = (hp["x"] - 0.4) ** 2 + (hp["y"] + 0.3) ** 2
        if hp["kind"] == "bowl":
            return common + 0.5 - bowl
        waves = 0.1 * math.sin(12 * (hp["x"] - 0.4)) ** 2
        return float(common + 0.8 - bowl - 0.02 * abs(hp["n"] - 9) - waves)

    return _task(name, space, evaluate, 1.0)
