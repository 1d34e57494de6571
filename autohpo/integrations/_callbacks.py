"""What callbacks of training libraries share: a base class that is only loaded when one is made, and a report."""

from __future__ import annotations

import importlib
import math
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, cast

from autohpo.errors import MissingExtraError, OptionError, short
from autohpo.trial import whole
from autohpo.trial_handle import TrialHandle

__all__ = ["LibraryCallback", "Saved", "chosen", "finite", "load", "trial_of"]


def load(extra: str, *modules: str) -> Any:
    """Return the first of some modules that is there.

    Args:
        extra: The extra of autohpo that installs the first.
        modules: Their dotted names.

    Raises:
        MissingExtraError: None of them is installed.
    """
    fault: ImportError | None = None
    for name in modules:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:  # noqa: PERF203 - the next one may be there
            if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
                raise  # it is there, and needs something that is not
            fault = fault or error
    package = modules[0].partition(".")[0]
    raise MissingExtraError(f"{package} is not installed: pip install 'autohpo[{extra}]'") from fault


class LibraryCallback:
    """A callback whose base class belongs to a library that is loaded when the first one is made.

    An instance is of a class made for it, which derives from this one and from the library's. A subclass names the
    extra, and where the library's class is.
    """

    _extra: ClassVar[str]
    _bases: ClassVar[tuple[tuple[str, str], ...]]
    """Modules and names of the library's class: those that are imported count, else the first that is there."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """Make an instance that is one of the library's own class, too."""
        own: Any = cls
        if not issubclass(cls, _Made):
            modules = dict(cls._bases)
            imported = tuple(name for name in modules if sys.modules.get(name) is not None)
            own = _made(cast("Any", cls), imported or (load(cls._extra, *modules).__name__,))
        return object.__new__(own)

    def __reduce__(self) -> tuple[Any, ...]:
        state = getattr(self, "__getstate__", lambda: self.__dict__)()  # Python 3.10 has no default one
        return _unpickled, type(self)._made_from, state  # type: ignore[attr-defined]


class _Made:
    """What the classes made here have, and no class written by hand."""


def _unpickled(own: Any, modules: tuple[str, ...]) -> Any:
    return object.__new__(_made(own, modules))


@cache
def _made(own: Any, modules: tuple[str, ...]) -> type:
    """A class that derives from one of ours, and from the library's: from each, where it is there under two names."""
    bases = (getattr(importlib.import_module(name), dict(own._bases)[name]) for name in modules)
    fields = {"__module__": own.__module__, "__doc__": own.__doc__, "_made_from": (own, modules)}
    return type(own.__name__, (own, *bases, _Made), fields)


def trial_of(trial: Any) -> TrialHandle:
    """Return what an objective was given as its ``trial``.

    Raises:
        OptionError: It is anything else.
    """
    if not isinstance(trial, TrialHandle):
        raise OptionError(f"trial: must be the trial that the objective was given, got {short(trial)}")
    return trial


def chosen(name: str | None, values: Mapping[str, Any], argument: str = "metric") -> str:
    """Return the one of some metrics that is meant.

    Args:
        name: Its name, or the end of its name behind a hyphen, where no other one ends so; None where there is one.
        values: The metrics by name, such as ``"valid-logloss"``.
        argument: What the error calls `name`.

    Raises:
        OptionError: None of them is meant, or several may be.
    """
    if name is None:
        found = list(values)
    else:
        found = [name] if name in values else [one for one in values if one.endswith(f"-{name}")]
    if len(found) != 1:
        raise OptionError(f"{argument}: must name one of {_listed(values)}, got {short(name)}")
    return found[0]


def finite(values: Mapping[str, float]) -> dict[str, float] | None:
    """Return the metrics that the log of a search takes, those that are numbers; None where there are none."""
    return {name: float(value) for name, value in values.items() if math.isfinite(value)} or None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names))) or "the metrics, but there are none"


@dataclass(frozen=True)
class Saved:
    """The checkpoint of a training in its folder, whose name says how far it came: whole, or not there.

    Attributes:
        folder: The folder of the training.
        pattern: The name, with ``{}`` for how far it came, such as ``"epoch-{}.ckpt"``.
    """

    folder: Path
    pattern: str

    @property
    def part(self) -> Path:
        """Where the next one is to be written, a file or a folder."""
        return self.folder / ("part-" + self.pattern.format(0))

    def latest(self) -> tuple[Path, float] | None:
        """Return the one that came furthest, and how far; None where there is none."""
        found = self._all()
        if not found:
            return None
        done, path = max(found)
        return path, whole(done)

    def _all(self) -> list[tuple[float, Path]]:
        """How far each came that is there, and where it is."""
        head, tail = self.pattern.split("{}")
        found = []
        for path in self.folder.glob(f"{head}*{tail}"):
            middle = path.name[len(head) : len(path.name) - len(tail)]
            if middle.replace(".", "", 1).isdigit():
                found.append((float(middle), path))
        return found

    def keep(self, done: float) -> None:
        """Give the one that was written its name, and remove the earlier ones.

        Args:
            done: How far it came.
        """
        path = self.folder / self.pattern.format(whole(done))
        earlier = [one for _, one in self._all() if one != path]
        if path.is_dir():
            shutil.rmtree(path)
        self.part.replace(path)
        for one in earlier:
            if one.is_dir():
                shutil.rmtree(one)
            else:
                one.unlink(missing_ok=True)
