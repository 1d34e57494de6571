"""The guard before the dashboard, attacked over a real socket; the page behind it is a stand-in."""

from __future__ import annotations

import socket
import threading
from http.cookies import SimpleCookie

import pytest

from autohpo.integrations.optuna.guard import Guard
from autohpo.integrations.optuna.serving import _Server

SECRET = b"the page"


def page(environ, start_response):
    """Says what it was asked, and names what it must not be told."""
    seen = [name for name in environ if name.startswith("HTTP_X_")]
    start_response(
        "200 OK",
        [("Content-Type", "text/plain"), ("Content-Security-Policy", "none"), ("X-Seen", ",".join(seen))],
    )
    return [SECRET]


@pytest.fixture(scope="module")
def served():
    """A server with the guard: its guard, and what sends bytes to it."""
    server = _Server("127.0.0.1", 0)
    port = server.server_port
    guard = Guard(page, {"localhost", "127.0.0.1", "[::1]", "lab.example"}, cookie=f"autohpo-{port}", home="/dashboard")
    server.set_app(guard)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()

    def send(text):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
            link.sendall(text.encode("latin-1"))
            answer = b""
            while part := link.recv(65536):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        return int(lines[0].split()[1]), lines[1:], body

    yield guard, port, send
    server.shutdown()
    server.server_close()
    thread.join()


def asked(target="/dashboard", method="GET", host="127.0.0.1:80", cookie=None, *more):
    """Return the text of a request."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"Host: {host}"] if host is not None else []
    lines += [f"Cookie: {cookie}"] if cookie is not None else []
    return "\r\n".join([*lines, *more, "Connection: close", "", ""])


@pytest.fixture
def key(served):
    """The cookie of somebody who was let in."""
    guard, _, send = served
    code, lines, _ = send(asked(f"/?token={guard.token}"))
    assert code == 200
    (cookie,) = [line.partition(": ")[2] for line in lines if line.startswith("Set-Cookie: ")]
    return cookie.partition(";")[0]


def test_the_address_gives_a_cookie_and_the_cookie_the_page(served, key):
    """No script reads the cookie, no other site sends it, and the token does not stand in the address any more."""
    guard, port, send = served
    _, lines, body = send(asked(f"/?token={guard.token}"))
    assert SECRET not in body
    assert b'content="0;url=/dashboard"' in body
    assert guard.token.encode() not in body
    (cookie,) = [line.partition(": ")[2] for line in lines if line.startswith("Set-Cookie: ")]
    (morsel,) = SimpleCookie(cookie).values()
    assert (morsel.key, morsel["httponly"], morsel["samesite"], morsel["path"]) == (
        f"autohpo-{port}",
        True,
        "Strict",
        "/",
    )
    assert morsel.value != guard.token
    assert "Cache-Control: no-store" in lines
    assert send(asked(cookie=key))[::2] == (200, SECRET)
    assert send(asked(cookie=f"other=1; {key}; more=2"))[0] == 200
    assert send(asked(method="HEAD", cookie=key))[0] == 200


@pytest.mark.parametrize(
    "target",
    [
        "/dashboard",
        "/",
        "/api/studies/0",
        "/static/bundle.js",
        "/?token=",
        "/?token=wrong",
        "/?token={token}x",
        "/?TOKEN={token}",
        "/?token={token}&token={token}",
        "/?token=wrong&token={token}",
        "/?a=1&token={token}",
        "/dashboard?token={token}",
        "/api/studies?token={token}",
        "/{token}",
        "/;token={token}",
        "//?token={token}/",
        "/?{token}",
        "/?token=%00{token}",
        "/?token={half}",
        "/?token=\xff",
    ],
)
def test_who_has_no_token_or_has_it_elsewhere_stays_out(served, target):
    """Wrong, in half, twice, beside another word, or in another place."""
    guard, _, send = served
    code, lines, body = send(asked(target.format(token=guard.token, half=guard.token[:20])))
    assert code == 403
    assert SECRET not in body
    assert not any(line.startswith("Set-Cookie") for line in lines)


@pytest.mark.parametrize(
    "more", ["Authorization: Bearer {token}", "X-Token: {token}", "Referer: http://localhost/?token={token}"]
)
def test_a_token_in_a_header_opens_nothing(served, more):
    """There is one way in."""
    guard, _, send = served
    assert send(asked("/dashboard", "GET", "localhost", None, more.format(token=guard.token)))[0] == 403


def test_only_our_cookie_and_only_one_of_it_opens_the_page(served, key):
    """Another site of this machine may set a second one of the same name; neither counts then."""
    guard, _, send = served
    name, _, value = key.partition("=")
    for cookie in (
        f"{name}={guard.token}",
        f"{name}=",
        name,
        f"{name}={value}x",
        f"{name}={value[:-1]}",
        f"x{key}",
        f"autohpo={value}",
        f"{name.upper()}={value}",
        f"{key}; {key}",
        f"{name}=wrong; {key}",
        f"{key}; {name}=wrong",
        f'{name}="{value}"',
        f"other=1,{key}",
        f"{name}=\xff",
    ):
        assert send(asked(cookie=cookie))[0] == 403, cookie
    assert send(asked("/dashboard", "GET", "localhost", key, f"Cookie: {key}"))[0] == 403  # two headers
    assert send(asked("/dashboard", "GET", "localhost", key, f"Cookie: {name}=wrong"))[0] == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
        "evil.example#localhost",
        "localhost:80:80",
        "localhost:port",
        "local host",
        "127.0.0.2",
        "0.0.0.0",
        "",
        None,
    ],
)
def test_another_name_for_this_machine_is_refused(served, key, host):
    """A page whose name leads here (DNS rebinding) is of another origin, whatever cookie it may have."""
    guard, _, send = served
    assert send(asked(host=host, cookie=key))[0] == 403
    code, lines, _ = send(asked(f"/?token={guard.token}", host=host))
    assert code == 403
    assert not any(line.startswith("Set-Cookie") for line in lines)


def test_two_hosts_are_none(served, key):
    """The one that counts is not for us to guess."""
    send = served[2]
    for first, second in (("localhost", "evil.example"), ("evil.example", "localhost"), ("localhost", "localhost")):
        assert send(asked("/dashboard", "GET", first, key, f"Host: {second}"))[0] == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:9", "[::1]:80", "lab.example"])
def test_our_own_names_are_known_at_any_port(served, key, host):
    """A tunnel may have another one."""
    assert served[2](asked(host=host, cookie=key))[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "FOO"])
def test_nothing_can_be_changed(served, key, method):
    """Also by who was let in."""
    guard, _, send = served
    for target in ("/api/studies/0", f"/?token={guard.token}"):
        code, lines, body = send(asked(target, method, "localhost", key, "Content-Length: 0"))
        assert (code, SECRET in body) == (405, False)
        assert "Allow: GET, HEAD" in lines


@pytest.mark.parametrize(
    "target", ["http://evil.example/dashboard", "http://127.0.0.1/dashboard", "localhost:80", "*", "dashboard"]
)
def test_a_request_for_a_whole_url_is_refused(served, key, target):
    """It names a host of its own, beside that of the header."""
    code, _, body = served[2](asked(target, cookie=key))
    assert (code, SECRET in body) == (400, False)


def test_a_request_of_the_first_kind_of_http_is_refused(served):
    """It has no header at all."""
    guard, port, _ = served
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(f"GET /?token={guard.token}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: link.recv(65536), b""))
    assert SECRET not in answer
    assert b"Set-Cookie" not in answer


def test_every_answer_says_what_a_browser_may_do(served, key):
    """No frame, no other site's script, no guessing of types; the page's own policy is replaced."""
    guard, _, send = served
    for text in (asked(), asked(cookie=key), asked(f"/?token={guard.token}"), asked(method="POST")):
        lines = send(text)[1]
        policy = [line for line in lines if line.startswith("Content-Security-Policy: ")]
        assert len(policy) == 1
        assert "frame-ancestors 'none'" in policy[0]
        assert "default-src 'self'" in policy[0]
        assert {"X-Content-Type-Options: nosniff", "X-Frame-Options: DENY", "Referrer-Policy: no-referrer"} < set(lines)
        assert "Cache-Control: no-store" in lines


def test_what_a_proxy_would_say_does_not_reach_the_page(served, key):
    """It would write another host into its redirects."""
    more = ("X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Other: 1")
    lines = served[2](asked("/dashboard", "GET", "localhost", key, *more))[1]
    assert "X-Seen: HTTP_X_OTHER" in lines


def test_secrets_are_new_and_long():
    """Of each server, and not each other."""
    guards = [Guard(page, ()) for _ in range(4)]
    secrets = {guard.token for guard in guards} | {guard._session for guard in guards}
    assert len(secrets) == 8
    assert min(map(len, secrets)) >= 43  # 32 bytes


def test_secrets_are_compared_in_constant_time(monkeypatch):
    """By the function that is made for it: a plain comparison tells by its time how far it came."""
    seen = []
    monkeypatch.setattr(
        "autohpo.integrations.optuna.guard.hmac.compare_digest", lambda a, b: seen.append((a, b)) or a == b
    )
    guard = Guard(page, {"localhost"})
    base = {"REQUEST_METHOD": "GET", "HTTP_HOST": "localhost", "PATH_INFO": "/"}
    guard({**base, "QUERY_STRING": "token=wrong"}, lambda *_: None)
    guard({**base, "HTTP_COOKIE": "autohpo=other"}, lambda *_: None)
    assert seen == [(b"wrong", guard.token.encode()), (b"other", guard._session.encode())]
