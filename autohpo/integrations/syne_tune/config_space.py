"""Configuration spaces: dicts from a name to a domain or to a constant, and the functions that make domains."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.integrations.syne_tune.domains import Domain
from autohpo.integrations.syne_tune.listings import Categorical, FiniteRange, Ordinal, OrdinalNearestNeighbor
from autohpo.integrations.syne_tune.ranges import Float, Integer

__all__ = [
    "Categorical",
    "Domain",
    "FiniteRange",
    "Float",
    "Integer",
    "Ordinal",
    "OrdinalNearestNeighbor",
    "add_to_argparse",
    "cast_config_values",
    "choice",
    "config_space_from_json_dict",
    "config_space_size",
    "config_space_to_json_dict",
    "finrange",
    "from_dict",
    "is_log_space",
    "is_reverse_log_space",
    "is_uniform_space",
    "logfinrange",
    "logordinal",
    "lograndint",
    "loguniform",
    "non_constant_hyperparameter_keys",
    "ordinal",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "quniform",
    "randint",
    "restrict_domain",
    "reverseloguniform",
    "to_dict",
    "uniform",
]


def uniform(lower: float, upper: float) -> Float:
    """Return floats from `lower` to `upper`, both included."""
    return Float(lower, upper)


def loguniform(lower: float, upper: float) -> Float:
    """Return floats from `lower` to `upper`, both included, evenly spread in the logarithm."""
    return Float(lower, upper, "log")


def reverseloguniform(lower: float, upper: float) -> Float:
    """Return floats from `lower` to `upper` below 1, evenly spread in the logarithm of the distance to 1."""
    return Float(lower, upper, "reverse")


def randint(lower: int, upper: int) -> Integer:
    """Return integers from `lower` to `upper`, both included."""
    return Integer(lower, upper)


def lograndint(lower: int, upper: int) -> Integer:
    """Return integers from `lower` to `upper`, both included, evenly spread in the logarithm."""
    return Integer(lower, upper, "log")


def quniform(lower: float, upper: float, q: float) -> Float:
    """Return floats from `lower` to `upper`, both included, in steps of `q`."""
    return Float(lower, upper, step=q)


def qloguniform(lower: float, upper: float, q: float) -> Float:
    """Return floats from `lower` to `upper`, both included, in steps of `q`, evenly spread in the logarithm."""
    return Float(lower, upper, "log", q)


def qrandint(lower: int, upper: int, q: int = 1) -> Integer:
    """Return integers from `lower` to `upper`, both included, in steps of `q`."""
    return Integer(lower, upper, step=q)


def qlograndint(lower: int, upper: int, q: int) -> Integer:
    """Return integers from `lower` to `upper`, both included, in steps of `q`, evenly spread in the logarithm."""
    return Integer(lower, upper, "log", q)


def choice(categories: Sequence[Any]) -> Categorical:
    """Return values that have no order; the first is the default."""
    return Categorical(_listed(categories))


def ordinal(categories: Sequence[Any], kind: str | None = None) -> Ordinal:
    """Return values that have an order.

    Args:
        categories: The values.
        kind: "equal" takes them as equally far apart; "nn" gives each number as much of the scale as is nearest to
            it, and "nn-log" does so on a logarithmic scale. None is "nn" for rising numbers, else "equal".

    Raises:
        SpaceError: The kind is none of these, or its values are not rising numbers.
    """
    values = _listed(categories)
    if kind is None:
        are_numbers = len(values) > 1 and all(type(one) in (int, float) for one in values)
        kind = "nn" if are_numbers and all(a < b for a, b in pairwise(values)) else "equal"
    if kind not in ("equal", "nn", "nn-log"):
        raise SpaceError(f"kind: must be 'equal', 'nn' or 'nn-log', got {shown(kind)}")
    return Ordinal(values) if kind == "equal" else OrdinalNearestNeighbor(values, kind == "nn-log")


def logordinal(categories: Sequence[Any]) -> Ordinal:
    """Return rising numbers, each with as much of the logarithmic scale as is nearest to it."""
    return ordinal(categories, "nn-log")


def finrange(lower: float, upper: float, size: int, cast_int: bool = False) -> FiniteRange:
    """Return `size` numbers from `lower` to `upper`, both included, equally far apart.

    Args:
        lower: The first number.
        upper: The last number.
        size: How many numbers there are.
        cast_int: Whether they are rounded to integers.

    Example:
        >>> finrange(0, 1, 3).values
        [0.0, 0.5, 1.0]
    """
    return FiniteRange(lower, upper, size, cast_int=cast_int)


def logfinrange(lower: float, upper: float, size: int, cast_int: bool = False) -> FiniteRange:
    """Return `size` numbers from `lower` to `upper`, both included, equally far apart in the logarithm.

    Args:
        lower: The first number.
        upper: The last number.
        size: How many numbers there are.
        cast_int: Whether they are rounded to integers.

    Example:
        >>> logfinrange(1, 100, 3, cast_int=True).values
        [1, 10, 100]
    """
    return FiniteRange(lower, upper, size, log_scale=True, cast_int=cast_int)


def is_log_space(domain: Domain) -> bool:
    """Return whether the scale of a domain is logarithmic."""
    if isinstance(domain, (FiniteRange, OrdinalNearestNeighbor)):
        return domain.log_scale
    return isinstance(domain, (Float, Integer)) and domain.spacing == "log"


def is_reverse_log_space(domain: Domain) -> bool:
    """Return whether the scale of a domain is the logarithm of the distance to 1."""
    return isinstance(domain, Float) and domain.spacing == "reverse"


def is_uniform_space(domain: Domain) -> bool:
    """Return whether the scale of a domain is linear."""
    if isinstance(domain, (FiniteRange, OrdinalNearestNeighbor)):
        return not domain.log_scale
    return isinstance(domain, (Float, Integer)) and domain.spacing == "linear"


def restrict_domain(numerical_domain: Domain, lower: float, upper: float) -> Domain:
    """Return the part of a domain of numbers between two ends.

    Args:
        numerical_domain: A domain of floats or integers, or a finite range.
        lower: No value is below it.
        upper: No value is above it.

    Raises:
        SpaceError: The domain has no ends, or no value between these.
    """
    if isinstance(numerical_domain, FiniteRange):
        inside = [value for value in numerical_domain.values if lower <= value <= upper]
        if not inside:
            raise SpaceError(f"restrict_domain: must leave a value, got {lower}, {upper} for {numerical_domain}")
        return replace(numerical_domain, lower=inside[0], upper=inside[-1], size=len(inside))
    if not isinstance(numerical_domain, (Float, Integer)):
        raise SpaceError(f"restrict_domain: must be given a domain of numbers, got {numerical_domain}")
    low, high = numerical_domain.cast(lower), numerical_domain.cast(upper)
    if low > high:
        raise SpaceError(f"restrict_domain: lower must be at most upper, got {lower}, {upper}")
    bounds: dict[str, Any] = {"lower": low, "upper": high}
    return replace(numerical_domain, **bounds)


def add_to_argparse(parser: argparse.ArgumentParser, config_space: Mapping[str, Any]) -> None:
    """Add an argument for each domain and constant of a space to the parser of a script.

    Args:
        parser: The parser.
        config_space: The configuration space.
    """
    for name, item in config_space.items():
        kind = item.value_type if isinstance(item, Domain) else type(item)
        parser.add_argument(f"--{name}", type=kind, required=True)


def cast_config_values(config: Mapping[str, Any], config_space: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with each value of its domain's type; names that the space lacks are left out."""
    return {
        name: item.cast(config[name]) if isinstance(item, Domain) else config[name]
        for name, item in config_space.items()
        if name in config
    }


def non_constant_hyperparameter_keys(config_space: Mapping[str, Any]) -> list[str]:
    """Return the names of the domains of a space, without those of its constants."""
    return [name for name, item in config_space.items() if isinstance(item, Domain)]


def config_space_size(config_space: Mapping[str, Any], upper_limit: int = 2**20) -> int | None:
    """Return how many configurations a space has.

    Args:
        config_space: The configuration space.
        upper_limit: What it may have at most to be counted; None is returned for more.
    """
    sizes = [len(item) for item in config_space.values() if isinstance(item, Domain)]
    n = math.prod(sizes)
    return n if 0 < n <= upper_limit else None


_SAMPLERS = {"linear": "Uniform", "log": "LogUniform", "reverse": "ReverseLogUniform"}
_DOMAINS: dict[str, Any] = {
    one.__name__: one for one in (Float, Integer, Categorical, Ordinal, OrdinalNearestNeighbor, FiniteRange)
}


def to_dict(x: Domain) -> dict[str, Any]:
    """Return a domain as JSON types: its class, its arguments, and its scale.

    Example:
        >>> to_dict(loguniform(0.1, 1.0))["sampler_cls"]
        'LogUniform'
    """
    fields = {name: getattr(x, name) for name in x.__dataclass_fields__}  # type: ignore[attr-defined]
    spacing, step = fields.pop("spacing", None), fields.pop("step", None)
    if "categories" in fields:
        fields["categories"] = list(fields["categories"])
    found: dict[str, Any] = {"domain_cls": type(x).__name__, "domain_kwargs": fields}
    if spacing is not None:
        found |= {"sampler_cls": _SAMPLERS[spacing], "sampler_kwargs": {} if step is None else {"q": step}}
    return found


def from_dict(d: Mapping[str, Any]) -> Domain:
    """Return the domain that :func:`to_dict` described.

    Raises:
        SpaceError: It describes none.
    """
    kind, fields = _DOMAINS.get(d.get("domain_cls", "")), dict(d.get("domain_kwargs", {}))
    spacings = {name: spacing for spacing, name in _SAMPLERS.items()}
    if kind is None:
        raise SpaceError(f"domain_cls: must be one of {', '.join(_DOMAINS)}, got {shown(d.get('domain_cls'))}")
    if kind in (Float, Integer):
        fields["spacing"] = spacings.get(d.get("sampler_cls", "Uniform"))
        fields["step"] = d.get("sampler_kwargs", {}).get("q")
        if fields["spacing"] is None:
            raise SpaceError(f"sampler_cls: must be one of {', '.join(spacings)}, got {shown(d.get('sampler_cls'))}")
    made: Domain = kind(**fields)
    return made


def config_space_to_json_dict(config_space: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration space as JSON types; its constants stand there as they are."""
    return {name: to_dict(item) if isinstance(item, Domain) else item for name, item in config_space.items()}


def config_space_from_json_dict(config_space_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration space that :func:`config_space_to_json_dict` described."""
    return {
        name: from_dict(item) if isinstance(item, Mapping) and "domain_cls" in item else item
        for name, item in config_space_dict.items()
    }


def _listed(categories: Iterable[Any]) -> list[Any]:
    """Return categories as a list of their own.

    Raises:
        SpaceError: There are none, or they are a string.
    """
    if isinstance(categories, str) or not list(categories):
        raise SpaceError(f"categories: must be a list that is not empty, got {shown(categories)}")
    return list(categories)
