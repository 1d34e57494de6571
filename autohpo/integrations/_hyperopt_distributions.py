"""The distributions of hyperopt as parameters, with the values that hyperopt draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autohpo.errors import SpaceError, shown
from autohpo.spaces import FixedHP, HPSpace, LogRangeHP, NormalPrior, Prior, RangeHP, WeightedPrior

REACH = 6.0
"""How many standard deviations of a normal distribution are searched to each side: 2 of 10^9 draws lie beyond."""

MOST_WEIGHTS = 100_000
"""The most steps of a distribution that is neither even nor normal on one of our scales: each has a weight."""

_ARGUMENTS = {
    "hyperopt_param": ("label", "obj"),
    "uniform": ("low", "high"),
    "loguniform": ("low", "high"),
    "quniform": ("low", "high", "q"),
    "qloguniform": ("low", "high", "q"),
    "normal": ("mu", "sigma"),
    "lognormal": ("mu", "sigma"),
    "qnormal": ("mu", "sigma", "q"),
    "qlognormal": ("mu", "sigma", "q"),
    "randint": ("low", "high"),
    "categorical": ("p",),
}


def argument(node: Any, name: str) -> Any:
    """Return the argument of a name of a node of hyperopt's graph; None where it was not given."""
    given = dict(zip(_ARGUMENTS[node.name], node.pos_args, strict=False)) | dict(map(tuple, node.named_args))
    return given.get(name)


def is_fixed(node: Any) -> bool:
    """Return whether a node is a value, or lists and dicts of values."""
    if node.name == "literal":
        return True
    return node.name in ("pos_args", "dict") and all(map(is_fixed, node.inputs()))


def value_of(node: Any) -> Any:
    """Return the value of a node without parameters in it.

    Raises:
        SpaceError: It has some.
    """
    from hyperopt.pyll.base import dfs, rec_eval

    if node is None or any(part.name in _ARGUMENTS for part in dfs(node)):
        raise SpaceError("space: arguments of a distribution must be numbers, not other parameters")
    return rec_eval(node)


def parameter_of(label: Any, distribution: Any) -> HPSpace:
    """Return the parameter that a labelled distribution stands for.

    Args:
        label: The label.
        distribution: The node of hyperopt's graph.

    Raises:
        SpaceError: The distribution is of another kind, or its arguments break a rule.
    """
    kind = distribution.name
    if kind == "randint":
        return _randint(label, distribution)
    if kind not in _ARGUMENTS or kind in ("categorical", "hyperopt_param"):
        raise SpaceError(f"{label}: {kind} of hyperopt cannot be converted")
    a, b, *q = [_number(label, name, value_of(argument(distribution, name))) for name in _ARGUMENTS[kind]]
    is_normal, is_log = kind.endswith("normal"), "log" in kind
    if is_normal and not b > 0:
        raise SpaceError(f"{label}: sigma must be positive, got {b}")
    low, high = (a - REACH * b, a + REACH * b) if is_normal else (a, b)
    prior = NormalPrior(_exp(label, a) if is_log else a, b) if is_normal else None
    ends: tuple[float, float] = (_exp(label, low), _exp(label, high)) if is_log else (low, high)
    if q:
        return _stepped(label, ends, q[0], prior, _below(a, b, is_normal=is_normal) if is_log else None)
    if ends[0] == ends[1]:
        return FixedHP(label, ends[0])
    return (LogRangeHP if is_log else RangeHP)(label, ends[0], ends[1], prior=prior)


def _randint(label: Any, distribution: Any) -> HPSpace:
    first, second = argument(distribution, "low"), argument(distribution, "high")
    ends = [_number(label, "randint", value_of(node)) for node in (first, second) if node is not None]
    low, high = (0.0, ends[0]) if len(ends) == 1 else (ends[0], ends[1])
    if low != int(low) or high != int(high) or not low < high:
        raise SpaceError(f"{label}: randint must have integers, the first below the second, got {low}, {high}")
    return RangeHP(label, int(low), int(high) - 1) if high - low > 1 else FixedHP(label, int(low))


def _stepped(
    label: Any, ends: tuple[float, float], q: float, prior: Prior | None, below: Callable[[Any], Any] | None
) -> HPSpace:
    """Return the multiples of `q` that numbers between two ends are rounded to.

    Args:
        label: The label.
        ends: The least and the largest number that is rounded.
        q: The step.
        prior: The prior of the unrounded numbers, on their own scale.
        below: For a logarithmic scale, a function that returns the share of numbers below some.
    """
    if not (q > 0 and abs(ends[0] / q) < 2**50 and abs(ends[1] / q) < 2**50):
        raise SpaceError(f"{label}: q must be positive, and the ends at most 2**50 q, got q={q}, ends {ends}")
    first, last = math.floor(ends[0] / q + 0.5), math.ceil(ends[1] / q - 0.5)
    is_int = float(q).is_integer()
    low, high, step = (int(q) * first, int(q) * last, int(q)) if is_int else (first * q, last * q, q)
    if first >= last:
        return FixedHP(label, low)
    size = None if is_int and step == 1 else step
    if below is None:
        return RangeHP(label, low, high, size, prior)
    if first > 0:
        return LogRangeHP(label, low, high, size, prior)
    n = last - first + 1  # 0 is among them, which a logarithmic scale does not have
    if n > MOST_WEIGHTS:
        raise SpaceError(f"{label}: must have at most {MOST_WEIGHTS} values where 0 is one of them, got {n}")
    borders = (np.arange(first, last + 2) - 0.5) * q
    borders[0], borders[-1] = 0.0, math.inf
    return RangeHP(label, low, high, size, WeightedPrior(np.diff(below(borders)).tolist()))


def _below(a: float, b: float, *, is_normal: bool) -> Callable[[Any], Any]:
    """Return the distribution function of numbers whose logarithm is uniform from a to b, or normal."""

    def below(borders: Any) -> Any:
        from scipy.special import ndtr

        with np.errstate(divide="ignore"):
            logs = np.log(borders)
        return ndtr((logs - a) / b) if is_normal else np.clip((logs - a) / (b - a), 0.0, 1.0)

    return below


def _number(label: Any, name: str, value: Any) -> float:
    value = value.item() if isinstance(value, np.generic) else value
    if type(value) not in (int, float) or not abs(value) < math.inf:
        raise SpaceError(f"{label}: {name} must be a finite number, got {shown(value)}")
    return float(value)


def _exp(label: Any, exponent: float) -> float:
    try:
        value = math.exp(exponent)
    except OverflowError:
        value = math.inf
    if not 0 < value < math.inf:
        raise SpaceError(f"{label}: exp({exponent}) must be a positive finite float, got {value}")
    return value
