"""The registry: algorithms by name, from this package, from installed plug-ins, and from the user's own code."""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import UnsupportedError
from autohpo.algorithms.parts.build_arguments import check_name, check_order, checked_options, is_space
from autohpo.algorithms.parts.construction import explain_names
from autohpo.algorithms.parts.missing_space import as_space
from autohpo.errors import RegistryError, shown
from autohpo.other_names import meant_algorithm
from autohpo.spaces import HPSpace, SearchSpace
from autohpo.spaces.autogl_form import AutoGLForm

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_WORD = r"[a-z][a-z0-9_]*"
NAME, NAME_RULE = rf"{_WORD}(:{_WORD})?", "lower-case letters, digits and underscores"

GROUP = "autohpo.algorithms"
"""Entry-point group of plug-ins: ``my_name = "my_package.my_module:MyOptimizer"``."""

AlgorithmName = Literal[
    "anneal",
    "asha",
    "auto",
    "autone",
    "bayes",
    "bohb",
    "cmaes",
    "dehb",
    "differential_evolution",
    "dyhpo",
    "ehvi",
    "gp_multi_fidelity",
    "grid",
    "hyperband",
    "hyperopt_tpe",
    "hypertune",
    "kde",
    "median_stopping",
    "mobster",
    "mocmaes",
    "motpe",
    "nsga2",
    "pasha",
    "pbt",
    "portfolio",
    "prior",
    "priorband",
    "quasi_random",
    "random",
    "regularized_evolution",
    "smac",
    "successive_halving",
    "tpe",
    "turbo",
]
"""The names of this package's own algorithms, for editors and type checkers; any other registered name is a string."""

ALIASES: Mapping[str, str] = {"motpe": "tpe"}
"""Names that the literature has for an algorithm registered under another one: ``motpe`` is ``tpe`` with several
objectives."""


@dataclass(frozen=True)
class Family:
    """Algorithms of another library, named ``family:name``, which are there where the library is installed.

    Attributes:
        module: The module that registers them.
        needs: The packages that each of them needs, by its name within the family.
    """

    module: str
    needs: Mapping[str, tuple[str, ...]]


_OPTUNA = ("brute_force", "grid", "nsgaii", "nsgaiii", "qmc", "random", "tpe")
FAMILIES: Mapping[str, Family] = {
    "optuna": Family(
        "autohpo.integrations.optuna.registered",
        {**dict.fromkeys(_OPTUNA, ("optuna",)), "cmaes": ("optuna", "cmaes"), "gp": ("optuna", "torch")},
    ),
}
"""The libraries whose algorithms are in the registry; a plug-in adds one by entry points that are named so."""

UNLISTED: Mapping[str, str] = {"define_by_run": "autohpo.define_by_run.algorithm"}
"""Algorithms that serve one purpose only, which makes them itself, and the modules that register them."""

_NOT_ALGORITHMS = {"base", "interface", "options", "registry", "scheduled", "session"}
_REGISTERED: dict[str, type[BaseHPOptimizer]] = {}
_log = logging.getLogger("autohpo")

Space = SearchSpace | Sequence[HPSpace] | AutoGLForm
Optimizer = TypeVar("Optimizer", bound=type[BaseHPOptimizer])


def register_hpo(name: str) -> Callable[[Optimizer], Optimizer]:
    """Return a class decorator that makes an algorithm known by a name.

    Args:
        name: Lower-case letters, digits and underscores, not taken yet.

    Raises:
        RegistryError: The name is taken or malformed, or the class is no BaseHPOptimizer with a ``_get_suggestion``, or
            with an ``optimize`` of its own as AutoGL's classes have.

    Example:
        >>> from autohpo.algorithms.base import BaseHPOptimizer
        >>> @register_hpo("always_the_middle")
        ... class AlwaysTheMiddle(BaseHPOptimizer):
        ...     def _get_suggestion(self, pid):
        ...         return self.space.decode([[0.5] * self.space.n_columns])[0]
        >>> "always_the_middle" in available_hpos()
        True
    """
    given: object = name
    if inspect.isclass(given):
        hint = f"write @register_hpo('my_name') above {given.__name__}"
        raise RegistryError(f"name: must be a string, got a class; {hint}")

    def register(cls: Optimizer) -> Optimizer:
        _check_class(name, cls)
        if _is_reserved(name) and cls.__module__ != _home_of(name):
            raise RegistryError(f"{name}: is the name of a built-in algorithm; choose another")
        known = _REGISTERED.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise RegistryError(f"{name}: is taken by {known.__module__}.{known.__qualname__}; choose another")
        explain_names(cls)
        _REGISTERED[name] = cls  # a class defined again, as notebooks do, replaces itself
        return cls

    return register


def available_hpos() -> list[str]:
    """Return the names of all algorithms, sorted, aliases among them; nothing is imported to tell."""
    registered = {name for name in _REGISTERED if name not in UNLISTED and not _is_of_family(name)}
    return sorted({*_reserved_names(), *_of_families(), *registered, *_plug_ins()})


def canonical_name(name: str) -> str:
    """Return the name that an algorithm is registered by, for a name that may be an alias of it.

    Two searches are of the same algorithm if their canonical names are equal. A name that is no alias is its own
    canonical name, also where it is unknown.
    """
    return ALIASES.get(name, name)


def get_hpo(name: str) -> type[BaseHPOptimizer]:
    """Return the class of an algorithm.

    Raises:
        RegistryError: The name is unknown, or its plug-in cannot be loaded.
        MissingExtraError: It is of a library that is not installed.
    """
    if isinstance(name, str):
        name = canonical_name(name)
        if name not in _REGISTERED and (name in _built_in_names() or name in UNLISTED or _is_of_family(name)):
            importlib.import_module(_home_of(name))
        if name in _REGISTERED:
            return _REGISTERED[name]
        if name in _plug_ins():
            return _load(name, _plug_ins()[name])
    known = available_hpos()
    raise RegistryError(f"{name!r}: no such algorithm{meant_algorithm(name, known)} Algorithms: {', '.join(known)}")


@overload
def build_hpo_from_name(
    name: AlgorithmName, space: Space | None = None, f: Callable[..., Any] | None = None, **options: Any
) -> BaseHPOptimizer: ...
@overload
def build_hpo_from_name(
    name: str, space: Space | None = None, f: Callable[..., Any] | None = None, **options: Any
) -> BaseHPOptimizer: ...
@overload
def build_hpo_from_name(name: Space, space: Callable[..., Any] | None = None, **options: Any) -> BaseHPOptimizer: ...
def build_hpo_from_name(name: Any, space: Any = None, f: Any = None, **options: Any) -> BaseHPOptimizer:
    """Return an optimizer, ready for ``optimize()`` or ``ask()``.

    Args:
        name: The algorithm, one of :func:`available_hpos`. Without it, ``build_hpo_from_name(space, f)``, it is "auto".
        space: The parameters to search; None takes the space of the trainer that is tuned.
        f: The objective; None where you use ``ask`` and ``tell``, or tune a trainer.
        options: Options of the algorithm, and ``max_evals``, ``seed`` and ``mode``, which all algorithms have.

    Raises:
        RegistryError: The name is unknown.
        SpaceError: The space breaks a rule.
        OptionError: An option is unknown or breaks a rule, or the algorithm does not take the problem; then the text
            lists the algorithms that do.

    Example:
        >>> from autohpo import LogRangeHP
        >>> hpo = build_hpo_from_name("random", [LogRangeHP("lr", 1e-4, 1e-1)], seed=0)
        >>> sorted(hpo.ask())
        ['lr']
    """
    if is_space(name) and (space is None or callable(space)):
        name, space, f = "auto", name, space if f is None else f
    check_name(name)
    cls = get_hpo(name)
    options = checked_options(name, cls, options, _classes)
    check_order(space, f)
    try:
        return cls(as_space(space), f, **options)
    except UnsupportedError as error:
        names = [other for other in available_hpos() if error.feature in _supports(other)]
        if error.feature in cls.supports:  # it is an algorithm inside this one that does not take the problem
            if options.get("sampler") is None:
                raise
            samplers = [other for other in names if not get_hpo(other).is_multi_fidelity]
            raise UnsupportedError(error.who, error.feature, f"these samplers do: {', '.join(samplers)}") from None
        raise UnsupportedError(name, error.feature, f"these do: {', '.join(names)}") from None


def name_of(cls: type[BaseHPOptimizer]) -> str:
    """Return the name that an algorithm is registered by, or module and name of a class that is not registered."""
    return next((name for name, known in _REGISTERED.items() if known is cls), f"{cls.__module__}.{cls.__qualname__}")


def _classes() -> dict[str, type[BaseHPOptimizer]]:
    """The classes of this package's and the user's algorithms, by name; plug-ins are not loaded."""
    return {name: get_hpo(name) for name in sorted({*_built_in_names(), *_REGISTERED})}


def _supports(name: str) -> frozenset[str]:
    """What an algorithm declares; nothing where it is a plug-in that cannot be loaded, or another library's."""
    if _is_of_family(name):
        return frozenset()
    try:
        return get_hpo(name).supports
    except RegistryError:
        return frozenset()


_ATTRIBUTES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("is_multi_fidelity", "reads_fidelity", "reaches_full", "needs_checkpoints"), (bool,)),
    **dict.fromkeys(("ends_with_space", "is_deterministic", "takes_budget"), (bool,)),
    **dict.fromkeys(("supports", "budget_options"), (frozenset, set)),
    "option_aliases": (Mapping,),
    "says_improvement": (bool, type(None)),
}
"""What the attributes of a class may be that say what an algorithm can do."""


def _check_class(name: str, cls: object) -> None:
    """Raise RegistryError unless a class can be an algorithm: a fault shows when it is registered, not when used."""
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise RegistryError(f"name: must be {NAME_RULE}, got {shown(name)}")
    if not (inspect.isclass(cls) and issubclass(cls, BaseHPOptimizer)):
        raise RegistryError(f"{name}: must be a subclass of BaseHPOptimizer, got {shown(cls)}")
    has_own = any(getattr(cls, hook) is not getattr(BaseHPOptimizer, hook) for hook in ("_get_suggestion", "optimize"))
    if not has_own:
        rule = "must define _get_suggestion(self, pid), or an optimize() of its own"
        raise RegistryError(f"{name}: {cls.__name__} {rule}")
    for hook, ours in {k: v for base in BaseHPOptimizer.__mro__[-2::-1] for k, v in vars(base).items()}.items():
        theirs = inspect.getattr_static(cls, hook, None)
        if inspect.isfunction(ours) and not (callable(theirs) or isinstance(theirs, (staticmethod, classmethod))):
            raise RegistryError(f"{name}: {cls.__name__}.{hook} must be a method, got {shown(theirs)}")
        if hook in _ATTRIBUTES and not isinstance(theirs, (property, *_ATTRIBUTES[hook])):
            wanted = " or ".join(kind.__name__ for kind in _ATTRIBUTES[hook])
            raise RegistryError(f"{name}: {cls.__name__}.{hook} must be {wanted}, got {shown(theirs)}")
    library: Any = inspect.getattr_static(cls, "linear_algebra")
    if not isinstance(library, property) and not (isinstance(library, str) and library in ("", "numpy", "scipy")):
        raise RegistryError(f"{name}: linear_algebra must be '', 'numpy' or 'scipy', got {shown(library)}")


@lru_cache(maxsize=1)
def _built_in_names() -> frozenset[str]:
    """Every module of this folder but the few that are no algorithm."""
    folder = str(Path(__file__).parent)
    return frozenset(m.name for m in pkgutil.iter_modules([folder]) if not m.ispkg and m.name not in _NOT_ALGORITHMS)


def _is_of_family(name: str) -> bool:
    """Whether a name is one of a library's algorithms, installed or not."""
    family, _, inner = name.partition(":")
    return family in FAMILIES and inner in FAMILIES[family].needs


def _of_families() -> list[str]:
    """The names of the libraries' algorithms that are installed; none of them is imported to tell."""
    return [
        f"{family}:{inner}"
        for family, about in FAMILIES.items()
        for inner, packages in about.needs.items()
        if all(_is_installed(package) for package in packages)
    ]


@lru_cache
def _is_installed(package: str) -> bool:
    return find_spec(package) is not None


def _is_reserved(name: str) -> bool:
    """Whether no algorithm of a user or a plug-in may have a name."""
    return name in _reserved_names() or name in UNLISTED or name.partition(":")[0] in FAMILIES


def _home_of(name: str) -> str:
    """The module that registers a name of ours."""
    family = FAMILIES.get(name.partition(":")[0]) if ":" in name else None
    return UNLISTED.get(name, f"{__package__}.{name}") if family is None else family.module


def _reserved_names() -> frozenset[str]:
    """The names that no other algorithm may have: those of this package, and their aliases."""
    return frozenset({*_built_in_names(), *ALIASES})


def _plug_ins() -> dict[str, EntryPoint]:
    """Entry points of installed packages; one that would shadow a built-in is named in the log and left out."""
    from importlib.metadata import entry_points  # a sixth of the time to import autohpo, and seldom needed

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if not isinstance(point.name, str) or not re.fullmatch(NAME, point.name):
            _log.warning(
                "plug-in %s is ignored: its name must be %s, got %s", point.value, NAME_RULE, shown(point.name)
            )
        elif _is_reserved(point.name):
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
