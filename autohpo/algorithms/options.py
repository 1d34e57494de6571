"""Options of an algorithm: their names and defaults, checks of their types, and of what problems it takes."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict, Union, get_args, get_origin, get_type_hints

import numpy as np

from autohpo.errors import OptionError, shown
from autohpo.other_names import hint


class RunArguments(TypedDict, total=False):
    """The keyword arguments of ``BaseHPOptimizer.optimize``, for type checkers; see there."""

    num_workers: int
    time_limit: float | None
    memory_limit: int | str | None
    store: Any
    name: str
    trial_time_limit: float | None
    progress: Literal["auto", "rich", "plain", "none"] | bool
    continue_on_error: bool
    grace_seconds: float
    target: float | None
    patience: int | None
    min_improvement: float | None
    warm_start: Any
    fidelity: str | None
    executor: Any
    retries: Mapping[str, int] | None
    ask_ahead: bool
    keep: Literal["last", "best"]
    gpus: Any
    max_suspended: int
    keep_checkpoints: Literal["live", "best", "all"]
    checkpoints: str | os.PathLike[str] | None
    max_consecutive_failures: int | None
    confirm: Any
    default_first: bool
    cost_limit: float | None
    memory_by: Literal["rss", "cgroup", "address-space"]
    gpu_memory_limit: int | str | None
    schedule: Literal["asynchronous", "deterministic"]
    trackers: Any


LARGEST = int(sys.float_info.max)
"""The largest integer that is near a float: algorithms compute with their options."""

CHANCE = 0.02
"""The chance of beating the best below which a trial is hopeless, where the user gives none."""

FEATURES = {"constraints": "constraints on the space", "objectives": "several objectives"}
"""Problems that an algorithm takes only if it says so in ``supports``, and what they are in words."""


class UnsupportedError(OptionError):
    """An algorithm does not take the problem.

    Args:
        who: The algorithm, as the user knows it.
        feature: What it would have to name in ``supports``, one of `FEATURES`.
        remedy: The end of the sentence: what to do about it.

    Attributes:
        who: The argument of that name.
        feature: The argument of that name.
    """

    def __init__(self, who: str, feature: str, remedy: str) -> None:
        self.who, self.feature = who, feature
        self._args = who, feature, remedy
        super().__init__(f"{feature}: {who} does not take {FEATURES[feature]}; {remedy}")

    def __reduce__(self) -> tuple[type[UnsupportedError], tuple[str, str, str]]:
        """Pickle by the arguments: the base class would hand the text to ``__init__``."""
        return type(self), self._args


def check_support(optimizer: Any) -> None:
    """Raise an error unless the algorithm of an optimizer takes its problem.

    Raises:
        UnsupportedError: The space has constraints, or there are several objectives, and the class does not say in
            ``supports`` that it takes them.
    """
    has = {"constraints": bool(optimizer.space.constraints), "objectives": optimizer.objectives.n > 1}
    for feature in FEATURES:
        if has[feature] and feature not in optimizer.supports:
            who = type(optimizer).__name__
            raise UnsupportedError(who, feature, f"{feature!r} is not in {who}.supports")


def chance_of(optimizer: Any) -> float | None:
    """Return the chance below which trials of an optimizer are hopeless; None where none is ended for that.

    Raises:
        OptionError: ``stop_hopeless`` is no chance, or there are several objectives.
    """
    given = optimizer.stop_hopeless
    if given is False:
        return None
    if given is not True and not 0.0 < given < 1.0:
        raise OptionError(f"stop_hopeless: must be True, False, or a chance between 0 and 1, got {shown(given)}")
    if optimizer.objectives.n > 1:
        raise OptionError("stop_hopeless: must not be given with several objectives, as they have no single best")
    return CHANCE if given is True else float(given)


def check_types(optimizer: Any) -> None:
    """Raise an error unless all options of an optimizer have the types that their fields are annotated with.

    Only plain types are checked (int, float, bool, str, None, Literal and unions of them): an int stands for a float,
    a bool stands for no number.

    Raises:
        OptionError: An option has another type.
    """
    for name, kind in _hints(type(optimizer)).items():
        value = getattr(optimizer, name)
        if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
            value = value.item()
            setattr(optimizer, name, value)
        if not _fits(value, kind):
            text = " or ".join(_text(h) for h in _alternatives(kind))
            raise OptionError(f"{name}: must be {text}, got {shown(value)}")
        if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            raise OptionError(f"{name}: must be within the range of floats, got {shown(value)}")


def check_names(
    owner: str, given: Iterable[str], known: Iterable[str], elsewhere: Mapping[str, Iterable[str]] | None = None
) -> None:
    """Raise an error unless all option names that were given are known.

    Args:
        owner: What the options are given to.
        given: The names that were given.
        known: The names of its options.
        elsewhere: The names that other calls take, by the call as a user writes it.

    Raises:
        OptionError: A name is unknown; the text says what it is called or where it goes, and lists all that are known.
    """
    known = sorted(known)
    for name in given:
        if name not in known:
            meant = hint(name, known, elsewhere or {})
            raise OptionError(f"{name}: {owner} has no such option{meant} Options: {', '.join(known)}")


def option_names(cls: type) -> list[str]:
    """Return the names of an algorithm's options; the space and the objective are no options.

    They are the fields of its dataclass, and the arguments of an ``__init__`` of its own.
    """
    fields = [f.name for f in dataclasses.fields(cls) if f.init]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    arguments = [p.name for p in inspect.signature(cls).parameters.values() if p.kind in named]
    return [name for name in dict.fromkeys(fields + arguments) if name not in ("space", "f")]


def option_defaults(cls: type) -> dict[str, Any]:
    """Return the default of each option that has one."""
    found = {}
    for field in dataclasses.fields(cls):
        if field.init and field.name not in ("space", "f"):
            if field.default is not dataclasses.MISSING:
                found[field.name] = field.default
            elif field.default_factory is not dataclasses.MISSING:
                found[field.name] = field.default_factory()
    return found


def options_of(optimizer: Any) -> dict[str, Any]:
    """Return an algorithm's options and their values, as far as it keeps them under their names."""
    names = option_names(type(optimizer))
    return {name: getattr(optimizer, name) for name in names if hasattr(optimizer, name)}


def _hints(cls: type) -> Mapping[str, Any]:
    try:
        hints = get_type_hints(cls)
    except (NameError, TypeError):  # only a type checker can resolve an annotation of the subclass
        return {}
    names = {f.name for f in dataclasses.fields(cls)} & set(option_names(cls))
    return {name: hint for name, hint in hints.items() if name in names}


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _text(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    return "None" if hint is type(None) else str(getattr(hint, "__name__", hint))


def _fits(value: Any, hint: Any) -> bool:
    return any(_fits_one(value, h) for h in _alternatives(hint))


def _equals(value: Any, one: Any) -> bool:
    try:
        return bool(value == one)
    except Exception:  # a class of the user's may compare as it likes
        return False


def _fits_one(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return any(isinstance(value, type(one)) and _equals(value, one) for one in get_args(hint))
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    return True
