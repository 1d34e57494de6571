"""The user's ``__main__`` in other processes: its classes and functions travel with the objective, its code is not run.

What the driver's script defines cannot be imported elsewhere, so cloudpickle sends it by value. In a worker it stands
in ``__main__`` again, under its own name: then what the objective pickles there (a model of a class of the script)
names that class as it would in the driver's process, and the script reads it back. A process that the objective starts
with *spawn* or *forkserver* (the workers of a data loader) would import the script as its ``__main__``, which runs it
again where it has no ``if __name__ == "__main__"``; it gets the same definitions from the objective's file instead.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import pickle
import sys
from collections import ChainMap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

import cloudpickle

from autohpo.errors import AutoHPOError, OptionError
from autohpo.trial import Task

if TYPE_CHECKING:
    from autohpo.objective import Objective

MAINS = ("__main__", "__mp_main__")
"""The names of the user's script: the second in a process that was started with *spawn*."""

_PLAIN = frozenset({bool, int, float, str, type(None)})  # values that name no class
_NO_DEFINITIONS = pickle.dumps(None, pickle.DEFAULT_PROTOCOL)

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
        if isinstance(obj, (type, FunctionType)) and obj.__module__ in MAINS:
            name = obj.__qualname__.partition(".")[0]  # of the outermost class
            found = getattr(sys.modules[obj.__module__], name, None)
            if isinstance(found, (type, FunctionType)) and found.__module__ == obj.__module__:
                self.definitions[name] = found
        return super().reducer_override(obj)

    def dump_definitions(self) -> None:
        """Pickle the definitions that were noted; what is in the file already is only referred to."""
        n = -1
        while n < len(self.definitions):  # a class around another one may bring further ones along
            n = len(self.definitions)
            self.dump(dict(self.definitions))
        self.dump(None)


@contextlib.contextmanager
def _scripts_by_value() -> Iterator[None]:
    """Pickle by value what the script defines also where this process was itself started with *spawn*."""
    copy = sys.modules.get("__mp_main__")
    if copy is None or "__mp_main__" in cloudpickle.list_registry_pickle_by_value():
        yield
        return
    cloudpickle.register_pickle_by_value(copy)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(copy)


def dump_objective(objective: Objective, path: Path) -> None:
    """Pickle an objective into a file, and after it the definitions of ``__main__`` that it needs.

    Raises:
        OptionError: It cannot be pickled; the text says why.
        AutoHPOError: The file cannot be written.
    """
    try:
        with path.open("wb") as file, _scripts_by_value():
            pickler = _Pickler(file)
            pickler.dump(objective)
            pickler.dump_definitions()
    except OSError as fault:  # the disk is full: nothing is wrong with the objective
        raise AutoHPOError(f"the objective cannot be written to {path}, for its workers: {fault}") from fault
    except Exception as fault:  # reducers of the user's own may raise anything
        from autohpo.execution.unpicklable import not_picklable  # a worker needs none of it

        raise not_picklable(objective, fault) from fault


@dataclass(frozen=True)
class PickledTask(Task):
    """A task that was pickled elsewhere: of its parts it has what a slot needs to know.

    Attributes:
        data: What :func:`dump_task` returned there.
    """

    data: bytes = b""


def dump_task(task: Task) -> bytes:
    """Return a pickled task, with the definitions of ``__main__`` that its configuration needs.

    Raises:
        OptionError: A value of the configuration cannot be pickled.
    """
    if isinstance(task, PickledTask):
        return task.data
    if type(task) is Task and _PLAIN.issuperset(map(type, task.hp.values())):
        return pickle.dumps(task, pickle.DEFAULT_PROTOCOL) + _NO_DEFINITIONS
    buffer = io.BytesIO()
    try:
        with _scripts_by_value():
            pickler = _Pickler(buffer)
            pickler.dump(task)
            pickler.dump_definitions()
    except Exception as fault:  # a value of the user's own may raise anything
        text = f"hp: must be picklable to run in another process, got {type(fault).__name__}: {fault}"
        raise OptionError(text) from fault
    return buffer.getvalue()


def load_task(data: bytes | memoryview) -> Task:
    """Return a task; what its configuration brings along of ``__main__`` stands there from then on."""
    task, definitions = _load(io.BytesIO(data))
    main = vars(sys.modules["__main__"])
    for name, found in definitions.items():
        main.setdefault(name, found)
    return cast("Task", task)


def load_objective(path: str) -> Any:
    """Return the objective in a file, and make this process's ``__main__`` what its script's was."""
    with open(path, "rb") as file:
        objective, definitions = _load(file)
    main = sys.modules["__main__"]
    for name in [name for name in vars(main) if not name.startswith("__")]:
        delattr(main, name)  # what the worker was started with
    vars(main).update(definitions)
    sys.modules["__mp_main__"] = main
    os.environ[VARIABLE] = path
    main.__spec__ = importlib.util.find_spec(SPAWNED)
    return objective


def load_definitions() -> dict[str, Any]:
    """Return the definitions of ``__main__``, in a process that a worker has started."""
    path = os.environ.get(VARIABLE, "")
    if not Path(path).is_file():  # the search may be over
        return {}
    with open(path, "rb") as file:
        return _load(file)[1]


def _load(file: IO[bytes]) -> tuple[Any, dict[str, Any]]:
    """Return what was pickled into a file, and the definitions behind it."""
    unpickler = pickle.Unpickler(file)
    loaded = unpickler.load()
    definitions: dict[str, Any] = {}
    while (more := unpickler.load()) is not None:
        definitions = more
    for found in definitions.values():
        if isinstance(found, type):
            _name_inner_classes(found)
    return loaded, definitions


def _name_inner_classes(outer: type) -> None:
    """Give the classes inside a class their full names, which cloudpickle forgets."""
    for name, inner in vars(outer).items():
        if isinstance(inner, type) and inner.__module__ in MAINS and inner.__qualname__ == name:
            inner.__qualname__ = f"{outer.__qualname__}.{name}"
            _name_inner_classes(inner)
