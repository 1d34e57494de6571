"""Where an objective and its space come from: a Python file, or a module that can be imported."""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from operator import attrgetter
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from autohpo.cli.arguments import UsageError
from autohpo.errors import shown
from autohpo.other_names import did_you_mean
from autohpo.spaces.files.documents import SUFFIXES

SCRIPT = "__mp_main__"
"""The name that a user's file has as a module: with it, workers get what it defines by value, and
``if __name__ == "__main__"`` is not true in it."""

MOST_NAMED = 12
"""The most functions of a module that an error lists."""

_REFERENCE = re.compile(r"(?P<module>.+?\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)")


@dataclass(frozen=True)
class Found:
    """What a reference such as ``train.py:f`` leads to.

    Attributes:
        module: The module.
        value: What has the name there; None where no name was given.
        stem: The last part of the module's name.
        where: The module, as a user knows it.
    """

    module: ModuleType
    value: Any
    stem: str
    where: str

    def get(self, name: str, default: Any = None) -> Any:
        """Return what else the module has under a name."""
        return getattr(self.module, name, default)


def is_reference(text: str) -> bool:
    """Return whether a text looks like ``module:name`` or ``file.py:name``."""
    return _REFERENCE.fullmatch(text) is not None


def is_script(text: str) -> bool:
    """Return whether a text looks like a Python file or a reference, and not like a command that calls one."""
    return is_reference(text) or (text.endswith(".py") and (" " not in text or Path(text).is_file()))


def is_document(text: str) -> bool:
    """Return whether a text looks like the path of a configuration file."""
    return Path(text).suffix.lower() in SUFFIXES


def find(argument: str, text: str, usual: str = "") -> Found:
    """Return what a reference leads to; the file or module is loaded.

    Args:
        argument: What the reference was given as, for errors.
        text: ``module:name``, ``file.py:name``, or the path of a Python file.
        usual: The name that is meant where none is given; empty where a name must be given.

    Raises:
        UsageError: There is no such file, module or name, or it cannot be loaded.
    """
    found = _REFERENCE.fullmatch(text)
    where, name = (found["module"], found["name"]) if found else (text, "")
    is_file = where.endswith(".py")
    if not is_file and not found:
        raise UsageError(f"{argument}: must be a Python file, or module:function, got {shown(text)}")
    module = _load_file(argument, Path(where)) if is_file else _import(argument, where)
    stem = Path(where).stem if is_file else where.rpartition(".")[2]
    wanted, value = name or usual, None
    if wanted:
        try:
            value = attrgetter(wanted)(module)
        except AttributeError:
            raise UsageError(f"{argument}: {where} has no {wanted}{_others(where, module, wanted)}") from None
    return Found(module, value, stem, where)


def _others(where: str, module: ModuleType, name: str) -> str:
    """Return what may have been meant, as the end of a sentence."""
    hint = did_you_mean(name, [n for n in vars(module) if not n.startswith("_")]).removesuffix(".")
    own = [n for n, v in vars(module).items() if isinstance(v, FunctionType) and v.__module__ == module.__name__]
    public = [n for n in own if not n.startswith("_")][:MOST_NAMED]
    return f"{hint}; name the objective, as in {where}:{public[0]} (functions: {', '.join(public)})" if public else hint


def _load_file(argument: str, path: Path) -> ModuleType:
    """Run a Python file as a module, with its folder on the path as ``python FILE`` has it."""
    if not path.is_file():
        raise UsageError(f"{argument}: there is no file {path}")
    _on_path(str(path.resolve().parent))
    module = ModuleType(SCRIPT)
    module.__file__ = str(path.resolve())
    module.__loader__ = SourceFileLoader(SCRIPT, module.__file__)
    sys.modules[SCRIPT] = module
    if _is_own(sys.modules.get("__main__")):  # processes that the objective starts run this file as their main one
        sys.modules["__main__"] = module

    def run() -> None:
        code = compile(path.read_bytes(), module.__file__ or "", "exec", dont_inherit=True)
        words, sys.argv = sys.argv, [str(path)]  # what a file reads when it is loaded is no option of ours
        try:
            exec(code, vars(module))  # noqa: S102 - the user's own file, which this command is asked to run
        finally:
            sys.argv = words

    _guarded(argument, str(path), run)
    return module


def _is_own(main: ModuleType | None) -> bool:
    """Whether the program that runs is the command line itself, and no other one that calls it."""
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None) or ""
    return getattr(spec, "name", "") == "autohpo.__main__" or Path(file).stem == "autohpo"


def _import(argument: str, name: str) -> ModuleType:
    _on_path(str(Path.cwd()))
    importlib.invalidate_caches()
    found: list[ModuleType] = []
    _guarded(argument, name, lambda: found.append(importlib.import_module(name)))
    return found[0]


def _on_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _guarded(argument: str, where: str, load: Callable[[], object]) -> None:
    """Load code of the user's, and say in one error what it raised and where.

    Raises:
        UsageError: It raised something.
    """
    try:
        load()
    except (Exception, SystemExit) as error:  # it is the user's, and may raise anything
        frames = [
            f for f in traceback.extract_tb(error.__traceback__) if f.filename not in (__file__, importlib.__file__)
        ]
        frames = [f for f in frames if not f.filename.startswith("<frozen")]
        at = f" (line {frames[-1].lineno} of {frames[-1].filename})" if frames else ""
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UsageError(f"{argument}: {where} cannot be loaded: {what}{at}") from error
