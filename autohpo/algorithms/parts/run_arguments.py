"""The arguments of ``optimize``: which there are, their names checked, and the signature that help shows.

A new argument is a line in ``RunArguments``, its text in the docstring of ``optimize``, and a field of ``RunOptions``
with its default and its checks. A test compares the three.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from autohpo.algorithms.options import RunArguments, check_names, option_names
from autohpo.errors import OptionError
from autohpo.other_names import BUILD

POSITIONAL = ("time_limit", "memory_limit")
"""What AutoGL hands to ``optimize`` by position, after the trainer and the dataset."""


def run_arguments(hpo: object, limits: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call of ``optimize`` by name.

    Args:
        hpo: The optimizer, whose options are no arguments.
        limits: What was given by position after the trainer and the dataset.
        options: What was given by name.

    Raises:
        OptionError: A name is unknown or was given twice, or there are too many limits.
    """
    elsewhere = {BUILD: [*option_names(type(hpo)), "min_fidelity", "max_fidelity", "eta", "space", "f"]}
    check_names("optimize", options, RunArguments.__annotations__, elsewhere)
    if len(limits) > len(POSITIONAL):
        order = "trainer, dataset, time_limit, memory_limit"
        raise OptionError(f"optimize: takes {order} by position and all else by name, got {len(limits) + 2} values")
    given = dict(zip(POSITIONAL, limits, strict=False))
    for name in given:
        if name in options:
            raise OptionError(f"{name}: was given by position and by name")
    return {**given, **options}


def run_signature() -> inspect.Signature:
    """Return the signature of ``optimize`` with the name of each argument, for help and editors."""
    leading = [
        inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        inspect.Parameter("trainer", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation="Any"),
        inspect.Parameter("dataset", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation="Any"),
        inspect.Parameter("limits", inspect.Parameter.VAR_POSITIONAL, annotation="Any"),
    ]
    named = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=..., annotation=_text(hint))
        for name, hint in RunArguments.__annotations__.items()
    ]
    return inspect.Signature([*leading, *named], return_annotation="tuple[Any, Any]")


def _text(hint: Any) -> str:
    """Return an annotation as it was written."""
    return str(getattr(hint, "__forward_arg__", hint))
