"""Arguments of parameters under the names that other libraries give them: the error says the name here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from autohpo.errors import SpaceError

_LOW = "min min_value minValue minimum lower lower_bound lb start a"
_HIGH = "max max_value maxValue maximum upper upper_bound ub end stop b"
_STEP = "q step_size stepsize resolution quantization"
_VALUES = "choices values categories options sequence items feasiblePoints feasible_points vals"
_SAME = (
    *(("name", "name label key parameterName parameter_name"), ("low", _LOW), ("high", _HIGH), ("step", _STEP)),
    *(("choices", _VALUES), ("values", _VALUES), ("items", _VALUES)),
    *(("value", "value constant val"), ("prior", "weights probabilities p distribution")),
    *(("max_length", "maxlen max_len"), ("length", "size n len cutFunc"), ("item", "items element space")),
)
_ADVICE = (
    ("log log_scale logarithmic scale scaling scalingType", "LogRangeHP is a range on a logarithmic scale"),
    ("base", "LogRangeHP spreads evenly in the logarithm, whatever its base"),
    (
        "default default_value initial init",
        "give points=[{...}] to build_hpo_from_name for configurations to try first",
    ),
    ("condition conditions parent parents", "give SearchSpace conditions={...}, or the choice children={...}"),
    ("dtype type value_type cast is_int", "the values are integers where both ends are ints"),
    ("ordered ordinal is_ordered", "OrdinalHP is a choice of values that have an order"),
)


def check_arguments(cls: type[Any], options: Mapping[str, Any]) -> None:
    """Check that no argument of a parameter has a name that only other libraries know.

    Raises:
        SpaceError: One has; the error says the name here.
    """
    if not options:
        return
    known = inspect.signature(cls).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for name in options:
        if name in known:
            continue
        own = [ours for ours, theirs in _SAME if ours in known and ours not in options and name in theirs.split()]
        advice = [text for names, text in _ADVICE if name in names.split()]
        if own or advice:
            hint = f"give {own[0]}" if own else advice[0]
            raise SpaceError(f"{cls.__name__}: has no argument {name!r}: {hint}; it takes {', '.join(known)}")
