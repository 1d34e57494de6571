"""A driver on its own, who has a store, requests to end it, and the record of how it was started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from autohpo import RangeHP, Search, build_hpo_from_name
from autohpo.algorithms.session import session_of
from autohpo.control import (
    REQUEST,
    StopRequests,
    driver_of,
    is_request_seen,
    request_stop,
    store_path,
    wait_until_free,
)
from autohpo.errors import DetachedError, NoResultError, OptionError, PathError, RunBusyError, StoreError, StoreWarning
from autohpo.service import LAUNCH, LOG, Launch, kill_driver, start_detached, tail
from autohpo.store.lock import Holder, RunLock, holder_of, last_holder

ROOT = Path(__file__).parents[1]
SPACE = [RangeHP("x", 0.0, 1.0)]
HOLD = """
import sys, time
from autohpo.store import SQLiteStore
store = SQLiteStore(sys.argv[1])
store.open()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def store(tmp_path):
    """The path of a store; a driver that still has it is killed in the end."""
    path = tmp_path / "run.db"
    yield path
    holder = driver_of(path)
    if holder is not None and holder.process != os.getpid():
        kill_driver(path, holder)
        assert wait_until_free(path, holder, 30)


def start(store, code=HOLD, **options):
    """Start code on its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return start_detached([sys.executable, "-c", code, str(store)], store=store, environment=environment, **options)


def ended(process):
    """Whether a process is over, or a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


# Who has a store.


def test_who_has_a_store_is_told_without_taking_it(store):
    """Its process, host, start and program; the same at each call."""
    assert driver_of(store) is None
    process = start(store)
    holder = driver_of(store)
    assert holder is not None
    assert (holder.process, holder.is_here, holder.program) == (process, True, "-c")
    assert abs(time.time() - time.mktime(time.strptime(holder.since, "%Y-%m-%d %H:%M:%S"))) < 60
    assert driver_of(str(store)) == driver_of(f"sqlite:///{store}") == holder
    with pytest.raises(RunBusyError, match=f"process {process} on"):
        RunLock(store.with_name("run.db.lock")).check_free()


def test_a_driver_may_look_at_its_own_store(store):
    """Closing a lock file unlocks it for the whole process: a look must not do that."""
    with Search(build_hpo_from_name("random", SPACE, seed=0), store):
        for _ in range(3):
            holder = driver_of(store)
            assert holder is not None
            assert holder.process == os.getpid()
        code = "import sys; from autohpo.control import driver_of; print(driver_of(sys.argv[1]).process)"
        command = [sys.executable, "-c", code, str(store)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        seen = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert int(seen.stdout) == os.getpid()  # to the others it is still locked
    assert driver_of(store) is None


def test_looks_from_threads_never_unlock_a_store_that_is_being_opened(store):
    """A look that began before the lock was taken ends after it; another process says whether it is still locked."""
    code = """
import sys
from pathlib import Path
from autohpo.store.lock import holder_of
for _ in sys.stdin:
    print(holder_of(Path(sys.argv[1])) is not None, flush=True)
"""
    path = store.with_name("run.db.lock")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], env=environment, stdin=pipe, stdout=pipe, text=True, bufsize=1
    )
    stopping = threading.Event()

    def look():
        while not stopping.is_set():
            driver_of(store)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            lock = RunLock(path)
            lock.acquire()
            other.stdin.write("?\n")
            assert other.stdout.readline() == "True\n"
            lock.release()
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
        other.communicate(timeout=60)


def test_the_last_holder_is_known_when_it_is_gone(store):
    """By what it left in the lock file."""
    process = start(store)
    assert kill_driver(store, driver_of(store))
    while driver_of(store) is not None:
        time.sleep(0.01)
    assert last_holder(store.with_name("run.db.lock")).process == process
    assert last_holder(store.with_name("other.lock")) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"host": 1}', '{"host": "a", "process": "b", "since": "c"}'])
def test_a_lock_file_of_another_making_names_nobody(text, tmp_path):
    """A holder without a name is told where the system says that there is one."""
    assert Holder.from_json(text) is None
    path = tmp_path / "run.db.lock"
    lock = RunLock(path)
    lock.acquire()
    code = """
import sys
from pathlib import Path
from autohpo.store.lock import holder_of
path = Path(sys.argv[1])
path.write_text(sys.argv[2])
print(holder_of(path).process, holder_of(path))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(path), text]
    seen = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert seen.stdout == f"{os.getpid()} a holder that left no name\n"
    lock.release()
    assert holder_of(path) is None


# A driver on its own.


def test_a_driver_on_its_own_outlives_who_started_it(store):
    """It has a session of its own, ignores a closed terminal, reads nothing, and prints into its log."""
    code = f"""
import os, sys
from autohpo.service import start_detached
code = {HOLD!r} + "assert sys.stdin.read() == ''"
print(start_detached([sys.executable, "-c", code, sys.argv[1]], store=sys.argv[1]))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(store)]
    process = int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert os.getsid(process) == process
    os.kill(process, signal.SIGHUP)
    time.sleep(0.2)
    assert driver_of(store).process == process
    assert tail(store.with_name("run.db.files") / LOG).splitlines()[-1] == "held"


def test_a_second_driver_is_refused_before_it_starts(store):
    """The error is that of any second driver."""
    process = start(store)
    with pytest.raises(RunBusyError, match=f"process {process} on"):
        start(store)


def test_a_driver_that_cannot_begin_is_told_with_the_end_of_its_log(store, tmp_path):
    """What earlier ones printed is not repeated."""
    log = tmp_path / "own.log"
    log.write_text("an old line\n")
    with pytest.raises(DetachedError) as caught:
        start(store, "import sys; print('a last word'); sys.exit(7)", log=log)
    assert caught.value.code == 7
    assert "ended with code 7" in str(caught.value)
    assert "a last word" in str(caught.value)
    assert "an old line" not in str(caught.value)
    assert log.read_text().startswith("an old line\n---")


def test_a_driver_with_a_record_has_begun_its_run(store):
    """One that has its store and then finds that it is of another run ends with an error that is told."""
    code = """
import sys, time
from autohpo import RangeHP, build_hpo_from_name
from autohpo.algorithms.session import session_of
from autohpo.service import Launch
f = lambda hps: time.sleep(0.2) or 1.0
hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=99, seed=SEED)
session_of(hpo).on_begin = lambda kept: Launch.of_this_process().write(kept.files)
hpo.optimize(store=sys.argv[1])
"""
    process = start(store, code.replace("SEED", "0"), has_record=True)
    launch = Launch.read(store)
    assert launch is not None
    assert launch.process == process
    assert kill_driver(store, driver_of(store))
    while driver_of(store) is not None:
        time.sleep(0.01)
    with pytest.raises(DetachedError, match="options.seed: the store has 0, here it is 1"):
        start(store, code.replace("SEED", "1"), has_record=True)
    assert Launch.read(store) == launch


def test_a_driver_that_has_ended_in_order_is_no_error(store):
    """A short search may be over before anybody looks."""
    process = start(store, "pass")
    assert ended(process)


def test_a_driver_behind_a_script_is_found(store, tmp_path):
    """The number returned is that of the driver."""
    script = tmp_path / "start.sh"
    script.write_text(f'#!/bin/sh\n"{sys.executable}" -c "$CODE" "$1"\ntrue\n')
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CODE": HOLD}
    process = start_detached(["sh", str(script), str(store)], store=store, environment=environment)
    assert driver_of(store).process == process
    assert os.getsid(process) != process


@pytest.mark.parametrize(
    ("argv", "options", "error", "said"),
    [
        ([], {}, OptionError, "argv: must be a list of strings"),
        ("python", {}, OptionError, "argv: must be a list of strings"),
        (["no-such-program"], {}, OptionError, "argv: must begin with a program, got 'no-such-program'"),
        (["./none"], {}, OptionError, "argv: must begin with a program, got './none'"),
        (["true"], {"cwd": "/no/such/folder"}, OptionError, "cwd: must be a folder"),
        (["true"], {"log": "/no/such/folder/log"}, PathError, "log: a driver cannot be started"),
        (["true"], {"store": "memory:"}, StoreError, "in the memory of one process"),
        (["true"], {"store": "/no/such/folder/run.db"}, StoreError, "does not exist"),
    ],
)
def test_what_cannot_be_started_is_told(store, argv, options, error, said):
    """Before anything is."""
    if "log" in options and os.geteuid() == 0:
        options = {"log": str(store.parent)}  # a folder, which nobody can write to
    with pytest.raises(error, match=said):
        start_detached(argv, **{"store": store, **options})


# Requests to end.


def test_a_request_reaches_a_driver_in_its_objective(store):
    """The trial that runs has its grace, whether it reports or not; it is not lost."""
    code = """
import sys, time
from autohpo import RangeHP, build_hpo_from_name
f = lambda hps: time.sleep(0 if hps["x"] < 0.5 else 60) or hps["x"]
points = [{"x": 0.1}, {"x": 0.9}]
hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, points=points, max_evals=3, seed=0)
print(hpo.optimize(store=sys.argv[1], grace_seconds=0.2))
"""
    start(store, code)
    holder = request_stop(store)
    assert holder is not None
    assert wait_until_free(store, holder, 30)
    points = [{"x": 0.1}, {"x": 0.9}]
    hpo = build_hpo_from_name("random", SPACE, lambda hps: hps["x"], points=points, max_evals=3, seed=0)
    with pytest.warns(StoreWarning, match="f .* has changed"):
        hpo.optimize(store=store, progress=False)
    assert [trial.hp["x"] for trial in hpo.result][:2] == [0.1, 0.9]
    assert hpo.result.counts() == {"COMPLETE": 3}


def test_a_request_to_another_driver_is_removed_and_ignored(store):
    """One that came too late for the last driver must not end the next one."""
    files = store.with_name("run.db.files")
    files.mkdir()
    other = Holder("elsewhere", 1, "2026-01-01 00:00:00", "x.py", "0123")
    (files / REQUEST).write_text(other.to_json())
    hpo = build_hpo_from_name("random", SPACE, lambda hps: time.sleep(0.3) or hps["x"], max_evals=4, seed=0)
    hpo.optimize(store=store, progress=False)
    assert hpo.result.counts() == {"COMPLETE": 4}
    assert list(files.glob(f"{REQUEST}*")) == []


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"x" * 100_000])
def test_a_request_that_cannot_be_read_is_none(tmp_path, text):
    """It goes away, as nobody could mean anything by it."""
    holder = Holder.of_this_process()
    (tmp_path / REQUEST).write_bytes(text)
    requests = StopRequests(tmp_path, holder)
    assert not requests.is_asked()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / REQUEST).write_text(holder.to_json())
    assert requests.is_asked()
    assert not requests.is_asked()  # once


def test_a_search_in_memory_looks_for_no_requests():
    """Nobody else can reach it."""
    hpo = build_hpo_from_name("random", SPACE, lambda hps: hps["x"], max_evals=2, seed=0)
    with Search(hpo) as search:
        assert StopRequests.of(search.store) is None


def test_nobody_is_asked_where_nobody_is(store):
    """No file is left for whoever comes next."""
    assert request_stop(store) is None
    assert is_request_seen(store)
    assert not store.with_name("run.db.files").exists()
    assert wait_until_free(store, Holder.of_this_process(), 0.1)


def test_a_request_is_seen_also_while_the_driver_waits_for_workers(store):
    """In about half a second."""
    f = _sleep_long
    hpo = build_hpo_from_name("random", SPACE, f, max_evals=9, seed=0)
    thread = threading.Thread(target=_optimize, args=(hpo, store))
    thread.start()
    while hpo.n_asked < 2:
        time.sleep(0.01)
    time.sleep(1.0)  # its first look is over
    holder = request_stop(store)
    began = time.monotonic()
    while not is_request_seen(store) and time.monotonic() - began < 10:
        time.sleep(0.02)
    is_seen = is_request_seen(store)
    hpo.stop()
    assert is_seen
    assert wait_until_free(store, holder, 60)
    thread.join(60)
    assert not thread.is_alive()


def _sleep_long(_hps):
    time.sleep(60)
    return 0.0


def _optimize(hpo, store):
    with pytest.raises(NoResultError, match="no trial|ended before its first trial: a stop was requested"):
        hpo.optimize(store=store, num_workers=2, grace_seconds=0.1, progress=False)


# Killing.


def test_only_who_has_the_store_is_killed(store):
    """Not a process that had it before, and none of another host."""
    process = start(store)
    holder = driver_of(store)
    old = holder._replace(id="another")
    assert not kill_driver(store, old)
    assert driver_of(store) == holder
    with pytest.raises(OptionError, match="only a process of this host can be killed"):
        kill_driver(store, holder._replace(host="elsewhere"))
    assert kill_driver(store, holder)
    assert wait_until_free(store, holder, 30)
    assert not kill_driver(store, holder)
    while not ended(process):
        time.sleep(0.01)


# The record.


def test_a_record_comes_back_as_it_was_written(tmp_path, monkeypatch):
    """And has no variable that is not allowed."""
    monkeypatch.setenv("API_KEY", "hush")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    launch = Launch.of_this_process(["python", "a b.py", "ü"])
    launch.write(tmp_path / "run.db.files")
    assert Launch.read(tmp_path / "run.db") == launch
    assert (launch.process, launch.cwd) == (os.getpid(), str(Path.cwd()))
    assert launch.environment["OMP_NUM_THREADS"] == "3"
    assert "hush" not in (tmp_path / "run.db.files" / LAUNCH).read_text()
    assert Launch.read(tmp_path / "none.db") is None
    assert Launch.of_this_process().argv[0] == sys.executable


def test_variables_of_today_stay_but_for_those_that_find_programs(monkeypatch):
    """And these only on the same host."""
    monkeypatch.setenv("PATH", "/today")
    monkeypatch.setenv("LANG", "today")
    monkeypatch.delenv("TZ", raising=False)
    kept = {"PATH": "/then", "LANG": "then", "TZ": "then"}
    found = Launch(("python",), "/", kept).variables()
    assert (found["PATH"], found["LANG"], found["TZ"]) == ("/then", "today", "then")
    assert Launch(("python",), "/", kept, host="elsewhere").variables()["PATH"] == "/today"


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "{}", '{"argv": [], "cwd": "/"}', '{"argv": [1], "cwd": "/"}'),
        *('{"argv": ["a"], "cwd": 3}', '{"argv": ["a"], "cwd": "/", "environment": ["x"]}'),
        *('{"argv": ["a"], "cwd": "/", "environment": {"x": 1}}', '{"argv": ["a"], "cwd": "/", "more": 1}'),
    ],
)
def test_a_damaged_record_is_told(tmp_path, text):
    """With its path."""
    path = tmp_path / "run.db.files" / LAUNCH
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(StoreError, match="is no record of how a search was started"):
        Launch.read(tmp_path / "run.db")


def test_a_record_is_written_when_the_store_is_known_to_hold_this_run(store):
    """The hook is called before the first trial, and not where another run is in the store."""
    calls = []

    def f(hps):
        calls.append("trial")
        return hps["x"]

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=2, seed=0)
    session_of(hpo).on_begin = lambda kept: calls.append(kept.path)
    hpo.optimize(store=store, progress=False)
    assert calls == [store, "trial", "trial"]
    other = build_hpo_from_name("random", SPACE, f, max_evals=2, seed=1)
    session_of(other).on_begin = lambda kept: calls.append(kept.path)
    with pytest.raises(StoreError):
        other.optimize(store=store, progress=False)
    assert calls == [store, "trial", "trial"]


def test_the_record_cannot_be_written_where_a_file_is_in_the_way(tmp_path):
    """The error is typed."""
    (tmp_path / "run.db.files").write_text("")
    with pytest.raises(PathError, match="cannot be written"):
        Launch.of_this_process(["x"]).write(tmp_path / "run.db.files")


def test_the_tail_of_a_log_is_bounded(tmp_path):
    """Its last lines, whatever lies before them."""
    path = tmp_path / "log"
    path.write_text("".join(f"{n}\n" for n in range(10_000)))
    assert tail(path).splitlines() == [str(n) for n in range(9980, 10_000)]
    assert tail(tmp_path / "none") == ""
    path.write_bytes(b"\xff" * 100_000)
    assert len(tail(path)) <= 8192


def test_urls_and_paths_name_the_same_store(tmp_path):
    """A store in memory is no file."""
    assert (
        store_path(f"sqlite:///{tmp_path}/run.db") == store_path(tmp_path / "run.db") == (tmp_path / "run.db").resolve()
    )
    with pytest.raises(StoreError, match="in the memory of one process"):
        store_path("memory:")
    assert json.loads(Holder.of_this_process().to_json())["process"] == os.getpid()
