"""Registers our algorithms among AutoGL's own, so that its solvers take them by name."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import multiprocessing
from types import ModuleType
from typing import Any

from autohpo.algorithms.registry import available_hpos, get_hpo
from autohpo.errors import MissingExtraError, NoResultError, OptionError, RegistryError, shown
from autohpo.integrations.autogl.tuner import Tuner

_log = logging.getLogger("autohpo")


def register(prefix: str = "autohpo_") -> list[str]:
    """Register every algorithm of ours, plug-ins included, inside the installed AutoGL; return the names there.

    Afterwards AutoGL's solvers take them: ``AutoNodeClassifier(hpo_module="autohpo_bohb")``. Calling it again adds what
    was registered since. A plug-in that cannot be loaded is named in the log and left out. What options they take is
    told in :class:`Tuner`.

    AutoGL prints a poem and changes the start method of ``multiprocessing`` when it is imported; where this function
    is the first to import it, both are undone.

    Args:
        prefix: What stands before our names: AutoGL has a "random" and a "tpe" of its own.

    Raises:
        MissingExtraError: AutoGL is not installed, or cannot be imported.
        RegistryError: A name is taken in AutoGL.
        OptionError: `prefix` is no string.
    """
    if not isinstance(prefix, str):
        raise OptionError(f"prefix: must be a string such as 'autohpo_', got {shown(prefix)}")
    theirs = _hpo_module()
    names = []
    for algorithm in available_hpos():
        name = f"{prefix}{algorithm}"
        known = theirs.HPO_DICT.get(name)
        if known is None:
            cls = _class_of(algorithm, theirs)
            if cls is None:
                continue
            theirs.register_hpo(name)(cls)
        elif not issubclass(known, Tuner):
            where = f"{known.__module__}.{known.__qualname__}"
            raise RegistryError(f"{name}: is the name of {where} in AutoGL; choose another prefix")
        names.append(name)
    return names


def _hpo_module() -> ModuleType:
    """Return ``autogl.module.hpo``, imported without what AutoGL does to the process that imports it.

    Raises:
        MissingExtraError: It cannot be imported.
    """
    method = multiprocessing.get_start_method(allow_none=True)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return importlib.import_module("autogl.module.hpo")
    except ModuleNotFoundError as error:
        if error.name == "autogl":
            raise MissingExtraError("AutoGL is not installed: see docs/autogl.md for how to install it") from error
        raise _unusable(error) from error
    except Exception as error:  # it patches and compiles at import, and may fail in any way
        raise _unusable(error) from error
    finally:
        multiprocessing.set_start_method(method, force=True)


def _unusable(error: Exception) -> MissingExtraError:
    reason = f"{type(error).__name__}: {error}"
    return MissingExtraError(f"AutoGL cannot be imported, see docs/autogl.md for what it needs: {reason}")


def _class_of(algorithm: str, theirs: ModuleType) -> type[Tuner] | None:
    """Return the class that AutoGL builds for an algorithm; None where it is a plug-in that cannot be loaded."""
    try:
        get_hpo(algorithm)
    except RegistryError as error:
        _log.warning("plug-in %s is not registered in AutoGL: %s", algorithm, error)
        return None
    base: Any = theirs.BaseHPOptimizer
    too_limited = getattr(importlib.import_module(base.__module__), "TimeTooLimitedError", Exception)
    members = {
        "algorithm": algorithm,
        "time_error": type("TimeTooLimitedError", (NoResultError, too_limited), {"__module__": __name__}),
        "__module__": __name__,
        "__doc__": f"The algorithm {algorithm} of autohpo; see :class:`{Tuner.__module__}.Tuner`.",
    }
    return type(f"AutoHPO_{algorithm}", (Tuner, base), members)
