"""The arguments that Syne Tune's schedulers have in common, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from autohpo.algorithms.options import check_names
from autohpo.errors import OptionError, shown

__all__ = ["SearchArguments", "full_resource", "taken"]

MAX_RESOURCE_NAMES = ("epochs", "max_t", "max_epochs")
"""The constants of a configuration space that are taken for the full resource where nothing else says it."""


@dataclass(frozen=True, kw_only=True)
class SearchArguments:
    """The arguments of every scheduler.

    Attributes:
        metric: The name of what is optimized, among the reported values.
        mode: Which way it is better: "min" or "max".
        searcher: The name of the searcher.
        search_options: The options of the searcher.
        points_to_evaluate: Configurations to try first; None is the middle of the space.
        random_seed: A number for everything random.
        max_resource_attr: The constant of the space that says how far a trial goes.
        max_t: The full resource.
        time_keeper: Not used.
    """

    metric: Any
    mode: str = "min"
    searcher: Any = None
    search_options: Mapping[str, Any] | None = None
    points_to_evaluate: Sequence[Mapping[str, Any]] | None = None
    random_seed: int | None = None
    max_resource_attr: str | None = None
    max_t: float | None = None
    time_keeper: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str):
            rule = "the name of one reported value; autohpo's own optimizers take several: mode={'name': 'min', ...}"
            raise OptionError(f"metric: must be {rule}, got {shown(self.metric)}")
        if self.mode not in ("min", "max"):
            raise OptionError(f"mode: must be 'min' or 'max', got {shown(self.mode)}")


Arguments = TypeVar("Arguments", bound=SearchArguments)


def taken(kind: type[Arguments], owner: str, given: Mapping[str, Any]) -> Arguments:
    """Return the arguments of a scheduler.

    Args:
        kind: The class of its arguments.
        owner: The name of the scheduler.
        given: What it was given by name.

    Raises:
        OptionError: A name is unknown, the metric is missing, or a value breaks a rule.
    """
    names = [one.name for one in dataclasses.fields(kind)]
    check_names(owner, given, names)
    if given.get("metric") is None:
        raise OptionError("metric: must be given, the name of the reported value to optimize")
    return kind(**given)


def full_resource(config_space: Mapping[str, Any], max_t: float | None, max_resource_attr: str | None) -> float | None:
    """Return the full resource: as given, or a constant of the space.

    Args:
        config_space: The configuration space.
        max_t: The full resource, if it is given.
        max_resource_attr: The constant that has it; without it, "epochs", "max_t" and "max_epochs" are looked for.

    Raises:
        OptionError: `max_resource_attr` is no constant of the space, or the full resource is not positive.
    """
    if max_resource_attr is not None and max_resource_attr not in config_space and max_t is None:
        raise OptionError(f"max_resource_attr: must be a constant of config_space, got {shown(max_resource_attr)}")
    names = (max_resource_attr, *MAX_RESOURCE_NAMES) if max_resource_attr is not None else MAX_RESOURCE_NAMES
    numbers = [config_space[name] for name in names if isinstance(config_space.get(name), (int, float))]
    found = max_t if max_t is not None else next(iter(numbers), None)
    if found is not None and (isinstance(found, bool) or not found > 0):
        raise OptionError(f"max_t: must be above 0, got {shown(found)}")
    return found
