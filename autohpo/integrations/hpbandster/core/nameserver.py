"""NameServer: keeps the id and the folder of a run. Nothing listens: workers are found by files of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from autohpo.errors import OptionError, PathError, shown
from autohpo.integrations.hpbandster.rendezvous import Hub

__all__ = ["NameServer", "nic_name_to_host"]

LOOPBACK = "127.0.0.1"


def nic_name_to_host(nic_name: str | None = None) -> str:  # noqa: ARG001 - the argument is HpBandSter's
    """Return the address of this machine for itself, whatever the network card: nothing goes over a network.

    Args:
        nic_name: Not used.
    """
    return LOOPBACK


class NameServer:
    """The id and the folder of a run; no server is started.

    Args:
        run_id: The id of the run.
        working_directory: The folder of the run, which is made; None is none.
        host: Only given back by :meth:`start`.
        port: Only given back by :meth:`start`.
        nic_name: Not used.

    Raises:
        OptionError: `run_id` is None.

    Example:
        >>> server = NameServer(run_id="example", host="127.0.0.1", port=None)
        >>> server.start()
        ('127.0.0.1', 0)
        >>> server.shutdown()
    """

    def __init__(
        self,
        run_id: object,
        working_directory: str | os.PathLike[str] | None = None,
        host: str | None = None,
        port: int | None = 0,
        nic_name: str | None = None,
    ) -> None:
        if run_id is None:
            raise OptionError("run_id: must be given, got None")
        self.run_id, self.dir, self.nic_name = run_id, working_directory, nic_name
        self.host, self.port = host or LOOPBACK, port or 0
        self._hub: Hub | None = None

    def start(self) -> tuple[str, int]:
        """Make the folder of the run, let workers of other processes wait, and return host and port as given.

        Raises:
            PathError: The folder cannot be made.
        """
        if self.dir is not None:
            make_folder("working_directory", self.dir)
        if self._hub is None:
            self._hub = Hub(self.run_id)
        return self.host, self.port

    def shutdown(self) -> None:
        """Let no worker wait any more. May be called twice."""
        if self._hub is not None:
            self._hub.close()
            self._hub = None

    def __enter__(self) -> NameServer:  # noqa: PYI034 - Self is not in 3.10
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()


def make_folder(name: str, path: object) -> Path:
    """Make a folder where there is none, and return its path.

    Args:
        name: The argument that it was given as.
        path: The path.

    Raises:
        PathError: It cannot be made, or is no path.
    """
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise PathError(f"{name}: must be the path of a folder, got {shown(path)}")
    try:
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError, TypeError) as error:
        raise PathError(f"{name}: must be a folder that can be made, got {shown(str(path))}: {error}") from None
    return folder
