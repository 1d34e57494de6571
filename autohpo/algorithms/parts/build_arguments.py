"""The arguments of ``build_hpo_from_name``, checked: their order, and the names of the options."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autohpo.algorithms.options import RunArguments, check_names, option_names
from autohpo.algorithms.parts.construction import is_surely_wrong, takes_any_option
from autohpo.errors import OptionError, RegistryError, SpaceError, short
from autohpo.other_names import BUILD, CLEARML, OPTIMIZE, is_known_elsewhere, meant_option
from autohpo.spaces import HPSpace, SearchSpace
from autohpo.spaces.foreign import check_not_foreign

ORDER = "the order is build_hpo_from_name(name, space, f)"


def is_space(value: object) -> bool:
    """Return whether a value is given as a search space: parameters, a space, or AutoGL's dicts."""
    is_list = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return is_list or isinstance(value, (HPSpace, SearchSpace, Mapping))


def check_name(name: object) -> None:
    """Raise an error unless the name of an algorithm stands where it belongs.

    Raises:
        RegistryError: It is something else.
    """
    if not isinstance(name, str):
        if inspect.isclass(name):
            raise RegistryError(f"name: must be a registered name, got a class; build it as {name.__name__}(space, f)")
        raise RegistryError(f"name: must be a string such as 'tpe', got {short(name)}; {ORDER}")


def check_order(space: object, f: object) -> None:
    """Raise an error unless the space and the function stand where they belong.

    Raises:
        SpaceError: `space` is a function, or is missing beside a function.
        OptionError: `f` is no function.
    """
    if callable(space) and not is_space(space):
        check_not_foreign(space)  # hyperopt's expressions can be called
        raise SpaceError(f"space: must be a list of parameters, got {short(space)}; {ORDER}")
    if f is not None and not callable(f):
        raise OptionError(f"f: must be callable, got {short(f)}; {ORDER}")
    if f is not None and space is None:
        raise SpaceError(f"space: must be a list of parameters, got None; {ORDER}")


def checked_options(
    name: str, cls: type, options: Mapping[str, Any], others: Callable[[], Mapping[str, type]]
) -> dict[str, Any]:
    """Return the options under their own names.

    Args:
        name: The name of the algorithm.
        cls: The class of the algorithm.
        options: What was given. ClearML gives None for "not given", so under its names None is left out.
        others: Returns the classes of all algorithms by name; only called for an unknown option.

    Raises:
        OptionError: A name is unknown, or was given twice.
    """
    given = {option: value for option, value in options.items() if value is not None or option not in CLEARML}
    for alias, meant in getattr(cls, "option_aliases", {}).items():
        if alias in given:
            if meant in given:
                raise OptionError(f"{alias}: means {meant}, which was given too")
            given[meant] = given.pop(alias)
    known = option_names(cls)
    if takes_any_option(cls):
        known += [option for option in given if not is_surely_wrong(option, known)]
    for option in given.keys() - set(known):
        _check_others(name, option, known, others)
    check_names(name, given, known, {OPTIMIZE: RunArguments.__annotations__, BUILD: ("name", "space", "f")})
    return given


def _check_others(name: str, option: str, known: Sequence[str], others: Callable[[], Mapping[str, type]]) -> None:
    """Raise OptionError where an option is one of other algorithms."""
    meant = meant_option(option)
    is_near = bool(difflib.get_close_matches(option, known, n=1))
    if is_near or meant in known or meant in RunArguments.__annotations__ or is_known_elsewhere(option):
        return
    found = [other for other, cls in others().items() if meant in option_names(cls)]
    if found:
        called = f"; as {meant} it is" if meant != option else "; it is"
        text = f"{called} an option of {', '.join(found)}. Options: {', '.join(sorted(known))}"
        raise OptionError(f"{option}: {name} has no such option{text}")
