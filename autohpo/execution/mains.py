"""The user's ``__main__`` in other processes: its classes and functions travel with the objective, its code is not run.

What the driver's script defines cannot be imported elsewhere, so cloudpickle sends it by value. In a worker it stands
in ``__main__`` again, under its own name: then what the objective pickles there (a model of a class of the script)
names that class as it would in the driver's process, and the script reads it back. A process that the objective starts with
*spawn* or *forkserver* (the workers of a data loader) would import the script as its ``__main__``, which runs it again
where it has no ``if __name__ == "__main__"``; it gets the same definitions from the file of the objective instead.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
from collections import ChainMap
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, ClassVar

import cloudpickle

from autohpo.errors import AutoHPOError, OptionError

VARIABLE = "AUTOHPO_MAIN"
"""The variable that names the file of the objective, for processes that a worker starts."""

SPAWNED = "autohpo.execution.spawned"
"""The module that stands for ``__main__`` in those."""


def _reduce_code(code: CodeType) -> tuple[Any, ...]:
    """Pickle code as cloudpickle does, but for the name of its file, which that replaces."""
    make, parts = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return make, tuple(code.co_filename if part == "<dynamic-code>" else part for part in parts)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """A pickler of functions that keep the names of their files, so that tracebacks in workers show their lines.

    Attributes:
        definitions: The classes and functions of ``__main__`` that it has pickled, by name.
    """

    dispatch_table: ClassVar[Any] = ChainMap({CodeType: _reduce_code}, cloudpickle.Pickler.dispatch_table)

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.definitions: dict[str, Any] = {}

    def reducer_override(self, obj: Any) -> Any:
        """Pickle as cloudpickle does, and note what the script has defined."""
        if isinstance(obj, (type, FunctionType)) and obj.__module__ == "__main__":
            name = obj.__qualname__.partition(".")[0]  # of the outermost class
            found = getattr(sys.modules["__main__"], name, None)
            if isinstance(found, (type, FunctionType)) and found.__module__ == "__main__":
                self.definitions[name] = found
        return super().reducer_override(obj)


def dump_objective(objective: object, path: Path) -> None:
    """Pickle an objective into a file, and after it the definitions of ``__main__`` that it needs.

    Raises:
        OptionError: It cannot be pickled; the text says why.
        AutoHPOError: The file cannot be written.
    """
    try:
        with path.open("wb") as file:
            pickler = _Pickler(file)
            pickler.dump(objective)
            n = -1
            while n < len(pickler.definitions):  # a class around another one may bring further ones along
                n = len(pickler.definitions)
                pickler.dump(dict(pickler.definitions))  # what is in the file already is only referred to
            pickler.dump(None)
    except OSError as fault:  # the disk is full: nothing is wrong with the objective
        raise AutoHPOError(f"the objective cannot be written to {path}, for its workers: {fault}") from fault
    except Exception as fault:  # reducers of the user's own may raise anything
        text = f"f: must be picklable to run in other processes, got {type(fault).__name__}: {fault}"
        raise OptionError(text) from fault


def load_objective(path: str) -> Any:
    """Return the objective in a file, and make this process's ``__main__`` what its script's was."""
    objective, definitions = _load(path)
    main = sys.modules["__main__"]
    for name in [name for name in vars(main) if not name.startswith("__")]:
        delattr(main, name)  # what the worker was started with
    vars(main).update(definitions)
    os.environ[VARIABLE] = path
    main.__spec__ = importlib.util.find_spec(SPAWNED)
    return objective


def load_definitions() -> dict[str, Any]:
    """Return the definitions of ``__main__``, in a process that a worker has started."""
    path = os.environ.get(VARIABLE, "")
    return _load(path)[1] if Path(path).is_file() else {}  # the search may be over


def _load(path: str) -> tuple[Any, dict[str, Any]]:
    """Return the objective in a file, and the definitions behind it."""
    with open(path, "rb") as file:
        unpickler = pickle.Unpickler(file)
        objective = unpickler.load()
        definitions: dict[str, Any] = {}
        while (more := unpickler.load()) is not None:
            definitions = more
    for found in definitions.values():
        if isinstance(found, type):
            _name_inner_classes(found)
    return objective, definitions


def _name_inner_classes(outer: type) -> None:
    """Give the classes inside a class their full names, which cloudpickle forgets."""
    for name, inner in vars(outer).items():
        if isinstance(inner, type) and (inner.__module__, inner.__qualname__) == ("__main__", name):
            inner.__qualname__ = f"{outer.__qualname__}.{name}"
            _name_inner_classes(inner)
