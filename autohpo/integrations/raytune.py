"""Search spaces of Ray Tune: nested dicts of its domains, and configurations given back in their structure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from autohpo.errors import MissingExtraError, SpaceError, shown
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, LogRangeHP, NormalPrior, RangeHP, SearchSpace
from autohpo.untrusted import MOST_DEPTH, reading

__all__ = ["from_ray_tune", "restore"]

REACH = 6.0
"""How many standard deviations of a normal distribution are searched to each side: 2 of 10^9 draws lie beyond."""


def from_ray_tune(param_space: Mapping[str, Any]) -> SearchSpace:
    """Return the search space of a ``param_space`` of Ray Tune.

    Keys of nested dicts are joined by slashes, as Ray's results have them. Values that are no domains are fixed. A
    choice among plain values has these values; one of whose categories holds domains has the places of its
    categories, from 0, and these domains below it. ``grid_search`` is a choice: the algorithm "grid" tries all of it. A
    normal distribution becomes a range of 6 standard deviations around its mean, with a prior.

    Args:
        param_space: The dict.

    Raises:
        MissingExtraError: Ray Tune is not installed.
        SpaceError: Something cannot be expressed here, such as ``sample_from``; the error names the key.
    """
    with reading("space"):
        return _Tree(param_space).space


def restore(param_space: Mapping[str, Any], hp: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in the structure of a ``param_space``: what Ray Tune hands to a trainable.

    Args:
        param_space: The dict, as given to :func:`from_ray_tune`.
        hp: A configuration of that search space.

    Raises:
        MissingExtraError: Ray Tune is not installed.
        SpaceError: It is none.
    """
    with reading("space"):
        tree = _Tree(param_space)
    made: dict[str, Any] = tree.restored(param_space, "", tree.space.checked(hp))
    return made


class _Tree:
    """A ``param_space`` that is read."""

    def __init__(self, given: Any) -> None:
        self._library = _load()
        if not isinstance(given, Mapping):
            raise SpaceError(f"space: must be a dict of domains of Ray Tune, got {shown(given)}")
        self._options: dict[str, tuple[Any, ...]] = {}
        self.space = SearchSpace(self._read(given, "", 0))

    def restored(self, node: Any, name: str, hp: Mapping[str, Any]) -> Any:
        """Return the part of a configuration that stands in the place of a node."""
        if name in self._options:
            place = hp[name]
            return self.restored(self._options[name][place], f"{name}/{place}", hp)
        if self._is_searched(node):
            return hp[name]
        if isinstance(node, Mapping):
            return {key: self.restored(item, _joined(name, key), hp) for key, item in node.items()}
        if self._has_domains(node):
            items = [self.restored(item, _joined(name, i), hp) for i, item in enumerate(node)]
            return tuple(items) if isinstance(node, tuple) else items
        return node

    def _is_searched(self, node: Any) -> bool:
        is_grid = isinstance(node, Mapping) and set(node) == {"grid_search"}
        return is_grid or isinstance(node, self._library.Domain)

    def _has_domains(self, node: Any, depth: int = 0) -> bool:
        """Whether there is a domain in a value, its lists and dicts."""
        if depth > MOST_DEPTH:
            return False  # the value is looked at where it becomes a parameter
        if self._is_searched(node):
            return True
        items = node.values() if isinstance(node, Mapping) else node if isinstance(node, (list, tuple)) else ()
        return any(self._has_domains(item, depth + 1) for item in items)

    def _read(self, node: Any, name: str, depth: int) -> list[HPSpace]:
        """Return the parameters in a node."""
        if depth > MOST_DEPTH:
            raise SpaceError(f"{name[:50]}: dicts must lie in each other at most {MOST_DEPTH} deep")
        if self._is_searched(node):
            return [self._parameter(name, node, depth)]
        if isinstance(node, Mapping) and (node or not name):
            parts = [(_joined(name, key), item) for key, item in node.items()]
        elif isinstance(node, (list, tuple)) and self._has_domains(node):
            parts = [(_joined(name, i), item) for i, item in enumerate(node) if self._has_domains(item)]
        else:
            return [FixedHP(name, node)]
        return [parameter for part, item in parts for parameter in self._read(item, part, depth + 1)]

    def _parameter(self, name: str, node: Any, depth: int) -> HPSpace:
        library = self._library
        if isinstance(node, Mapping):
            return self._choice(name, node["grid_search"], depth)
        if isinstance(node, library.Categorical):
            return self._choice(name, node.categories, depth)
        if not isinstance(node, (library.Float, library.Integer)):
            raise SpaceError(f"{name}: {type(node).__name__} of Ray Tune, as of sample_from, cannot be converted")
        return _range(library, name, node)

    def _choice(self, name: str, categories: Any, depth: int) -> HPSpace:
        if not isinstance(categories, (list, tuple)) or not any(map(self._has_domains, categories)):
            return ChoiceHP(name, categories)
        self._options[name] = tuple(categories)
        below = []
        for place, item in enumerate(categories):
            parameters = self._read(item, f"{name}/{place}", depth + 1) if self._has_domains(item) else []
            below.append([parameter for parameter in parameters if not isinstance(parameter, FixedHP)])
        return ChoiceHP(name, range(len(categories)), below)


def _joined(name: str, key: Any) -> str:
    if not isinstance(key, (str, int)) or key == "":
        raise SpaceError(f"space: keys must be strings, got {shown(key)} in {name or 'it'}")
    return f"{name}/{key}" if name else str(key)


def _range(library: Any, name: str, domain: Any) -> HPSpace:
    """Return a range of numbers; an upper end of integers is none of them, but with a step above 1 it may be."""
    sampler, q = domain.get_sampler(), None
    if isinstance(sampler, library.Quantized):
        sampler, q = sampler.get_sampler(), sampler.q
    low, high, prior = domain.lower, domain.upper, None
    is_int = isinstance(domain, library.Integer)
    if isinstance(sampler, library.Normal):
        prior = NormalPrior(sampler.mean, sampler.sd)
        low, high = sampler.mean - REACH * sampler.sd, sampler.mean + REACH * sampler.sd
    elif not isinstance(sampler, (library.Uniform, library.LogUniform)):
        raise SpaceError(f"{name}: {type(sampler).__name__} of Ray Tune cannot be converted")
    numbers = (low, high, 1 if q is None else q)
    are_finite = all(isinstance(value, (int, float)) and math.isfinite(value) for value in numbers)
    if not are_finite or numbers[2] <= 0:
        raise SpaceError(f"{name}: ends must be finite numbers, and q positive, got {shown(numbers)}")
    if is_int and q in (None, 1):
        high, q = high - 1, None
    elif q is not None:
        low, high = _multiples(low, high, q)
    low, high = (int(low), int(high)) if is_int else (float(low), float(high))
    if low == high:
        return FixedHP(name, low)
    kind = LogRangeHP if isinstance(sampler, library.LogUniform) else RangeHP
    return kind(name, low, high, q, prior)


def _multiples(low: float, high: float, q: float) -> tuple[float, float]:
    """Return the least and the largest multiple of `q` between two ends."""
    first, last = (
        round(end / q) if math.isclose(end / q, round(end / q)) else way(end / q)
        for end, way in ((low, math.ceil), (high, math.floor))
    )
    return first * q, last * q


def _load() -> Any:
    try:
        import ray.tune.search.sample
    except ImportError as error:
        raise MissingExtraError("Ray Tune is not installed: pip install 'autohpo[raytune]'") from error
    return ray.tune.search.sample
