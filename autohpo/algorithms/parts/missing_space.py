"""A search space that was not given: the trainer that is tuned has one of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autohpo.errors import OptionError, SpaceError
from autohpo.spaces import FixedHP, SearchSpace


class MissingSpace(SearchSpace):
    """What an optimizer has for a space where none was given; only a trainer's own space can take its place."""

    def __init__(self) -> None:
        super().__init__([FixedHP("missing", None)])

    def __repr__(self) -> str:
        return "MissingSpace()"


def as_space(given: Any) -> SearchSpace:
    """Return the search space that a user gave: as it is, made of parameters, or missing."""
    if isinstance(given, SearchSpace):
        return given
    return MissingSpace() if given is None else SearchSpace(given)


def check_given(space: SearchSpace) -> None:
    """Raise an error unless a search space was given.

    Raises:
        OptionError: None was.
    """
    if isinstance(space, MissingSpace):
        raise OptionError(
            "space: was not given; give build_hpo_from_name one, or a trainer with a space of its own to optimize"
        )


def trainer_space(trainer: Any, fidelity: str | None = None) -> SearchSpace:
    """Return the search space that a trainer has of its own: AutoGL's dicts, or parameters.

    Args:
        trainer: The trainer.
        fidelity: A hyper-parameter that is set for each trial, and so leaves the space.

    Raises:
        OptionError: It has none.
        SpaceError: It breaks a rule.
    """
    for name in ("combined_hyper_parameter_space", "hyper_parameter_space"):
        found = getattr(trainer, name, None)
        found = found() if callable(found) else found
        if found is not None:
            try:
                return SearchSpace(_without(found, fidelity))
            except SpaceError as error:
                raise SpaceError(f"trainer.{name}: {error}") from None
    hint = "give build_hpo_from_name one, or the trainer a hyper_parameter_space"
    raise OptionError(f"space: was not given, and {type(trainer).__name__} has none of its own; {hint}")


def _without(found: Any, name: str | None, module: str = "") -> Any:
    """Return a space without the parameter of a name; AutoGL's modules stay, also where they are left empty."""
    if isinstance(found, Mapping):
        return {key: _without(items, name, f"{key}:") for key, items in found.items()}
    if name is None or not isinstance(found, Sequence):
        return found
    return [item for item in found if module + _name_of(item) != name]


def _name_of(item: Any) -> str:
    return str(item.get("parameterName") if isinstance(item, Mapping) else getattr(item, "name", ""))
