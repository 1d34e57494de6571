"""Worker: evaluates configurations; those that run in the background are found by the id of their run."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from autohpo.errors import OptionError
from autohpo.integrations.hpbandster.rendezvous import can_meet
from autohpo.integrations.hpbandster.serving import serve

__all__ = ["Worker", "workers_of"]

_running: dict[str, list[Worker]] = {}  # in the background, by the id of their run
_lock = threading.Lock()


class Worker:
    """Evaluates configurations: subclass it, and write :meth:`compute`.

    Attributes:
        patience: How many seconds a worker of another process waits for an optimizer or a name server of its run.

    Args:
        run_id: The id of the run, the same as the optimizer's.
        nameserver: Not used.
        nameserver_port: Not used.
        logger: A logger for :meth:`compute`; None is one with the worker's name.
        host: Not used.
        id: A name of this worker, where there are several.
        timeout: The seconds for which a worker in a process of its own is idle at most before it ends; None is until
            its run ends.

    Raises:
        OptionError: `run_id` is None.

    Example:
        >>> class Square(Worker):
        ...     def compute(self, config_id, config, budget, working_directory):
        ...         return {"loss": config["x"] ** 2, "info": None}
        >>> worker = Square(run_id="example")
        >>> worker.run(background=True)
        >>> worker.shutdown()
    """

    patience: ClassVar[float] = 60.0

    def __init__(  # noqa: PLR0917 - the positions are HpBandSter's
        self,
        run_id: object,
        nameserver: str | None = None,
        nameserver_port: int | None = None,
        logger: Any = None,
        host: str | None = None,
        id: object = None,  # noqa: A002 - the name is HpBandSter's
        timeout: float | None = None,
    ) -> None:
        if run_id is None:
            raise OptionError("run_id: must be given, got None")
        self.run_id, self.host, self.timeout = run_id, host, timeout
        self.nameserver, self.nameserver_port = nameserver, nameserver_port
        self.worker_id = f"hpbandster.run_{run_id}.worker.{socket.gethostname()}.{os.getpid()}"
        if id is not None:
            self.worker_id += f".{id}"
        self.logger = logging.getLogger(self.worker_id) if logger is None else logger

    def load_nameserver_credentials(self, working_directory: str, num_tries: int = 60, interval: float = 1) -> None:
        """Do nothing: there is no name server to be found.

        Args:
            working_directory: Not used.
            num_tries: Not used.
            interval: Not used.
        """

    def compute(self, config_id: Any, config: Any, budget: Any, working_directory: Any) -> Mapping[str, Any]:
        """Return the loss of a configuration, as ``{"loss": number, "info": anything that JSON holds}``.

        The optimizer calls it with keyword arguments. What it raises makes the evaluation a crash, and so does a loss
        that is None or not finite.

        Args:
            config_id: The id of the configuration: iteration, stage and place.
            config: The configuration, a dict of its own.
            budget: The budget, a float.
            working_directory: The folder of the run, as the optimizer got it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define compute(config_id, config, budget, ...)")

    def run(self, background: bool = False) -> None:
        """Offer this worker to the optimizer of its run.

        Args:
            background: Whether that is in this process: then this returns at once. Else it evaluates what an optimizer
                of another process of this machine and this user sends, until that ends; it waits for one, or for a
                name server, for :attr:`patience` seconds.

        Raises:
            NoRunError: There is no optimizer and no name server of this run.
            OptionError: `background` is False on Windows.
        """
        if not background:
            if not can_meet():
                raise OptionError(
                    "background: must be True on this system; give the optimizer num_workers= for processes"
                )
            serve(self, self.patience)
            return
        with _lock:
            workers = _running.setdefault(str(self.run_id), [])
            if self not in workers:
                workers.append(self)

    def shutdown(self) -> None:
        """Take the worker back: no search that begins later uses it. May be called twice."""
        with _lock:
            workers = _running.get(str(self.run_id), [])
            if self in workers:
                workers.remove(self)
            if not workers:
                _running.pop(str(self.run_id), None)


def workers_of(run_id: object) -> tuple[Worker, ...]:
    """Return the workers of a run that are in the background of this process, in the order in which they began.

    Args:
        run_id: The id of the run.
    """
    with _lock:
        return tuple(_running.get(str(run_id), ()))
