"""What every host of a search is started with: plain values, and the pickled objective."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from autohpo.errors import AutoHPOError
from autohpo.version import __version__

__all__ = ["HostSetup"]


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return ""


@dataclass(frozen=True)
class HostSetup:
    """What every host is started with; it is pickled by engines, and has plain values only.

    Attributes:
        objective: The pickled objective, which only workers unpickle.
        trial_time_limit: The seconds that an attempt may take, if limited.
        memory_limit: The bytes that a worker and its child processes may hold, if limited.
        memory_by: How the memory of a worker is measured: see :mod:`autohpo.execution.memory_ways`.
        gpu_memory_limit: The bytes of GPU memory that a trial may hold, if limited.
        n_threads: The threads that numerical libraries of a worker may use; None leaves it to the host.
        n_gpus: The GPUs of each host; 0 leaves alone what the engine has set.
        log_folder: Where the output of workers is kept, if hosts see that folder; else it goes with them.
        lease_seconds: How long driver and host wait for a sign of life from each other.
        folder: The driver's working directory, used where a host has it, too.
        import_path: The driver's ``sys.path``; what of it exists there is put behind the host's own.
        arguments: The driver's ``sys.argv``.
        log_level: The level of the logger ``autohpo``.
        python: The version of Python that pickled the objective.
        version: The version of autohpo that did.
    """

    objective: bytes
    trial_time_limit: float | None = None
    memory_limit: int | None = None
    memory_by: str = "rss"
    gpu_memory_limit: int | None = None
    n_threads: int | None = None
    n_gpus: float = 0
    log_folder: str = ""
    lease_seconds: float = 30.0
    folder: str = field(default_factory=_working_directory)
    import_path: tuple[str, ...] = field(default_factory=lambda: tuple(p for p in sys.path if isinstance(p, str)))
    arguments: tuple[str, ...] = field(default_factory=lambda: tuple(map(str, sys.argv)))
    log_level: int = field(default_factory=lambda: logging.getLogger("autohpo").level)
    python: str = field(default_factory=_python)
    version: str = __version__

    def pack(self) -> bytes:
        """Return the setup as bytes: JSON, and behind it the objective, which only workers unpickle."""
        fields = {name: value for name, value in vars(self).items() if name != "objective"}
        return json.dumps(fields).encode() + b"\n" + self.objective

    @classmethod
    def unpack(cls, data: bytes) -> HostSetup:
        """Return the setup that :meth:`pack` wrote.

        Raises:
            AutoHPOError: The bytes are none.
        """
        head, _, objective = data.partition(b"\n")
        try:
            setup = cls(objective, **json.loads(head))
        except (ValueError, TypeError) as fault:
            raise AutoHPOError(f"bytes that are no setup of a host: {data[:80]!r}") from fault
        return replace(setup, import_path=tuple(setup.import_path), arguments=tuple(setup.arguments))

    def check(self) -> None:
        """Check that this process can load what the driver pickled.

        Raises:
            AutoHPOError: Its Python or its autohpo is another one.
        """
        here = _python()
        if here != self.python:
            raise AutoHPOError(
                f"the workers run Python {here} and the driver runs {self.python}; functions are pickled by value, "
                "which needs the same version in both"
            )
        if __version__ != self.version:
            raise AutoHPOError(
                f"the workers have autohpo {__version__} and the driver has {self.version}; install the same"
            )

    def imports(self) -> tuple[str, ...]:
        """Return the ``sys.path`` of workers here: this process's, and what of the driver's exists here."""
        own = [path for path in sys.path if isinstance(path, str)]
        theirs = [path or self.folder for path in self.import_path]  # the empty one is the working directory
        return (*own, *(path for path in theirs if path and path not in own and Path(path).exists()))

    def where(self) -> str:
        """Return the working directory of workers here."""
        if self.folder and Path(self.folder).is_dir() and os.access(self.folder, os.X_OK):
            return self.folder
        return _working_directory()
