"""Platforms: what each of them starts, finds and ends; those of macOS and Windows are driven here, on Linux."""

from __future__ import annotations

import ast
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_windows import FakeKernel, FakeSystem
from processes import is_running, pid_of, wait_until

import autohpo
from autohpo.errors import AutoHPOError
from autohpo.execution import platform
from autohpo.execution.local import LocalExecutor
from autohpo.execution.platform import jobs, sockets, windows
from autohpo.execution.platform.jobs import JobObject
from autohpo.execution.platform.macos import MacPlatform
from autohpo.execution.platform.sockets import DriverSocket, connect, wait_for_sockets
from autohpo.execution.platform.windows import WindowsPlatform
from autohpo.objective import Objective
from autohpo.trial import TrialState

PACKAGE = Path(autohpo.__file__).parent

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forces other systems upon Linux")


@pytest.fixture
def macos(monkeypatch):
    """What macOS has."""
    monkeypatch.setattr(platform, "_current", MacPlatform())


@pytest.fixture
def system(monkeypatch):
    """What Windows does, in its place."""
    found = FakeSystem()
    monkeypatch.setattr(platform, "_current", WindowsPlatform(found))
    return found


def questions(path):
    """Where a file asks which system this is."""
    asked = {("sys", "platform"), ("os", "name"), ("platform", "system")}
    for node in ast.walk(ast.parse(path.read_text())):
        is_name = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if is_name and (node.value.id, node.attr) in asked:
            yield f"{path.name}:{node.lineno}"


def test_one_place_asks_which_system_this_is(tmp_path):
    """All else in the package of execution asks the platform."""
    folder = PACKAGE / "execution"
    choice = folder / "platform" / "__init__.py"
    files = [path for path in folder.rglob("*.py") if path != choice]
    assert [where for path in files for where in questions(path)] == []
    assert len([*questions(choice)]) == 1
    planted = tmp_path / "planted.py"
    planted.write_text("import os\nif os.name == 'nt':\n    pass\n")
    assert [*questions(planted)] == ["planted.py:2"]


@pytest.mark.parametrize(
    ("said", "name"), [("linux", "linux"), ("darwin", "macos"), ("win32", "windows"), ("freebsd14", "macos")]
)
def test_the_platform_is_that_of_the_system(monkeypatch, said, name):
    """Another kind of UNIX has what macOS has, which is what all of them have."""
    monkeypatch.setattr(platform, "_current", None)
    monkeypatch.setattr(sys, "platform", said)
    assert platform.current().name == name
    assert platform.current() is platform.current()
    assert platform.named(name).name == name


# macOS.

SPAWNS = """
import os, subprocess, time
def f(hp):
    child = subprocess.Popen(["sleep", "600"])
    open(hp["pid"], "w").write(f"{os.getpid()} {child.pid}")
    if hp["x"]:
        os._exit(3)
    time.sleep(600)
"""


def spawning():
    """An objective that starts a process; it goes by value."""
    names = {}
    exec(SPAWNS, names)
    return names["f"]


def pids_in(path):
    """The numbers that a trial has written."""
    assert wait_until(lambda: path.exists() and len(path.read_text().split()) == 2, 10)
    return [int(pid) for pid in path.read_text().split()]


@pytest.mark.parametrize("name", ["macos", "system"])
@pytest.mark.parametrize("ends", [True, False])
def test_what_a_trial_started_ends_with_its_worker(request, drive_local, tmp_path, name, ends):
    """Where the worker ends by itself, and where it is killed."""
    request.getfixturevalue(name)
    driver = drive_local(spawning())
    driver.submit(0, hp={"x": ends, "pid": str(tmp_path / "pid")})
    pids = pids_in_while(driver, tmp_path / "pid")
    if not ends:
        driver.executor.kill(0, TrialState.CANCELLED, "enough")
    end = driver.end_of(0)
    assert end.kind == ("died" if ends else "killed")
    assert not ends or "exited with code 3" in end.outcome.error
    assert wait_until(lambda: not any(map(is_running, pids)), 2)


def pids_in_while(driver, path):
    """The numbers that a trial has written, while its driver polls: else no task is sent."""
    until = time.monotonic() + 20
    while time.monotonic() < until and not (path.exists() and len(path.read_text().split()) == 2):
        driver.events += driver.executor.poll(0.05)
    return pids_in(path)


def test_a_number_that_was_freed_is_signalled_no_more(macos, drive_local, monkeypatch):
    """An end is seen by reaping it; later the number may belong to a process of the user's."""
    driver = drive_local(lambda hp: os._exit(0) if hp["x"] == 0 else 1.0)
    driver.run(1)
    pid, child = pid_of(driver), driver.executor._slots[0].process.child
    ended = []
    monkeypatch.setattr("autohpo.execution.platform.macos.end_group", lambda group, others=(): ended.append(group))
    os.kill(pid, signal.SIGKILL)
    assert wait_until(child.has_exited)
    child.kill()
    assert child.has_exited()
    assert ended == [pid]


@pytest.mark.parametrize("name", ["macos", "system"])
def test_the_memory_of_a_tree_is_limited(request, drive_local, monkeypatch, name):
    """By psutil; what a trial starts counts."""
    pytest.importorskip("psutil")
    request.getfixturevalue(name)

    def f(hp):
        code = "held = b'x' * 300_000_000; import time; time.sleep(30)"
        subprocess.run([sys.executable, "-c", code], check=False)
        return 1.0

    read = []
    monkeypatch.setattr("autohpo.execution.limits.read_proc", lambda path: read.append(path) or b"")
    end = drive_local(f, memory_limit=200_000_000).run(0)
    assert read == []
    assert end.outcome.state is TrialState.MEMORY
    assert "its processes held" in end.outcome.error


DRIVER = """
import os, sys
sys.path.insert(0, {tests!r})
from autohpo.execution import platform
from autohpo.execution.local import LocalExecutor
from autohpo.objective import Objective
from autohpo.trial import Task
if {name!r} == "windows":
    from fake_windows import fake_windows
    platform.use(fake_windows())
else:
    platform.use(platform.named({name!r}))
{f}
executor = LocalExecutor(1)
executor.open(Objective.of(f), lambda event: True)
executor.submit(0, Task(0, 1, {{"x": 0, "pid": sys.argv[1]}}))
while True:
    executor.poll(1.0)
"""


@pytest.mark.parametrize("name", ["macos", "windows"])
def test_no_worker_outlives_a_driver_that_is_killed(tmp_path, name):
    """On macOS neither does what it has started. On Windows the job would end that, which only Windows can show."""
    code = DRIVER.format(tests=str(Path(__file__).parent), name=name, f=SPAWNS)
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "TMPDIR": str(tmp_path)}
    path = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=tmp_path, env=environment) as driver:
        worker, child = pids_in(path)
        driver.kill()
    assert wait_until(lambda: not is_running(worker), 3)
    if name == "macos":
        assert wait_until(lambda: not is_running(child), 3)
        assert wait_until(lambda: not [*tmp_path.glob("autohpo-*")], 3)
    else:
        os.kill(child, signal.SIGKILL)


# Job objects.


def test_the_structures_have_the_layout_of_the_manual():
    """On 64 bits; a wrong length is an error of the system, a wrong order is not."""
    assert ctypes.sizeof(jobs.ExtendedLimits) == 144
    assert jobs.ExtendedLimits.JobMemoryLimit.offset == 120
    assert jobs._BasicLimits.LimitFlags.offset == 16
    assert jobs.ProcessIds.ProcessIdList.offset == 8


def test_a_job_ends_what_is_in_it_when_it_is_closed():
    """The flag says so to the system; a handle without a name is no other process's."""
    kernel = FakeKernel()
    job = JobObject(kernel)
    assert kernel.calls[0] == ("CreateJobObjectW", None, None)
    assert set(kernel.limits.values()) == {0x2000}
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        job.assign(process.pid)
        assert job.processes() == [process.pid]
        job.close()
        job.close()
        assert process.wait() == -signal.SIGKILL
    assert kernel.names().count("CloseHandle") == 1
    assert job.processes() == []
    job.end()  # no effect


@pytest.mark.parametrize("function", ["CreateJobObjectW", "SetInformationJobObject", "AssignProcessToJobObject"])
def test_a_function_that_fails_is_named(function):
    """With the number of the error; no handle stays open."""
    kernel = FakeKernel()
    kernel.errors[function] = [8]
    with pytest.raises(OSError, match=f"{function} failed with Windows error 8"):
        JobObject(kernel).assign(0)
    assert len(kernel.jobs) == (function == "AssignProcessToJobObject")


def test_a_driver_in_a_job_of_another_kind_starts_workers_outside_of_it(system, drive_local):
    """Where a job of the driver's lets none be inside, the process is started again, out of it."""
    system.kernel.errors["AssignProcessToJobObject"] = [jobs.ACCESS_DENIED]
    driver = drive_local(lambda hp: 1.0)
    assert driver.run(0).kind == "done"
    plain = windows.NEW_GROUP | windows.NO_WINDOW
    assert system.starts == [plain, plain | windows.BREAKAWAY]
    assert len(system.kernel.jobs) == 1


@pytest.mark.parametrize("how", ["job", "start"])
def test_a_worker_that_cannot_be_in_a_job_is_an_error(system, how):
    """Nothing would end what it starts; the text says so, and what to do."""
    system.kernel.errors["AssignProcessToJobObject"] = [jobs.ACCESS_DENIED] * 2
    system.refused = windows.BREAKAWAY if how == "start" else 0
    executor = LocalExecutor(1)
    with pytest.raises(AutoHPOError, match=r"cannot be put into a job object.*executor='serial'.*error 5"):
        executor.open(Objective.of(lambda hp: 1.0), lambda event: True)
    executor.close()
    assert system.kernel.jobs == {}


def test_a_worker_that_cannot_be_started_is_another_error(system):
    """A policy may forbid the program: that has nothing to do with jobs. None is left open."""
    system.refused = windows.NEW_GROUP
    executor = LocalExecutor(1)
    with pytest.raises(AutoHPOError, match=r"a worker process cannot be started: .*Access is denied$"):
        executor.open(Objective.of(lambda hp: 1.0), lambda event: True)
    executor.close()
    assert system.kernel.jobs == {}


def test_the_processes_of_a_job_are_the_tree_of_its_worker(system, drive_local, tmp_path):
    """Also those whose parent is gone; of a process that is no worker, psutil tells."""

    def f(hp):
        subprocess.run(["sh", "-c", "sleep 600 & echo $! > " + hp["pid"]], check=True)
        return float(os.getpid())

    driver = drive_local(f)
    worker = int(driver.run(0, hp={"pid": str(tmp_path / "pid")}).outcome.perf)
    pids = [worker, int((tmp_path / "pid").read_text())]
    assert platform.current().tree_of(worker) == pids
    assert platform.current().tree_of(os.getpid())[0] == os.getpid()
    driver.executor.close()
    assert wait_until(lambda: not any(map(is_running, pids)), 2)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with code 0"),
        (3, "exited with code 3"),
        (0xC0000005, "exited with code 3221225477 (0xC0000005, access violation)"),
        (0xC00000AA, "exited with code 3221225642 (0xC00000AA)"),
        (-1073741571, "exited with code 3221225725 (0xC00000FD, stack overflow)"),  # as C has it
    ],
)
def test_an_exit_code_of_windows_is_told_in_words(code, words):
    """Those of the system have high numbers, which say little."""
    child = windows.WindowsChild.__new__(windows.WindowsChild)
    child._ending, child._job = __import__("threading").Lock(), JobObject(FakeKernel())
    child._popen = type("Process", (), {"wait": lambda self: code})()
    assert child.reap() == words


def test_the_python_of_a_virtual_environment_is_started_itself(monkeypatch):
    """The one there would start it as another process, which might not be in the job."""
    monkeypatch.setattr(sys, "_base_executable", "C:\\python.exe", raising=False)
    monkeypatch.setattr(sys, "executable", "C:\\venv\\python.exe")
    assert windows.System().interpreter() == ("C:\\python.exe", {windows.LAUNCHER: "C:\\venv\\python.exe"})
    monkeypatch.setattr(sys, "_base_executable", "C:\\venv\\python.exe", raising=False)
    assert windows.System().interpreter() == ("C:\\venv\\python.exe", {})


def test_what_a_worker_was_given_for_itself_is_not_handed_on(system, drive_local, monkeypatch):
    """What a trial starts finds nothing in standard input, and its own Python."""
    assert drive_local(lambda hp: float(len(os.read(0, 100)))).run(0).outcome.perf == 0.0
    monkeypatch.setenv(windows.LAUNCHER, "C:\\venv\\python.exe")
    monkeypatch.setattr(windows, "read_address", lambda: b"address")
    monkeypatch.setattr(windows, "connect", lambda address: address)
    assert platform.current().open_channels(()) == b"address"
    assert windows.LAUNCHER not in os.environ


def test_a_log_is_opened_so_that_children_append(monkeypatch):
    """By the system itself; the arguments are those of its manual."""
    found = windows.System()
    calls = []

    class Kernel:
        def CreateFileW(self, *arguments):
            calls.append(arguments)
            return 77 if len(calls) == 1 else windows.INVALID_HANDLE

        def last_error(self):
            return 32

    found.kernel = Kernel()
    msvcrt = type(sys)("msvcrt")
    msvcrt.open_osfhandle = lambda handle, flags: handle + 1
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    assert found.open_appending("log") == 78
    assert calls == [("log", 0x4 | 0x100000, 1 | 2 | 4, None, 4, 0, None)]
    with pytest.raises(OSError, match="log cannot be opened: Windows error 32"):
        found.open_appending("log")


# Sockets.


def greeted(end, until=lambda end: end.connection is not None):
    """Has the driver's end look for connections until something is true."""

    def is_true():
        wait_for_sockets([end], [], 0.05)
        return until(end)

    return wait_until(is_true)


def hang_up(channels):
    """Closes a worker's end."""
    connection = channels.send.__self__
    channels.pipe._file.close()
    connection.close()


def test_only_the_worker_that_knows_the_secret_is_heard():
    """Any user of the machine may connect: silent ones, wrong ones and many of them bar nobody."""
    end = DriverSocket()
    port = int(end.address.split()[0])
    strangers = [socket.create_connection((sockets.HOST, port)) for _ in range(sockets.MAX_CANDIDATES + 5)]
    strangers[-1].sendall(b"x" * sockets.SECRET_BYTES)
    strangers[-2].sendall(b"x")
    assert greeted(end, lambda end: len(end._candidates) == sockets.MAX_CANDIDATES - 1)
    with pytest.raises(BlockingIOError):
        end.read()
    with pytest.raises(BlockingIOError):
        end.write(memoryview(b"no"))
    channels = connect(end.address)
    assert greeted(end)
    assert end.address == b""
    assert strangers[-1].recv(1) == b""  # without the answer
    end.write(memoryview(b"task"))
    assert channels.pipe.read(4) == b"task"
    channels.send(b"end")
    assert wait_until(lambda: wait_for_sockets([end], [], 0.05))
    assert end.read() == b"end"
    end.close()
    end.close()
    hang_up(channels)
    for stranger in strangers:
        stranger.close()


def test_a_worker_hears_no_one_but_its_driver():
    """What it hears is unpickled: whoever waits at the port after the driver's death must not be obeyed."""
    with socket.create_server((sockets.HOST, 0)) as other:
        secret = b"5" * sockets.SECRET_BYTES
        address = f"{other.getsockname()[1]} {secret.hex()} {secret.hex()}".encode()
        channels = connect(address)
        there, _ = other.accept()
        with there:
            assert there.recv(100) == secret
            there.sendall(b"6" * sockets.SECRET_BYTES + b"task")
            with pytest.raises(ConnectionRefusedError):
                channels.pipe.read(4)
        hang_up(channels)


def test_a_worker_that_is_killed_is_at_its_end():
    """Its connection is reset where something was not read: that is the end, and no error."""
    end = DriverSocket()
    channels = connect(end.address)
    assert greeted(end)
    end.write(memoryview(b"never read"))
    channels.send.__self__.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    hang_up(channels)
    assert wait_until(lambda: wait_for_sockets([end], [], 0.05))
    assert end.read() == b""
    with pytest.raises(BrokenPipeError):
        for _ in range(100):
            end.write(memoryview(b"x"))
    end.close()


def test_what_there_is_no_room_for_waits(system, drive_local):
    """A task that is far larger than what the system takes at once arrives whole."""
    driver = drive_local(lambda hp: float(len(hp["text"])))
    assert driver.run(0, hp={"text": "x" * 20_000_000}).outcome.perf == 20_000_000


def test_to_wait_for_nothing_is_to_sleep(monkeypatch):
    """Windows makes an error of a wait for nothing."""

    def select(*arguments):
        raise OSError(10022, "An invalid argument was supplied")

    monkeypatch.setattr("select.select", select)
    began = time.monotonic()
    assert wait_for_sockets([], [], 0.02) == []
    assert time.monotonic() - began >= 0.02
