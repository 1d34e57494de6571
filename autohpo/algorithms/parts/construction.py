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


def explain_names(cls: type) -> None:
    """Let the ``__init__`` of a class say what is meant by an option that it does not know.

    Where a subclass takes any option and hands all of them on, as AutoGL's classes do, those that are unknown here are
    the subclass's own. A class without an ``__init__`` of its own, or with one that takes any option, stays as it is.
    """
    init = vars(cls).get("__init__")
    if init is not None and not hasattr(init, "__wrapped__") and not takes_any_option(cls):
        cls.__init__ = _explained(init)  # type: ignore[misc]


def _explained(init: Callable[..., None]) -> Callable[..., None]:
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
