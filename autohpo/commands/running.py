"""A command as a process of its own session: its output drained, its end awaited, its whole tree ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from autohpo.commands.keeper import shared
from autohpo.errors import CommandError, OptionError
from autohpo.execution.platform import current
from autohpo.execution.starting import start_process

PIPE_BYTES = 1 << 16
TICK_SECONDS = 0.1  # between two looks at what no pipe tells
MAX_REST_BYTES = 4 << 20  # in the pipes of a command that has ended: above what a pipe holds
KILL_SECONDS = 5.0  # for the system to end what was killed

Take = Callable[[int, bytes], bool]
"""Takes the number of a stream (1 output, 2 errors) and bytes from it; False asks for the end of the command."""


@dataclass(frozen=True)
class Start:
    """What a command is started with.

    Attributes:
        command: The words; a string for the shell.
        env: The environment.
        cwd: The working directory; None is that of this process.
        grace_seconds: The seconds from the request to end to the end by force.
    """

    command: Sequence[str] | str
    env: Mapping[str, str]
    cwd: str | None
    grace_seconds: float


class Running:
    """A context in which a command runs; whatever leaves it, the whole tree of the command's processes ends.

    Args:
        start: What it is started with.

    Raises:
        CommandError: It cannot be started.
        OptionError: This system has no groups of processes.
    """

    def __init__(self, start: Start) -> None:
        if not current().has_groups:
            raise OptionError("CommandObjective: needs Linux or macOS, for commands are ended with all they started")
        self._start = start
        self._keeper, self._number = shared.take()
        # Its mark comes first in the environment: who looks for it reads the beginning.
        try:
            self._popen = _popen(start, {self._keeper.variable: str(self._number), **start.env})
        except BaseException:
            shared.give_back()
            raise
        self._is_hurried = self._is_over = self._is_given_back = False
        self._ending = threading.Lock()
        self._pidfd = -1
        self._poll = select.poll()
        self._streams: dict[int, int] = {}
        try:
            self._watch()
        except BaseException:
            self._is_hurried = True
            self._end_elsewhere()
            raise

    def _watch(self) -> None:
        """Have the keeper end it where this process is killed, and listen to what it prints."""
        self._keeper.guardian.watch(self._popen.pid)
        for number, file in ((1, self._popen.stdout), (2, self._popen.stderr)):
            if file is not None:
                os.set_blocking(file.fileno(), False)
                self._streams[file.fileno()] = number
                self._poll.register(file.fileno(), select.POLLIN)
        self._pidfd = _pidfd(self._popen.pid)
        if self._pidfd >= 0:
            self._poll.register(self._pidfd, select.POLLIN)

    def __enter__(self) -> Running:  # noqa: PYI034 - Self is of Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            self._end_elsewhere()
            return
        try:
            self.end(_ignore)
        except BaseException:
            self._is_hurried = True
            self._end_elsewhere()
            raise

    def _end_elsewhere(self) -> None:
        """End the command in another thread: the search may be interrupting this one again and again.

        Each further interrupt ends the wait for an end in order.
        """
        until = time.monotonic() + self._start.grace_seconds + 3 * KILL_SECONDS
        is_begun = False
        while not self._is_over and time.monotonic() < until:
            try:
                if not is_begun:
                    threading.Thread(target=self._end_alone, name="autohpo-command", daemon=True).start()
                    is_begun = True  # where this line is not reached, another one waits for the first
                time.sleep(0.005)  # not a join: Python 3.11 takes an interrupted one for the end of the thread
            except BaseException:  # noqa: PERF203 - what is on its way out is raised again
                self._is_hurried = True

    def _end_alone(self) -> None:
        with self._ending:
            self.end(_ignore)

    def drain(self, take: Take, tick: Callable[[], bool]) -> bool:
        """Hand on what the command prints until it ends; return False where it was asked for no more before.

        Args:
            take: Takes what it prints.
            tick: Called several times a second; False asks for no more, too.
        """
        next_tick = time.monotonic() + TICK_SECONDS
        while not self._has_exited():
            if not self._read(take, max(0.0, next_tick - time.monotonic())):
                return False
            if time.monotonic() >= next_tick:
                if not tick():
                    return False
                next_tick = time.monotonic() + TICK_SECONDS
        return self._read_rest(take)

    def end(self, take: Take) -> int:
        """End what still runs of the command, in order and then by force; return its exit code, negative for a signal.

        Args:
            take: Takes what it prints meanwhile.
        """
        if self._is_over:
            return self._code
        try:
            alive = set() if self._is_hurried else self._alive()
            if alive:
                self._signal(signal.SIGTERM, alive)
                self._await(take)
        finally:
            self._kill()
        self._read_rest(take)
        return self._bury()

    def _await(self, take: Take) -> None:
        """Wait for all there is to end, as long as the grace lasts, and hand on what it prints."""
        if self._pidfd >= 0:
            with contextlib.suppress(KeyError):  # this was interrupted before
                self._poll.unregister(self._pidfd)  # it would tell for ever that the command itself has ended
        until = time.monotonic() + self._start.grace_seconds
        while not self._is_hurried and self._alive() and time.monotonic() < until:
            self._read(take, 0.02)

    def _read(self, take: Take, timeout_seconds: float) -> bool:
        """Hand on what there is, once some comes; return False where no more is wanted."""
        for fd, _ in self._poll.poll(timeout_seconds * 1000):
            if fd in self._streams and not self._take(fd, take):
                return False
        return True

    def _take(self, fd: int, take: Take) -> bool:
        try:
            data = os.read(fd, PIPE_BYTES)
        except BlockingIOError:
            return True
        if data:
            return take(self._streams[fd], data)
        self._poll.unregister(fd)  # its end; the command may go on without
        del self._streams[fd]
        return True

    def _read_rest(self, take: Take) -> bool:
        """Hand on what is left in the pipes, which processes outside of the command's tree may hold open."""
        is_wanted, n_bytes = True, 0
        for fd, number in list(self._streams.items()):
            with contextlib.suppress(BlockingIOError):
                while is_wanted and n_bytes < MAX_REST_BYTES and (data := os.read(fd, PIPE_BYTES)):
                    n_bytes += len(data)
                    is_wanted = take(number, data)
        return is_wanted

    def _has_exited(self) -> bool:
        """Return whether the command itself ended; it is not reaped, so its number still belongs to its group."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self._popen.poll() is not None
        try:
            return os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else in this process reaped it
            return True

    def _alive(self) -> set[int]:
        """Return what has not ended of the command and of all it started; only Linux knows the latter."""
        if current().reads_proc:
            return self._keeper.alive(self._popen.pid, self._number)
        return set() if self._has_exited() else {self._popen.pid}

    def _signal(self, signum: int, alive: Iterable[int] = ()) -> None:
        with contextlib.suppress(OSError):  # macOS, where all are zombies
            os.killpg(self._popen.pid, signum)
        for pid in alive:  # some may have left the group
            with contextlib.suppress(OSError):
                if os.getpgid(pid) != self._popen.pid:
                    os.kill(pid, signum)

    def _kill(self) -> None:
        """End all there is at once, and wait until it is gone."""
        until = time.monotonic() + KILL_SECONDS
        self._signal(signal.SIGKILL)
        while (alive := self._alive()) and time.monotonic() < until:  # one may have started another one meanwhile
            self._signal(signal.SIGKILL, alive)
            time.sleep(0.001)

    def _bury(self) -> int:
        """Free what the command held, and return its exit code; may be begun again where it was interrupted."""
        self._keeper.guardian.forget(self._popen.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(KILL_SECONDS)
        for file in (self._popen.stdout, self._popen.stderr):
            if file is not None:
                file.close()
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)
        if not self._is_given_back:
            self._is_given_back = True
            shared.give_back()
        self._is_over = True
        return self._code

    @property
    def _code(self) -> int:
        return -signal.SIGKILL if self._popen.returncode is None else self._popen.returncode


def _ignore(_stream: int, _data: bytes) -> bool:
    return True


def _popen(start: Start, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    is_shell = isinstance(start.command, str)
    words = ["/bin/sh", "-c", start.command] if isinstance(start.command, str) else list(start.command)
    try:
        return start_process(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
            cwd=start.cwd,
            env=env,
        )
    except (OSError, ValueError) as fault:  # the latter: a NUL character
        raise CommandError(_why_not_started(start, "/bin/sh" if is_shell else words[0], fault)) from None


def _why_not_started(start: Start, program: str, fault: Exception) -> str:
    if start.cwd is not None and not os.path.isdir(start.cwd):  # noqa: PTH112
        return f"cwd: there is no folder {start.cwd}, so no command can be started there"
    if isinstance(fault, FileNotFoundError):
        where = "under this path" if "/" in program else "in PATH"
        return f"command: there is no program {program!r} {where}; check the first word of the command"
    if isinstance(fault, PermissionError):
        return f"command: {program!r} is not executable; run chmod +x on it, or begin the command with its interpreter"
    if isinstance(fault, OSError) and fault.errno == 8:  # ENOEXEC
        return (
            f"command: {program!r} is no program, and has no first line such as #!/bin/sh; begin with its interpreter"
        )
    if isinstance(fault, OSError) and fault.errno == 7:  # E2BIG
        return "command: its words and its environment are too long for the system; use {config_file}"
    return f"command: {program!r} cannot be started: {fault}"


def _pidfd(pid: int) -> int:
    """Return a descriptor that tells when a process ends; -1 where the system has none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1
