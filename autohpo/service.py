"""Service: a driver that outlives the shell it was started in, and the record of how to start it again."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from autohpo.control import driver_of, files_of, place_of, write_json
from autohpo.errors import DetachedError, OptionError, PathError, RunBusyError, StoreError, shown
from autohpo.store.lock import Holder
from autohpo.store.postgres_studies import reserve_study
from autohpo.store.postgres_url import is_postgres, redacted
from autohpo.version import __version__

LAUNCH = "launch.json"
"""The file, in the folder of a store's files, that says how its driver was started."""

LOG = "driver.log"
"""The file, in the folder of a store's files, for what a driver on its own prints."""

TAIL_LINES, TAIL_BYTES = 20, 8192

PROGRAMS = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "LD_LIBRARY_PATH")
"""The variables that decide which programs and packages are found: as they were when a driver is started again."""

ALLOWED = (
    *PROGRAMS,
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "PYTHONHASHSEED"),
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
)
"""The variables that are recorded. No other is, as it may hold a password."""

_EXECUTE = (  # a closed terminal, and the end of a login, must not end it; `exec` keeps signals that are ignored so
    "import os, signal, sys; "
    "hasattr(signal, 'SIGHUP') and signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


def without_secrets(word: str) -> str:
    """Return a word of a command line as it may be recorded: without the password of a URL, which may be all of it."""
    option, sign, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return option + sign + redacted(value) if is_postgres(value) else word


class _Detached(subprocess.Popen[bytes]):
    """A process that is meant to outlive the one that started it: none that was forgotten, which Python warns of."""

    def __del__(self) -> None:
        """Say nothing."""


_started: list[_Detached] = []  # drivers that this process started: when they end, it has to know


@dataclass(frozen=True)
class Launch:
    """How the driver of a store was started, so that it can be started again.

    Attributes:
        argv: The command line.
        cwd: The working directory.
        environment: The variables of the environment that are recorded; see `ALLOWED`.
        version: The version of autohpo.
        host: The name of the host.
        process: The number of the process.
        since: When it was started, in local time.
        budget: The ``max_evals``, ``budget`` and ``cost_limit`` that it had, where they are limited: the header of a
            store has the first two of the first call alone.

    Example:
        >>> Launch.of_this_process(["python", "train.py"]).argv
        ('python', 'train.py')
    """

    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__
    host: str = ""
    process: int = 0
    since: str = ""
    budget: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_this_process(
        cls, argv: Sequence[str] | None = None, budget: Mapping[str, float] = MappingProxyType({})
    ) -> Launch:
        """Return how this process was started.

        Args:
            argv: The command line that starts it again; None takes the one that started it.
            budget: The budget that it has.
        """
        words = [sys.executable, *sys.orig_argv[1:]] if argv is None else argv
        words = [without_secrets(word) for word in words]
        kept = {name: os.environ[name] for name in ALLOWED if name in os.environ}
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        there = socket.gethostname(), os.getpid(), since
        return cls(tuple(words), str(Path.cwd()), kept, __version__, *there, dict(budget))

    def write(self, files: Path) -> None:
        """Write the record into the folder of a store's files.

        Raises:
            PathError: It cannot be written.
        """
        try:
            write_json(files / LAUNCH, json.dumps(asdict(self), indent=2))
        except (OSError, UnicodeError) as error:
            raise PathError(f"store: {files / LAUNCH} cannot be written: {error}") from error

    @classmethod
    def read(cls, store: str | os.PathLike[str]) -> Launch | None:
        """Return the record of how the driver of a store was started last; None where there is none.

        Args:
            store: The path or URL of the store.

        Raises:
            StoreError: There is a record, but it cannot be read, or another user wrote it: it says what is to be run.
        """
        path = files_of(store) / LAUNCH
        try:
            if hasattr(os, "getuid") and path.stat().st_uid not in (os.getuid(), 0):
                raise StoreError(f"store: {path} is of another user, so what it says is not run")
            said: Any = json.loads(path.read_text(encoding="utf-8"))
            found = cls(tuple(said.pop("argv")), said.pop("cwd"), **said)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(f"store: {path} is no record of how a search was started: {shown(error)}") from error
        variables = found.environment
        words = [*found.argv, found.cwd, *(variables.values() if isinstance(variables, dict) else [None])]
        if not found.argv or not all(isinstance(word, str) for word in words):
            raise StoreError(f"store: {path} is no record of how a search was started: it has other types")
        return found

    def variables(self) -> dict[str, str]:
        """Return the environment to start it again with: today's, with the recorded one.

        A variable that is set today keeps its value, but for those that decide which programs are found: `PROGRAMS`.
        """
        is_same_host = self.host in ("", socket.gethostname())
        programs = {n: v for n, v in self.environment.items() if n in PROGRAMS} if is_same_host else {}
        return {**self.environment, **os.environ, **programs}


def start_detached(
    argv: Sequence[str],
    *,
    store: str | os.PathLike[str],
    cwd: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] | None = None,
    log: str | os.PathLike[str] | None = None,
    has_record: bool = False,
    patience_seconds: float = 60.0,
) -> int:
    """Start a driver that outlives this process, its terminal and its login, and return the number of its process.

    It has a session of its own and reads nothing; what it prints is added to the log. This waits until it has its
    store, or has ended in order.

    Args:
        argv: The command line.
        store: The path or URL of the store that it will have.
        cwd: The working directory; None is the one of this process.
        environment: All its variables; None are those of this process.
        log: The path of the log; None is ``driver.log`` in the folder of the store's files.
        has_record: Whether it writes a :class:`Launch` once it knows that the store holds its run, and this waits for
            that: a driver that finds another run there ends with an error that is told here.
        patience_seconds: How long to wait at most: what takes longer to load is left to it.

    Raises:
        RunBusyError: Another driver has the store.
        DetachedError: It ended with an error before; the text has the end of its log.
        PathError: The log cannot be written.
        OptionError: There is no such program or working directory.
    """
    path = place_of(store)
    holder = driver_of(store)
    if holder is not None:
        who = f"this very process ({os.getpid()})" if holder.is_here and holder.process == os.getpid() else holder
        raise RunBusyError(f"store: {path.name} is in use by {who}")
    if is_postgres(store):
        reserve_study(str(store))  # so that the driver has the folder in which its log is
    words = _checked_command(argv, cwd, environment)
    log_path = files_of(store) / LOG if log is None else Path(log)
    options: dict[str, Any] = {"cwd": cwd, "env": environment, "stdin": subprocess.DEVNULL}
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
        options["creationflags"] = flags
    else:
        options["start_new_session"] = True
        words = [sys.executable, "-I", "-S", "-c", _EXECUTE, *words]
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as file:
            begin = file.tell()
            command = shlex.join(map(without_secrets, argv))
            file.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} started: {command}\n".encode())
            file.flush()
            process = _Detached(words, stdout=file, stderr=subprocess.STDOUT, **options)
    except OSError as error:
        raise PathError(f"log: a driver cannot be started with the log {log_path}: {error}") from error
    _reap()
    _started.append(process)
    began = time.monotonic()
    while time.monotonic() - began < patience_seconds:
        code = process.poll()
        if code:
            said = f"the driver ended with code {code}; {log_path} ends with:\n{tail(log_path, begin)}"
            raise DetachedError(said, code)
        holder = driver_of(store)
        if code == 0:
            break
        is_ours = holder is not None and holder.is_here and process.pid in (holder.process, _session_of(holder.process))
        if is_ours and holder is not None and (not has_record or _is_recorded(store, holder.process)):
            return holder.process
        time.sleep(0.05)
    return process.pid


def _is_recorded(store: str | os.PathLike[str], process: int) -> bool:
    """Whether the record beside a store is that of a process."""
    try:
        launch = Launch.read(store)
    except StoreError:
        return False
    return launch is not None and launch.process == process


def _session_of(process: int) -> int:
    """Return the session of a process: the command line may be a script that starts the driver; 0 if unknown."""
    try:
        return os.getsid(process) if hasattr(os, "getsid") else 0
    except OSError:
        return 0


def _checked_command(
    argv: Sequence[str], cwd: str | os.PathLike[str] | None, environment: Mapping[str, str] | None
) -> list[str]:
    """Return the command line.

    Raises:
        OptionError: It is none, or the program or the folder does not exist.
    """
    if isinstance(argv, str) or not argv or not all(isinstance(word, str) and "\0" not in word for word in argv):
        raise OptionError(f"argv: must be a list of strings, got {shown(argv)}")
    folder = Path.cwd() if cwd is None else Path(cwd)
    if not folder.is_dir():
        raise OptionError(f"cwd: must be a folder, got {shown(str(cwd))}")
    variables = os.environ if environment is None else environment
    program = folder / argv[0] if os.path.dirname(argv[0]) else argv[0]  # noqa: PTH120 - "./run" has one, "run" has none
    if shutil.which(str(program), path=variables.get("PATH", os.defpath)) is None:
        raise OptionError(f"argv: must begin with a program, got {shown(argv[0])}, which is not found")
    return list(argv)


def _reap() -> None:
    """Forget the drivers that this process started and that have ended."""
    _started[:] = [process for process in _started if process.poll() is None]


def tail(log: str | os.PathLike[str], begin: int = 0) -> str:
    """Return the last lines of a log, at most those behind a place in it; what cannot be read is left out."""
    try:
        with open(log, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(begin, end - TAIL_BYTES))
            text = file.read(TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def kill_driver(store: str | os.PathLike[str], holder: Holder) -> bool:
    """Kill a driver at once, and return whether it still had its store: the store keeps all that was committed.

    Args:
        store: The path or URL of the store.
        holder: The driver, as :func:`autohpo.control.driver_of` returned it.

    Raises:
        OptionError: It runs on another host, or its process is not known.
        StoreError: This user may not end it.
    """
    if not holder.is_here:
        raise OptionError(f"now: only a process of this host can be killed, got {holder}")
    with contextlib.ExitStack() as stack:
        handle: int | None = None
        if hasattr(os, "pidfd_open"):  # with it, another process that gets the same number is safe
            try:
                handle = os.pidfd_open(holder.process)
                stack.callback(os.close, handle)
            except ProcessLookupError:
                return False
            except OSError:  # an old kernel
                handle = None
        if driver_of(store) != holder:
            return False
        try:
            if handle is not None:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            else:
                os.kill(holder.process, getattr(signal, "SIGKILL", signal.SIGTERM))
        except ProcessLookupError:
            return False
        except PermissionError as error:
            raise StoreError(f"store: {holder} cannot be killed by this user: {error}") from error
    return True
