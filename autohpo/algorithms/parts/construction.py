"""Building an optimizer by its class: unknown options are explained, and a class that takes any keeps them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from autohpo.algorithms.options import RunArguments, check_names
from autohpo.other_names import OPTIMIZE, is_known_elsewhere, meant_option


def takes_any_option(cls: type) -> bool:
    """Return whether the ``__init__`` of a class has ``**kwargs``, as AutoGL's classes have."""
    parameters = inspect.signature(cls).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def is_surely_wrong(name: str, known: Iterable[str]) -> bool:
    """Return whether a name is near a known option, or is one elsewhere: in ``optimize`` or in another library."""
    if difflib.get_close_matches(name, list(known), n=1):
        return True
    return name in RunArguments.__annotations__ or meant_option(name) != name or is_known_elsewhere(name)


def with_explained_names(init: Callable[..., None]) -> Callable[..., None]:
    """Return the ``__init__`` of the base class with unknown options explained.

    Where the class of the optimizer takes any option, those that the base does not know are its own: AutoGL's classes
    hand all of them on, and look for theirs in ``kwargs``.
    """
    taken = [name for name in inspect.signature(init).parameters if name != "self"]
    known = [name for name in taken if name not in ("space", "f")]

    @wraps(init)
    def explained(self: Any, *args: Any, **options: Any) -> None:
        if not options.keys() <= set(taken):
            cls = type(self)
            wrong = [name for name in options if name not in taken]
            if takes_any_option(cls):
                wrong = [name for name in wrong if is_surely_wrong(name, known)]
            check_names(cls.__name__, wrong, known, {OPTIMIZE: RunArguments.__annotations__})
            options = {name: value for name, value in options.items() if name in taken}
        init(self, *args, **options)

    return explained
