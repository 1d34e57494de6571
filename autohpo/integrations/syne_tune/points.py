"""Spaces and first points of Syne Tune as ours: domains apart from constants, and points completed by middles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.integrations.syne_tune.domains import Domain
from autohpo.spaces import SearchSpace

__all__ = ["Configurations", "completed", "first_points", "split"]


@dataclass(frozen=True)
class Configurations:
    """What makes the configuration that a trial gets of the values of the domains.

    Attributes:
        names: The names of domains and constants, in the order of the space.
        constants: The constants.
        max_resource_attr: The constant that tells a trial how far it is to go, if one does.

    Example:
        >>> make = Configurations(("x", "epochs"), {"epochs": 27}, "epochs")
        >>> make({"x": 0.5}, 9)
        {'x': 0.5, 'epochs': 9}
    """

    names: tuple[str, ...]
    constants: Mapping[str, Any]
    max_resource_attr: str | None = None

    def __call__(self, hp: Mapping[str, Any], fidelity: float | None) -> dict[str, Any]:
        """Return a configuration in the order of the space, constants included.

        Args:
            hp: The values of the domains.
            fidelity: How far the trial is to go; None is as far as its constants say.
        """
        config = {name: hp[name] if name in hp else self.constants[name] for name in self.names}
        if self.max_resource_attr is not None and fidelity is not None:
            config[self.max_resource_attr] = fidelity
        return config


def split(config_space: Mapping[str, Any]) -> tuple[SearchSpace, dict[str, Any]]:
    """Return the search space of a configuration space, and its constants, which are passed through.

    Args:
        config_space: A dict from name to domain or constant.

    Raises:
        SpaceError: It is no such dict, has no domain, or a domain makes no parameter.

    Example:
        >>> from autohpo.integrations.syne_tune.config_space import uniform
        >>> space, constants = split({"x": uniform(0, 1), "epochs": 27})
        >>> space.names, constants
        (('x',), {'epochs': 27})
    """
    if not isinstance(config_space, Mapping):
        raise SpaceError(f"config_space: must be a dict from name to domain or constant, got {shown(config_space)}")
    domains = {name: item for name, item in config_space.items() if isinstance(item, Domain)}
    if not domains:
        raise SpaceError("config_space: must have a domain such as uniform(0, 1), got constants alone")
    constants = {name: item for name, item in config_space.items() if not isinstance(item, Domain)}
    return SearchSpace([item.parameter(name) for name, item in domains.items()]), constants


def first_points(
    config_space: Mapping[str, Any], points_to_evaluate: Sequence[Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """Return the configurations to try first, each once.

    Args:
        config_space: The configuration space.
        points_to_evaluate: Configurations, some with values missing, which the middle of the domain then stands for.
            None is the middle of everything alone, and an empty list is none.

    Raises:
        SpaceError: A value is not in its domain.
    """
    found: list[dict[str, Any]] = []
    for point in [{}] if points_to_evaluate is None else points_to_evaluate:
        made = completed(config_space, point)
        if made not in found:
            found.append(made)
    return found


def completed(config_space: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """Return a point with a value of every domain: its own, of the domain's type, or the middle of the domain.

    Raises:
        SpaceError: A value is not in its domain.
    """
    made = {}
    for name, domain in config_space.items():
        if not isinstance(domain, Domain):
            continue
        if name not in point:
            made[name] = domain.middle()
            continue
        try:
            value = domain.cast(point[name])
        except (SpaceError, TypeError, ValueError) as error:
            raise SpaceError(f"points_to_evaluate: {name} cannot be {shown(point[name])}: {error}") from None
        if not domain.is_valid(value):
            raise SpaceError(f"points_to_evaluate: {name} must be in {domain}, got {shown(point[name])}")
        made[name] = value
    return made
