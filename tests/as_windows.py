"""A process without what Windows lacks, as far as that can be had: ``python as_windows.py FOLDER WHAT...``.

The functions, signals and modules of POSIX are taken away, and ``sys.platform`` says that this is Windows, before
autohpo is imported. What the standard library itself needs of them it has got before.
"""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import posix
import select
import signal
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType

LOST = {
    os: (
        *("fork", "forkpty", "killpg", "setsid", "getsid", "setpgid", "getpgid", "getpgrp", "waitid", "wait3", "wait4"),
        *("getuid", "geteuid", "getgid", "getegid", "pread", "pwrite", "preadv", "pidfd_open", "register_at_fork"),
        *("sched_getaffinity", "sysconf", "set_blocking", "mkfifo", "nice", "statvfs", "getloadavg", "uname", "chown"),
        *("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "O_SYNC", "P_PID", "WNOHANG", "WNOWAIT", "WEXITED"),
    ),
    signal: (
        *("SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGURG", "SIGCHLD", "SIGPIPE", "SIGSTOP", "SIGCONT"),
        *("SIGQUIT", "SIGTSTP", "SIGXCPU", "SIGWINCH", "alarm", "setitimer", "pause", "sigwait", "pthread_kill"),
        *("pthread_sigmask", "pidfd_send_signal", "siginterrupt", "SIG_BLOCK", "SIG_SETMASK"),
    ),
    select: ("poll", "epoll"),
}
MODULES = ("fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "syslog")
ROOT = Path(__file__).parents[1]


class FakeMsvcrt(ModuleType):
    """A module that locks a byte for a handle, by functions that were kept."""

    LK_UNLCK, LK_LOCK, LK_NBLCK = 0, 1, 2

    def __init__(self, flock) -> None:
        super().__init__("msvcrt")
        self._flock = flock

    def locking(self, fd, mode, n_bytes):
        """Locks, or raises what Windows does."""
        try:
            self._flock(fd, 8 if mode == self.LK_UNLCK else 2 | 4)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None


def strip() -> None:
    """Takes away what Windows lacks."""
    import fcntl
    import subprocess  # it asks for msvcrt, to see where it is

    sys.modules["msvcrt"] = FakeMsvcrt(fcntl.flock)
    for module, names in LOST.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    for name in MODULES:
        sys.modules[name] = None
    signal.SIGBREAK = 21
    subprocess.Popen.kill = lambda self: posix.kill(self.pid, 9)
    sys.platform = "win32"


def modules():
    """The name of every module of the package."""
    package = ROOT / "autohpo"
    return [found.name for found in pkgutil.walk_packages([str(package)], "autohpo.")] if package.is_dir() else []


def import_all():
    """Why each module cannot be imported that cannot; ``__main__`` would run."""
    faults = {}
    for name in modules():
        if name.rpartition(".")[2] != "__main__":
            try:
                importlib.import_module(name)
            except BaseException as fault:
                faults[name] = f"{type(fault).__name__}: {fault}"
    return faults


def forget_all():
    """Has autohpo imported anew, and all else stay."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "autohpo"]:
        del sys.modules[name]


def imports(_folder):
    """Every module can be imported that can be elsewhere."""
    print(sorted(set(FAULTS_HERE) ^ set(import_all())))


def serial(folder):
    """A search in this process, with a store, is continued; what looks at it meanwhile works as well."""
    from autohpo import RangeHP, build_hpo_from_name
    from autohpo.control import driver_of, request_stop
    from autohpo.errors import NoResultError
    from autohpo.service import Launch

    def f(hps):
        return hps["x"] if driver_of(folder / "run.db").process == os.getpid() else 0.0

    space = [RangeHP("x", 0.5, 1.0)]
    for n in (3, 5):
        hpo = build_hpo_from_name("tpe", space, f, max_evals=n, seed=0)
        hpo.optimize(store=folder / "run.db", progress=False)
    print(hpo.result.counts(), hpo.result.best.perf > 0.5, driver_of(folder / "run.db"))
    Launch.of_this_process().write(folder)

    def g(hps, trial):
        request_stop(folder / "other.db")
        while trial.report(hps["x"]):
            time.sleep(0.01)
        return hps["x"]

    hpo = build_hpo_from_name("random", space, g, max_evals=9, seed=0)
    try:
        hpo.optimize(store=folder / "other.db", progress=False)
    except NoResultError as ended:
        print(ended)


def signals(folder):
    """Ctrl-C and Ctrl-Break end a search in order."""
    from autohpo import RangeHP, build_hpo_from_name

    for number in (signal.SIGINT, signal.SIGBREAK):

        def f(hps, trial, number=number):
            if trial.number == 2:
                signal.raise_signal(number)
            return hps["x"]

        hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=9, seed=0)
        try:
            hpo.optimize(store=folder / f"run-{int(number)}.db", progress=False)
        except (KeyboardInterrupt, SystemExit) as ended:
            print(type(ended).__name__, hpo.result.counts())


def slots(folder):
    """A search in worker processes that lack the same, with job objects that record what is done with them."""
    from autohpo import RangeHP, build_hpo_from_name
    from autohpo.execution import platform

    print(platform.current().name)
    platform.use(fake := fake_windows())
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lacking(), max_evals=6, seed=0)
    hpo.optimize(num_workers=2, trial_time_limit=20, store=folder / "run.db", progress=False)
    print(hpo.result.counts(), {trial.perf for trial in hpo.result.trials if trial.perf is not None})
    print(sorted(set(fake._system.kernel.names())), fake._system.kernel.jobs)


def fake_windows():
    """The platform of this process from now on."""
    sys.path.insert(0, str(Path(__file__).parent / "execution"))
    from fake_windows import FakeSystem

    from autohpo.execution.platform.windows import WindowsPlatform

    class Lacking(FakeSystem):
        def start(self, command, flags, **options):
            code = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); import as_windows; as_windows.strip(); "
            command[2] = code + command[2]
            return super().start(command, flags, **options)

    return WindowsPlatform(Lacking())


def lacking():
    """An objective: whether its process lacks what Windows does; one trial ends its process."""

    def f(hps, trial):
        if trial.number == 3:
            os._exit(5)
        trial.report(0.5)
        is_null = os.read(0, 1) == b""
        return float(not hasattr(os, "fork") and sys.platform == "win32" and is_null)

    return f


def commands(folder):
    """An objective that is a command says what it needs."""
    from autohpo import RangeHP, build_hpo_from_name
    from autohpo.commands import CommandObjective

    f = CommandObjective(["echo", "{x}"], metric="loss")
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=1, seed=0)
    try:
        hpo.optimize(progress=False)
    except Exception as fault:
        print(type(fault).__name__, str(fault)[:400])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.path.insert(0, str(ROOT))
    folder, *parts = sys.argv[1:]
    from threadpoolctl import ThreadpoolController

    FAULTS_HERE = import_all()  # without the extras, for example; and the rest of the standard library is here
    forget_all()
    ThreadpoolController._find_libraries_on_windows = lambda self: None  # it would ask Windows
    strip()
    for part in parts:
        print("---", part)
        Path(folder, part).mkdir()
        globals()[part](Path(folder, part))
