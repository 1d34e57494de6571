"""ClearML's parameter classes as functions of the same names and arguments, which return parameters of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from autohpo.errors import SpaceError, shown
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, LogRangeHP, OrdinalHP, RangeHP, TiedHP
from autohpo.spaces.choice import checked_values
from autohpo.spaces.tagged import is_same

__all__ = [
    "DiscreteParameterRange",
    "LogUniformParameterRange",
    "ParameterSet",
    "UniformIntegerParameterRange",
    "UniformParameterRange",
]

# The functions are named as the classes are there: a program changes its import and nothing else.


def UniformParameterRange(  # noqa: N802
    name: str,
    min_value: float,
    max_value: float,
    step_size: float | None = None,
    include_max_value: bool = True,
) -> HPSpace:
    """Return a parameter of floats from `min_value` to `max_value`: all, or every `step_size`.

    Args:
        name: The name of the parameter.
        min_value: The smallest value.
        max_value: The bound that no value is above.
        step_size: The distance of the values; None for all floats. `max_value` is a value only if a step hits it.
        include_max_value: Whether `max_value` itself may be drawn.

    Raises:
        SpaceError: The ends do not make a range, or the step is not positive.

    Example:
        >>> UniformParameterRange("dropout", 0.01, 0.3, 0.05).grid(9)
        [0.01, 0.06, 0.11, 0.16, 0.21, 0.26]
    """
    low, high = _ends(name, min_value, max_value)
    if step_size is not None:
        n = _n_steps(name, low, high, step_size, include_max_value)
        return _range(name, float(low), float(low + n * _number(name, "step_size", step_size)), float(step_size))
    end = float(high) if include_max_value or low == high else math.nextafter(float(high), -math.inf)
    return _range(name, float(low), end, None)


def LogUniformParameterRange(  # noqa: N802, PLR0917 - the positions are ClearML's
    name: str,
    min_value: float,
    max_value: float,
    base: float = 10,
    step_size: float | None = None,
    include_max_value: bool = True,
) -> HPSpace:
    """Return a parameter of floats from ``base**min_value`` to ``base**max_value``, evenly spread in the logarithm.

    Args:
        name: The name of the parameter.
        min_value: The exponent of the smallest value.
        max_value: The bound that no exponent is above.
        base: The base, above 1.
        step_size: The distance of the exponents; None for all of them.
        include_max_value: Whether ``base**max_value`` itself may be drawn.

    Raises:
        SpaceError: The ends do not make a range, their powers are not positive floats, or base or step are too small.

    Example:
        >>> LogUniformParameterRange("lr", -4, -1)
        LogRangeHP(name='lr', low=0.0001, high=0.1)
        >>> LogUniformParameterRange("lr", -4, -1, step_size=1).values
        (0.0001, 0.001, 0.01, 0.1)
    """
    low, high = _ends(name, min_value, max_value)
    if not _number(name, "base", base) > 1:
        raise SpaceError(f"{name}: base must be above 1, got {base}")
    if step_size is not None:
        step, n = _number(name, "step_size", step_size), _n_steps(name, low, high, step_size, include_max_value)
        values = [_power(name, base, low + k * step) for k in range(n + 1)]
        return OrdinalHP(name, values) if n else FixedHP(name, values[0])
    first, last = _power(name, base, low), _power(name, base, high)
    if low == high:
        return FixedHP(name, first)
    return LogRangeHP(name, first, last if include_max_value else math.nextafter(last, 0.0))


def UniformIntegerParameterRange(  # noqa: N802
    name: str,
    min_value: int,
    max_value: int,
    step_size: int = 1,
    include_max_value: bool = True,
) -> HPSpace:
    """Return a parameter of integers from `min_value` on, in steps, none above `max_value`.

    Args:
        name: The name of the parameter.
        min_value: The smallest value.
        max_value: The bound that no value is above.
        step_size: The distance of the values.
        include_max_value: Whether `max_value` itself may be drawn.

    Raises:
        SpaceError: The ends do not make a range, the step is not positive, or one of them is not an integer.

    Example:
        >>> UniformIntegerParameterRange("layers", 1, 10, 4).grid(9)
        [1, 5, 9]
    """
    low, high = _ends(name, min_value, max_value)
    step = _number(name, "step_size", step_size)
    if any(value.denominator != 1 for value in (low, high, step)):
        raise SpaceError(f"{name}: ends and step must be integers, got {min_value}, {max_value}, {step_size}")
    n = _n_steps(name, low, high, step_size, include_max_value)
    return _range(name, int(low), int(low + n * step), None if step == 1 else int(step))


def DiscreteParameterRange(name: str, values: Sequence[Any] = ()) -> HPSpace:  # noqa: N802
    """Return a choice among values that have no order; a single value is fixed.

    Args:
        name: The name of the parameter.
        values: Values of any kind, none twice; they come back as the very objects that were given.

    Raises:
        SpaceError: There are no values, or two are the same.

    Example:
        >>> DiscreteParameterRange("epochs", [30])
        FixedHP(name='epochs', value=30)
    """
    listed = checked_values(name, "values", values)
    return ChoiceHP(name, listed) if len(listed) > 1 else FixedHP(name, listed[0])


def ParameterSet(  # noqa: N802
    parameter_combinations: Sequence[Mapping[str, Any]] = (),
    name: str = "parameter_set",
) -> ChoiceHP:
    """Return a choice among combinations of values, which are only tried together.

    Every value stands in the configuration under its own name, and beside them the number of the combination.

    Args:
        parameter_combinations: Dicts from name to value, or to a parameter that is searched where the combination is
            chosen (its own name counts). A name may be missing in some.
        name: The name of the parameter that chooses among them; it differs where a space has several sets.

    Raises:
        SpaceError: There are no combinations, some are not dicts, or a name is a value here and a parameter there.

    Example:
        >>> from autohpo import SearchSpace
        >>> space = SearchSpace([ParameterSet([{"batch": 32, "lr": 0.1}, {"batch": 256, "lr": 0.4}])])
        >>> list(space.configurations())[1]
        {'parameter_set': 1, 'batch': 256, 'lr': 0.4}
    """
    combinations = list(parameter_combinations)
    for combination in combinations:
        if not isinstance(combination, Mapping):
            raise SpaceError(f"{name}: parameter_combinations must be dicts, got {shown(combination)}")
    values: dict[str, dict[int, Any]] = {}
    searched: list[dict[str, HPSpace]] = []
    for index, combination in enumerate(combinations):
        searched.append({value.name: value for value in combination.values() if isinstance(value, HPSpace)})
        for key, value in combination.items():
            if not isinstance(value, HPSpace):
                values.setdefault(key, {})[index] = value
    for key in {key for parameters in searched for key in parameters} & set(values):
        raise SpaceError(f"{name}: {key!r} must be a value, or a parameter, in all combinations, got both")
    tied = {key: _tied(key, name, by_index) for key, by_index in values.items()}
    children = [
        [*(tied[key] for key, by_index in values.items() if index in by_index), *parameters.values()]
        for index, parameters in enumerate(searched)
    ]
    return ChoiceHP(name, range(len(combinations)), children)


def _tied(name: str, to: str, by_index: dict[int, Any]) -> HPSpace:
    """Return the parameter of a name that has a value in some combinations."""
    first, *others = by_index.values()
    if all(is_same(first, other) for other in others):
        return FixedHP(name, first)
    return TiedHP(name, to, by_index)


def _ends(name: str, low: Any, high: Any) -> tuple[Fraction, Fraction]:
    """Return both ends as they are written."""
    ends = _number(name, "min_value", low), _number(name, "max_value", high)
    if ends[0] > ends[1]:
        raise SpaceError(f"{name}: min_value must not be above max_value, got {low}, {high}")
    return ends


def _number(name: str, argument: str, value: Any) -> Fraction:
    """Return a number as it is written: 0.05 is a twentieth, so that steps end where a reader would expect it."""
    value = value.item() if isinstance(value, np.generic) else value
    if type(value) not in (int, float) or (type(value) is float and not math.isfinite(value)):
        raise SpaceError(f"{name}: {argument} must be a finite number, got {shown(value)}")
    return Fraction(repr(value))


def _n_steps(name: str, low: Fraction, high: Fraction, step: Any, is_included: bool) -> int:
    """Return the number of steps from `low` to the last value."""
    size = _number(name, "step_size", step)
    if size <= 0:
        raise SpaceError(f"{name}: step_size must be positive, got {step}")
    n = int((high - low) / size)
    hits = low + n * size == high
    return n - 1 if hits and not is_included and n else n


def _range(name: str, low: float, high: float, step: float | None) -> HPSpace:
    """Return a range, or its only value."""
    return RangeHP(name, low, high, step) if low < high else FixedHP(name, low)


def _power(name: str, base: float, exponent: Fraction) -> float:
    try:
        value: float = float(base) ** float(exponent)
    except OverflowError:
        value = math.inf
    if not 0 < value < math.inf:
        raise SpaceError(f"{name}: {base}**{float(exponent)} must be a positive finite float, got {value}")
    return value
