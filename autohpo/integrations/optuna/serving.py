"""DashboardServer: optuna-dashboard's pages over a run of ours, behind a guard."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from urllib.parse import quote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from autohpo.errors import MissingExtraError, OptionError, shown
from autohpo.integrations.optuna.guard import ADDRESS, LOOPBACK, Guard
from autohpo.store import Store

__all__ = ["DashboardServer"]

PORT = 8080
"""The port, where none is given."""

WAIT_SECONDS = 30
"""How long a connection may be silent."""


class DashboardServer:
    """optuna-dashboard's pages over a run, which nobody can change, and only those see who have the address.

    The address has a random token; who opens it gets a cookie in its place. See
    :class:`~autohpo.integrations.optuna.guard.Guard` for what is refused. It listens as soon as it is made, and answers
    while :meth:`serve_forever` runs. There is no encryption: on another machine use an SSH tunnel.

    Args:
        store: The path or URL of a store, or the store itself; its run may still go on.
        host: The address to listen on; by default this machine's own, which no other one reaches.
        port: The port; 0 takes one that is free.
        names: Further names under which it may be reached, such as that of this machine.

    Attributes:
        url: The address to open, with the token.
        host: The address that it listens on.
        port: The port that it listens on.

    Raises:
        MissingExtraError: optuna-dashboard is not installed.
        OptionError: The port or the host cannot be listened on.
        StoreError: There is no such store, or it holds no run yet.
    """

    def __init__(
        self,
        store: Store | str | os.PathLike[str],
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        names: Iterable[str] = (),
    ) -> None:
        if type(port) is not int or not 0 <= port < 2**16:
            raise OptionError(f"port: must be an integer from 0 to 65535, got {shown(port)}")
        wsgi = _wsgi()
        from autohpo.integrations.optuna.view import StorageView

        self._view = StorageView(store)
        try:
            self._server = _Server(host, port)
        except (OSError, UnicodeError) as error:
            self._view.close()
            raise OptionError(f"port: {shown(port)} of {shown(host)} cannot be listened on: {error}") from error
        self.host, self.port = host, self._server.server_port
        given = f"[{host}]" if ":" in host else host
        own = LOOPBACK if _is_loopback(host) else ()
        home = f"/dashboard/studies/{self._view.get_study_id_from_name(self._view.study_name)}"
        guard = Guard(wsgi(self._view), {*own, given, *names}, cookie=f"autohpo-{self.port}", home=home)
        self._server.set_app(guard)
        shown_host = socket.gethostname() if host in ("", "0.0.0.0", "::") else given  # noqa: S104 - what the user gave
        if shown_host != given:
            guard.allow(shown_host)
        self.url = f"http://{shown_host}:{self.port}/?token={quote(guard.token)}"

    def serve_forever(self) -> None:
        """Answer requests, until :meth:`stop` is called from another thread or an exception is raised here."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """End :meth:`serve_forever` from another thread."""
        self._server.shutdown()

    def close(self) -> None:
        """Give the port and the store free."""
        self._server.server_close()
        self._view.close()


def _wsgi() -> Any:
    """Return what makes optuna-dashboard's application.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise MissingExtraError("optuna-dashboard is not installed: pip install 'autohpo[dashboard]'") from error
    return wsgi


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Handler(WSGIRequestHandler):
    """Answers a request, quietly; one that says nothing is given up."""

    timeout = WAIT_SECONDS
    server_version = "autohpo"
    sys_version = ""

    def get_environ(self) -> dict[str, Any]:
        """Return what is known of a request, with the address that it came to."""
        found = super().get_environ()
        found[ADDRESS] = str(self.connection.getsockname()[0])
        return found

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base's
        """Say nothing: addresses have the token."""


class _Server(ThreadingMixIn, WSGIServer):
    """A server with a thread for each connection."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Take the port; without a look for the machine's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that was given up."""
