"""Checks of single values that hooks and users hand over: plain types, amounts, pairs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from autohpo.errors import OptionError, SpaceError, SuggestionError, short, shown
from autohpo.history import History
from autohpo.spaces import SearchSpace
from autohpo.spaces.usual import Usual
from autohpo.trial import Suggestion, whole

MOST_PID = 2**63 - 1
"""The largest number of a worker that a log can hold."""


def checked_pid(pid: object) -> int:
    """Return the number of a worker that asks.

    Raises:
        OptionError: It is no integer of a usual size.
    """
    number = plain(pid)
    if not isinstance(number, int) or abs(number) > MOST_PID:
        raise OptionError(f"pid: must be an integer, the number of the worker that asks, got {shown(pid)}")
    return int(number)


def checked_suggestion(
    who: str, hp: Any, space: SearchSpace, history: History, usual: Usual | None = None
) -> Suggestion:
    """Return the suggestion that a hook made, checked and with plain Python values.

    Parameters that are not active are taken out: an algorithm need not know which are.

    Args:
        who: The hook, named in the error.
        hp: What the hook returned.
        space: The space of the configuration.
        history: What was suggested before; see :meth:`autohpo.history.History.check`.
        usual: Knows configurations of the space that need no closer look.

    Raises:
        SuggestionError: It is no configuration of the space, or its attributes break a rule.
    """
    if not isinstance(hp, Mapping):
        raise SuggestionError(f"{who}: must return a dict, got {described(hp)}")
    suggestion = hp.copy() if isinstance(hp, Suggestion) else Suggestion(hp)
    is_usual = usual is not None and usual.has(suggestion)
    if not is_usual:
        suggestion.update(space.canonical_values(suggestion))
    for attribute in ("fidelity", "resume", "fork"):
        value = getattr(suggestion, attribute)
        if isinstance(value, np.generic):
            setattr(suggestion, attribute, value.item())
    if suggestion.fidelity:
        suggestion.fidelity = whole(suggestion.fidelity)
    fidelity = suggestion.fidelity
    try:
        if space.is_conditional:
            keep_active(suggestion, space)
        if not is_usual:
            space.check(suggestion)
        if suggestion.info:
            suggestion.info = json.loads(json.dumps(suggestion.info, allow_nan=False))  # as a store gives it back
    except (SpaceError, TypeError, ValueError) as error:
        raise SuggestionError(f"{who}: {error}") from error
    if fidelity is not None and not (isinstance(fidelity, (int, float)) and 0 < fidelity <= sys.float_info.max):
        raise SuggestionError(f"{who}: fidelity must be positive and finite, got {short(fidelity)}")
    if suggestion.resume is not None or suggestion.fork is not None:
        try:
            history.check(suggestion)
        except SuggestionError as error:
            raise SuggestionError(f"{who}: {error}") from None
    return suggestion


def described(made: object) -> str:
    """Return what a hook returned in place of a configuration, with a hint where it returned nothing."""
    if made is not None:
        return type(made).__name__
    return "NoneType; add a return, or raise OptimizationComplete where there is nothing left to suggest"


def keep_active(suggestion: Suggestion, space: SearchSpace) -> None:
    """Remove inactive parameters from a suggestion; unknown names stay, to be refused."""
    kept = space.trim(suggestion)
    for name in [name for name in suggestion if name in space.names]:
        if name in kept:
            suggestion[name] = kept[name]
        else:
            del suggestion[name]


def plain(value: Any) -> Any:
    """A numpy scalar as Python's own type; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def checked_flag(name: str, value: Any) -> bool:
    """Return a flag.

    Raises:
        OptionError: It is no bool, of Python or of numpy.
    """
    flag = plain(value)
    if not isinstance(flag, bool):
        raise OptionError(f"{name}: must be True or False, got {shown(value)}")
    return flag


def reason_text(reason: object) -> str:
    """Return why a trial failed, as a string: users hand over exceptions, too."""
    try:
        return str(reason)
    except Exception:  # a user's __str__ may raise anything
        return short(reason)


def amount(fidelity: object) -> float:
    """How much training was done, as a plain number, an int where it is whole.

    Raises:
        OptionError: It is no finite number of at least 0.
    """
    done = plain(fidelity)
    if not (isinstance(done, (int, float)) and 0 <= done <= sys.float_info.max):
        raise OptionError(f"fidelity: must be a finite number of at least 0, got {short(fidelity)}")
    return whole(float(done))


def pair(item: object) -> tuple[object, object]:
    """A suggestion and its result.

    Raises:
        OptionError: It is something else.
    """
    if not (isinstance(item, (tuple, list)) and len(item) == 2):
        raise OptionError(f"result: must be a pair (suggestion, perf), got {short(item)}")
    return item[0], item[1]


def is_same_suggestion(kept: Suggestion, given: Suggestion, space: SearchSpace) -> bool:
    """Return whether two suggestions have the same configuration and fidelity; values may be other objects."""
    fidelity = plain(given.fidelity)
    if kept.keys() != given.keys() or not isinstance(fidelity, (int, float, type(None))):
        return False
    if fidelity not in (None, kept.fidelity):
        return False
    if all(kept[name] is given[name] for name in kept):
        return True
    try:
        return space.key(space.checked(kept)) == space.key(space.checked(given))
    except Exception:  # a value that is none of the parameter's
        return False
