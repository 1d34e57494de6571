"""The Ray that a search uses: one that this process is in already, one that it joins, or one of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from autohpo.errors import AutoHPOError, MissingExtraError, OptionError
from autohpo.execution.ray.package import load_ray
from autohpo.execution.ray.sockets import public_listeners, tree_of
from autohpo.folders import remove_folder, temporary_folder

__all__ = ["Cluster"]

LEAST_STORE_BYTES = 100 * 2**20
"""Room for the objects of a Ray of our own: it holds the objective and few messages, and Ray wants 75 MB."""

MOST_PATH = 40
"""The characters of a folder for Ray: the names of its sockets are some 60 longer, and the system allows 107."""

CONNECT_SECONDS = 5.0

MOST_TEXT = 400

LOOPBACK = "127.0.0.1"

SWITCH = "ENABLE_RAY_CLUSTER"
"""The constant of Ray that says whether a Ray here may be a cluster of several machines."""

TO_START_IT = "start Ray yourself, and it is used as it is"


class Cluster:
    """A connection of this process to Ray.

    Args:
        address: Where the head of a cluster is, ``"auto"`` for that of this machine or of ``RAY_ADDRESS``, ``"local"``
            for one of our own. None is the Ray that this process is in, else that of ``RAY_ADDRESS``, else our own.
        n_cpus: How many cores one of our own has at least: as many slots are to fit in.
        n_bytes: The bytes of the objective.

    Attributes:
        ray: The module ``ray``.

    Raises:
        MissingExtraError: A package is not installed.
        OptionError: There is no such cluster, or it cannot be used; the text says why.
        AutoHPOError: A Ray of our own does not start, or others could connect to it.
    """

    def __init__(self, address: str | None, n_cpus: int, n_bytes: int) -> None:
        self.ray = load_ray()
        self._folder: Path | None = None
        self._is_joined = False
        if self.ray.is_initialized():
            self._check_is_at(address)
        elif address == "local" or (address is None and not os.environ.get("RAY_ADDRESS")):
            self._start(n_cpus, n_bytes)
        else:
            self._join(address or "auto")

    def resources(self) -> str:
        """Return what the cluster has, and what of it is free, as a clause."""
        try:
            total, free = self.ray.cluster_resources(), self.ray.available_resources()
        except Exception as fault:  # it may be gone, and this is only for a text
            return f"what the cluster has is not known ({type(fault).__name__})"
        parts = [
            f"{_amount(name, total[name])} {name} ({_amount(name, free.get(name, 0.0))} free)"
            for name in sorted(total)
            if not name.startswith(("node:", "object_store"))
        ]
        return f"the cluster has {', '.join(parts) or 'nothing'}"

    def close(self) -> None:
        """Leave the cluster if this object has joined it, and end it if it is our own."""
        if self._is_joined:
            self._is_joined = False
            with _signals_kept(), contextlib.suppress(Exception):
                self.ray.shutdown()
        if self._folder is not None:
            remove_folder(self._folder)
            self._folder = None

    def _check_is_at(self, address: str | None) -> None:
        if address in (None, "auto"):
            return
        here = self.ray.get_runtime_context().gcs_address
        if address != here:
            raise OptionError(
                f"address: this process is in the Ray at {here} already, got {address!r}; leave address out to use "
                "that, or call ray.shutdown() first"
            )

    def _join(self, address: str) -> None:
        _check_reachable(address)
        try:
            with _signals_kept():
                self.ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except ImportError as fault:
            raise MissingExtraError(f"address: {address!r} needs more of Ray: pip install 'ray[client]'") from fault
        except Exception as fault:  # ConnectionError, RuntimeError, ValueError, and Ray's own for a wrong token
            raise OptionError(f"address: Ray at {address!r} cannot be used: {_line(fault)}") from fault
        self._is_joined = True

    def _start(self, n_cpus: int, n_bytes: int) -> None:
        """Start a Ray of our own, which nobody else can connect to."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        _ask_for_tokens()
        if len(tempfile.gettempdir()) + len("/autohpo-abcdefgh") <= MOST_PATH:
            self._folder = temporary_folder()  # else Ray's own place, /tmp/ray
        before = set(public_listeners(tree_of(os.getpid())))
        self._is_joined = True  # what of it has started is to be ended
        try:
            with _signals_kept(), _loopback():
                self.ray.init(
                    address="local",
                    num_cpus=max(n_cpus, os.cpu_count() or 1),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    object_store_memory=max(LEAST_STORE_BYTES, 2 * n_bytes),
                    _node_ip_address=LOOPBACK,
                    _temp_dir=None if self._folder is None else str(self._folder),
                )
            found = set(public_listeners(tree_of(os.getpid()))) - before
        except BaseException as fault:
            self.close()
            if not isinstance(fault, Exception):
                raise
            raise AutoHPOError(f"executor: Ray does not start here: {_line(fault)}; {TO_START_IT}") from fault
        if found:
            self.close()
            sockets = ", ".join(f"{where} (process {pid})" for pid, where in sorted(found))
            raise AutoHPOError(f"executor: Ray would be open to other machines, at {sockets}; {TO_START_IT}")


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep the handler of SIGTERM, which Ray replaces by its own: the search ends in order at a signal."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if is_main else None
    try:
        yield
    finally:
        if before is not None:  # None where it was not set by Python
            signal.signal(signal.SIGTERM, before)


def _ask_for_tokens() -> None:
    """Let a Ray that starts ask for a token, as later versions do: other users of this machine have none."""
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        from ray._raylet import Config

        Config.initialize("")  # it has read the environment when it was imported


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Let a Ray that starts listen on loopback only.

    It takes the address of the machine for its own instead of 127.0.0.1, and listens on all then, but where this
    constant says that there can be no cluster, as by default on macOS and Windows.
    """
    from ray._private import ray_constants as constants

    before = getattr(constants, SWITCH, None)
    setattr(constants, SWITCH, False)
    try:
        yield
    finally:
        setattr(constants, SWITCH, before)


def _check_reachable(address: str) -> None:
    """Check that something listens at an address: Ray itself would try for long, and may end this process then.

    Raises:
        OptionError: Nothing does, or it is no address.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")
    if address in ("auto", "local"):
        return  # Ray looks for it on this machine
    scheme, _, rest = address.rpartition("://")
    host, _, port = rest.rpartition(":")
    if scheme not in ("", "ray") or not host or not port.isdigit():
        raise OptionError(f"address: must be 'auto', 'local', 'host:port' or 'ray://host:port', got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as fault:
        raise OptionError(f"address: no Ray listens at {address!r}: {fault}") from fault


def _line(fault: BaseException) -> str:
    """What an error of Ray says, in one line, and what the one says that is behind it: each may have many."""
    root = fault
    while root.__cause__ is not None:
        root = root.__cause__
    return "; ".join(f"{type(one).__name__}: {_clip(str(one))}" for one in dict.fromkeys((fault, root)))


def _clip(text: str) -> str:
    """A text in one line, without its middle where it is long: what it is about may be at either end."""
    text = " ".join(text.split())
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT // 2]} ... {text[-MOST_TEXT // 2 :]}"


def _amount(name: str, value: float) -> str:
    """The amount of a resource, as a human reads it."""
    return f"{value / 2**30:.1f} GiB" if name == "memory" else f"{value:g}"
