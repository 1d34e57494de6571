"""Values that anybody may hand over: reading, listing and checking them raises typed errors only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from autohpo.errors import AutoHPOError, SpaceError, short

MOST_DEPTH = 64
"""How deeply lists and dicts may lie in each other in one value."""


@contextmanager
def reading(name: str, kind: type[AutoHPOError] = SpaceError) -> Iterator[None]:
    """Read what somebody hands over, which may raise anything.

    Args:
        name: What it is for, as the error begins.
        kind: The class of the error.

    Raises:
        SpaceError: It cannot be read.
    """
    try:
        yield
    except AutoHPOError:
        raise
    except Exception as error:  # a dict or a value of the user's own may raise anything
        raise kind(f"{name}: cannot be read: {text_of_error(error)}") from error


def text_of_error(error: Exception) -> str:
    """Return the class of an error and what it says, if it can be asked."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # an exception of the user's own
        return type(error).__name__


def as_tuple(name: str, rule: str, values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values that somebody lists, in a tuple.

    Args:
        name: What they are for, as the error begins.
        rule: What they must be.
        values: The values; listing them may raise anything.

    Raises:
        SpaceError: They cannot be listed.
    """
    try:
        return tuple(values)
    except Exception as error:  # an iterator of the user's, or a range that no memory holds
        why = f"listing it raised {type(error).__name__}"
        raise SpaceError(f"{name}: {rule}, got {short(values)}, and {why}") from error


def check_depth(name: str, values: Iterable[Any]) -> None:
    """Check that values do not hold themselves, and lie in each other no deeper than allowed.

    Raises:
        SpaceError: One does.
    """
    level: list[Any] = list(values)
    for _ in range(MOST_DEPTH):
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                below += item.values()
            elif type(item) in (list, tuple):
                below += item
        if not below:
            return
        level = list({id(item): item for item in below}.values())  # one that is there twice is looked at once
    raise SpaceError(f"{name}: values must be at most {MOST_DEPTH} deep, and must not hold themselves")


def illegal(check: Callable[[Mapping[str, Any]], None], hps: Iterable[Any], error: Exception) -> AutoHPOError:
    """Return the error that says what is wrong with configurations that could not be worked on.

    Work on configurations is not preceded by a check, which would cost more than the work; what is wrong is looked for
    when something has gone wrong.

    Args:
        check: Raises SpaceError for an illegal configuration.
        hps: The configurations.
        error: What the work raised.
    """
    if isinstance(error, AutoHPOError):
        return error
    try:
        for hp in hps:
            check(hp)
    except AutoHPOError as found:
        return found
    except Exception as worse:  # a value that cannot even be compared
        error = worse
    return SpaceError(f"configuration: must be legal for its space; {text_of_error(error)}")
