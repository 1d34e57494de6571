"""The registry: algorithms by name, from this package, from installed plug-ins, and from the user's own code."""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import check_names, did_you_mean, option_names
from autohpo.errors import OptionError, RegistryError
from autohpo.spaces import HPSpace, SearchSpace
from autohpo.spaces.autogl_form import AutoGLForm

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "autohpo.algorithms"
"""Entry-point group of plug-ins: ``my_name = "my_package.my_module:MyOptimizer"``."""

_NOT_ALGORITHMS = {"base", "options", "registry", "session", "scheduled"}
_REGISTERED: dict[str, type[BaseHPOptimizer]] = {}
_log = logging.getLogger("autohpo")

Space = SearchSpace | Sequence[HPSpace] | AutoGLForm
Optimizer = TypeVar("Optimizer", bound=type[BaseHPOptimizer])


def register_hpo(name: str) -> Callable[[Optimizer], Optimizer]:
    """Class decorator that makes an algorithm known by a name.

    Args:
        name: Lower-case letters, digits and underscores, not taken yet.

    Raises:
        RegistryError: The name is taken or malformed, or the class is no BaseHPOptimizer that suggests something.

    Example:
        >>> from autohpo.algorithms.base import BaseHPOptimizer
        >>> @register_hpo("always_the_middle")
        ... class AlwaysTheMiddle(BaseHPOptimizer):
        ...     def _get_suggestion(self, pid):
        ...         return self.space.decode([[0.5] * self.space.n_columns])[0]
        >>> "always_the_middle" in available_hpos()
        True
    """

    def register(cls: Optimizer) -> Optimizer:
        _check_class(name, cls)
        if name in _built_in_names() and cls.__module__ != f"{__package__}.{name}":
            raise RegistryError(f"{name}: is the name of a built-in algorithm; choose another")
        known = _REGISTERED.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise RegistryError(f"{name}: is taken by {known.__module__}.{known.__qualname__}; choose another")
        _REGISTERED[name] = cls  # a class defined again, as notebooks do, replaces itself
        return cls

    return register


def available_hpos() -> list[str]:
    """Names of all algorithms, sorted; nothing is imported to tell."""
    return sorted({*_built_in_names(), *_REGISTERED, *_plug_ins()})


def get_hpo(name: str) -> type[BaseHPOptimizer]:
    """The class of an algorithm.

    Raises:
        RegistryError: The name is unknown, or its plug-in cannot be loaded.
    """
    if isinstance(name, str):
        if name not in _REGISTERED and name in _built_in_names():
            importlib.import_module(f"{__package__}.{name}")
        if name in _REGISTERED:
            return _REGISTERED[name]
        if name in _plug_ins():
            return _load(name, _plug_ins()[name])
    known = available_hpos()
    raise RegistryError(f"{name!r}: no such algorithm{did_you_mean(str(name), known)} Algorithms: {', '.join(known)}")


@overload
def build_hpo_from_name(
    name: str, space: Space, f: Callable[..., Any] | None = None, **options: Any
) -> BaseHPOptimizer: ...
@overload
def build_hpo_from_name(name: Space, space: Callable[..., Any] | None = None, **options: Any) -> BaseHPOptimizer: ...
def build_hpo_from_name(name: Any, space: Any = None, f: Any = None, **options: Any) -> BaseHPOptimizer:
    """An optimizer, ready for ``optimize()`` or ``ask()``.

    Args:
        name: Of the algorithm, one of :func:`available_hpos`; without it, ``build_hpo_from_name(space, f)``, "auto".
        space: The parameters to search.
        f: The objective; None where you use ``ask`` and ``tell``, or tune a trainer.
        options: Of the algorithm, besides ``max_evals``, ``seed`` and ``mode``, which all have.

    Raises:
        RegistryError: The name is unknown.
        SpaceError: The space breaks a rule.
        OptionError: An option is unknown or breaks a rule.

    Example:
        >>> from autohpo import LogRangeHP
        >>> hpo = build_hpo_from_name("random", [LogRangeHP("lr", 1e-4, 1e-1)], seed=0)
        >>> sorted(hpo.ask())
        ['lr']
    """
    if not isinstance(name, str) and (space is None or callable(space)):
        name, space, f = "auto", name, space if f is None else f
    cls = get_hpo(name)
    for alias, meant in cls.option_aliases.items():
        if alias in options:
            if meant in options:
                raise OptionError(f"{alias}: means {meant}, which was given too")
            options[meant] = options.pop(alias)
    check_names(name, options, option_names(cls))
    return cls(space if isinstance(space, SearchSpace) else SearchSpace(space), f, **options)


def name_of(cls: type[BaseHPOptimizer]) -> str:
    """The name an algorithm is registered by, or that of its class."""
    return next((name for name, known in _REGISTERED.items() if known is cls), f"{cls.__module__}.{cls.__qualname__}")


def check_support(hpo: BaseHPOptimizer) -> None:
    """Passes an optimizer whose algorithm takes its problem.

    Raises:
        OptionError: It does not; the text names the algorithms that do.
    """
    wanted = {"constraints on the space": bool(hpo.space.constraints), "several objectives": hpo.objectives.n > 1}
    features = {"constraints on the space": "constraints", "several objectives": "objectives"}
    for what, is_wanted in wanted.items():
        if is_wanted and features[what] not in hpo.supports:
            names = [name for name in available_hpos() if features[what] in _supports(name)]
            who = name_of(type(hpo))
            raise OptionError(f"{features[what]}: {who} does not take {what}; these do: {', '.join(names)}")


def _supports(name: str) -> frozenset[str]:
    """What an algorithm declares; nothing where it is a plug-in that cannot be loaded."""
    try:
        return get_hpo(name).supports
    except RegistryError:
        return frozenset()


def _check_class(name: str, cls: object) -> None:
    """Passes a class that can be an algorithm: what is wrong shows when it is registered, not when it is used.

    Raises:
        RegistryError: It cannot.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise RegistryError(f"name: must be lower-case letters, digits and underscores, got {name!r}")
    if not (inspect.isclass(cls) and issubclass(cls, BaseHPOptimizer)):
        raise RegistryError(f"{name}: must be a subclass of BaseHPOptimizer, got {cls!r:.80}")
    if cls._get_suggestion is BaseHPOptimizer._get_suggestion:
        raise RegistryError(f"{name}: {cls.__name__} must define _get_suggestion(self, pid)")


@lru_cache(maxsize=1)
def _built_in_names() -> frozenset[str]:
    """Every module of this folder but the few that are no algorithm."""
    folder = str(Path(__file__).parent)
    return frozenset(m.name for m in pkgutil.iter_modules([folder]) if not m.ispkg and m.name not in _NOT_ALGORITHMS)


def _plug_ins() -> dict[str, EntryPoint]:
    """Entry points of installed packages; one that would shadow a built-in is named in the log and left out."""
    from importlib.metadata import entry_points  # a sixth of the time to import autohpo, and seldom needed

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in _built_in_names():
            _log.warning("plug-in %s is ignored: %s is the name of a built-in algorithm", point.value, point.name)
        elif found.setdefault(point.name, point).value != point.value:
            first = found[point.name].value
            _log.warning("plug-in %s is ignored: %s is the name of plug-in %s", point.value, point.name, first)
    return found


def _load(name: str, point: EntryPoint) -> type[BaseHPOptimizer]:
    """The class that a plug-in names.

    Raises:
        RegistryError: It cannot be imported, or is no algorithm; the text names the plug-in.
    """
    try:
        cls = point.load()
    except (Exception, SystemExit) as error:  # a plug-in may fail in any way, and must harm nobody else
        reason = f"{type(error).__name__}: {error}"
        raise RegistryError(f"{name}: plug-in {point.value} cannot be loaded: {reason}") from error
    _check_class(name, cls)
    _REGISTERED[name] = cls
    return _REGISTERED[name]
