"""The guard before a web page that has none of its own: who may see it, by which name, and with which words."""

from __future__ import annotations

import hmac
import html
import re
import secrets
from collections.abc import Callable, Collection, Iterable
from typing import Any
from urllib.parse import parse_qsl

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

METHODS = ("GET", "HEAD")
"""What may be asked of the page: nothing that changes anything."""

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine for itself."""

ADDRESS = "autohpo.address"
"""The entry of an environment with the address that a request came to."""

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_FORWARDED = ("HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_FOR", "HTTP_X_SCRIPT_NAME")

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' data: 'unsafe-inline'; object-src 'none'; "
    "script-src 'self' 'unsafe-eval'; "  # its parallel coordinates compile their drawing
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may load: from here alone, and nobody may frame it."""

HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class Guard:
    """A WSGI application before another one, which lets only those in who were told its secret.

    ========================  ========================================================================
    a request                 is answered
    ========================  ========================================================================
    of another method         405: GET and HEAD alone change nothing
    for a whole URL           400: the target is a path, as browsers send it
    under another name        403: a page elsewhere may have its name lead here (DNS rebinding)
    with ``/?token=...``      with a cookie that no script reads and no other site sends, and with the page
    without that cookie       403
    ========================  ========================================================================

    The token of the address and that of the cookie are different ones, and are compared in constant time.

    Args:
        app: The application behind it.
        names: The names, or addresses, under which it may be reached.
        cookie: The name of the cookie.
        home: The path of the page.

    Attributes:
        token: What stands once in the address.
    """

    def __init__(self, app: Application, names: Collection[str], *, cookie: str = "autohpo", home: str = "/") -> None:
        self._app, self._cookie, self._home = app, cookie, home
        self._names = {name.lower() for name in names}
        self.token = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)

    def allow(self, name: str) -> None:
        """Add a name under which it may be reached."""
        self._names.add(name.lower())

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or hand it on."""
        if environ.get("REQUEST_METHOD") not in METHODS:
            return self._refuse(start_response, "405 Method Not Allowed", [("Allow", ", ".join(METHODS))])
        path = environ.get("PATH_INFO", "")
        if not path.startswith("/"):
            return self._refuse(start_response, "400 Bad Request")
        if not self._is_ours(environ):
            return self._refuse(start_response, "403 Forbidden")
        if path == "/" and self._has_token(environ.get("QUERY_STRING", "")):
            return self._enter(environ, start_response)
        if not self._has_cookie(environ.get("HTTP_COOKIE", "")):
            return self._refuse(start_response, "403 Forbidden")
        for name in _FORWARDED:  # what a proxy would say; there is none
            environ.pop(name, None)
        environ.setdefault("HTTP_ACCEPT_ENCODING", "identity")
        return self._app(environ, _guarded(start_response, path))

    def _is_ours(self, environ: Environ) -> bool:
        """Whether a request names one of our names; an address that it came to is one, whatever the name."""
        found = _HOST.fullmatch(environ.get("HTTP_HOST", ""))
        if found is None:
            return False
        name = found["name"].lower()
        return name in self._names or name.strip("[]") == environ.get(ADDRESS)

    def _has_token(self, query: str) -> bool:
        given = parse_qsl(query, keep_blank_values=True)
        return len(given) == 1 and given[0][0] == "token" and _is_same(given[0][1], self.token)

    def _has_cookie(self, header: str) -> bool:
        """Whether a request has our cookie, once: of two, one may be another site's."""
        pairs = (part.strip().partition("=") for part in header.split(";"))
        given = [value for name, _, value in pairs if name == self._cookie]
        return len(given) == 1 and _is_same(given[0], self._session)

    def _enter(self, environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        """Give the cookie, and a page that goes on to the page proper: a redirect from elsewhere would not send it."""
        cookie = f"{self._cookie}={self._session}; HttpOnly; SameSite=Strict; Path=/"
        home = html.escape(self._home)
        text = f'<!DOCTYPE html><title>autohpo</title><meta http-equiv="refresh" content="0;url={home}">'
        body = f'{text}<a href="{home}">go on</a>\n'.encode()
        kind = ("Content-Type", "text/html; charset=utf-8")
        headers = [kind, ("Content-Length", str(len(body))), ("Set-Cookie", cookie), ("Cache-Control", "no-store")]
        start_response("200 OK", [*headers, *HEADERS])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _refuse(
        self, start_response: Callable[..., Any], status: str, more: Iterable[tuple[str, str]] = ()
    ) -> list[bytes]:
        advice = ": open the address that `autohpo dashboard` has printed" if status.startswith("403") else ""
        body = f"{status}{advice}\n".encode()
        kind = ("Content-Type", "text/plain; charset=utf-8")
        headers = [kind, ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        start_response(status, [*headers, *more, *HEADERS])
        return [body]


def _is_same(given: str, wanted: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def _guarded(start_response: Callable[..., Any], path: str) -> Callable[..., Any]:
    """Return what begins a response, with our headers in place of its own ones of the same name."""
    names = {name.lower() for name, _ in HEADERS}
    is_kept = path.startswith("/static/")

    def begin(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        found = [(name, value) for name, value in headers if name.lower() not in names]
        if not is_kept:  # what a run is, no cache keeps
            found = [(name, value) for name, value in found if name.lower() != "cache-control"]
            found.append(("Cache-Control", "no-store"))
        return start_response(status, [*found, *HEADERS], *rest)

    return begin
