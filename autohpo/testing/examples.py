"""Small search spaces of every kind, for algorithms to be checked on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.spaces import (
    Belief,
    BetaPrior,
    ChoiceHP,
    Cut,
    FixedHP,
    HPSpace,
    LinearConstraint,
    ListHP,
    LogRangeHP,
    NormalPrior,
    OrdinalHP,
    PermutationHP,
    RangeHP,
    SearchSpace,
)


class _OddHP(HPSpace):
    """Odd integers: a kind of parameter that no algorithm has seen before."""

    def __init__(self, name: str, low: int, high: int) -> None:
        super().__init__(name)
        self.low, self.high = low, high

    @property
    def n_values(self) -> int:
        """How many there are."""
        return (self.high - self.low) // 2 + 1

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """The numbers of ``(n, 1)`` points."""
        n = self.n_values
        return [self.low + 2 * min(int(unit * n), n - 1) for unit in units[:, 0]]

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """``(n, 1)`` points in the middle of the numbers' cells."""
        return np.array([[((value - self.low) // 2 + 0.5) / self.n_values] for value in values])

    def contains(self, value: Any) -> bool:
        """Whether a value is an odd int within the ends."""
        return type(value) is int and value % 2 == 1 and self.low <= value <= self.high


def mixed_space() -> SearchSpace:
    """One parameter of each common kind; no algorithm comes to its end."""
    return SearchSpace(
        [
            RangeHP("dropout", 0.0, 0.9),
            LogRangeHP("lr", 1e-4, 1e-1),
            RangeHP("hops", 1, 8),
            ChoiceHP("norm", [None, "batch", True, 1]),
        ]
    )


def few_space() -> SearchSpace:
    """Six configurations in all."""
    return SearchSpace([RangeHP("hops", 1, 3), ChoiceHP("norm", ["batch", "layer"])])


def few_conditional_space() -> SearchSpace:
    """Eleven configurations in all: sgd has a momentum, 2 with a dampening under it; adam has none; 1 to 2 entries."""
    momentum = ChoiceHP("momentum", [0.0, 0.9], children={0.9: [OrdinalHP("dampening", [0.0, 0.1])]})
    wide = ListHP("wide", ChoiceHP("is_wide", [False, True]), length="layers", max_length=2)
    return SearchSpace(
        [ChoiceHP("opti", ["sgd", "adam"], children={"sgd": [momentum], "adam": [wide]}), RangeHP("layers", 1, 2)],
        conditions={"dampening": "layers == 1"},
    )


def nested_space() -> SearchSpace:
    """Choices under choices, three deep; one child stands under two choices, and a formula adds a condition."""
    decay = LogRangeHP("decay", 1e-6, 1e-2)
    nesterov = ChoiceHP("nesterov", [False, True], children={True: [RangeHP("warmup", 0, 5)]})
    sgd = [decay, RangeHP("momentum", 0.0, 0.99), nesterov]
    return SearchSpace(
        [
            ChoiceHP("opti", ["sgd", "adam", "none"], children={"sgd": sgd, "adam": [decay]}),
            LogRangeHP("lr", 1e-4, 1e-1),
            RangeHP("dropout", 0.0, 0.9),
        ],
        conditions={"dropout": "lr < 0.03 and opti != 'none'"},
    )


def _n_hidden(values: list[Any]) -> int:
    return int(values[0]) - 1


def cut_space() -> SearchSpace:
    """Lists whose lengths follow from other parameters: by a formula, by a function, and down to no entry."""
    width = LogRangeHP("width", 8, 128)
    act = ChoiceHP("act", ["relu", None])
    return SearchSpace(
        [
            RangeHP("layers", 1, 4),
            ListHP("hidden", width, length=Cut(("layers",), _n_hidden), max_length=3),
            ListHP("acts", act, length="layers", max_length=4),
            ListHP("pair", [RangeHP("low", 0.0, 0.5), RangeHP("high", 0.5, 1.0)], length=2),
        ]
    )


def believed_space() -> SearchSpace:
    """Priors on every kind that takes one: cells of unequal length, and stretched scales."""
    return SearchSpace(
        [
            LogRangeHP("lr", 1e-5, 1e-1, prior=Belief(1e-3, "high")),
            RangeHP("dropout", 0.0, 0.9, prior=BetaPrior(2, 5)),
            RangeHP("hops", 1, 8, prior=NormalPrior(3, 1.5)),
            ChoiceHP("norm", [None, "batch", "layer"], prior=[8, 1, 0]),
            OrdinalHP("batch", [8, 16, 64, 512], prior=Belief(64)),
        ]
    )


SPACES: Mapping[str, Callable[[], SearchSpace]] = {
    "one float": lambda: SearchSpace([RangeHP("x", -1.0, 1.0)]),
    "one log float": lambda: SearchSpace([LogRangeHP("x", 1e-5, 1e3)]),
    "one int": lambda: SearchSpace([RangeHP("x", -3, 40)]),
    "one log int": lambda: SearchSpace([LogRangeHP("x", 1, 1000)]),
    "steps": lambda: SearchSpace([RangeHP("x", 0.1, 0.9, step=0.1), RangeHP("y", -4, 20, step=4)]),
    "steps on a log scale": lambda: SearchSpace([LogRangeHP("x", 32, 512, step=32), LogRangeHP("y", 0.1, 0.9, 0.2)]),
    "one choice of one": lambda: SearchSpace([ChoiceHP("x", ["only"])]),
    "choices that are nearly equal": lambda: SearchSpace([ChoiceHP("x", [None, True, 1, 1.0, "1", float("nan")])]),
    "choices without a hash": lambda: SearchSpace([ChoiceHP("x", [[1], [1, 2], {"a": 1}]), RangeHP("y", 0.0, 1.0)]),
    "ordered values": lambda: SearchSpace([OrdinalHP("x", [None, "small", [4], 64]), OrdinalHP("y", [1])]),
    "an order": lambda: SearchSpace([PermutationHP("x", ["norm", "act", None]), PermutationHP("y", [["only"]])]),
    "all fixed": lambda: SearchSpace([FixedHP("x", 3), FixedHP("y", ["a"])]),
    "fixed among others": lambda: SearchSpace([FixedHP("x", None), RangeHP("y", 0, 1), LogRangeHP("z", 1.0, 2.0)]),
    "a kind of one's own": lambda: SearchSpace([_OddHP("x", 1, 15), RangeHP("y", 0.0, 1.0)]),
    "priors": believed_space,
    "children": nested_space,
    "lists that are cut": cut_space,
    "few configurations": few_space,
    "few configurations with children": few_conditional_space,
    "mixed": mixed_space,
}
"""Search spaces of every kind, made anew at each call."""


def _is_odd(hp: Mapping[str, Any]) -> bool:
    return (int(hp["a"]) + int(hp["b"])) % 2 == 1


CONSTRAINED: Mapping[str, Callable[[], SearchSpace]] = {
    "a linear constraint on floats": lambda: SearchSpace(
        [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0), RangeHP("z", 0.0, 1.0)],
        constraints=[LinearConstraint({"x": 1.0, "y": 1.0, "z": 1.0}, upper=0.8)],  # 8.5 % of the cube
    ),
    "formulas over several kinds": lambda: SearchSpace(
        [
            LogRangeHP("heads", 1, 64),
            LogRangeHP("dim", 8, 512),
            ChoiceHP("act", ["relu", "elu"]),
            LogRangeHP("lr", 1e-4, 1.0),
        ],
        constraints=["heads * dim <= 256", "act == 'relu' or lr < 0.01"],
    ),
    "a function over few configurations": lambda: SearchSpace(
        [RangeHP("a", 0, 9), RangeHP("b", 0, 9)], constraints=_is_odd
    ),
    "formulas over children and lists": lambda: SearchSpace(
        cut_space(), constraints=["layers < 3 or hidden[0] >= hidden[1]", "pair[0] + pair[1] < 1"]
    ),
}
"""Search spaces that forbid some of their configurations, made anew at each call."""
