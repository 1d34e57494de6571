"""A PostgreSQL server for tests, from the system's programs: on loopback, in a folder of its own, gone with them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

USER = "tester"
PASSWORD = "canary-p@ss/w:rd"  # with what must be escaped in a URL; the tests look for it in every output
DATABASE = "lab"
START_SECONDS = 60.0


def programs() -> Path | None:
    """The folder of the newest server that is installed; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    return None if program is None else Path(program).resolve().parent


def why_not() -> str:
    """Why there can be no server here; the empty string where there can."""
    if sys.platform == "win32" or programs() is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed: pip install 'autohpo[postgres]'"
    return "" if os.getuid() or _account() else "the server does not run as root, and there is no other account"


def _account() -> Any:
    import pwd  # which Windows has not

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def _dies_with_us() -> None:
    """Let the server end at once when the tests are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


class Server:
    """A server: started, stopped and killed by its process, which is a child of ours."""

    def __init__(self, settings: Sequence[str] = ()) -> None:
        bin_folder = programs()
        assert bin_folder is not None
        self._bin, self._process = bin_folder, None
        self.folder = Path(tempfile.mkdtemp(prefix="autohpo-postgres-"))
        self._identity: dict[str, Any] = {}
        self._starter = ThreadPoolExecutor(1)  # the server ends with the thread that has started it
        if not os.getuid():
            account = _account()
            assert account is not None
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._settings = [
            *("listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.folder}"),
            *("fsync=on", "full_page_writes=on", "wal_writer_delay=10s", "autovacuum=off", *settings),
        ]
        if bin_folder.parent.name.isdecimal() and int(bin_folder.parent.name) >= 14:
            self._settings.append("recovery_init_sync_method=syncfs")  # thousands of files by themselves take long
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        words = ["-A", "scram-sha-256", f"--pwfile={secret}", "-U", USER, "-E", "UTF8", "--locale=C", "-N"]
        self._run([str(self._bin / "initdb"), "-D", str(self.folder / "data"), *words])
        self.start()
        self.sql(f"CREATE DATABASE {DATABASE}", database="postgres")

    def _run(self, words: Sequence[str]) -> None:
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=self.folder, **self._identity)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.start_later(0.0).result()

    def start_later(self, seconds: float) -> Future[None]:
        """Start it after some seconds."""
        return self._starter.submit(self._start, seconds)

    def _start(self, seconds: float) -> None:
        time.sleep(seconds)
        words = [str(self._bin / "postgres"), "-D", str(self.folder / "data")]
        for setting in self._settings:
            words += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            options: dict[str, Any] = {"stdout": log, "stderr": log, "cwd": self.folder, **self._identity}
            self._process = subprocess.Popen(words, preexec_fn=_dies_with_us, **options)  # noqa: PLW1509 - it only calls C
        ends = time.monotonic() + START_SECONDS
        while True:
            try:
                self.sql("SELECT 1", database="postgres")
                return
            except Exception:
                if time.monotonic() > ends or self._process.poll() is not None:
                    raise AssertionError((self.folder / "log").read_text()[-2000:]) from None
                time.sleep(0.02)

    def stop(self, *, is_kill: bool = False) -> None:
        """Stop it in order, or kill it at once, so that it recovers when it is started again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if is_kill else signal.SIGINT)
            self._process.wait(START_SECONDS)
            self._process = None

    def restart(self, *, is_kill: bool = False) -> None:
        """Stop or kill it, and start it again."""
        self.stop(is_kill=is_kill)
        self.start()

    def close(self) -> None:
        """Kill it, and remove all that it kept."""
        self.stop(is_kill=True)
        self._starter.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, study: str = "", *, database: str = DATABASE, user: str = USER, query: str = "") -> str:
        """The URL of a study, with the password in it."""
        path = f"{database}/{study}" if study else database
        return f"postgresql://{user}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{path}{query}"

    def place(self, study: str) -> str:
        """The URL of a study as it is shown."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}/{study}"

    @contextlib.contextmanager
    def session(self, database: str = DATABASE) -> Iterator[Any]:
        """A connection of a user who looks and changes things by hand."""
        import psycopg

        given = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": PASSWORD, "dbname": database}
        with psycopg.connect(autocommit=True, connect_timeout=10, **given) as connection:
            yield connection

    def sql(self, statement: str, values: Sequence[Any] = (), *, database: str = DATABASE) -> list[tuple[Any, ...]]:
        """Run a statement, and return its rows."""
        with self.session(database) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description is not None else []
