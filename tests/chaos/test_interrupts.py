"""What does not end by itself: objectives that catch everything, algorithms that think for ever, C code, locks."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import autohpo
from autohpo import BaseHPOptimizer, RangeHP, build_hpo_from_name
from autohpo.interrupts import Count

SPACE = [RangeHP("x", 0.0, 1.0)]
ROOT = str(Path(autohpo.__file__).parents[1])

SCRIPT = """
import ctypes, sys, time
from autohpo import BaseHPOptimizer, RangeHP, build_hpo_from_name
SPACE = [RangeHP("x", 0.0, 1.0)]

class Slow(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        if self.number == 1 and sys.argv[1] == "thinks":
            begin()
            time.sleep(60)
        return {"x": 0.5}
    def _update_trials(self, pid, hp, perf):
        if sys.argv[1] == "learns":
            begin()
            time.sleep(60)

def begin():
    print("go", flush=True)

def f(hps):
    if sys.argv[1] == "swallows":
        begin()
        while True:
            try:
                time.sleep(0.1)
            except:
                pass
    if sys.argv[1] == "in_c":
        begin()
        ctypes.PyDLL(None).sleep(60)  # holds the interpreter
    if sys.argv[1] == "waits":
        begin()
        time.sleep(60)
    if sys.argv[1] == "fills":
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))  # as a disk that is full
        begin()
    return hps["x"]

store = sys.argv[2] if len(sys.argv) > 2 else None
Slow(SPACE, f, max_evals=4).optimize(store=store, grace_seconds=60.0)
"""


def start(what: str, *more: str, **options: Any) -> subprocess.Popen[str]:
    """The script at work, as far as its "go"."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, what, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
        **options,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    return process


def end(process: subprocess.Popen[str], *numbers: int, seconds: float = 6.0) -> tuple[int, str]:
    """Exit code and last words of a process that is sent signals."""
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.2)
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return 0, "runs on"
    return process.returncode, said


@pytest.mark.parametrize("what", ["swallows", "in_c", "thinks", "learns"])
def test_a_second_ctrl_c_ends_whatever_runs(what: str, tmp_path: Path) -> None:
    """An objective that catches everything, a C call that holds the interpreter, an algorithm that thinks."""
    code, said = end(start(what, str(tmp_path / "run.db")), signal.SIGINT, signal.SIGINT)
    assert code in (130, -signal.SIGINT), said
    assert "run the same command to resume" in said


@pytest.mark.parametrize("what", ["thinks", "waits"])
def test_one_signal_of_a_supervisor_is_enough(what: str) -> None:
    """A suggestion that is not wanted any more is given up after a second, whatever the grace."""
    code, said = end(start(what), signal.SIGTERM)
    assert code == 143, said


def test_a_second_signal_ends_a_wait_for_a_locked_store(tmp_path: Path) -> None:
    """Another program holds the file; what is in it is safe."""
    path = tmp_path / "run.db"
    process = start("waits", str(path))
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        code, said = end(process, signal.SIGINT, signal.SIGINT)
        other.rollback()
    other.close()
    assert code in (130, -signal.SIGINT), said
    assert "is locked by another process" in said
    assert "not saved" in said
    assert "run the same command to resume" in said


def test_a_second_signal_ends_a_wait_for_a_full_disk(tmp_path: Path) -> None:
    """The end of the search says what is not saved, once."""
    code, said = end(start("fills", str(tmp_path / "run.db")), signal.SIGINT, signal.SIGINT)
    assert code in (130, -signal.SIGINT), said
    assert "its disk is full" in said
    assert "StoreFullError" not in said.split("interrupted after")[1]


def test_a_terminal_that_is_closed_ends_a_search_in_order(tmp_path: Path) -> None:
    """SIGHUP is one of the signals; the system may send it twice at once."""
    heard = lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    process = start("waits", str(tmp_path / "run.db"), preexec_fn=heard)
    process.send_signal(signal.SIGHUP)
    code, said = end(process, signal.SIGHUP)
    assert (code, "interrupted after 0 trials" in said) == (129, True), said


def test_a_search_that_was_told_to_ignore_a_closed_terminal_goes_on() -> None:
    """As nohup says."""
    process = start("waits", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert end(process, signal.SIGHUP, seconds=0.5) == (0, "runs on")


def test_without_a_store_an_interrupted_search_says_what_it_found() -> None:
    """Else it would be lost."""
    code, said = end(start("thinks"), signal.SIGINT, signal.SIGINT)
    assert code in (130, -signal.SIGINT)
    assert "interrupted after 1 trials with a result; the best so far is 0.5 with {'x': 0.5}" in said


class Thinks(BaseHPOptimizer):
    """Thinks about its third suggestion for a minute."""

    sleep: Callable[[], object] = staticmethod(lambda: time.sleep(60))

    def _get_suggestion(self, pid: int) -> dict[str, Any]:
        if self.number == 2:
            self.sleep()
        return {"x": self.number / 10}


def naps() -> None:
    """A minute of work in Python."""
    for _ in range(6000):
        time.sleep(0.01)


def in_thread(act: Callable[[], object]) -> list[object]:
    """What comes of a function in another thread."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    thread.join(30)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_the_time_limit_holds_while_an_algorithm_thinks(workers: int) -> None:
    """Within the grace; what was found is returned."""
    hpo = Thinks(SPACE, lambda hps: hps["x"], max_evals=5)
    began = time.monotonic()
    how = {"time_limit": 0.5, "grace_seconds": 0.2, "num_workers": workers, "progress": False}
    assert hpo.optimize(executor="serial" if workers == 1 else None, **how) == ({"x": 0.1}, 0.1)
    assert time.monotonic() - began < 5


def test_the_time_limit_holds_in_a_thread() -> None:
    """There signals do not come, and an algorithm is interrupted between two of its steps."""
    hpo = Thinks(SPACE, lambda hps: hps["x"], max_evals=5)
    hpo.sleep = naps  # type: ignore[method-assign]
    how = {"time_limit": 0.3, "grace_seconds": 0.2, "executor": "serial", "progress": False}
    before = signal.getsignal(signal.SIGTERM)
    assert in_thread(lambda: hpo.optimize(**how)) == [({"x": 0.1}, 0.1)]
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_time_limit_and_its_grace_hold_for_an_objective_in_this_process() -> None:
    """It is interrupted there, and its trial is one to be run again."""

    def f(hps: dict[str, Any], trial: Any) -> float:
        if trial.number == 1:
            time.sleep(60)
        return 1.0

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=5, seed=0)
    began = time.monotonic()
    hpo.optimize(time_limit=0.3, grace_seconds=0.2, executor="serial", progress=False)
    assert time.monotonic() - began < 5
    assert hpo.result is not None
    assert hpo.result.counts() == {"COMPLETE": 1, "CANCELLED": 1}
    assert "time limit" in hpo.result.trials[1].error


def test_what_is_no_exception_of_the_objective_ends_the_search_and_surfaces() -> None:
    """An alarm of the user's own, a test's time limit, pytest.skip: the trial is cancelled, the result is there."""

    class Deadline(BaseException):
        pass

    def f(hps: dict[str, Any], trial: Any) -> float:
        if trial.number == 2:
            raise Deadline("mine")
        return 1.0

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=9, seed=0)
    with pytest.raises(Deadline, match="mine"):
        hpo.optimize(progress=False)
    assert hpo.result is not None
    assert hpo.result.counts() == {"COMPLETE": 2, "CANCELLED": 1}
    assert "mine" in hpo.result.trials[2].error


@pytest.mark.filterwarnings("ignore::autohpo.errors.StoreWarning")  # f closes over what changes
def test_an_alarm_of_the_users_own_never_leaves_a_step_of_the_log_half_done(tmp_path: Path) -> None:
    """It rings again and again, at any moment, and ends the search each time; the log is that of one run."""

    class Rings(BaseException):
        pass

    def ring(*_: object) -> None:
        raise Rings

    n = 20

    is_set: list[int] = []

    def f(hps: dict[str, Any]) -> float:
        if not is_set and n < 20:
            is_set.append(1)
            signal.setitimer(signal.ITIMER_REAL, 0.005 + n / 2000)
        return float(hps["x"])

    def search() -> BaseHPOptimizer:
        is_set.clear()
        return build_hpo_from_name("random", SPACE, f, max_evals=150, seed=0)

    before, n, is_whole = signal.signal(signal.SIGALRM, ring), 0, False
    try:
        while not is_whole:
            hpo = search()
            try:
                hpo.optimize(store=tmp_path / "run.db", progress=False)
                is_whole = True
            except Rings:
                n += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    n_rung, n, whole = n, 20, search()
    whole.optimize(progress=False)
    assert n_rung > 3
    assert [(t.hp, t.state, t.perf) for t in hpo.result.trials] == [
        (t.hp, t.state, t.perf) for t in whole.result.trials
    ]


def test_an_alarm_rings_where_the_driver_waits_for_workers() -> None:
    """A test's own time limit ends a search whose workers hang."""

    class Rings(BaseException):
        pass

    def ring(*_: object) -> None:
        raise Rings

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.7)
        hpo = build_hpo_from_name("random", SPACE, lambda hps: time.sleep(60), max_evals=3, seed=0)
        with pytest.raises(Rings):
            hpo.optimize(num_workers=2, progress=False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hpo.result is not None
    assert set(hpo.result.counts()) == {"CANCELLED"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_forked_child_of_the_objective_has_the_signal_handlers_of_before(number: int) -> None:
    """``terminate()`` ends it; the driver has its own again afterwards."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), signal.set_wakeup_fd(-1)

    def f(hps: dict[str, Any]) -> float:
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            os._exit(0)
        return float(os.WTERMSIG(os.waitpid(pid, 0)[1]))

    assert build_hpo_from_name("random", SPACE, f, max_evals=1, seed=0).optimize(progress=False)[1] == number
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), signal.set_wakeup_fd(-1)) == before


def test_signals_that_come_during_a_fork_are_the_childs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool ends its children just after it made them."""

    def f(hps: dict[str, Any]) -> float:
        for _ in range(20):
            pid = os.fork()
            if not pid:
                time.sleep(5)
            os.kill(pid, signal.SIGTERM)
            if os.waitpid(pid, 0)[1] != signal.SIGTERM:
                return 0.0
        return 1.0

    assert build_hpo_from_name("random", SPACE, f, max_evals=1, seed=0).optimize(progress=False)[1] == 1.0


def test_a_handler_that_was_set_from_c_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python cannot put it back: an application that embeds Python keeps its own."""
    real, changed = signal.signal, []
    getsignal = signal.getsignal

    def watched(number: int, handler: Any) -> Any:
        changed.append(number)
        return real(number, handler)

    monkeypatch.setattr(signal, "getsignal", lambda number: None if number == signal.SIGINT else getsignal(number))
    monkeypatch.setattr(signal, "signal", watched)
    build_hpo_from_name("random", SPACE, lambda hps: hps["x"], max_evals=2, seed=0).optimize(progress=False)
    assert signal.SIGINT not in changed
    assert changed.count(signal.SIGTERM) == 2


def test_a_handler_that_the_objective_sets_stays() -> None:
    """As it would after a loop of the user's own."""
    before = signal.getsignal(signal.SIGTERM)

    def mine(*_: object) -> None: ...

    def f(hps: dict[str, Any]) -> float:
        signal.signal(signal.SIGTERM, mine)
        return 1.0

    try:
        build_hpo_from_name("random", SPACE, f, max_evals=1, seed=0).optimize(progress=False)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_handler_of_a_search_that_is_over_hands_signals_on() -> None:
    """A library that the objective uses may keep it, and put it back much later."""
    kept, came = [], []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        f = lambda hps: kept.append(signal.getsignal(signal.SIGTERM)) or 1.0
        build_hpo_from_name("random", SPACE, f, max_evals=1, seed=0).optimize(progress=False)
        signal.signal(signal.SIGTERM, kept[0])
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]


def test_a_search_inside_an_objective_tells_the_outer_one_of_a_signal() -> None:
    """Else that one would go on with its next trial."""
    runs = []

    def inner(hps: dict[str, Any]) -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
        return 1.0

    def outer(hps: dict[str, Any]) -> float:
        runs.append(1)
        hpo = build_hpo_from_name("random", SPACE, inner, max_evals=2, seed=0)
        return float(hpo.optimize(progress=False)[1])

    hpo = build_hpo_from_name("random", SPACE, outer, max_evals=5, seed=0)
    with pytest.raises(SystemExit) as ended:
        hpo.optimize(progress=False)
    assert ended.value.code == 143
    assert len(runs) == 1


def test_a_signal_that_the_system_sends_twice_counts_once() -> None:
    """But for Ctrl-C, which a hand sends."""
    count = Count()
    assert [count.add(signal.SIGTERM, at) for at in (1.0, 1.05, 2.0)] == [True, False, True]
    count = Count()
    assert [count.add(signal.SIGINT, at) for at in (1.0, 1.05)] == [True, True]
    count = Count()
    assert [count.add(number, 1.0) for number in (signal.SIGTERM, signal.SIGINT)] == [True, True]
